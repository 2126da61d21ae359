"""From visits to events and to start-stop rows: what was known at each time, nothing later."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import (
    DAYS_PER_YEAR,
    LEVELS,
    SYSTEMS,
    Cohort,
    latest_row,
    slices,
)
from monitoring.core.edss import EDSS_VALUES
from monitoring.core.series import FloatArray, IntArray, as_floats
from monitoring.core.spms import ScoredVisit, spms_onset
from monitoring.core.worsening import EdssVisit, confirmed_worsenings, pira_events

ENDPOINTS = {
    "cdw": "Confirmed worsening (cdw-168d)",
    "pira": "Progression independent of relapses (muller2023)",
    "spms": "SPMS by rule (Lorscheider 2016)",
}


@dataclass(frozen=True, slots=True)
class Courses:
    """First event of each kind and end of follow-up per patient of the cohort, as days.

    NaN: no event; ``end`` is the last EDSS.
    """

    events: dict[str, FloatArray]
    end: FloatArray


@dataclass(frozen=True, slots=True)
class Rows:
    """Start-stop rows in years since the first assessable statement.

    The values of a row are those known at its start: divergence as of the last scan, EDSS of
    the last visit. ``d`` and ``brain`` in %/yr.
    """

    patient: IntArray
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
    bounds = slices(cohort.edss.patient, cohort.size)
    relapse_bounds = slices(cohort.relapses.patient, cohort.size)
    events = {name: np.full(cohort.size, np.nan) for name in ENDPOINTS}
    end = np.full(cohort.size, np.nan)
    is_valid = np.isin(cohort.edss.value, EDSS_VALUES)
    for patient in selected.patient[~selected.is_control]:
        rows = np.arange(bounds[patient], bounds[patient + 1])
        rows = rows[is_valid[rows]]
        if rows.size == 0:
            continue
        end[patient] = cohort.edss.day[rows[-1]]
        value = cohort.edss.value[rows]
        if np.max(value - np.minimum.accumulate(value)) < 0.5:
            continue
        onsets = _days(cohort, relapse_bounds, int(patient))
        visits = [
            EdssVisit(date.fromordinal(int(cohort.edss.day[i])), float(cohort.edss.value[i]))
            for i in rows
        ]
        found = {
            "cdw": next((e.event for e in confirmed_worsenings(visits, onsets)), None),
            "pira": next((e.event for e in pira_events(visits, onsets) if e.is_pira), None),
            "spms": spms_onset(_scored(cohort, rows, visits), onsets).onset,
        }
        for name, day in found.items():
            if day is not None:
                events[name][patient] = day.toordinal()
    return Courses(events, end)


def _days(cohort: Cohort, bounds: IntArray, patient: int) -> list[date]:
    """Return the relapse onsets of a patient."""
    days = cohort.relapses.day[bounds[patient] : bounds[patient + 1]]
    return [date.fromordinal(int(day)) for day in days]


def _scored(cohort: Cohort, rows: IntArray, visits: list[EdssVisit]) -> list[ScoredVisit]:
    """Return the visits with the functional systems that were scored."""
    scored = []
    for row, visit in zip(rows, visits, strict=True):
        own = cohort.systems[row]
        known = {name: int(s) for name, s in zip(SYSTEMS, own, strict=True) if np.isfinite(s)}
        scored.append(ScoredVisit(visit.when, visit.edss, known))
    return scored


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
    event, end = courses.events[endpoint][patient], courses.end[patient]
    close = np.fmin(np.fmin(following, end), np.where(np.isfinite(event), event, np.inf))
    keep = (close > day) & ~(event <= first[patient])
    edss_row = latest_row(cohort.edss.patient, cohort.edss.day, patient, day.astype(np.int64))
    edss = np.where(edss_row >= 0, cohort.edss.value[np.maximum(edss_row, 0)], np.nan)
    age = cohort.birth_year[patient]
    age = 1970 + (day - 719163) / DAYS_PER_YEAR - age
    keep &= np.isfinite(edss) & np.isfinite(age) & np.isfinite(said.brain_slope[rows])
    k = np.flatnonzero(keep)
    return Rows(
        patient[k],
        as_floats((day[k] - first[patient[k]]) / DAYS_PER_YEAR),
        as_floats((close[k] - first[patient[k]]) / DAYS_PER_YEAR),
        np.asarray(close[k] == event[k]),
        as_floats(age[k]),
        as_floats(edss[k]),
        said.d[rows][k],
        said.brain_slope[rows][k],
        said.level[rows][k],
    )
