"""Documents that repeat what the code says are held to it."""

import re
from pathlib import Path

from monitoring.core.assessing import ASSESSMENT_COLUMNS
from monitoring.core.simulated_tables import TRUTH_COLUMNS
from monitoring.core.tables import CONTROL_COLUMNS, EVENT_COLUMNS, OBSERVATION_COLUMNS
from volumetry.models import TRANSITIONS

ROOT = Path(__file__).resolve().parents[2]


def test_the_state_table_is_the_state_machine():
    text = (ROOT / "docs/architecture.md").read_text()
    table = text.split("## States of a run")[1].split("`succeeded` has")[0]
    rows = dict(re.findall(r"^\| (\w+) \| ([\w, –]+) \|$", table, flags=re.MULTILINE))
    rows.pop("from")

    assert rows == {
        state.value: ", ".join(sorted(target.value for target in targets)) or "–"
        for state, targets in TRANSITIONS.items()
    }


def test_every_column_of_the_tables_is_explained():
    text = (ROOT / "docs/command-line.md").read_text().split("## Tables of the divergence")[1]
    named = re.findall(r"^\| (`[^|]+) \| ([\w, ]+) \|", text, flags=re.MULTILINE)
    columns = {
        table: {
            column
            for names, tables in named
            for column in re.findall(r"`(\w+)`", names)
            if table in tables.split(", ") or tables == "all"
        }
        for table in ("observations", "events", "controls", "assessments", "truth")
    }
    assert columns == {
        "observations": set(OBSERVATION_COLUMNS),
        "events": set(EVENT_COLUMNS),
        "controls": {*OBSERVATION_COLUMNS, *CONTROL_COLUMNS},
        "assessments": set(ASSESSMENT_COLUMNS),
        "truth": set(TRUTH_COLUMNS),
    }


def test_every_link_between_documents_leads_somewhere():
    broken = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} -> {target}")
    assert broken == []


def test_no_committed_text_names_this_machine_or_an_index():
    forbidden = re.compile(
        r"(?<![\w.])/(home|root|tmp)/\w|files\.pythonhosted|index-url *=|extra-index-url"
    )
    named = [
        str(page.relative_to(ROOT))
        for pattern in ("*.md", "*.txt", "*.toml", "docs/**/*.md", "Makefile", ".ci/run")
        for page in ROOT.glob(pattern)
        if forbidden.search(page.read_text())
    ]
    assert named == []
