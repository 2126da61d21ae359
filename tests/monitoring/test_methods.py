"""One version at a time: measured again beside the old one, switched in one step, and back."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.urls import reverse

from monitoring.models import AuditEntry, Clinic, MethodChoice, Patient, Review, Role, Slot
from monitoring.selectors.cohort_data import cohort_of
from monitoring.selectors.measured import measured_scans
from monitoring.selectors.methods import (
    active_methods,
    method_states,
    not_followed,
    run_counts,
)
from monitoring.selectors.registry import measurements_of_scans, scans_of
from monitoring.selectors.reviews import review_queue
from monitoring.selectors.timelines import Timeline, timeline_of
from monitoring.services.divergence import divergence_refresh
from monitoring.services.methods import method_switch, remeasure_request
from monitoring.services.pairs import pairs_ensure
from monitoring.services.reviews import measurement_review
from tests.factories.record import member_make, patient_make, run_make, scan_make
from volumetry.core.methods import Availability, CordRequest
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
from volumetry.engines.registry import METHODS
from volumetry.models import Status, VolumetryRun
from volumetry.services import run_execute, run_next, run_request, runs_sweep

OLD, NEW = "1.0", "2.0"
DAYS = [date(2020, 5, 1), date(2021, 5, 1), date(2022, 5, 1)]


class SecondVersion:
    """Another version of an engine: reads two per cent more, and remembers what was asked."""

    description = "For tests."
    version = NEW

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[CordRequest | None] = []

    def availability(self) -> Availability:
        return Availability(is_ready=True)

    def measure(
        self, image: ScanImage, *, workdir: Path, request: CordRequest | None = None
    ) -> VolumetryResult:
        self.requests.append(request)
        measure = StructureMeasure(
            Structure.BRAIN_PARENCHYMA, Quantity.VOLUME, 1.122e6, Unit.MM3, 4000.0
        )
        return VolumetryResult(
            Outcome.OK,
            None,
            (measure,),
            (QualityCheck("looked", 1.0, 1.0, Verdict.PASS),),
            Provenance(self.name, self.version, {}, image.sha256),
            0.1,
        )


@pytest.fixture(autouse=True)
def engine(monkeypatch) -> SecondVersion:
    second = SecondVersion("neuraxis-brain")
    monkeypatch.setitem(METHODS, second.name, second)
    image = ScanImage(np.zeros((4, 4, 4), np.float32), np.eye(4), "ab" * 32)
    monkeypatch.setattr("volumetry.measuring.image_load", lambda _path: image)
    return second


@pytest.fixture
def manager(vltava: Clinic):
    return member_make("manager", vltava, Role.DATA_MANAGER)


@pytest.fixture
def patient(vltava: Clinic) -> Patient:
    """Three scans, measured with the old version, which the clinic follows."""
    patient = patient_make(vltava, "P-1")
    for day in DAYS:
        run_make(
            scan_make(patient, day),
            "neuraxis-brain",
            measures={("brain_parenchyma", "volume"): 1.1e6, ("intracranial", "volume"): 1.5e6},
            version=OLD,
            parameters={"contrast": "t1"},
        )
    MethodChoice.objects.create(
        clinic=vltava, slot=Slot.BRAIN, method="neuraxis-brain", version=OLD
    )
    return patient


def course(patient: Patient) -> Timeline:
    return timeline_of(Patient.objects.get(pk=patient.pk), today=date(2024, 1, 1))


def versions(patient: Patient) -> list[str]:
    return [point.version for point in course(patient).points]


def brain_state(manager, clinic: Clinic):
    states = {state.slot: state for state in method_states(manager, clinic)}
    return next(one for one in states[Slot.BRAIN].others if one.version == NEW)


def measure_waiting() -> None:
    for run in VolumetryRun.objects.filter(status=Status.QUEUED):
        run_execute(run.pk)


def remeasure(manager, clinic: Clinic, **more) -> int:
    return remeasure_request(
        actor=manager, clinic=clinic, slot="brain", method="neuraxis-brain", **more
    )


def switch(manager, clinic: Clinic, version: str, **more):
    return method_switch(
        actor=manager,
        clinic=clinic,
        slot="brain",
        method="neuraxis-brain",
        version=version,
        **more,
    )


def test_the_first_measurement_decides_what_is_followed(vltava: Clinic):
    scan = scan_make(patient_make(vltava), DAYS[0])
    run_execute(run_request(image=scan.image, method="neuraxis-brain").pk)

    assert active_methods(vltava.pk) == {"brain": ("neuraxis-brain", NEW)}


def test_a_new_version_measures_beside_the_old_one(vltava, patient, manager, engine):
    asked = remeasure(manager, vltava)
    state = brain_state(manager, vltava)

    assert asked == 3
    assert (state.wanted, state.measured, state.waiting, state.share_percent) == (3, 0, 3, 0)
    with pytest.raises(ValidationError, match="asked for all of it already"):
        remeasure(manager, vltava)
    measure_waiting()

    state = brain_state(manager, vltava)
    assert (state.measured, state.share_percent, state.is_complete) == (3, 100, True)
    assert state.mean_percent == pytest.approx(2.0)
    assert state.sd_percent == pytest.approx(0.0, abs=1e-9)
    assert versions(patient) == [OLD, OLD, OLD]
    assert {str(request.contrast) for request in engine.requests} == {"t1"}


def test_the_cohort_reads_the_followed_version_alone(vltava, patient, manager):
    remeasure(manager, vltava)
    measure_waiting()

    cohort = cohort_of(vltava)
    assert [kind.version for kind in cohort.kinds] == [OLD]
    assert len(cohort.readings.day) == len(DAYS)

    switch(manager, vltava, NEW)
    assert [kind.version for kind in cohort_of(vltava).kinds] == [NEW]


def test_the_switch_moves_every_point_at_once_and_back(vltava, patient, manager):
    remeasure(manager, vltava)
    measure_waiting()
    divergence_refresh(patient.pk)
    before = Patient.objects.get(pk=patient.pk).facts_changed_at

    touched = switch(manager, vltava, NEW)

    assert touched == [patient.pk]
    assert versions(patient) == [NEW, NEW, NEW]
    assert course(patient).is_out_of_date
    assert Patient.objects.get(pk=patient.pk).facts_changed_at > before
    assert {p.series.rsplit("/", 1)[1] for p in course(patient).points} == {NEW}
    switch(manager, vltava, OLD)
    assert versions(patient) == [OLD, OLD, OLD]
    told = AuditEntry.objects.filter(subject="method").order_by("pk")
    assert [entry.detail for entry in told] == [
        "brain: 3 asked for with neuraxis-brain 2.0",
        "brain: neuraxis-brain 1.0 to neuraxis-brain 2.0, 0 left out",
        "brain: neuraxis-brain 2.0 to neuraxis-brain 1.0, 0 left out",
    ]


def test_what_is_missing_must_be_agreed_to(vltava, patient, manager):
    other = patient_make(vltava, "P-2")
    run_make(
        scan_make(other, DAYS[0]),
        "neuraxis-brain",
        measures={("brain_parenchyma", "volume"): 1.2e6},
        version=OLD,
    )
    assert remeasure(manager, vltava, patient=patient) == 3
    measure_waiting()

    with pytest.raises(ValidationError, match="1 measurement of the version in use is missing"):
        switch(manager, vltava, NEW)
    assert active_methods(vltava.pk)["brain"] == ("neuraxis-brain", OLD)

    switch(manager, vltava, NEW, leaves_out=1)
    assert MethodChoice.objects.last().left_out == 1
    assert course(other).points == ()
    assert "1 scan measured with neuraxis-brain 1.0 only" in course(other).notes[0]


def test_a_landmark_that_is_needed_is_missing_on_the_trend(vltava, patient, manager):
    scan = VolumetryRun.objects.get(image__scan__session__visit__date=DAYS[0]).image.scan
    run_make(scan, "neuraxis-brain", version=NEW, outcome=Outcome.NEEDS_LANDMARK)

    state = brain_state(manager, vltava)

    assert (state.measured, state.refused, state.missing) == (0, 1, 3)


@pytest.mark.parametrize(
    ("version", "words"), [("3.0", "measured nothing here"), (OLD, "follows .* already")]
)
def test_a_switch_to_nothing_is_refused(vltava, patient, manager, version, words):
    with pytest.raises(ValidationError, match=words):
        switch(manager, vltava, version)


def test_a_new_scan_under_an_old_choice_says_that_it_is_off_the_trend(vltava, patient):
    scan = scan_make(patient, date(2023, 5, 1))
    run_execute(run_request(image=scan.image, method="neuraxis-brain").pk)

    assert versions(patient) == [OLD, OLD, OLD]
    assert course(patient).notes[0] == (
        "1 scan measured with neuraxis-brain 2.0 only: not on the trend, which follows "
        "neuraxis-brain 1.0."
    )


@pytest.mark.parametrize(
    ("reason", "stays_out"),
    [(Review.Reason.ARTIFACT, True), (Review.Reason.IDENTITY, True), ("outline", False)],
)
def test_what_was_wrong_with_the_image_stays_wrong(
    vltava, patient, manager, bob, reason, stays_out
):
    run = VolumetryRun.objects.order_by("created_at").first()
    measurement_review(actor=bob, run=run, verdict="rejected", reason=reason)
    remeasure(manager, vltava)
    measure_waiting()
    switch(manager, vltava, NEW)

    assert course(patient).points[0].is_rejected is stays_out


def test_drawn_numbers_keep_their_own_method(vltava, patient):
    drawn = scan_make(patient, date(2019, 5, 1))
    type(drawn.image).objects.filter(pk=drawn.image_id).update(file="", is_synthetic=True)
    run_make(drawn, "synthetic-brain", measures={("brain_parenchyma", "volume"): 1.1e6})

    assert course(patient).points[0].method == "synthetic-brain"


def test_query_and_rule_leave_out_the_same_runs(vltava, patient, manager):
    remeasure(manager, vltava)
    measure_waiting()
    scan = VolumetryRun.objects.first().image.scan
    run_make(scan, "neuraxis-cord", measures={("cord_segment", "mean_csa"): 70.0})
    active = active_methods(vltava.pk)
    left_out = set(
        VolumetryRun.objects.filter(not_followed(vltava)).values_list("pk", flat=True)
    )

    assert left_out == {
        run.pk
        for scan in measured_scans(clinic=vltava)
        for run in scan.runs
        if not run_counts(run, active)
    }
    assert len(left_out) == 3


def test_readers_and_registries_see_the_followed_version(vltava, patient, manager, alice):
    remeasure(manager, vltava)
    measure_waiting()
    scans = list(scans_of(alice))

    assert {run.method_version for run in review_queue(manager, vltava)} == {OLD}
    rows, gone = measurements_of_scans(scans)
    assert {row.method_version for row in rows} == {OLD}
    switch(manager, vltava, NEW)
    rows_then, gone_then = measurements_of_scans(list(scans_of(alice)))
    assert {row.method_version for row in rows_then} == {NEW}
    assert {row.id for row in rows} <= {stone.id for stone in gone_then}
    assert {row.id for row in rows_then} == {stone.id for stone in gone}


def test_the_baseline_intracranial_volume_is_the_first_that_counts(vltava, patient, bob):
    first, second = VolumetryRun.objects.order_by("image__scan__session__visit__date")[:2]
    skull = course(patient).intracranial
    assert (skull.when, skull.value_mm3, skull.is_confirmed) == (DAYS[0], 1.5e6, False)
    assert course(patient).points[2].normalised_percent == pytest.approx(100 * 1.1 / 1.5)

    measurement_review(actor=bob, run=first, verdict="rejected", reason="artifact")
    measurement_review(actor=bob, run=second, verdict="accepted")

    skull = course(patient).intracranial
    assert (skull.when, skull.is_confirmed) == (DAYS[1], True)


def test_only_manager_and_administrator_may(vltava, patient, bob):
    with pytest.raises(PermissionDenied):
        remeasure(bob, vltava)
    with pytest.raises(PermissionDenied):
        switch(bob, vltava, NEW)


def test_the_page_measures_shows_progress_and_switches(client, vltava, patient, manager):
    client.force_login(manager)
    page = client.get(reverse("method_list")).text
    assert "Trends follow <strong>neuraxis-brain 1.0</strong>" in page
    assert "Has measured nothing of 3 yet." in page
    about = {"slot": "brain", "method": "neuraxis-brain"}

    client.post(reverse("method_remeasure"), {**about, "patient": "nobody"})
    assert not VolumetryRun.objects.filter(method_version=NEW).exists()
    client.post(reverse("method_remeasure"), {**about, "patient": "p-1"})
    page = client.get(reverse("method_list")).text
    assert 'hx-trigger="every 5s"' in page
    assert "3 wait or are being measured" in page
    measure_waiting()
    done = client.get(reverse("method_progress")).text
    assert "hx-trigger" not in done
    assert "3 of 3 measured (100 %)" in done
    assert "+2.00 %" in done
    client.post(reverse("method_switch"), {**about, "version": NEW})
    assert versions(patient) == [NEW, NEW, NEW]
    assert "by manager" in client.get(reverse("method_list")).text


def test_changes_of_the_followed_version_are_not_repeated(vltava, patient, doorbell):
    MethodChoice.objects.create(
        clinic=vltava, slot=Slot.BRAIN_CHANGE, method="neuraxis-change", version="old"
    )
    for run in pairs_ensure(patient.pk):
        VolumetryRun.objects.filter(pk=run.pk).update(method_version="old", status="cancelled")

    assert pairs_ensure(patient.pk) == []


def test_a_visit_goes_before_a_clinic_measured_again(vltava, patient, manager, settings):
    settings.RUN_BACKGROUND_AT_ONCE = 2
    remeasure(manager, vltava)
    background = runs_sweep()
    scan = scan_make(patient, date(2023, 5, 1))
    urgent = run_request(image=scan.image, method="neuraxis-brain")

    assert len(background) == 2
    assert runs_sweep() == [urgent.pk]
    assert run_next(background[0]) == urgent.pk
    assert run_next(urgent.pk) == urgent.pk
    run_execute(urgent.pk)
    assert run_next(background[0]) == background[0]
