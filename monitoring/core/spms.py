"""Secondary progression by the rule of Lorscheider 2016 (Brain 139:2395).

Written from the conditions as MSoutcomes states them (see clinical rules, section 6). A label
of a rule, for cohort pages and evaluation; never shown as a diagnosis.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from monitoring.core.edss import StepAt55, valid_edss, worsening_step
from monitoring.core.errors import InvalidObservation
from monitoring.core.worsening import is_calm

CONFIRMATION_DAYS = 90.75
IMPROVEMENT_HOLD_DAYS = 272.25
RELAPSE_HOLD_DAYS = 181.5
LOWEST_EDSS = 4.0
LOWEST_PYRAMIDAL = 2
RELAPSE_REBASELINE_ABOVE = 3.0
MINIMUM_VISITS = 3
PYRAMIDAL = "pyramidal"


class SpmsRule(StrEnum):
    """The rule that was applied; stored with the result."""

    LORSCHEIDER = "lorscheider2016"
    WITHOUT_FS = "lorscheider2016-without-fs"


@dataclass(frozen=True, slots=True)
class ScoredVisit:
    """EDSS and, where known, functional system scores by name."""

    when: date
    edss: float
    functional_systems: Mapping[str, int] = field(default_factory=dict)

    @property
    def pyramidal(self) -> int:
        """Return the pyramidal score; an EDSS of 5.5 or more implies at least 2."""
        stated = self.functional_systems.get(PYRAMIDAL)
        implied = 2 if self.edss >= 5.5 else 0
        return implied if stated is None else max(stated, implied)


@dataclass(frozen=True, slots=True)
class SpmsResult:
    """When the rule was first met (None: not met), by which rule, and why in words."""

    onset: date | None
    confirmed: date | None
    rule: SpmsRule
    reason: str


def spms_onset(visits: Iterable[ScoredVisit], relapses: Iterable[date] = ()) -> SpmsResult:
    """Apply the rule to a patient's whole follow-up.

    Where no visit carries functional systems, the conditions on them (3 and 6) are dropped and
    the result says so.
    """
    scored = sorted(visits, key=lambda visit: visit.when)
    for visit in scored:
        valid_edss(visit.edss)
    if len({visit.when for visit in scored}) < len(scored):
        raise InvalidObservation("There are two EDSS scores on one day.")
    has_fs = any(visit.functional_systems for visit in scored)
    rule = SpmsRule.LORSCHEIDER if has_fs else SpmsRule.WITHOUT_FS
    note = "" if has_fs else " Functional systems unknown: two conditions were not asked."
    if len(scored) < MINIMUM_VISITS:
        return SpmsResult(None, None, rule, f"Needs {MINIMUM_VISITS} visits.{note}")
    onsets = sorted(relapses)
    baseline = 0
    for index in range(1, len(scored)):
        confirmed = _confirmed_at(scored, onsets, baseline, index, has_fs=has_fs)
        if confirmed is not None:
            when = scored[index].when
            words = (
                f"EDSS {scored[baseline].edss:g} to {scored[index].edss:g}, confirmed.{note}"
            )
            return SpmsResult(when, scored[confirmed].when, rule, words)
        if _moves_baseline(scored, onsets, baseline, index):
            baseline = index
    return SpmsResult(None, None, rule, f"No visit meets every condition.{note}")


def _moves_baseline(
    scored: Sequence[ScoredVisit], relapses: Sequence[date], baseline: int, index: int
) -> bool:
    """Say whether a visit becomes the new baseline."""
    base, here, before = scored[baseline].edss, scored[index], scored[index - 1]
    if here.edss <= base - 0.5:
        return _holds(scored, index, IMPROVEMENT_HOLD_DAYS, at_most=base - 0.5)
    in_relapse = any(before.when < onset <= here.when for onset in relapses)
    rose = here.edss >= base + 0.5 and here.edss >= before.edss + 0.5
    if in_relapse and here.edss > RELAPSE_REBASELINE_ABOVE and rose and base < 6.0:
        return _holds(scored, index, RELAPSE_HOLD_DAYS, at_least=here.edss)
    return False


def _holds(
    scored: Sequence[ScoredVisit],
    index: int,
    days: float,
    *,
    at_least: float = 0.0,
    at_most: float = 10.0,
) -> bool:
    """Say whether every visit until one more than ``days`` later stays within limits."""
    for later in scored[index + 1 :]:
        if not at_least <= later.edss <= at_most:
            return False
        if (later.when - scored[index].when).days > days:
            return True
    return False


def _confirmed_at(
    scored: Sequence[ScoredVisit],
    relapses: Sequence[date],
    baseline: int,
    index: int,
    *,
    has_fs: bool,
) -> int | None:
    """Return the visit that confirms an event at ``index``, or None without an event."""
    here, before, base = scored[index], scored[index - 1], scored[baseline]
    needed = max(base.edss + worsening_step(base.edss, at_55=StepAt55.ONE), LOWEST_EDSS)
    if here.edss < needed:
        return None
    if has_fs and here.pyramidal < LOWEST_PYRAMIDAL:
        return None
    if any(before.when < onset <= here.when for onset in relapses):
        return None
    confirmed = _confirmation(scored, relapses, index, needed)
    if confirmed is None:
        return None
    if has_fs and not _leading_system_stays_raised(scored, baseline, index, confirmed):
        return None
    step = base.edss + worsening_step(base.edss, at_55=StepAt55.ONE)
    return confirmed if _is_sustained(scored[confirmed + 1 :], step) else None


def _confirmation(
    scored: Sequence[ScoredVisit], relapses: Sequence[date], index: int, needed: float
) -> int | None:
    """Return the first visit that confirms, all visits up to it staying at the level."""
    for later in range(index + 1, len(scored)):
        if scored[later].edss < needed:
            return None
        is_late = (scored[later].when - scored[index].when).days > CONFIRMATION_DAYS
        if is_late and is_calm(scored[later].when, relapses):
            return later
    return None


def _leading_system_stays_raised(
    scored: Sequence[ScoredVisit], baseline: int, index: int, confirmed: int
) -> bool:
    """Say whether one of the systems with the largest rise stays raised until confirmation."""
    before = scored[baseline].functional_systems
    rises = {
        name: score - before.get(name, 0)
        for name, score in scored[index].functional_systems.items()
    }
    largest = max(rises.values(), default=0)
    if largest <= 0:
        return False
    leading = [name for name, rise in rises.items() if rise == largest]
    span = scored[index + 1 : confirmed + 1]
    return any(
        all(visit.functional_systems.get(name, 0) > before.get(name, 0) for visit in span)
        for name in leading
    )


def _is_sustained(later: Sequence[ScoredVisit], step: float) -> bool:
    """Say whether no two visits in a row fall below the step until the end of follow-up."""
    is_below = [visit.edss < step for visit in later]
    return not any(first and second for first, second in itertools.pairwise(is_below))
