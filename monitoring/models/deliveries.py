"""Uploads on their way in: files that arrive piece by piece, and the visits they hold."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from monitoring.models.base import Record
from monitoring.models.patients import Patient
from monitoring.models.people import Clinic
from monitoring.models.scans import UploadDraft


class Delivery(Record):
    """Files on their way in: of one visit, or of a whole clinic day (docs/adr/0009).

    What arrived lies in the scratch folder under ``folder``, with the sender's names beside it;
    the row holds no word of the sender. ``patient`` and ``visit_date`` are known beforehand
    when the files are of one visit; a clinic day is sorted into visits first.
    """

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="deliveries")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="deliveries"
    )
    patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, related_name="deliveries", null=True, blank=True
    )
    visit_date = models.DateField(null=True, blank=True)
    folder = models.UUIDField(default=uuid.uuid4, unique=True)
    bytes_promised = models.BigIntegerField(default=0)
    files_promised = models.PositiveIntegerField(default=0)
    sorted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(patient__isnull=True, visit_date__isnull=True)
                | Q(patient__isnull=False, visit_date__isnull=False),
                name="delivery_names_patient_and_date_or_neither",
            )
        ]

    def __str__(self) -> str:
        """Return the id."""
        return str(self.pk)

    @property
    def is_day(self) -> bool:
        """Say whether the files are of a clinic day, not of one known visit."""
        return self.patient_id is None


class DeliveredVisit(Record):
    """The files of one visit in a sorted delivery, until the technician says whose they are.

    The draft that it becomes takes its folder over, so confirming twice finds the first.
    """

    class State(models.TextChoices):
        """How far it came."""

        WAITING = "waiting", "Waits to be looked at"
        READING = "reading", "Being looked at"
        RECOGNISED = "recognised", "Recognised"
        REFUSED = "refused", "Refused"

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="visits")
    number = models.PositiveIntegerField()
    folder = models.UUIDField(default=uuid.uuid4, unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    reading_since = models.DateTimeField(null=True, blank=True)
    refusal = models.TextField(blank=True, help_text="One sentence, without a name")
    draft = models.OneToOneField(
        UploadDraft, on_delete=models.CASCADE, related_name="delivered", null=True, blank=True
    )

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(
                fields=["delivery", "number"], name="delivered_visit_has_a_number"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "reading", "recognised", "refused"]),
                name="delivered_visit_state_is_known",
            ),
        ]

    def __str__(self) -> str:
        """Return the number."""
        return f"Visit {self.number}"
