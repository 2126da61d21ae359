"""Small words for templates: signed numbers, significant digits, grants."""

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
