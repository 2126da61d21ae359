"""Columns of many rows, read with as little between the driver and numpy as can be."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from django.db.models import CharField, Max
from django.db.models.functions import Cast

from monitoring.core.series import FloatArray, as_floats

CHUNK = 20_000
"""Rows that the driver fetches at a time."""


class AsRead:
    """Numbers as the driver gives them: Django's converter of each cell would cost as much."""

    def get_db_converters(self, connection: Any) -> list[Any]:
        """Convert nothing."""
        return []


class Largest(AsRead, Max):
    """The largest value of a group."""


class Number(AsRead, Cast):
    """A column as a floating-point number."""


class IdText(Cast):
    """An id as the database's own text; groups are made by the id, not by its text."""

    def get_group_by_cols(self) -> list[Any]:
        """Group by the id."""
        return list(self.source_expressions[0].get_group_by_cols())


def id_text(name: str) -> Cast:
    """Return an id as the database's own text."""
    return IdText(name, CharField())


def number_table(rows: Iterable[tuple[Any, ...]], width: int) -> FloatArray:
    """Return rows whose first two columns are patient and day as numbers, sorted by them."""
    table = np.array(list(rows), dtype=np.float64).reshape(-1, width)
    return as_floats(table[np.lexsort((table[:, 1], table[:, 0]))])


def number_or_nan(value: Any) -> float:
    """Return a number, NaN for None."""
    return float("nan") if value is None else float(value)
