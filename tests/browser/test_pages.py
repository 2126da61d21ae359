"""Every page as every role that may open it, with data and without: whole, calm, accessible.

The product of page, role, size and theme is covered, not multiplied out. Each page is opened
once per role that may see it, in a clinic with data and (where it belongs to no object) in an
empty one. On that one load axe runs in the light theme, the width goes from 1366 to 1024 pixels
and neither may scroll sideways; axe runs in the dark theme the first time a page is met. With
NEURAXIS_TOUR set to a folder, each page is also kept there as a picture.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as TooLate

from monitoring.models import Role
from tests.browser.conftest import House
from tests.project.access_rows import PAGES, Kind

pytestmark = [pytest.mark.browser, pytest.mark.slow]
AXE_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
TOUR = os.environ.get("NEURAXIS_TOUR", "")
DEMO_LOGINS = {
    Role.NEUROLOGIST: "neurologist",
    Role.TECHNICIAN: "technician",
    Role.RADIOLOGIST: "radiologist",
    Role.DATA_MANAGER: "manager",
    Role.RESEARCHER: "researcher",
    Role.ADMINISTRATOR: "admin",
}
LONG_LOGIN = "a.person.with.a.rather.long.user-name@example.org"
# Addresses that answer with a fragment, a file, a redirection or JSON: no page of their own.
NO_PAGE = {
    "healthz",
    "favicon",
    "home",
    "edss_computed",
    "patient_below",
    "patient_figure",
    "patient_next",
    "patient_options",
    "patient_planner",
    "patient_point",
    "patient_previous",
    "patient_structure",
    "patient_table",
    "patient_table_rows",
    "delivery_files",
    "report_pdf",
    "upload_runs",
    "scan_mask",
    "run_state",
    "run_file",
    "scan_image",
    "ledger_export",
    "cohort_definition",
    "cohort_state",
    "cohort_analysis",
    "cohort_table",
    "parameters_progress",
    "parameter_proposal_state",
    "parameter_set_document",
    "method_progress",
}
TOO_WIDE = "document.documentElement.scrollWidth - window.innerWidth"
# What a program says where a person should have been told that something is missing.
UNSAID = re.compile(r"\b(?:nan|NaN|undefined|null)\b|\bNone\b(?! yet)|\{\{|\{%")


def page_names() -> list[str]:
    """Return the names of all addresses that a person opens as a page."""
    return [name for name, row in PAGES.items() if row.method == "get" and name not in NO_PAGE]


def pages_of(role: Role, addresses: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield name and path of each page that a role may open; objects only by an address."""
    for name in page_names():
        row = PAGES[name]
        if role.value not in row.roles:
            continue
        if row.kind is not Kind.OBJECT:
            yield name, reverse(name)
            continue
        for given, path in addresses.items():
            if given.split()[0] == name:
                yield given, path


def look(page: Page, name: str) -> None:
    """Wait until a page is complete, and keep its picture when a tour was asked for."""
    page.wait_for_function(
        "() => document.readyState === 'complete' && !document.querySelector('.htmx-request')"
    )
    if re.search(r"/cohort/", page.url):
        page.wait_for_selector(".cohort-answers, .empty", timeout=60_000)
        page.wait_for_function(
            "() => [...document.querySelectorAll('[data-cohort]')].every(f => f.dataset.ready)"
        )
    if page.locator("[data-timeline]").count():
        page.wait_for_selector("[data-timeline][data-ready]")
        page.wait_for_load_state("networkidle")  # scans and tables come after the answer
    if TOUR:
        Path(TOUR).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(TOUR) / f"{name}.png"), full_page=True)


def violations(page: Page) -> list[str]:
    """Return what axe objects to, one line each."""
    found = Axe().run(page, options=AXE_RULES)
    return [
        f"{rule['id']} at {node['target']}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]


def sideways(page: Page, width: int) -> list[str]:
    """Return whether the page scrolls sideways at a width, once its charts have followed."""
    page.set_viewport_size({"width": width, "height": 768})
    try:
        page.wait_for_function(f"() => {TOO_WIDE} <= 0", timeout=2_000)
    except TooLate:
        return [f"scrolls sideways by {page.evaluate(TOO_WIDE)} px at {width} px"]
    return []


def unsaid(page: Page) -> list[str]:
    """Return numbers that are blank and words of a program where a person reads."""
    text = page.locator("body").inner_text()
    found = [f"says “{text[max(m.start() - 20, 0) : m.end()]}”" for m in UNSAID.finditer(text)]
    blank = page.evaluate(
        "[...document.querySelectorAll('main td.num, main dd')]"
        ".filter((e) => !e.textContent.trim() && !e.children.length).length"
    )
    return [*found, *([f"{blank} numbers are blank"] if blank else [])]


DARK_SEEN: set[tuple[str, str]] = set()


def objections(page: Page, name: str, room: str) -> list[str]:
    """Look at one page in both widths, and in the dark theme unless that was done."""
    page.set_viewport_size({"width": 1366, "height": 768})
    look(page, name)
    found = [*sideways(page, 1366), *unsaid(page), *violations(page), *sideways(page, 1024)]
    page_name = name.rpartition("-")[2]
    if (room, page_name) not in DARK_SEEN:
        DARK_SEEN.add((room, page_name))
        page.emulate_media(color_scheme="dark")
        found += [f"dark: {one}" for one in violations(page)]
        page.emulate_media(color_scheme="light")
    return [f"{page.url}: {one}" for one in found]


def everything_wrong(
    site: House, login: str, room: str, pages: Iterator[tuple[str, str]]
) -> list[str]:
    """Return what is wrong with any of a person's pages."""
    page = site.sign_in(login)
    found = []
    for name, path in pages:
        answer = page.goto(site.url + path)
        if answer is None or answer.status != 200:
            found.append(f"{path}: answered {answer and answer.status}")
            continue
        if not page.locator("main").count():
            found.append(f"{path}: a fragment; {name} belongs to NO_PAGE")
            continue
        found += objections(page, f"{room}-{login}-{name}", room)
    page.context.close()
    return found


def test_every_page_of_an_object_is_opened(house: House):
    opened = {given.split()[0] for given in house.addresses["demo"]}
    known = {name for name in page_names() if PAGES[name].kind is Kind.OBJECT}

    assert known - opened == set(), "furnishing.py gives these no address"


@pytest.mark.parametrize("role", Role)
def test_every_page_of_a_role_is_whole_and_accessible(site: House, role: Role):
    pages = pages_of(role, site.addresses["demo"])
    found = everything_wrong(site, DEMO_LOGINS[role], "demo", pages)

    assert not found, "\n".join(found)


@pytest.mark.parametrize("role", Role)
def test_every_page_of_an_empty_clinic_says_what_to_do_next(site: House, role: Role):
    found = everything_wrong(site, f"empty-{role.value}", "empty", pages_of(role, {}))

    assert not found, "\n".join(found)


def test_long_names_and_missing_values_break_no_page(site: House):
    addresses = site.addresses["long"]
    pages = {pair for role in Role for pair in pages_of(role, addresses)}
    found = everything_wrong(site, LONG_LOGIN, "long", iter(sorted(pages)))

    assert not found, "\n".join(found)


def test_pages_that_say_no_are_designed_too(site: House):
    page = site.sign_in("technician")
    found = []
    for path, status in (
        ("/administration/members/", 403),
        (site.addresses["demo"]["patient_detail"], 403),
        (site.addresses["long"]["scan_detail"], 404),
        ("/nothing/", 404),
    ):
        answer = page.goto(site.url + path)
        assert answer is not None
        assert answer.status == status
        assert page.locator("main a.button").count()
        found += objections(page, f"no-technician-{status}", "no")
    page.context.close()
    site.problems.clear()  # the browser's own complaints about 403 and 404

    assert not found, "\n".join(found)


def test_the_pages_before_sign_in_are_accessible(site: House):
    page = site.watch(site.context().new_page())
    found = []
    for name in ("account_login", "about"):
        page.goto(site.url + reverse(name))
        found += objections(page, f"out-nobody-{name}", "out")
    page.context.close()

    assert not found, "\n".join(found)
