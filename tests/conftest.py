"""Fixtures that every test may use: Alice, Bob and Charlie, and the folder of real scans."""

import os
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from monitoring.models import Clinic, Role
from tests.factories.record import clinic_make, member_make
from tests.left_out import LeftOut

REALDATA_ROOT = Path(
    os.environ.get("NEURAXIS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)


def pytest_configure(config: pytest.Config) -> None:
    """Say at the end what did not run."""
    config.pluginmanager.register(LeftOut())


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Return the folder of real scans, or skip and say so."""
    if not (REALDATA_ROOT / "truth.json").is_file():
        pytest.skip(f"real scans not found: set NEURAXIS_DATA (looked in {REALDATA_ROOT})")
    return REALDATA_ROOT


@pytest.fixture(autouse=True)
def _files_stay_in_the_test(settings, tmp_path: Path) -> None:
    """Keep stored files and scratch of each test in a folder of its own."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.SCRATCH_ROOT = tmp_path / "scratch"
    settings.SCRATCH_ROOT.mkdir()


@pytest.fixture(autouse=True)
def doorbell(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Collect what would wake a worker; no test needs a broker unless it says so."""
    rung: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "volumetry.tasks.run_execute.delay", lambda pk: rung.append(("run", pk))
    )
    monkeypatch.setattr(
        "monitoring.tasks.divergence_refresh.delay", lambda pk: rung.append(("divergence", pk))
    )
    monkeypatch.setattr(
        "monitoring.tasks.cohort_analyse.delay", lambda pk: rung.append(("cohort", pk))
    )
    monkeypatch.setattr(
        "monitoring.tasks.clinic_refresh.delay", lambda pk: rung.append(("clinic", pk))
    )
    monkeypatch.setattr(
        "monitoring.tasks.proposal_compute.delay", lambda pk: rung.append(("proposal", pk))
    )
    return rung


@pytest.fixture
def vltava(db: None) -> Clinic:
    """Return the clinic of Alice and Bob."""
    return clinic_make("Vltava")


@pytest.fixture
def labe(db: None) -> Clinic:
    """Return the clinic of Charlie."""
    return clinic_make("Labe")


@pytest.fixture
def alice(vltava: Clinic) -> User:
    """Return Alice, neurologist at Vltava."""
    return member_make("alice", vltava, Role.NEUROLOGIST)


@pytest.fixture
def bob(vltava: Clinic) -> User:
    """Return Bob, radiologist at Vltava."""
    return member_make("bob", vltava, Role.RADIOLOGIST)


@pytest.fixture
def charlie(labe: Clinic) -> User:
    """Return Charlie, neurologist at Labe: a stranger at Vltava."""
    return member_make("charlie", labe, Role.NEUROLOGIST)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    """Return a browser in which Alice is signed in."""
    client.force_login(alice)
    return client
