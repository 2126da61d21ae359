"""One patient's clinical outcomes by rule: worsening, PIRA, RAW, SPMS, NEDA, as of a day.

Everything is read from what was known on that day; an outcome is known from its confirmation
on, never from the event. The rules and their ids are those of `monitoring.core.worsening`,
`spms` and `activity`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from monitoring.core.activity import ActivityYear, Answer, neda3, neda4
from monitoring.core.spms import ScoredVisit, SpmsResult, spms_onset
from monitoring.core.worsening import (
    CDW,
    EdssVisit,
    Pira,
    WorseningEvent,
    confirmed_worsenings,
    pira_events,
)

YEAR = timedelta(days=365)


class OutcomeKind(StrEnum):
    """What an event is called."""

    CDW = "CDW"
    PIRA = "PIRA"
    RAW = "RAW"
    NEITHER = "worsening"
    """Confirmed; neither free of relapses by the definition nor within 90 days of one."""
    SPMS = "SPMS rule"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outcome: the day of the event, the day that confirmed it, and by which rule."""

    kind: OutcomeKind
    rule: str
    event: date
    confirmed: date
    from_edss: float | None
    to_edss: float | None


@dataclass(frozen=True, slots=True)
class LesionFinding:
    """New or enhancing lesions as a reader stated them on a day; None: not stated."""

    when: date
    new_t2: bool | None
    gadolinium: bool | None


@dataclass(frozen=True, slots=True)
class ActivityAnswer:
    """NEDA over the year that ends with the last visit.

    ``missing`` names the components that nobody examined.
    """

    start: date
    end: date
    neda3: Answer
    neda4: Answer
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Everything that the rules say of a patient."""

    events: tuple[Outcome, ...]
    spms: SpmsResult
    activity: ActivityAnswer | None
    pira_definition: Pira


def outcomes_of(
    visits: Iterable[ScoredVisit],
    relapses: Iterable[date],
    lesions: Iterable[LesionFinding] = (),
    *,
    brain_percent_per_year: float | None = None,
    as_of: date | None = None,
    definition: Pira = Pira.MULLER_2023,
) -> Outcomes:
    """Apply every rule to what was known on a day.

    Parameters
    ----------
    visits
        EDSS with functional systems where they were scored; one a day.
    brain_percent_per_year
        Brain slope for NEDA-4, percent per year (minus is loss); None leaves it unknown.
    as_of
        Nothing later enters; None means everything is known.

    Raises
    ------
    InvalidObservation
        For an EDSS that does not exist or two scores on one day.
    """
    until = as_of or date.max
    scored = sorted((v for v in visits if v.when <= until), key=lambda visit: visit.when)
    onsets = sorted(day for day in relapses if day <= until)
    found = [one for one in lesions if one.when <= until]
    plain = [EdssVisit(visit.when, visit.edss) for visit in scored]
    roving = pira_events(plain, onsets, definition=definition)
    events = [_outcome(OutcomeKind.CDW, one) for one in confirmed_worsenings(plain, onsets)]
    events += [_outcome(_kind(one), one) for one in roving]
    spms = spms_onset(scored, onsets)
    if spms.onset and spms.confirmed:
        events.append(
            Outcome(OutcomeKind.SPMS, spms.rule.value, spms.onset, spms.confirmed, None, None)
        )
    return Outcomes(
        events=tuple(sorted(events, key=lambda one: (one.event, one.kind.value))),
        spms=spms,
        activity=_activity(plain, onsets, found, roving, brain_percent_per_year),
        pira_definition=definition,
    )


def _kind(event: WorseningEvent) -> OutcomeKind:
    """Name a confirmed worsening by its relation to relapses."""
    if event.is_pira:
        return OutcomeKind.PIRA
    return OutcomeKind.RAW if event.is_raw else OutcomeKind.NEITHER


def _outcome(kind: OutcomeKind, event: WorseningEvent) -> Outcome:
    return Outcome(
        kind, event.rule, event.event, event.confirmation, event.from_edss, event.to_edss
    )


def _activity(
    visits: Sequence[EdssVisit],
    relapses: Sequence[date],
    lesions: Sequence[LesionFinding],
    worsenings: Sequence[WorseningEvent],
    brain: float | None,
) -> ActivityAnswer | None:
    """Answer for the year that ends with the last EDSS or lesions; None without any."""
    days = [*(visit.when for visit in visits), *(one.when for one in lesions)]
    if not days:
        return None
    end = max(days)
    start = end - YEAR
    had_relapse = any(start < onset <= end for onset in relapses)
    # Only who was seen before the year and at its end was followed through it.
    is_followed = any(visit.when <= start for visit in visits)
    new = [one for one in lesions if start < one.when <= end]
    year = ActivityYear(
        relapse=True if had_relapse else (False if is_followed else None),
        confirmed_worsening=_worsened(
            visits, relapses, worsenings, start, is_followed=is_followed
        ),
        new_t2_lesion=_any([one.new_t2 for one in new]),
        gadolinium_lesion=_any([one.gadolinium for one in new]),
    )
    words = (
        ("relapses", year.relapse),
        ("confirmed worsening", year.confirmed_worsening),
        ("new or enlarging T2 lesions", year.new_t2_lesion),
        ("enhancing lesions", year.gadolinium_lesion),
        ("brain loss", brain),
    )
    return ActivityAnswer(
        start=start,
        end=end,
        neda3=neda3(year),
        neda4=neda4(year, brain_percent_per_year=brain),
        missing=tuple(word for word, value in words if value is None),
    )


def _any(stated: Sequence[bool | None]) -> bool | None:
    """Return True for any sign, False where somebody looked, else None."""
    if True in stated:
        return True
    return False if False in stated else None


def _worsened(
    visits: Sequence[EdssVisit],
    relapses: Sequence[date],
    worsenings: Sequence[WorseningEvent],
    start: date,
    *,
    is_followed: bool,
) -> bool | None:
    """Say whether a worsening of the year was confirmed; None while one waits for that."""
    if any(one.event > start for one in worsenings):
        return True
    if not is_followed:
        return None
    last = visits[-1]
    # Would the last score, if it stayed, confirm a worsening of this year?
    later = EdssVisit(last.when + timedelta(days=round(CDW.confirmation_days) + 31), last.edss)
    waits = pira_events([*visits, later], relapses)
    return None if any(one.event > start for one in waits) else False
