"""The demo: honest rows, one start, no process left behind, never beside real clinics."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client

from monitoring.core.parameter_set import literature_defaults
from monitoring.demo.accounts import ACCOUNTS
from monitoring.demo.courses import Course, course_draw
from monitoring.demo.events import SYSTEMS_OF_STEP, edss_step
from monitoring.demo.phantom_patients import (
    PATIENTS,
    _patient_ensure,
    _visit_upload,
    phantom_patients_ensure,
)
from monitoring.demo.processes import (
    Child,
    PortTaken,
    children_end,
    port_check,
    workers_start,
)
from monitoring.demo.seeding import (
    SEED,
    DemoRefused,
    demo_check,
    demo_seed,
    divergence_compute,
    patients_of,
)
from monitoring.demo.stories import CLINICS, PLOTS, Story
from monitoring.demo.truth import truth_rows
from monitoring.models import (
    EDSS_STEPS,
    FUNCTIONAL_SYSTEMS,
    Clinic,
    DivergenceEstimate,
    Level,
    Membership,
    Patient,
    Phenotype,
    Role,
    Scan,
)
from monitoring.selectors.parameters import set_in_force
from monitoring.selectors.timelines import timeline_of
from tests.factories.record import clinic_make, scan_make
from volumetry.core.errors import NotMeasurable
from volumetry.engines.registry import METHODS
from volumetry.measuring import run_measure
from volumetry.models import Measurement, SourceImage, VolumetryRun

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 3, 1)


def silent(_words: str) -> None:
    """Say nothing."""


@pytest.fixture
def demo_mode(settings, db) -> None:
    settings.DEMO_MODE = True
    settings.DEMO_PASSWORD = "neuraxis-demo"


@pytest.fixture
def seeded(demo_mode) -> None:
    demo_seed(today=TODAY, say=silent)


def every_course() -> list[Course]:
    return [
        course_draw(
            story,
            number=number,
            rng=np.random.default_rng([SEED, index, list(Story).index(story), number]),
            today=TODAY,
        )
        for index, plan in enumerate(CLINICS)
        for story, number, _ in patients_of(plan)
    ]


# --- Where the demo may run -----------------------------------------------------------------


def test_the_seed_is_refused_outside_a_demo(db):
    with pytest.raises(CommandError, match="only in demo mode"):
        call_command("seed_demo")
    assert not Clinic.objects.exists()


def test_the_seed_does_not_touch_a_database_with_real_clinics(demo_mode):
    clinic_make("A real clinic")

    with pytest.raises(DemoRefused, match="not synthetic"):
        demo_check()


def test_a_taken_port_is_said_in_one_sentence():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"Port {port} cannot be used .* PORT=8000"):
            port_check(port)


# --- What is in it --------------------------------------------------------------------------


def test_a_second_seed_changes_nothing(seeded):
    before = (Patient.objects.count(), VolumetryRun.objects.count(), Membership.objects.count())
    said: list[str] = []

    demo_seed(today=TODAY + timedelta(days=1), say=said.append)

    after = (Patient.objects.count(), VolumetryRun.objects.count(), Membership.objects.count())
    assert after == before
    assert said == ["The demo clinics are here already."]


def test_about_sixty_patients_and_fifty_controls_tell_every_story(seeded):
    stories = list(Patient.objects.values_list("story", flat=True))

    assert set(stories) == {story.value for story in Story}
    assert stories.count(Story.CONTROL.value) == 53
    assert 55 <= len(stories) - 53 <= 65


def test_a_clinic_with_enough_synthetic_controls_has_norms_and_shows_the_state(seeded):
    large, small = (Clinic.objects.get(name=plan.name) for plan in CLINICS)
    in_force = set_in_force(large.pk)

    assert {norm.facts.structure for norm in in_force.norms} == {
        "brain_parenchyma", "cord_pmj_64mm",
    }  # fmt: skip
    assert all(norm.people >= 40 for norm in in_force.norms)
    assert "synthetic" in large.adoptions.get().reason
    # Seven controls make no norm: nothing is adopted, and the page says why there is none.
    assert set_in_force(small.pk).set_pk is None
    # Levels rest on the literature defaults in both.
    assert replace(in_force.parameters, id="", title="") == replace(
        literature_defaults(), id="", title=""
    )
    known = 0
    for patient in Patient.objects.filter(clinic=large, story=Story.CORD_FIRST.value):
        state = timeline_of(patient, today=TODAY).state
        known += state.is_known
        assert state.is_known or state.state.reason
    assert known >= 3


def test_every_row_says_that_it_is_synthetic(seeded):
    assert not Clinic.objects.filter(is_synthetic=False).exists()
    assert not Patient.objects.filter(is_synthetic=False).exists()
    assert not Patient.objects.filter(story="").exists()
    assert not SourceImage.objects.filter(is_synthetic=False).exists()


def test_a_drawn_number_cannot_be_taken_for_a_measured_one(seeded):
    assert not SourceImage.objects.exclude(file="").exists()
    assert all(
        image.sha256.startswith("drawn-") for image in SourceImage.objects.only("sha256")[:50]
    )
    methods = set(VolumetryRun.objects.values_list("method", flat=True))
    assert methods == {"synthetic-brain", "synthetic-cord"}
    assert not methods & set(METHODS)
    assert all(run.provenance["synthetic"] is True for run in VolumetryRun.objects.all()[:50])


def test_measuring_a_scan_without_an_image_says_so(seeded, tmp_path):
    with pytest.raises(NotMeasurable, match="no image"):
        run_measure(VolumetryRun.objects.select_related("image")[0], workdir=tmp_path)


def test_only_a_synthetic_image_may_lack_its_file(db):
    image = SourceImage(sha256="0" * 64, shape=[8, 8, 8], spacing_mm=[1, 1, 1], axcodes="RAS")

    with pytest.raises(IntegrityError, match="only_a_synthetic_image"), transaction.atomic():
        image.save()


def test_every_role_of_the_first_clinic_can_sign_in(seeded):
    held = {
        role
        for membership in Membership.objects.filter(clinic__name=CLINICS[0].name)
        for role in [Role(membership.role)]
    }
    assert held == set(Role)
    for account in ACCOUNTS:
        assert Client().login(username=account.username, password="neuraxis-demo")


def test_the_two_clinics_share_no_member(seeded):
    first, second = (
        set(Membership.objects.filter(clinic__name=plan.name).values_list("user", flat=True))
        for plan in CLINICS
    )
    assert first
    assert second
    assert not first & second


def test_the_review_queue_lives_and_a_rejected_scan_has_its_reason(seeded):
    unread = VolumetryRun.objects.filter(reviews__isnull=True)
    assert unread.exists()
    assert unread.filter(quality__verdict="fail").exists()
    rejected = VolumetryRun.objects.filter(reviews__verdict="rejected")
    assert set(rejected.values_list("reviews__reason", flat=True)) == {"artifact"}


def test_the_worklist_shows_every_level(seeded):
    wanted = (Story.CORD_FIRST.value, Story.TOO_FEW_SCANS.value, Story.STABLE.value)
    # A third of the patients is enough to see all levels, and three times as quick.
    Patient.objects.exclude(story__in=wanted).update(divergence_checked_at="2026-03-01T00:00Z")

    divergence_compute(say=silent)

    levels = list(DivergenceEstimate.objects.values_list("level", flat=True))
    assert levels.count(Level.FLAG) >= 2
    assert set(levels) == set(Level.values)
    cord_first = DivergenceEstimate.objects.filter(patient__story=Story.CORD_FIRST.value)
    assert not cord_first.filter(d_percent_per_year__gte=0).exists()


# --- Are the courses possible? --------------------------------------------------------------


def test_the_same_seed_draws_the_same_courses():
    assert every_course() == every_course()


def test_nothing_lies_before_the_onset_or_after_today():
    for course in every_course():
        onset = course.onset or course.phenotypes[0][0]
        days = [scan.day for scan in course.scans]
        days += [assessment.day for assessment in course.assessments]
        days += [relapse.onset for relapse in course.relapses]
        days += [treatment.starts_on for treatment in course.treatments]
        assert days
        assert onset <= min(days)
        assert max(days) <= TODAY
        assert days[: len(course.scans)] == sorted(set(days[: len(course.scans)]))


def test_follow_up_lasts_two_to_fifteen_years():
    spans = [(TODAY - course.phenotypes[0][0]).days / 365.25 for course in every_course()]

    assert min(spans) >= 1.9
    assert 10 < max(spans) <= 15.1


def test_every_edss_exists_and_fits_its_functional_systems():
    for course in every_course():
        for assessment in course.assessments:
            assert assessment.edss in EDSS_STEPS
            for system, score in (assessment.systems or {}).items():
                assert 0 <= score <= FUNCTIONAL_SYSTEMS[system]


def test_half_a_point_is_no_edss():
    assert {str(edss_step(level)) for level in (0.3, 0.5, 0.6)} <= {"0.0", "1.0"}
    assert "0.5" not in SYSTEMS_OF_STEP


def test_healthy_controls_have_no_disease():
    controls = [course for course in every_course() if course.story is Story.CONTROL]

    assert {course.phenotypes[-1][1] for course in controls} == {Phenotype.HC}
    assert not any(c.onset or c.relapses or c.treatments or c.assessments for c in controls)


def test_each_story_shows_what_it_is_named_after():
    courses = {story: [c for c in every_course() if c.story is story] for story in PLOTS}

    for course in courses[Story.SCANNER_CHANGE]:
        assert {scan.scanner for scan in course.scans} == {0, 1}
    for course in courses[Story.REJECTED_SCAN]:
        assert [scan.verdict for scan in course.scans].count("rejected") == 1
    for course in courses[Story.LATE_CORD]:
        assert [scan.cord_mm2 is None for scan in course.scans[:3]] == [True] * 3
        assert course.scans[-1].cord_mm2 is not None
    for course in courses[Story.TOO_FEW_SCANS]:
        assert len(course.scans) <= 2
    for course in courses[Story.TREATMENT_START]:
        assert len(course.treatments) == 1
        assert any(scan.day > course.treatments[0].starts_on for scan in course.scans)
    for course in courses[Story.SWELLING]:
        assert any(
            0 < (scan.day - relapse.onset).days < 30
            for scan in course.scans
            for relapse in course.relapses
        )


# --- Phantoms -------------------------------------------------------------------------------


def test_the_printed_truth_is_that_of_the_code():
    printed = json.loads((ROOT / "docs" / "demo-truth.json").read_text())

    for row, known in zip(truth_rows(), printed, strict=True):
        for name, value in row.items():
            expected = known[name]
            if isinstance(value, float | list):
                assert value == pytest.approx(expected, rel=1e-5, abs=2e-3), name
            else:
                assert value == expected


def test_the_phantom_patients_are_synthetic_and_are_added_once(seeded, monkeypatch, tmp_path):
    uploads: list[tuple[str, date]] = []

    def upload(planned, *, patient, day, seed, actor):
        assert actor.username == "technician"
        uploads.append((patient.pseudonym, day))
        scan_make(patient, day)

    monkeypatch.setattr("monitoring.demo.phantom_patients._visit_upload", upload)
    phantom_patients_ensure(today=TODAY, say=silent)
    phantom_patients_ensure(today=TODAY + timedelta(days=9), say=silent)

    assert len(uploads) == len(set(uploads)) == sum(len(plan.visits) for plan in PATIENTS)
    assert max(day for _, day in uploads) < TODAY
    patients = Patient.objects.filter(pseudonym__in=[plan.pseudonym for plan in PATIENTS])
    assert [patient.is_synthetic for patient in patients] == [True, True]


@pytest.mark.slow
def test_a_phantom_enters_through_the_door_of_a_technician(seeded, doorbell):
    plan = PATIENTS[1]
    clinic = Clinic.objects.get(name=CLINICS[0].name)
    patient = _patient_ensure(plan, clinic=clinic, today=TODAY)

    _visit_upload(
        plan.visits[1],
        patient=patient,
        day=TODAY - timedelta(days=20),
        seed=plan.first_seed + 1,
        actor=User.objects.get(username="technician"),
    )

    scan = Scan.objects.get(session__visit__patient=patient)
    assert scan.sequence == "t1"
    assert scan.image.is_synthetic
    assert scan.image.file
    assert (scan.measures_brain, scan.measures_cord) == (False, True)


# --- Processes ------------------------------------------------------------------------------


def test_every_queue_has_a_worker_of_its_own_and_one_of_them_drives_the_clock(
    monkeypatch, settings, tmp_path
):
    started: list[list[str]] = []
    monkeypatch.setattr(
        "monitoring.demo.processes._start",
        lambda name, command, *, logs: started.append(command),
    )

    workers_start(logs=tmp_path)

    queues = [command[command.index("-Q") + 1] for command in started]
    wanted = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    assert sorted(queues) == sorted(wanted | {settings.CELERY_TASK_DEFAULT_QUEUE})
    assert len({command[command.index("-n") + 1] for command in started}) == len(queues)
    assert ["-B" in command for command in started] == [q == "default" for q in queues]


def test_ending_a_child_ends_its_grandchildren_too(tmp_path):
    script = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    log = tmp_path / "child.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=stream, start_new_session=True
        )
    while not log.read_text().endswith("\n"):
        time.sleep(0.05)
    grandchild = int(log.read_text())

    children_end([Child("stubborn", process, log)], patience_seconds=0.5)

    assert process.poll() is not None
    assert gone({grandchild})


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_ends_every_process_that_it_started(tmp_path, number):
    environment = {
        **{k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"},
        "NEURAXIS_VAR": str(tmp_path / "var"),
        "NEURAXIS_DEMO": "on",
        "PORT": str(free_port()),
    }
    environment.pop("SECRET_KEY", None)
    with subprocess.Popen(
        [sys.executable, "manage.py", "demo"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "Starting web server and worker" in line:
                break
        time.sleep(3)
        descendants = descendants_of(demo.pid)
        demo.send_signal(number)
        rest = demo.stdout.read()
        demo.wait(timeout=60)

    assert demo.returncode == 0, rest
    assert "Every process of the demo has ended" in rest
    assert len(descendants) >= 3  # the web server and a worker per queue
    assert gone(descendants)


def test_a_port_that_is_no_number_is_said(demo_mode, monkeypatch):
    monkeypatch.setenv("PORT", "eight")
    with pytest.raises(CommandError, match="PORT must be a number"):
        call_command("demo")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(pids: set[int]) -> bool:
    """Say whether processes end; the kernel may take a moment after SIGKILL."""
    deadline = time.monotonic() + 5.0
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(is_alive(pid) for pid in pids)


def descendants_of(pid: int) -> set[int]:
    """Return the processes below one, from /proc."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(folder.name)] = int(fields[1])
    found = {pid}
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return found - {pid}


def test_numbers_of_the_drawn_scans_are_positive_and_have_errors(seeded):
    assert not Measurement.objects.filter(standard_error__isnull=True).exists()
    assert Scan.objects.filter(measures_cord=True, measures_brain=False).exists()
