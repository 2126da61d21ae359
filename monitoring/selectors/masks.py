"""Reads of masks that people gave for a scan, and of what was measured with them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from monitoring.models import Scan
from monitoring.models import Sequence as SequenceClass
from monitoring.selectors.observations import patient_scans, point_list
from monitoring.selectors.runs import (
    GIVEN_WORDS,
    Number,
    RunCard,
    run_card,
    run_details,
    run_headline,
    run_region,
)
from volumetry.engines.registry import MASK_METHODS
from volumetry.masks import GIVEN, own_mask
from volumetry.models import GivenMask, Status, VolumetryRun


@dataclass(frozen=True, slots=True)
class MaskedRun:
    """A run of a scan beside others of the same region that had other masks."""

    run: VolumetryRun
    card: RunCard
    number: Number | None
    how: tuple[str, ...]
    is_this: bool
    counts: bool
    percent_of_own: float | None


@dataclass(frozen=True, slots=True)
class Lesions:
    """The lesion mask of a scan and what the engine made of it; None: not measured yet."""

    mask: GivenMask
    volume_ml: float | None
    count: int | None
    run: VolumetryRun | None


def latest_parameters(scan: Scan, method: str) -> dict[str, Any]:
    """Return what was last asked of a method on a scan; nothing if it never was."""
    last = (
        scan.image.runs.filter(method=method, before__isnull=True)
        .exclude(status=Status.CANCELLED)
        .order_by("created_at")
        .last()
    )
    return dict(last.parameters) if last is not None else {}


def given_words(run: VolumetryRun) -> tuple[str, ...]:
    """Say which masks a run was given."""
    return tuple(words for name, words in GIVEN_WORDS.items() if run.parameters.get(name))


def given_hashes(run: VolumetryRun) -> dict[str, str]:
    """Return the hashes of the masks that a run was given, by their role."""
    return {
        name: str(run.parameters.get(f"{name}_sha256", ""))
        for name in GIVEN
        if run.parameters.get(name)
    }


def masked_runs(run: VolumetryRun) -> list[MaskedRun]:
    """Return the measurements of one scan and region side by side, once a mask is among them.

    One with a mask made elsewhere never counts. The percentage compares with the newest one
    that had no mask.
    """
    region = "cord" if "cord" in run.method else "brain"
    same = [
        one
        for one in run_details()
        .filter(image=run.image_id, before__isnull=True, status=Status.SUCCEEDED)
        .order_by("-finished_at")
        if region in one.method
    ]
    if not any(given_words(one) for one in same):
        return []
    own = next((one for one in same if not given_words(one)), None)
    base = run_headline(own) if own is not None else None
    points = point_list(patient_scans(run.image.scan.session.visit.patient))
    counting = {point.run_id for point in points if point.quality and not point.is_rejected}
    return [_masked(one, run.pk, counting, base) for one in same]


def _masked(
    one: VolumetryRun, this: UUID, counting: set[UUID], base: Number | None
) -> MaskedRun:
    number = run_headline(one)
    percent = None
    if base is not None and number is not None and given_words(one):
        same = (base.structure, base.quantity) == (number.structure, number.quantity)
        percent = 100.0 * (number.value / base.value - 1.0) if same else None
    return MaskedRun(
        run=one,
        card=run_card(one),
        number=number,
        how=given_words(one) or ("found by the engine",),
        is_this=one.pk == this,
        counts=one.pk in counting,
        percent_of_own=percent,
    )


def lesions_of(scan: Scan) -> Lesions | None:
    """Return the newest lesion mask of a scan and what was measured of it."""
    mask = scan.image.masks.filter(kind="lesions").select_related("given_by").last()
    if mask is None:
        return None
    runs = scan.image.runs.filter(parameters__lesions=str(mask.pk), status=Status.SUCCEEDED)
    run = runs.order_by("finished_at").last()
    volume, count = lesion_facts(run) if run is not None else (None, None)
    return Lesions(mask, volume / 1000.0 if volume is not None else None, count, run)


def lesion_facts(run: VolumetryRun) -> tuple[float | None, int | None]:
    """Return volume in mm³ and number of the lesions that a run filled."""
    said = run.provenance.get("parameters", {})
    return said.get("lesion_volume_mm3"), said.get("lesion_count")


def takes_mask(run: VolumetryRun) -> bool:
    """Say whether a reader may give a mask for what a run measured."""
    return (
        run.status == Status.SUCCEEDED
        and run.before_id is None
        and bool(run.image.file)
        and run_region(run) != ""
    )


def keeps_outline(run: VolumetryRun) -> bool:
    """Say whether a run kept an outline that can be corrected."""
    return run.method not in MASK_METHODS and own_mask(run, run_region(run)) is not None


def takes_lesions(scan: Scan) -> bool:
    """Say whether lesions can be filled on a scan: a T1 that has an image."""
    return bool(scan.image.file) and scan.sequence in {SequenceClass.T1, SequenceClass.UNKNOWN}


def mask_find(scan: Scan, pk: UUID) -> GivenMask | None:
    """Return a mask that was given for a scan."""
    return scan.image.masks.filter(pk=pk).first()
