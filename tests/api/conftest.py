"""Callers of the API: tokens of both clinics, and a client that speaks for one."""

from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.test import Client

from monitoring.models import ApiToken, Clinic, Role
from monitoring.services.people import token_create
from tests.factories.record import member_make


@pytest.fixture(autouse=True)
def _no_throttle_of_another_test() -> None:
    cache.clear()


def token_make(clinic: Clinic, role: Role = Role.DATA_MANAGER) -> tuple[ApiToken, str]:
    """Return a token and its text."""
    boss = member_make(f"boss-{clinic.name}", clinic, Role.ADMINISTRATOR)
    return token_create(actor=boss, clinic=clinic, name=f"{role} registry", role=role)


@pytest.fixture
def caller() -> Callable[..., Client]:
    """Return a maker of clients that carry a token."""

    def make(clinic: Clinic, role: Role = Role.DATA_MANAGER) -> Client:
        _token, text = token_make(clinic, role)
        return Client(headers={"Authorization": f"Bearer {text}"})

    return make


@pytest.fixture
def registry(caller, vltava) -> Client:
    """Return the client of Vltava's registry."""
    return caller(vltava)
