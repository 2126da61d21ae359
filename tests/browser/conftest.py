"""A running house for the browser: web server, worker, seeded clinics, Chromium."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

PASSWORD = "neuraxis-demo"  # settings.DEMO_PASSWORD of a house in demo mode

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en-GB",
]


class House:
    """Address of the running site and the ways into it."""

    def __init__(
        self, url: str, browser: Browser, var: Path, addresses: dict[str, dict[str, str]]
    ) -> None:
        self.url = url
        self.browser = browser
        self.var = var
        # By room of `furnishing` and name of an address: the page of one object.
        self.addresses = addresses
        self.problems: list[str] = []
        self._cookies: dict[str, Any] = {}

    def context(
        self, *, width: int = 1366, height: int = 768, dark: bool = False
    ) -> BrowserContext:
        """Return a fresh browser window."""
        return self.browser.new_context(
            viewport={"width": width, "height": height},
            locale="en-GB",
            timezone_id="UTC",
            reduced_motion="reduce",
            color_scheme="dark" if dark else "light",
        )

    def watch(self, page: Page) -> Page:
        """Note console errors, page errors, foreign requests and answers of 400 or more."""

        def console(message: ConsoleMessage) -> None:
            if message.type == "error":
                self.problems.append(f"console: {message.text}")

        page.on("console", console)
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((self.url, "data:", "blob:"))
                else self.problems.append(f"foreign request: {request.url}")
            ),
        )
        page.on(
            "response",
            lambda response: (
                self.problems.append(f"{response.status} {response.url}")
                if response.status >= 400
                else None
            ),
        )
        return page

    def sign_in(self, username: str, **window: Any) -> Page:
        """Return a page on which a demo person is signed in."""
        context = self.context(**window)
        if username in self._cookies:
            context.add_cookies(self._cookies[username])
            page = self.watch(context.new_page())
            page.goto(self.url + "/")
            return page
        page = self.watch(context.new_page())
        page.goto(f"{self.url}/accounts/login/")
        page.fill("input[name=login]", username)
        page.fill("input[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/accounts/login" not in url)
        self._cookies[username] = context.cookies()
        return page


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return Chromium, or skip and say so."""
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium: install Debian's package chromium, or set CHROMIUM")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=FLAGS
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def house(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Start web server and worker over a seeded database; end both."""
    var = tmp_path_factory.mktemp("house")
    port = free_port()
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "monitoring.settings",
        "NEURAXIS_DEMO": "on",
        "NEURAXIS_VAR": str(var),
        "MEDIA_ROOT": str(var / "media"),
        "SCRATCH_ROOT": str(var / "scratch"),
        "DATABASE_URL": f"sqlite:///{var / 'house.sqlite3'}",
        "BROKER_URL": "filesystem://",
        "LOG_LEVEL": "WARNING",
        "OMP_NUM_THREADS": "1",
    }
    for command in ("migrate", "seed_demo"):
        subprocess.run(
            [sys.executable, "manage.py", command],
            cwd=ROOT,
            env=env,
            check=True,
            timeout=300,
            stdout=subprocess.DEVNULL,
        )
    furnished = subprocess.run(
        [sys.executable, "-m", "tests.browser.furnishing"],
        cwd=ROOT,
        env=env,
        check=True,
        timeout=120,
        stdout=subprocess.PIPE,
    )
    programs = [
        [
            "gunicorn",
            "monitoring.wsgi:application",
            "--bind",
            f"127.0.0.1:{port}",
            "--threads",
            "4",
            "--timeout",
            "180",
        ],
        ["celery", "-A", "monitoring", "worker", "-B", "-Q", "default,volumetry", "-c", "1"],
    ]
    with (var / "house.log").open("ab") as log:
        running = [
            subprocess.Popen(
                [str(Path(sys.executable).parent / program[0]), *program[1:]],
                cwd=ROOT,
                env=env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            for program in programs
        ]
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{url}/healthz", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        yield House(url, browser, var, json.loads(furnished.stdout))
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
        for process in running:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def site(house: House) -> Iterator[House]:
    """Return the running house; fail on anything that a browser complained about."""
    house.problems.clear()
    yield house
    assert house.problems == []
