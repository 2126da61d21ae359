"""Clinical entry: what was typed is stored, corrected, withdrawn, and never lost."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from monitoring.api.records import TreatmentRecord
from monitoring.models import (
    Assessment,
    AuditEntry,
    LesionCount,
    PhenotypePeriod,
    Relapse,
    Treatment,
    Visit,
)
from monitoring.services.clinical import fact_record
from tests.factories.record import patient_make

pytestmark = pytest.mark.django_db

EDSS = {"date": "2020-05-01", "edss": "3.5", "pyramidal": "3", "sensory": "2"}
ENTRIES = {
    "assessment": (EDSS, Assessment),
    "relapse": (
        {"onset": "2019-04-01", "severity": "mild", "is_spinal": "on", "steroids_on": ""},
        Relapse,
    ),
    "treatment": (
        {"drug": "ocrelizumab", "efficacy": "high", "starts_on": "2019-05-01"},
        Treatment,
    ),
    "phenotype": ({"phenotype": "RRMS", "starts_on": "2016-01-01"}, PhenotypePeriod),
    "lesions": (
        {
            "date": "2020-05-01",
            "region": "cord",
            "kind": "t2",
            "pattern": "focal",
            "count": "3",
            "is_present": "",
        },
        LesionCount,
    ),
}


@pytest.fixture
def anna(vltava):
    return patient_make(vltava, "ANNA")


def add(client, patient, fact_kind, **posted):
    return client.post(
        reverse("fact_add", kwargs={"pk": patient.pk, "kind": fact_kind}), posted
    )


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ({"paused_on": "2020-03-01"}, "An interruption needs its first day"),
        ({"paused_on": "2020-03-01", "resumed_on": "2020-02-01"}, "An interruption needs"),
        ({"paused_on": "2019-03-01", "resumed_on": "2020-04-01"}, "An interruption needs"),
        (
            {"paused_on": "2020-03-01", "resumed_on": "2021-04-01", "ends_on": "2021-01-01"},
            "The treatment went on after its last day",
        ),
    ],
)
def test_an_interruption_that_cannot_be_is_refused_in_words(as_alice, anna, days, words):
    treatment = {"drug": "natalizumab", "efficacy": "high", "starts_on": "2020-01-01"}
    url = reverse("fact_add", args=[anna.pk, "treatment"])

    answer = as_alice.post(url, treatment | days)

    assert words in answer.content.decode()
    assert not anna.treatments.exists()


def test_an_interruption_is_kept_in_record_history_table_and_api(as_alice, anna):
    url = reverse("fact_add", args=[anna.pk, "treatment"])
    as_alice.post(
        url,
        {
            "drug": "natalizumab", "efficacy": "high", "starts_on": "2020-01-01",
            "paused_on": "2020-03-01", "resumed_on": "2020-09-01",
        },
    )  # fmt: skip

    words = "interrupted from 2020-03-01, went on from 2020-09-01"
    assert words in as_alice.get(reverse("fact_list", args=[anna.pk])).content.decode()
    table = as_alice.get(reverse("patient_table", args=[anna.pk, "events"]))
    assert words in table.content.decode()
    stored = TreatmentRecord(anna.treatments.get()).data
    assert (stored["paused_on"], stored["resumed_on"]) == ("2020-03-01", "2020-09-01")


@pytest.mark.parametrize("kind", ENTRIES)
def test_an_entry_is_stored_and_leads_back_to_the_patient(
    as_alice, alice, anna, kind, doorbell, django_capture_on_commit_callbacks
):
    posted, model = ENTRIES[kind]

    with django_capture_on_commit_callbacks(execute=True):
        answer = add(as_alice, anna, kind, **posted)

    assert answer.status_code == 302, answer.context["form"].errors
    assert answer.url == reverse("patient_detail", args=[anna.pk])
    assert model.objects.get().entered_by == alice
    assert doorbell == [("divergence", str(anna.pk))]
    assert AuditEntry.objects.filter(action="create", pseudonym="ANNA").exists()


@pytest.mark.parametrize("kind", ENTRIES)
def test_every_form_opens(as_alice, anna, kind):
    answer = as_alice.get(reverse("fact_add", kwargs={"pk": anna.pk, "kind": kind}))

    assert answer.status_code == 200
    assert b"style=" not in answer.content


def test_another_one_of_the_same_kind_follows(as_alice, anna):
    answer = add(as_alice, anna, "relapse", **ENTRIES["relapse"][0], another="yes")

    assert answer.url == reverse("fact_add", kwargs={"pk": anna.pk, "kind": "relapse"})


def test_a_visit_is_added_on_the_fly_and_shared(as_alice, anna):
    add(as_alice, anna, "assessment", **EDSS)
    add(as_alice, anna, "lesions", **ENTRIES["lesions"][0])

    assert [str(visit.date) for visit in anna.visits.all()] == ["2020-05-01"]


@pytest.mark.parametrize("edss", ["0.5", "3.25", "10.5", "-1", "many", ""])
def test_an_edss_that_is_no_step_is_refused_and_leaves_no_visit(as_alice, anna, edss):
    answer = add(as_alice, anna, "assessment", date="2020-05-01", edss=edss)

    assert answer.status_code == 200
    assert "edss" in answer.context["form"].errors
    assert not Visit.objects.exists()


@pytest.mark.parametrize(
    ("kind", "changed", "field", "words"),
    [
        ("assessment", {"date": "1970-01-01"}, "date", "before the birth year"),
        ("assessment", {"pyramidal": "7"}, "pyramidal", "not one of the available choices"),
        ("relapse", {"onset": "1970-01-01"}, "onset", "before the birth year"),
        ("relapse", {"steroids_on": "2019-03-01"}, "__all__", "begin before the relapse"),
        ("treatment", {"ends_on": "2018-01-01"}, "__all__", "ends before it starts"),
        ("treatment", {"drug": ""}, "drug", "required"),
        ("lesions", {"count": ""}, "__all__", "Focal lesions need a number"),
        ("lesions", {"count": "-1"}, "count", "greater than or equal to 0"),
        ("lesions", {"pattern": "diffuse"}, "__all__", "present or absent"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(as_alice, anna, kind, changed, field, words):
    posted, model = ENTRIES[kind]

    answer = add(as_alice, anna, kind, **(posted | changed))

    assert answer.status_code == 200
    assert words in " ".join(answer.context["form"].errors[field])
    assert not model.objects.exists()
    assert not Visit.objects.exists()


def test_a_day_in_the_future_is_refused(as_alice, anna):
    tomorrow = (timezone.localdate() + timedelta(days=1)).isoformat()

    answer = add(as_alice, anna, "assessment", **(EDSS | {"date": tomorrow}))

    assert "future" in str(answer.context["form"].errors["date"])


def test_a_second_edss_of_a_visit_is_refused_in_words(as_alice, anna):
    add(as_alice, anna, "assessment", **EDSS)

    answer = add(as_alice, anna, "assessment", **(EDSS | {"edss": "4.0"}))

    assert "correct that one" in str(answer.context["form"].errors)
    assert Assessment.objects.count() == 1


def test_a_correction_supersedes_and_keeps_the_old_word(as_alice, anna, alice):
    add(as_alice, anna, "assessment", **EDSS)
    old = Assessment.objects.get()
    address = reverse(
        "fact_correct", kwargs={"pk": anna.pk, "kind": "assessment", "fact_pk": old.pk}
    )
    shown = as_alice.get(address)

    answer = as_alice.post(address, EDSS | {"edss": "4.0"})

    assert shown.context["form"]["edss"].value() == Decimal("3.5")
    assert answer.status_code == 302, answer.context["form"].errors
    new = Assessment.objects.current().get()
    old.refresh_from_db()
    assert (new.edss, new.supersedes) == (Decimal("4.0"), old)
    assert old.edss == Decimal("3.5")
    assert old.superseded_at is not None


@pytest.mark.parametrize("kind", ENTRIES)
def test_a_form_that_is_sent_unchanged_says_the_same(as_alice, anna, kind):
    posted, model = ENTRIES[kind]
    add(as_alice, anna, kind, **posted)
    old = model.objects.get()
    address = reverse("fact_correct", kwargs={"pk": anna.pk, "kind": kind, "fact_pk": old.pk})
    form = as_alice.get(address).context["form"]
    shown = {name: form[name].value() for name in form.fields}

    answer = as_alice.post(
        address, {k: "" if v is None else v for k, v in shown.items() if v is not False}
    )

    assert answer.status_code == 302, answer.context["form"].errors
    new = model.objects.current().get()
    for name in set(form.fields) - {"date"}:
        assert getattr(new, name) == getattr(old, name), name


def test_a_correction_of_what_somebody_corrected_meanwhile_is_not_found(as_alice, anna, alice):
    add(as_alice, anna, "assessment", **EDSS)
    old = Assessment.objects.get()
    fact_record(actor=alice, fact=Assessment(visit=old.visit, edss="4.0"), supersedes=old)

    answer = as_alice.post(
        reverse(
            "fact_correct", kwargs={"pk": anna.pk, "kind": "assessment", "fact_pk": old.pk}
        ),
        EDSS,
    )

    assert answer.status_code == 404
    assert Assessment.objects.current().get().edss == Decimal("4.0")


def test_a_withdrawn_entry_stays_in_the_history_and_is_computed_without(
    as_alice, anna, doorbell, django_capture_on_commit_callbacks
):
    add(as_alice, anna, "relapse", **ENTRIES["relapse"][0])
    known = {"pk": anna.pk, "kind": "relapse", "fact_pk": Relapse.objects.get().pk}

    with django_capture_on_commit_callbacks(execute=True):
        as_alice.post(reverse("fact_withdraw", kwargs=known))

    assert doorbell == [("divergence", str(anna.pk))]
    assert not Relapse.objects.current().exists()
    page = as_alice.get(reverse("fact_list", args=[anna.pk])).content.decode()
    assert "<s>Mild relapse, spinal</s>" in page
    assert "Withdrawn" in page


def test_a_fact_of_another_patient_is_not_found_under_this_one(as_alice, vltava, anna):
    other = patient_make(vltava)
    add(as_alice, other, "relapse", **ENTRIES["relapse"][0])
    relapse = Relapse.objects.get()

    answer = as_alice.post(
        reverse(
            "fact_withdraw", kwargs={"pk": anna.pk, "kind": "relapse", "fact_pk": relapse.pk}
        )
    )

    assert answer.status_code == 404
    assert Relapse.objects.current().exists()


def test_the_history_tells_who_entered_what_and_what_became_of_it(as_alice, anna):
    add(as_alice, anna, "assessment", **EDSS)
    old = Assessment.objects.get()
    as_alice.post(
        reverse(
            "fact_correct", kwargs={"pk": anna.pk, "kind": "assessment", "fact_pk": old.pk}
        ),
        EDSS | {"edss": "4.0"},
    )

    page = as_alice.get(reverse("fact_list", args=[anna.pk])).content.decode()

    assert "EDSS 4.0" in page
    assert "<s>EDSS 3.5</s>" in page
    assert "Corrected" in page
    assert page.count("alice") >= 2
    assert "pyramidal 3, sensory 2" in page


def test_a_patient_without_entries_is_told_what_to_do(as_alice, anna):
    page = as_alice.get(reverse("fact_list", args=[anna.pk])).content.decode()

    assert "Nothing entered yet" in page
    assert "Enter an EDSS" in page


def test_a_radiologist_reads_the_history_and_changes_nothing(client, bob, anna):
    client.force_login(bob)
    Relapse.objects.create(patient=anna, onset=date(2019, 4, 1))

    page = client.get(reverse("fact_list", args=[anna.pk]))

    assert page.status_code == 200
    assert b"Withdraw" not in page.content
    assert add(client, anna, "relapse", **ENTRIES["relapse"][0]).status_code == 403


def test_an_unknown_kind_is_no_page(as_alice, anna):
    assert add(as_alice, anna, "diagnosis").status_code == 404


def test_the_systems_say_which_edss_they_give(as_alice):
    systems = dict.fromkeys(
        ["visual", "brainstem", "cerebellar", "sensory", "bowel_bladder", "cerebral"], "0"
    )
    asked = systems | {"pyramidal": "3", "ambulation": "0", "edss": "4.0"}

    page = as_alice.get(reverse("edss_computed"), asked).content.decode()

    assert "give <strong>3.0</strong>; entered is 4.0." in page


@pytest.mark.parametrize("scores", [{"pyramidal": "3"}, {"pyramidal": "99"}, {}])
def test_without_all_systems_no_edss_is_computed(as_alice, scores):
    page = as_alice.get(reverse("edss_computed"), scores).content.decode()

    assert "give <strong>" not in page
