"""The report for the chart: what stands beside the figure, from the same timeline."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from monitoring.core.types import Region
from monitoring.selectors.caveats import MEASURE_WORDS, Caveat
from monitoring.selectors.timeline_points import TimelinePoint
from monitoring.selectors.timelines import Timeline

# First visit and the last ones: more rows do not fit one page beside figure and caveats.
LAST_VISITS = 7
# Caveats that say what limits a comparison of two scans; the others hold for every patient.
COMPARABILITY = ("epoch", "relapse", "dmt")


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of the table: its brain and its cord value, each with how it counts."""

    when: date
    brain: TimelinePoint | None
    cord: TimelinePoint | None
    follows_gap: bool

    @property
    def scanner(self) -> str:
        """Return the scanners of the visit's values."""
        return ", ".join(dict.fromkeys(p.scanner for p in (self.brain, self.cord) if p))


@dataclass(frozen=True, slots=True)
class Report:
    """The rows and words of a report; numbers are the timeline's own."""

    timeline: Timeline
    visits: tuple[Visit, ...]
    visits_left_out: int
    measures: tuple[str, ...]
    comparability: tuple[str, ...]
    reading: str
    caveats: tuple[Caveat, ...]
    scans: int
    epochs: int
    years: float

    @property
    def is_empty(self) -> bool:
        """Say whether no usable value stands behind a report."""
        return not self.visits


def report_of(timeline: Timeline) -> Report:
    """Return the report of a timeline; empty where no value is usable."""
    usable = [point for point in timeline.points if point.is_usable]
    visits = _visits(timeline) if usable else []
    shown = visits if len(visits) <= LAST_VISITS + 1 else [visits[0], *visits[-LAST_VISITS:]]
    left_out = len(visits) - len(shown)
    if left_out:
        shown[1] = replace(shown[1], follows_gap=True)
    days = sorted({point.when for point in usable})
    return Report(
        timeline=timeline,
        visits=tuple(shown),
        visits_left_out=left_out,
        measures=_measures(usable),
        comparability=(
            *(c.text for c in timeline.caveats if c.id in COMPARABILITY),
            *timeline.notes,
        ),
        reading=_reading(timeline.points),
        caveats=tuple(c for c in timeline.caveats if c.id not in COMPARABILITY),
        scans=len({point.scan_id for point in usable}),
        epochs=len({point.epoch_id for point in usable}),
        years=(days[-1] - days[0]).days / 365.25 if days else 0.0,
    )


def _visits(timeline: Timeline) -> list[Visit]:
    """Return one row per day with a value of the trend, oldest first."""
    held: dict[date, dict[Region, TimelinePoint]] = {}
    for point in timeline.points:
        held.setdefault(point.when, {})[point.region] = point
    return [
        Visit(day, held[day].get(Region.BRAIN), held[day].get(Region.CORD), follows_gap=False)
        for day in sorted(held)
    ]


def _measures(points: Sequence[TimelinePoint]) -> tuple[str, ...]:
    """Say what brain and cord stand for, with method and version."""
    words = []
    for region in Region:
        own = [point for point in points if point.region is region]
        if not own:
            continue
        what = MEASURE_WORDS.get(own[-1].structure, own[-1].structure.replace("_", " "))
        methods = ", ".join(dict.fromkeys(f"{p.method} {p.version}" for p in own))
        words.append(f"{region.value.capitalize()}: {what}; {methods}; n = {len(own)}")
    return tuple(words)


def _reading(points: Sequence[TimelinePoint]) -> str:
    """Say who looked at how many of the values, and how many are left out."""
    read = [point for point in points if point.is_reviewed]
    readers = ", ".join(dict.fromkeys(point.reader for point in read if point.reader))
    words = f"{len(read)} of {len(points)} values reviewed"
    if readers:
        words += f" by {readers}"
    last = max((point.read_on for point in read if point.read_on), default=None)
    if last is not None:
        words += f", last on {last.isoformat()}"
    rejected = sum(point.is_rejected for point in points)
    waiting = sum(point.waits_for_reader for point in points)
    kinds = ((rejected, "rejected"), (waiting, "waiting for a reader"))
    left_out = ", ".join(f"{count} {kind}" for count, kind in kinds if count) or "none"
    return f"{words}; left out of every number: {left_out}."
