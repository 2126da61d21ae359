"""What the review room costs a reader: keys and seconds per scan, by keyboard, in Chromium.

Against a running house whose reader has scans waiting (`tests.browser.furnishing` stores 40):

    python -m benchmarks.forty_scans --url http://127.0.0.1:8000 --user otava --password ...

Every scan is accepted as soon as its pictures are on the screen, so the seconds are what the
pages take; looking comes on top. Forty scans in a quarter of an hour leave 22.5 s each.
"""

import argparse
import os
import statistics
import time

from playwright.sync_api import Page, sync_playwright

SHOWN = (
    "() => [...document.querySelectorAll('main .run-picture img:not([hidden])')]"
    ".every((one) => one.complete && one.naturalWidth)"
)


def main() -> None:
    """Judge what waits, first page by page, then on the contact sheet, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--pages", type=int, default=20, help="scans judged page by page")
    parser.add_argument("--not-ahead", action="store_true", help="without fetching ahead")
    parser.add_argument("--look", type=float, default=2.0, help="seconds before each verdict")
    given = parser.parse_args()
    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        if given.not_ahead:
            page.route("**/js/ahead*.js", lambda route: route.abort())
        page.goto(f"{given.url}/accounts/login/")
        page.fill("input[name=login]", given.user)
        page.fill("input[name=password]", given.password)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/accounts/login" not in url)
        tell("page by page", one_by_one(page, given.url, given.pages, given.look))
        tell("contact sheet", on_the_sheet(page, given.url))
        browser.close()


def one_by_one(page: Page, url: str, number: int, look: float) -> list[float]:
    """Return the seconds from the key to the next scan's pictures, one key per scan."""
    page.goto(f"{url}/reviews/")
    page.keyboard.press("n")
    page.wait_for_selector("[data-verdict]")
    seconds = []
    for _ in range(number):
        while page.locator("h2", has_text="Place the landmark").count():
            shown = page.url
            page.keyboard.press("n")
            moved(page, shown)
        page.wait_for_function(SHOWN)
        time.sleep(look)
        shown, began = page.url, time.perf_counter()
        page.keyboard.press("1")
        moved(page, shown)
        page.wait_for_function(SHOWN)
        seconds.append(time.perf_counter() - began)
    return seconds


def moved(page: Page, before: str) -> None:
    """Wait until the address is another one."""
    page.wait_for_url(lambda address: address != before)


def on_the_sheet(page: Page, url: str) -> list[float]:
    """Return the seconds from the key to the focus on the next tile."""
    page.goto(f"{url}/reviews/sheet/")
    page.wait_for_load_state("networkidle")
    tiles = page.locator("[data-tile]")
    seconds = []
    for number in range(tiles.count()):
        tile = tiles.nth(number)
        if not tile.locator("[data-accept]").count():
            page.keyboard.press("ArrowRight")
            continue
        began = time.perf_counter()
        page.keyboard.press("1")
        tile.locator("text=Accepted.").wait_for()
        seconds.append(time.perf_counter() - began)
    return seconds


def tell(what: str, seconds: list[float]) -> None:
    """Print number, median, 95th percentile and the sum for forty."""
    middle = statistics.median(seconds)
    high = sorted(seconds)[max(0, round(0.95 * len(seconds)) - 1)]
    print(
        f"{what}: {len(seconds)} scans, one key each; key to next picture median "
        f"{middle:.2f} s, p95 {high:.2f} s; forty take {40 * middle:.0f} s of 900 s"
    )


if __name__ == "__main__":
    main()
