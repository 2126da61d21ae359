"""Start the demo: database, synthetic clinics, a web server and its workers, until Ctrl-C."""

import logging
import os
import signal
import time
import urllib.request
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.error import HTTPError, URLError

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from monitoring.demo.accounts import ACCOUNTS
from monitoring.demo.phantom_patients import (
    phantom_patients_ensure,
    phantom_runs,
    phantom_runs_accept,
)
from monitoring.demo.processes import (
    HOST,
    Child,
    PortTaken,
    children_end,
    port_check,
    web_start,
    workers_start,
)
from monitoring.demo.registry_clinic import registry_clinic_ensure
from monitoring.demo.seeding import DemoRefused, demo_check, demo_seed, divergence_compute
from monitoring.demo.stories import CLINICS
from monitoring.selectors.divergence import patients_out_of_date
from volumetry.models import Status

LONGEST_WAIT_SECONDS = 20 * 60
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """Somebody asked the demo to end; no ``except Exception`` on the way may swallow it."""


class Command(BaseCommand):
    """Run the demo until it is told to end."""

    help = "Start a demo with synthetic clinics; Ctrl-C ends everything it started."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the port."""
        parser.add_argument("--port", type=int, default=None, help="PORT, or 8000")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start, wait, end."""
        self.started = time.monotonic()
        self.children: list[Child] = []
        self.logs = Path(settings.VAR_DIR) / "logs"
        port = options["port"] or _port_of_environment()
        for number in SIGNALS:
            signal.signal(number, _end)
        # kombu warns that a broker of files has no host name.
        logging.getLogger("kombu").setLevel(logging.ERROR)
        try:
            self._start(port)
            self._watch()
        except (DemoRefused, PortTaken) as refusal:
            raise CommandError(str(refusal)) from refusal
        except KeyboardInterrupt:
            self._say("Ending the demo")
        finally:
            # A second Ctrl-C must not leave half of the processes behind.
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            children_end(self.children)
        self._say("Every process of the demo has ended")

    def _start(self, port: int) -> None:
        """Bring everything up, step by step, and say so."""
        demo_check()
        port_check(port)
        self._say(f"Preparing the database in {settings.VAR_DIR}")
        call_command("migrate", verbosity=0)
        today = timezone.localdate()
        demo_seed(today=today, say=self._say)
        self._say(f"Starting web server and workers (their words: {self.logs})")
        self.children.append(web_start(port, logs=self.logs))
        self.children += workers_start(logs=self.logs)
        phantom_patients_ensure(today=today, say=self._say)
        registry_clinic_ensure(today=today, say=self._say)
        divergence_compute(say=self._say)
        self._wait_for_measurements()
        self._wait_for_web(port)
        self._welcome(port)

    def _wait_for_measurements(self) -> None:
        """Wait until the worker has measured the phantoms and drawn its conclusions."""
        told = None
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while time.monotonic() < deadline:
            self._check_children()
            runs = phantom_runs()
            done = sum(not run.is_active for run in runs)
            accepted = phantom_runs_accept()
            if done != told and (told is not None or done < len(runs)):
                self._say(f"The worker has measured {done} of {len(runs)} phantom runs")
            told = done
            if done == len(runs) and not accepted and not patients_out_of_date(limit=1):
                failed = sum(run.status == Status.FAILED for run in runs)
                if failed:
                    self._say(f"{failed} phantom runs failed: see the jobs page")
                return
            time.sleep(1.0)
        self._say("The worker is still busy; the site is open all the same")

    def _wait_for_web(self, port: int) -> None:
        """Wait until the web server answers."""
        for _ in range(240):
            self._check_children()
            try:
                with urllib.request.urlopen(f"http://{HOST}:{port}/healthz", timeout=20):
                    return
            except HTTPError as error:
                raise CommandError(
                    f"The web server answers with error {error.code}; see {self.logs}."
                ) from error
            except (URLError, OSError):
                time.sleep(0.25)
        raise CommandError(f"The web server does not answer; see {self.logs}.")

    def _watch(self) -> None:
        """Stay until somebody ends the demo or one of its processes ends by itself."""
        parent = os.getppid()
        while True:
            self._check_children()
            if os.getppid() != parent:
                raise Ended  # make, or the shell, is gone: nobody could press Ctrl-C any more
            time.sleep(0.5)

    def _check_children(self) -> None:
        """Say it when a process ended by itself."""
        for child in self.children:
            if child.process.poll() is not None:
                raise CommandError(f"The {child.name} process has ended; see {child.log}.")

    def _welcome(self, port: int) -> None:
        """Print where to go and who to be."""
        lines = [
            "",
            f"  Neuraxis is ready: http://localhost:{port}/",
            "",
            f"  {'user name':<14}{'role':<58}clinic",
        ]
        lines += [
            f"  {account.username:<14}{account.role_words:<58}{CLINICS[account.clinic].name}"
            for account in ACCOUNTS
        ]
        lines += [
            "",
            f"  The password of each is: {settings.DEMO_PASSWORD}",
            "  Everybody in these clinics is synthetic. " + settings.INTENDED_USE,
            "  Ctrl-C ends the demo; its data stay for the next start.",
            "",
        ]
        self._say("Ready")
        self.stdout.write("\n".join(lines))
        self.stdout.flush()

    def _say(self, words: str) -> None:
        """Print a line with the seconds since the start."""
        self.stdout.write(f"[{time.monotonic() - self.started:4.0f} s] {words}")
        self.stdout.flush()


def _end(_number: int, _frame: FrameType | None) -> None:
    """Turn a signal into the end of whatever is being done."""
    raise Ended


def _port_of_environment() -> int:
    """Return the port of PORT, 8000 without it."""
    text = os.environ.get("PORT", "") or "8000"
    if not text.isdigit():
        raise CommandError(f"PORT must be a number, not {text}.")
    return int(text)
