"""Seed the demo's clinics into the database of a demo."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from monitoring.demo.seeding import DemoRefused, demo_seed, divergence_compute


class Command(BaseCommand):
    """Seed the synthetic clinics; the rows of the phantom patients come with `demo`."""

    help = "Seed two synthetic clinics (demo mode only); a second call changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed, and say what is done."""
        try:
            demo_seed(today=timezone.localdate(), say=self.stdout.write)
        except DemoRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        divergence_compute(say=self.stdout.write)
