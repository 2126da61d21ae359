"""Who of a clinic can teach the model: reference patients, healthy controls; and who cannot."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from monitoring.core.divergence import PatientRecord, inputs_digest
from monitoring.core.errors import MonitoringError
from monitoring.core.norms import ControlScan, MeasureFacts, Sex
from monitoring.core.observations import (
    observation_series,
    unit_doubt,
    usable_observations,
)
from monitoring.core.parameter_set import Parameters
from monitoring.core.series import Series
from monitoring.core.spms import ScoredVisit, spms_onset
from monitoring.core.types import Region
from monitoring.core.worsening import EdssVisit, confirmed_worsenings
from monitoring.models import Assessment, Clinic, Patient, Phenotype, Review
from monitoring.selectors.observations import (
    Point,
    event_list,
    observation_list,
    patient_scans,
    point_list,
)

# Courses that are progression by their name.
PROGRESSIVE = {Phenotype.SPMS, Phenotype.PPMS}
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Reference:
    """What a refit is made from.

    Attributes
    ----------
    patients, controls : list of Series
        Accepted measurements only.
    digests : list of str
        One per series: the same inputs give the same proposal.
    left_out : Counter
        Why people were left out, in words, with their number.
    control_scans : dict
        First accepted value of each control, by region and by how it was measured.
    records : list
        Every patient (not control) with any usable value, as the levels are computed from.
    epochs : dict
        Name of each epoch in the set, in the clinic's words.
    """

    patients: list[Series] = field(default_factory=list)
    controls: list[Series] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    control_scans: dict[Region, dict[MeasureFacts, list[ControlScan]]] = field(
        default_factory=dict
    )
    records: list[tuple[UUID, PatientRecord]] = field(default_factory=list)
    epochs: dict[str, str] = field(default_factory=dict)


def reference_of(clinic: Clinic, *, base: Parameters, progress: Progress) -> Reference:
    """Read everybody of a clinic; ``progress`` is told (people read, people)."""
    found = Reference()
    people = list(Patient.objects.filter(clinic=clinic).order_by("pk"))
    for number, patient in enumerate(people):
        _read(patient, found, base)
        progress(number + 1, len(people))
    return found


def _read(patient: Patient, found: Reference, base: Parameters) -> None:
    """Sort one person in."""
    scans = patient_scans(patient)
    points = point_list(scans)
    events = event_list(patient)
    courses = set(patient.phenotypes.current().values_list("phenotype", flat=True))
    is_control = Phenotype.HC in courses
    observations = observation_list(points)
    try:
        used, _ = usable_observations(observations)
    except MonitoringError:
        found.left_out["a value that no brain or cord can have"] += 1
        return
    if used:
        found.records.append((patient.pk, (observations, events)))
    accepted = [p for p in points if p.is_trend and p.verdict == Review.Verdict.ACCEPTED]
    taught, _ = usable_observations(observation_list(accepted))
    reason = "" if is_control else _progression(patient, courses)
    if not taught or taught[0].when == taught[-1].when:
        reason = reason or "accepted measurements on fewer than two dates"
    if unit_doubt(taught):
        reason = reason or "values that differ by more than a factor of 3"
    if reason:
        who = "controls" if is_control else "patients"
        found.left_out[f"{who}: {reason}"] += 1
    else:
        series = observation_series(taught, events)
        (found.controls if is_control else found.patients).append(series)
        kind = "control" if is_control else "patient"
        found.digests.append(f"{kind} {inputs_digest(taught, events, parameters=base)}")
        found.epochs |= {p.series: f"{p.epoch_label}, {p.method} {p.version}" for p in accepted}
    if is_control:
        contrasts = {scan.pk: scan.sequence for scan in scans}
        _first_values(patient, accepted, contrasts, found)


def _progression(patient: Patient, courses: set[str]) -> str:
    """Return which label of progression a patient has, or nothing."""
    if courses & PROGRESSIVE:
        return "stated as SPMS or PPMS"
    rows = Assessment.objects.current().filter(visit__patient=patient)
    scores = list(rows.order_by("visit__date").values_list("visit__date", "edss"))
    onsets = list(patient.relapses.current().values_list("onset", flat=True))
    if confirmed_worsenings([EdssVisit(day, float(edss)) for day, edss in scores], onsets):
        return "a confirmed disability worsening"
    if spms_onset([ScoredVisit(day, float(edss)) for day, edss in scores], onsets).onset:
        return "SPMS by the rule of Lorscheider 2016"
    return ""


def _first_values(
    patient: Patient,
    accepted: Sequence[Point],
    contrasts: dict[UUID, str],
    found: Reference,
) -> None:
    """Keep a control's first value of each region for the norms."""
    if patient.birth_year is None or patient.sex not in set(Sex):
        found.left_out["controls, from the norms: sex or birth year is missing"] += 1
        return
    for region in Region:
        first = next((p for p in accepted if p.region is region), None)
        if first is None:
            continue
        facts = facts_of(first, contrasts[first.scan_id])
        scan = ControlScan(
            value=first.value, age=first.when.year - patient.birth_year, sex=Sex(patient.sex)
        )
        found.control_scans.setdefault(region, {}).setdefault(facts, []).append(scan)


def facts_of(point: Point, contrast: str) -> MeasureFacts:
    """Return how a value was measured, as a norm asks."""
    return MeasureFacts(
        structure=point.structure, method=f"{point.method} {point.version}", contrast=contrast
    )
