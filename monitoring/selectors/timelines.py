"""The whole course of one patient: what the page draws and the API tells, read once.

Page, table, CSV and API read `patient_timeline`, so that they cannot disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

from monitoring.core.outcomes import Outcomes
from monitoring.core.types import Region
from monitoring.models import (
    FUNCTIONAL_SYSTEMS,
    Assessment,
    Clinic,
    DivergenceEstimate,
    Flag,
    Grant,
    Patient,
    PhenotypePeriod,
    Relapse,
    Treatment,
)
from monitoring.selectors.caveats import Caveat, caveat_list, sdc_percent
from monitoring.selectors.changes import Change, NotCompared, change_list
from monitoring.selectors.divergence import estimate_latest
from monitoring.selectors.measured import MeasuredScan
from monitoring.selectors.methods import (
    Active,
    active_methods,
    measured_differently,
    run_counts,
)
from monitoring.selectors.normalisation import BaselineIntracranial, baseline_intracranial
from monitoring.selectors.observations import (
    Point,
    cord_choice,
    patient_scans,
    point_list,
)
from monitoring.selectors.outcomes import patient_outcomes
from monitoring.selectors.parameters import SetInForce, set_in_force
from monitoring.selectors.states import PatientState, patient_state
from monitoring.selectors.timeline_points import (
    DIP_DAYS,
    STEROID_DAYS,
    EdssStep,
    ScannerChange,
    TimelinePoint,
    TimelineScan,
    days_after,
    points_in_percent,
    scan_ledger,
    scanner_changes,
)

if TYPE_CHECKING:
    from monitoring.models.people import Actor


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Everything about one patient that the page draws and the API tells.

    Changes and ledger are worked out when somebody asks: the first sight of the page does not.
    """

    patient: Patient
    clinic: Clinic
    today: date
    points: tuple[TimelinePoint, ...]
    other_points: tuple[Point, ...]
    measured: tuple[MeasuredScan, ...]
    every_point: tuple[Point, ...]
    active: Active
    intracranial: BaselineIntracranial | None
    edss: tuple[EdssStep, ...]
    relapses: tuple[Relapse, ...]
    treatments: tuple[Treatment, ...]
    phenotypes: tuple[PhenotypePeriod, ...]
    scanner_changes: tuple[ScannerChange, ...]
    estimate: DivergenceEstimate | None
    in_force: SetInForce
    outcomes: Outcomes
    state: PatientState
    cord_reason: str
    now: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    sdc_percent: Mapping[Region, float] = field(default_factory=dict)
    is_out_of_date: bool = False

    def region(self, region: Region) -> list[TimelinePoint]:
        """Return the points of one region, oldest first."""
        return [point for point in self.points if point.region is region]

    def paired_scans(self, region: Region) -> frozenset[UUID]:
        """Return the scans of a region that a usable change between two scans rests on."""
        return frozenset(
            scan
            for point in self.other_points
            if point.since
            and point.region is region
            and point.quality
            and not point.is_rejected
            for scan in (point.scan_id, point.before_scan_id)
            if scan
        )

    def baseline(self, region: Region) -> float | None:
        """Return the value that is 100 %, or None without a usable one."""
        return next((p.value for p in self.region(region) if p.is_usable), None)

    @cached_property
    def _compared(self) -> tuple[tuple[Change, ...], tuple[NotCompared, ...]]:
        runs = [r for scan in self.measured for r in scan.runs if run_counts(r, self.active)]
        return change_list(self.measured, self.every_point, runs)

    @property
    def changes(self) -> tuple[Change, ...]:
        """Return the changes that are wanted between two scans, with where each stands."""
        return self._compared[0]

    @cached_property
    def scans(self) -> tuple[TimelineScan, ...]:
        """Return the ledger, newest scan first."""
        return scan_ledger(self.measured, self.points, self.active, *self._compared)

    @property
    def age_years(self) -> int | None:
        """Return the age by birth year, all that is known."""
        born = self.patient.birth_year
        return self.today.year - born if born else None

    @property
    def years_since_onset(self) -> float | None:
        """Return the years since the first symptoms."""
        onset = self.patient.onset_date
        return (self.today - onset).days / 365.25 if onset else None

    @property
    def phenotype(self) -> PhenotypePeriod | None:
        """Return the phenotype that was stated last."""
        return self.phenotypes[-1] if self.phenotypes else None

    @property
    def edss_now(self) -> EdssStep | None:
        """Return the last EDSS."""
        return self.edss[-1] if self.edss else None

    @property
    def treatments_now(self) -> list[Treatment]:
        """Return the treatments that have not ended."""
        return [t for t in self.treatments if t.ends_on is None or t.ends_on >= self.today]

    @property
    def trajectory(self) -> Mapping[str, Any] | None:
        """Return the fitted lines; none where the level is ``insufficient``.

        Below the minimum of data a posterior only echoes its prior and is not shown.
        """
        if self.estimate is None or self.estimate.level == "insufficient":
            return None
        lines: Mapping[str, Any] | None = self.now.get("trajectory")
        return lines


def patient_timeline(actor: "Actor", pk: UUID, *, today: date | None = None) -> Timeline:
    """Return the course of a patient of the actor's clinics.

    Raises
    ------
    Patient.DoesNotExist
        If the actor may not read such a patient.
    """
    visible = Patient.objects.visible_to(actor, grant=Grant.PATIENT_READ)
    patient = visible.select_related("clinic").get(pk=pk)
    return timeline_of(patient, today=today or date.today())  # noqa: DTZ011 - a calendar day


def timeline_of(patient: Patient, *, today: date) -> Timeline:
    """Return the course of a patient whom the caller may read."""
    active = active_methods(patient.clinic_id)
    scans = patient_scans(patient, active=active)
    every = point_list(scans)
    relapses = tuple(patient.relapses.current())
    treatments = tuple(patient.treatments.current())
    estimate = estimate_latest(patient)
    payload = estimate.payload if estimate else {}
    now = payload.get("now", {})
    skull = baseline_intracranial(every)
    trend = [p for p in every if p.is_trend]
    points = points_in_percent(trend, now=now, relapses=relapses, skull=skull)
    changes = scanner_changes(points)
    all_runs = [run for scan in scans for run in scan.runs]
    in_force = set_in_force(patient.clinic_id)
    edss = _edss(patient, relapses)
    choice = cord_choice(every)
    return Timeline(
        patient=patient,
        clinic=patient.clinic,
        today=today,
        points=points,
        other_points=tuple(p for p in every if not p.is_trend),
        measured=tuple(scans),
        every_point=tuple(every),
        active=active,
        intracranial=skull,
        edss=edss,
        relapses=relapses,
        treatments=treatments,
        phenotypes=tuple(patient.phenotypes.current()),
        scanner_changes=changes,
        estimate=estimate,
        in_force=in_force,
        outcomes=patient_outcomes(patient, edss, relapses, now),
        state=patient_state(
            patient, points, {scan.pk: scan.sequence for scan in scans}, in_force
        ),
        cord_reason=choice.reason if choice else "",
        now=now,
        history=tuple(payload.get("history", ())),
        notes=(
            *measured_differently(all_runs, active),
            *_notes(now, every),
        ),
        flags=tuple(
            patient.flags.select_related("acknowledged_by", "estimate").defer(
                "estimate__payload"
            )
        ),
        caveats=tuple(
            caveat_list(
                patient=patient,
                points=[p for p in points if p.is_usable],
                contrasts={scan.pk: scan.sequence_words for scan in scans},
                changes=[change.when for change in changes],
                treatments=_felt_starts(treatments, points),
                disturbed=_disturbed(relapses, points),
                now=now,
                parameters=in_force.parameters,
            )
        ),
        sdc_percent=sdc_percent(in_force.parameters),
        is_out_of_date=is_out_of_date(patient),
    )


def is_out_of_date(patient: Patient) -> bool:
    """Say whether a fact changed after the divergence was last computed."""
    changed: datetime | None = patient.facts_changed_at
    checked: datetime | None = patient.divergence_checked_at
    return changed is not None and (checked is None or checked < changed)


def _edss(patient: Patient, relapses: Sequence[Relapse]) -> tuple[EdssStep, ...]:
    """Return the EDSS that count, oldest first."""
    onsets = [relapse.onset for relapse in relapses]
    rows = Assessment.objects.current().filter(visit__patient=patient).order_by("visit__date")
    return tuple(
        EdssStep(
            pk=pk,
            when=when,
            edss=edss,
            systems={
                name: score
                for name, score in zip(FUNCTIONAL_SYSTEMS, scores, strict=True)
                if score is not None
            },
            days_after_relapse=days_after(when, onsets),
        )
        for pk, when, edss, *scores in rows.values_list(
            "pk", "visit__date", "edss", *FUNCTIONAL_SYSTEMS
        )
    )


def _notes(now: Mapping[str, Any], points: Sequence[Point]) -> tuple[str, ...]:
    """Return the model's notes with the epochs named as the clinic names them."""
    names = {point.series: f"“{point.epoch_label}”" for point in points}
    notes = []
    for note in now.get("notes", ()):
        text = str(note)
        for key, label in names.items():
            text = text.replace(key, label)
        notes.append(text)
    return tuple(notes)


def _disturbed(
    relapses: Sequence[Relapse], points: Sequence[TimelinePoint]
) -> list[tuple[date, int]]:
    """Return usable scans soon after a relapse or steroids, with the days since."""
    steroids = [relapse.steroids_on for relapse in relapses if relapse.steroids_on]
    found: dict[date, int] = {}
    for point in points:
        since = [(point.when - day).days for day in steroids]
        near = [days for days in since if 0 <= days <= STEROID_DAYS]
        if point.days_after_relapse is not None:
            near.append(point.days_after_relapse)
        if near and point.is_usable:
            found[point.when] = min(near)
    return sorted(found.items())


def _felt_starts(
    treatments: Sequence[Treatment], points: Sequence[TimelinePoint]
) -> list[date]:
    """Return treatment starts that a usable scan followed within the months of the dip."""
    days = [point.when for point in points if point.is_usable]
    starts = {treatment.starts_on for treatment in treatments}
    return [
        start
        for start in sorted(starts)
        if any(start <= day <= start + timedelta(days=DIP_DAYS) for day in days)
    ]
