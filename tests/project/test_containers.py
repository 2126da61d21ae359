"""The container files are linted, and name only settings that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["hadolint", "docker/Dockerfile"],
        ["yamllint", "--strict", "docker/compose.yaml"],
    ],
)
def test_the_container_files_pass_their_linters(command):
    done = subprocess.run(
        [TOOLS / command[0], *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_service_says_when_it_is_healthy():
    compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
    own_image = {"migrate", "web"}  # one ends at once, the other's check is in the image
    for name, service in compose["services"].items():
        assert "healthcheck" in service or name in own_image, name


def test_the_example_environment_names_only_variables_that_are_documented():
    documented = set(re.findall(r"`([A-Z][A-Z_]+)`", (ROOT / "docs/deployment.md").read_text()))
    named = {
        line.split("=")[0]
        for line in (ROOT / "docker/example.env").read_text().splitlines()
        if line and not line.startswith("#")
    }
    assert named - documented == {"POSTGRES_PASSWORD", "RABBITMQ_PASSWORD"}


def test_every_variable_that_the_settings_read_is_documented():
    documented = set(re.findall(r"`([A-Z][A-Z_]+)`", (ROOT / "docs/deployment.md").read_text()))
    read = set(
        re.findall(
            r"(?:env\.\w+|env\.db|_secret)\(\s*\"([A-Z_]+)\"",
            (ROOT / "monitoring/settings.py").read_text(),
        )
    )
    assert read - {"DEBUG"} <= documented
