"""Rows of the figure: brain and cord in percent of the patient's own baseline, and the gap."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby

from monitoring.charts.canvas import Canvas, iso, runs
from monitoring.core.types import Region
from monitoring.selectors.norm_bands import norm_band
from monitoring.selectors.timeline_points import TimelinePoint
from monitoring.selectors.timelines import Timeline

EPOCH_SYMBOLS = ("circle", "square", "diamond", "pentagon", "hexagon", "star-square")
LEAST_SPAN = (96.0, 103.0)  # percent: a flat course is not blown up to fill the row
WORDS = {Region.BRAIN: "Brain", Region.CORD: "Cord"}
DASH = {Region.BRAIN: "dash", Region.CORD: "solid"}
ROW_AXIS = {Region.BRAIN: "y2", Region.CORD: "y3"}


def percent_range(timeline: Timeline) -> tuple[float, float]:
    """Return the one percent scale of brain and cord: whatever is used and its band."""
    seen = [
        value
        for point in timeline.points
        if point.is_usable
        for value in (point.percent, point.percent_low, point.percent_high)
        if value is not None
    ]
    for region in Region:
        curve = _curve(timeline, region)
        seen += [*curve["low"], *curve["high"]] if curve else []
    low, high = min([*seen, LEAST_SPAN[0]]), max([*seen, LEAST_SPAN[1]])
    return max(low * 0.995, 20.0), min(high * 1.005, 300.0)


def _curve(timeline: Timeline, region: Region) -> dict[str, list[float]] | None:
    """Return the fitted line of a region in percent of the baseline."""
    lines, baseline = timeline.trajectory, timeline.baseline(region)
    curve = lines.get(f"{region.value}_value") if lines else None
    if not curve or not baseline:
        return None
    return {
        name: [100 * value / baseline for value in curve[name]]
        for name in ("mean", "low", "high")
    }


def _curve_days(timeline: Timeline) -> list[str]:
    """Return the dates of the fitted lines' common grid."""
    lines = timeline.trajectory
    if not lines:
        return []
    origin = date.fromisoformat(lines["origin"])
    years = lines["gap_percent"]["years"]
    return [iso(origin + timedelta(days=round(t * 365.25))) for t in years]


def region_row(
    canvas: Canvas, timeline: Timeline, region: Region, span: tuple[float, float]
) -> None:
    """Draw one region: fitted band and line, joined series, points with error bars."""
    axis, color = ROW_AXIS[region], canvas.palette.of(region)
    points = [point for point in timeline.region(region) if point.percent is not None]
    if not any(point.is_usable for point in points):
        canvas.note(
            f"No usable {region.value} values yet", xref="paper", yref=f"{axis} domain",
            x=0.5, y=0.5,
        )  # fmt: skip
    _healthy(canvas, timeline, region)
    _fitted(canvas, timeline, region)
    usable = [point for point in points if point.is_usable]
    for _, series in groupby(sorted(usable, key=lambda p: (p.series, p.when)), _series):
        own = list(series)
        canvas.line(
            axis, [iso(p.when) for p in own], [p.percent for p in own], mode="lines",
            line={"width": 1, "color": color, "dash": "dot"}, opacity=0.8,
        )  # fmt: skip
    symbols = epoch_symbols(timeline)
    corrected = [p for p in usable if p.percent_corrected and len(symbols) > 1]
    canvas.line(
        axis, [iso(p.when) for p in corrected], [p.percent_corrected for p in corrected],
        mode="markers", hoverinfo="text",
        hovertext=[f"offset-corrected {p.percent_corrected:.1f} %" for p in corrected],
        marker={
            "symbol": [f"{symbols[str(p.epoch_id)]}-open" for p in corrected],
            "size": 7, "color": color, "line": {"width": 1.5},
        },
        meta={"role": "corrected"},
    )  # fmt: skip
    _points(canvas, points, region, symbols, span)
    _alone(canvas, timeline, region, usable)
    rings = [p for p in usable if p.is_outlier]
    canvas.line(
        axis, [iso(p.when) for p in rings], [p.percent for p in rings], mode="markers+text",
        text=["outlier?"] * len(rings), textposition="top center",
        textfont={"color": canvas.palette.soft, "size": 11},
        marker={"symbol": "circle-open", "size": 19, "color": color, "line": {"width": 1.5}},
    )  # fmt: skip


def _series(point: TimelinePoint) -> str:
    return point.series


def epoch_symbols(timeline: Timeline) -> dict[str, str]:
    """Return one marker shape per scanner epoch, in order of appearance."""
    epochs = dict.fromkeys(str(point.epoch_id) for point in timeline.points)
    return {
        epoch: EPOCH_SYMBOLS[index % len(EPOCH_SYMBOLS)] for index, epoch in enumerate(epochs)
    }


def _healthy(canvas: Canvas, timeline: Timeline, region: Region) -> None:
    """Draw healthy ageing and the range of healthy people, where a norm fits the values."""
    band = norm_band(timeline, region)
    if not band.days:
        return
    axis, days = ROW_AXIS[region], [iso(day) for day in band.days]
    canvas.band(axis, days, band.low, band.high, color=canvas.palette.norm_band)
    canvas.line(
        axis, days, band.ageing, mode="lines", name="healthy ageing",
        line={"width": 1.5, "color": canvas.palette.soft, "dash": "dashdot"},
        meta={"role": "healthy", "region": region.value},
    )  # fmt: skip


def _fitted(canvas: Canvas, timeline: Timeline, region: Region) -> None:
    """Draw the fitted line with its 95 % band."""
    curve, days = _curve(timeline, region), _curve_days(timeline)
    if curve is None:
        return
    axis = ROW_AXIS[region]
    canvas.band(axis, days, curve["low"], curve["high"], color=canvas.palette.band_of(region))
    line = {"width": 2.5, "color": canvas.palette.of(region), "dash": DASH[region]}
    canvas.line(axis, days, curve["mean"], mode="lines", line=line)


def _points(
    canvas: Canvas,
    points: Sequence[TimelinePoint],
    region: Region,
    symbols: Mapping[str, str],
    span: tuple[float, float],
) -> None:
    """Draw the measured values: filled, with a dot before a reader looked, x when rejected."""
    shown = [min(max(p.percent or span[0], span[0]), span[1]) for p in points]
    canvas.line(
        ROW_AXIS[region], [iso(p.when) for p in points], shown, mode="markers",
        hoverinfo="text", hovertext=[point_words(p) for p in points],
        customdata=[str(p.run_id) for p in points], name=WORDS[region],
        marker={
            "symbol": [_symbol(p, symbols) for p in points],
            "size": 10,
            "color": canvas.palette.of(region),
            "opacity": [0.75 if p.is_rejected or p.waits_for_reader else 1 for p in points],
            "line": {
                "width": [1 if p.is_usable and p.is_reviewed else 2 for p in points],
                "color": canvas.palette.ground,
            },
        },
        error_y={
            "type": "data", "symmetric": False, "width": 3, "thickness": 1.3,
            "color": canvas.palette.of(region),
            "array": [_bar(p, p.percent_high, span) for p in points],
            "arrayminus": [_bar(p, p.percent_low, span) for p in points],
        },
        meta={"role": "points", "region": region.value},
    )  # fmt: skip


def _alone(
    canvas: Canvas, timeline: Timeline, region: Region, usable: Sequence[TimelinePoint]
) -> None:
    """Put a small c beside values of scans alone, where others were measured in pairs too."""
    paired = timeline.paired_scans(region)
    alone = [p for p in usable if p.scan_id not in paired] if paired else []
    if alone:
        canvas.line(
            ROW_AXIS[region], [iso(p.when) for p in alone], [p.percent for p in alone],
            mode="text", text=["c"] * len(alone), textposition="bottom right",
            textfont={"color": canvas.palette.soft, "size": 11},
            meta={"role": "alone", "region": region.value},
        )  # fmt: skip


def _bar(point: TimelinePoint, end: float | None, span: tuple[float, float]) -> float:
    """Return the length of an error bar; none for what is in no statistic."""
    if end is None or point.percent is None or not point.is_usable:
        return 0.0
    return abs(min(max(end, span[0]), span[1]) - point.percent)


def _symbol(point: TimelinePoint, symbols: Mapping[str, str]) -> str:
    """Return the marker of a value: shape by epoch; hollow is only what is not used as read."""
    if point.is_rejected:
        return "x-thin-open"
    shape = symbols[str(point.epoch_id)]
    if point.waits_for_reader:
        return f"{shape}-open-dot"
    return shape if point.is_reviewed else f"{shape}-dot"


def point_words(point: TimelinePoint) -> str:
    """Say everything about one value, for hover and focus."""
    lines = [f"{WORDS[point.region]} on {point.when}", _value_words(point)]
    if point.percent is not None:
        lines.append(f"{point.percent:.1f} % of the first usable value")
    if point.is_rejected:
        lines.append(f"Rejected: {point.verdict_reason or 'no reason given'}")
    elif point.waits_for_reader:
        lines.append("Waits for a reader: not used")
    elif point.quality is not None:
        seen = "" if point.is_reviewed else ", not reviewed"
        lines.append(f"Quality {point.quality.value}{seen}")
    if point.is_outlier and point.weight is not None:
        lines.append(f"Probable outlier (weight {point.weight:.2f})")
    if point.days_after_relapse is not None:
        lines.append(f"{point.days_after_relapse} days after a relapse")
    lines += [point.epoch_label, f"{point.method} {point.version}"]
    return "<br>".join(lines)


def _value_words(point: TimelinePoint) -> str:
    """Return value, 95 % half-width and unit."""
    text = f"{point.shown_value:.1f}"
    if point.shown_margin is not None:
        text += f" ± {point.shown_margin:.1f}"
    return f"{text} {point.shown_unit}"


def gap_row(canvas: Canvas, timeline: Timeline, window: tuple[str, str]) -> None:
    """Draw cord minus brain-predicted cord; colour only where the interval leaves zero out."""
    lines = timeline.trajectory
    if not lines:
        canvas.hatch("y4", window, (-1, 1))
        canvas.note("Not yet assessable", xref="paper", yref="y4", x=0.5, y=0)
        return
    curve, days = lines["gap_percent"], _curve_days(timeline)
    low, high, mean = curve["low"], curve["high"], curve["mean"]
    canvas.band("y4", days, low, high, color=canvas.palette.open_band)
    for first, last in runs(
        top < 0 or bottom > 0 for bottom, top in zip(low, high, strict=True)
    ):
        part = slice(first, last)
        canvas.band("y4", days[part], low[part], high[part], color=canvas.palette.gap_band)
    line = {"width": 2.5, "color": canvas.palette.gap}
    canvas.line("y4", days, mean, mode="lines", line=line)
