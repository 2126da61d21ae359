"""Keep the worklist's columns up to date: what needs attention, and the glance of a row."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from monitoring.core.types import Region
from monitoring.models import (
    Assessment,
    Attention,
    DivergenceEstimate,
    Flag,
    Level,
    Patient,
    Phenotype,
)
from monitoring.selectors.divergence import estimate_latest
from monitoring.selectors.measured import MeasuredRun
from monitoring.selectors.methods import not_followed
from monitoring.selectors.observations import Point, patient_scans, point_list
from volumetry.models import Outcome, Status, VolumetryRun

# A sparkline shows no more than its pixels can.
GLANCE_POINTS = 40


def worklist_refresh(patient: Patient) -> None:
    """Write what the worklist sorts and shows of a patient; safe to repeat."""
    patient.refresh_from_db(fields=["divergence_error"])
    scans = patient_scans(patient)
    points = point_list(scans)
    usable = [p for p in points if p.is_trend and p.quality is not None and not p.is_rejected]
    estimate = estimate_latest(patient)
    last_scan_on = max((scan.when for scan in scans), default=None)
    waiting = _waiting(points, [run for scan in scans for run in scan.finished])
    failed = _failed(patient, last_scan_on)
    attention = _attention(
        patient, estimate, has_scan=bool(scans), waiting=waiting, failed=failed
    )
    Patient.objects.filter(pk=patient.pk).update(
        attention=attention,
        attention_score=_score(attention, estimate),
        level="uncomputed" if patient.divergence_error else _level(estimate),
        last_scan_on=last_scan_on,
        scans_waiting=waiting,
        runs_failed=failed,
        glance=_glance(patient, estimate, usable),
    )


def _level(estimate: DivergenceEstimate | None) -> str:
    """Return the level that counts; without any estimate nothing can be said."""
    return estimate.level if estimate else Level.INSUFFICIENT.value


def _waiting(points: Sequence[Point], runs: Sequence[MeasuredRun]) -> int:
    """Count newest runs that a person must look at: a failed check, or a missing level."""
    of_points = {point.run_id for point in points if point.waits_for_reader}
    newest = {(run.image_id, *run.task): run for run in runs}
    of_levels = {
        run.pk
        for run in newest.values()
        if run.outcome == Outcome.NEEDS_LANDMARK and run.review is None
    }
    return len(of_points | of_levels)


def _failed(patient: Patient, last_scan_on: date | None) -> int:
    """Count newest runs that failed; what is not measurable counts on the last scans only.

    A brain image that ends above the neck is refused for the cord every time: that is routine,
    except on the day when somebody may still repeat the scan. Two scans that do not pair are
    routine too.
    """
    of_patient = VolumetryRun.objects.filter(
        image__scan__session__visit__patient=patient
    ).exclude(not_followed(patient.clinic))
    newest: dict[tuple[Any, str, Any], tuple[str, str, date]] = {}
    for image, method, before, status, outcome, day in of_patient.order_by(
        "created_at"
    ).values_list(
        "image_id", "method", "before_id", "status", "outcome",
        "image__scan__session__visit__date",
    ):  # fmt: skip
        newest[image, method, before] = (status, outcome, day)
    return sum(
        status == Status.FAILED
        or (outcome == Outcome.REFUSED and day == last_scan_on and before is None)
        for (_, _, before), (status, outcome, day) in newest.items()
    )


def _attention(
    patient: Patient,
    estimate: DivergenceEstimate | None,
    *,
    has_scan: bool,
    waiting: int,
    failed: int,
) -> Attention:
    """Say why the patient stands where."""
    stated = patient.phenotypes.current().last()
    if stated is not None and stated.phenotype == Phenotype.HC:
        return Attention.CONTROL if has_scan else Attention.CONTROL_NO_SCAN
    by_level = _attention_of_level(_level(estimate), patient.flags.first())
    rules = (
        (bool(patient.divergence_error), Attention.NOT_COMPUTED),
        (by_level is not None, by_level),
        (waiting > 0, Attention.WAITING),
        (failed > 0, Attention.FAILED),
        (not has_scan, Attention.NO_SCAN),
    )
    return next((why for holds, why in rules if holds and why), Attention.ROUTINE)


def _attention_of_level(level: str, latest: Flag | None) -> Attention | None:
    """Return what level and latest change ask for."""
    is_new = latest is not None and latest.acknowledged_at is None
    if level == Level.FLAG:
        return Attention.NEW_FLAG if is_new else Attention.FLAG
    if level == Level.WATCH:
        return Attention.NEW_WATCH if is_new else Attention.WATCH
    fell = latest is not None and latest.old_level in {Level.WATCH, Level.FLAG}
    return Attention.CHANGED if is_new and fell else None


def _score(attention: Attention, estimate: DivergenceEstimate | None) -> float:
    """Return the larger chance where the level orders the rows, else 0."""
    if estimate is None or attention > Attention.WATCH:
        return 0.0
    return max(estimate.p_faster_than_1 or 0.0, estimate.p_change or 0.0)


def _gaps(needs: Mapping[str, Any]) -> list[str]:
    """Return in few words what a statement is missing.

    ``needs`` is that of the last one (`monitoring.core.types.Needs`), empty without one.
    """
    scans = {region: int(needs.get(f"{region.value}_scans") or 0) for region in Region}
    wanted = [
        f"{count} {region.value} scan{'s' if count > 1 else ''}"
        for region, count in scans.items()
        if count
    ]
    if needs.get("years"):
        wanted.append(f"{needs['years']:.1f} y of follow-up")
    if needs.get("cord_pair_on_one_epoch"):
        wanted.append("2 cord scans on one scanner")
    return wanted


def _glance(
    patient: Patient, estimate: DivergenceEstimate | None, usable: Sequence[Point]
) -> dict[str, Any]:
    """Return the numbers of a row."""
    edss = Assessment.objects.current().filter(visit__patient=patient).order_by("visit__date")
    last = edss.values_list("edss", "visit__date").last()
    now = estimate.payload.get("now", {}) if estimate else {}
    numbers = (
        "d_percent_per_year", "d_low", "d_high", "p_faster_than_1", "p_change",
        "brain_percent_per_year", "cord_percent_per_year", "first_raised", "reason",
    )  # fmt: skip
    return {
        **{name: now.get(name) for name in numbers},
        "gaps": _gaps(now.get("needs", {})),
        "edss": float(last[0]) if last else None,
        "edss_on": last[1].isoformat() if last else None,
        **{region.value: _line(usable, region) for region in Region},
    }


def _line(usable: Sequence[Point], region: Region) -> list[list[Any]]:
    """Return one region's course, [day, percent of the first value], for the sparkline."""
    own = [point for point in usable if point.region is region]
    return [
        [point.when.isoformat(), round(100 * point.value / own[0].value, 2)] for point in own
    ][-GLANCE_POINTS:]
