"""Quality gates of a pair of visits, in words."""

from volumetry.core.brain.change import BrainChange, HalfwayPair
from volumetry.core.brain.gates import SLICE_WARN_MM
from volumetry.core.types import QualityCheck, ScanImage, Verdict

CONTRAST_WARN, CONTRAST_FAIL = 2.0, 15.0
"""Difference of two visits' grey or fluid level, percent of white. Drawn rescans differ by 0.2
at most; two points of grey move the half level to fluid by one, which is read as more than half
a percent of change that is none."""


def contrast_change_check(pair: HalfwayPair) -> QualityCheck:
    """Hold the tissues' contrast of the two visits against each other."""
    apart = max(abs(a - b) for a, b in (pair.grey, pair.fluid))
    return _limited(
        "contrast_change", apart, CONTRAST_WARN, CONTRAST_FAIL,
        "Grey matter or fluid, against white matter, differs by {:.1f} points between the two "
        "scans.", tail=" Another sequence or contrast agent? Part of the change may be that.",
    )  # fmt: skip


def pair_checks(
    change: BrainChange, pair: HalfwayPair, before: ScanImage, after: ScanImage
) -> tuple[QualityCheck, ...]:
    """Judge a pair: direction gap, skull, independent difference, thickness, protocol."""
    gap = abs(change.forward - change.backward)
    skull = abs(100 * (change.map.skull_scale - 1))
    apart = abs(change.percent - change.independent)
    thickest = max(*before.spacing_mm, *after.spacing_mm)
    unequal = max(
        abs(a - b) / b for a, b in zip(sorted(before.spacing_mm), sorted(after.spacing_mm),
                                       strict=True)
    )  # fmt: skip
    return (
        _limited("direction_gap", gap, 0.2, 0.6,
                 "First-to-second and second-to-first differ by {:.2f} points."),
        _limited("intracranial_change", abs(change.intracranial_percent), 1.0, 3.0,
                 "The intracranial volumes of the two scans differ by {:.2f} %; the skull "
                 "does not change."),
        _limited("skull_scale", skull, 0.5, 3.0,
                 "The skulls of the two scans differ in size by {:.2f} % of volume: the "
                 "scanner's scale may have changed."),
        _limited("independent_difference", apart, 1.0, 4.0,
                 "Boundary shift and the difference of the two volumes are {:.2f} points "
                 "apart."),
        _limited("registration_gap", change.map.gap_mm, 0.3, 1.5,
                 "The two directions of the alignment differ by {:.2f} mm."),
        _limited("slice_thickness", thickest, SLICE_WARN_MM, 8.0,
                 "Slices of {:.1f} mm widen the error of a change."),
        _limited("protocol_change", 100 * unequal, 10.0, 400.0,
                 "The voxel sizes of the two scans differ by {:.0f} %: another protocol?"),
        contrast_change_check(pair),
    )  # fmt: skip


def _limited(
    name: str, value: float, warn: float, fail: float, sentence: str, *, tail: str = ""
) -> QualityCheck:
    """Hold a value against two limits; the tail is said only where it is beyond."""
    verdict = Verdict.PASS
    if value > warn:
        verdict = Verdict.FAIL if value > fail else Verdict.WARN
    limit = fail if verdict is Verdict.FAIL else warn
    said = sentence.format(value) + ("" if verdict is Verdict.PASS else tail)
    return QualityCheck(name, value, limit, verdict, said)
