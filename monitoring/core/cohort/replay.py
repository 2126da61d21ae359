"""Whether two results of the cohort analysis hold the same numbers."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

TOLERANCE = 1e-4
"""Relative; an export keeps nine digits of each input, and searches stop at about this."""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say in which cells of which tables two results differ."""
    ours, theirs = tables_of(new), tables_of(old)
    return [
        f"{slug}, row {row + 1}, column {column + 1}: {was} and now {now}"
        for slug in theirs
        for row, column, was, now in _unequal(theirs[slug], ours.get(slug, []))
    ]


def tables_of(result: Mapping[str, Any]) -> dict[str, list[list[Any]]]:
    """Return the rows of every table but the external reference's, which is no input."""
    return {
        table["slug"]: table["rows"]
        for room in result["rooms"] if room["slug"] != "reference"
        for table in room["tables"]
    }  # fmt: skip


def _unequal(old: list[list[Any]], new: list[list[Any]]) -> Iterator[tuple[int, int, Any, Any]]:
    """Yield row, column and both values where two tables differ."""
    if [len(row) for row in old] != [len(row) for row in new]:
        yield 0, 0, f"{len(old)} rows", f"{len(new)} rows"
        return
    for at, (first, second) in enumerate(zip(old, new, strict=True)):
        for place, (one, other) in enumerate(zip(first, second, strict=True)):
            both = isinstance(one, int | float) and isinstance(other, int | float)
            same = math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-9) if both else False
            if not same and one != other:
                yield at, place, one, other
