"""A reader's correction of the cord's outline, measured on the scale of the own series.

A mask's area depends on how its edge was drawn: a hand-drawn one reads several percent off the
half-level edge that the engine measures, more than years of disease. So a correction is not
measured for itself. Per slice, what the corrected mask covers is divided by what the mask that
was corrected covers, and the engine's own area is multiplied by that ratio: edge, angle and
voxel size cancel. A slice that the reader left alone keeps its number to the last digit.
"""

from dataclasses import dataclass, replace

import numpy as np

from volumetry.core.cord.engine import CordMeasurement, measurement_recast
from volumetry.core.cord.geometry import Array, grid_of
from volumetry.core.cord.given_mask import mask_outlines, mask_shapes
from volumetry.core.errors import NotMeasurable
from volumetry.core.methods import Correction
from volumetry.core.types import Outcome, QualityCheck, ScanImage, Verdict

UNCHANGED = 0.002
"""Relative change of a slice's area below which it counts as left alone."""
REDRAWN = 2.0 / 3.0
"""Share of changed slices from which on the whole outline was probably drawn anew."""
NOTHING_TO_CORRECT = (
    "The engine found no cord of its own in this scan, so there is nothing to correct: give "
    "the mask as one made elsewhere."
)


@dataclass(frozen=True, slots=True)
class CorrectedShare:
    """What a correction did: slices that changed, of how many, and the mean ratio of areas."""

    changed: int
    slices: int
    mean_ratio: float

    def check(self) -> QualityCheck:
        """Say in words what a reader changed."""
        percent = 100.0 * (self.mean_ratio - 1.0)
        said = (
            f"A reader corrected the outline in {self.changed} of {self.slices} slices; over "
            f"the measured cord the area changed by {percent:+.1f} %."
        ).replace("-", "\u2212")
        is_redrawn = self.changed > REDRAWN * self.slices
        if is_redrawn:
            said += (
                " So much was probably drawn anew, with another idea of the edge: give such a "
                "mask as one made elsewhere."
            )
        verdict = Verdict.WARN if is_redrawn else Verdict.PASS
        return QualityCheck("outline_corrected", round(self.mean_ratio, 5), None, verdict, said)


def cord_corrected(
    measurement: CordMeasurement, correction: Correction
) -> tuple[CordMeasurement, CorrectedShare | None]:
    """Carry a correction over to what the engine measured.

    Parameters
    ----------
    measurement : CordMeasurement
        The engine's own, without the correction.
    correction : Correction
        The mask that the engine had drawn and what a reader made of it, on the scan's grid.

    Returns
    -------
    CordMeasurement, CorrectedShare or None
        Areas, outlines and means with the correction; refused, with the reason, when a mask is
        no cord or there was none to correct.
    """
    profile = measurement.profile
    if profile is None:
        reason = measurement.reason if measurement.outcome is Outcome.REFUSED else None
        return _refused(measurement, reason or NOTHING_TO_CORRECT), None
    mask = grid_of(correction.mask)
    try:
        mask_shapes(mask)
    except NotMeasurable as error:
        return _refused(measurement, str(error)), None
    made, drawn = _covered(correction)
    rows = measurement.grid.voxels(profile.sections.centre_mm)[:, 2]
    corrected, own = _at(made, rows), _at(drawn, rows)
    auto = profile.area_mm2
    known = np.isfinite(auto) & (own > 0)
    if not known.any():
        return _refused(measurement, NOTHING_TO_CORRECT), None
    # mm² of the engine for each covered voxel; where it drew nothing, as on the rest
    edge = np.full(len(auto), float(np.median(auto[known] / own[known])))
    edge[known] = auto[known] / own[known]
    is_same = np.abs(corrected - own) <= UNCHANGED * own
    area = np.where(corrected > 0, np.where(is_same & known, auto, corrected * edge), np.nan)
    changed = replace(
        profile,
        area_mm2=area,
        radius_mm=np.where(
            is_same[:, None] | np.isnan(area)[:, None],
            profile.radius_mm,
            mask_outlines(mask, profile.sections),
        ),
        ap_mm=_scaled(profile.ap_mm, area / auto),
        rl_mm=_scaled(profile.rl_mm, area / auto),
    )
    both = known & np.isfinite(area)
    share = _share_of(made, drawn, ratio=area[both] / auto[both])
    notes = measurement.notes | {
        "correction": "own area x covered by the corrected mask / by the own mask, per slice",
        "correction_mean_ratio": round(share.mean_ratio, 6),
    }
    return replace(measurement_recast(measurement, changed), notes=notes), share


def _refused(measurement: CordMeasurement, reason: str) -> CordMeasurement:
    return replace(measurement, outcome=Outcome.REFUSED, reason=reason, measures=())


def _covered(correction: Correction) -> tuple[Array, Array]:
    """Return the voxels that each mask covers per axial slice, partial ones in part.

    Against a binary correction the own mask is made binary too.
    """
    made, drawn = correction.mask.intensities, correction.own.intensities
    made, drawn = made / float(made.max()), drawn / float(drawn.max())
    if len(np.unique(made)) <= 2:
        drawn = (drawn >= 0.5).astype(np.float32)
    sums = []
    for values, affine in (
        (made, correction.mask.affine),
        (drawn, correction.own.affine),
    ):
        grid = grid_of(ScanImage(values, affine))
        sums.append(np.asarray(grid.values, dtype=np.float64).sum(axis=(0, 1)))
    return sums[0], sums[1]


def _at(covered: Array, rows: Array) -> Array:
    """Return what is covered at fractional slice numbers; nothing beside an empty slice."""
    low = np.clip(np.floor(rows).astype(int), 0, len(covered) - 1)
    high = np.clip(low + 1, 0, len(covered) - 1)
    nearest = covered[np.clip(np.rint(rows).astype(int), 0, len(covered) - 1)]
    between = covered[low] + (rows - low) * (covered[high] - covered[low])
    is_full = (covered[low] > 0) & (covered[high] > 0)
    return np.asarray(np.where(is_full, between, nearest))


def _scaled(diameter: Array, ratio: Array) -> Array:
    """Scale diameters with the root of the area; as they are where no ratio is known."""
    return np.asarray(diameter * np.sqrt(np.where(np.isfinite(ratio), ratio, 1.0)))


def _share_of(made: Array, drawn: Array, *, ratio: Array) -> CorrectedShare:
    """Count the slices that a reader changed, added or took away."""
    either = (made > 0) | (drawn > 0)
    changed = np.abs(made - drawn) > UNCHANGED * np.maximum(made, drawn)
    mean = float(ratio.mean()) if ratio.size else 1.0
    return CorrectedShare(int((changed & either).sum()), int(either.sum()), mean)
