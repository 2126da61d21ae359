"""The built-in brain change engine: percent brain volume change between two T1 scans."""

import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from volumetry.core.brain import gates
from volumetry.core.brain.change import BrainChange, brain_change
from volumetry.core.brain.pair_gates import pair_checks
from volumetry.core.brain.picture import change_picture_save
from volumetry.core.brain.segmentation import BrainSegmentation, brain_segment
from volumetry.core.errors import NotMeasurable, VolumetryError
from volumetry.core.methods import NOTHING_SAID, Availability, PairRequest
from volumetry.core.types import (
    EXPERIMENTAL,
    Outcome,
    Provenance,
    QualityCheck,
    Quantity,
    ScanImage,
    Structure,
    StructureMeasure,
    Unit,
    Verdict,
    VolumetryResult,
)

STANDARD_ERROR_PERCENT = 0.28
"""Standard error of a percent change until a site has its own repeats: short-term SD of SIENA,
doi 10.1007/s00415-018-8825-8; synthetic repeats of this engine are smaller (docs/brain.md)."""
REGION_ERRORS_PERCENT = {Structure.THALAMUS: 3.0, Structure.CORPUS_CALLOSUM: 2.0}
"""By the deformation: on whole drawn heads the thalamus scatters by 2 to 3 points, the callosum
by less than one; a dozen pairs are few, hence the margin (docs/brain.md)."""
VENTRICLES_ERROR_PERCENT = 1.0
"""Of the lateral ventricles, until a site has its own repeats: several times the scatter on
drawn heads (docs/brain.md), as for the brain."""
THICK_SLICE_FACTOR = 2.0


class NeuraxisChange:
    """Percent change of the brain between two T1 scans of one person."""

    name = "neuraxis-change"
    version = "0.4.0"
    description = (
        "Neuraxis brain change: both visits segmented, aligned rigidly in both directions, "
        "sampled once in a half-way space, intensities matched in white matter; percent brain "
        "volume change by the boundary shift integral (Freeborough & Fox 1997, "
        "doi 10.1109/42.640753), and of the lateral ventricles by the shift of their walls. "
        "Experimental: thalamus and corpus callosum by the deformation (demons, Vercauteren et "
        "al. 2009, doi 10.1016/j.neuroimage.2008.10.040)."
    )

    def availability(self) -> Availability:
        """Say that the built-in engine is always ready."""
        return Availability(is_ready=True)

    def measure(
        self,
        before: ScanImage,
        after: ScanImage,
        *,
        workdir: Path,
        requests: PairRequest = NOTHING_SAID,
    ) -> VolumetryResult:
        """Measure the change from ``before`` to ``after``; negative is loss.

        ``requests`` say where a cord lies and are of no use here.
        """
        started = time.perf_counter()
        try:
            return self._measure(before, after, workdir=workdir, started=started)
        except VolumetryError as refusal:
            return VolumetryResult.refused(
                str(refusal),
                provenance=self._provenance(before, after, {}),
                seconds=time.perf_counter() - started,
            )

    def _provenance(
        self, before: ScanImage, after: ScanImage, parameters: dict[str, object]
    ) -> Provenance:
        others = {"followup": after.sha256}
        return Provenance(self.name, self.version, parameters, before.sha256, others)

    def _measure(
        self, before: ScanImage, after: ScanImage, *, workdir: Path, started: float
    ) -> VolumetryResult:
        visits = []
        for word, image in (("first", before), ("second", after)):
            gates.extent_require(image)
            try:
                visits.append(brain_segment(image))
            except VolumetryError as error:
                raise NotMeasurable(f"The {word} scan: {error}") from error
        change, pair = brain_change(visits[0], visits[1])
        thickest = max(*before.spacing_mm, *after.spacing_mm)
        quality = (
            *pair_checks(change, pair, before, after),
            *_worse_of(visits[0], visits[1]),
        )
        provenance = self._provenance(before, after, _parameters(change))
        picture = change_picture_save(pair, path=workdir / "qc.png")
        failed = [check for check in quality if check.verdict is Verdict.FAIL]
        seconds = time.perf_counter() - started
        files = {"qc.png": picture}
        if failed:
            reason = " ".join(check.sentence for check in failed)
            return VolumetryResult(
                Outcome.REFUSED, reason, (), quality, provenance, seconds, files
            )
        factor = THICK_SLICE_FACTOR if thickest > gates.SLICE_WARN_MM else 1.0
        measures = _measures(change, factor=factor)
        return VolumetryResult(Outcome.OK, None, measures, quality, provenance, seconds, files)


def _measures(change: BrainChange, *, factor: float) -> tuple[StructureMeasure, ...]:
    """Return brain and ventricles by their boundaries, and what is experimental."""
    listed = [
        (Structure.BRAIN_PARENCHYMA, change.percent, STANDARD_ERROR_PERCENT),
        (Structure.LATERAL_VENTRICLES, change.ventricles_percent, VENTRICLES_ERROR_PERCENT),
        *(
            (region.structure, region.percent, REGION_ERRORS_PERCENT[region.structure])
            for region in change.regions
            if region.structure in EXPERIMENTAL
        ),
    ]
    return tuple(
        StructureMeasure(
            structure, Quantity.PERCENT_CHANGE, value, Unit.PERCENT, error * factor
        )
        for structure, value, error in listed
    )


def _worse_of(before: BrainSegmentation, after: BrainSegmentation) -> tuple[QualityCheck, ...]:
    """Return each check of the two visits once, the worse of both.

    A slab that cuts the brain is a warning here, not a failure: the boundary shift is measured
    where both scans see the brain, and the sentence says so.
    """
    order = (Verdict.PASS, Verdict.WARN, Verdict.FAIL)
    worse = []
    listed = [
        (*visit.checks, gates.border_check(visit.parenchyma, visit.flat))
        for visit in (before, after)
    ]
    for first, second in zip(*listed, strict=True):
        check = max((first, second), key=lambda c: order.index(c.verdict))
        if check.name in {"field_of_view", "cut_brain"} and check.verdict is Verdict.FAIL:
            check = QualityCheck(
                check.name,
                check.value,
                check.limit,
                Verdict.WARN,
                f"{check.sentence} The change is that of the part seen in both scans.",
            )
        worse.append(check)
    return tuple(worse)


def _parameters(change: BrainChange) -> dict[str, object]:
    """Return every number behind the change, for the record."""
    numbers = {
        "percent_full_window": change.percent_full,
        "percent_skull_scaled": change.percent_scaled,
        "percent_forward": change.forward,
        "percent_backward": change.backward,
        "percent_independent": change.independent,
        "ventricles_percent_forward": change.ventricles_forward,
        "ventricles_percent_backward": change.ventricles_backward,
        "ventricles_percent_independent": change.ventricles_independent,
        "intracranial_percent": change.intracranial_percent,
        "skull_scale": change.map.skull_scale,
        "registration_gap_mm": change.map.gap_mm,
    }
    for region in change.regions:
        numbers[f"{region.structure}_percent_deformation"] = region.percent
        numbers[f"{region.structure}_percent_deformation_forward"] = region.forward
        numbers[f"{region.structure}_percent_deformation_backward"] = region.backward
    return {
        **{name: round(float(value), 5) for name, value in numbers.items()},
        "method": "boundary shift integral, window 35-65 %, rigid half-way space",
        "sign": "negative is loss",
        "standard_error_basis": "default repeatability, not this site's own repeats",
        "before_to_after": np.round(change.map.before_to_after, 6).tolist(),
        "simpleitk": sitk.Version.VersionString(),
        "threads": 1,
    }
