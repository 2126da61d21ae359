"""The Celery app: settings come from Django, the schedule drives the sweeps."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_init
from django.conf import settings

from monitoring.checks import secrets_require

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monitoring.settings")

app = Celery("neuraxis")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def start_complete_or_not_at_all(**_kwargs: Any) -> None:
    """Refuse to measure without the secrets."""
    secrets_require()


@setup_logging.connect
def keep_our_logging(**_kwargs: Any) -> None:
    """Let the worker log as the web server does: JSON lines, nothing personal."""


app.conf.beat_schedule = {
    "heal runs": {"task": "volumetry.tasks.runs_sweep", "schedule": settings.SWEEP_SECONDS},
    "heal estimates": {
        "task": "monitoring.tasks.divergence_sweep",
        "schedule": settings.SWEEP_SECONDS,
    },
    "heal cohorts": {
        "task": "monitoring.tasks.cohorts_sweep",
        "schedule": settings.SWEEP_SECONDS,
    },
    "heal proposals": {
        "task": "monitoring.tasks.proposals_sweep",
        "schedule": settings.SWEEP_SECONDS,
    },
    "remove faces": {"task": "volumetry.tasks.faces_sweep", "schedule": 300.0},
    "tidy scratch": {"task": "monitoring.tasks.drafts_sweep", "schedule": 3600.0},
}
app.conf.beat_schedule_filename = str(settings.VAR_DIR / "beat")
