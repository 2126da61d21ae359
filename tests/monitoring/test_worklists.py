"""The worklist: most noteworthy first, quick for any number of patients."""

import re
from datetime import date, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from monitoring.models import (
    Attention,
    Clinic,
    Patient,
    PhenotypePeriod,
    Review,
    Role,
)
from monitoring.selectors.worklists import (
    Show,
    WorklistQuery,
    list_page,
    listed_beside,
    listed_patient,
    months_before,
    order_of,
    worklist,
)
from monitoring.services.divergence import divergence_refresh
from monitoring.services.flags import flag_acknowledge
from monitoring.services.worklist import worklist_refresh
from tests.factories.record import course_make, member_make, patient_make, run_make, scan_make
from volumetry.models import Status, VolumetryRun

TODAY = date(2026, 11, 1)


def refreshed(patient: Patient) -> Patient:
    divergence_refresh(patient.pk)
    return Patient.objects.get(pk=patient.pk)


def beside(actor: User, patient: Patient) -> tuple[Patient | None, Patient | None]:
    query = WorklistQuery()
    return (
        listed_beside(actor, patient, query, is_next=False),
        listed_beside(actor, patient, query, is_next=True),
    )


def codes(
    actor: User, clinic: Clinic, *, is_clinical: bool = True, **query: object
) -> list[str]:
    asked = WorklistQuery(**query)  # type: ignore[arg-type]
    rows = worklist(actor, clinic, asked, is_clinical=is_clinical, today=TODAY)
    return [patient.pseudonym for patient in rows]


@pytest.fixture
def flagged(vltava: Clinic) -> Patient:
    """Return a patient whose cord runs away."""
    patient = patient_make(vltava, "FLAGGED")
    course_make(patient, years=8, brain=-0.2, cord=-4.5)
    return refreshed(patient)


def test_a_new_flag_comes_before_everything(
    alice: User, vltava: Clinic, flagged: Patient
) -> None:
    waits = patient_make(vltava, "WAITS")
    run_make(
        scan_make(waits, date(2026, 5, 1)),
        "neuraxis-cord",
        measures={("cord_pmj_64mm", "mean_csa"): 70.0},
        checks={"coverage": "fail"},
    )
    failed = patient_make(vltava, "FAILED")
    run_make(scan_make(failed, date(2026, 5, 1)), "neuraxis-cord", status=Status.FAILED)
    calm = patient_make(vltava, "CALM")
    course_make(calm, years=6)
    empty = patient_make(vltava, "EMPTY")
    for patient in (waits, failed, calm, empty):
        refreshed(patient)
    assert flagged.attention == Attention.NEW_FLAG
    assert codes(alice, vltava) == ["FLAGGED", "WAITS", "FAILED", "CALM", "EMPTY"]


def test_an_acknowledged_flag_steps_back(alice: User, vltava: Clinic, flagged: Patient) -> None:
    flag = flagged.flags.get()
    flag_acknowledge(actor=alice, flag=flag, reason="Seen; cord MRI in six months.")
    assert Patient.objects.get(pk=flagged.pk).attention == Attention.FLAG


def test_a_level_that_fell_is_news_until_somebody_acknowledges_it(
    alice: User, vltava: Clinic, bob: User, flagged: Patient
) -> None:
    runs = VolumetryRun.objects.filter(method="neuraxis-cord", image__scan__clinic=vltava)
    for run in runs.order_by("-created_at")[:6]:
        Review.objects.create(run=run, verdict="rejected", reason="outline", reviewer=bob)
    fallen = refreshed(flagged)
    assert (fallen.level, fallen.attention) == ("insufficient", Attention.CHANGED)
    fell = fallen.flags.earliest("-created_at")
    flag_acknowledge(actor=alice, flag=fell, reason="Outlines were wrong.")
    assert Patient.objects.get(pk=flagged.pk).attention == Attention.ROUTINE


def test_a_patient_of_another_clinic_is_never_listed(
    alice: User, charlie: User, vltava: Clinic, labe: Clinic, flagged: Patient
) -> None:
    assert codes(charlie, vltava) == []
    assert codes(charlie, labe) == []
    assert codes(alice, labe) == []


def test_a_patient_is_listed_from_the_first_moment_on(alice: User, vltava: Clinic) -> None:
    patient_make(vltava, "NEW")
    assert codes(alice, vltava) == ["NEW"]


def test_the_search_finds_a_part_of_the_code(alice: User, vltava: Clinic) -> None:
    for name in ("AB-1", "AB-2", "CD-1"):
        patient_make(vltava, name)
    assert codes(alice, vltava, search="ab") == ["AB-1", "AB-2"]
    assert codes(alice, vltava, search="-1") == ["AB-1", "CD-1"]


@pytest.mark.parametrize(
    ("show", "found"),
    [
        (Show.FLAG, ["FLAGGED"]),
        (Show.WATCH, []),
        (Show.INSUFFICIENT, ["SHORT"]),
        (Show.OVERDUE, ["FLAGGED"]),
        (Show.WAITING, []),
        (Show.FAILED, []),
    ],
)
def test_each_filter_keeps_its_own(
    alice: User, vltava: Clinic, flagged: Patient, show: Show, found: list[str]
) -> None:
    short = patient_make(vltava, "SHORT")
    run_make(
        scan_make(short, date(2026, 6, 1)),
        "neuraxis-brain",
        measures={("brain_parenchyma", "volume"): 1.1e6},
    )
    refreshed(short)
    assert codes(alice, vltava, show=show) == found


def test_overdue_follows_the_interval_of_the_clinic(alice: User, vltava: Clinic) -> None:
    patient = patient_make(vltava, "P")
    scan_make(patient, TODAY - timedelta(days=400))
    refreshed(patient)
    assert codes(alice, vltava, show=Show.OVERDUE) == ["P"]
    vltava.scan_interval_months = 24
    assert codes(alice, vltava, show=Show.OVERDUE) == []


def test_a_healthy_control_is_neither_noteworthy_nor_overdue(
    alice: User, vltava: Clinic, flagged: Patient
) -> None:
    PhenotypePeriod.objects.create(patient=flagged, phenotype="HC", starts_on=date(2015, 3, 1))
    worklist_refresh(flagged)
    assert Patient.objects.get(pk=flagged.pk).attention == Attention.CONTROL
    assert codes(alice, vltava, show=Show.OVERDUE) == []
    assert codes(alice, vltava, show=Show.FLAG) == []


def test_the_order_without_clinical_columns_says_nothing_about_a_level(
    vltava: Clinic, flagged: Patient
) -> None:
    theo = member_make("theo", vltava, Role.TECHNICIAN)
    older = patient_make(vltava, "OLDER")
    scan_make(older, date(2015, 3, 1))
    refreshed(older)
    assert codes(theo, vltava, is_clinical=False) == ["OLDER", "FLAGGED"]


def test_a_technician_cannot_ask_for_levels() -> None:
    asked = WorklistQuery.of({"show": "flag", "q": " x "}, is_clinical=False)
    assert (asked.show, asked.search) == (Show.ALL, "x")
    assert WorklistQuery.of({"show": "nonsense"}, is_clinical=True).show is Show.ALL
    assert WorklistQuery.of({"show": "flag"}, is_clinical=True).address == "show=flag"


def test_a_refused_measurement_counts_on_the_last_scans_only(vltava: Clinic) -> None:
    patient = patient_make(vltava)
    for day in (date(2024, 1, 1), date(2025, 1, 1)):
        run_make(scan_make(patient, day), "neuraxis-cord", outcome="refused")
    assert refreshed(patient).runs_failed == 1


def test_a_repeated_run_takes_the_failure_away(vltava: Clinic) -> None:
    patient = patient_make(vltava)
    scan = scan_make(patient, date(2025, 1, 1))
    run_make(scan, "neuraxis-cord", status=Status.FAILED)
    assert refreshed(patient).runs_failed == 1
    run_make(scan, "neuraxis-cord", measures={("cord_pmj_64mm", "mean_csa"): 70.0})
    assert refreshed(patient).runs_failed == 0


def test_a_missing_landmark_waits_for_a_reader(vltava: Clinic, bob: User) -> None:
    patient = patient_make(vltava)
    run = run_make(
        scan_make(patient, date(2025, 1, 1)), "neuraxis-cord", outcome="needs_landmark"
    )
    assert refreshed(patient).scans_waiting == 1
    Review.objects.create(run=run, verdict="rejected", reason="coverage", reviewer=bob)
    assert refreshed(patient).scans_waiting == 0


def test_the_glance_holds_what_the_page_of_the_patient_says(flagged: Patient) -> None:
    estimate = flagged.estimates.get()
    assert flagged.glance["d_percent_per_year"] == estimate.d_percent_per_year
    assert flagged.glance["cord"][0] == ["2016-03-01", 100.0]
    assert flagged.glance["edss"] is None
    assert flagged.attention_score == max(
        estimate.p_faster_than_1 or 0.0, estimate.p_change or 0.0
    )


def test_a_row_says_what_is_missing_for_a_statement(
    client: Client, alice: User, vltava: Clinic, flagged: Patient
) -> None:
    short = patient_make(vltava, "SHORT", onset_date=None)
    course_make(short, years=2)
    refreshed(short)
    client.force_login(alice)

    html = client.get(reverse("worklist")).content.decode()

    gaps = {
        code: re.search(rf'>{code}</a>.*?worklist__gaps">Missing: ([^<]*)<', html, re.DOTALL)
        for code in ("FLAGGED", "SHORT")
    }
    assert {code: found and found[1] for code, found in gaps.items()} == {
        "FLAGGED": "no EDSS",
        "SHORT": "1 brain scan, 1 cord scan, 0.6 y of follow-up, no onset, no EDSS",
    }


def test_what_was_not_computed_is_computed_again_from_the_list(
    client: Client,
    alice: User,
    flagged: Patient,
    doorbell: list[tuple[str, str]],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    Patient.objects.filter(pk=flagged.pk).update(divergence_error="The values cannot be.")
    worklist_refresh(flagged)
    client.force_login(alice)
    url = reverse("divergence_retry", args=[flagged.pk])
    assert url in client.get(reverse("worklist")).content.decode()
    assert url in client.get(reverse("patient_detail", args=[flagged.pk])).content.decode()

    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(f"{url}?show=flag", {"back": "list"})

    assert answer["Location"] == f"{reverse('worklist')}?show=flag"
    assert doorbell == [("divergence", str(flagged.pk))]
    assert refreshed(flagged).level == "flag"
    assert url not in client.get(reverse("worklist")).content.decode()


def test_a_failed_model_shows_no_stale_level(flagged: Patient) -> None:
    Patient.objects.filter(pk=flagged.pk).update(divergence_error="The values cannot be.")
    worklist_refresh(flagged)
    again = Patient.objects.get(pk=flagged.pk)
    assert (again.level, again.attention) == ("uncomputed", Attention.NOT_COMPUTED)


def test_next_and_previous_follow_the_list(
    alice: User, vltava: Clinic, flagged: Patient
) -> None:
    for name in ("C", "A", "B"):
        patient_make(vltava, name)
    first = patient_make(vltava, "SCANNED")
    scan_make(first, date(2020, 1, 1))
    refreshed(first)
    listed = list(worklist(alice, vltava, WorklistQuery(), is_clinical=True))
    assert [p.pseudonym for p in listed] == ["FLAGGED", "SCANNED", "A", "B", "C"]
    for index, patient in enumerate(listed):
        assert beside(alice, patient) == (
            listed[index - 1] if index else None,
            listed[index + 1] if index < 4 else None,
        )


def test_next_stays_within_the_filter(alice: User, vltava: Clinic) -> None:
    for name in ("A1", "B1", "A2"):
        patient_make(vltava, name)
    first = Patient.objects.get(pseudonym="A1")
    after = listed_beside(alice, first, WorklistQuery(search="A"), is_next=True)
    assert after is not None
    assert after.pseudonym == "A2"


@pytest.mark.parametrize("is_clinical", [True, False])
def test_pages_of_the_list_show_everybody_once_forwards_and_backwards(
    alice: User, vltava: Clinic, flagged: Patient, is_clinical: bool
) -> None:
    for index in range(11):
        patient = patient_make(vltava, f"P{index:02d}")
        if index % 3 == 0:
            scan_make(patient, date(2020 + index % 2, 1, 1))
            refreshed(patient)
    listed = worklist(alice, vltava, WorklistQuery(), is_clinical=is_clinical)
    order, whole = order_of(is_clinical=is_clinical), list(listed)
    page = list_page(listed, order, size=5)
    forwards = [page]
    while page.after:
        page = list_page(
            listed, order, size=5, after=listed_patient(alice, vltava, str(page.after))
        )
        forwards.append(page)
    assert [patient for page in forwards for patient in page.rows] == whole
    assert forwards[0].before is None
    assert {(page.count, page.is_more) for page in forwards} == {(12, False)}
    back = listed_patient(alice, vltava, str(page.before))
    middle = list_page(listed, order, size=5, before=back)
    assert middle.rows == whole[5:10]
    first = list_page(listed, order, size=5, before=middle.rows[0])
    assert (first.rows, first.before, first.after) == (whole[:5], None, whole[4].pk)


def test_a_long_list_is_not_counted_to_its_end(
    alice: User, vltava: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.selectors.worklists.COUNTED", 3)
    for index in range(5):
        patient_make(vltava, f"P{index}")
    listed = worklist(alice, vltava, WorklistQuery(), is_clinical=True)
    page = list_page(listed, order_of(is_clinical=True), size=2)
    assert (page.count, page.is_more, len(page.rows)) == (3, True, 2)


def test_a_search_that_fits_many_finds_what_one_that_fits_few_does(
    alice: User, vltava: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(12):
        patient_make(vltava, f"P{index:02d}")
    few = codes(alice, vltava, search="1")
    monkeypatch.setattr("monitoring.selectors.worklists.FEW", 2)
    assert codes(alice, vltava, search="1") == few == ["P01", "P10", "P11"]


def test_a_page_that_begins_at_a_stranger_is_the_first(alice: User, labe: Clinic) -> None:
    stranger = patient_make(labe, "L")
    assert listed_patient(alice, labe, str(stranger.pk)) is None
    assert listed_patient(alice, labe, "nonsense") is None


def test_a_researcher_goes_from_patient_to_patient_and_a_technician_does_not(
    vltava: Clinic, flagged: Patient
) -> None:
    other = patient_make(vltava, "OTHER")
    rita = member_make("rita", vltava, Role.RESEARCHER)
    theo = member_make("theo", vltava, Role.TECHNICIAN)
    assert beside(rita, flagged) == (None, other)
    assert beside(theo, flagged) == (None, None)


@pytest.mark.parametrize(
    ("day", "months", "before"),
    [
        (date(2026, 11, 1), 12, date(2025, 11, 1)),
        (date(2026, 1, 31), 11, date(2025, 2, 28)),
        (date(2024, 3, 31), 1, date(2024, 2, 29)),
        (date(2026, 1, 15), 1, date(2025, 12, 15)),
    ],
)
def test_months_are_counted_by_the_calendar(day: date, months: int, before: date) -> None:
    assert months_before(day, months) == before


def test_a_page_of_the_list_is_one_query(
    alice: User, vltava: Clinic, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    Patient.objects.bulk_create(
        Patient(clinic=vltava, pseudonym=f"P{index:05d}") for index in range(200)
    )
    with django_assert_max_num_queries(1):
        rows = list(worklist(alice, vltava, WorklistQuery(), is_clinical=True)[:25])
    assert len(rows) == 25
