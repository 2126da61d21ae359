"""What a room of the cohort page says: a sentence with its verdict, tables, figure data.

A negative answer has the same form as a positive one, and a question without an answer says
why in the same place. Everything turns into JSON unchanged, so page, CSV and export agree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Cell = str | float | int | None


class Verdict(StrEnum):
    """What the data say to a question."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    CANNOT_SAY = "cannot be answered"
    DESCRIBED = "described"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its head and how its numbers are printed.

    ``digits`` None means text; ``p`` a p value; an integer the digits after the point.
    """

    name: str
    digits: int | str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it is shown and downloaded; cells are raw numbers."""

    slug: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """One question of the cohort page and its answer."""

    slug: str
    title: str
    question: str
    verdict: Verdict
    answer: str
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the room as JSON values; a number that is none becomes null."""
        return {
            "slug": self.slug,
            "title": self.title,
            "question": self.question,
            "verdict": self.verdict.value,
            "answer": self.answer,
            "notes": list(self.notes),
            "tables": [
                {
                    "slug": table.slug,
                    "title": table.title,
                    "columns": [[column.name, column.digits] for column in table.columns],
                    "rows": [[plain(cell) for cell in row] for row in table.rows],
                    "note": table.note,
                }
                for table in self.tables
            ],
            "figures": plain(self.figures),
        }


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: NaN and infinity become null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def unanswered(slug: str, title: str, question: str, reason: str) -> Room:
    """Return a room that has no answer, and says why."""
    return Room(slug, title, question, Verdict.CANNOT_SAY, reason)


def number(value: float, digits: int = 2) -> str:
    """Return a number with a true minus sign."""
    rounded = round(value, digits) or 0.0
    return f"{rounded:.{digits}f}".replace("-", "−")


def p_words(p: float) -> str:
    """Return a p value in words: p < 0.001, or p = 0.034."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def interval_words(value: float, low: float, high: float, digits: int = 2) -> str:
    """Return an estimate with its interval, as in 0.61 (95 % interval 0.50 to 0.70)."""
    return (
        f"{number(value, digits)} (95 % interval {number(low, digits)} to "
        f"{number(high, digits)})"
    )


def listing(words: Sequence[str]) -> str:
    """Return words as a list in a sentence.

    Examples
    --------
    >>> listing(["cord", "thalamus", "white matter"])
    'cord, thalamus and white matter'
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
