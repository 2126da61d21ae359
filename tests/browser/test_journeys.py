"""Each role's main journey from sign-in to result, on the demo, as a person would walk it."""

import csv
import io
import json
import re
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import House

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WORKER_MS = 90_000  # a queue of other tests' work may stand before ours


def active(page: Page) -> str:
    """Return what holds the keyboard focus, in words."""
    return str(page.evaluate("document.activeElement.innerText || document.activeElement.id"))


def test_a_neurologist_gets_the_answer_asks_what_if_and_prints_the_report(site: House):
    page = site.sign_in("neurologist")
    page.goto(f"{site.url}/worklist/")
    page.locator("#worklist-rows a[href^='/patients/']").first.click()
    page.wait_for_selector("[data-timeline][data-ready]")

    # The answer: a level, three numbers with intervals, one sentence.
    answer = page.locator("aside", has=page.locator("#divergence-title"))
    expect(answer.locator(".numbers")).to_contain_text(
        re.compile(r"Cord.*%/yr.*95 % CrI.*Brain.*%/yr.*95 % CrI.*D now.*%/yr.*95 % CrI", re.S)
    )
    expect(answer).to_contain_text(re.compile(r"(Flag|Watch).*: review\. .*P = [01]\.\d", re.S))
    expect(answer).to_contain_text(re.compile(r"\d+ cord and \d+ brain scans over"))

    # What if: drop a scan by keyboard; the record keeps it.
    page.locator("[data-chart]").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    glance = page.locator("#glance")
    expect(glance).to_contain_text("What if this scan were dropped?")
    expect(glance).to_contain_text("The record is not changed.")

    # A change of level is acknowledged with a reason, and the reason stays.
    page.locator("textarea[name=reason]").first.fill("Spoken about at the visit.")
    page.get_by_role("button", name="Acknowledge").first.click()
    expect(page.locator("main")).to_contain_text("Spoken about at the visit.")

    # EDSS from functional systems: the page says what the scale gives, the record keeps it.
    patient = page.url
    page.locator("summary", has_text="Enter").click()
    page.get_by_role("link", name="EDSS", exact=True).click()
    page.fill("input[type=date]", "2026-11-20")
    systems = page.locator(".fact-systems select")
    for number in range(systems.count()):
        systems.nth(number).select_option(index=1)
    expect(page.locator("#edss-computed")).to_contain_text("The functional systems give")
    page.select_option("select[name=edss]", "0.0")
    page.get_by_role("button", name="Store", exact=True).click()
    page.goto(f"{patient}facts/")
    expect(page.locator("main")).to_contain_text("2026-11-20")

    page.goto(patient)
    page.keyboard.press("r")
    expect(page.locator("main")).to_contain_text("Research use only")
    pdf = page.request.get(f"{patient}report.pdf")
    assert pdf.body()[:5] == b"%PDF-"
    page.context.close()


def test_the_timeline_is_read_without_a_mouse(site: House):
    page = site.sign_in("neurologist")
    page.goto(site.url + site.addresses["demo"]["patient_detail"])
    page.wait_for_selector("[data-timeline][data-ready]")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('[data-chart]')"):
            break
    else:
        pytest.fail("the chart is not reached by Tab")
    readout = page.locator("[data-readout]")
    latest = readout.inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    earlier = readout.inner_text()
    assert latest != earlier
    assert re.search(r"\d{4}-\d\d-\d\d", earlier)
    for _ in range(6):  # the day of an EDSS without a scan has nothing to show
        page.keyboard.press("Enter")
        page.wait_for_load_state("networkidle")
        if page.locator("#glance h3").count():
            break
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#glance h3")).to_be_visible()

    # Next patient, previous patient, back to the list: one key each.
    name = page.locator("h1").inner_text()
    first = page.url
    page.keyboard.press("n" if page.locator("a[rel=next]").count() else "p")
    page.wait_for_url(lambda url: url != first)
    assert page.locator("h1").inner_text() != name
    page.keyboard.press("w")
    page.wait_for_url(re.compile("/worklist/"))
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    page.context.close()


def test_rows_of_the_timeline_fold_by_keyboard_and_stay_folded(site: House):
    page = site.sign_in("neurologist")
    page.goto(site.url + site.addresses["demo"]["patient_detail"])
    page.wait_for_selector("[data-timeline][data-ready]")
    rows = page.get_by_role("group", name="Rows of the figure")
    # Of a row without marks Plotly keeps no axis.
    length = """axis =>
        document.querySelector("[data-chart]")._fullLayout[axis]?._length ?? 0"""
    height = page.locator("[data-chart]").bounding_box()
    brain = page.evaluate(length, "yaxis2")

    rows.get_by_role("button", name="EDSS").focus()
    page.keyboard.press("Enter")
    expect(rows.get_by_role("button", name="EDSS")).to_have_attribute("aria-pressed", "false")
    page.wait_for_function("!document.querySelector('[data-chart]')._fullLayout.yaxis?.visible")
    assert page.evaluate(length, "yaxis") < 5
    assert page.evaluate(length, "yaxis2") > brain
    assert page.locator("[data-chart]").bounding_box() == height

    page.reload()
    page.wait_for_selector("[data-timeline][data-ready]")
    expect(rows.get_by_role("button", name="EDSS")).to_have_attribute("aria-pressed", "false")
    assert page.evaluate(length, "yaxis") < 5
    for name in ("Brain", "Cord", "Gap", "Events"):  # the last one stays
        rows.get_by_role("button", name=name).press("Enter")
    expect(rows.get_by_role("button", name="Events")).to_have_attribute("aria-pressed", "true")

    # What is drawn beside is chosen from a menu that Escape closes.
    rows.get_by_role("button", name="Brain").press("Enter")
    page.locator("[data-structures] summary").press("Enter")
    page.locator("[data-structures] input").first.press(" ")
    expect(page.locator(".structures__read:visible")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("[data-structures] fieldset")).to_be_hidden()
    expect(page.locator("[data-structures] summary")).to_be_focused()
    page.context.close()


def test_an_edss_of_today_with_its_systems_takes_twenty_two_keys(site: House):
    page = site.sign_in("neurologist")
    page.goto(site.url + site.addresses["demo"]["patient_detail"])
    page.wait_for_selector("[data-timeline][data-ready]")
    # The menu opens on its first entry; the form on the EDSS, the day is today's.
    opening = ["e", "Enter"]
    for key in opening:
        page.keyboard.press(key)
    page.wait_for_selector("[data-fact-form]")
    day = page.input_value("input[type=date]")
    entry = [*"2.0", *(["Tab", "1"] * 8)]
    for key in entry:
        page.keyboard.press(key)
    expect(page.locator("#edss-computed")).to_contain_text("The functional systems give")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: "/facts/" not in url)
    assert len(opening) + len(entry) + 1 == 22
    page.goto(f"{page.url}facts/")
    line = page.locator("main tr", has_text=day).filter(has_text="EDSS 2.0").first
    expect(line).to_contain_text("visual 1, brainstem 1, pyramidal 1")
    page.context.close()


def test_a_technician_finds_the_patient_and_is_told_what_the_file_is(site: House):
    page = site.sign_in("technician")
    page.get_by_role("link", name="Upload", exact=True).click()
    page.wait_for_url(re.compile("/upload/"))
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("V-01")
    found = page.locator("#patients a").first
    expect(found).to_contain_text("V-01")
    found.click()
    expect(page.locator("h1")).to_contain_text("Upload for V-01")
    expect(page.locator("main")).to_contain_text("Nothing is stored before you confirm")
    # What a technician may not see is not there: no EDSS, no level.
    page.goto(f"{site.url}/worklist/")
    expect(page.locator("main")).not_to_contain_text("EDSS")
    page.context.close()


def test_a_radiologist_reviews_by_keyboard_alone(site: House):
    page = site.sign_in("otava")
    page.goto(f"{site.url}/reviews/")
    expect(page.locator("main")).to_contain_text("40 measurements")

    # The most urgent asks for a landmark: to the picture, move the cross, say what it is.
    page.keyboard.press("n")
    page.wait_for_url(re.compile(r"/reviews/[0-9a-f-]{36}/"))
    expect(page.locator("h2", has_text="Place the landmark")).to_be_visible()
    page.keyboard.press("l")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator("[data-point]")).to_contain_text("Point at")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("[data-place]")).to_be_enabled()
    before = page.url
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/reviews/" in url and url != before)

    # A new run measures with it. Back in the queue, on to what only needs a look.
    expect(page.locator("#run-state")).to_be_visible()
    page.goto(f"{site.url}/reviews/")
    page.keyboard.press("n")
    page.wait_for_url(re.compile(r"/reviews/[0-9a-f-]{36}/"))
    if page.locator("h2", has_text="Place the landmark").count():
        before = page.url
        page.keyboard.press("n")
        page.wait_for_url(lambda url: url != before)
    shown = page.locator("h1").inner_text()
    waiting = int(page.locator(".review-place").inner_text().split()[-2])

    # Slices by arrow, outline by o, accept by 1: the next measurement stands there.
    label = page.locator("[data-slice-label]").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-slice-label]").inner_text() != label
    # The next one was fetched ahead: the same document shows it, pictures and all.
    page.wait_for_function("() => NeuraxisAhead.path() !== ''")
    page.evaluate("window.isSameDocument = true")
    page.keyboard.press("1")
    expect(page.locator("h1")).not_to_have_text(shown)
    assert page.evaluate("window.isSameDocument")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.run-picture img')].every((p) => p.naturalWidth)"
    )
    expect(page.locator("main")).to_contain_text("Accepted.")

    # Reject: 2 leads to the reasons, 4 says "outline is wrong".
    rejected = page.locator("h1").inner_text()
    page.keyboard.press("2")
    assert "Reject because" in active(page)
    page.keyboard.press("4")
    expect(page.locator("h1")).not_to_have_text(rejected)
    expect(page.locator("main")).to_contain_text("Rejected: outline is wrong.")

    page.goto(f"{site.url}/reviews/")
    expect(page.locator("main")).to_contain_text(f"{waiting - 2} measurements")
    expect(page.locator("main")).to_contain_text("outline is wrong")
    page.context.close()


def test_the_contact_sheet_takes_one_key_per_scan(site: House):
    page = site.sign_in("otava")
    page.goto(f"{site.url}/reviews/")
    page.keyboard.press("g")
    page.wait_for_url(re.compile("/reviews/sheet/"))
    tiles = page.locator("[data-tile]")
    waiting = tiles.count()
    assert waiting > 20
    if not tiles.first.locator("[data-accept]").count():
        page.keyboard.press("ArrowRight")  # the one that needs a landmark comes first
    start = tiles.evaluate_all("all => all.indexOf(document.activeElement)")
    for number in range(start, start + 3):
        with page.expect_response(re.compile("/verdict/")):
            page.keyboard.press("1")
        expect(tiles.nth(number)).to_contain_text("Accepted.")
        expect(tiles.nth(number + 1)).to_be_focused()
    with page.expect_response(re.compile("/verdict/")):
        page.keyboard.press("4")  # the reason's own key, as on the review page
    expect(tiles.nth(start + 3)).to_contain_text("Rejected: outline is wrong.")
    page.context.close()


def test_a_data_manager_reads_what_is_missing_and_adopts_other_lines(site: House):
    page = site.sign_in("manager")
    page.goto(f"{site.url}/completeness/")
    expect(page.locator("main")).to_contain_text("EDSS within 90 days")

    page.get_by_role("link", name="Model", exact=True).click()
    page.fill("input[name=watch_p_faster_than_1]", "0.55")
    page.get_by_role("button", name="Propose these lines").click()
    # The comparison is made by the worker; the page looks again by itself.
    expect(page.locator("#adopt-title")).to_be_visible(timeout=WORKER_MS)
    expect(page.locator("main")).to_contain_text("keep their level")
    page.fill("textarea[name=reason]", "Fewer false watches.")
    page.get_by_role("button", name=re.compile("Adopt ")).click()
    expect(page.locator("main")).to_contain_text("Fewer false watches.")
    expect(page.locator("#force-title")).to_contain_text("+lines")
    page.locator("summary", has_text="Withdraw").click()
    page.fill("textarea[name=reason]", "Only tried.")
    page.get_by_role("button", name=re.compile("Withdraw ")).click()
    expect(page.locator("#force-title")).not_to_contain_text("+lines")
    page.context.close()


def test_a_researcher_defines_saves_and_downloads_a_cohort(site: House):
    page = site.sign_in("researcher")
    page.get_by_role("link", name="Cohort", exact=True).click()
    page.wait_for_selector(".cohort-answers", timeout=WORKER_MS)
    expect(page.locator("main")).to_contain_text(re.compile("supported"))
    page.locator("summary", has_text="Change who is in").click()
    page.fill("input[name=age_to]", "70")
    page.get_by_role("button", name="Compute").click()
    page.wait_for_selector(".cohort-answers", timeout=WORKER_MS)
    page.fill("input[name=name]", "All with an EDSS")
    page.get_by_role("button", name="Save this cohort").click()
    expect(page.locator("h1")).to_contain_text("All with an EDSS", timeout=WORKER_MS)
    page.wait_for_selector(".cohort-answers", timeout=WORKER_MS)

    with page.expect_download() as patients:
        page.get_by_role("link", name="Patients, CSV").click()
    rows = list(csv.reader(io.StringIO(patients.value.path().read_text())))
    with page.expect_download() as analysis:
        page.get_by_role("link", name="Analysis, JSON").click()
    answers = json.loads(analysis.value.path().read_text())
    assert len(rows) > 20
    assert answers
    page.context.close()


def test_an_administrator_adds_a_colleague_and_hands_out_and_revokes_a_token(site: House):
    page = site.sign_in("admin")
    page.get_by_role("link", name="Administration", exact=True).click()
    page.get_by_role("link", name="New colleague").click()
    page.fill("input[name=username]", "newcomer")
    page.select_option("select[name=role]", "technician")
    page.get_by_role("button", name="Make the account").click()
    assert len(page.locator("#secret").input_value()) >= 12
    page.get_by_role("link", name="Done").click()
    row = page.locator("tr", has_text="newcomer")
    expect(row).to_contain_text("MR technician")
    row.get_by_role("link", name=re.compile("Add a role")).click()
    page.select_option("select[name=role]", "data_manager")
    page.get_by_role("button", name="Add the role").click()
    expect(row).to_contain_text("Data manager")

    page.get_by_role("link", name="Tokens", exact=True).click()
    page.get_by_role("link", name="New token").click()
    page.fill("input[name=name]", "Registry of the journey")
    page.get_by_role("button", name="Make the token").click()
    token = page.locator("#secret").input_value()
    rows, status = pull(site, token)
    assert status == 200
    assert len(rows["results"]) > 20
    page.get_by_role("link", name="Done").click()
    expect(page.locator("tr", has_text="Registry of the journey")).to_contain_text(
        re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")  # last used
    )
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke Registry of the journey").click()
    expect(page.locator("tr", has_text="Registry of the journey")).to_contain_text("Revoked")
    assert pull(site, token)[1] == 401

    page.get_by_role("link", name="Audit trail").click()
    page.fill("input[name=q]", "Registry of the journey")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr").first).to_contain_text("Registry of the journey")
    page.get_by_role("link", name="Method versions").click()
    expect(page.locator("h1")).to_contain_text("Method versions")
    page.context.close()


def pull(site: House, token: str) -> tuple[dict, int]:
    """Pull the patients as a registry does; return the answer and its status."""
    asked = urllib.request.Request(
        f"{site.url}/api/v1/patients/", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return json.load(answer), answer.status
    except urllib.error.HTTPError as error:
        return {}, error.code
