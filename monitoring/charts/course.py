"""Rows of the figure: the clinical course, EDSS above, treatments and relapses below."""

from datetime import date, timedelta
from uuid import UUID

from monitoring.charts.canvas import Canvas, iso
from monitoring.models import Relapse, Treatment
from monitoring.selectors.timeline_points import DIP_DAYS, RELAPSE_WINDOW_DAYS, STEROID_DAYS
from monitoring.selectors.timelines import Timeline

EDSS_BANDS = ((2.0, 2.5), (3.0, 3.5))
RELAPSE_SIZE = {"mild": 10, "moderate": 13, "severe": 16, "unknown": 10}


def record_mark(pk: UUID) -> str:
    """Return where a mark leads on the page of all entries (its ``id`` there)."""
    return f"fact-{pk}"


def edss_row(canvas: Canvas, timeline: Timeline, window: tuple[str, str]) -> None:
    """Draw the EDSS as steps over the two bands that matter most."""
    for band in EDSS_BANDS:
        canvas.rect("y", window, band, canvas.palette.edss_band)
    if not timeline.edss:
        canvas.note("No EDSS yet", xref="paper", yref="y", x=0.5, y=5)
        return
    days = [iso(step.when) for step in timeline.edss]
    values = [float(step.edss) for step in timeline.edss]
    ink = canvas.palette.edss
    canvas.line("y", days, values, mode="lines", line={"shape": "hv", "width": 2, "color": ink})
    words = [
        f"EDSS {step.edss} on {step.when}"
        + (
            f"<br>{step.days_after_relapse} days after a relapse"
            if step.in_relapse_window
            else ""
        )
        + "".join(
            f"<br>{name.replace('_', ' and ')} {score}" for name, score in step.systems.items()
        )
        for step in timeline.edss
    ]
    symbols = ["circle-open" if s.in_relapse_window else "circle" for s in timeline.edss]
    canvas.line(
        "y", days, values, mode="markers", hoverinfo="text", hovertext=words, name="EDSS",
        marker={"symbol": symbols, "size": 8, "color": ink, "line": {"width": 2}},
        customdata=[record_mark(step.pk) for step in timeline.edss],
    )  # fmt: skip


def lanes_of(timeline: Timeline) -> list[int]:
    """Return a lane per treatment, so that concurrent ones lie below each other."""
    ends: list[date] = []
    lanes: list[int] = []
    for treatment in timeline.treatments:
        lane = next((i for i, end in enumerate(ends) if end < treatment.starts_on), len(ends))
        end = treatment.ends_on or date.max
        ends[lane : lane + 1] = [end]
        lanes.append(lane)
    return lanes


def lane_count(lanes: list[int]) -> int:
    """Return how many lanes the row shows; three or more, so that bars stay slim."""
    return max(len(set(lanes)), 3)


def events_row(canvas: Canvas, timeline: Timeline, lanes: list[int]) -> None:
    """Draw treatments as bars with the drug's name, relapses as triangles above them."""
    for treatment, lane in zip(timeline.treatments, lanes, strict=True):
        _treatment(canvas, timeline, treatment, -lane, width=54 / lane_count(lanes))
    for relapse in timeline.relapses:
        _relapse(canvas, relapse)
    if not timeline.treatments and not timeline.relapses:
        canvas.note("No relapse or treatment recorded", xref="paper", yref="y5", x=0.5, y=0.2)


def _treatment(
    canvas: Canvas, timeline: Timeline, treatment: Treatment, lane: int, *, width: float
) -> None:
    """Draw one treatment, and the months in which the brain may shrink without loss."""
    end = treatment.ends_on or timeline.today
    days = [iso(treatment.starts_on), iso(max(end, treatment.starts_on + timedelta(days=20)))]
    palette = canvas.palette
    words = (
        f"{treatment.drug}<br>{treatment.get_efficacy_display()}<br>from {treatment.starts_on} "
        + (f"to {treatment.ends_on}" if treatment.ends_on else "on")
        + (f"<br>{treatment.interruption_words}" if treatment.paused_on else "")
        + (f"<br>stopped: {treatment.stop_reason}" if treatment.stop_reason else "")
    )
    canvas.line(
        "y5", days, [lane, lane], mode="lines", hoverinfo="text", hovertext=[words, words],
        line={"width": width, "color": palette.drugs[treatment.efficacy]},
        customdata=[record_mark(treatment.pk)] * 2,
    )  # fmt: skip
    if treatment.paused_on and treatment.resumed_on:
        # Hatched over the ground: the bar is broken, and says so without its colour.
        pause = (iso(treatment.paused_on), iso(treatment.resumed_on))
        canvas.line(
            "y5", pause, [lane, lane], mode="lines",
            line={"width": width, "color": palette.ground},
        )  # fmt: skip
        canvas.hatch("y5", pause, (lane - 0.4, lane + 0.4), words=words)
    canvas.note(
        treatment.drug[:28], xref="x", yref="y5", x=days[0], y=lane, xanchor="left",
        font={"size": 11, "color": palette.ink},
    )  # fmt: skip
    dip = iso(treatment.starts_on + timedelta(days=DIP_DAYS))
    canvas.rect("y2 domain", (days[0], dip), (0, 1), palette.edss_band)


def _relapse(canvas: Canvas, relapse: Relapse) -> None:
    """Draw one relapse: size by severity, an S where the cord was struck.

    Until 30 days later, or 90 after steroids, the cord may be swollen: its row is shaded.
    """
    ends = [relapse.onset + timedelta(days=RELAPSE_WINDOW_DAYS)]
    if relapse.steroids_on:
        ends.append(relapse.steroids_on + timedelta(days=STEROID_DAYS))
    swollen = (iso(relapse.onset), iso(max(ends)))
    canvas.rect("y3 domain", swollen, (0, 1), canvas.palette.edss_band)
    words = f"Relapse on {relapse.onset}<br>{relapse.get_severity_display()}"
    if relapse.is_spinal:
        words += "<br>spinal"
    if relapse.steroids_on:
        words += f"<br>steroids {relapse.steroids_on}"
    is_known = relapse.severity != Relapse.Severity.UNKNOWN
    canvas.line(
        "y5", [iso(relapse.onset)], [1.0], mode="markers+text", hoverinfo="text",
        customdata=[record_mark(relapse.pk)], hovertext=[words],
        text=["S" if relapse.is_spinal else ""], textposition="middle right",
        textfont={"size": 11, "color": canvas.palette.ink},
        marker={
            "symbol": "triangle-up" if is_known else "triangle-up-open",
            "size": RELAPSE_SIZE[relapse.severity],
            "color": canvas.palette.ink,
            "line": {"width": 1.5, "color": canvas.palette.ink},
        },
    )  # fmt: skip
