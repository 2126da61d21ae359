"""Confirmed disability worsening, and whether it was independent of relapses.

Every event carries the id of its rule, for the choice matters: 360 published definitions of
PIRA gave incidences between .141 and .658 per decade in one cohort (Muller 2025).
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from monitoring.core.edss import StepAt55, is_better, is_worse, valid_edss
from monitoring.core.errors import InvalidObservation

RELAPSE_SHADOW_DAYS = 30
"""An EDSS this soon after a relapse is neither a baseline nor a confirmation."""

RAW_DAYS = 90
"""Worsening with a relapse in so many days before it is relapse-associated."""


@dataclass(frozen=True, slots=True)
class EdssVisit:
    """An EDSS score on a day."""

    when: date
    edss: float


class Baseline(StrEnum):
    """How the reference visit moves."""

    FIXED = "fixed"
    ROVING = "roving"
    """Moves to the confirmation visit of each confirmed worsening or improvement."""
    AFTER_RELAPSE = "after_relapse"
    """Moves to the first visit more than 30 d after each relapse (and after each event)."""
    ROVING_AND_AFTER_RELAPSE = "roving_and_after_relapse"


@dataclass(frozen=True, slots=True)
class WorseningRule:
    """How a worsening is found and confirmed; ``id`` is stored with every event."""

    id: str
    baseline: Baseline
    confirmation_days: float = 168
    at_55: StepAt55 = StepAt55.HALF
    must_be_sustained: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """A closed interval in days around two anchors that must hold no relapse onset.

    Anchors are R (reference visit), B (last visit before the event), E (event),
    C (confirmation).
    """

    first: str
    first_days: int
    last: str
    last_days: int


class Pira(StrEnum):
    """Published definitions of progression independent of relapse activity."""

    MULLER_2023 = "muller2023"
    MULLER_2023_STRICT = "muller2023-strict"
    KAPPOS_2020 = "kappos2020"
    CAGOL_2022 = "cagol2022"
    MULLER_2025 = "muller2025"
    CORE = "core"


PIRA_WINDOWS: dict[Pira, tuple[Window, ...]] = {
    Pira.MULLER_2023: (Window("E", -90, "E", 30), Window("C", -90, "C", 30)),
    Pira.MULLER_2023_STRICT: (Window("R", 0, "C", 0),),
    Pira.KAPPOS_2020: (Window("R", 0, "E", 30), Window("C", -30, "C", 30)),
    Pira.CAGOL_2022: (Window("E", -90, "C", 0),),
    Pira.MULLER_2025: (Window("B", 0, "E", 0), Window("C", -30, "C", 0)),
    # MSoutcomes resets the baseline after each relapse instead of naming a window; between the
    # reset and the event there is then none. Our reading.
    Pira.CORE: (Window("R", 0, "E", 0),),
}

PIRA_RULES: dict[Pira, WorseningRule] = {
    Pira.MULLER_2023: WorseningRule("muller2023", Baseline.ROVING),
    Pira.MULLER_2023_STRICT: WorseningRule("muller2023-strict", Baseline.ROVING),
    Pira.KAPPOS_2020: WorseningRule("kappos2020", Baseline.AFTER_RELAPSE),
    Pira.CAGOL_2022: WorseningRule("cagol2022", Baseline.ROVING),
    Pira.MULLER_2025: WorseningRule("muller2025", Baseline.ROVING_AND_AFTER_RELAPSE),
    Pira.CORE: WorseningRule(
        "core",
        Baseline.AFTER_RELAPSE,
        confirmation_days=90.75,
        at_55=StepAt55.ONE,
        must_be_sustained=True,
    ),
}

CDW = WorseningRule("cdw-168d", Baseline.FIXED)
"""Our default for confirmed disability worsening: 24 weeks, fixed baseline, first event."""


@dataclass(frozen=True, slots=True)
class WorseningEvent:
    """A confirmed worsening.

    Attributes
    ----------
    reference, before, event, confirmation : date
        R, B, E, C of the rule.
    rule : str
        Id of the rule that found it.
    is_pira, is_raw : bool or None
        Independent of relapses; with a relapse in the 90 days before. None where the rule
        does not ask.
    later_confirmations : tuple of date
        Further visits that confirm it: every visit up to them stays at the level.
    """

    reference: date
    before: date
    event: date
    confirmation: date
    from_edss: float
    to_edss: float
    rule: str
    is_raw: bool
    is_pira: bool | None = None
    later_confirmations: tuple[date, ...] = ()


def confirmed_worsenings(
    visits: Iterable[EdssVisit],
    relapses: Iterable[date] = (),
    *,
    rule: WorseningRule = CDW,
) -> list[WorseningEvent]:
    """Find confirmed worsenings in time order; a fixed baseline yields at most one.

    The first baseline is the first visit more than 30 d after any earlier relapse. The event is
    the first visit at or above baseline plus step; it is confirmed when every visit up to and
    including one that lies ``confirmation_days`` or more later, and more than 30 d after any
    relapse, stays at or above it.

    Raises
    ------
    InvalidObservation
        For an EDSS that does not exist or two scores on one day.
    """
    scored = _sorted(visits)
    onsets = sorted(relapses)
    events: list[WorseningEvent] = []
    place = _next_baseline(scored, onsets, 0)
    while place is not None:
        baseline = scored[place]
        found = _next_change(scored, onsets, place, rule)
        if found is None:
            return events
        kind, index, confirmed = found
        if kind == "worse":
            events.append(_event(scored, onsets, (place, index, confirmed), baseline, rule))
            if rule.baseline is Baseline.FIXED:
                return events
        place = _next_baseline(scored, onsets, index if kind == "relapse" else confirmed)
    return events


def pira_events(
    visits: Iterable[EdssVisit],
    relapses: Iterable[date] = (),
    *,
    definition: Pira = Pira.MULLER_2023,
) -> list[WorseningEvent]:
    """Find confirmed worsenings and say of each whether it was independent of relapses.

    A relapse near the first confirmation does not settle it: as in pymsprog, a later visit up
    to which the worsening held may confirm it as independent.
    """
    onsets = sorted(relapses)
    found = confirmed_worsenings(visits, onsets, rule=PIRA_RULES[definition])
    return [replace(one, is_pira=_is_pira(definition, one, onsets)) for one in found]


def _is_pira(definition: Pira, one: WorseningEvent, relapses: Sequence[date]) -> bool:
    """Say whether any confirmation of an event meets the definition."""
    return any(
        is_relapse_free(
            definition,
            anchors={"R": one.reference, "B": one.before, "E": one.event, "C": confirmation},
            relapses=relapses,
        )
        for confirmation in (one.confirmation, *one.later_confirmations)
    )


def is_relapse_free(
    definition: Pira, *, anchors: dict[str, date], relapses: Iterable[date]
) -> bool:
    """Say whether no relapse onset lies in any closed window of a definition.

    Parameters
    ----------
    anchors : dict
        Dates of R, B, E and C.
    """
    for onset in relapses:
        for window in PIRA_WINDOWS[definition]:
            after_first = (onset - anchors[window.first]).days >= window.first_days
            before_last = (onset - anchors[window.last]).days <= window.last_days
            if after_first and before_last:
                return False
    return True


def _sorted(visits: Iterable[EdssVisit]) -> list[EdssVisit]:
    """Return checked visits in time order."""
    scored = sorted(visits, key=lambda visit: visit.when)
    for visit in scored:
        valid_edss(visit.edss)
    for first, second in itertools.pairwise(scored):
        if first.when == second.when:
            raise InvalidObservation(f"There are two EDSS scores on {first.when.isoformat()}.")
    return scored


def is_calm(when: date, relapses: Sequence[date]) -> bool:
    """Say whether a day lies more than 30 d after every earlier relapse onset."""
    return all(not 0 <= (when - onset).days <= RELAPSE_SHADOW_DAYS for onset in relapses)


def _next_baseline(
    scored: Sequence[EdssVisit], relapses: Sequence[date], start: int
) -> int | None:
    """Return the first visit from ``start`` on that may serve as baseline."""
    for place in range(start, len(scored)):
        if is_calm(scored[place].when, relapses):
            return place
    return None


def _next_change(
    scored: Sequence[EdssVisit], relapses: Sequence[date], place: int, rule: WorseningRule
) -> tuple[str, int, int] | None:
    """Return kind, visit and confirmation of the next thing that ends a baseline's reign."""
    roves = rule.baseline in {Baseline.ROVING, Baseline.ROVING_AND_AFTER_RELAPSE}
    resets = rule.baseline in {Baseline.AFTER_RELAPSE, Baseline.ROVING_AND_AFTER_RELAPSE}
    baseline = scored[place]
    for index in range(place + 1, len(scored)):
        value, when = scored[index].edss, scored[index].when
        previous = scored[index - 1].when
        # The residual of a relapse is the next baseline, not a worsening of the old one.
        if resets and any(previous < onset <= when for onset in relapses):
            return ("relapse", index, index)
        if is_worse(value, baseline.edss, at_55=rule.at_55):
            confirmed = _confirmation(scored, relapses, index, baseline.edss, rule)
            if confirmed is not None:
                return ("worse", index, confirmed)
        elif roves and is_better(value, baseline.edss, at_55=rule.at_55):
            confirmed = _confirmation(scored, relapses, index, baseline.edss, rule, up=False)
            if confirmed is not None:
                return ("better", index, confirmed)
    return None


def _confirmation(
    scored: Sequence[EdssVisit],
    relapses: Sequence[date],
    index: int,
    baseline: float,
    rule: WorseningRule,
    *,
    up: bool = True,
) -> int | None:
    """Return the visit that confirms a change, or None."""
    holds = is_worse if up else is_better
    confirmed: int | None = None
    for later in range(index + 1, len(scored)):
        if not holds(scored[later].edss, baseline, at_55=rule.at_55):
            return None if rule.must_be_sustained or confirmed is None else confirmed
        days = (scored[later].when - scored[index].when).days
        is_late = days >= rule.confirmation_days
        if confirmed is None and is_late and is_calm(scored[later].when, relapses):
            confirmed = later
            if not rule.must_be_sustained:
                return confirmed
    return confirmed


def _event(
    scored: Sequence[EdssVisit],
    relapses: Sequence[date],
    places: tuple[int, int, int],
    baseline: EdssVisit,
    rule: WorseningRule,
) -> WorseningEvent:
    """Put an event together from the places of R, E and C."""
    _, index, confirmed = places
    event = scored[index]
    is_raw = any(0 <= (event.when - onset).days <= RAW_DAYS for onset in relapses)
    return WorseningEvent(
        reference=baseline.when,
        before=scored[index - 1].when,
        event=event.when,
        confirmation=scored[confirmed].when,
        from_edss=baseline.edss,
        to_edss=event.edss,
        rule=rule.id,
        is_raw=is_raw,
        later_confirmations=_later(scored, relapses, (index, confirmed), baseline.edss, rule),
    )


def _later(
    scored: Sequence[EdssVisit],
    relapses: Sequence[date],
    places: tuple[int, int],
    baseline: float,
    rule: WorseningRule,
) -> tuple[date, ...]:
    """Return the visits after the first confirmation that would confirm too."""
    found: list[date] = []
    for visit in scored[places[1] + 1 :]:
        if not is_worse(visit.edss, baseline, at_55=rule.at_55):
            break
        if is_calm(visit.when, relapses):
            found.append(visit.when)
    return tuple(found)
