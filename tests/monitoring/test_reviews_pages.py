"""The review pages: who waits, verdicts by hand, landmarks on the sagittal view."""

from datetime import date

import pytest
from django.test import Client
from django.urls import reverse

from monitoring.models import AuditEntry, Review, Role
from monitoring.services.divergence import divergence_refresh
from monitoring.services.reviews import measurement_review
from tests.factories.pictures import pictures_make, run_file_make
from tests.factories.record import course_make, member_make, patient_make, run_make, scan_make
from volumetry.core.methods import Availability
from volumetry.engines.registry import METHODS
from volumetry.models import Outcome, Status, VolumetryRun

pytestmark = pytest.mark.django_db

CORD = {("cord_c2_c3", "mean_csa"): 71.2}


class _Cord:
    """A cord method that can be asked for; no test here lets it measure."""

    name = "neuraxis-cord"
    version = "1.0"
    description = "A method of the tests."

    def availability(self) -> Availability:
        return Availability(is_ready=True)


@pytest.fixture(autouse=True)
def _methods(monkeypatch):
    monkeypatch.setitem(METHODS, "neuraxis-cord", _Cord())


@pytest.fixture
def radiologist(bob) -> Client:
    client = Client()
    client.force_login(bob)
    return client


@pytest.fixture
def patient(vltava):
    return patient_make(vltava)


def needs_landmark(patient, day=date(2024, 5, 6)) -> VolumetryRun:
    run = run_make(
        scan_make(patient, day),
        "neuraxis-cord",
        measures={("cord_segment", "mean_csa"): 68.0},
        outcome=Outcome.NEEDS_LANDMARK,
    )
    pictures_make(run)
    return run


def queue(client) -> str:
    return client.get(reverse("review_queue")).content.decode()


def page_of(run) -> str:
    return reverse("review", args=[run.pk])


def judge(client, run, verdict, **fields):
    latest = run.reviews.last()
    seen = {"seen_review": latest.pk} if latest else {}
    return client.post(
        reverse("review_verdict", args=[run.pk]), {"verdict": verdict, **seen, **fields}
    )


def test_the_queue_begins_with_landmarks_then_failed_checks(radiologist, patient):
    good = run_make(scan_make(patient, date(2021, 1, 1)), "neuraxis-cord", measures=CORD)
    failed = run_make(
        scan_make(patient, date(2022, 1, 1)),
        "neuraxis-cord",
        measures=CORD,
        checks={"contrast": "fail"},
    )
    landmark = needs_landmark(patient)

    page = queue(radiologist)

    places = [page.index(page_of(run)) for run in (landmark, failed, good)]
    assert places == sorted(places)
    assert "Place the landmark" in page
    assert "Decide: a check failed" in page


def test_what_was_judged_superseded_or_refused_leaves_the_queue(radiologist, patient, bob):
    scan = scan_make(patient, date(2021, 1, 1))
    older = run_make(scan, "neuraxis-cord", measures=CORD)
    newer = run_make(scan, "neuraxis-cord", measures=CORD, version="2.0")
    refused = run_make(scan, "neuraxis-brain", outcome=Outcome.REFUSED)
    judged = run_make(scan_make(patient, date(2022, 1, 1)), "neuraxis-cord", measures=CORD)
    measurement_review(actor=bob, run=judged, verdict="accepted")

    page = queue(radiologist).split("Last verdicts")[0]

    assert page_of(newer) in page
    assert not any(page_of(run) in page for run in (older, refused, judged))


def test_a_landmark_that_is_being_used_is_not_asked_for_again(radiologist, patient):
    run = needs_landmark(patient)
    again = VolumetryRun.objects.create(
        image=run.image, method=run.method, method_version="1.0", parameters_digest="x"
    )
    assert page_of(run) not in queue(radiologist)

    VolumetryRun.objects.filter(pk=again.pk).update(status=Status.FAILED)

    assert page_of(run) in queue(radiologist)


def test_an_empty_queue_says_so(radiologist):
    assert "Queue is empty" in queue(radiologist)


def test_accepting_leads_to_the_next_and_rings_for_the_divergence(
    radiologist, patient, doorbell, django_capture_on_commit_callbacks
):
    first = run_make(scan_make(patient, date(2021, 1, 1)), "neuraxis-cord", measures=CORD)
    second = run_make(scan_make(patient, date(2022, 1, 1)), "neuraxis-cord", measures=CORD)

    with django_capture_on_commit_callbacks(execute=True):
        answer = judge(radiologist, first, "accepted", note="clear rim")

    assert answer.url == page_of(second)
    review = Review.objects.get()
    assert (review.verdict, review.note, review.reviewer.username) == (
        "accepted",
        "clear rim",
        "bob",
    )
    assert ("divergence", str(patient.pk)) in doorbell


def test_the_script_is_told_where_to_go_next(radiologist, patient):
    run = run_make(scan_make(patient, date(2021, 1, 1)), "neuraxis-cord", measures=CORD)

    answer = radiologist.post(
        reverse("review_verdict", args=[run.pk]),
        {"verdict": "accepted"},
        HTTP_HX_REQUEST="true",
    )

    assert answer.status_code == 204
    assert answer["HX-Redirect"] == reverse("review_queue")


def test_a_page_fetched_ahead_counts_the_one_before_as_done_and_is_written_down(
    radiologist, patient
):
    runs = [
        run_make(scan_make(patient, date(2021 + year, 1, 1)), "neuraxis-cord", measures=CORD)
        for year in range(3)
    ]
    ahead = page_of(runs[1])
    page = radiologist.get(page_of(runs[0])).content.decode()
    assert f'data-ahead="{ahead}?after={runs[0].pk}"' in page

    fetched = radiologist.get(f"{ahead}?after={runs[0].pk}").content.decode()

    assert "1 of 2 waiting" in fetched
    assert AuditEntry.objects.filter(detail=f"run {runs[1].pk}, fetched ahead").exists()


def test_a_verdict_whose_next_page_is_held_already_answers_in_words_alone(radiologist, patient):
    first, second = (
        run_make(scan_make(patient, date(2021 + year, 1, 1)), "neuraxis-cord", measures=CORD)
        for year in range(2)
    )
    answer = judge(radiologist, first, "accepted", ahead=page_of(second))

    assert answer.json()["words"].endswith("Cervical cord: Accepted.")
    assert Review.objects.get().run == first
    # Another page than the one that is held: the browser is led there.
    led = judge(radiologist, second, "accepted", ahead=page_of(first))
    assert led.url == reverse("review_queue")


@pytest.mark.parametrize("reason", ["artifact", "outline", "level", "coverage", "identity"])
def test_a_rejection_carries_its_reason_in_one_click(radiologist, patient, reason):
    run = run_make(scan_make(patient, date(2021, 1, 1)), "neuraxis-cord", measures=CORD)

    judge(radiologist, run, f"rejected:{reason}")

    assert (run.reviews.get().verdict, run.reviews.get().reason) == ("rejected", reason)


@pytest.mark.parametrize("verdict", ["rejected", "rejected:", "rejected:boredom", "maybe", ""])
def test_a_rejection_without_a_known_reason_stores_nothing(radiologist, patient, verdict):
    run = run_make(scan_make(patient, date(2021, 1, 1)), "neuraxis-cord", measures=CORD)

    assert judge(radiologist, run, verdict).status_code == 422
    assert not Review.objects.exists()


def test_other_needs_a_note_and_keeps_what_was_written(radiologist, patient):
    run = run_make(scan_make(patient, date(2021, 1, 1)), "neuraxis-cord", measures=CORD)

    refused = judge(radiologist, run, "rejected:other", note="  ")
    judge(radiologist, run, "rejected:other", note="moved in between")

    assert "Say in a note" in refused.content.decode()
    assert Review.objects.get().note == "moved in between"


@pytest.mark.parametrize("name", ["review_verdict", "review_landmark"])
def test_the_address_of_a_refused_answer_leads_back_to_the_page(radiologist, patient, name):
    run = run_make(scan_make(patient, date(2021, 1, 1)), "neuraxis-cord", measures=CORD)

    assert radiologist.get(reverse(name, args=[run.pk])).url == page_of(run)


def test_a_failed_check_stands_above_those_that_passed(radiologist, patient):
    run = run_make(
        scan_make(patient, date(2021, 1, 1)),
        "neuraxis-cord",
        measures=CORD,
        checks={"rim": "pass", "angle": "warn", "coverage": "fail"},
    )

    page = radiologist.get(page_of(run)).content.decode()

    places = [page.index(f"{name}: ") for name in ("coverage", "angle", "rim")]
    assert places == sorted(places)


def test_who_was_overtaken_sees_the_other_verdict_first(radiologist, patient, vltava):
    run = run_make(scan_make(patient, date(2021, 1, 1)), "neuraxis-cord", measures=CORD)
    carla = member_make("carla", vltava, Role.RADIOLOGIST)
    measurement_review(actor=carla, run=run, verdict="rejected", reason="artifact")

    overtaken = radiologist.post(
        reverse("review_verdict", args=[run.pk]), {"verdict": "accepted", "note": "fine"}
    )

    page = overtaken.content.decode()
    assert overtaken.status_code == 422
    assert "carla rejected this measurement meanwhile" in page
    assert "fine" in page
    assert run.reviews.count() == 1
    judge(radiologist, run, "accepted")
    assert run.reviews.last().verdict == "accepted"


def test_a_rejected_number_leaves_the_statement_and_stays_on_the_page(radiologist, patient):
    course_make(patient)
    before = divergence_refresh(patient.pk)
    run = VolumetryRun.objects.filter(method="neuraxis-cord").last()

    judge(radiologist, run, "rejected:artifact")

    after = divergence_refresh(patient.pk)
    assert after.payload["now"]["n_cord"] == before.payload["now"]["n_cord"] - 1
    page = radiologist.get(page_of(run)).content.decode()
    assert "is-rejected" in page
    assert f"{run.measurements.get().value:.1f}" in page


def test_only_a_reader_judges(as_alice, patient):
    run = run_make(scan_make(patient, date(2021, 1, 1)), "neuraxis-cord", measures=CORD)

    assert as_alice.get(page_of(run)).status_code == 200
    assert "Accept" not in as_alice.get(page_of(run)).content.decode()
    assert judge(as_alice, run, "accepted").status_code == 403
    assert not Review.objects.exists()


def test_a_stranger_finds_no_measurement_to_judge(charlie, labe, patient):
    member_make("charlie", labe, Role.RADIOLOGIST)
    stranger = Client()
    stranger.force_login(charlie)
    run = needs_landmark(patient)

    assert stranger.get(page_of(run)).status_code == 404
    assert judge(stranger, run, "accepted").status_code == 404
    click = {"kind": "c2c3", "px": "10", "py": "10"}
    assert stranger.post(reverse("review_landmark", args=[run.pk]), click).status_code == 404


def test_the_prior_scan_and_the_own_series_are_beside_the_picture(radiologist, patient):
    runs = []
    for year, value in ((2020, 75.0), (2022, 72.0), (2024, 69.0)):
        scan = scan_make(patient, date(year, 3, 1))
        run = run_make(scan, "neuraxis-cord", measures={("cord_c2_c3", "mean_csa"): value})
        pictures_make(run)
        runs.append(run)

    page = radiologist.get(page_of(runs[2])).content.decode()

    assert reverse("run_file", args=[runs[1].pk, "qc.png"]) in page
    assert reverse("run_file", args=[runs[0].pk, "qc.png"]) not in page
    assert "−8.0 %" in page  # 69 against 75, the first comparable scan


def test_a_click_on_the_sagittal_view_is_a_point_in_the_scan_and_a_new_run(
    radiologist, patient, doorbell, django_capture_on_commit_callbacks
):
    run = needs_landmark(patient)

    with django_capture_on_commit_callbacks(execute=True):
        answer = radiologist.post(
            reverse("review_landmark", args=[run.pk]),
            {"kind": "c2c3", "px": "100", "py": "120"},
        )

    new = VolumetryRun.objects.exclude(pk=run.pk).get()
    assert answer.url == page_of(new)
    assert new.parameters["landmark"] == {"kind": "c2c3", "point_mm": [2.0, 10.0, 20.0]}
    assert doorbell == [("run", str(new.pk))]
    run.refresh_from_db()
    assert run.measurements.count() == 1


def test_without_a_script_the_picture_itself_is_the_button(radiologist, patient):
    run = needs_landmark(patient)

    radiologist.post(
        reverse("review_landmark", args=[run.pk]), {"kind": "hint", "at.x": "40", "at.y": "0"}
    )

    new = VolumetryRun.objects.exclude(pk=run.pk).get()
    assert new.parameters["hint_mm"] == [2.0, 40.0, 80.0]


@pytest.mark.parametrize(
    "click",
    [
        {"kind": "c2c3", "px": "200", "py": "10"},
        {"kind": "c2c3", "px": "10", "py": "-3"},
        {"kind": "c2c3", "px": "nan", "py": "10"},
        {"kind": "c2c3", "px": "inf", "py": "10"},
        {"kind": "c9", "px": "10", "py": "10"},
        {"px": "10", "py": "10"},
        {"kind": "c2c3"},
    ],
)
def test_a_point_beside_the_picture_or_of_no_kind_starts_nothing(radiologist, patient, click):
    run = needs_landmark(patient)

    answer = radiologist.post(reverse("review_landmark", args=[run.pk]), click)

    assert answer.status_code == 422
    assert VolumetryRun.objects.count() == 1


@pytest.mark.parametrize("content", [b"not json", b"{}", b'{"sagittal": {"file": "x"}}'])
def test_a_view_that_cannot_be_read_is_no_view(radiologist, patient, content):
    run = run_make(
        scan_make(patient, date(2024, 1, 1)), "neuraxis-cord", outcome=Outcome.NEEDS_LANDMARK
    )
    run_file_make(run, "views.json", content)

    assert "Measure with this point" not in radiologist.get(page_of(run)).content.decode()


def test_a_run_that_refused_has_nothing_to_judge(radiologist, patient):
    run = run_make(
        scan_make(patient, date(2024, 1, 1)), "neuraxis-cord", outcome=Outcome.REFUSED
    )

    assert "Your verdict" not in radiologist.get(page_of(run)).content.decode()
    assert judge(radiologist, run, "accepted").status_code == 422


def test_the_page_of_an_active_run_waits_for_it(radiologist, patient):
    run = run_make(scan_make(patient, date(2024, 1, 1)), "neuraxis-cord", status=Status.QUEUED)

    page = radiologist.get(page_of(run)).content.decode()

    assert "every 2s" in page
    assert "Your verdict" not in page
