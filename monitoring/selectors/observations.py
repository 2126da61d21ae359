"""From measured runs to the observations that the divergence model takes.

One place decides which number counts: page, API and model read it here, so they cannot differ.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import NamedTuple
from uuid import UUID

from monitoring.core.comparability import CordCandidate, CordChoice, choose_cord_trend
from monitoring.core.types import ClinicalEvent, EventKind, Observation, Quality, Region
from monitoring.models import Patient, ScannerEpoch
from monitoring.selectors.measured import MeasuredRun, MeasuredScan, measured_scans
from monitoring.selectors.methods import Active, active_methods, run_counts
from volumetry.core.types import LandmarkKind, Quantity, Structure

# Only a fixed length of cord at a known level enters a trend (docs/measures.md).
CORD_LEVELS: dict[str, LandmarkKind] = {
    Structure.CORD_C2_C3: LandmarkKind.C2C3,
    Structure.CORD_PMJ_64MM: LandmarkKind.PMJ,
}


class Point(NamedTuple):
    """One measured number of one run, with everything that is said beside it.

    A named tuple: a long course has hundreds, and a frozen dataclass takes five times as long.
    """

    scan_id: UUID
    run_id: UUID
    when: date
    region: Region
    structure: str
    quantity: str
    value: float
    unit: str
    standard_error: float | None
    quality: Quality | None
    verdict: str
    verdict_reason: str
    reader: str
    read_on: date | None
    warnings: tuple[str, ...]
    epoch_id: UUID
    epoch_label: str
    scanner: str
    method: str
    version: str
    is_trend: bool
    # What a person gave the measurement, in words: a corrected outline, filled lesions.
    marks: tuple[str, ...] = ()
    # Of a change between two scans: the earlier one and its day.
    before_scan_id: UUID | None = None
    since: date | None = None

    @property
    def series(self) -> str:
        """Name of the period of comparable points: epoch, method and version."""
        return f"{self.epoch_id}/{self.method}/{self.version}"

    @property
    def is_rejected(self) -> bool:
        """Say whether a reader took it out of every statistic."""
        return self.quality is Quality.REJECTED

    @property
    def waits_for_reader(self) -> bool:
        """Say whether a failed check keeps it out until a reader accepts it."""
        return self.quality is None


def patient_scans(patient: Patient, *, active: Active | None = None) -> list[MeasuredScan]:
    """Return a patient's scans with all that was measured on them, oldest first.

    Of the runs with numbers those of the method and version that the clinic follows count
    (``active``, when the caller has read it already).
    """
    active = active_methods(patient.clinic_id) if active is None else active
    return [
        replace(scan, finished=counting_runs(scan, active))
        for scan in measured_scans(session__visit__patient=patient)
    ]


def counting_runs(scan: MeasuredScan, active: Active) -> tuple[MeasuredRun, ...]:
    """Return the runs of a scan whose numbers count, in the order in which they ended."""
    counting = [run for run in scan.runs if run.has_numbers and run_counts(run, active)]
    return tuple(sorted(counting, key=when_ended))


def when_ended(run: MeasuredRun) -> float:
    """Return the second in which a run ended, to sort by."""
    return run.finished_at.timestamp() if run.finished_at else 0.0


def point_list(scans: Iterable[MeasuredScan]) -> list[Point]:
    """Return every number of the newest run per scan and task, oldest scan first."""
    counted = [
        (scan, run)
        for scan in scans
        for run in {run.task: run for run in scan.finished}.values()
    ]
    trend = {
        (Structure.BRAIN_PARENCHYMA.value, Quantity.VOLUME.value),
        (_cord_level(counted), Quantity.MEAN_CSA.value),
    }
    return [point for scan, run in counted for point in _points_of(scan, run, trend)]


def _cord_level(counted: Iterable[tuple[MeasuredScan, MeasuredRun]]) -> str | None:
    """Return the one cord level whose numbers make the trend, None without a usable one.

    The rule is the core's: levels counted from different landmarks are never mixed.
    """
    choice = choose_cord_trend(
        CordCandidate(CORD_LEVELS[number.structure], scan.when)
        for scan, run in counted
        if run.quality not in {None, Quality.REJECTED}
        for number in run.numbers
        if number.structure in CORD_LEVELS and number.quantity == Quantity.MEAN_CSA
    )
    levels = (level for level, kind in CORD_LEVELS.items() if choice and kind is choice.kind)
    return next(levels, None)


def cord_choice(points: Sequence[Point]) -> CordChoice | None:
    """Return which landmark the cord trend follows and why, None without a usable value."""
    return choose_cord_trend(
        CordCandidate(CORD_LEVELS[point.structure], point.when)
        for point in points
        if point.structure in CORD_LEVELS
        and point.quantity == Quantity.MEAN_CSA
        and point.quality
        and not point.is_rejected
    )


def observation_list(points: Sequence[Point]) -> list[Observation]:
    """Return the trend's numbers as observations; what waits for a reader is left out."""
    return [
        Observation(
            when=point.when,
            region=point.region,
            value=point.value,
            epoch=point.series,
            quality=point.quality,
            key=str(point.run_id),
        )
        for point in points
        if point.is_trend and point.quality is not None
    ]


def event_list(patient: Patient) -> list[ClinicalEvent]:
    """Return treatment starts and relapses as the model takes them."""
    starts = patient.treatments.current().values_list("starts_on", flat=True)
    onsets = patient.relapses.current().values_list("onset", flat=True)
    return [
        *(ClinicalEvent(day, EventKind.THERAPY_START) for day in starts),
        *(ClinicalEvent(day, EventKind.RELAPSE) for day in onsets),
    ]


def effective_epoch(epoch: ScannerEpoch) -> ScannerEpoch:
    """Return the epoch that stands for a merged one."""
    return epoch.merged_into or epoch


def _points_of(
    scan: MeasuredScan, run: MeasuredRun, trend: Container[tuple[str | None, str]]
) -> list[Point]:
    """Return the numbers of one run; ``trend`` holds structure and quantity that make it."""
    review, quality, warnings = run.review, run.quality, run.warnings
    return [
        Point(
            scan_id=scan.pk,
            run_id=run.pk,
            when=scan.when,
            region=Region.CORD if number.structure.startswith("cord") else Region.BRAIN,
            structure=number.structure,
            quantity=number.quantity,
            value=number.value,
            unit=number.unit,
            standard_error=number.standard_error,
            quality=quality,
            verdict=review.verdict if review else "",
            verdict_reason=review.reason_words if review else "",
            reader=review.reader if review else "",
            read_on=review.at.date() if review else None,
            marks=run.marks,
            warnings=warnings,
            epoch_id=scan.epoch_id,
            epoch_label=scan.epoch_label,
            scanner=scan.scanner,
            method=run.method,
            version=run.method_version,
            is_trend=(number.structure, number.quantity) in trend,
            before_scan_id=run.before_scan_id,
            since=run.since,
        )
        for number in run.numbers
    ]
