"""Rules that no single feature owns: imports, migrations, settings, headers, logs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from monitoring.models import Role
from tests.factories.record import member_make, patient_make

ROOT = Path(__file__).resolve().parents[2]
PURE = ("monitoring/core", "volumetry/core", "volumetry/engines", "volumetry/intake")
BANNED = ("django", "celery", "rest_framework", "plotly")
PRODUCTION = {
    "SECRET_KEY": "a-secret-key-of-production-" * 3,
    "PSEUDONYM_KEY": "a-pseudonym-key-of-production-" * 3,
    "ALLOWED_HOSTS": "neuraxis.example.org",
}


def python(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter that knows nothing of this test run."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=kept | {"OMP_NUM_THREADS": "1"} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


# --- Imports --------------------------------------------------------------------------------


def test_cores_engines_and_intake_drag_no_framework_in():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in PURE
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    script = (
        "import importlib, json, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(json.dumps([n for n in {BANNED!r} if n in sys.modules]))"
    )

    done = python("-c", script)

    assert done.returncode == 0, done.stderr
    assert len(modules) > 30
    assert json.loads(done.stdout.splitlines()[-1]) == []


# --- Database -------------------------------------------------------------------------------


def test_a_process_that_answers_pages_has_settled_the_collector_of_garbage():
    code = (
        "import gc, monitoring.wsgi, sys\n"
        "assert 'monitoring.views.patients' in sys.modules\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 50_000, gc.get_threshold()[0] > 10_000)"
    )

    found = python("-c", code, **PRODUCTION, DJANGO_SETTINGS_MODULE="monitoring.settings")

    assert found.stdout.split() == ["True", "True", "True"], found.stderr


def test_garbage_is_looked_for_when_an_answer_has_been_sent():
    code = (
        "import gc, monitoring.wsgi\n"
        "from django.core.signals import request_finished\n"
        "looks = []\n"
        "gc.callbacks.append(lambda phase, info: looks.append(info['generation']))\n"
        "request_finished.send(sender=None)\n"
        "kept = [[] for _ in range(150_000)]\n"
        "before = list(looks)\n"
        "request_finished.send(sender=None)\n"
        "print(before, looks)"
    )

    found = python("-c", code, **PRODUCTION, DJANGO_SETTINGS_MODULE="monitoring.settings")

    # Once, start and stop: not while the answer was made, and not after a small one.
    assert found.stdout.strip() == "[] [0, 0]", found.stderr


@pytest.mark.django_db
def test_models_and_migrations_agree():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


# --- Settings -------------------------------------------------------------------------------


def test_a_production_like_deployment_passes_the_checks(tmp_path):
    done = python(
        "manage.py",
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        NEURAXIS_VAR=str(tmp_path),
        **PRODUCTION,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", ["SECRET_KEY", "PSEUDONYM_KEY"])
def test_without_a_secret_the_server_does_not_start(tmp_path, missing):
    env = {name: value for name, value in PRODUCTION.items() if name != missing}

    done = python("-c", "import monitoring.wsgi", NEURAXIS_VAR=str(tmp_path), **env)

    assert done.returncode != 0
    assert f"Set {missing}" in done.stderr


def test_a_secret_may_come_from_a_file(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(PRODUCTION["SECRET_KEY"])
    env = {k: v for k, v in PRODUCTION.items() if k != "SECRET_KEY"}

    done = python(
        "manage.py", "check", NEURAXIS_VAR=str(tmp_path), SECRET_KEY_FILE=str(secret), **env
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("env", "error"),
    [
        ({"NEURAXIS_DEMO": "on"}, "neuraxis.E002"),
        ({"SECRET_KEY": "short"}, "neuraxis.E004"),
    ],
)
def test_an_unsafe_deployment_is_refused_with_a_hint(tmp_path, env, error):
    done = python(
        "manage.py", "check", "--deploy", NEURAXIS_VAR=str(tmp_path), **(PRODUCTION | env)
    )

    assert done.returncode != 0
    assert error in done.stderr


# --- Transport ------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/healthz", "/about/", "/accounts/login/", "/api/v1/schema/"])
def test_every_answer_carries_the_headers_that_protect_it(path):
    answer = Client().get(path)

    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "script-src" not in policy or "unsafe" not in policy.split("script-src")[1]
    assert "frame-ancestors 'none'" in policy
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
def test_cookies_are_closed_to_scripts_and_other_sites(vltava):
    member_make("alice", vltava, Role.NEUROLOGIST)
    client = Client()

    client.post(
        reverse("account_login"), {"login": "alice", "password": "alice has a long password"}
    )

    cookie = client.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_production_speaks_https_only(tmp_path):
    script = (
        "from monitoring import settings as s, wsgi\n"
        "print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_SSL_REDIRECT, "
        "s.SECURE_HSTS_SECONDS >= 31536000, s.DEBUG, s.DEMO_MODE)"
    )

    done = python("-c", script, NEURAXIS_VAR=str(tmp_path), **PRODUCTION)

    assert done.stdout.split() == ["True"] * 4 + ["False"] * 2, done.stderr


@pytest.mark.django_db
def test_nobody_signs_up():
    answer = Client().get("/accounts/signup/")

    assert b"password1" not in answer.content


# --- Logs -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_logs_hold_no_pseudonym_no_file_name_and_no_header(vltava, caplog, capfd):
    from django.core.files.uploadedfile import SimpleUploadedFile

    caplog.set_level("INFO")
    patient = patient_make(vltava, "CANARY-PSEUDONYM")
    client = Client()
    client.force_login(member_make("alice", vltava, Role.NEUROLOGIST))

    client.get(reverse("patient_detail", args=[patient.pk]))
    client.get(reverse("worklist"), {"q": "CANARY-PSEUDONYM"})
    client.post(
        reverse("upload", args=[patient.pk]),
        {
            "visit_date": "2020-05-01",
            "files": SimpleUploadedFile("CANARY-FILE.nii.gz", b"CANARY-CONTENT"),
        },
    )

    out, err = capfd.readouterr()
    assert "CANARY" not in caplog.text + out + err


@pytest.mark.django_db
def test_an_error_page_tells_nothing(vltava, monkeypatch, settings):
    settings.DEBUG = False

    def broken(*_args, **_kwargs):
        raise RuntimeError("CANARY-INTERNAL")

    monkeypatch.setattr("monitoring.views.patients.timeline_of", broken)
    client = Client(raise_request_exception=False)
    client.force_login(member_make("alice", vltava, Role.NEUROLOGIST))

    answer = client.get(reverse("patient_detail", args=[patient_make(vltava).pk]))

    assert answer.status_code == 500
    assert b"CANARY-INTERNAL" not in answer.content
    assert b"RuntimeError" not in answer.content
