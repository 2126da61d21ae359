"""Small words for templates: signed numbers, significant digits, grants."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from monitoring.selectors.timeline_tables import Cell, Table

register = template.Library()

MINUS = "−"  # a true minus sign, as wide as a plus


@register.simple_tag
def table_rows(table: Table) -> SafeString:
    """Return the rows of a table, every cell escaped.

    A template loop over the thousand cells of a long course takes longer than reading them.
    """
    rows = []
    for index, row in enumerate(table.rows):
        cells = "".join(f"<td>{_cell(cell)}</td>" for cell in row)
        mark = ' class="is-rejected"' if index in table.struck else ""
        rows.append(f"<tr{mark}>{cells}</tr>")
    return mark_safe("\n".join(rows))  # noqa: S308 - each cell is escaped above


@register.simple_tag
def weight_rows(weights: Iterable[tuple[str, str, float, bool]]) -> SafeString:
    """Return the rows of the weights of each scan, for the same reason as `table_rows`."""
    doubt = ' <span class="warn-text">outlier?</span>'
    rows = (
        f'<tr><th scope="row">{escape(day)}</th><td>{escape(region)}</td>'
        f'<td class="num">{number(weight, 2)}{doubt if is_outlier else ""}</td></tr>'
        for day, region, weight, is_outlier in weights
    )
    return mark_safe("".join(rows))  # noqa: S308 - each cell is escaped above


@register.simple_tag
def figure_data(figure: Mapping[str, Any], element_id: str) -> SafeString:
    """Return a figure as JSON in a script element that no browser runs.

    As Django's ``json_script``, which translates character by character: of a figure of 100 kB
    that took as long as four questions to the database.
    """
    text = json.dumps(figure, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04X}")
    return mark_safe(  # noqa: S308 - the three signs that could end the element are escaped
        f'<script id="{escape(element_id)}" type="application/json">{text}</script>'
    )


def _cell(cell: Cell) -> str:
    """Return a cell's words, escaped; a missing value is a dash."""
    if cell is None:
        return "–"
    return escape(cell) if isinstance(cell, str) else str(cell)


@register.filter
def signed(value: float | str | None, digits: int = 1) -> str:
    """Return a number with its sign, or a dash where there is none."""
    if value is None or value == "":  # a missing key is an empty text in a template
        return "–"
    rounded = round(float(value), int(digits)) or 0.0  # a rounded nought is not negative
    sign = "+" if rounded else ""
    return f"{rounded:{sign}.{int(digits)}f}".replace("-", MINUS)


@register.filter
def number(value: float | str | None, digits: int = 1) -> str:
    """Return a number with a true minus sign, or a dash where there is none."""
    if value is None or value == "":  # a missing key is an empty text in a template
        return "–"
    rounded = round(float(value), int(digits)) or 0.0
    return f"{rounded:.{int(digits)}f}".replace("-", MINUS)
