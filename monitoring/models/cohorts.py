"""Cohorts that were defined, and what was computed of them."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from monitoring.models.base import Record
from monitoring.models.people import Clinic


class CohortDefinition(Record):
    """A named, dated and hashed cohort; it is never changed, another one is saved."""

    clinic = models.ForeignKey(
        Clinic, on_delete=models.PROTECT, related_name="cohort_definitions"
    )
    name = models.CharField(max_length=80)
    fields = models.JSONField(help_text="Every choice (monitoring.core.cohort.definition)")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the choices")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "name"],
                name="cohort_name_per_clinic",
                violation_error_message="A cohort of this name exists; choose another name.",
            ),
            models.CheckConstraint(condition=~Q(name=""), name="cohort_has_a_name"),
        ]

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class CohortAnalysis(Record):
    """The analysis of one definition on one state of the clinic's data."""

    class Status(models.TextChoices):
        """Where it stands."""

        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Computing"
        SUCCEEDED = "succeeded", "Computed"
        FAILED = "failed", "Failed"

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="cohort_analyses")
    fields = models.JSONField()
    digest = models.CharField(max_length=64)
    data_version = models.CharField(max_length=64)
    analysis_version = models.CharField(max_length=40)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    percent = models.PositiveSmallIntegerField(default=0)
    step = models.CharField(max_length=80, blank=True)
    attempt = models.PositiveSmallIntegerField(default=0, help_text="Fencing token")
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    seconds = models.FloatField(null=True)
    error = models.TextField(blank=True)
    result = models.JSONField(default=dict)
    rows = models.JSONField(default=list, help_text="The selected visits, pseudonymous")
    inputs = models.BinaryField(
        default=bytes, help_text="What it was computed from: JSON, zlib, pseudonymous"
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            # The cache: one result per definition, state of the data and version.
            models.UniqueConstraint(
                fields=["clinic", "digest", "data_version", "analysis_version"],
                name="one_analysis_per_definition_and_data",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "succeeded", "failed"]),
                name="cohort_status_is_known",
            ),
        ]
        indexes = [
            # analysis_previous: the newest result of a definition on older data
            models.Index(fields=["clinic", "digest", "-created_at"], name="cohort_newest"),
        ]

    def __str__(self) -> str:
        """Return the start of the hash and the state."""
        return f"{self.digest[:12]}: {self.status}"

    @property
    def is_active(self) -> bool:
        """Say whether it waits or is being computed."""
        return self.status in {self.Status.QUEUED, self.Status.RUNNING}
