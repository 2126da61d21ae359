"""Say which tests did not run and why; where everything must run, make a left-out test fail.

``NEURAXIS_REQUIRE`` names the groups that may not be left out (``realdata postgres broker
browser``); ``.ci/run`` sets all of them.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

NEEDS = {
    "realdata": "the real scans (set NEURAXIS_DATA)",
    "postgres": "a PostgreSQL server",
    "broker": "Redis and RabbitMQ",
    "browser": "Chromium",
}
REQUIRED = set(os.environ.get("NEURAXIS_REQUIRE", "").split())


def groups_of(item: pytest.Item) -> set[str]:
    """Return the groups to which a test belongs."""
    return {name for name in NEEDS if item.get_closest_marker(name)}


class LeftOut:
    """Counts what was deselected, turns a required test's skip into a failure."""

    def __init__(self) -> None:
        self.deselected: Counter[str] = Counter()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count tests that the call left out."""
        for item in items:
            self.deselected.update(groups_of(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Iterator[None]:
        """Fail a test that had to run and skipped itself."""
        report: pytest.TestReport = yield  # type: ignore[assignment]
        if report.skipped and groups_of(item) & REQUIRED and not hasattr(report, "wasxfail"):
            report.outcome = "failed"
            report.longrepr = f"had to run here, but: {report.longrepr}"
        return report  # type: ignore[return-value]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print one line per group that did not run."""
        skipped: Counter[str] = Counter()
        for report in terminalreporter.stats.get("skipped", []):
            skipped.update(name for name in NEEDS if name in report.keywords)
        for name, what in NEEDS.items():
            count = skipped[name] + self.deselected[name]
            if count:
                terminalreporter.write_line(
                    f"NOT RUN: {count} tests that need {what}; .ci/run runs them.", yellow=True
                )
