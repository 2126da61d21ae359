"""From measured runs to the observations that the divergence model takes.

One place decides which number counts: page, API and model read it here, so they cannot differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import cast
from uuid import UUID

from django.db.models import Prefetch

from monitoring.core.comparability import CordCandidate, CordChoice, choose_cord_trend
from monitoring.core.quality import observation_quality
from monitoring.core.types import ClinicalEvent, EventKind, Observation, Quality, Region
from monitoring.models import Patient, Review, Scan, ScannerEpoch
from monitoring.selectors.methods import Active, active_methods, run_counts
from volumetry.core.types import LandmarkKind, Quantity, Structure
from volumetry.models import Measurement, Outcome, Status, VolumetryRun

# Only a fixed length of cord at a known level enters a trend (docs/measures.md).
CORD_LEVELS: dict[str, LandmarkKind] = {
    Structure.CORD_C2_C3: LandmarkKind.C2C3,
    Structure.CORD_PMJ_64MM: LandmarkKind.PMJ,
}
# Attribute in which `patient_scans` leaves the runs that `point_list` reads.
FINISHED = "finished_runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measured number of one run, with everything that is said beside it."""

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


def patient_scans(patient: Patient, *, active: Active | None = None) -> list[Scan]:
    """Return a patient's scans with all that `point_list` reads, in few queries.

    Of the runs only those of the method and version that the clinic follows (``active``, when
    the caller has read it already).
    """
    finished = (
        VolumetryRun.objects.filter(
            status=Status.SUCCEEDED,
            outcome__in=[
                Outcome.OK,
                Outcome.NEEDS_LANDMARK,
            ],
        )
        .select_related("before__scan__session__visit")
        # Long documents that no value of a course comes from.
        .defer("provenance", "parameters")
        .order_by("finished_at")
        .prefetch_related(
            "quality",
            Prefetch("measurements", queryset=Measurement.objects.order_by("id")),
            Prefetch("reviews", queryset=Review.objects.select_related("reviewer")),
        )
    )
    scans = list(
        Scan.objects.filter(session__visit__patient=patient)
        .select_related(
            "session__visit", "image", "epoch__scanner", "epoch__merged_into__scanner"
        )
        .prefetch_related(Prefetch("image__runs", queryset=finished, to_attr=FINISHED))
        .order_by("session__visit__date", "created_at")
    )
    active = active_methods(patient.clinic_id) if active is None else active
    for scan in scans:
        counting = [run for run in finished_runs(scan) if run_counts(run, active)]
        setattr(scan.image, FINISHED, counting)
    return scans


def finished_runs(scan: Scan) -> list[VolumetryRun]:
    """Return the finished runs of a scan that came from `patient_scans`, oldest first."""
    return cast("list[VolumetryRun]", getattr(scan.image, FINISHED))


def point_list(scans: Sequence[Scan]) -> list[Point]:
    """Return every number of the newest run per scan and task, oldest scan first."""
    points: list[Point] = []
    for scan in scans:
        newest: dict[tuple[str, UUID | None], VolumetryRun] = {}
        for run in finished_runs(scan):
            newest[run.task] = run
        for run in newest.values():
            points.extend(_points_of(scan, run))
    kind = cord_level_of_trend(points)
    return [_as_trend(point, kind) for point in points]


def cord_level_of_trend(points: Sequence[Point]) -> str | None:
    """Return the one cord level whose numbers make the trend, None without a usable one.

    The rule is the core's: levels counted from different landmarks are never mixed.
    """
    choice = cord_choice(points)
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


def _points_of(scan: Scan, run: VolumetryRun) -> list[Point]:
    """Return the numbers of one run."""
    review = next(reversed(list(run.reviews.all())), None)
    checks = list(run.quality.all())
    quality = observation_quality(
        [check.verdict for check in checks], person=review.verdict if review else None
    )
    epoch = effective_epoch(scan.epoch)
    earlier = run.before.scan if run.before else None
    return [
        Point(
            scan_id=scan.pk,
            run_id=run.pk,
            when=scan.session.visit.date,
            region=Region.CORD if measure.structure.startswith("cord") else Region.BRAIN,
            structure=measure.structure,
            quantity=measure.quantity,
            value=measure.value,
            unit=measure.unit,
            standard_error=measure.standard_error,
            quality=quality,
            verdict=review.verdict if review else "",
            verdict_reason=review.get_reason_display() if review and review.reason else "",
            reader=review.reviewer.get_username() if review and review.reviewer else "",
            read_on=review.created_at.date() if review else None,
            warnings=tuple(c.sentence or c.name for c in checks if c.verdict != "pass"),
            epoch_id=epoch.pk,
            epoch_label=str(epoch),
            scanner=epoch.scanner.name,
            method=run.method,
            version=run.method_version,
            is_trend=False,
            before_scan_id=earlier.pk if earlier else None,
            since=earlier.session.visit.date if earlier else None,
        )
        for measure in run.measurements.all()
    ]


def _as_trend(point: Point, cord_level: str | None) -> Point:
    """Return the point, marked when it belongs to the brain's or the cord's trend."""
    is_brain = (point.structure, point.quantity) == (
        Structure.BRAIN_PARENCHYMA,
        Quantity.VOLUME,
    )
    is_cord = point.structure == cord_level and point.quantity == Quantity.MEAN_CSA
    return replace(point, is_trend=is_brain or is_cord)
