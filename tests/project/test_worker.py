"""A killed worker or a double delivery loses nothing and measures nothing twice."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.project import services

ROOT = Path(__file__).resolve().parents[2]


def scenario(tmp_path: Path, *, broker: str, database: str) -> dict[str, Any]:
    """Play tests.project.worker_scenario in processes of its own."""
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "monitoring.settings",
        "NEURAXIS_DEMO": "on",
        "NEURAXIS_VAR": str(tmp_path / "var"),
        "MEDIA_ROOT": str(tmp_path / "var" / "media"),
        "DATABASE_URL": database,
        "BROKER_URL": broker,
        "RUN_HEARTBEAT_SECONDS": "0.5",
        "RUN_STALE_SECONDS": "4",
        "RUN_RESEND_SECONDS": "5",
        "SWEEP_SECONDS": "1",
        "LOG_LEVEL": "WARNING",
        "OMP_NUM_THREADS": "1",
    }
    played = subprocess.run(
        [sys.executable, "-m", "tests.project.worker_scenario"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    log = tmp_path / "var" / "worker.log"
    told = log.read_text()[-3000:] if log.exists() else ""
    assert played.returncode == 0, played.stderr[-3000:] + told
    facts: dict[str, Any] = json.loads(played.stdout.splitlines()[-1])
    assert facts["ended"], (facts, told)
    return facts


def must_hold(facts: dict[str, Any]) -> None:
    assert facts["was_running"], "the worker was killed before it had begun"
    assert facts["states"] == {"succeeded": 10}
    assert facts["measurements_per_run"] == [1] * 10
    assert facts["files"] == 10
    assert max(facts["attempts"]) >= 2, "the killed run was not taken again"


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_on_the_embedded_default(tmp_path):
    must_hold(
        scenario(
            tmp_path,
            broker="filesystem://",
            database=f"sqlite:///{tmp_path / 'worker.sqlite3'}",
        )
    )


@pytest.mark.broker
@pytest.mark.postgres
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_a_killed_worker_loses_nothing_on_servers(tmp_path, broker):
    url = services.broker_url(broker)
    with services.postgres_database() as database:
        must_hold(scenario(tmp_path, broker=url, database=database))
