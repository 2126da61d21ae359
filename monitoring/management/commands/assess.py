"""Apply the divergence model to a table of observations, without the database."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring.core.assessing import AsOf, assess_table
from monitoring.core.errors import MonitoringError
from monitoring.core.parameter_set import Parameters, literature_defaults
from monitoring.management.tables import read_text, write_text


class Command(BaseCommand):
    """Read OBSERVATIONS.csv, write ASSESSMENTS.csv."""

    help = "Assess brain-cord divergence for every patient of a table; touches no database."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("observations", type=Path, metavar="OBSERVATIONS.csv")
        parser.add_argument("--out", type=Path, required=True, metavar="ASSESSMENTS.csv")
        parser.add_argument("--events", type=Path, metavar="EVENTS.csv")
        parser.add_argument("--parameters", type=Path, metavar="PARAMS.json")
        parser.add_argument("--as-of", choices=list(AsOf), default=AsOf.LAST.value)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Assess; every refusal is one sentence."""
        try:
            text = assess_table(
                read_text(options["observations"]),
                events=read_text(options["events"]) if options["events"] else None,
                parameters=_parameters(options["parameters"]),
                as_of=AsOf(options["as_of"]),
            )
        except MonitoringError as error:
            raise CommandError(str(error)) from error
        write_text(options["out"], text)


def _parameters(path: Path | None) -> Parameters:
    """Read the parameter set, or the packaged literature defaults."""
    return literature_defaults() if path is None else Parameters.from_json(read_text(path))
