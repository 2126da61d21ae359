"""Who may call: tokens alone, with the role that the call needs; refusals as problems."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from monitoring.api.permissions import HasGrant
from monitoring.models import ApiToken, Role
from monitoring.services.people import token_revoke
from tests.api.conftest import token_make
from tests.factories.record import member_make, patient_make

pytestmark = pytest.mark.django_db


def refused(answer, status: int) -> dict:
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["instance"].startswith("/api/v1/")
    assert problem["detail"].endswith(".")
    return problem


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer",
        "Bearer ",
        "Bearer nx_unknown",
        "Bearer two words",
        "Basic YTpi",
        "Bearer \xff",
    ],
)
def test_without_a_living_token_nobody_enters(db, header):
    client = Client(headers={"Authorization": header} if header else {})

    answer = client.get("/api/v1/patients/")

    refused(answer, 401)
    assert answer["WWW-Authenticate"] == "Bearer"


def test_a_signed_in_person_is_no_token(as_alice):
    refused(as_alice.get("/api/v1/patients/"), 401)


def test_a_revoked_token_is_dead_at_once(vltava):
    token, text = token_make(vltava)
    client = Client(headers={"Authorization": f"Bearer {text}"})
    assert client.get("/api/v1/patients/").status_code == 200

    token_revoke(actor=member_make("boss-Vltava", vltava), token=token)

    refused(client.get("/api/v1/patients/"), 401)


def test_an_expired_token_is_dead(vltava):
    token, text = token_make(vltava)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(days=1))

    refused(Client(headers={"Authorization": f"Bearer {text}"}).get("/api/v1/patients/"), 401)


def test_a_role_without_the_grant_is_told_what_it_may_not(caller, vltava):
    problem = refused(caller(vltava, Role.TECHNICIAN).get("/api/v1/patients/"), 403)

    assert problem["detail"] == (
        "A token with the role MR technician may not pull the clinic's records over the API."
    )


def test_a_view_that_names_no_grant_is_closed(rf, vltava):
    token, _ = token_make(vltava)
    request = rf.get("/")
    request.auth = token

    assert HasGrant().has_permission(request, object()) is False


def test_a_patient_of_another_clinic_does_not_exist(registry, labe):
    patient = patient_make(labe)

    for path in ("", "timeline/", "divergence/"):
        refused(registry.get(f"/api/v1/patients/{patient.pk}/{path}"), 404)


def test_an_address_that_is_not_there_is_a_problem_not_a_page(registry):
    problem = refused(registry.get("/api/v1/nothing/here"), 404)

    assert "/api/v1/schema/" in problem["detail"]


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_record_is_read_only_over_the_api(registry, method):
    refused(getattr(registry, method)("/api/v1/patients/"), 405)


def test_who_asks_too_often_is_told_when_to_come_back(registry, monkeypatch):
    monkeypatch.setattr(
        "rest_framework.throttling.ScopedRateThrottle.THROTTLE_RATES",
        {"pull": "2/min", "upload": "2/min"},
    )
    cache.clear()
    answers = [registry.get("/api/v1/patients/") for _ in range(3)]

    refused(answers[-1], 429)
    assert int(answers[-1]["Retry-After"]) > 0


def test_the_last_use_of_a_token_is_noted(vltava):
    token, text = token_make(vltava)

    Client(headers={"Authorization": f"Bearer {text}"}).get("/api/v1/patients/")

    token.refresh_from_db()
    assert token.last_used_at is not None
