"""Facts about images and measurements; nothing here knows whose they are.

Status, guards and fencing follow docs/adr/0003: the row is the truth, a message only wakes a
worker. Measurements are append-only; correcting means measuring again.
"""

import uuid
from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.fields.files import FieldFile


class AppendOnlyError(TypeError):
    """A fact that was recorded is neither changed nor deleted; a newer one is added."""


class AppendOnlyQuerySet(models.QuerySet[Any]):
    """Refuses to change or delete what was recorded."""

    def update(self, **kwargs: object) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError(f"{self.model.__name__} is append-only.")

    def delete(self) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError(f"{self.model.__name__} is append-only.")

    def erase(self) -> int:
        """Delete for good; only the erasure service may ask for it."""
        return super().delete()[0]


class AppendOnlyModel(models.Model):
    """A recorded fact. The one exception to its permanence is the erasure of a person."""

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert, never update."""
        if not self._state.adding:
            raise AppendOnlyError(f"{type(self).__name__} is append-only.")
        super().save(*args, **kwargs)

    def delete(self, *args: object, **kwargs: object) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError(f"{type(self).__name__} is append-only.")


class Status(models.TextChoices):
    """State of a run."""

    QUEUED = "queued", "Waiting"
    RUNNING = "running", "Measuring"
    SUCCEEDED = "succeeded", "Measured"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


# The state machine is data: docs, buttons and the test that walks every pair read it.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED}),
    # Back to QUEUED: a transient error, or a worker that was given up for dead.
    Status.RUNNING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.QUEUED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}
ACTIVE = (Status.QUEUED, Status.RUNNING)


class Outcome(models.TextChoices):
    """How a finished measurement ended (`volumetry.core.types.Outcome`)."""

    OK = "ok", "Measured"
    REFUSED = "refused", "Not measurable"
    NEEDS_LANDMARK = "needs_landmark", "Landmark needed"


def image_path(image: "SourceImage", _filename: str) -> str:
    """Return the storage name of an image: random, without any word of the uploader."""
    return f"images/{image.pk.hex[:2]}/{image.pk.hex}.nii.gz"


class Face(models.TextChoices):
    """What is known of the face in a stored image (docs/adr/0007)."""

    UNCHECKED = "unchecked", "Not looked at yet"
    REMOVED = "removed", "Face removed"
    NOT_IN_VIEW = "not_in_view", "No face in view"
    KEPT = "kept", "Could not be removed"


class FaceInView(RuntimeError):
    """The stored image may still show a face: only the workers may read it."""


class SourceImage(models.Model):
    """A stored, de-identified NIfTI file.

    ``sha256`` is the identity: the hash of what was uploaded, kept when the face is removed.
    It is indexed but not unique: two clinics may hold the same scan, and neither may learn it
    from the other. ``stored_sha256`` is the hash of the file as it is after the face was
    removed, empty while both are the same.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Empty only for a synthetic record: numbers of the demo that were drawn have no image
    # behind them, and a placeholder file would pretend that they had.
    file = models.FileField(upload_to=image_path, max_length=200, blank=True)
    sha256 = models.CharField(max_length=64)
    stored_sha256 = models.CharField(max_length=64, blank=True)
    face = models.CharField(max_length=12, choices=Face.choices, default=Face.UNCHECKED)
    face_rule = models.CharField(max_length=20, blank=True, help_text="Rule and its version")
    shape = models.JSONField(help_text="Voxels along each axis")
    spacing_mm = models.JSONField(help_text="Distance between voxel centres, mm")
    axcodes = models.CharField(max_length=3)
    is_synthetic = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(file="") | Q(is_synthetic=True),
                name="only_a_synthetic_image_has_no_file",
            ),
            models.CheckConstraint(
                condition=Q(face__in=Face.values), name="image_face_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(face=Face.REMOVED) | ~Q(stored_sha256=""),
                name="defaced_image_has_a_hash_of_its_own",
            ),
        ]
        indexes = [
            # image_find_duplicate
            models.Index(fields=["sha256"], name="image_by_hash"),
            # faces_sweep: the few that nobody looked at
            models.Index(
                fields=["created_at"], condition=Q(face=Face.UNCHECKED), name="image_unchecked"
            ),
        ]

    def __str__(self) -> str:
        """Return the id."""
        return str(self.pk)

    @property
    def is_shown(self) -> bool:
        """Say whether a person may see the pixels."""
        return self.face in (Face.REMOVED, Face.NOT_IN_VIEW)

    @property
    def shown_file(self) -> FieldFile:
        """Return the file for a viewer, an export or a download: never one with a face.

        Raises
        ------
        FaceInView
            If the face was not looked at yet or could not be removed.
        """
        if not self.is_shown:
            raise FaceInView("This image may show a face; only measurements may read it.")
        return self.file


class VolumetryRun(models.Model):
    """One method applied to one image, or to a pair: the state machine.

    A pair belongs to its later image; ``before`` is the earlier one, empty for a single scan.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    image = models.ForeignKey(SourceImage, on_delete=models.PROTECT, related_name="runs")
    before = models.ForeignKey(
        SourceImage,
        on_delete=models.PROTECT,
        related_name="later_runs",
        null=True,
        blank=True,
        help_text="The earlier image of a pair",
    )
    method = models.CharField(max_length=64)
    method_version = models.CharField(max_length=32)
    parameters = models.JSONField(default=dict, help_text="What was asked: contrast, landmark")
    parameters_digest = models.CharField(max_length=64)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    outcome = models.CharField(max_length=16, choices=Outcome.choices, blank=True)
    reason = models.TextField(blank=True, help_text="One sentence for the clinic")
    is_background = models.BooleanField(
        default=False, help_text="Measured when no visit waits: a whole clinic once more"
    )
    attempt = models.PositiveSmallIntegerField(default=0, help_text="Fencing token")
    step = models.CharField(max_length=80, blank=True, help_text="What it is doing now")
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(null=True, blank=True)
    provenance = models.JSONField(default=dict)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="run_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(outcome="") | Q(outcome__in=Outcome.values),
                name="run_outcome_is_known",
            ),
            models.CheckConstraint(
                condition=~Q(status=Status.SUCCEEDED) | ~Q(outcome=""),
                name="succeeded_run_has_an_outcome",
            ),
            models.UniqueConstraint(
                fields=["image", "method", "method_version", "parameters_digest"],
                condition=Q(status__in=[Status.QUEUED, Status.RUNNING], before__isnull=True),
                name="one_active_run_per_image_and_method",
            ),
            models.UniqueConstraint(
                fields=["image", "before", "method", "method_version", "parameters_digest"],
                condition=Q(status__in=[Status.QUEUED, Status.RUNNING], before__isnull=False),
                name="one_active_run_per_pair_and_method",
            ),
            models.CheckConstraint(
                condition=Q(before__isnull=True) | ~Q(before=F("image")),
                name="a_pair_has_two_images",
            ),
        ]
        indexes = [
            # runs_sweep: queued and running rows only
            models.Index(
                fields=["status", "heartbeat_at"],
                condition=Q(status__in=[Status.QUEUED, Status.RUNNING]),
                name="run_active",
            ),
        ]

    def __str__(self) -> str:
        """Return method and status."""
        return f"{self.method} {self.method_version}: {self.status}"

    @property
    def is_active(self) -> bool:
        """Say whether the run still waits or works."""
        return self.status in ACTIVE

    @property
    def task(self) -> tuple[str, uuid.UUID | None]:
        """Return what is measured: of two runs of an image with one task the newer counts."""
        return (self.method, self.before_id)


def mask_path(mask: "GivenMask", _filename: str) -> str:
    """Return the storage name of a given mask: random, without any word of the uploader."""
    return f"masks/{mask.pk.hex[:2]}/{mask.pk.hex}.nii.gz"


class GivenMask(AppendOnlyModel):
    """A mask that a person gave for an image: lesions, or an outline (docs/adr/0010)."""

    class Kind(models.TextChoices):
        """What it marks (`volumetry.intake.masks.MaskKind`)."""

        CORD = "cord", "Cord mask"
        BRAIN = "brain", "Brain mask"
        LESIONS = "lesions", "Lesion mask"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    image = models.ForeignKey(SourceImage, on_delete=models.PROTECT, related_name="masks")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    corrects = models.ForeignKey(
        VolumetryRun,
        on_delete=models.PROTECT,
        related_name="corrections",
        null=True,
        blank=True,
        help_text="The run whose mask was corrected; empty for one made elsewhere",
    )
    file = models.FileField(upload_to=mask_path, max_length=200)
    sha256 = models.CharField(max_length=64)
    given_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["cord", "brain", "lesions"]), name="mask_kind_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(kind="lesions") | Q(corrects__isnull=True),
                name="lesions_correct_no_outline",
            ),
        ]

    def __str__(self) -> str:
        """Return the kind."""
        return self.get_kind_display()


def run_file_path(file: "RunFile", _filename: str) -> str:
    """Return the storage name of a run's file."""
    suffix = ".nii.gz" if file.name.endswith(".nii.gz") else "." + file.name.rsplit(".", 1)[-1]
    return f"runs/{file.run_id.hex[:2]}/{file.run_id.hex}/{uuid.uuid4().hex}{suffix}"


class RunFile(models.Model):
    """A file that a run wrote: mask, profile, picture (names of docs/command-line.md)."""

    run = models.ForeignKey(VolumetryRun, on_delete=models.PROTECT, related_name="files")
    name = models.CharField(max_length=40)
    file = models.FileField(upload_to=run_file_path, max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "name"], name="run_file_name_is_unique")
        ]

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class Measurement(AppendOnlyModel):
    """An immutable number of one run."""

    run = models.ForeignKey(VolumetryRun, on_delete=models.PROTECT, related_name="measurements")
    structure = models.CharField(max_length=40)
    quantity = models.CharField(max_length=20)
    value = models.FloatField()
    unit = models.CharField(max_length=8)
    standard_error = models.FloatField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "structure", "quantity"], name="one_value_per_structure_and_run"
            ),
            models.CheckConstraint(
                condition=Q(quantity="percent_change") | Q(value__gt=0),
                name="measurement_is_positive",
            ),
            models.CheckConstraint(
                condition=Q(standard_error__isnull=True) | Q(standard_error__gt=0),
                name="standard_error_is_positive",
            ),
        ]

    def __str__(self) -> str:
        """Return structure, value and unit."""
        return f"{self.structure} {self.quantity} {self.value:g} {self.unit}"


class QualityResult(AppendOnlyModel):
    """One quality check of one run."""

    run = models.ForeignKey(VolumetryRun, on_delete=models.PROTECT, related_name="quality")
    name = models.CharField(max_length=60)
    value = models.JSONField(null=True)
    limit = models.JSONField(null=True)
    verdict = models.CharField(
        max_length=4, choices=[("pass", "Pass"), ("warn", "Warning"), ("fail", "Fail")]
    )
    sentence = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "name"], name="one_verdict_per_check_and_run"
            ),
            models.CheckConstraint(
                condition=Q(verdict__in=["pass", "warn", "fail"]), name="verdict_is_known"
            ),
        ]

    def __str__(self) -> str:
        """Return name and verdict."""
        return f"{self.name}: {self.verdict}"
