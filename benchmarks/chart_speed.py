"""Measure in Chromium how soon the figure of a long course can be used.

DATABASE_URL=postgresql://... DJANGO_SETTINGS_MODULE=monitoring.settings NEURAXIS_DEMO=on \
    python -m benchmarks.chart_speed

Runs on the database that `benchmarks.pages_speed` filled: gunicorn, a browser whose cache holds
scripts and styles, the page of the patient with the most scans. Counted is the time from the
click to the figure that answers keys and pointer (``data-ready``).
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import django
from django.conf import settings
from django.test import Client
from playwright.sync_api import sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
READY = """() => new Promise((done) => {
  const figure = document.querySelector("[data-timeline]");
  const look = () =>
    figure.dataset.ready ? done(performance.now()) : requestAnimationFrame(look);
  look();
})"""
TIMES = """() => {
  const [page] = performance.getEntriesByType("navigation");
  return { server: page.responseStart - page.requestStart, parsed: page.domInteractive };
}"""


def main() -> None:
    """Start a server, open the page again and again, print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--port", type=int, default=8479)
    asked = parser.parse_args()
    django.setup()
    from django.contrib.auth.models import User

    from monitoring.models import Patient

    settings.ALLOWED_HOSTS = ["*"]
    client = Client()
    client.force_login(User.objects.get(username="benchmark"))
    patient = Patient.objects.get(pseudonym="LONG")
    url = f"http://127.0.0.1:{asked.port}"
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / "gunicorn"), "monitoring.wsgi:application",
         "--bind", f"127.0.0.1:{asked.port}", "--threads", "4"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(url)
        cookie = {
            "name": settings.SESSION_COOKIE_NAME,
            "value": client.cookies[settings.SESSION_COOKIE_NAME].value,
            "url": url,
        }
        ready, answered = _opened(f"{url}/patients/{patient.pk}/", cookie, asked.repeats)
    finally:
        server.terminate()
        server.wait(15)
    print("| until | median ms | p95 ms |")
    print("|---|---:|---:|")
    for name, times in (("first byte", answered), ("figure answers", ready)):
        p95 = statistics.quantiles(times, n=20)[18]
        print(f"| {name} | {statistics.median(times):.0f} | {p95:.0f} |")


def _wait_for(url: str) -> None:
    """Wait until the server answers."""
    for _ in range(60):
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=2)
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise SystemExit("The server did not start.")


def _opened(
    address: str, cookie: dict[str, str], repeats: int
) -> tuple[list[float], list[float]]:
    """Open the page once to fill the cache, then measure."""
    ready, answered = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 1366, "height": 768})
        context.add_cookies([cookie])  # type: ignore[list-item]
        page = context.new_page()
        for number in range(repeats + 2):
            page.goto(address, wait_until="commit")
            page.wait_for_selector("[data-timeline]", state="attached")
            drawn = float(page.evaluate(READY))
            times = page.evaluate(TIMES)
            if number > 1:
                ready.append(drawn)
                answered.append(float(times["server"]))
            page.wait_for_load_state("networkidle")
        browser.close()
    return ready, answered


if __name__ == "__main__":
    main()
