"""Scanners and their epochs, imaging sessions, scans, and uploads that await a decision."""

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from monitoring.models.base import Record
from monitoring.models.patients import Patient, Visit
from monitoring.models.people import Clinic, Grant
from volumetry.models import SourceImage

if TYPE_CHECKING:
    from monitoring.models.people import Actor


class Scanner(Record):
    """An MR scanner of a clinic, recognised by keyed hashes, never by its serial number."""

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="scanners")
    name = models.CharField(max_length=80, help_text="What the clinic calls it")
    manufacturer = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=64, blank=True)
    field_strength_t = models.FloatField(null=True, blank=True)
    fingerprint = models.CharField(max_length=64, help_text="Hash of what identifies it")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["clinic", "fingerprint"], name="scanner_per_clinic")
        ]

    def __str__(self) -> str:
        """Return the clinic's name of it."""
        return self.name


def epoch_words(scanner: str, software: str, protocol: str) -> str:
    """Return how an epoch is called: scanner, its software, protocol."""
    return " · ".join(filter(None, [scanner, software, protocol]))


class ScannerEpoch(Record):
    """A period of comparable scans: scanner, its software, protocol.

    A new combination proposes an epoch; ``merged_into`` says that a person declared two to be
    comparable, ``split_from`` that one period was no longer comparable from a day on.
    Method and version join when an observation is made (`selectors.observations`).
    """

    scanner = models.ForeignKey(Scanner, on_delete=models.PROTECT, related_name="epochs")
    software = models.CharField(max_length=64, blank=True)
    protocol = models.CharField(max_length=120, help_text="Sequence class, voxel class, coil")
    fingerprint = models.CharField(max_length=64)
    merged_into = models.ForeignKey(
        "self", on_delete=models.PROTECT, related_name="merged", null=True, blank=True
    )
    # Of an epoch that a person began within another one: a coil was changed, say, and the
    # header does not tell.
    split_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, related_name="parts", null=True, blank=True
    )
    starts_on = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(split_from__isnull=True, starts_on__isnull=True)
                | Q(split_from__isnull=False, starts_on__isnull=False),
                name="a_split_epoch_has_a_first_day",
            ),
            models.UniqueConstraint(
                fields=["scanner", "fingerprint"], name="epoch_per_scanner"
            ),
            models.CheckConstraint(
                condition=Q(merged_into__isnull=True) | ~Q(merged_into=F("id")),
                name="epoch_is_not_merged_into_itself",
            ),
        ]

    def __str__(self) -> str:
        """Return scanner, software and protocol."""
        return epoch_words(self.scanner.name, self.software, self.protocol)


class ImagingSession(Record):
    """One stay in a scanner: the series that were taken together."""

    visit = models.ForeignKey(Visit, on_delete=models.PROTECT, related_name="sessions")
    scanner = models.ForeignKey(
        Scanner, on_delete=models.PROTECT, related_name="sessions", null=True
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["visit", "scanner"], name="one_session_per_visit_and_scanner"
            )
        ]

    def __str__(self) -> str:
        """Return the day."""
        return f"Imaging of {self.visit.date}"


class Sequence(models.TextChoices):
    """Class of a series, guessed from its header and corrected by the technician."""

    T1 = "t1", "T1-weighted"
    T2 = "t2", "T2-weighted"
    T2S = "t2s", "T2*-weighted"
    FLAIR = "flair", "FLAIR"
    OTHER = "other", "Other"
    UNKNOWN = "unknown", "Not recognised"


class ScanQuerySet(models.QuerySet["Scan"]):
    """Scans as an actor may see them."""

    def visible_to(self, actor: "Actor", *, grant: Grant | None = None) -> "ScanQuerySet":
        """Keep scans of the actor's own clinics, where a role holds ``grant``."""
        return self.filter(clinic__in=Clinic.objects.visible_to(actor, grant=grant))


class Scan(Record):
    """One series of a patient: a stored image and how it was acquired."""

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="scans")
    session = models.ForeignKey(ImagingSession, on_delete=models.PROTECT, related_name="scans")
    image = models.OneToOneField(SourceImage, on_delete=models.PROTECT, related_name="scan")
    epoch = models.ForeignKey(ScannerEpoch, on_delete=models.PROTECT, related_name="scans")
    content_sha256 = models.CharField(max_length=64)
    series_hash = models.CharField(max_length=64, blank=True)
    sequence = models.CharField(max_length=8, choices=Sequence.choices)
    acquisition = models.JSONField(default=dict, help_text="Allow-listed acquisition tags")
    notes = models.JSONField(default=list, help_text="Protocol check in words")
    measures_brain = models.BooleanField(default=False)
    measures_cord = models.BooleanField(default=False)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    upload = models.ForeignKey(
        "UploadDraft", on_delete=models.PROTECT, related_name="scans", null=True, blank=True
    )

    objects = ScanQuerySet.as_manager()

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "content_sha256"], name="scan_is_held_once_per_clinic"
            ),
            models.CheckConstraint(
                condition=Q(sequence__in=Sequence.values), name="sequence_is_known"
            ),
        ]

    def __str__(self) -> str:
        """Return sequence and day."""
        return f"{self.get_sequence_display()} of {self.session.visit.date}"


class UploadDraft(Record):
    """Files that were received and recognised, and wait for the technician's word.

    ``series`` is what the page shows; the clean images lie in the scratch folder under the
    draft's id until it is confirmed, discarded or swept. A confirmed one stays: confirming it
    again leads to the scans that the first time made.
    """

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="drafts")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="drafts")
    visit_date = models.DateField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drafts", null=True
    )
    folder = models.UUIDField(default=uuid.uuid4, unique=True)
    series = models.JSONField(default=list)
    skipped = models.JSONField(default=list)
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        """Return the id."""
        return str(self.pk)
