"""The pages of worklist and patient as each role sees them."""

import csv
import json
import re
import time
from datetime import date, timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from monitoring.core.parameter_set import literature_defaults
from monitoring.models import AuditEntry, Clinic, Flag, Patient, Review, Role
from monitoring.selectors.what_if import without_run
from monitoring.services.divergence import divergence_refresh
from tests.factories.record import course_make, member_make, patient_make, run_make, scan_make
from volumetry.models import VolumetryRun


@pytest.fixture
def patient(vltava: Clinic) -> Patient:
    """Return a flagged patient."""
    patient = patient_make(vltava, "V-0001")
    course_make(patient, years=8, brain=-0.2, cord=-4.5)
    divergence_refresh(patient.pk)
    return Patient.objects.get(pk=patient.pk)


def cord_run(patient: Patient, index: int) -> VolumetryRun:
    runs = VolumetryRun.objects.filter(
        method="neuraxis-cord", image__scan__session__visit__patient=patient
    )
    return runs.order_by("image__scan__session__visit__date")[index]


def detail(patient: Patient) -> str:
    return reverse("patient_detail", args=[patient.pk])


def page(client: Client, url: str, **more: object) -> str:
    response = client.get(url, **more)  # type: ignore[arg-type]
    assert response.status_code == 200
    return response.content.decode()


PAGES = {
    "worklist": {Role.NEUROLOGIST: 200, Role.TECHNICIAN: 200, Role.RADIOLOGIST: 200},
    "patient_add": {Role.NEUROLOGIST: 200, Role.TECHNICIAN: 200},
    "patient_edit": {Role.NEUROLOGIST: 200, Role.TECHNICIAN: 200},
    "patient_detail": {
        Role.NEUROLOGIST: 200,
        Role.RADIOLOGIST: 200,
        Role.RESEARCHER: 200,
    },
    "patient_list": {
        Role.NEUROLOGIST: 200,
        Role.RADIOLOGIST: 200,
        Role.RESEARCHER: 200,
    },
    "patient_point": {
        Role.NEUROLOGIST: 200,
        Role.RADIOLOGIST: 200,
        Role.RESEARCHER: 200,
    },
    "patient_table": {
        Role.NEUROLOGIST: 200,
        Role.RADIOLOGIST: 200,
        Role.RESEARCHER: 200,
    },
}


def address(name: str, patient: Patient) -> str:
    if name in {"worklist", "patient_add", "patient_list"}:
        return reverse(name)
    if name == "patient_point":
        return reverse(name, args=[patient.pk, cord_run(patient, 0).pk])
    if name == "patient_table":
        return reverse(name, args=[patient.pk, "volumes"])
    return reverse(name, args=[patient.pk])


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("name", list(PAGES))
def test_each_role_gets_its_pages_and_no_other(
    client: Client, vltava: Clinic, patient: Patient, role: Role, name: str
) -> None:
    client.force_login(member_make("member", vltava, role))
    expected = PAGES[name].get(role, 403)
    assert client.get(address(name, patient)).status_code == expected


@pytest.mark.parametrize(
    "name", ["patient_detail", "patient_edit", "patient_table", "patient_point"]
)
def test_a_stranger_is_told_that_there_is_nothing(
    client: Client, charlie: User, patient: Patient, name: str
) -> None:
    client.force_login(charlie)
    assert client.get(address(name, patient)).status_code == 404


@pytest.mark.parametrize("name", list(PAGES))
def test_nobody_is_asked_to_sign_in(client: Client, patient: Patient, name: str) -> None:
    response = client.get(address(name, patient))
    assert response.status_code == 302
    assert response.headers["Location"].startswith(reverse("account_login"))


def test_reading_a_patient_is_written_down(as_alice: Client, patient: Patient) -> None:
    page(as_alice, detail(patient))
    entry = AuditEntry.objects.filter(subject="patient").latest("at")
    assert (entry.action, entry.pseudonym, str(entry.actor)) == ("read", "V-0001", "alice")


def test_a_download_is_written_down_as_an_export(as_alice: Client, patient: Patient) -> None:
    as_alice.get(address("patient_table", patient))
    assert AuditEntry.objects.filter(action="export", pseudonym="V-0001").count() == 1


def test_the_page_says_level_three_numbers_and_the_sentence(
    as_alice: Client, patient: Patient
) -> None:
    html = page(as_alice, detail(patient))
    now = patient.estimates.get().payload["now"]
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    for name in ("cord_percent_per_year", "brain_percent_per_year", "d_percent_per_year"):
        assert f"{now[name]:+.1f}".replace("-", "−") in text
    assert "Flag: review." in text
    assert now["context"] in text
    assert now["reason"] in text
    assert now["weights"]
    for one in now["weights"]:
        scan = one["observation"]
        day = f"{date.fromisoformat(scan['when']):%Y-%m-%d}"
        assert f"{day} {scan['region']} {one['weight']:.2f}" in text
    assert "Research use only. Not a medical device." in text


def test_the_figure_comes_as_data_and_no_script_is_inline(
    as_alice: Client, patient: Patient
) -> None:
    html = page(as_alice, detail(patient))
    figure = re.search(r'<script id="timeline-figure"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert figure is not None
    assert len(json.loads(figure.group(1))["data"]) > 8
    for tag, body in re.findall(r"<script([^>]*)>(.*?)</script>", html, re.DOTALL):
        assert "src=" in tag or 'type="application/json"' in tag, body[:80]
    assert " style=" not in html
    assert not re.search(r'\son[a-z]+="', html)


def test_a_rejected_value_stays_visible_struck_through(
    as_alice: Client, patient: Patient, bob: User
) -> None:
    run = cord_run(patient, 0)
    Review.objects.create(run=run, verdict="rejected", reason="artifact", reviewer=bob)
    assert '<span class="struck">Cord 70.0' in page(as_alice, address("patient_below", patient))
    rows = reverse("patient_table_rows", args=[patient.pk, "volumes"])
    assert '<tr class="is-rejected">' in page(as_alice, rows)


def test_a_page_of_a_patient_is_made_in_few_queries(
    as_alice: Client, patient: Patient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for index in range(52):
        day = date(2003, 1, 1) + timedelta(days=61 * index)
        run_make(
            scan_make(patient, day),
            "neuraxis-cord",
            measures={("cord_pmj_64mm", "mean_csa"): 75.0},
        )
    for url in (detail(patient), address("patient_below", patient)):
        page(as_alice, url)
        with django_assert_max_num_queries(19):
            page(as_alice, url)


def test_the_worklist_is_made_in_few_queries_for_any_number_of_patients(
    as_alice: Client, patient: Patient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    Patient.objects.bulk_create(
        Patient(clinic=patient.clinic, pseudonym=f"P{index:05d}") for index in range(300)
    )
    page(as_alice, reverse("worklist"))
    with django_assert_max_num_queries(7):
        html = page(as_alice, reverse("worklist"))
    assert "301 patients" in html
    after = re.search(r'rel="next" href="\?after=([0-9a-f-]{36})"', html)
    assert after is not None
    with django_assert_max_num_queries(10):
        html = page(as_alice, reverse("worklist"), data={"after": after.group(1)})
    assert "301 patients" in html
    assert 'rel="prev"' in html


def test_the_table_is_what_the_page_shows(as_alice: Client, patient: Patient) -> None:
    text = page(as_alice, address("patient_table", patient))
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 16
    assert rows[0]["date"] == "2016-03-01"
    assert {row["synthetic"] for row in rows} == {"no"}
    assert rows[0]["intended use"].startswith("Research use only.")


def test_an_unknown_table_is_not_found(as_alice: Client, patient: Patient) -> None:
    assert (
        as_alice.get(reverse("patient_table", args=[patient.pk, "nothing"])).status_code == 404
    )


def test_a_synthetic_patient_carries_its_badge(as_alice: Client, patient: Patient) -> None:
    assert "Synthetic data" not in page(as_alice, detail(patient))
    Patient.objects.update(is_synthetic=True)
    assert "Synthetic data" in page(as_alice, detail(patient))
    rows = csv.DictReader(page(as_alice, address("patient_table", patient)).splitlines())
    assert {row["synthetic"] for row in rows} == {"yes"}


def test_a_patient_without_anything_says_what_to_do(as_alice: Client, vltava: Clinic) -> None:
    bare = patient_make(vltava, onset_date=None, birth_year=None, sex="unknown")
    html = page(as_alice, detail(bare))
    assert "No scan has been measured yet." in html
    assert "onset not recorded" in html
    assert "No scans" in page(as_alice, address("patient_below", bare))
    assert "None" not in re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


def test_a_failed_model_shows_its_reason_and_no_number(
    as_alice: Client, patient: Patient
) -> None:
    Patient.objects.update(divergence_error="A value is zero.")
    html = page(as_alice, detail(patient))
    assert "A value is zero. The last valid statement is of 2023-03-01." in html
    assert "divergence__sentence" not in html
    assert "level--uncomputed" in html


def test_acknowledging_needs_a_reason(as_alice: Client, patient: Patient) -> None:
    flag = patient.flags.get()
    url = reverse("flag_acknowledge", args=[patient.pk, flag.pk])
    as_alice.post(url, {"reason": "  "})
    assert Flag.objects.get(pk=flag.pk).acknowledged_at is None
    as_alice.post(url, {"reason": "Cord MRI again in six months."})
    flag.refresh_from_db()
    assert str(flag.acknowledged_by) == "alice"
    assert flag.acknowledgement == "Cord MRI again in six months."
    assert "Cord MRI again in six months." in page(as_alice, detail(patient))


def test_dismissing_needs_a_reason_too_and_leaves_the_level(
    as_alice: Client, patient: Patient
) -> None:
    flag = patient.flags.get()
    url = reverse("flag_acknowledge", args=[patient.pk, flag.pk])
    as_alice.post(url, {"answer": "dismiss", "reason": ""})
    assert Flag.objects.get(pk=flag.pk).acknowledged_at is None
    as_alice.post(url, {"answer": "dismiss", "reason": "Motion on both scans."})
    flag.refresh_from_db()
    assert flag.is_dismissed
    html = page(as_alice, detail(patient))
    assert "Dismissed by alice" in html
    assert "Motion on both scans." in html
    assert patient.estimates.latest().level == flag.new_level
    assert AuditEntry.objects.filter(subject="flag", detail="dismissed").exists()


def test_a_change_is_acknowledged_once(as_alice: Client, patient: Patient) -> None:
    flag = patient.flags.get()
    url = reverse("flag_acknowledge", args=[patient.pk, flag.pk])
    as_alice.post(url, {"reason": "First."})
    response = as_alice.post(url, {"reason": "Second."}, follow=True)
    assert "Somebody acknowledged this change meanwhile" in response.content.decode()
    flag.refresh_from_db()
    assert flag.acknowledgement == "First."


def test_a_radiologist_reads_the_card_and_acknowledges_nothing(
    client: Client, bob: User, patient: Patient
) -> None:
    client.force_login(bob)
    assert "Not acknowledged yet." in page(client, detail(patient))
    url = reverse("flag_acknowledge", args=[patient.pk, patient.flags.get().pk])
    assert client.post(url, {"reason": "x"}).status_code == 403


def test_the_flag_of_another_patient_is_not_found(
    as_alice: Client, patient: Patient, vltava: Clinic
) -> None:
    other = patient_make(vltava)
    url = reverse("flag_acknowledge", args=[other.pk, patient.flags.get().pk])
    assert as_alice.post(url, {"reason": "x"}).status_code == 404


def test_a_technician_sees_no_clinical_column(
    client: Client, vltava: Clinic, patient: Patient
) -> None:
    client.force_login(member_make("theo", vltava, Role.TECHNICIAN))
    html = page(client, reverse("worklist"))
    table = html[html.index("<table") : html.index("</table>")]
    assert "V-0001" in table
    for word in ("Level", "EDSS", "%/yr", "sparkline", "Flag"):
        assert word not in table


def test_a_search_returns_the_rows_alone(as_alice: Client, patient: Patient) -> None:
    html = page(as_alice, reverse("worklist"), data={"q": "v-0"}, HTTP_HX_REQUEST="true")
    assert "V-0001" in html
    assert "<html" not in html


def test_the_filter_is_kept_on_the_way_to_the_patient_and_on(
    as_alice: Client, patient: Patient
) -> None:
    html = page(as_alice, reverse("worklist"), data={"show": "flag"})
    assert f'href="{detail(patient)}?show=flag"' in html
    html = page(as_alice, detail(patient), data={"show": "flag"})
    assert f'href="{reverse("worklist")}?show=flag"' in html
    assert f'href="{address("patient_next", patient)}?show=flag"' in html


def test_next_and_previous_lead_through_the_list_and_say_where_it_ends(
    as_alice: Client, patient: Patient
) -> None:
    other = patient_make(patient.clinic, "V-0002")
    answer = as_alice.get(address("patient_next", patient), {"q": "V"})
    assert answer["Location"] == f"{detail(other)}?q=V"
    assert as_alice.get(address("patient_previous", other))["Location"] == detail(patient)
    answer = as_alice.get(address("patient_next", other), follow=True)
    assert "V-0002 is the last patient of this list." in answer.content.decode()


def test_the_use_of_a_session_is_written_once_a_minute(
    as_alice: Client, vltava: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    page(as_alice, reverse("worklist"))
    key = as_alice.session.session_key
    began = Session.objects.get(pk=key).expire_date
    page(as_alice, reverse("worklist"))
    assert Session.objects.get(pk=key).expire_date == began
    later = time.time() + 61
    monkeypatch.setattr("monitoring.middleware.time.time", lambda: later)
    page(as_alice, reverse("worklist"))
    assert Session.objects.get(pk=key).expire_date > began


def test_an_empty_worklist_says_what_to_do_next(as_alice: Client) -> None:
    assert "No patients yet" in page(as_alice, reverse("worklist"))


def test_no_match_names_the_filter_and_clears_it(as_alice: Client, patient: Patient) -> None:
    html = page(as_alice, reverse("worklist"), data={"q": "zzz", "show": "watch"})
    assert "No patient for “zzz” and watch" in html
    assert "Show all" in html


def test_a_patient_is_added_and_audited(as_alice: Client, vltava: Clinic) -> None:
    response = as_alice.post(
        reverse("patient_add"),
        {"pseudonym": "N-1", "sex": "male", "birth_year": "1990", "onset_date": "2020-02-01"},
    )
    patient = Patient.objects.get(pseudonym="N-1")
    assert response.headers["Location"] == detail(patient)
    assert patient.onset_date == date(2020, 2, 1)
    assert AuditEntry.objects.filter(action="create", pseudonym="N-1").exists()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"pseudonym": "V-0001"}, "This pseudonym is already used in your clinic"),
        ({"pseudonym": ""}, "This field is required."),
        ({"birth_year": "2090"}, "The birth year lies in the future."),
        ({"birth_year": "1800"}, "Ensure this value is greater than or equal to 1900."),
        ({"onset_date": "2100-01-01"}, "The onset lies in the future."),
        (
            {"birth_year": "1990", "onset_date": "1980-01-01"},
            "The onset lies before the birth year.",
        ),
    ],
)
def test_an_impossible_patient_is_refused_with_the_reason(
    as_alice: Client, patient: Patient, fields: dict[str, str], sentence: str
) -> None:
    known = {"pseudonym": "N-2", "sex": "female"}
    response = as_alice.post(reverse("patient_add"), known | fields)
    assert response.status_code == 200
    assert sentence in response.content.decode()
    assert Patient.objects.count() == 1


def test_a_correction_is_stored_and_an_impossible_one_is_not(
    as_alice: Client, patient: Patient
) -> None:
    url = reverse("patient_edit", args=[patient.pk])
    known = {"pseudonym": "V-0001", "sex": "female", "birth_year": "1985"}
    as_alice.post(url, known | {"onset_date": "2014-05-01"})
    patient.refresh_from_db()
    assert patient.onset_date == date(2014, 5, 1)
    response = as_alice.post(url, known | {"onset_date": "1950-05-01"})
    assert "The onset lies before the birth year." in response.content.decode()
    patient.refresh_from_db()
    assert patient.onset_date == date(2014, 5, 1)


def test_each_role_starts_on_a_page_that_is_open_to_it(client: Client, vltava: Clinic) -> None:
    for role in Role:
        client.force_login(member_make(f"{role}-only", vltava, role))
        assert client.get("/", follow=True).status_code == 200


def test_a_person_without_a_clinic_is_told_so(client: Client, db: None) -> None:
    client.force_login(User.objects.create_user("newcomer"))
    assert "You are not a member of any clinic yet" in page(client, "/")


def test_a_refusal_names_the_reason_and_the_role(
    client: Client, vltava: Clinic, patient: Patient
) -> None:
    client.force_login(member_make("theo", vltava, Role.TECHNICIAN))
    response = client.get(detail(patient))
    html = response.content.decode()
    assert response.status_code == 403
    assert "Your role may not see a patient&#x27;s timeline." in html
    assert "You are here as MR technician of Vltava." in html


def test_a_value_is_shown_beside_the_one_before_and_dropped_on_paper_only(
    as_alice: Client, patient: Patient
) -> None:
    run = cord_run(patient, 7)
    url = reverse("patient_point", args=[patient.pk, run.pk])
    html = " ".join(page(as_alice, url).split())
    assert "Cord on 2023-03-01" in html
    assert "on 2022-03-01" in html
    assert "What if this scan were dropped?" in html
    expected = without_run(patient, run.pk, literature_defaults())
    assert expected is not None
    assert expected.d_percent_per_year is not None
    assert f"D {expected.d_percent_per_year:+.1f}".replace("-", "−") in html
    assert patient.estimates.count() == 1


def test_dropping_a_value_equals_rejecting_it(patient: Patient, bob: User) -> None:
    run = cord_run(patient, 4)
    dropped = without_run(patient, run.pk, literature_defaults())
    assert dropped is not None
    Review.objects.create(run=run, verdict="rejected", reason="outline", reviewer=bob)
    stored = divergence_refresh(patient.pk)
    assert stored is not None
    assert dropped.d_percent_per_year == pytest.approx(stored.d_percent_per_year)
    assert dropped.level.value == stored.level


def test_a_value_of_another_patient_is_not_found(
    as_alice: Client, patient: Patient, vltava: Clinic
) -> None:
    other = patient_make(vltava)
    url = reverse("patient_point", args=[other.pk, cord_run(patient, 0).pk])
    assert as_alice.get(url).status_code == 404


def test_a_scan_without_a_run_is_listed(as_alice: Client, vltava: Clinic) -> None:
    patient = patient_make(vltava)
    scan_make(patient, date(2025, 1, 1))
    assert "not measured" in page(as_alice, address("patient_below", patient))


def test_the_demo_lists_its_logins_and_others_do_not(
    client: Client, vltava: Clinic, alice: User, settings: object
) -> None:
    login = reverse("account_login")
    assert "Demo logins" not in page(client, login)
    Clinic.objects.update(is_synthetic=True)
    settings.DEMO_MODE = True  # type: ignore[attr-defined]
    html = page(client, login)
    assert "<code>alice</code>" in html
    assert "Neurologist" in html
