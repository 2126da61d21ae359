"""Every page as every role that may open it: nothing breaks, nothing is foreign, axe is quiet.

With NEURAXIS_TOUR set to a folder, each page is also kept there as a picture.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import House

pytestmark = [pytest.mark.browser, pytest.mark.slow]
AXE_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
TOUR = os.environ.get("NEURAXIS_TOUR", "")


@dataclass(frozen=True)
class Places:
    """Addresses of one patient, run, scan and review of the first clinic."""

    patient: str
    run: str
    scan: str
    review: str


@pytest.fixture(scope="module")
def places(house: House) -> Places:
    """Find the pages of objects as people would: by following links."""

    def first(page: Page, path: str, start: str) -> str:
        page.goto(house.url + path)
        links = page.locator(f"main a[href^='{start}']")
        addresses = (str(link.get_attribute("href")) for link in links.all())
        return next(a for a in addresses if re.fullmatch(rf"{start}[0-9a-f-]{{36}}/", a))

    neurologist, radiologist = house.sign_in("neurologist"), house.sign_in("radiologist")
    found = Places(
        patient=first(neurologist, "/worklist/", "/patients/"),
        run=first(neurologist, "/runs/?state=all", "/runs/"),
        scan=first(neurologist, "/ledger/", "/scans/"),
        review=first(radiologist, "/reviews/", "/reviews/"),
    )
    neurologist.context.close()
    radiologist.context.close()
    return found


ROLE_PAGES = {
    "neurologist": [
        "worklist",
        "patient",
        "report",
        "completeness",
        "facts",
        "edss",
        "relapse",
        "treatment",
        "lesions",
        "phenotype",
        "patient_add",
        "patient_edit",
        "upload",
        "upload_start",
        "runs",
        "run",
        "ledger",
        "epochs",
        "audit",
        "about",
    ],
    "technician": [
        "worklist",
        "patient_add",
        "upload_start",
        "upload",
        "runs",
        "run",
        "ledger",
    ],
    "radiologist": [
        "worklist",
        "patient",
        "reviews",
        "review",
        "sheet",
        "viewer",
        "report",
        "scan",
        "ledger",
        "epochs",
    ],
    "manager": ["runs", "ledger", "audit", "model", "methods", "about"],
    "researcher": ["patient", "cohort", "about", "audit"],
    "admin": ["members", "tokens", "methods", "audit", "completeness", "runs", "about"],
}


def path_of(name: str, places: Places) -> str:
    """Return the address of a page by its short name."""
    patient = places.patient
    return {
        "worklist": "/worklist/",
        "patient": patient,
        "facts": f"{patient}facts/",
        "report": f"{patient}report/",
        "completeness": "/completeness/",
        "sheet": "/reviews/sheet/",
        "viewer": f"{places.scan}viewer/",
        "edss": f"{patient}facts/assessment/add/",
        "relapse": f"{patient}facts/relapse/add/",
        "treatment": f"{patient}facts/treatment/add/",
        "lesions": f"{patient}facts/lesions/add/",
        "phenotype": f"{patient}facts/phenotype/add/",
        "patient_add": "/patients/add/",
        "patient_edit": f"{patient}edit/",
        "upload": f"{patient}upload/",
        "upload_start": "/upload/",
        "runs": "/runs/",
        "run": places.run,
        "scan": places.scan,
        "reviews": "/reviews/",
        "review": places.review,
        "ledger": "/ledger/",
        "epochs": "/ledger/epochs/",
        "cohort": "/cohort/",
        "members": "/administration/members/",
        "methods": "/administration/methods/",
        "model": "/model/",
        "tokens": "/administration/tokens/",
        "audit": "/audit/",
        "about": "/about/",
    }[name]


def look(page: Page, name: str) -> None:
    """Wait until a page is complete, and keep its picture when a tour was asked for."""
    page.wait_for_load_state("networkidle")
    if page.url.endswith("/cohort/"):
        page.wait_for_selector(".cohort-answers", timeout=60_000)
        page.wait_for_function(
            "[...document.querySelectorAll('[data-cohort]')].every((f) => f.dataset.ready)"
        )
    if page.locator("[data-timeline]").count():
        page.wait_for_selector("[data-timeline][data-ready]")
    if TOUR:
        Path(TOUR).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(TOUR) / f"{name}.png"), full_page=True)


def violations(page: Page) -> list[str]:
    """Return what axe objects to, one line each."""
    found = Axe().run(page, options=AXE_RULES)
    return [
        f"{page.url}: {rule['id']} at {node['target']}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("role", ROLE_PAGES)
def test_every_page_of_a_role_is_whole_and_accessible(site: House, places: Places, role: str):
    page = site.sign_in(role)
    objections = []
    for name in ROLE_PAGES[role]:
        page.goto(site.url + path_of(name, places))
        look(page, f"{role}-{name}")
        objections += violations(page)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if wide > 0:
            objections.append(f"{page.url}: the page scrolls sideways by {wide} px")
    page.context.close()

    assert objections == []


@pytest.mark.parametrize("width", [1024, 1920])
def test_the_pages_that_are_open_all_day_fit_tablet_and_desktop(site, places, width):
    page = site.sign_in("neurologist", width=width, height=1080)
    objections = []
    for name in ("worklist", "patient", "upload"):
        page.goto(site.url + path_of(name, places))
        look(page, f"{width}-{name}")
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if wide > 0:
            objections.append(f"{page.url}: the page scrolls sideways by {wide} px")
    page.context.close()

    assert objections == []


def test_the_dark_theme_is_accessible_too(site, places):
    page = site.sign_in("neurologist", dark=True)
    objections = []
    for name in ("worklist", "patient", "upload", "run"):
        page.goto(site.url + path_of(name, places))
        look(page, f"dark-{name}")
        objections += violations(page)
    page.context.close()

    assert objections == []


def test_the_sign_in_page_is_accessible(site):
    page = site.watch(site.context().new_page())
    page.goto(f"{site.url}/accounts/login/")
    look(page, "sign-in")

    assert violations(page) == []
    page.context.close()
