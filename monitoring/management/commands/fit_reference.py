"""Fit the model's parameters to a table of reference patients, without the database."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring.core.assessing import fit_table
from monitoring.core.errors import MonitoringError
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.reference import compare_parameters
from monitoring.management.tables import read_text, write_text


class Command(BaseCommand):
    """Read OBSERVATIONS.csv, write PARAMS.json for `assess --parameters`."""

    help = "Fit the divergence model to reference patients; the result is only a proposal."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("observations", type=Path, metavar="OBSERVATIONS.csv")
        parser.add_argument("--out", type=Path, required=True, metavar="PARAMS.json")
        parser.add_argument("--events", type=Path, metavar="EVENTS.csv")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Fit, write, and print old and new side by side."""
        old = literature_defaults()
        try:
            fit = fit_table(
                read_text(options["observations"]),
                events=read_text(options["events"]) if options["events"] else None,
                base=old,
            )
        except MonitoringError as error:
            raise CommandError(str(error)) from error
        write_text(options["out"], fit.parameters.to_json())
        self.stdout.write(f"{fit.patients} patients, {fit.rows} values: {fit.parameters.id}")
        for change in compare_parameters(old, fit.parameters):
            self.stdout.write(
                f"{change.name:32}{change.old:9.3f}{change.new:9.3f} {change.unit}"
            )
        for guard in fit.guards:
            self.stdout.write(guard)
