"""What was found and what it may mean: reviews, divergence estimates, flags."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from monitoring.models.base import Record
from monitoring.models.patients import Patient
from volumetry.models import AppendOnlyModel, VolumetryRun


class Level(models.TextChoices):
    """Level of the divergence statement (`monitoring.core.types.Level`)."""

    INSUFFICIENT = "insufficient", "Not yet assessable"
    NONE = "none", "Below the watch line"
    WATCH = "watch", "Watch"
    FLAG = "flag", "Flag"


class Review(AppendOnlyModel):
    """A person's verdict on what a run measured. The latest counts."""

    class Verdict(models.TextChoices):
        """Accepted or rejected."""

        ACCEPTED = "accepted", "Accepted"
        REJECTED = "rejected", "Rejected"

    class Reason(models.TextChoices):
        """Why a measurement was rejected."""

        ARTIFACT = "artifact", "Artifact in the image"
        OUTLINE = "outline", "Outline is wrong"
        LEVEL = "level", "Level is wrong"
        COVERAGE = "coverage", "Structure is cut off"
        IDENTITY = "identity", "Wrong patient or date"
        OTHER = "other", "Other, see note"

    run = models.ForeignKey(VolumetryRun, on_delete=models.PROTECT, related_name="reviews")
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    reason = models.CharField(max_length=10, choices=Reason.choices, blank=True)
    note = models.TextField(blank=True)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict="accepted") | (Q(verdict="rejected") & ~Q(reason="")),
                name="a_rejection_has_a_reason",
            )
        ]

    def __str__(self) -> str:
        """Return the verdict."""
        return self.verdict


class DivergenceEstimate(AppendOnlyModel):
    """The divergence statement from exactly these inputs under exactly this policy."""

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="estimates")
    as_of = models.DateField(null=True, help_text="Last usable scan; empty without any")
    policy_version = models.CharField(max_length=40)
    parameters_id = models.CharField(max_length=80)
    input_digest = models.CharField(max_length=64)
    level = models.CharField(max_length=12, choices=Level.choices)
    d_percent_per_year = models.FloatField(null=True)
    d_low = models.FloatField(null=True)
    d_high = models.FloatField(null=True)
    p_faster_than_1 = models.FloatField(null=True)
    p_change = models.FloatField(null=True)
    brain_percent_per_year = models.FloatField(null=True)
    cord_percent_per_year = models.FloatField(null=True)
    reason = models.TextField(blank=True)
    payload = models.JSONField(default=dict, help_text="The whole statement, for the page")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "id"]
        get_latest_by = ["created_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(level__in=Level.values), name="estimate_level_is_known"
            ),
            models.CheckConstraint(
                condition=Q(level="insufficient") | Q(d_percent_per_year__isnull=False),
                name="a_level_has_its_number",
            ),
        ]
        indexes = [
            # latest estimate per patient: worklist and timeline
            models.Index(fields=["patient", "-created_at"], name="estimate_latest"),
        ]

    def __str__(self) -> str:
        """Return level and day."""
        return f"{self.level} as of {self.as_of}"


class Flag(Record):
    """A change of level: a row only when the level changed."""

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="flags")
    estimate = models.ForeignKey(
        DivergenceEstimate, on_delete=models.PROTECT, related_name="flags"
    )
    old_level = models.CharField(max_length=12, choices=Level.choices)
    new_level = models.CharField(max_length=12, choices=Level.choices)
    reason = models.TextField()
    cause = models.CharField(
        max_length=200, blank=True, help_text="What changed since the estimate before"
    )
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledgement = models.TextField(blank=True)
    is_dismissed = models.BooleanField(
        default=False, help_text="Seen and not believed, for the reason given"
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(old_level=F("new_level")), name="a_flag_is_a_change_of_level"
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at__isnull=True) | ~Q(acknowledgement=""),
                name="an_acknowledgement_has_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(is_dismissed=False) | Q(acknowledged_at__isnull=False),
                name="a_dismissal_is_an_acknowledgement",
            ),
        ]

    def __str__(self) -> str:
        """Return the change."""
        return f"{self.old_level} → {self.new_level}"
