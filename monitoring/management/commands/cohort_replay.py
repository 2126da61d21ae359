"""Compute an exported cohort analysis again, from the file alone, and compare."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring.core.cohort.analysis import ANALYSIS_VERSION, analyse
from monitoring.core.cohort.definition import definition_from_json
from monitoring.core.cohort.inputs import cohort_from_inputs
from monitoring.core.cohort.replay import differences, tables_of
from monitoring.core.errors import MonitoringError


class Command(BaseCommand):
    """Say whether an export gives the numbers that it holds."""

    help = "Compute an exported cohort analysis (JSON) again and compare every number."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file."""
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        """Compute and compare."""
        try:
            export = json.loads(options["file"].read_text())
            again = analyse(
                cohort_from_inputs(export["inputs"]), definition_from_json(export["definition"])
            )
        except (OSError, ValueError, KeyError) as error:
            raise CommandError(f"This file is no exported analysis: {error}.") from error
        except MonitoringError as error:
            raise CommandError(str(error)) from error
        was = export["versions"]["analysis"]
        if was != ANALYSIS_VERSION:
            self.stdout.write(f"Computed by {was}; this installation has {ANALYSIS_VERSION}.")
        if found := differences(export, again):
            raise CommandError("Not the same numbers: " + "; ".join(found[:5]))
        tables = tables_of(export)
        cells = sum(len(row) for rows in tables.values() for row in rows)
        self.stdout.write(f"The same: {len(tables)} tables, {cells} cells.")
