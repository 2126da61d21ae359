"""Fit the model's parameters to a table of reference patients, without the database."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring.core.errors import MonitoringError
from monitoring.core.parameter_set import Parameters, literature_defaults
from monitoring.core.reference import compare_parameters
from monitoring.core.reference_table import TableFit, fit_table
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
        parser.add_argument(
            "--controls",
            type=Path,
            metavar="CONTROLS.csv",
            help="Healthy controls: the columns of OBSERVATIONS.csv and sex, birth_year, "
            "structure, method, contrast.",
        )
        parser.add_argument(
            "--norms",
            type=Path,
            metavar="NORMS.json",
            help="Where the norms of the controls go, one per region or the reason for none.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Fit, write, and print old and new side by side."""
        if options["norms"] and not options["controls"]:
            raise CommandError(
                "--norms needs --controls: norms are made from healthy controls."
            )
        old = literature_defaults()
        texts = {
            name: read_text(options[name]) if options[name] else None
            for name in ("events", "controls")
        }
        try:
            found = fit_table(read_text(options["observations"]), **texts, base=old)
        except MonitoringError as error:
            raise CommandError(str(error)) from error
        write_text(options["out"], found.fit.parameters.to_json())
        if options["norms"]:
            write_text(options["norms"], json.dumps(found.norms, indent=2) + "\n")
        self._report(old, found)

    def _report(self, old: Parameters, found: TableFit) -> None:
        """Print what entered, what changed, which guards fired, and the norms."""
        fit = found.fit
        who = f"{fit.patients} patients"
        if fit.controls:
            who += f", {fit.controls} healthy controls"
        self.stdout.write(f"{who}, {fit.rows} values: {fit.parameters.id}")
        for change in compare_parameters(old, fit.parameters):
            self.stdout.write(
                f"{change.name:32}{change.old:9.3f}{change.new:9.3f} {change.unit}"
            )
        if fit.control_slopes:
            brain, cord = fit.control_slopes
            self.stdout.write(
                f"Healthy controls lose {-brain:.2f} (brain), {-cord:.2f} (cord) %/yr."
            )
        for guard in fit.guards:
            self.stdout.write(guard)
        for norm in found.norms:
            self.stdout.write(norm.get("refusal") or _norm_words(norm))


def _norm_words(norm: Mapping[str, Any]) -> str:
    """Say for whom a norm holds."""
    facts = norm["facts"]
    return (
        f"Norm of {facts['structure']} ({facts['method']}, {facts['contrast']}): "
        f"{norm['people']} controls aged {norm['youngest']:g}-{norm['oldest']:g}, "
        f"SD {norm['predictive_sd']:.4g}."
    )
