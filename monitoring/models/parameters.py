"""A clinic's own parameters of the divergence model: proposed, compared, adopted, withdrawn."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from monitoring.models.base import Record
from monitoring.models.people import Clinic
from volumetry.models import AppendOnlyModel


class ParameterSet(AppendOnlyModel):
    """One parameter document of a clinic with where it comes from; never applied by itself."""

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="parameter_sets")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the canonical document")
    document = models.JSONField(help_text="monitoring.core.parameter_set, as `assess` takes it")
    provenance = models.JSONField(default=dict, help_text="Who was fitted, who was left out")
    norms = models.JSONField(
        default=list, help_text="Own norms of healthy controls, or why not"
    )
    expected = models.JSONField(default=dict, help_text="False flags in simulated people")
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "digest"], name="one_set_per_clinic_and_digest"
            )
        ]

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class ParameterAdoption(AppendOnlyModel):
    """From now on this set counts in the clinic; none means the literature defaults."""

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="adoptions")
    parameter_set = models.ForeignKey(
        ParameterSet, on_delete=models.PROTECT, related_name="adoptions", null=True
    )
    reason = models.TextField()
    adopted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="an_adoption_has_a_reason")
        ]

    def __str__(self) -> str:
        """Return what counts from then on."""
        return str(self.parameter_set) if self.parameter_set else "literature defaults"


class ParameterProposal(Record):
    """A piece of work for the worker: make a set and compare it with the one in force."""

    class Kind(models.TextChoices):
        """What is proposed."""

        REFIT = "refit", "Refit to own patients and controls"
        LINES = "lines", "Other lines and minimum data"

    class Status(models.TextChoices):
        """How far the work came."""

        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Computing"
        DONE = "done", "Ready to compare"
        FAILED = "failed", "Not possible"

    ACTIVE = (Status.QUEUED, Status.RUNNING)

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="proposals")
    kind = models.CharField(max_length=5, choices=Kind.choices)
    lines = models.JSONField(default=dict, help_text="The policy that was asked for")
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.QUEUED)
    step = models.CharField(max_length=80, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    problem = models.TextField(blank=True, help_text="Why no set came out")
    base_name = models.CharField(max_length=80, blank=True)
    base_digest = models.CharField(max_length=64, blank=True)
    comparison = models.JSONField(default=dict, help_text="Old and new, and what changes")
    parameter_set = models.ForeignKey(
        ParameterSet, on_delete=models.PROTECT, related_name="proposals", null=True
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["clinic"],
                condition=Q(status__in=["queued", "running"]),
                name="one_active_proposal_per_clinic",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "done", "failed"]),
                name="proposal_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["refit", "lines"]), name="proposal_kind_is_known"
            ),
        ]

    def __str__(self) -> str:
        """Return kind and state."""
        return f"{self.get_kind_display()}: {self.get_status_display()}"

    @property
    def is_active(self) -> bool:
        """Say whether the worker still has to do something."""
        return self.status in self.ACTIVE

    @property
    def percent(self) -> int:
        """Return how far the present step is."""
        return round(100 * self.done / self.total) if self.total else 0
