"""What the rows of a figure draw on: lines, bands, shades and words on their own axis."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from typing import Any

from monitoring.charts.palette import Palette

Figure = dict[str, Any]


def iso(day: date) -> str:
    """Return a day as plotly reads it."""
    return day.isoformat()


@dataclass(slots=True)
class Canvas:
    """What the rows add to; each row knows only its own axis."""

    palette: Palette
    traces: list[Figure] = field(default_factory=list)
    shapes: list[Figure] = field(default_factory=list)
    notes: list[Figure] = field(default_factory=list)

    def line(self, axis: str, x: Sequence[str], y: Sequence[Any], **more: Any) -> None:
        """Add a line or markers to a row."""
        trace = {"type": "scatter", "x": list(x), "y": list(y), "xaxis": "x", "yaxis": axis}
        self.traces.append({"showlegend": False, "hoverinfo": "skip", **trace, **more})

    def rect(self, axis: str, x: tuple[str, str], y: tuple[float, float], color: str) -> None:
        """Shade a piece of a row below everything else."""
        self.shapes.append(
            {"type": "rect", "xref": "x", "yref": axis, "x0": x[0], "x1": x[1], "y0": y[0],
             "y1": y[1], "fillcolor": color, "line": {"width": 0}, "layer": "below"}
        )  # fmt: skip

    def hatch(
        self, axis: str, x: tuple[str, str], y: tuple[float, float], *, words: str = ""
    ) -> None:
        """Hatch a piece of a row: nothing can be said there, or ``words`` say what."""
        pattern = {"shape": "/", "size": 7, "solidity": 0.15, "fgcolor": self.palette.line}
        corners = {"mode": "lines", "fill": "toself", "line": {"width": 0}}
        self.line(
            axis, [x[0], x[1], x[1], x[0]], [y[0], y[0], y[1], y[1]], **corners,
            fillcolor=self.palette.open_band, fillpattern=pattern,
            **({"hoverinfo": "text", "hoveron": "fills", "text": words} if words else {}),
        )  # fmt: skip

    def vertical(self, x: str, y: tuple[float, float], dash: str) -> None:
        """Draw a vertical line between two heights of the paper."""
        self.shapes.append(
            {"type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": y[0],
             "y1": y[1], "line": {"color": self.palette.line, "width": 1, "dash": dash},
             "layer": "below"}
        )  # fmt: skip

    def note(self, text: str, **place: Any) -> None:
        """Write a word into the figure."""
        font = {"size": 12, "color": self.palette.soft}
        self.notes.append({"text": text, "showarrow": False, "font": font, **place})

    def band(
        self,
        axis: str,
        x: Sequence[str],
        low: Sequence[float],
        high: Sequence[float],
        *,
        color: str,
    ) -> None:
        """Fill between two lines."""
        outline = {"mode": "lines", "fill": "toself", "fillcolor": color, "line": {"width": 0}}
        self.line(axis, [*x, *reversed(x)], [*low, *reversed(high)], **outline)


def runs(marks: Iterable[bool]) -> list[tuple[int, int]]:
    """Return where marks hold without a break, as slices."""
    runs: list[tuple[int, int]] = []
    for is_marked, group in groupby(enumerate(marks), lambda pair: pair[1]):
        indices = [index for index, _ in group]
        if is_marked and len(indices) > 1:
            runs.append((indices[0], indices[-1] + 1))
    return runs
