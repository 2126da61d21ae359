"""The patient's figure: Timeline -> plotly figure as a dict. No database, no request.

Five rows share one time axis: EDSS, brain, cord, gap, events. Every x is a calendar date; the
page turns dates into years since onset or age (static/js/timeline.js).
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from monitoring.charts.canvas import Canvas, Figure, iso
from monitoring.charts.course import edss_row, events_row, lane_count, lanes_of
from monitoring.charts.outcomes import outcome_marks
from monitoring.charts.palette import PAGE, Palette
from monitoring.charts.volumes import gap_row, percent_range, region_row
from monitoring.core.types import Region
from monitoring.selectors.timelines import Timeline

# Heights in pixels at which half an EDSS step is 8 px or more and the page stays on a laptop.
# The sum is fixed, so that the page reserves the room before the figure is drawn.
ROWS_PX = {"y": 176, "y2": 152, "y3": 152, "y4": 96, "y5": 104}
BETWEEN_PX, TOP_PX, BOTTOM_PX = 22, 20, 32
HEIGHT_PX = sum(ROWS_PX.values()) + 4 * BETWEEN_PX + TOP_PX + BOTTOM_PX  # 820
EDSS_RANGE = (-0.3, 10.3)
YEAR = timedelta(days=365)


def timeline_figure(timeline: Timeline, *, palette: Palette = PAGE) -> Figure:
    """Return the figure of a patient's whole course.

    Parameters
    ----------
    timeline : Timeline
    palette : Palette
        ``PAGE`` for the browser (CSS tokens), ``PRINT`` for a report.

    Returns
    -------
    dict
        ``data`` and ``layout`` of plotly. ``layout.meta`` holds onset, birth year, the default
        window and what the crosshair reads out.
    """
    canvas = Canvas(palette)
    lanes = lanes_of(timeline)
    rows = _domains()
    start, end = _window(timeline)
    span = percent_range(timeline)
    edss_row(canvas, timeline, (start, end))
    outcome_marks(canvas, timeline)
    for region in Region:
        region_row(canvas, timeline, region, span)
    gap_row(canvas, timeline, (start, end))
    events_row(canvas, timeline, lanes)
    _across(canvas, timeline, rows)
    _row_titles(canvas, rows)
    return {
        "data": canvas.traces,
        "layout": _layout(
            canvas, timeline, rows, window=(start, end), span=span, lanes=lane_count(lanes)
        ),
    }


def _window(timeline: Timeline) -> tuple[str, str]:
    """Return the default window: from onset (or the first fact) to today and a year."""
    facts = [
        *(point.when for point in timeline.points),
        *(step.when for step in timeline.edss),
        *(relapse.onset for relapse in timeline.relapses),
        *(treatment.starts_on for treatment in timeline.treatments),
    ]
    onset = timeline.patient.onset_date
    first = min([*facts, *([onset] if onset else [])], default=timeline.today - 2 * YEAR)
    return iso(first - timedelta(days=60)), iso(timeline.today + YEAR)


def _domains() -> dict[str, tuple[float, float]]:
    """Return where each row lies on the paper, 0 at the bottom and 1 at the top."""
    total = HEIGHT_PX - TOP_PX - BOTTOM_PX
    rows: dict[str, tuple[float, float]] = {}
    top = total
    for axis, height in ROWS_PX.items():
        rows[axis] = (max(top - height, 0) / total, top / total)
        top -= height + BETWEEN_PX
    return rows


def _across(
    canvas: Canvas, timeline: Timeline, rows: Mapping[str, tuple[float, float]]
) -> None:
    """Draw what crosses rows: scanner changes through the volumes, onset and today."""
    volumes = (rows["y4"][0], rows["y2"][1])
    for change in timeline.scanner_changes:
        canvas.vertical(iso(change.when), volumes, "dash")
        canvas.note(
            "scanner changed", xref="x", yref="paper", x=iso(change.when), y=rows["y3"][1],
            yanchor="bottom", xanchor="left", hovertext=f"{change.before} → {change.after}",
            font={"size": 11, "color": canvas.palette.soft},
        )  # fmt: skip
    _marked_day(canvas, timeline.today, "today", "dot")
    if timeline.patient.onset_date:
        _marked_day(canvas, timeline.patient.onset_date, "onset", "solid")


def _marked_day(canvas: Canvas, day: date, word: str, dash: str) -> None:
    """Draw a named day through all rows."""
    canvas.vertical(iso(day), (0.0, 1.0), dash)
    canvas.note(
        word, xref="x", yref="paper", x=iso(day), y=1, xanchor="left", yanchor="top",
        font={"size": 11, "color": canvas.palette.soft},
    )  # fmt: skip


ROW_TITLES = {
    "y": "<b>EDSS</b>  up is worse; shaded 2–2.5 and 3–3.5",
    "y2": "<b>Brain</b>  % of own first value, 95 % bars",
    "y3": "<b>Cord</b>  % of own first value, 95 % bars",
    "y4": "<b>Gap</b>  cord minus what the brain predicts, %",
    "y5": "<b>Relapses and treatment</b>",
}


def _row_titles(canvas: Canvas, rows: Mapping[str, tuple[float, float]]) -> None:
    """Name each row above its left end."""
    for axis, title in ROW_TITLES.items():
        canvas.note(
            title, xref="paper", yref="paper", x=0, y=rows[axis][1], xanchor="left",
            yanchor="bottom", font={"size": 12, "color": canvas.palette.ink},
        )  # fmt: skip


def _layout(
    canvas: Canvas,
    timeline: Timeline,
    rows: Mapping[str, tuple[float, float]],
    *,
    window: tuple[str, str],
    span: tuple[float, float],
    lanes: int,
) -> Figure:
    """Return axes, sizes and what the page must know beside the marks."""
    palette = canvas.palette
    axis = {
        "fixedrange": True, "showline": False, "zeroline": False, "gridcolor": palette.grid,
        "tickfont": {"size": 11, "color": palette.soft}, "automargin": False,
    }  # fmt: skip
    ticks = _percent_ticks(span)
    scale = [math.log10(end) for end in span]
    percent = {**axis, "type": "log", "range": scale, "tickvals": ticks, "tickformat": "d"}
    layout: Figure = {
        "height": HEIGHT_PX,
        "margin": {"l": 48, "r": 12, "t": TOP_PX, "b": BOTTOM_PX},
        "paper_bgcolor": palette.ground,
        "plot_bgcolor": palette.ground,
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": palette.ink},
        "hovermode": "closest",
        "dragmode": "zoom",
        "hoverlabel": {"bgcolor": palette.ground, "font": {"size": 12, "color": palette.ink}},
        "xaxis": {
            **axis, "fixedrange": False, "type": "date", "range": list(window), "anchor": "y5",
            "showgrid": True,
        },
        "yaxis": {**axis, "range": list(EDSS_RANGE), "tickvals": [0, 2, 4, 6, 8, 10]},
        "yaxis2": dict(percent),
        "yaxis3": dict(percent),
        "yaxis4": {**axis, "zeroline": True, "zerolinecolor": palette.line, "nticks": 4},
        "yaxis5": {
            **axis, "range": [-lanes + 0.4, 1.6], "showticklabels": False, "showgrid": False,
        },
        "shapes": canvas.shapes,
        "annotations": canvas.notes,
        "showlegend": False,
        "meta": _meta(timeline, window),
    }  # fmt: skip
    for number, name in enumerate(("y", "y2", "y3", "y4", "y5"), start=1):
        key = "yaxis" if number == 1 else f"yaxis{number}"
        layout[key]["domain"] = list(rows[name])
        layout[key]["anchor"] = "x"
    if not timeline.trajectory:
        layout["yaxis4"] |= {"range": [-1, 1], "tickvals": [0]}
    return layout


def _percent_ticks(span: tuple[float, float]) -> list[int]:
    """Return round percent values within the scale, five or so."""
    step = next(s for s in (1, 2, 5, 10, 20, 50) if (span[1] - span[0]) / s <= 6)
    first = int(span[0] // step + 1) * step
    return list(range(first, int(span[1]) + 1, step))


def _meta(timeline: Timeline, window: tuple[str, str]) -> Figure:
    """Return what the axis switch and the crosshair need."""
    patient = timeline.patient
    return {
        "onset": iso(patient.onset_date) if patient.onset_date else None,
        # Only the birth year is known: age is counted from the middle of it.
        "born": f"{patient.birth_year}-07-01" if patient.birth_year else None,
        "window": list(window),
        "edss": [[iso(step.when), float(step.edss)] for step in timeline.edss],
        "treatments": [
            [
                iso(t.starts_on),
                iso(t.ends_on) if t.ends_on else None,
                t.drug,
                iso(t.paused_on) if t.paused_on else None,
                iso(t.resumed_on) if t.resumed_on else None,
            ]
            for t in timeline.treatments
        ],
        "values": {region.value: _values(timeline, region) for region in Region},
        "gap": _gap(timeline),
    }


def _values(timeline: Timeline, region: Region) -> list[list[Any]]:
    """Return the usable values of a region for the crosshair."""
    return [
        [iso(p.when), round(p.percent, 2)]
        for p in timeline.region(region)
        if p.is_usable and p.percent is not None
    ]


def _gap(timeline: Timeline) -> Sequence[Sequence[float]]:
    """Return the gap with its band on the curve's grid: years, mean, low, high."""
    lines = timeline.trajectory
    if not lines:
        return []
    curve = lines["gap_percent"]
    origin = date.fromisoformat(lines["origin"]).toordinal()
    ordinals = [origin + round(t * 365.25) for t in curve["years"]]
    days: list[Any] = [iso(date.fromordinal(ordinal)) for ordinal in ordinals]
    return [days, curve["mean"], curve["low"], curve["high"]]
