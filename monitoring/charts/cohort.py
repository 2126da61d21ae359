"""Figures of the cohort page from the stored result: data in, plotly figures out.

Brain and cord keep their colours; groups differ by symbol and line style, never by colour
alone. A synthetic cohort carries the words in the figure, so that a download does too.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monitoring.charts.palette import PAGE, Palette

Figure = dict[str, Any]
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "x")
DASHES = ("solid", "dash", "dot", "dashdot")
ROW = 26
"""Height of one structure and group in pixels."""
SYNTHETIC = "Synthetic data. No real patient."


def room_figures(
    room: Mapping[str, Any], *, is_synthetic: bool, palette: Palette = PAGE
) -> list[Figure]:
    """Return the figures of a room, each with its id, title and plotly figure."""
    figures = []
    for name, rows in room["figures"].items():
        maker = MAKERS.get(name)
        if maker is None or not rows:
            continue
        title, words, figure = maker(rows, palette)
        if is_synthetic:
            figure["layout"]["annotations"] = [
                *figure["layout"].get("annotations", ()),
                {"text": SYNTHETIC, "xref": "paper", "yref": "paper", "x": 1, "y": 1,
                 "xanchor": "right", "yanchor": "bottom", "showarrow": False,
                 "font": {"size": 11, "color": palette.soft}},
            ]  # fmt: skip
        figures.append({
            "id": f"figure-{room['slug']}-{name}", "title": title, "words": words,
            "height": figure["layout"]["height"], "figure": figure,
        })  # fmt: skip
    return figures


def _layout(palette: Palette, height: int, **more: Any) -> Figure:
    """Return what all figures share."""
    return {
        "height": height,
        "margin": {"l": 150, "r": 20, "t": 26, "b": 84},
        "paper_bgcolor": palette.ground,
        "plot_bgcolor": palette.ground,
        "font": {"color": palette.ink, "size": 13},
        "hovermode": "closest",
        "showlegend": True,
        "legend": {"orientation": "h", "y": -0.02, "yanchor": "top", "yref": "container",
                   "yshift": 0, "x": 0},
        **more,
    }  # fmt: skip


def _legend(height: int) -> Figure:
    """Place the legend below the axis title, whatever the height."""
    return {"orientation": "h", "x": 0, "y": -58 / max(height - 110, 60), "yanchor": "top"}


def _axis(palette: Palette, title: str, **more: Any) -> Figure:
    """Return an axis of numbers."""
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": palette.grid,
        "linecolor": palette.line,
        "zerolinecolor": palette.line,
        "zerolinewidth": 1.5,
        **more,
    }


def _hover(row: Mapping[str, Any], unit: str, digits: int) -> str:
    """Return group, value with interval and n in words."""
    value, low, high = (
        f"{row[key]:.{digits}f}".replace("-", "−") for key in ("value", "low", "high")
    )
    return f"{row['group']}<br>{value} ({low} to {high}){unit}<br>n = {row['n']}"


def dots(
    rows: Sequence[Mapping[str, Any]],
    palette: Palette,
    *,
    axis: str,
    unit: str = "",
    reference: float | None = 0.0,
) -> Figure:
    """Draw points with intervals: one line per structure, the groups dodged below each other.

    Parameters
    ----------
    rows
        Each with structure, name, group, n, value, low, high.
    reference
        Where a dashed line says "nothing".
    """
    names = list(dict.fromkeys(row["name"] for row in rows))
    groups = list(dict.fromkeys(row["group"] for row in rows))
    step = 0.7 / max(len(groups), 1)
    traces = []
    for number, group in enumerate(groups):
        own = [row for row in rows if row["group"] == group]
        shift = (number - (len(groups) - 1) / 2) * step
        colours = [palette.cord if r["structure"] == "cord" else palette.brain for r in own]
        hover = [f"{r['name']}, {_hover(r, unit, 2)}" for r in own]
        # One trace per colour: error bars take one colour only.
        for colour in dict.fromkeys(colours):
            picked = [i for i, c in enumerate(colours) if c == colour]
            chosen = [own[i] for i in picked]
            traces.append({
                "type": "scatter", "mode": "markers", "name": group, "showlegend": False,
                "x": [r["value"] for r in chosen],
                "y": [names.index(r["name"]) + shift for r in chosen],
                "error_x": {
                    "type": "data", "symmetric": False, "color": colour, "thickness": 1.6,
                    "array": [r["high"] - r["value"] for r in chosen],
                    "arrayminus": [r["value"] - r["low"] for r in chosen],
                },
                "marker": {"symbol": SYMBOLS[number % 6], "size": 9, "color": colour},
                "hoverinfo": "text", "hovertext": [hover[i] for i in picked],
            })  # fmt: skip
        if len(groups) > 1:
            traces.append({
                "type": "scatter", "mode": "markers", "name": group, "x": [None], "y": [None],
                "marker": {"symbol": SYMBOLS[number % 6], "size": 9, "color": palette.ink},
            })  # fmt: skip
    height = 124 + max(len(names) * len(groups) * ROW, len(names) * 34)
    shapes = []
    if reference is not None:
        shapes = [{"type": "line", "x0": reference, "x1": reference, "yref": "paper", "y0": 0,
                   "y1": 1, "line": {"color": palette.line, "dash": "dash", "width": 1.2},
                   "layer": "below"}]  # fmt: skip
    return {
        "data": traces,
        "layout": _layout(
            palette,
            height,
            legend=_legend(height),
            xaxis=_axis(palette, axis),
            yaxis={
                "tickvals": list(range(len(names))), "ticktext": names, "autorange": False,
                "range": [len(names) - 0.5, -0.5], "showgrid": False, "zeroline": False,
                "fixedrange": True,
            },
            shapes=shapes,
        ),
    }  # fmt: skip


def _losses(rows: Any, palette: Palette) -> tuple[str, str, Figure]:
    figure = dots(rows, palette, axis="Difference from healthy controls, %", unit=" %")
    return (
        "Difference from healthy controls",
        "Mean difference of each structure from the controls' expectation, with 95 % interval.",
        figure,
    )


def _forest(rows: Any, palette: Palette) -> tuple[str, str, Figure]:
    figure = dots(rows, palette, axis="Correlation with the cord, r")
    figure["layout"]["xaxis"]["range"] = [-1, 1]
    return (
        "Correlation with the cord",
        "Correlation of each brain structure with the cord by group, with Fisher interval.",
        figure,
    )


def _slopes(rows: Any, palette: Palette) -> tuple[str, str, Figure]:
    figure = dots(rows, palette, axis="Correlation of the true slopes, r")
    figure["layout"]["xaxis"]["range"] = [-1, 1]
    words = "Correlation of the slopes of brain and cord by EDSS group, with 95 % interval."
    return "Correlation of the slopes", words, figure


def _separation(rows: Any, palette: Palette) -> tuple[str, str, Figure]:
    figure = dots(rows, palette, axis="Area under the curve", reference=0.5)
    words = "Area under the curve of each structure between the two bands, with 95 % interval."
    return "Area under the curve", words, figure


def _accrual(rows: Any, palette: Palette) -> tuple[str, str, Figure]:
    figure = dots(rows, palette, axis="Change of the slope, %/yr per new lesion a year")
    words = "Effect of new lesions on the slopes of brain and cord, with 95 % interval."
    return "New lesions and slopes", words, figure


def _areas(rows: Any, palette: Palette) -> tuple[str, str, Figure]:
    return _sizes(rows, palette, "Cord area", "mm²")


def _volumes(rows: Any, palette: Palette) -> tuple[str, str, Figure]:
    return _sizes(rows, palette, "Cord volume", "mm³")


def _sizes(rows: Any, palette: Palette, noun: str, unit: str) -> tuple[str, str, Figure]:
    """Draw every patient's cord beside the group's mean and interval."""
    traces: list[Figure] = []
    for place, row in enumerate(rows):
        points = row["points"]
        # Evenly spread, not random: the same data draw the same figure.
        spread = [place - 0.28 + 0.2 * ((i * 0.618) % 1) for i in range(len(points))]
        traces.append({
            "type": "scatter", "mode": "markers", "x": spread, "y": points,
            "marker": {"size": 5, "color": palette.cord, "opacity": 0.4},
            "hoverinfo": "y", "showlegend": False,
        })  # fmt: skip
        traces.append({
            "type": "scatter", "mode": "markers", "x": [place + 0.12], "y": [row["value"]],
            "marker": {"size": 11, "color": palette.cord,
                       "symbol": "circle-open" if row["group"] == "Controls" else "circle",
                       "line": {"width": 2, "color": palette.cord}},
            "error_y": {"type": "data", "symmetric": False, "thickness": 2, "width": 7,
                        "color": palette.cord, "array": [row["high"] - row["value"]],
                        "arrayminus": [row["value"] - row["low"]]},
            "hoverinfo": "text", "showlegend": False,
            "hovertext": [_hover(row, f" {unit}", 1)],
        })  # fmt: skip
    layout = _layout(
        palette,
        400,
        showlegend=False,
        margin={"l": 70, "r": 20, "t": 26, "b": 56},
        xaxis={"tickvals": list(range(len(rows))), "showgrid": False, "zeroline": False,
               "ticktext": [f"{r['group']}<br>n = {r['n']}" for r in rows],
               "range": [-0.5, len(rows) - 0.5]},
        yaxis=_axis(palette, f"{noun}, {unit}", zeroline=False),
    )  # fmt: skip
    words = f"{noun} of each patient, and mean with 95 % interval, by EDSS group."
    return noun, words, {"data": traces, "layout": layout}


def _curves(rows: Any, palette: Palette) -> tuple[str, str, Figure]:
    """Draw survival by the level at the landmark."""
    return _survival(rows, palette, "level")


def _states(rows: Any, palette: Palette) -> tuple[str, str, Figure]:
    """Draw survival by the state of brain and cord at the landmark."""
    return _survival(rows, palette, "state of brain and cord")


def _survival(rows: Any, palette: Palette, by: str) -> tuple[str, str, Figure]:
    """Draw survival curves as steps; groups differ by line style."""
    traces = [
        {
            "type": "scatter", "mode": "lines", "x": row["years"], "y": row["value"],
            "name": f"{row['group']} (n = {row['n']}, {row['events']} events)",
            "line": {"shape": "hv", "width": 2.4, "color": palette.ink, "dash": DASHES[i % 4]},
        }
        for i, row in enumerate(rows)
    ]  # fmt: skip
    bands = [
        {
            "type": "scatter", "mode": "lines", "x": row["years"], "y": row[edge],
            "line": {"shape": "hv", "width": 0.8, "color": palette.soft, "dash": DASHES[i % 4]},
            "hoverinfo": "skip", "showlegend": False,
        }
        for i, row in enumerate(rows)
        for edge in ("low", "high")
    ]  # fmt: skip
    layout = _layout(
        palette,
        400,
        legend=_legend(400),
        margin={"l": 70, "r": 20, "t": 26, "b": 100},
        xaxis=_axis(palette, "Years since the landmark", rangemode="tozero"),
        yaxis=_axis(palette, "Share without the event", range=[0, 1.02]),
    )
    words = f"Kaplan-Meier curves by {by} at the landmark; thin lines: 95 % intervals."
    title = f"Worsening by {by} at the landmark"
    return title, words, {"data": bands + traces, "layout": layout}


def _explained(rows: Any, palette: Palette) -> tuple[str, str, Figure]:
    """Draw explained variance as bars, one per set of predictors."""
    bars = {
        "type": "bar", "orientation": "h", "y": [row["name"] for row in rows],
        "x": [100 * row["value"] for row in rows], "hoverinfo": "x",
        "marker": {"color": [palette.cord if "cord" in r["name"] else palette.brain
                             for r in rows]},
    }  # fmt: skip
    layout = _layout(
        palette,
        110 + 40 * len(rows),
        showlegend=False,
        margin={"l": 230, "r": 20, "t": 26, "b": 56},
        xaxis=_axis(palette, "Variance of the EDSS explained, cross-validated, %"),
        yaxis={"autorange": "reversed", "fixedrange": True},
    )
    words = "Cross-validated share of the variance of the EDSS by set of predictors."
    return "Explained variance", words, {"data": [bars], "layout": layout}


Maker = Callable[[Any, Palette], tuple[str, str, Figure]]
MAKERS: dict[str, Maker] = {
    "losses": _losses,
    "areas": _areas,
    "volumes": _volumes,
    "forest": _forest,
    "slopes": _slopes,
    "separation": _separation,
    "accrual": _accrual,
    "curves": _curves,
    "states": _states,
    "explained": _explained,
}
