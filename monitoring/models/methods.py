"""Which method and version a clinic follows: one choice per region and kind of number."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from monitoring.models.people import Clinic
from volumetry.models import AppendOnlyModel


class Slot(models.TextChoices):
    """What one method at a time measures for a clinic."""

    BRAIN = "brain", "Brain volumes"
    CORD = "cord", "Cord area"
    BRAIN_CHANGE = "brain_change", "Brain change between two scans"
    CORD_CHANGE = "cord_change", "Cord change between two scans"


class MethodChoice(AppendOnlyModel):
    """From now on the clinic's trends follow this method and version. The latest counts.

    Numbers of another version stay in the record, beside it; none is drawn on one line with it.
    ``chosen_by`` is empty where the first measurement of the clinic made the choice.
    """

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="methods")
    slot = models.CharField(max_length=12, choices=Slot.choices)
    method = models.CharField(max_length=64)
    version = models.CharField(max_length=32)
    left_out = models.PositiveIntegerField(
        default=0, help_text="Measurements that the new version did not have at the switch"
    )
    chosen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(slot__in=Slot.values), name="slot_is_known")
        ]

    def __str__(self) -> str:
        """Return method and version."""
        return f"{self.method} {self.version}"
