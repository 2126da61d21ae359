"""Say what tables hold as an external reference of cord area, before one is named."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from monitoring.core.cohort.external import level_words
from monitoring.core.errors import InvalidTable
from monitoring.services.cohorts import reference_read


class Command(BaseCommand):
    """Read tables as the cohort page would."""

    help = "Check tables of published cord areas (COHORT_REFERENCE when none is named)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the tables."""
        parser.add_argument("tables", nargs="*", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what each table holds, or why it is refused."""
        tables = options["tables"] or [Path(one) for one in [settings.COHORT_REFERENCE] if one]
        if not tables:
            raise CommandError("Name a table, or set COHORT_REFERENCE.")
        held = 0
        for path in tables:
            try:
                references = reference_read(path)
            except InvalidTable as error:
                self.stdout.write(f"{path.name}: refused. {error}")
                continue
            held += len(references)
            self.stdout.write(f"{path.name}:")
            for one in references:
                self.stdout.write(
                    f"  {level_words(one.level)}, {one.method}, {one.contrast}: "
                    f"{one.area.size} healthy adults aged {one.age.min():.0f} to "
                    f"{one.age.max():.0f}, mean {one.area.mean():.1f} mm2"
                )
        if not held:
            raise CommandError("No table can serve as a reference of cord area.")
