"""What a registry pulls: the record as rows in the order of change, and the numbers of scans.

Numbers come from `observations.point_list`, which the pages read too. Ids are opaque and
stable: a measurement's id is derived from its run and says nothing about how many there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from django.db.models import QuerySet

from monitoring.models import (
    DivergenceEstimate,
    Grant,
    Patient,
    PhenotypePeriod,
    Relapse,
    Scan,
    Treatment,
    Visit,
)
from monitoring.models.base import ClinicalFact
from monitoring.selectors.measured import MeasuredRun, MeasuredScan, measured_scans
from monitoring.selectors.methods import active_methods, run_counts
from monitoring.selectors.observations import Point, point_list, when_ended
from monitoring.selectors.timeline_points import Z95
from volumetry.models import Outcome, Status

if TYPE_CHECKING:
    from monitoring.models.people import Actor


def patients_of(actor: "Actor") -> QuerySet[Patient]:
    """Return the patients that an actor may pull."""
    return Patient.objects.visible_to(actor, grant=Grant.REGISTRY_READ).select_related("clinic")


def visits_of(actor: "Actor") -> QuerySet[Visit]:
    """Return their visits."""
    return Visit.objects.filter(patient__in=patients_of(actor)).select_related("patient")


def facts_of(actor: "Actor", kind: type[ClinicalFact]) -> QuerySet[Any]:
    """Return their clinical facts of one kind, superseded ones too: those become tombstones."""
    path = fact_path(kind)
    return kind.objects.filter(**{f"{path}__in": patients_of(actor)}).select_related(path)


def fact_path(kind: type[ClinicalFact]) -> str:
    """Return how a kind of fact leads to its patient."""
    direct = (Relapse, Treatment, PhenotypePeriod)
    return "patient" if issubclass(kind, direct) else "visit__patient"


def scans_of(actor: "Actor") -> QuerySet[Scan]:
    """Return their scans."""
    visible = Scan.objects.visible_to(actor, grant=Grant.REGISTRY_READ)
    return visible.select_related(
        "image",
        "session__visit__patient",
        "epoch__scanner",
        "epoch__merged_into__scanner",
    )


def estimates_of(actor: "Actor") -> QuerySet[DivergenceEstimate]:
    """Return their divergence statements, every one that was ever stored."""
    return DivergenceEstimate.objects.filter(patient__in=patients_of(actor)).select_related(
        "patient"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementRow:
    """One number as a registry receives it; ``value`` is None where none could be measured."""

    id: UUID
    patient: UUID
    visit: UUID
    scan: UUID
    run: UUID
    when: date
    region: str
    structure: str | None
    quantity: str | None
    value: float | None
    unit: str | None
    standard_error: float | None
    interval_95_low: float | None
    interval_95_high: float | None
    not_assessable_reason: str | None
    quality: str | None
    is_rejected: bool
    waits_for_reader: bool
    verdict: str | None
    verdict_reason: str | None
    read_on: date | None
    warnings: tuple[str, ...]
    method: str
    method_version: str
    series: str
    compared_with_scan: UUID | None
    is_synthetic: bool
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """A row that no longer counts."""

    id: UUID
    deleted_at: datetime


def measurements_of_scans(
    scans: Sequence[Scan],
) -> tuple[list[MeasurementRow], list[Tombstone]]:
    """Return the numbers that count, and tombstones of those that a newer run replaced.

    Parameters
    ----------
    scans : sequence of Scan
        As `scans_of` fetches them.
    """
    rows: list[MeasurementRow] = []
    gone: list[Tombstone] = []
    followed = {clinic: active_methods(clinic) for clinic in {s.clinic_id for s in scans}}
    measured = {scan.pk: scan for scan in measured_scans(pk__in=[scan.pk for scan in scans])}
    for scan in scans:
        facts, active = measured[scan.pk], followed[scan.clinic_id]
        ended = _ended(facts)
        counting, replaced = _runs_that_count(r for r in ended if run_counts(r, active))
        gone.extend(
            Tombstone(id=row_id, deleted_at=scan.updated_at)
            for run in ended
            if not run_counts(run, active)
            for row_id in _ids_of(run)
        )
        finished = tuple(run for run in counting if run.has_numbers)
        points = point_list([replace(facts, finished=finished)])
        rows.extend(_row_of_point(scan, point) for point in points)
        rows.extend(_row_of_nothing(scan, facts, r) for r in counting if _lacks_number(r))
        for run, newer in replaced:
            gone.extend(
                Tombstone(id=row_id, deleted_at=newer.finished_at or scan.updated_at)
                for row_id in _ids_of(run)
            )
    return rows, gone


def _ended(scan: MeasuredScan) -> list[MeasuredRun]:
    """Return the runs that ended, with and without numbers, in the order in which they did."""
    ended = [run for run in scan.runs if run.status in (Status.SUCCEEDED, Status.FAILED)]
    return sorted(ended, key=when_ended)


def measurement_id(run_id: UUID, structure: str | None, quantity: str | None) -> UUID:
    """Return the stable, opaque id of a number; one run holds each structure once."""
    return uuid5(run_id, f"{structure or 'none'}/{quantity or 'none'}")


def estimate_id(estimate: DivergenceEstimate) -> UUID:
    """Return the opaque id of a stored statement."""
    return uuid5(estimate.patient_id, f"divergence/{estimate.pk}")


def interval_95(value: float, standard_error: float | None) -> tuple[float, float] | None:
    """Return the 95 % interval of one measurement, None where its error is not known."""
    if standard_error is None:
        return None
    return value - Z95 * standard_error, value + Z95 * standard_error


def region_of_method(method: str) -> str:
    """Return what a method measures: cord or brain."""
    return "cord" if "cord" in method else "brain"


def _lacks_number(run: MeasuredRun) -> bool:
    """Say whether a run ended without the number that it was asked for."""
    return not run.has_numbers or run.outcome == Outcome.NEEDS_LANDMARK


def _runs_that_count(
    runs: Iterable[MeasuredRun],
) -> tuple[list[MeasuredRun], list[tuple[MeasuredRun, MeasuredRun]]]:
    """Return per task the run that counts, and the pairs (replaced run, the newer one).

    A run without numbers never displaces one with numbers: a repetition that failed takes
    nothing away.
    """
    counting: dict[tuple[str, UUID | None], MeasuredRun] = {}
    replaced: list[tuple[MeasuredRun, MeasuredRun]] = []
    for run in runs:
        held = counting.get(run.task)
        if held is not None and held.has_numbers and not run.has_numbers:
            continue
        if held is not None:
            replaced.append((held, run))
        counting[run.task] = run
    return list(counting.values()), replaced


def _ids_of(run: MeasuredRun) -> list[UUID]:
    """Return the ids of all rows that a run gave."""
    ids = [measurement_id(run.pk, m.structure, m.quantity) for m in run.numbers]
    return [*ids, measurement_id(run.pk, None, None)] if _lacks_number(run) else ids


def _row_of_point(scan: Scan, point: Point) -> MeasurementRow:
    """Return a measured number as a registry receives it."""
    interval = interval_95(point.value, point.standard_error)
    return MeasurementRow(
        id=measurement_id(point.run_id, point.structure, point.quantity),
        run=point.run_id,
        when=point.when,
        region=point.region.value,
        structure=point.structure,
        quantity=point.quantity,
        value=point.value,
        unit=point.unit,
        standard_error=point.standard_error,
        interval_95_low=interval[0] if interval else None,
        interval_95_high=interval[1] if interval else None,
        not_assessable_reason=None,
        quality=point.quality.value if point.quality else None,
        is_rejected=point.is_rejected,
        waits_for_reader=point.waits_for_reader,
        verdict=point.verdict or None,
        verdict_reason=point.verdict_reason or None,
        read_on=point.read_on,
        warnings=point.warnings,
        method=point.method,
        method_version=point.version,
        series=point.series,
        compared_with_scan=point.before_scan_id,
        **_facts_of_scan(scan),
    )


def _row_of_nothing(scan: Scan, facts: MeasuredScan, run: MeasuredRun) -> MeasurementRow:
    """Return the row of a run that could not measure: no value, and the reason in words."""
    reason = run.reason or "The measurement failed without saying why; tell your administrator."
    return MeasurementRow(
        id=measurement_id(run.pk, None, None),
        run=run.pk,
        when=facts.when,
        region=region_of_method(run.method),
        structure=None,
        quantity=None,
        value=None,
        unit=None,
        standard_error=None,
        interval_95_low=None,
        interval_95_high=None,
        not_assessable_reason=reason,
        quality=None,
        is_rejected=False,
        waits_for_reader=False,
        verdict=None,
        verdict_reason=None,
        read_on=None,
        warnings=run.warnings,
        method=run.method,
        method_version=run.method_version,
        series=f"{facts.epoch_id}/{run.method}/{run.method_version}",
        compared_with_scan=run.before_scan_id,
        **_facts_of_scan(scan),
    )


def _facts_of_scan(scan: Scan) -> dict[str, Any]:
    """Return what all rows of a scan share."""
    visit = scan.session.visit
    return {
        "patient": visit.patient_id,
        "visit": visit.pk,
        "scan": scan.pk,
        "is_synthetic": visit.patient.is_synthetic,
        "updated_at": scan.updated_at,
    }
