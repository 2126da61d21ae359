"""``manage.py demo_truth [--measured]``: what the demo's phantoms are."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from monitoring.demo.truth import comparison_rows, truth_rows


class Command(BaseCommand):
    """Print the truth of the phantoms as JSON, or beside what the worker measured."""

    help = (
        "Print the truth of the demo's phantoms; --measured puts the measured numbers beside."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the switch."""
        parser.add_argument("--measured", action="store_true")

    def handle(self, *_args: Any, measured: bool, **_options: Any) -> None:
        """Print."""
        if not measured:
            self.stdout.write(json.dumps(truth_rows(), indent=1))
            return
        self.stdout.write("| patient | day | structure | truth | measured | error % |")
        self.stdout.write("|---|---:|---|---:|---:|---:|")
        for patient, day, structure, true, value in comparison_rows():
            self.stdout.write(
                f"| {patient} | {day} | {structure} | {true:,.2f} | {value:,.2f} "
                f"| {100 * (value / true - 1):+.2f} |"
            )
