"""Every URL name x everybody who might call: a URL without a row fails."""

from dataclasses import dataclass

import pytest
from django.db import transaction
from django.test import Client
from django.urls import get_resolver, reverse
from django.urls.resolvers import URLPattern, URLResolver

from monitoring.models import AuditEntry, Role
from tests.project.access_rows import ROWS, Kind, Row
from tests.project.world import World, world_make

pytestmark = pytest.mark.django_db

# Sign-in, second factor and sessions are allauth's own pages, tested there; what we changed of
# them is tested in test_security.py.
FOREIGN_PREFIX = "accounts/"
CALLERS = [
    "anonymous",
    "stranger",
    "revoked token",
    *(f"{kind}{role.value}" for kind in ("", "token ", "foreign token ") for role in Role),
]
# Objects that belong to no patient.
NAMES_A_PATIENT = set(ROWS) - {
    "clinic_switch",
    "upload_runs",
    "upload_discard",
    "delivery_sort",
    "delivery_recognise",
    "delivery_discard",
    "delivery_files",
    "delivery_file",
    "run_state",
    "ledger_epoch_merge",
    "ledger_epoch_split",
    "parameter_proposal",
    "parameter_proposal_state",
    "parameter_set_document",
    "parameters_adopt",
    "member_remove",
    "member_password",
    "token_revoke",
    "cohort_saved",
    "cohort_definition",
    "cohort_state",
    "cohort_retry",
    "cohort_analysis",
    "cohort_table",
}


@pytest.fixture
def world(db) -> World:
    return world_make()


def own_url_names() -> set[str]:
    """Return the name of every address of the site."""

    def walk(patterns, prefix: str):
        for pattern in patterns:
            path = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, path)
            elif isinstance(pattern, URLPattern):
                yield path, pattern.name

    found = dict(walk(get_resolver().url_patterns, ""))
    unnamed = [path for path, name in found.items() if not name]
    assert not unnamed, f"addresses without a name: {unnamed}"
    return {name for path, name in found.items() if not path.startswith(FOREIGN_PREFIX)}


def test_every_address_has_a_row_and_every_row_an_address():
    assert set(ROWS) == own_url_names()


def expected(row: Row, caller: str) -> tuple[int, ...]:
    """Return the statuses that a caller may get; 302 stands for "sign in first" too."""
    role = caller.removeprefix("foreign ").removeprefix("token ")
    is_token = "token" in caller
    if row.kind is Kind.PUBLIC:
        return row.passes
    if row.kind in {Kind.API_LIST, Kind.API_OBJECT}:
        if not is_token or caller == "revoked token":
            return (401,)
        if role not in row.roles:
            return (403,)
        is_foreign = caller.startswith("foreign")
        return (404,) if is_foreign and row.kind is Kind.API_OBJECT else row.passes
    if is_token or caller == "anonymous":
        return (302,)
    if row.kind is Kind.PERSON:
        return row.passes
    if caller == "stranger":
        # The stranger holds every role, but in another clinic.
        return (404,) if row.kind is Kind.OBJECT else row.passes
    return row.passes if role in row.roles else (403,)


@dataclass(frozen=True)
class Answer:
    """What came back, read to its end."""

    status_code: int
    url: str
    content: bytes


def call(row: Row, name: str, client: Client, world: World) -> Answer:
    """Make the request of a row."""
    address = reverse(name, kwargs=row.args(world))
    answer = getattr(client, row.method)(address, row.data(world))
    # Reading a stream to its end closes it; closing it again would say "request finished" once
    # more, upon which Django drops a connection that is inside a transaction.
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return Answer(answer.status_code, answer.headers.get("Location", ""), body)


def leads_to_sign_in(answer) -> bool:
    return answer.status_code == 302 and answer.url.startswith(reverse("account_login"))


def verdict(row: Row, caller: str, answer) -> str:
    """Return what is wrong with an answer, or nothing."""
    allowed = expected(row, caller)
    must_sign_in = allowed == (302,) and (caller == "anonymous" or "token" in caller)
    if answer.status_code not in allowed or leads_to_sign_in(answer) != must_sign_in:
        return f"{answer.status_code}, expected {allowed}"
    is_outside = caller in {"anonymous", "stranger", "revoked token"} or "foreign" in caller
    return "tells of the patient" if is_outside and b"ANNA" in answer.content else ""


@pytest.mark.parametrize("caller", CALLERS)
def test_addresses_open_to_whom_their_rows_name_and_to_nobody_else(caller, world):
    wrong = []
    for name, row in ROWS.items():
        with transaction.atomic():
            fault = verdict(row, caller, call(row, name, world.clients[caller], world))
            transaction.set_rollback(True)
        if fault:
            wrong.append(f"{name}: {fault}")
    assert not wrong, "\n".join(wrong)


def test_what_shows_or_changes_patient_data_is_written_down(world):
    wrong = []
    for name, row in ROWS.items():
        role = sorted(row.roles)[0]
        caller = f"token {role}" if row.kind in {Kind.API_LIST, Kind.API_OBJECT} else role
        with transaction.atomic():
            AuditEntry.objects.all().erase()
            call(row, name, world.clients[caller], world)
            entries = list(AuditEntry.objects.all())
            transaction.set_rollback(True)
        if not entries and not row.unaudited:
            wrong.append(f"{name}: left no trace")
        if not all(entry.actor or entry.token for entry in entries):
            wrong.append(f"{name}: nobody did it")
        is_patient = row.kind in {Kind.OBJECT, Kind.API_OBJECT} and name in NAMES_A_PATIENT
        if is_patient and "ANNA" not in {entry.pseudonym for entry in entries}:
            wrong.append(f"{name}: does not say whose data it was")
    assert not wrong, "\n".join(wrong)


def test_if_the_trail_cannot_be_written_the_page_fails(world, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(AuditEntry.objects, "create", full)
    client = world.clients["neurologist"]
    monkeypatch.setattr(client, "raise_request_exception", False)

    answer = client.get(reverse("patient_detail", args=[world.patient.pk]))

    assert answer.status_code == 500
    assert b"ANNA" not in answer.content
