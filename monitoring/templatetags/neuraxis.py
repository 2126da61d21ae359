"""Small words for templates: signed numbers, significant digits, grants."""

from django import template

register = template.Library()

MINUS = "−"  # a true minus sign, as wide as a plus


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
