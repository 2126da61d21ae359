"""Without its secrets nothing serves or stores; a pure command needs none."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BARE = {
    name: value
    for name, value in os.environ.items()
    if name not in {"SECRET_KEY", "PSEUDONYM_KEY", "NEURAXIS_DEMO", "DEBUG", "ALLOWED_HOSTS"}
}


def python(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the project with a bare environment."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**BARE, "DJANGO_SETTINGS_MODULE": "monitoring.settings", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_web_server_refuses_to_start_without_secrets(tmp_path):
    done = python("-c", "import monitoring.wsgi", NEURAXIS_VAR=str(tmp_path))

    assert done.returncode != 0
    assert "SECRET_KEY" in done.stderr


def test_the_web_server_refuses_a_short_secret(tmp_path):
    done = python(
        "-c",
        "import monitoring.wsgi",
        NEURAXIS_VAR=str(tmp_path),
        SECRET_KEY="short",
        PSEUDONYM_KEY="x" * 40,
    )

    assert done.returncode != 0
    assert "SECRET_KEY is shorter than 32 characters" in done.stderr


def test_assess_needs_neither_secret_nor_database(tmp_path):
    table = tmp_path / "observations.csv"
    table.write_text(
        "patient_id,date,region,value,epoch,quality\na,2020-01-01,brain,1200000,e,good\n"
    )

    done = python(
        "manage.py",
        "assess",
        str(table),
        "--out",
        str(tmp_path / "out.csv"),
        NEURAXIS_VAR=str(tmp_path / "var"),
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
    )

    assert done.returncode == 0, done.stderr
    assert "insufficient" in (tmp_path / "out.csv").read_text()
