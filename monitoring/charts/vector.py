"""A figure of the page as vector graphics, for paper and for pages without a script.

The report must show what the screen shows. So it takes the same plotly figure (made with
`palette.PRINT`) and draws the part of plotly that our rows use: lines, markers, error bars,
bands, shades, words. What it does not know raises, so that paper never says less than the page.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

from monitoring.charts.canvas import Figure
from monitoring.charts.symbols import STROKES, symbol_path

WIDTH_PX, HEIGHT_PX = 860, 510  # in a column of 186 mm a word of 12 px is 7.4 pt
MOST_YEARS = 14
FONT = "DejaVu Sans, system-ui, sans-serif"
ANCHORS = {"left": "start", "center": "middle", "right": "end"}
DASHES = {"dash": "7 4", "dot": "1.5 3", "dashdot": "7 3 1.5 3", "longdash": "11 4"}
# From a word's anchor to its baseline, in heights of the font.
DROPS = {"top": 0.85, "middle": 0.35, "bottom": -0.3}


class Frame:
    """Where days and values lie on the paper."""

    def __init__(self, layout: Figure, data: Sequence[Figure], size: tuple[int, int]) -> None:
        self.layout, (self.width, self.height) = layout, size
        margin = layout["margin"]
        self.left, self.top = float(margin["l"]), float(margin["t"])
        self.inner_width = self.width - self.left - float(margin["r"])
        self.inner_height = self.height - self.top - float(margin["b"])
        self.first, self.last = (_ordinal(day) for day in layout["xaxis"]["range"])
        self.ranges = {name: self._range(name, data) for name in self.axes}

    @property
    def axes(self) -> list[str]:
        """Return the names of the rows, as traces call them."""
        keys = [key for key in self.layout if key.startswith("yaxis")]
        return [key.replace("axis", "") for key in keys]

    def axis(self, name: str) -> Figure:
        """Return the layout of a row."""
        axis: Figure = self.layout[f"yaxis{name[1:]}"]
        return axis

    def _range(self, name: str, data: Sequence[Figure]) -> tuple[float, float]:
        """Return a row's range, found from its marks where the layout leaves it open."""
        axis = self.axis(name)
        if "range" in axis:
            return float(axis["range"][0]), float(axis["range"][1])
        seen = [
            float(y)
            for trace in data
            if trace["yaxis"] == name
            for y in trace["y"]
            if y is not None
        ]
        low, high = min([*seen, -1.0]), max([*seen, 1.0])
        room = 0.06 * (high - low)
        return low - room, high + room

    def x(self, value: Any, ref: str = "x") -> float:
        """Return the pixel of a day, or of a fraction of the paper."""
        if ref == "paper":
            return self.left + float(value) * self.inner_width
        part = (_ordinal(str(value)) - self.first) / (self.last - self.first)
        return self.left + part * self.inner_width

    def y(self, value: float, ref: str) -> float:
        """Return the pixel of a value of a row, of a fraction of a row or of the paper."""
        if ref == "paper":
            return self.top + (1 - value) * self.inner_height
        name, _, is_domain = ref.partition(" ")
        low, high = (float(end) for end in self.axis(name)["domain"])
        start, end = (0.0, 1.0) if is_domain else self.ranges[name]
        if not is_domain and self.axis(name).get("type") == "log":
            value = math.log10(value)
        part = (value - start) / (end - start)
        return self.top + (1 - (low + part * (high - low))) * self.inner_height

    def row(self, name: str) -> tuple[float, float]:
        """Return top and bottom of a row in pixels."""
        return self.y(1, f"{name} domain"), self.y(0, f"{name} domain")

    def ticks(self, name: str) -> list[float]:
        """Return the values that a row's axis names."""
        axis = self.axis(name)
        if "tickvals" in axis:
            return [float(value) for value in axis["tickvals"]]
        low, high = self.ranges[name]
        step = next((s for s in (1, 2, 5, 10, 20, 50) if (high - low) / s <= 5), 100)
        return [float(v) for v in range(math.ceil(low / step) * step, int(high) + 1, step)]

    def years(self) -> list[int]:
        """Return the calendar years that the time axis names."""
        first = date.fromordinal(round(self.first)).year + 1
        last = date.fromordinal(round(self.last)).year
        step = next(s for s in (1, 2, 5, 10, 20, 50) if (last - first) / s <= MOST_YEARS)
        return [year for year in range(first, last + 1) if year % step == 0]


def svg_of(figure: Figure, *, label: str, size: tuple[int, int] = (WIDTH_PX, HEIGHT_PX)) -> str:
    """Return a figure as an SVG element.

    Parameters
    ----------
    figure : dict
        What `timeline_figure` made with plain colours (`palette.PRINT`).
    label : str
        What the picture is, for who cannot see it.
    size : (int, int)
        Width and height in pixels; rows keep their shares of the height.

    Raises
    ------
    UnknownSymbol
        If a mark has a shape that cannot be drawn here.
    """
    layout, data = figure["layout"], figure["data"]
    frame = Frame(layout, data, size)
    root = ET.Element(
        "svg",
        {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {size[0]} {size[1]}",
         "role": "img", "aria-label": label, "font-family": FONT},
    )  # fmt: skip
    _clips(root, frame)
    for shape in layout["shapes"]:
        _shape(root, frame, shape)
    _axes(root, frame)
    for trace in data:
        _trace(root, frame, trace)
    for note in layout["annotations"]:
        _note(root, frame, note)
    return ET.tostring(root, encoding="unicode")


def _ordinal(day: str) -> float:
    return float(date.fromisoformat(day[:10]).toordinal())


def _add(parent: ET.Element, tag: str, **attributes: Any) -> ET.Element:
    """Add an element; ``stroke_width`` becomes ``stroke-width``, None is left out."""
    known = {
        key.replace("_", "-"): f"{value:.2f}".rstrip("0").rstrip(".")
        if isinstance(value, float)
        else str(value)
        for key, value in attributes.items()
        if value is not None
    }
    return ET.SubElement(parent, tag, known)


def _stroke(line: Figure) -> dict[str, Any]:
    """Return colour, width and dashes of a line."""
    return {
        "stroke": line["color"],
        "stroke_width": line.get("width", 2),
        "stroke_dasharray": DASHES.get(line.get("dash", "")),
    }


def _clips(root: ET.Element, frame: Frame) -> None:
    """Keep each row's marks within its row, half a marker spared."""
    for name in frame.axes:
        top, bottom = frame.row(name)
        clip = _add(root, "clipPath", id=f"row-{name}")
        _add(clip, "rect", x=frame.left, y=top - 8, width=frame.inner_width,
             height=bottom - top + 16)  # fmt: skip


def _axes(root: ET.Element, frame: Frame) -> None:
    """Draw grid lines and their numbers: years below, values at the left."""
    soft = frame.layout["xaxis"]["tickfont"]["color"]
    grid = frame.layout["xaxis"]["gridcolor"]
    left, right = frame.left, frame.left + frame.inner_width
    bottom = frame.y(0, "paper")
    for year in frame.years():
        x = frame.x(f"{year}-01-01")
        _add(root, "line", x1=x, x2=x, y1=frame.y(1, "paper"), y2=bottom, stroke=grid)
        _word(root, str(year), x, bottom + 16, size=11, color=soft, anchor="middle")
    for name in frame.axes:
        axis = frame.axis(name)
        if axis.get("showticklabels") is False:
            continue
        low, high = frame.ranges[name]
        for value in frame.ticks(name):
            place = math.log10(value) if axis.get("type") == "log" else value
            if not low <= place <= high:
                continue
            y = frame.y(value, name)
            color = axis["zerolinecolor"] if axis.get("zeroline") and value == 0 else grid
            _add(root, "line", x1=left, x2=right, y1=y, y2=y, stroke=color)
            text = f"{value:g}".replace("-", "−")
            _word(root, text, left - 6, y + 4, size=11, color=soft, anchor="end")


def _shape(root: ET.Element, frame: Frame, shape: Figure) -> None:
    """Draw a shade or a line between two places."""
    x0, x1 = frame.x(shape["x0"], shape["xref"]), frame.x(shape["x1"], shape["xref"])
    y0, y1 = frame.y(shape["y0"], shape["yref"]), frame.y(shape["y1"], shape["yref"])
    if shape["type"] == "rect":
        _add(root, "rect", x=min(x0, x1), y=min(y0, y1), width=abs(x1 - x0),
             height=abs(y1 - y0), fill=shape["fillcolor"])  # fmt: skip
    else:
        line = shape["line"]
        _add(root, "line", x1=x0, x2=x1, y1=y0, y2=y1, **_stroke(line))


def _trace(root: ET.Element, frame: Frame, trace: Figure) -> None:
    """Draw the marks of one trace within its row."""
    places = [
        (frame.x(x), frame.y(float(y), trace["yaxis"]))
        for x, y in zip(trace["x"], trace["y"], strict=True)
        if y is not None
    ]
    if not places:
        return
    group = _add(
        root, "g", clip_path=f"url(#row-{trace['yaxis']})", opacity=trace.get("opacity")
    )
    mode = trace.get("mode", "lines")
    if "lines" in mode:
        _polyline(group, trace, places)
    if "error_y" in trace:
        _bars(group, frame, trace)
    if "markers" in mode:
        _markers(group, trace["marker"], places)
    if "text" in mode:
        _texts(group, trace, places)


def _polyline(group: ET.Element, trace: Figure, places: list[tuple[float, float]]) -> None:
    """Draw a line, a staircase or a filled band."""
    line = trace.get("line", {})
    if line.get("shape") == "hv":
        corners = [(b[0], a[1]) for a, b in pairwise(places)]
        steps = [place for pair in zip(places, corners, strict=False) for place in pair]
        places = [*steps, places[-1]]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    if trace.get("fill") == "toself":
        _add(group, "polygon", points=points, fill=trace["fillcolor"])
        if "fillpattern" in trace:
            _hatched(group, trace["fillpattern"], points)
        return
    _add(group, "polyline", points=points, fill="none", **_stroke(line))


def _hatched(group: ET.Element, pattern: Figure, points: str) -> None:
    """Hatch a polygon with thin slanted lines."""
    size, name = pattern["size"], f"hatch-{len(group)}-{group.get('clip-path', '')[9:-1]}"
    tile = _add(group, "pattern", id=name, width=size, height=size,
                patternUnits="userSpaceOnUse")  # fmt: skip
    path = f"M0 {size}L{size} 0"
    _add(tile, "path", d=path, stroke=pattern["fgcolor"], stroke_width=0.8)
    _add(group, "polygon", points=points, fill=f"url(#{name})")


def _bars(group: ET.Element, frame: Frame, trace: Figure) -> None:
    """Draw the error bars of measured values."""
    error, name = trace["error_y"], trace["yaxis"]
    rows = zip(trace["x"], trace["y"], error["array"], error["arrayminus"], strict=True)
    for day, value, up, down in rows:
        if not (up or down):
            continue
        x, high, low = frame.x(day), frame.y(value + up, name), frame.y(value - down, name)
        cap = error["width"]
        caps = "".join(f"M{x - cap:.1f} {end:.1f}h{2 * cap}" for end in (high, low))
        path = f"{caps}M{x:.1f} {high:.1f}V{low:.1f}"
        _add(group, "path", d=path, stroke=error["color"], stroke_width=error["thickness"])


def _markers(group: ET.Element, marker: Figure, places: list[tuple[float, float]]) -> None:
    """Draw one shape per value: filled, open, or open with a dot."""
    for index, (x, y) in enumerate(places):
        own = {key: _nth(value, index) for key, value in marker.items() if key != "line"}
        outline = {key: _nth(value, index) for key, value in marker.get("line", {}).items()}
        symbol, size = str(own.get("symbol", "circle")), float(own.get("size", 6))
        plain = symbol.removesuffix("-dot").removesuffix("-open")
        is_open = "-open" in symbol or plain in STROKES
        color = own["color"]
        spot = _add(
            group, "g", transform=f"translate({x:.1f} {y:.1f})", opacity=own.get("opacity")
        )
        _add(spot, "path", d=symbol_path(plain, size), fill="#ffffff" if is_open else color,
             fill_opacity=0 if is_open else None, stroke=outline.get("color", color),
             stroke_width=outline.get("width", 1))  # fmt: skip
        if symbol.endswith("-dot"):
            dot = color if is_open else outline.get("color", color)
            _add(spot, "circle", r=1.6, fill=dot)


def _texts(group: ET.Element, trace: Figure, places: list[tuple[float, float]]) -> None:
    """Write the words beside the marks."""
    font = trace.get("textfont", {})
    vertical, _, horizontal = trace.get("textposition", "middle center").partition(" ")
    shift = {"left": -8, "right": 8}.get(horizontal, 0)
    lift = {"top": -10, "bottom": 16}.get(vertical, 4)
    anchor = {"left": "end", "right": "start"}.get(horizontal, "middle")
    for index, (x, y) in enumerate(places):
        text = str(_nth(trace["text"], index))
        if text:
            _word(group, text, x + shift, y + lift, size=font.get("size", 11),
                  color=font.get("color", "#000"), anchor=anchor)  # fmt: skip


def _note(root: ET.Element, frame: Frame, note: Figure) -> None:
    """Write an annotation where plotly would."""
    font = note["font"]
    x = frame.x(note["x"], note.get("xref", "paper")) + float(note.get("xshift", 0))
    y = frame.y(float(note["y"]), note.get("yref", "paper")) - float(note.get("yshift", 0))
    y += DROPS[note.get("yanchor", "middle")] * font["size"]
    anchor = ANCHORS[note.get("xanchor", "center")]
    _word(root, note["text"], x, y, size=font["size"], color=font["color"], anchor=anchor)


def _word(
    parent: ET.Element, text: str, x: float, y: float, *, size: float, color: str, anchor: str
) -> None:
    """Write a word; ``<b>`` is the only markup that our figures use."""
    word = _add(parent, "text", x=x, y=y, font_size=size, fill=color, text_anchor=anchor)
    plain, bold, rest = text.partition("<b>")
    word.text = plain or None
    if bold:
        strong, _, after = rest.partition("</b>")
        piece = _add(word, "tspan", font_weight="700")
        piece.text, piece.tail = strong, after.replace("  ", " \u2002")


def _nth(value: Any, index: int) -> Any:
    """Return a mark's own value where plotly takes one for all or one for each."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str | Mapping)
    return value[index] if is_list else value
