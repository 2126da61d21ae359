"""Tables of a stored cohort analysis, for the page (in words) and for CSV (raw)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.models import CohortAnalysis

MINUS = "−"


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A table as the page prints it: cells in words, numbers marked."""

    slug: str
    title: str
    note: str
    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[tuple[str, bool]]]


def shown_table(table: Mapping[str, Any]) -> ShownTable:
    """Return a stored table in words."""
    digits = [column[1] for column in table["columns"]]
    return ShownTable(
        table["slug"],
        table["title"],
        table["note"],
        [(name, digit is not None) for name, digit in table["columns"]],
        [
            [(_words(cell, d), d is not None) for cell, d in zip(row, digits, strict=True)]
            for row in table["rows"]
        ],
    )


def _words(cell: Any, digits: int | str | None) -> str:
    """Return one cell in words; what is not known is a dash."""
    if cell is None:
        return "–"
    if digits is None:
        return str(cell)
    if digits == "p":
        return "< 0.001" if cell < 0.001 else f"{cell:.3f}"
    return f"{round(cell, int(digits)) or 0.0:.{int(digits)}f}".replace("-", MINUS)


def table_find(analysis: CohortAnalysis, slug: str) -> Mapping[str, Any] | None:
    """Return a stored table by its slug; ``patients`` is the selected visits."""
    if slug == "patients":
        columns = analysis.result.get("columns", [])
        return {"title": "Selected visits", "note": "One row per patient and control.",
                "columns": [[name, None] for name in columns],
                "rows": analysis.rows}  # fmt: skip
    if slug == "excluded":
        return {"title": "Left out", "note": "The first reason that left no visit.",
                "columns": [["reason", None], ["pseudonym", None]],
                "rows": [[one["reason"], name] for one in analysis.result.get("excluded", ())
                         for name in one["ids"]]}  # fmt: skip
    for room in analysis.result.get("rooms", ()):
        for table in room["tables"]:
            if table["slug"] == slug:
                found: Mapping[str, Any] = table
                return found
    return None


def csv_lines(
    analysis: CohortAnalysis, table: Mapping[str, Any], *, note: str
) -> Iterator[list[str]]:
    """Return a table as CSV rows: raw numbers, and in each row of what cohort and data."""
    beside = [
        "yes" if analysis.result.get("is_synthetic") else "no",
        analysis.digest[:16],
        analysis.data_version[:16],
        analysis.analysis_version,
        note,
    ]
    heads = ["synthetic", "cohort sha256", "data", "analysis", "intended use"]
    yield [*(str(name) for name, _ in table["columns"]), *heads]
    for row in table["rows"]:
        yield [*("" if cell is None else _safe(cell) for cell in row), *beside]


def _safe(cell: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    text = str(cell)
    is_formula = isinstance(cell, str) and text[:1] in {"=", "+", "@", "\t", "\r"}
    return f"'{text}" if is_formula else text
