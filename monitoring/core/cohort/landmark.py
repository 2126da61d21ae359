"""Survival from a landmark on, by the level and by the state of brain and cord at the landmark.

Grouping by what was known at the landmark, and counting only those without an earlier event,
keeps time before the grouping from being counted for it (Anderson, Cain, Gelber 1983, J Clin
Oncol 1:710).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring.core.cohort.courses import ENDPOINTS, Courses, counting_rows
from monitoring.core.cohort.curves import kaplan_meier, log_rank
from monitoring.core.cohort.losses import design_of, expectation
from monitoring.core.cohort.report import p_words
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import (
    CORD,
    DAYS_PER_YEAR,
    INTRACRANIAL,
    LEVELS,
    column,
    latest_row,
)
from monitoring.core.errors import NotAssessable
from monitoring.core.norms import ABNORMAL_Z
from monitoring.core.series import FloatArray, IntArray, as_floats

MINIMUM_CURVE = 5
WATCH = LEVELS.index("watch")
BRAIN = "brain_parenchyma"
LEVEL_NAMES = ("Below the watch line", "Watch or flag")
STATE_NAMES = ("Brain and cord in range", "Brain low", "Cord low", "Both low")
"""States in the order of the quadrants I to IV (`norms.Quadrant`)."""
Curves = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class AtLandmark:
    """Who is still at risk at the landmark; arrays of shape (people,).

    Attributes
    ----------
    patient, day : int64
        Index in the cohort, and the landmark's day as an ordinal.
    level : int64
        Level as of the last scan before it.
    years, is_event : float64, bool
        From the landmark to the event or to the end of observation.
    """

    patient: IntArray
    day: IntArray
    level: IntArray
    years: FloatArray
    is_event: NDArray[np.bool_]


def at_landmark(selected: Selected, courses: Courses, endpoint: str) -> AtLandmark:
    """Return who had a statement before the landmark and no event until then."""
    rows = counting_rows(selected, courses, endpoint)
    landmark = selected.definition.landmark_years
    at = np.flatnonzero((rows.start <= landmark) & (rows.stop > landmark))
    last = np.zeros(selected.cohort.size)
    np.maximum.at(last, rows.patient, rows.stop)
    failed = np.zeros(selected.cohort.size, dtype=np.bool_)
    failed[rows.patient[rows.is_event]] = True
    patient = rows.patient[at]
    day = rows.day[at] + (landmark - rows.start[at]) * DAYS_PER_YEAR
    return AtLandmark(
        patient,
        np.floor(day + 1e-6).astype(np.int64),
        rows.level[at],
        as_floats(last[patient] - landmark),
        failed[patient],
    )


def states_at(selected: Selected, patient: IntArray, day: IntArray) -> IntArray:
    """Return the state of brain and cord at the last scan of both up to a day.

    Returns
    -------
    int64, shape (people,)
        Index into `STATE_NAMES`; -1 where no such scan, age, sex or head size is known. Low
        means z < -1.96 against the own controls of the same age, sex and head size.

    Raises
    ------
    NotAssessable
        Without enough controls.
    """
    fits = [expectation(selected, structure) for structure in (BRAIN, CORD)]
    table = selected.occasions
    places = [column(BRAIN), column(CORD), column(INTRACRANIAL)]
    known = np.flatnonzero(np.isfinite(table.values[:, places]).all(axis=1))
    row = latest_row(table.patient[known], table.day[known], patient, day)
    found = np.flatnonzero(row >= 0)
    values = table.values[known[row[found]]]
    cohort, who = selected.cohort, patient[found]
    age = 1970 + (day[found] - 719163) / DAYS_PER_YEAR - cohort.birth_year[who]
    design = design_of(age, cohort.sex[who], values[:, places[2]])
    low = [
        (100 * np.log(values[:, place]) - design @ one.coefficients) / one.residual_sd
        for one, place in zip(fits, places, strict=False)
    ]
    states = np.full(patient.size, -1)
    is_known = np.isfinite(low[0]) & np.isfinite(low[1])
    code = (low[0] < ABNORMAL_Z) + 2 * (low[1] < ABNORMAL_Z)
    states[found[is_known]] = code[is_known]
    return states


def landmark_curves(
    selected: Selected, courses: Courses, endpoint: str
) -> tuple[dict[str, Curves], tuple[str, ...]]:
    """Return Kaplan-Meier curves by level and by state, and what is said beside them."""
    people = at_landmark(selected, courses, endpoint)
    by_level = (people.level >= WATCH).astype(np.int64)
    figures: dict[str, Curves] = {}
    notes: list[str] = []
    groupings: list[tuple[str, str, IntArray, Sequence[str]]] = [
        ("curves", "level", by_level, LEVEL_NAMES)
    ]
    try:
        states = states_at(selected, people.patient, people.day)
    except NotAssessable as error:
        notes.append(f"No curves by state. {error}")
    else:
        groupings.append(("states", "state of brain and cord", states, STATE_NAMES))
    for key, word, group, names in groupings:
        curves, sentence = _curves(people, group, names)
        if curves:
            figures[key] = curves
        notes.append(
            f"{ENDPOINTS[endpoint]} by {word} {selected.definition.landmark_years:g} years "
            f"after the first statement: {sentence}"
        )
    return figures, tuple(notes)


def _curves(people: AtLandmark, group: IntArray, names: Sequence[str]) -> tuple[Curves, str]:
    """Return a curve per group that is large enough, and the comparison in words."""
    sizes = [int((group == key).sum()) for key in range(len(names))]
    shown = [key for key, size in enumerate(sizes) if size >= MINIMUM_CURVE]
    counted = ", ".join(
        f"{name.lower()} {size}" for name, size in zip(names, sizes, strict=True)
    )
    if len(shown) < 2:
        return [], (
            f"no curves, two groups of {MINIMUM_CURVE} patients are needed ({counted})."
        )
    curves: Curves = []
    for key in shown:
        own = group == key
        curve = kaplan_meier(people.years[own], people.is_event[own])
        end = float(people.years[own].max())
        curves.append({
            "group": names[key], "n": curve.people, "events": curve.events,
            "years": [*curve.times.tolist(), end],
            **{part: [*values.tolist(), float(values[-1])] for part, values in (
                ("value", curve.survival), ("low", curve.low), ("high", curve.high))},
        })  # fmt: skip
    in_curves = np.isin(group, shown)
    try:
        test = log_rank(
            people.years[in_curves],
            people.is_event[in_curves],
            np.searchsorted(shown, group[in_curves]),
        )
        words = f"log-rank {p_words(test.p)}"
    except NotAssessable as error:
        words = str(error)
    return curves, f"{counted}; {words}; nobody with an earlier event is counted."
