"""Remove faces from stored scans: before anything else reads them (docs/adr/0007).

A worker does it first of all, so every number and every picture comes from pixels that are
still there to be looked at. New file, row, old file, in this order: a crash in between leaves
a complete image, and the sweeps finish the work.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import structlog
from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction

from volumetry.core import deface
from volumetry.core.errors import VolumetryError
from volumetry.core.images import image_load, sha256_of, voxels_blank
from volumetry.models import ACTIVE, Face, SourceImage, image_path

log = structlog.get_logger(__name__)

SWEPT_AT_ONCE = 3
"""Images without a run that one sweep looks at: each takes seconds."""


def face_remove(image: SourceImage) -> Face:
    """Remove the face from a stored image, once; ``image`` is read again from its row.

    Two workers may do it at the same time: the same pixels come out, and one file stays.
    An image that cannot be judged is marked as kept: it is measured, and never shown.
    """
    image.refresh_from_db()
    if image.face != Face.UNCHECKED or not image.file:
        return Face(image.face)
    original = Path(image.file.path)
    try:
        found = deface.face_find(image_load(original))
    except VolumetryError as error:
        log.warning("face_kept", image=str(image.pk), reason=str(error))
        _settle(image, face=Face.KEPT)
        return Face(image.face)
    rule = f"{found.rule} {deface.VERSION}"
    if not found.removed.any():
        _settle(image, face=Face.NOT_IN_VIEW, face_rule=rule)
        return Face(image.face)
    with TemporaryDirectory(dir=settings.SCRATCH_ROOT, prefix="face-") as folder:
        clean = Path(folder) / "image.nii.gz"
        voxels_blank(original, found.removed, clean)
        _replace(image, clean, rule)
    return Face(image.face)


def _settle(image: SourceImage, **fields: str) -> bool:
    """Record what became of the face unless another worker already did."""
    first = SourceImage.objects.filter(pk=image.pk, face=Face.UNCHECKED).update(**fields)
    image.refresh_from_db()
    return bool(first)


def _replace(image: SourceImage, clean: Path, rule: str) -> None:
    """Store the defaced file under a new name, point the row to it, delete the original."""
    original = str(image.file.name)
    wanted = original.replace(".nii.gz", f"-{uuid4().hex[:8]}.nii.gz")
    with clean.open("rb") as stream:
        stored = default_storage.save(wanted, File(stream))
    try:
        with transaction.atomic():
            is_first = _settle(
                image,
                face=Face.REMOVED,
                face_rule=rule,
                file=stored,
                stored_sha256=sha256_of(clean),
            )
    except BaseException:
        default_storage.delete(stored)
        raise
    default_storage.delete(original if is_first else stored)


def faces_sweep() -> int:
    """Remove the faces of stored images that no run will read; return how many were done."""
    waiting = SourceImage.objects.filter(face=Face.UNCHECKED).exclude(file="")
    waiting = waiting.exclude(runs__status__in=ACTIVE).order_by("created_at")
    done = [face_remove(image) for image in waiting[:SWEPT_AT_ONCE]]
    return len(done)


def originals_sweep() -> int:
    """Delete originals that a worker left when it was killed just after the row was changed."""
    removed = 0
    for image in SourceImage.objects.filter(face=Face.REMOVED).iterator():
        original = image_path(image, "")
        if image.file.name != original and default_storage.exists(original):
            default_storage.delete(original)
            removed += 1
    return removed
