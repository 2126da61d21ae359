"""Masks that people give for an image: stored as facts, handed to engines (docs/adr/0010)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.core.files import File
from django.db import transaction

from volumetry.core.errors import NotMeasurable
from volumetry.core.images import image_load
from volumetry.core.methods import CordRequest, Correction
from volumetry.models import GivenMask, RunFile, SourceImage, VolumetryRun

OWN_MASKS = {"cord": "cord_mask.nii.gz", "brain": "brain_mask.nii.gz"}
"""The file in which a run keeps the outline that it measured."""
GIVEN = ("mask", "correction", "lesions")
"""Parameters of a run that name a given mask."""


def mask_store(
    *,
    image: SourceImage,
    kind: str,
    path: Path,
    sha256: str,
    corrects: VolumetryRun | None,
    given_by: AbstractBaseUser | None,
) -> GivenMask:
    """Store a mask that passed the door; the same one given again is the same row."""
    held = GivenMask.objects.filter(image=image, kind=kind, sha256=sha256, corrects=corrects)
    known: GivenMask | None = held.first()
    if known is not None:
        return known
    mask = GivenMask(
        image=image,
        kind=kind,
        sha256=sha256,
        corrects=corrects,
        given_by_id=given_by.pk if given_by else None,
    )
    with path.open("rb") as stream:
        mask.file.save("mask.nii.gz", File(stream), save=False)
    try:
        with transaction.atomic():
            mask.save(force_insert=True)
    except BaseException:
        mask.file.delete(save=False)
        raise
    return mask


def own_mask(run: VolumetryRun, kind: str) -> RunFile | None:
    """Return the outline that a run measured, if it kept one."""
    return run.files.filter(name=OWN_MASKS.get(kind, "")).first()


def request_with_masks(request: CordRequest, parameters: Mapping[str, object]) -> CordRequest:
    """Return an engine's request with the masks that a run's parameters name.

    Raises
    ------
    NotMeasurable
        If a mask is not there any more: permanent, in words.
    """
    named = {name: str(parameters[name]) for name in GIVEN if parameters.get(name)}
    if not named:
        return request
    found = {
        str(mask.pk): mask
        for mask in GivenMask.objects.filter(pk__in=[UUID(pk) for pk in named.values()])
    }
    if missing := set(named.values()) - found.keys():
        raise NotMeasurable(f"{len(missing)} of the masks given for this scan is gone.")
    given = {name: found[pk] for name, pk in named.items()}
    loaded = {name: image_load(Path(mask.file.path)) for name, mask in given.items()}
    correction = None
    if "correction" in given:
        fixed = given["correction"]
        own = own_mask(fixed.corrects, fixed.kind) if fixed.corrects else None
        if own is None:
            raise NotMeasurable("The outline that was corrected is gone; correct a newer run.")
        correction = Correction(image_load(Path(own.file.path)), loaded["correction"])
    return replace(
        request,
        mask=loaded.get("mask"),
        lesions=loaded.get("lesions"),
        correction=correction,
    )
