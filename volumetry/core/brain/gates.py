"""Quality gates of the brain engine: what makes a number doubtful or impossible, in words."""

import numpy as np
from numpy.typing import NDArray

from volumetry.core.brain.callosum import Callosum
from volumetry.core.brain.grid import WorkImage
from volumetry.core.brain.registration import (
    SCALE_PLAUSIBLE,
    SCORE_PLAUSIBLE,
    BrainPlace,
)
from volumetry.core.brain.template import BRAINSTEM_END_MM, Template
from volumetry.core.brain.thalamus import Thalamus
from volumetry.core.brain.tissue import TissueModel
from volumetry.core.errors import NotMeasurable
from volumetry.core.types import QualityCheck, ScanImage, Verdict

MIN_EXTENT_MM = 90.0
"""No adult brain fits into less along any axis (shortest: about 110 mm, height)."""
MISSING_FAIL, MISSING_WARN = 0.005, 0.0005
"""Fraction of the template's intracranial space outside the slab."""
SLICE_WARN_MM = 1.5
REGISTRATION_FAIL, REGISTRATION_WARN = 0.15, SCORE_PLAUSIBLE
"""Squared correlation between scan and template head."""
COVERED_REFUSE = 0.75
CONTRAST_FAIL, CONTRAST_WARN = 2.0, 3.5
"""Difference of two tissue means over the larger of their standard deviations."""
CONTACT_FAIL_MM2 = 300.0
SIDES_WARN_PERCENT = 20.0
"""Left and right thalamus differ by less in health; more speaks for a misplaced outline."""
SYMMETRY_WARN = 0.7
"""Correlation of the brain's middle with its mirror image."""

SIDES = (("left side", "right side"), ("back", "front"), ("bottom", "top (vertex)"))


def extent_require(image: ScanImage) -> None:
    """Refuse at once an image that is too small to hold a brain."""
    extent = np.array(image.intensities.shape) * np.array(image.spacing_mm)
    if float(extent.min()) < MIN_EXTENT_MM:
        raise NotMeasurable(
            "This scan does not show a whole brain: it covers "
            f"{' x '.join(f'{side:.0f}' for side in extent)} mm, and a brain needs at least "
            f"{MIN_EXTENT_MM:.0f} mm along every axis."
        )


def coverage_check(whole: WorkImage, place: BrainPlace, template: Template) -> QualityCheck:
    """Hold the template's intracranial space against the scan's slab."""
    inside = np.argwhere(template.distance_mm[::4, ::4, ::4] > 0) * 4.0 + template.origin_mm
    inside = inside[inside[:, 2] > BRAINSTEM_END_MM]
    spots = inside @ place.matrix[:3, :3].T + place.matrix[:3, 3]
    limit = (np.array(whole.values.shape) - 1) * np.array(whole.spacing_mm)
    margin = 1.0
    lost = [
        (name, float(np.mean(beyond)))
        for axis in range(3)
        for name, beyond in zip(
            SIDES[axis],
            (spots[:, axis] < -margin, spots[:, axis] > limit[axis] + margin),
            strict=True,
        )
    ]
    missing = float(np.mean(np.any((spots < -margin) | (spots > limit + margin), axis=1)))
    if missing <= MISSING_WARN:
        return QualityCheck("field_of_view", missing, MISSING_FAIL, Verdict.PASS,
                            "The whole brain lies inside the scan.")  # fmt: skip
    parts = ", ".join(name for name, fraction in lost if fraction > MISSING_WARN / 2)
    verdict = Verdict.FAIL if missing > MISSING_FAIL else Verdict.WARN
    return QualityCheck(
        "field_of_view", missing, MISSING_FAIL, verdict,
        f"About {100 * missing:.1f} % of the brain's space is outside the scan: {parts}.",
    )  # fmt: skip


def border_check(parenchyma: NDArray[np.float32], work: WorkImage) -> QualityCheck:
    """Look for brain tissue cut by the border of the image (work is the brain's box)."""
    spacing = work.spacing_mm
    worst, where = 0.0, ""
    for axis in range(3):
        pixel = spacing[(axis + 1) % 3] * spacing[(axis + 2) % 3]
        for end, name in zip((0, -1), SIDES[axis], strict=True):
            area = float(np.take(parenchyma, end, axis=axis).sum() * pixel)
            if area > worst:
                worst, where = area, name
    if worst > CONTACT_FAIL_MM2:
        return QualityCheck("cut_brain", worst, CONTACT_FAIL_MM2, Verdict.FAIL,
                            f"Brain tissue reaches the image border at the {where}: "
                            "part of the brain is cut off.")  # fmt: skip
    return QualityCheck("cut_brain", worst, CONTACT_FAIL_MM2, Verdict.PASS,
                        "No brain tissue touches the image border.")  # fmt: skip


def registration_check(place: BrainPlace) -> QualityCheck:
    """Judge how well the head matched the template."""
    score = place.score
    low, high = SCALE_PLAUSIBLE
    if score < REGISTRATION_FAIL or not low < place.scale < high:
        return QualityCheck("registration", score, REGISTRATION_FAIL, Verdict.FAIL,
                            "The image does not match a T1-weighted head.")  # fmt: skip
    if score < REGISTRATION_WARN:
        return QualityCheck("registration", score, REGISTRATION_WARN, Verdict.WARN,
                            "The head matches the template only loosely: look at the "
                            "outlines.")  # fmt: skip
    return QualityCheck("registration", score, REGISTRATION_WARN, Verdict.PASS,
                        "The head matches the template.")  # fmt: skip


def slice_check(image: ScanImage) -> QualityCheck:
    """Warn of thick slices."""
    thickest = max(image.spacing_mm)
    if thickest > SLICE_WARN_MM:
        return QualityCheck("slice_thickness", thickest, SLICE_WARN_MM, Verdict.WARN,
                            f"Slices of {thickest:.1f} mm: partial volume widens the error; "
                            "a 3-D T1 of 1 mm is needed for small changes.")  # fmt: skip
    return QualityCheck("slice_thickness", thickest, SLICE_WARN_MM, Verdict.PASS,
                        f"Voxels of at most {thickest:.2f} mm.")  # fmt: skip


def contrast_checks(model: TissueModel) -> tuple[QualityCheck, QualityCheck]:
    """Judge the contrast between white and grey matter, and grey matter and fluid."""
    checks = []
    for first, second, name, words in (
        (0, 1, "contrast_white_grey", "white and grey matter"),
        (1, 2, "contrast_grey_fluid", "grey matter and fluid"),
    ):
        spread = float(max(model.deviations[first], model.deviations[second]))
        value = float(model.means[first] - model.means[second]) / spread
        verdict = Verdict.PASS
        if value < CONTRAST_WARN:
            verdict = Verdict.FAIL if value < CONTRAST_FAIL else Verdict.WARN
        sentence = {
            Verdict.PASS: f"Good contrast between {words}.",
            Verdict.WARN: f"Weak contrast between {words}.",
            Verdict.FAIL: f"Too little contrast between {words}.",
        }[verdict]
        checks.append(QualityCheck(name, value, CONTRAST_WARN, verdict, sentence))
    return checks[0], checks[1]


def stripped_check(
    whole: WorkImage, distance_mm: NDArray[np.float32], box: WorkImage, model: TissueModel
) -> QualityCheck:
    """Notice that skull and scalp were removed before: most of the surround is exactly zero."""
    ring = box.values[(distance_mm < -4) & (distance_mm > -12)]
    empty = float(np.mean(ring <= 0.05 * model.means[0])) if ring.size else 1.0
    zero = float(np.mean(whole.values == 0))
    if empty > 0.7 and zero > 0.4:
        return QualityCheck("skull_stripped", empty, 0.7, Verdict.WARN,
                            "The skull was removed before upload: the intracranial volume is "
                            "that of the mask used, not of the skull.")  # fmt: skip
    return QualityCheck("skull_stripped", empty, 0.7, Verdict.PASS,
                        "Skull and scalp are in the image.")  # fmt: skip


def experimental_checks(
    thalamus: Thalamus | None, callosum: Callosum | None
) -> tuple[QualityCheck, QualityCheck]:
    """Say whether thalamus and callosum were found, and how symmetric they and the head are."""
    return _thalamus_check(thalamus), _midplane_check(callosum)


def _thalamus_check(thalamus: Thalamus | None) -> QualityCheck:
    """Hold the two sides against each other."""
    if thalamus is None:
        return QualityCheck("thalamus_sides", None, SIDES_WARN_PERCENT, Verdict.WARN,
                            "The thalamus was not found in a plausible size: it is "
                            "not measured.")  # fmt: skip
    left, right = thalamus.left_mm3, thalamus.right_mm3
    apart = 200 * abs(left - right) / max(left + right, 1.0)
    is_odd = apart > SIDES_WARN_PERCENT
    tail = ": look at its outline." if is_odd else "."
    return QualityCheck(
        "thalamus_sides", apart, SIDES_WARN_PERCENT, Verdict.WARN if is_odd else Verdict.PASS,
        f"Thalamus (experimental): left {left / 1000:.2f} ml, right {right / 1000:.2f} ml, "
        f"{apart:.0f} % apart{tail}",
    )  # fmt: skip


def _midplane_check(callosum: Callosum | None) -> QualityCheck:
    """Judge the plane of symmetry."""
    if callosum is None:
        return QualityCheck("midplane_symmetry", None, SYMMETRY_WARN, Verdict.WARN,
                            "The corpus callosum was not found on the mid-sagittal plane: it "
                            "is not measured.")  # fmt: skip
    value = callosum.plane.symmetry
    is_odd = value < SYMMETRY_WARN
    sentence = (
        "The two halves of the brain resemble each other little: the mid-sagittal plane, and "
        "with it the area of the corpus callosum, is doubtful."
        if is_odd
        else "The mid-sagittal plane was found by symmetry."
    )
    return QualityCheck("midplane_symmetry", value, SYMMETRY_WARN,
                        Verdict.WARN if is_odd else Verdict.PASS, sentence)  # fmt: skip
