"""The divergence card: what it shows beside the level and the sentence."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from monitoring.charts.quadrant import QuadrantFigure, quadrant_figure
from monitoring.charts.sparkline import ChanceCourse, chance_course
from monitoring.core.expected_flags import LevelCost
from monitoring.core.planning import scan_plan
from monitoring.core.types import Needs, Region
from monitoring.selectors.timelines import Timeline

UNCOMPUTED = "uncomputed"


@dataclass(frozen=True, slots=True)
class LevelTurn:
    """A visit at which the level, as of then, was another one than before, and why."""

    day: str
    old: str
    new: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceCard:
    """Level, words and the two chances as of every visit.

    ``level`` is ``uncomputed`` where the model failed or nothing was computed yet: an old
    level is never shown as if it were today's.
    """

    level: str
    headline: str
    sentence: str
    context: str
    pattern: str
    problem: str
    faster: ChanceCourse | None
    change: ChanceCourse | None
    plan: str
    expected: tuple[tuple[str, LevelCost], ...]
    weights: tuple[tuple[str, str, float, bool], ...]
    turns: tuple[LevelTurn, ...]
    quadrant: QuadrantFigure | None


def divergence_card(timeline: Timeline) -> DivergenceCard:
    """Return the card of a timeline."""
    policy = timeline.in_force.parameters.policy
    now, estimate = timeline.now, timeline.estimate
    problem = _problem(timeline)
    is_current = estimate is not None and not timeline.patient.divergence_error
    headline = str(now.get("headline", "")) if is_current else "Not computed."
    sentence = str(now.get("sentence", "")) if is_current else ""

    def course(name: str, words: str, watch: float, flag: float) -> ChanceCourse | None:
        visits = [(str(past["as_of"]), past.get(name)) for past in timeline.history]
        return chance_course(visits, name=words, watch=watch, flag=flag)

    shown = is_current and now.get("level") != "insufficient"
    return DivergenceCard(
        level=str(now.get("level")) if is_current else UNCOMPUTED,
        headline=headline,
        sentence=sentence.removeprefix(headline).strip(),
        context=str(now.get("context", "")) if is_current else "",
        pattern=_pattern(now) if shown else "",
        problem=problem,
        faster=course(
            "p_faster_than_1",
            "Cord now ≥ 1 %/yr faster than the brain predicts",
            policy.watch_p_faster_than_1,
            policy.flag_p_faster_than_1,
        )
        if shown
        else None,
        change=course(
            "p_change",
            "A cord-selective acceleration has begun",
            policy.watch_p_change,
            policy.flag_p_change,
        )
        if shown
        else None,
        plan=_plan(timeline) if is_current else "",
        expected=_expected(timeline),
        weights=_weights(timeline) if shown else (),
        turns=_turns(timeline) if is_current else (),
        quadrant=quadrant_figure(timeline.state),
    )


def _expected(timeline: Timeline) -> tuple[tuple[str, LevelCost], ...]:
    """Return flag and watch of the set in force, as they fared in simulated people."""
    expected = timeline.in_force.expected
    return (("flag", expected.flag), ("watch", expected.watch)) if expected else ()


def _weights(timeline: Timeline) -> tuple[tuple[str, str, float, bool], ...]:
    """Return day, region, weight and whether it is a probable outlier, of every scan used."""
    return tuple(
        (
            str(row["observation"]["when"]),
            str(row["observation"]["region"]),
            float(row["weight"]),
            bool(row["is_outlier"]),
        )
        for row in timeline.now.get("weights", ())
    )


def _turns(timeline: Timeline) -> tuple[LevelTurn, ...]:
    """Return the visits at which the level changed, newest first."""
    turns: list[LevelTurn] = []
    before = "insufficient"
    for past in timeline.history:
        level = str(past["level"])
        if level != before:
            reason = f"Scan of {past['as_of']}. {past.get('reason', '')}"
            turns.append(LevelTurn(str(past["as_of"]), before, level, reason))
        before = level
    return tuple(reversed(turns))


def _plan(timeline: Timeline) -> str:
    """Say how many more scans, and when, would make the patient assessable."""
    if timeline.now.get("level") != "insufficient":
        return ""
    months = timeline.clinic.scan_interval_months
    plan = scan_plan(
        {region: [p.when for p in timeline.region(region) if p.is_usable] for region in Region},
        Needs(**timeline.now.get("needs", {})),
        policy=timeline.in_force.parameters.policy,
        interval=timedelta(days=round(months * 30.44)),
        today=timeline.today,
    )
    if plan is None:
        return ""
    scans = "1 more scan" if plan.scans == 1 else f"{plan.scans} more scans"
    return (
        f"Assessable at the earliest with {scans} of brain and cord on the same scanner, "
        f"the last about {plan.earliest:%Y-%m} (one every {months} months)."
    )


def _problem(timeline: Timeline) -> str:
    """Say why the statement is missing or behind, or nothing."""
    patient, estimate = timeline.patient, timeline.estimate
    last = f" The last valid statement is of {estimate.as_of}." if estimate else ""
    if patient.divergence_error:
        since = patient.divergence_checked_at
        day = f" since {since:%Y-%m-%d}" if since else ""
        return f"Not computed{day}: {patient.divergence_error}{last}"
    if timeline.is_out_of_date and estimate is not None:
        return "A fact changed after this statement; it is being computed anew."
    if estimate is None and timeline.is_out_of_date:
        return "The statement is being computed; reload in a moment."
    if estimate is None:
        return "No scan has been measured yet."
    return ""


def _pattern(now: Any) -> str:
    """Name the pattern by where the interval of D lies."""
    low, high = now.get("d_low"), now.get("d_high")
    if low is None or high is None:
        return ""
    if high < 0:
        return "cord-led"
    return "brain-led" if low > 0 else "no clear difference"
