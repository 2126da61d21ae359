"""From visits to events and to start-stop rows: what was known at each time, nothing later."""

import itertools
import math
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import (
    DAYS_PER_YEAR,
    LEVELS,
    SYSTEMS,
    latest_row,
    slices,
)
from monitoring.core.edss import EDSS_VALUES
from monitoring.core.series import FloatArray, IntArray, as_floats
from monitoring.core.spms import CONFIRMATION_DAYS, ScoredVisit, spms_onset
from monitoring.core.worsening import (
    CDW,
    PIRA_RULES,
    EdssVisit,
    Pira,
    confirmed_worsenings,
    is_calm,
    pira_events,
)

ENDPOINTS = {
    "cdw": "Confirmed worsening (cdw-168d)",
    "pira": "Progression independent of relapses (muller2023)",
    "spms": "SPMS by rule (Lorscheider 2016)",
}


CONFIRMED_AFTER = {
    "cdw": CDW.confirmation_days,
    "pira": PIRA_RULES[Pira.MULLER_2023].confirmation_days,
    "spms": CONFIRMATION_DAYS,
}
"""Days to a confirmation: nobody is at risk of what no later visit could confirm."""


@dataclass(frozen=True, slots=True)
class Courses:
    """First event of each kind per patient of the cohort, and until when it could be seen.

    Days by endpoint, arrays of shape (patients,). ``events`` is NaN without one; ``ends`` is
    the last EDSS that a later visit could have confirmed, NaN where there is none.
    """

    events: dict[str, FloatArray]
    ends: dict[str, FloatArray]


@dataclass(frozen=True, slots=True)
class Rows:
    """Start-stop rows in years since the first assessable statement.

    The values of a row are those known at its start: divergence as of the last scan, EDSS of
    the last visit. ``d`` and ``brain`` in %/yr; ``day`` is the start as an ordinal.
    """

    patient: IntArray
    day: IntArray
    start: FloatArray
    stop: FloatArray
    is_event: NDArray[np.bool_]
    age: FloatArray
    edss: FloatArray
    d: FloatArray
    brain: FloatArray
    level: IntArray


def courses_of(selected: Selected) -> Courses:
    """Find confirmed worsening, PIRA and SPMS of every selected patient.

    Visits with an EDSS that does not exist are left out. Whoever never rose cannot have an
    event, and is not looked at.
    """
    cohort = selected.cohort
    is_valid = np.isin(cohort.edss.value, EDSS_VALUES)
    bounds = slices(cohort.edss.patient[is_valid], cohort.size).tolist()
    relapse_bounds = slices(cohort.relapses.patient, cohort.size).tolist()
    days, scores = cohort.edss.day[is_valid].tolist(), cohort.edss.value[is_valid].tolist()
    relapses = [date.fromordinal(day) for day in cohort.relapses.day.tolist()]
    systems = _systems(cohort.systems[is_valid])
    events = {name: np.full(cohort.size, np.nan) for name in ENDPOINTS}
    ends = {name: np.full(cohort.size, np.nan) for name in ENDPOINTS}
    for patient in selected.patient[~selected.is_control].tolist():
        rows = slice(bounds[patient], bounds[patient + 1])
        onsets = relapses[relapse_bounds[patient] : relapse_bounds[patient + 1]]
        visits = [
            EdssVisit(date.fromordinal(day), score)
            for day, score in zip(days[rows], scores[rows], strict=True)
        ]
        for name, last in _last_confirmable(days[rows], onsets).items():
            ends[name][patient] = last
        if _ever_rose(scores[rows]):
            for name, day in _events(visits, onsets, systems[rows]).items():
                events[name][patient] = day
    return Courses(events, ends)


def _systems(scores: FloatArray) -> list[dict[str, int]]:
    """Return the functional systems that were scored, one dict per visit."""
    out: list[dict[str, int]] = [{} for _ in range(scores.shape[0])]
    for row, at in zip(
        *(found.tolist() for found in np.nonzero(np.isfinite(scores))), strict=True
    ):
        out[row][SYSTEMS[at]] = int(scores[row, at])
    return out


def _ever_rose(scores: list[float]) -> bool:
    """Say whether any score lies above an earlier one."""
    return any(later > lowest for later, lowest in zip(
        scores[1:], itertools.accumulate(scores, min), strict=False
    ))  # fmt: skip


def _last_confirmable(days: list[int], onsets: list[date]) -> dict[str, float]:
    """Return, by endpoint, the last visit that a later one could have confirmed."""
    calm = next(
        (day for day in reversed(days) if is_calm(date.fromordinal(day), onsets)), -math.inf
    )
    last = {name: bisect_right(days, calm - wait) for name, wait in CONFIRMED_AFTER.items()}
    return {name: days[count - 1] if count else math.nan for name, count in last.items()}


def _events(
    visits: list[EdssVisit], onsets: list[date], systems: list[dict[str, int]]
) -> dict[str, int]:
    """Return the day of the first event of each kind that a patient has."""
    scored = [
        ScoredVisit(visit.when, visit.edss, own)
        for visit, own in zip(visits, systems, strict=True)
    ]
    found = {
        "cdw": next((e.event for e in confirmed_worsenings(visits, onsets)), None),
        "pira": next((e.event for e in pira_events(visits, onsets) if e.is_pira), None),
        "spms": spms_onset(scored, onsets).onset,
    }
    return {name: day.toordinal() for name, day in found.items() if day is not None}


def counting_rows(selected: Selected, courses: Courses, endpoint: str) -> Rows:
    """Return start-stop rows of patients who had no event before their first statement.

    The statement as of scan j covers the time from that scan to the next: no look ahead.
    """
    cohort, said = selected.cohort, selected.cohort.statements
    is_mine = np.zeros(cohort.size, dtype=np.bool_)
    is_mine[selected.patient[~selected.is_control]] = True
    rows = np.flatnonzero(
        is_mine[said.patient]
        & (said.level > LEVELS.index("insufficient"))
        & np.isfinite(said.d)
    )
    patient, day = said.patient[rows], said.day[rows].astype(np.float64)
    first = np.full(cohort.size, np.inf)
    np.minimum.at(first, patient, day)
    is_last = np.append(
        patient[1:] != patient[:-1], np.ones(min(1, patient.size), dtype=np.bool_)
    )
    following = np.where(is_last, np.inf, np.append(day[1:], np.inf)[: day.size])
    event, end = courses.events[endpoint][patient], courses.ends[endpoint][patient]
    until = np.where(np.isfinite(end), end, -np.inf)
    close = np.minimum(np.minimum(following, until), np.where(event > 0, event, np.inf))
    keep = (close > day) & ~(event <= first[patient])
    edss_row = latest_row(cohort.edss.patient, cohort.edss.day, patient, day.astype(np.int64))
    edss = np.where(edss_row >= 0, cohort.edss.value[np.maximum(edss_row, 0)], np.nan)
    age = cohort.birth_year[patient]
    age = 1970 + (day - 719163) / DAYS_PER_YEAR - age
    keep &= np.isfinite(edss) & np.isfinite(age) & np.isfinite(said.brain_slope[rows])
    k = np.flatnonzero(keep)
    return Rows(
        patient[k],
        day[k].astype(np.int64),
        as_floats((day[k] - first[patient[k]]) / DAYS_PER_YEAR),
        as_floats((close[k] - first[patient[k]]) / DAYS_PER_YEAR),
        np.asarray(close[k] == event[k]),
        as_floats(age[k]),
        as_floats(edss[k]),
        said.d[rows][k],
        said.brain_slope[rows][k],
        said.level[rows][k],
    )
