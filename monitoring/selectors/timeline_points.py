"""Parts of a course: values in percent, EDSS, scanner changes, and the ledger of scans."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from monitoring.core.types import Quality, Region
from monitoring.models import Relapse
from monitoring.selectors.changes import Change, NotCompared
from monitoring.selectors.measured import MeasuredRun, MeasuredScan
from monitoring.selectors.methods import Active, run_counts
from monitoring.selectors.normalisation import BaselineIntracranial
from monitoring.selectors.observations import Point

# Half-width of a 95 % interval of a normal error, in standard errors.
Z95 = 1.96
# An EDSS or a scan this soon after a relapse is marked (docs/clinical-rules.md, section 8).
RELAPSE_WINDOW_DAYS = 30
# A brain may shrink without tissue loss this long after a treatment began (same section).
DIP_DAYS = 183
# Steroids may still move volumes this long (same section).
STEROID_DAYS = 90


class TimelinePoint(NamedTuple):
    """One brain or cord value of the trend, with all that is said beside it.

    ``percent`` is of the patient's own first usable value of the region (100); ``low`` and
    ``high`` hold its 95 % interval from the standard error of the measurement alone.
    """

    region: Region
    when: date
    value: float
    unit: str
    standard_error: float | None
    percent: float | None
    percent_low: float | None
    percent_high: float | None
    percent_corrected: float | None
    normalised_percent: float | None
    quality: Quality | None
    verdict: str
    verdict_reason: str
    reader: str
    read_on: date | None
    is_rejected: bool
    waits_for_reader: bool
    weight: float | None
    is_outlier: bool
    days_after_relapse: int | None
    structure: str
    quantity: str
    method: str
    version: str
    epoch_id: UUID
    epoch_label: str
    scanner: str
    series: str
    warnings: tuple[str, ...]
    scan_id: UUID
    run_id: UUID

    @property
    def shown_unit(self) -> str:
        """Return the unit as a person reads it; brain volumes in cm³."""
        return {"mm3": "cm³", "mm2": "mm²"}.get(self.unit, self.unit)

    @property
    def shown_value(self) -> float:
        """Return the value in `shown_unit`."""
        return self.value / 1000 if self.unit == "mm3" else self.value

    @property
    def shown_margin(self) -> float | None:
        """Return the half-width of the 95 % interval in `shown_unit`; None when unknown."""
        if self.standard_error is None:
            return None
        return Z95 * self.standard_error * self.shown_value / self.value

    @property
    def is_reviewed(self) -> bool:
        """Say whether a reader has looked."""
        return bool(self.verdict)

    @property
    def is_usable(self) -> bool:
        """Say whether the value may enter the fit."""
        return self.quality is not None and not self.is_rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class EdssStep:
    """One EDSS, with functional systems where they were scored; ``pk`` of its record."""

    pk: UUID
    when: date
    edss: Decimal
    systems: Mapping[str, int]
    days_after_relapse: int | None

    @property
    def in_relapse_window(self) -> bool:
        """Say whether it was scored 30 days or less after a relapse began."""
        return self.days_after_relapse is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerChange:
    """The day of the first usable scan on another epoch."""

    when: date
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineScan:
    """One scan of the ledger: what it is and how far its measurement came."""

    scan_id: UUID
    when: date
    sequence: str
    epoch_label: str
    notes: tuple[str, ...]
    runs: tuple[MeasuredRun, ...]
    points: tuple[TimelinePoint, ...]
    changes: tuple[Change, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()


def days_after(day: date, onsets: Iterable[date]) -> int | None:
    """Return the days since the latest relapse, if it began 30 days ago or less."""
    since = [(day - onset).days for onset in onsets]
    return min((d for d in since if 0 <= d <= RELAPSE_WINDOW_DAYS), default=None)


def points_in_percent(
    trend: Sequence[Point],
    *,
    now: Mapping[str, Any],
    relapses: Sequence[Relapse],
    skull: BaselineIntracranial | None,
) -> tuple[TimelinePoint, ...]:
    """Bring values to percent of the patient's own first usable one, region by region.

    Parameters
    ----------
    trend
        Values of one structure per region, oldest first.
    now
        The model's statement, for weights and offsets; empty beside the trend.
    """
    baseline: dict[Region, float] = {}
    for point in trend:
        if point.quality is not None and not point.is_rejected:
            baseline.setdefault(point.region, point.value)
    counted = {
        (row["observation"]["key"], row["observation"]["region"]): row
        for row in now.get("weights", ())
    }
    onsets = [relapse.onset for relapse in relapses]
    return tuple(
        _point(
            point,
            baseline.get(point.region),
            counted.get((str(point.run_id), point.region.value), {}),
            days_after(point.when, onsets),
            skull,
        )
        for point in trend
    )


def _point(
    point: Point,
    baseline: float | None,
    row: Mapping[str, Any],
    relapse_days: int | None,
    skull: BaselineIntracranial | None,
) -> TimelinePoint:
    """Return one point of the trend."""

    def percent(value: float | None) -> float | None:
        return 100 * value / baseline if baseline and value is not None else None

    margin = None if point.standard_error is None else Z95 * point.standard_error
    return TimelinePoint(
        region=point.region,
        when=point.when,
        value=point.value,
        unit=point.unit,
        standard_error=point.standard_error,
        percent=percent(point.value),
        percent_low=percent(point.value - margin if margin is not None else None),
        percent_high=percent(point.value + margin if margin is not None else None),
        percent_corrected=percent(row.get("value_corrected")),
        normalised_percent=(
            skull.percent_of(value_mm3=point.value, method=point.method, version=point.version)
            if skull and point.region is Region.BRAIN
            else None
        ),
        quality=point.quality,
        verdict=point.verdict,
        verdict_reason=point.verdict_reason,
        reader=point.reader,
        read_on=point.read_on,
        is_rejected=point.is_rejected,
        waits_for_reader=point.waits_for_reader,
        weight=row.get("weight"),
        is_outlier=bool(row.get("is_outlier")),
        days_after_relapse=relapse_days,
        structure=point.structure,
        quantity=point.quantity,
        method=point.method,
        version=point.version,
        epoch_id=point.epoch_id,
        epoch_label=point.epoch_label,
        scanner=point.scanner,
        series=point.series,
        warnings=point.warnings,
        scan_id=point.scan_id,
        run_id=point.run_id,
    )


def scanner_changes(points: Sequence[TimelinePoint]) -> tuple[ScannerChange, ...]:
    """Return the days on which usable values of a region moved to another epoch.

    Brain and cord may come from two protocols of one visit; only a change within a region
    breaks a comparison.
    """
    changes: dict[date, ScannerChange] = {}
    last: dict[Region, TimelinePoint] = {}
    for point in sorted((p for p in points if p.is_usable), key=lambda p: p.when):
        before = last.get(point.region)
        last[point.region] = point
        if before is None or before.epoch_id == point.epoch_id or before.when == point.when:
            continue
        changes[point.when] = ScannerChange(
            when=point.when, before=before.epoch_label, after=point.epoch_label
        )
    return tuple(changes.values())


def scan_ledger(
    scans: Sequence[MeasuredScan],
    points: Sequence[TimelinePoint],
    active: Active,
    changes: Sequence[Change],
    left: Sequence[NotCompared],
) -> tuple[TimelineScan, ...]:
    """Return the ledger of one patient, newest scan first."""
    by_scan = _by_scan(points)
    changed, alone = _by_scan(changes), _by_scan(left)
    return tuple(
        TimelineScan(
            scan_id=scan.pk,
            when=scan.when,
            sequence=scan.sequence_words,
            epoch_label=scan.epoch_label,
            notes=scan.notes,
            runs=tuple(_newest(scan, active).values()),
            points=tuple(by_scan.get(scan.pk, ())),
            changes=tuple(changed.get(scan.pk, ())),
            not_compared=tuple(alone.get(scan.pk, ())),
        )
        for scan in reversed(scans)
    )


def _newest(scan: MeasuredScan, active: Active) -> dict[str, MeasuredRun]:
    """Return the newest run of each method that looks at the scan alone."""
    single = [run for run in scan.runs if run.before_id is None and run_counts(run, active)]
    return {run.method: run for run in single}


class _OfScan(Protocol):
    @property
    def scan_id(self) -> UUID: ...


Kept = TypeVar("Kept", bound=_OfScan)


def _by_scan(kept: Iterable[Kept]) -> dict[UUID, list[Kept]]:
    found: dict[UUID, list[Kept]] = {}
    for one in kept:
        found.setdefault(one.scan_id, []).append(one)
    return found
