"""``manage.py create_clinic NAME --administrator USERNAME``: the first act outside a demo."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from monitoring.services.people import clinic_create


class Command(BaseCommand):
    """Open a clinic with its first administrator, who adds everybody else on the pages."""

    help = "Open a clinic with its first administrator."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the names."""
        parser.add_argument("name", help="Name of the clinic, as its members call it")
        parser.add_argument("--administrator", required=True, help="User name")

    def handle(self, *_args: Any, name: str, administrator: str, **_options: Any) -> None:
        """Create, and print the password of a new account once."""
        try:
            clinic, user, password = clinic_create(name=name, administrator=administrator)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"{clinic} is open; {user.username} administers it.")
        if password:
            self.stdout.write(f"Password for the first sign-in: {password}")
            self.stdout.write("It is shown once; another one is chosen after signing in.")
