"""Administration: members, tokens, the trail, the first clinic."""

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from monitoring.models import (
    ApiToken,
    AuditEntry,
    Clinic,
    FirstPassword,
    Membership,
    Role,
)
from monitoring.services.audit import audit_record
from monitoring.services.people import token_create
from tests.factories.record import member_make, patient_make
from volumetry.engines.registry import METHODS

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(vltava) -> User:
    return member_make("boss", vltava, Role.ADMINISTRATOR)


@pytest.fixture
def as_boss(boss) -> Client:
    client = Client()
    client.force_login(boss)
    return client


# --- Members --------------------------------------------------------------------------------


def test_members_and_their_roles_are_listed(as_boss, vltava, alice):
    member_make("alice", vltava, Role.RADIOLOGIST)

    page = as_boss.get(reverse("member_list")).content.decode()

    assert page.count('<th scope="row">alice') == 1
    assert "Neurologist" in page
    assert "Radiologist" in page


def test_members_of_another_clinic_are_not_listed(as_boss, charlie):
    assert b"charlie" not in as_boss.get(reverse("member_list")).content


def test_a_role_is_given_to_an_account_that_exists(as_boss, vltava, charlie):
    answer = as_boss.post(reverse("member_add"), {"username": "charlie", "role": "researcher"})

    assert answer.url == reverse("member_list")
    assert charlie.memberships.filter(clinic=vltava, role=Role.RESEARCHER).exists()
    assert AuditEntry.objects.filter(action="administer", detail="charlie: researcher").exists()


@pytest.mark.parametrize("username", ["nobody", "boss "])
def test_only_an_account_that_exists_gets_a_role(as_boss, username):
    answer = as_boss.post(reverse("member_add"), {"username": username, "role": "researcher"})

    assert (answer.status_code == 302) is User.objects.filter(
        username=username.strip()
    ).exists()


def test_a_new_colleague_gets_a_password_that_is_shown_once(as_boss, vltava):
    answer = as_boss.post(reverse("member_create"), {"username": "dana", "role": "neurologist"})

    password = answer.context["secret"]
    dana = User.objects.get(username="dana")
    assert password in answer.content.decode()
    assert dana.check_password(password)
    assert dana.memberships.get().role == Role.NEUROLOGIST
    assert answer["Cache-Control"] == "no-store"
    assert not AuditEntry.objects.filter(detail__contains=password).exists()


def test_a_first_password_opens_nothing_but_the_choice_of_another(as_boss, vltava):
    answer = as_boss.post(reverse("member_create"), {"username": "dana", "role": "neurologist"})
    password, own = answer.context["secret"], "seven green herons fly"
    dana = Client()
    dana.post(reverse("account_login"), {"login": "dana", "password": password})

    shut = dana.get(reverse("about"))
    change = reverse("account_change_password")
    assert (shut.status_code, shut.url) == (302, change)
    dana.post(change, {"oldpassword": password, "password1": own, "password2": own})

    assert dana.get(reverse("about")).status_code == 200
    assert not FirstPassword.objects.exists()
    assert User.objects.get(username="dana").check_password(own)


@pytest.mark.parametrize("username", ["alice", "", "a b", "x" * 151])
def test_an_account_needs_a_free_and_possible_name(as_boss, alice, username):
    before = User.objects.count()

    answer = as_boss.post(
        reverse("member_create"), {"username": username, "role": "neurologist"}
    )

    assert answer.context["form"].errors["username"]
    assert User.objects.count() == before


def test_a_role_is_taken_away(as_boss, vltava, alice):
    membership = alice.memberships.get()

    as_boss.post(reverse("member_remove", args=[membership.pk]))

    assert not Membership.objects.filter(pk=membership.pk).exists()
    assert User.objects.filter(pk=alice.pk).exists()


def test_the_last_administrator_stays(as_boss, boss):
    answer = as_boss.post(
        reverse("member_remove", args=[boss.memberships.get().pk]), follow=True
    )

    assert boss.memberships.exists()
    assert b"last administrator cannot be removed" in answer.content


def test_a_membership_of_another_clinic_is_not_found(as_boss, charlie):
    answer = as_boss.post(reverse("member_remove", args=[charlie.memberships.get().pk]))

    assert answer.status_code == 404
    assert charlie.memberships.exists()


def test_removal_needs_a_post(as_boss, alice):
    assert (
        as_boss.get(reverse("member_remove", args=[alice.memberships.get().pk])).status_code
        == 405
    )


# --- Tokens ---------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_works(as_boss, vltava):
    patient_make(vltava, "ANNA")
    answer = as_boss.post(
        reverse("token_add"), {"name": "Registry", "role": "data_manager", "days": "30"}
    )

    text = answer.context["secret"]
    assert text in answer.content.decode()
    assert text not in as_boss.get(reverse("token_list")).content.decode()
    assert not ApiToken.objects.filter(digest__contains=text).exists()
    pulled = Client(headers={"Authorization": f"Bearer {text}"}).get("/api/v1/patients/")
    assert [row["pseudonym"] for row in pulled.json()["results"]] == ["ANNA"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("days", "0"), ("days", "9999"), ("role", "administrator")],
)
def test_a_token_needs_a_name_a_role_and_an_end(as_boss, field, value):
    posted = {"name": "Registry", "role": "data_manager", "days": "30"} | {field: value}

    assert as_boss.post(reverse("token_add"), posted).context["form"].errors[field]
    assert not ApiToken.objects.exists()


def test_a_token_is_revoked(as_boss, boss, vltava):
    token, _ = token_create(actor=boss, clinic=vltava, name="Old", role="researcher")

    as_boss.post(reverse("token_revoke", args=[token.pk]))

    assert not ApiToken.objects.live().exists()
    assert b"Revoked" in as_boss.get(reverse("token_list")).content


def test_a_token_of_another_clinic_is_not_found(as_boss, labe):
    other = member_make("labe-boss", labe, Role.ADMINISTRATOR)
    token, _ = token_create(actor=other, clinic=labe, name="Theirs", role="researcher")

    assert as_boss.post(reverse("token_revoke", args=[token.pk])).status_code == 404
    assert b"Theirs" not in as_boss.get(reverse("token_list")).content


# --- Audit trail ----------------------------------------------------------------------------


@pytest.fixture
def acts(vltava, labe, alice, bob, charlie):
    for actor, clinic, pseudonym in (
        (alice, vltava, "ANNA"),
        (bob, vltava, "BERTA"),
        (charlie, labe, "CILKA"),
    ):
        audit_record(
            actor=actor,
            clinic=clinic,
            action=AuditEntry.Action.READ,
            subject="patient",
            pseudonym=pseudonym,
        )


def trail(client, **query) -> list[str]:
    entries = client.get(reverse("audit_list"), query).context["entries"]
    return [entry.pseudonym for entry in entries if entry.pseudonym]


def test_an_administrator_sees_the_clinic_and_no_other(as_boss, acts):
    assert trail(as_boss) == ["BERTA", "ANNA"]


def test_everybody_else_sees_the_own_trail(as_alice, acts):
    assert trail(as_alice) == ["ANNA"]


def test_an_administrator_may_look_at_the_own_trail_alone(as_boss, acts):
    assert trail(as_boss, own="yes") == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "berta"}, ["BERTA"]),
        ({"q": "bob"}, ["BERTA"]),
        ({"q": "patient"}, ["BERTA", "ANNA"]),
        ({"q": "nobody"}, []),
        ({"action": "export"}, []),
        ({"since": "2999-01-01"}, []),
        ({"until": "2000-01-01"}, []),
        ({"since": "2000-01-01", "action": "read"}, ["BERTA", "ANNA"]),
        ({"since": "never"}, ["BERTA", "ANNA"]),
    ],
)
def test_the_trail_can_be_searched(as_boss, acts, query, found):
    assert trail(as_boss, **query) == found


def test_the_trail_comes_in_pages(as_boss, vltava, alice):
    for number in range(60):
        audit_record(
            actor=alice,
            clinic=vltava,
            action=AuditEntry.Action.READ,
            subject="patient",
            pseudonym=f"P{number}",
        )

    first, second = trail(as_boss), trail(as_boss, page="2")

    assert (first[0], len(first)) == ("P59", 50)
    assert "P0" in second


def test_looking_at_the_trail_is_in_the_trail(as_boss, boss):
    as_boss.get(reverse("audit_list"))

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.subject) == (boss, "audit trail")


def test_the_trail_costs_the_same_queries_however_long(
    as_boss, acts, django_assert_max_num_queries
):
    with django_assert_max_num_queries(18):
        as_boss.get(reverse("audit_list"))


# --- The first clinic, and what this is -----------------------------------------------------


def test_the_first_clinic_is_opened_from_the_command_line():
    out = StringIO()

    call_command("create_clinic", "Morava", "--administrator", "eva", stdout=out)

    eva = User.objects.get(username="eva")
    password = out.getvalue().split("first sign-in: ")[1].split()[0]
    assert eva.check_password(password)
    assert eva.memberships.get().role == Role.ADMINISTRATOR
    assert Clinic.objects.get().name == "Morava"
    assert AuditEntry.objects.filter(clinic__name="Morava", action="administer").exists()


def test_an_account_that_exists_keeps_its_password(charlie):
    out = StringIO()

    call_command("create_clinic", "Morava", "--administrator", "charlie", stdout=out)

    charlie.refresh_from_db()
    assert charlie.check_password("charlie has a long password")
    assert "sign-in" not in out.getvalue()


@pytest.mark.parametrize(
    ("name", "user"), [("Vltava", "eva"), ("", "eva"), ("Morava", "e v a")]
)
def test_what_cannot_be_opened_is_refused_and_leaves_nothing(vltava, name, user):
    with pytest.raises(CommandError):
        call_command("create_clinic", name, "--administrator", user)

    assert Clinic.objects.count() == 1
    assert not User.objects.exists()


def test_the_about_page_names_every_method_with_its_version(client):
    page = client.get(reverse("about")).content.decode()

    for method in METHODS.values():
        assert method.name in page
        assert method.version in page
    assert "Research use only" in page
    assert "Apache License" in page


def test_a_forgotten_password_is_renewed_by_an_administrator(client, vltava, alice, bob):
    admin = member_make("ada", vltava, Role.ADMINISTRATOR)
    client.force_login(admin)
    membership = alice.memberships.get()

    answer = client.post(reverse("member_password", args=[membership.pk]))

    secret = answer.context["secret"]
    alice.refresh_from_db()
    assert alice.check_password(secret)
    assert FirstPassword.objects.filter(user=alice).exists()
    assert AuditEntry.objects.filter(subject="account", detail__contains="alice").exists()


def test_no_password_is_renewed_that_opens_a_clinic_of_others(client, vltava, labe, alice):
    member_make("alice", labe, Role.NEUROLOGIST)
    admin = member_make("ada", vltava, Role.ADMINISTRATOR)
    client.force_login(admin)
    before = alice.password

    client.post(
        reverse("member_password", args=[alice.memberships.filter(clinic=vltava)[0].pk])
    )

    alice.refresh_from_db()
    assert alice.password == before


def test_the_interval_between_scans_is_a_setting_that_is_written_down(as_boss, vltava):
    url = reverse("clinic_settings")
    page = as_boss.get(url).content.decode()
    assert 'value="12"' in page
    assert "false per 100 patient-years" in page
    assert as_boss.post(url, {"scan_interval_months": 18}).status_code == 302
    vltava.refresh_from_db()
    assert vltava.scan_interval_months == 18
    assert AuditEntry.objects.filter(detail="scan interval 12 to 18 months").exists()


@pytest.mark.parametrize("months", ["0", "61", "", "yearly"])
def test_an_impossible_interval_is_refused(as_boss, vltava, months):
    answer = as_boss.post(reverse("clinic_settings"), {"scan_interval_months": months})
    assert answer.status_code == 200
    assert "field__errors" in answer.content.decode()
    vltava.refresh_from_db()
    assert vltava.scan_interval_months == 12
