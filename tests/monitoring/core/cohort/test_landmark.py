"""Survival from a landmark on: what was known then, and nothing that came later."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from monitoring.core.cohort.courses import courses_of
from monitoring.core.cohort.curves import log_rank
from monitoring.core.cohort.definition import Definition
from monitoring.core.cohort.landmark import (
    STATE_NAMES,
    at_landmark,
    landmark_curves,
    states_at,
)
from monitoring.core.cohort.selection import select
from monitoring.core.cohort.synthetic import Truth, synthetic_cohort
from monitoring.core.cohort.table import CORD, column
from monitoring.core.errors import NotAssessable


@pytest.fixture(scope="module")
def selected():
    return select(synthetic_cohort(Truth(), rng=np.random.default_rng(5)), Definition())


def test_three_groups_are_compared_as_by_hand_and_two_as_scipy_does():
    years = np.array([1.0, 2, 2, 2, 2, 2])
    is_event = np.array([True, False, False, False, False, False])
    three = np.array([0, 0, 1, 1, 2, 2])

    test = log_rank(years, is_event, three)

    # One event among six: surplus (2/3, -1/3, -1/3), covariance diag(1/3) - 1/9.
    assert (test.statistic, test.df) == pytest.approx((2.0, 2.0))
    assert test.p == pytest.approx(math.exp(-1))
    rng = np.random.default_rng(1)
    years, is_event = rng.exponential(size=60).round(1) + 0.1, rng.random(60) < 0.6
    group = rng.integers(0, 2, 60)
    x, y = (
        stats.CensoredData(years[own & is_event], right=years[own & ~is_event])
        for own in (group == 0, group == 1)
    )
    assert log_rank(years, is_event, group).statistic == pytest.approx(
        stats.logrank(x, y).statistic ** 2
    )


def test_the_state_at_the_landmark_knows_no_later_scan(selected):
    people = at_landmark(selected, courses_of(selected), "cdw")
    states = states_at(selected, people.patient, people.day)
    table = selected.occasions
    later = np.ones(table.day.size, dtype=np.bool_)
    for patient, day in zip(people.patient, people.day, strict=True):
        later[(table.patient == patient) & (table.day <= day)] = False
    # The controls' own visits make the expectation; the patients' later ones are wrecked.
    later[np.isin(table.patient, selected.patient[selected.is_control])] = False
    wrecked = table.values.copy()
    wrecked[later] *= 0.5

    again = states_at(
        replace(selected, occasions=replace(table, values=wrecked)),
        people.patient,
        people.day,
    )

    assert later.any()
    assert np.array_equal(again, states)
    assert set(states.tolist()) >= {0, 2}


def test_a_small_cord_is_a_low_cord(selected):
    people = at_landmark(selected, courses_of(selected), "cdw")
    table = selected.occasions
    values = table.values.copy()
    values[np.isin(table.patient, people.patient), column(CORD)] *= 0.5

    states = states_at(
        replace(selected, occasions=replace(table, values=values)), people.patient, people.day
    )

    assert np.all(states >= STATE_NAMES.index("Cord low"))


def test_every_patient_at_the_landmark_is_in_a_curve_or_counted(selected):
    courses = courses_of(selected)
    people = at_landmark(selected, courses, "cdw")

    figures, notes = landmark_curves(selected, courses, "cdw")

    assert sum(int(row["n"]) for row in figures["curves"]) == people.patient.size
    assert 2 <= len(figures["states"]) <= len(STATE_NAMES)
    assert [note.partition(" 2 years")[0] for note in notes] == [
        "Confirmed worsening (cdw-168d) by level",
        "Confirmed worsening (cdw-168d) by state of brain and cord",
    ]


def test_without_controls_there_is_no_state_but_a_reason(selected):
    alone = replace(selected, phenotype=np.where(selected.is_control, 1, selected.phenotype))

    with pytest.raises(NotAssessable, match="controls"):
        states_at(alone, selected.patient, selected.day)
    figures, notes = landmark_curves(alone, courses_of(alone), "cdw")
    assert "states" not in figures
    assert any(note.startswith("No curves by state. ") for note in notes)
