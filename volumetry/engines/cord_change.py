"""The built-in paired cord engine as a method: change between two scans of one person."""

import time
from dataclasses import replace
from pathlib import Path

from volumetry.core.cord.engine import CordMeasurement, cord_measure
from volumetry.core.cord.levels import STRUCTURE
from volumetry.core.cord.paired import (
    MIN_COMMON_MM,
    MIN_CORRELATION,
    Alignment,
    LevelChange,
    PairedChange,
    align,
    change_measure,
    landmark_gap_mm,
    level_change,
)
from volumetry.core.cord.quality import cord_quality
from volumetry.core.cord.showing import review_picture, sagittal_view
from volumetry.core.methods import NOTHING_SAID, Availability, CordRequest, PairRequest
from volumetry.core.pictures import mosaic, picture_save
from volumetry.core.types import (
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

GOOD_CORRELATION = 0.3
MAX_LANDMARK_GAP_MM = 3.0
"""A few mm of level cost about 1 % of area at C2-C3."""
MAX_GAP_TO_DIFFERENCE = 1.5
"""Percentage points between boundary shift and plain difference, above which a person looks."""


class NeuraxisCordChange:
    """Change of the cervical cord between two scans, percent of the first; loss is negative."""

    name = "neuraxis-cord-change"
    version = "1.5.0"
    description = (
        f"Change of cord area between two visits (Neuraxis cord change {version}): both cords "
        "traced and straightened, aligned along the cord, boundary shift integral around one "
        "outline of both visits, symmetric in time."
    )

    def availability(self) -> Availability:
        """Say whether the method can run: it needs nothing beyond the package."""
        return Availability(is_ready=True)

    def measure(
        self,
        before: ScanImage,
        after: ScanImage,
        *,
        workdir: Path,
        requests: PairRequest = NOTHING_SAID,
    ) -> VolumetryResult:
        """Measure the change over the stretch that both visits show, and over its level.

        ``cord_segment`` is the whole common stretch; where both visits carry a landmark of one
        kind, ``cord_pmj_64mm`` or ``cord_c2_c3`` is its fixed window on the same tissue.

        ``requests`` hold what a person said of each scan: a click on the cord, a landmark.
        """
        started = time.perf_counter()
        visits = [
            cord_measure(scan, request=request)
            for scan, request in zip((before, after), requests, strict=True)
        ]
        files = _pictures(visits, workdir)
        change, reason = _change_of(visits)
        checks = (*_visit_checks(visits), *(_pair_checks(change, visits) if change else ()))
        level = level_change(visits[0], visits[1], change) if change else None
        measures: list[StructureMeasure] = []
        if level is not None:
            measures.append(_measure(STRUCTURE[level.kind], level))
        if change is not None:
            measures.append(_measure(Structure.CORD_SEGMENT, change))
        return VolumetryResult(
            Outcome.OK if change else Outcome.REFUSED,
            reason,
            tuple(measures),
            checks,
            self._provenance(before, after, change, level, requests),
            time.perf_counter() - started,
            files,
        )

    def _provenance(
        self,
        before: ScanImage,
        after: ScanImage,
        change: PairedChange | None,
        level: LevelChange | None,
        requests: PairRequest,
    ) -> Provenance:
        parameters: dict[str, object] = {"sign": "negative is loss"}
        for name, request in zip(("baseline", "followup"), requests, strict=True):
            parameters |= _request_facts(name, request)
        if change is not None:
            swapped = 100.0 * (1.0 / (1.0 + change.percent / 100.0) - 1.0)
            parameters |= {
                "common_length_mm": round(change.length_mm, 2),
                "shift_along_cord_mm": round(change.alignment.shift_mm, 2),
                "alignment_correlation": round(change.alignment.correlation, 3),
                "boundary_shift_percent": round(change.percent, 4),
                "swapped_percent": round(swapped, 4),
                "plain_difference_percent": round(change.difference_percent, 4),
            }
        if level is not None:
            parameters |= {
                "level_percent": round(level.percent, 4),
                "level_covered": round(level.covered, 3),
                "landmark_gap_mm": round(level.gap_mm, 2),
            }
        return Provenance(
            self.name, self.version, parameters, before.sha256, {"followup": after.sha256}
        )


def _measure(structure: Structure, change: PairedChange | LevelChange) -> StructureMeasure:
    return StructureMeasure(
        structure,
        Quantity.PERCENT_CHANGE,
        change.percent,
        Unit.PERCENT,
        change.standard_error,
    )


def _request_facts(name: str, request: CordRequest) -> dict[str, object]:
    facts: dict[str, object] = {}
    if request.hint_mm is not None:
        facts[f"{name}_hint_mm"] = list(request.hint_mm)
    if request.landmark is not None:
        landmark = request.landmark
        facts[f"{name}_landmark"] = {
            "kind": str(landmark.kind),
            "point_mm": list(landmark.point_mm),
        }
    return facts


def _change_of(visits: list[CordMeasurement]) -> tuple[PairedChange | None, str | None]:
    """Measure the change, or say why it cannot be."""
    for name, visit in zip(("baseline", "follow-up"), visits, strict=True):
        if visit.profile is None:
            return None, f"In the {name} scan the cord was not measured: {visit.reason}"
    one, other = visits
    assert one.located is not None
    assert other.located is not None
    if one.located.polarity != other.located.polarity:
        return (
            None,
            "The scans have opposite contrast between cord and fluid; they do not pair.",
        )
    if one.grid.is_thick_axial != other.grid.is_thick_axial:
        return None, "One scan has thick slices and the other has not; they do not pair."
    alignment: Alignment | None = align(one, other)
    if alignment is None:
        return None, f"The scans share less than {MIN_COMMON_MM:.0f} mm of visible cord."
    if alignment.correlation < MIN_CORRELATION:
        return None, (
            "The scans could not be aligned along the cord "
            f"(correlation {alignment.correlation:.2f}, at least {MIN_CORRELATION} is needed)."
        )
    change = change_measure(one, other, alignment)
    if change is None:
        return None, f"The scans share less than {MIN_COMMON_MM:.0f} mm of visible cord."
    return change, None


def _visit_checks(visits: list[CordMeasurement]) -> list[QualityCheck]:
    return [
        replace(check, name=f"{name}_{check.name}")
        for name, visit in zip(("baseline", "followup"), visits, strict=True)
        for check in cord_quality(visit)
    ]


def _pair_checks(change: PairedChange, visits: list[CordMeasurement]) -> list[QualityCheck]:
    gap = abs(change.percent - change.difference_percent)
    correlation = change.alignment.correlation
    return [
        QualityCheck(
            "alignment_correlation",
            round(correlation, 3),
            MIN_CORRELATION,
            Verdict.PASS if correlation >= GOOD_CORRELATION else Verdict.WARN,
            f"The follow-up lies {change.alignment.shift_mm:.1f} mm along the cord from the "
            f"baseline; {change.length_mm:.0f} mm are common.",
        ),
        QualityCheck(
            "gap_to_plain_difference",
            round(gap, 2),
            MAX_GAP_TO_DIFFERENCE,
            Verdict.PASS if gap <= MAX_GAP_TO_DIFFERENCE else Verdict.WARN,
            f"Boundary shift reads {change.percent:+.2f} %, the plain difference of areas "
            f"{change.difference_percent:+.2f} %.",
        ),
        *_level_checks(change, visits),
    ]


def _level_checks(change: PairedChange, visits: list[CordMeasurement]) -> list[QualityCheck]:
    """Compare both landmarks on the tissue: where the windows of the two scans lie."""
    one, other = visits
    if one.level is None or other.level is None:
        return []
    if one.level.landmark.kind is not other.level.landmark.kind:
        return []
    gap = landmark_gap_mm(one, other, change.alignment)
    apart = abs(gap) > MAX_LANDMARK_GAP_MM
    words = (
        "the two scans' level means are of different stretches; move the landmark"
        if apart
        else "the two scans' level means are of the same stretch"
    )
    return [
        QualityCheck(
            "landmark_gap_mm",
            round(gap, 2),
            MAX_LANDMARK_GAP_MM,
            Verdict.WARN if apart else Verdict.PASS,
            f"On the same tissue the follow-up's landmark lies {gap:+.1f} mm down the cord "
            f"from the baseline's: {words}.",
        )
    ]


def _pictures(visits: list[CordMeasurement], workdir: Path) -> dict[str, Path]:
    """Draw both visits, the baseline above the follow-up."""
    workdir.mkdir(parents=True, exist_ok=True)
    pictures = [review_picture(visit, sagittal_view(visit)) for visit in visits]
    width = max(picture.width for picture in pictures)
    height = max(picture.height for picture in pictures)
    tiles = []
    for picture in pictures:
        tile = picture.crop((0, 0, width, height))
        tiles.append(tile)
    return {"qc.png": picture_save(mosaic(tiles, columns=1), workdir / "qc.png")}
