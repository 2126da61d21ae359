"""Marks of outcomes on the EDSS row: a shape per kind, a bracket to the confirmation."""

from monitoring.charts.canvas import Canvas, iso
from monitoring.core.outcomes import Outcome, OutcomeKind
from monitoring.selectors.timelines import Timeline

SHAPES = {
    OutcomeKind.CDW: "triangle-up",
    OutcomeKind.PIRA: "diamond",
    OutcomeKind.RAW: "square",
    OutcomeKind.NEITHER: "circle-x-open",
    OutcomeKind.SPMS: "star",
}
# EDSS at which the marks lie: above every course but those that end there.
FIRST_HEIGHT, STEP = 9.6, 0.85


def outcome_marks(canvas: Canvas, timeline: Timeline) -> None:
    """Draw each event with a line to the day that confirmed it, one height per kind."""
    present = [kind for kind in SHAPES if any(e.kind is kind for e in timeline.outcomes.events)]
    for event in timeline.outcomes.events:
        _mark(canvas, event, FIRST_HEIGHT - STEP * present.index(event.kind))


def _mark(canvas: Canvas, event: Outcome, height: float) -> None:
    """Draw one event."""
    ink = canvas.palette.edss
    days = [iso(event.event), iso(event.confirmed)]
    words = (
        f"{event.kind.value} on {event.event}<br>confirmed {event.confirmed}"
        f"<br>rule {event.rule}"
    )
    canvas.line("y", days, [height, height], mode="lines", line={"width": 1, "color": ink})
    canvas.line(
        "y", days, [height, height], mode="markers+text", hoverinfo="text",
        hovertext=[words, words], name=event.kind.value, text=[event.kind.value, ""],
        textposition="middle left", textfont={"size": 10, "color": canvas.palette.soft},
        marker={"symbol": [SHAPES[event.kind], "line-ns-open"], "size": 9, "color": ink},
    )  # fmt: skip
