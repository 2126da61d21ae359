"""From probabilities to one of four levels, with hysteresis, and the words for each."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from monitoring.core.priors import Policy
from monitoring.core.types import Level, Needs, Region


@dataclass(frozen=True, slots=True)
class Scanned:
    """What the minimum-data rule looks at: when, what and on which epoch."""

    years: float
    region: Region
    epoch: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A level, whether it is only held by hysteresis, and why, in words."""

    level: Level
    is_held: bool
    reason: str
    headline: str
    sentence: str


def missing_data(scans: Sequence[Scanned], policy: Policy) -> Needs:
    """Say what is missing before the probabilities may be shown.

    Scans of one region on one day and epoch count once. The years that count are the shorter
    of the two regions' own spans: three cord scans within a month show no trend, however long
    the brain was followed.
    """
    occasions = {(scan.years, scan.region, scan.epoch) for scan in scans}
    span = {region: _span([s.years for s in scans if s.region is region]) for region in Region}
    count = {
        region: len({years for years, its_region, _ in occasions if its_region is region})
        for region in Region
    }
    per_epoch = Counter(epoch for _, region, epoch in occasions if region is Region.CORD)
    short = policy.minimum_years - min(span.values())
    return Needs(
        brain_scans=max(policy.minimum_brain_scans - count[Region.BRAIN], 0),
        cord_scans=max(policy.minimum_cord_scans - count[Region.CORD], 0),
        years=math.ceil(round(short * 10, 6)) / 10 if short > 0 else 0.0,
        cord_pair_on_one_epoch=max(per_epoch.values(), default=0) < 2,
    )


def _span(years: Sequence[float]) -> float:
    """Return the time between first and last scan, 0 without two."""
    return max(years) - min(years) if years else 0.0


def insufficient(needs: Needs) -> Decision:
    """Return the decision that nothing can be said yet, and what would change that."""
    parts = []
    for count, region in ((needs.cord_scans, "cord"), (needs.brain_scans, "brain")):
        if count:
            parts.append(f"{count} more usable {region} scan{'s' if count > 1 else ''}")
    if needs.years:
        unit = "year" if needs.years == 1 else "years"
        parts.append(f"{needs.years:g} more {unit} of follow-up of brain and cord")
    if needs.cord_pair_on_one_epoch and not needs.cord_scans:
        parts.append("two cord scans on one scanner epoch")
    words = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return not_assessable(f"Needs {words}.")


def not_assessable(reason: str) -> Decision:
    """Return the level ``insufficient`` for a reason given in words."""
    headline = "Not yet assessable."
    return _decision(Level.INSUFFICIENT, headline, reason, reason)


def decide(
    *, p_faster_than_1: float, p_change: float, policy: Policy, previous: Level | None
) -> Decision:
    """Apply the entry lines and the hysteresis of the policy.

    A level is entered when either probability reaches its line, and left only when *both* are
    ``policy.hysteresis`` below it.
    """
    p1, p2 = p_faster_than_1, p_change
    entered = _entered(p1, p2, policy)
    level = max(entered, _kept(p1, p2, policy, previous), key=_LOUDNESS.__getitem__)
    if level is not entered:
        return _held(level, p1, p2, policy)
    return _reached(level, p1, p2, policy)


def needs_history(*, p_faster_than_1: float, p_change: float, policy: Policy) -> bool:
    """Say whether the earlier levels of a patient can matter to the present one."""
    p1, p2 = p_faster_than_1, p_change
    loudest = _kept(p1, p2, policy, Level.FLAG)
    return Level.NONE is not loudest or _entered(p1, p2, policy) is not Level.NONE


_LOUDNESS = {Level.INSUFFICIENT: 0, Level.NONE: 0, Level.WATCH: 1, Level.FLAG: 2}


def _entered(p1: float, p2: float, policy: Policy) -> Level:
    """Return the level that the probabilities reach by themselves."""
    if p1 >= policy.flag_p_faster_than_1 or p2 >= policy.flag_p_change:
        return Level.FLAG
    if p1 >= policy.watch_p_faster_than_1 or p2 >= policy.watch_p_change:
        return Level.WATCH
    return Level.NONE


def _kept(p1: float, p2: float, policy: Policy, previous: Level | None) -> Level:
    """Return the level that the earlier one still holds."""
    # The tolerance lets exactly 0.1 below a line count as below it in binary arithmetic.
    margin = policy.hysteresis - 1e-12
    holds_flag = (
        p1 >= policy.flag_p_faster_than_1 - margin or p2 >= policy.flag_p_change - margin
    )
    if previous is Level.FLAG and holds_flag:
        return Level.FLAG
    holds_watch = (
        p1 >= policy.watch_p_faster_than_1 - margin or p2 >= policy.watch_p_change - margin
    )
    if previous in {Level.WATCH, Level.FLAG} and holds_watch:
        return Level.WATCH
    return Level.NONE


_FASTER = "shrinking ≥ 1 %/yr faster than the brain predicts"


def _held(level: Level, p1: float, p2: float, policy: Policy) -> Decision:
    """Word a level that only hysteresis keeps."""
    tail = (
        f"The probabilities have fallen to {p1:.2f} and {p2:.2f}; the level drops when both "
        f"are {policy.hysteresis:g} below its line."
    )
    reason = f"Kept: {_both(p1, p2)} are not yet both {policy.hysteresis:g} below the line."
    kept = _decision(level, f"{level.value.capitalize()} kept: review.", tail, reason)
    return replace(kept, is_held=True)


def _reached(level: Level, p1: float, p2: float, policy: Policy) -> Decision:
    """Word a level that the probabilities reach by themselves."""
    by_rate = f"P(D < -1 %/yr) = {p1:.2f} reached the {level.value} line."
    by_change = f"P(change) = {p2:.2f} reached the {level.value} line."
    if level is Level.FLAG and p2 >= policy.flag_p_change:
        tail = f"Probable cord-selective acceleration (P = {p2:.2f})."
        return _decision(level, "Flag: review.", tail, by_change)
    if level is Level.FLAG:
        tail = f"The cord is probably (P = {p1:.2f}) {_FASTER}."
        return _decision(level, "Flag: review.", tail, by_rate)
    if level is Level.WATCH and p1 >= policy.watch_p_faster_than_1:
        tail = f"More likely than not (P = {p1:.2f}) that the cord is now {_FASTER}."
        return _decision(level, "Watch: review.", tail, by_rate)
    if level is Level.WATCH:
        tail = f"The cord's rate may have changed (P = {p2:.2f})."
        return _decision(level, "Watch: review.", tail, by_change)
    tail = (
        f"P(cord {_FASTER}) = {p1:.2f}; P(acceleration has begun) = {p2:.2f}. "
        "This does not rule it out."
    )
    return _decision(
        level, "Below the watch line.", tail, f"{_both(p1, p2)} are below the watch lines."
    )


def _both(p1: float, p2: float) -> str:
    """Name both probabilities."""
    return f"P(D < -1 %/yr) = {p1:.2f} and P(change) = {p2:.2f}"


def _decision(level: Level, headline: str, tail: str, reason: str) -> Decision:
    """Return a decision that is not held."""
    return Decision(
        level=level,
        is_held=False,
        reason=reason,
        headline=headline,
        sentence=f"{headline} {tail}",
    )
