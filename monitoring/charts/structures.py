"""Marks of one more structure on the brain's or the cord's row, fetched when it is chosen."""

from collections.abc import Sequence
from itertools import groupby

from monitoring.charts.canvas import Canvas, Figure, iso
from monitoring.charts.palette import PAGE
from monitoring.charts.volumes import ROW_AXIS
from monitoring.selectors.structures import StructureKind
from monitoring.selectors.timeline_points import TimelinePoint

# Shapes that no scanner epoch uses, and dashes that neither brain nor cord has.
SHAPES = ("cross", "triangle-down", "hourglass", "triangle-left", "bowtie", "triangle-right")
LINES = ("longdash", "dashdot", "longdashdot")


def structure_marks(
    kind: StructureKind, course: Sequence[TimelinePoint], *, number: int
) -> Figure:
    """Return the traces of a structure, its values for the crosshair, and the room it needs.

    Parameters
    ----------
    course
        As `structure_course` gives it.
    number : int
        Its place among the structures that can be chosen: it decides shape and dashes.
    """
    canvas, axis = Canvas(PAGE), ROW_AXIS[kind.region]
    color = canvas.palette.of(kind.region)
    shown = [point for point in course if point.is_usable and point.percent is not None]
    line = {"width": 1.5, "color": color, "dash": LINES[number % len(LINES)]}
    for _, series in groupby(shown, lambda point: point.series):
        own = list(series)
        canvas.line(axis, _days(own), [p.percent for p in own], mode="lines", line=line)
    name, written = kind.words, max(len(shown) - 1 - number % 4, 0)
    canvas.line(
        axis, _days(shown), [p.percent for p in shown], mode="markers+text",
        # Names stand at different visits, so that courses that run together stay readable.
        text=[kind.words if index == written else "" for index in range(len(shown))],
        textposition="top center" if number % 2 else "bottom center",
        textfont={"size": 11, "color": canvas.palette.ink},
        hoverinfo="text", hovertext=[_words(name, point) for point in shown], name=name,
        marker={
            "symbol": SHAPES[number % len(SHAPES)], "size": 8, "color": color,
            "line": {"width": 1, "color": canvas.palette.ground},
        },
        error_y={
            "type": "data", "symmetric": False, "width": 2, "thickness": 1, "color": color,
            "array": [_length(p, p.percent_high) for p in shown],
            "arrayminus": [_length(p, p.percent_low) for p in shown],
        },
    )  # fmt: skip
    ends = [
        value
        for point in shown
        for value in (point.percent, point.percent_low, point.percent_high)
        if value is not None
    ]
    return {
        "slug": kind.slug,
        "name": name,
        "traces": canvas.traces,
        "span": [min(ends), max(ends)] if ends else None,
        "values": [[iso(p.when), round(p.percent or 0.0, 2)] for p in shown],
    }


def _days(points: Sequence[TimelinePoint]) -> list[str]:
    return [iso(point.when) for point in points]


def _length(point: TimelinePoint, end: float | None) -> float:
    """Return the length of an error bar."""
    return 0.0 if end is None or point.percent is None else abs(end - point.percent)


def _words(name: str, point: TimelinePoint) -> str:
    """Say everything about one value."""
    margin = "" if point.shown_margin is None else f" ± {point.shown_margin:.1f}"
    return (
        f"{name} on {point.when}<br>{point.shown_value:.1f}{margin} {point.shown_unit}"
        f"<br>{point.percent:.1f} % of the first usable value"
        f"<br>{point.epoch_label}<br>{point.method} {point.version}"
    )
