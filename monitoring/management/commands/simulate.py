"""Simulate patients with known truth, to learn with and to try detectors on."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring.core.errors import MonitoringError
from monitoring.core.profiles import PROFILES, profile_table
from monitoring.core.simulated_tables import simulated_tables
from monitoring.management.tables import write_text


class Command(BaseCommand):
    """Write the tables of one simulated clinic into a folder."""

    help = (
        "Simulate a clinic: observations.csv, reference.csv and events.csv as `assess` and "
        "`fit_reference` take them, and truth.csv. Not evidence about real patients."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        names = ", ".join(PROFILES)
        parser.add_argument(
            "profile", choices=list(PROFILES), metavar="PROFILE", help=f"One of {names}."
        )
        parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
        parser.add_argument("--patients", type=int, default=200, metavar="N")
        parser.add_argument(
            "--reference",
            type=int,
            default=0,
            metavar="N",
            help="Further people on the same scanners who do not convert, for a refit.",
        )
        parser.add_argument("--seed", type=int, required=True, metavar="S")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Simulate, write, and say what was written and how the profile differs from base."""
        if options["seed"] < 0 or options["reference"] < 0:
            raise CommandError("A seed and a number of people are not negative.")
        profile = options["profile"]
        try:
            found = simulated_tables(
                PROFILES[profile],
                patients=options["patients"],
                reference=options["reference"],
                seed=options["seed"],
            )
        except MonitoringError as error:
            raise CommandError(str(error)) from error
        folder: Path = options["out"]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"{folder} cannot be made: {error.strerror}.") from error
        written = {
            "observations.csv": found.observations,
            "reference.csv": found.reference if options["reference"] else None,
            "events.csv": found.events,
            "truth.csv": found.truth,
        }
        for name, text in written.items():
            if text is not None:
                write_text(folder / name, text)
                self.stdout.write(f"{folder / name}: {text.count(chr(10)) - 1} rows")
        for name, parameter, value in profile_table():
            if name == profile:
                self.stdout.write(f"{profile}, unlike base: {parameter} {value}")
