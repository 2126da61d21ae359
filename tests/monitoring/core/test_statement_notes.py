"""What is said beside the level, each at the edge where it begins."""

import math
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from monitoring.core.divergence import assess_patient
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.priors import EpochOffsets
from monitoring.core.types import ClinicalEvent, EventKind, Observation, Quality, Region

START = date(2010, 3, 1)
LOSSES = (1.75, 2.25)
"""Percent: on either side of the line, and both below certainty."""

PRECISE = replace(literature_defaults(), error_sd=(0.3, 0.5), slope_sd=(0.25, 0.55))


def course(*, lost: float = 0.0, moved: float = 0.0, epochs: str = "AAAAAAAAA"):
    """Return nine yearly scans: ``lost`` percent of cord at once in year 4, ``moved`` on B."""
    rows = []
    for year, epoch in enumerate(epochs):
        when = START + timedelta(days=round(365.25 * year))
        cord = -0.9 * year - lost * (year >= 4) + moved * (epoch == "B")
        for region, start, y in ((Region.BRAIN, 1.1e6, -0.4 * year), (Region.CORD, 70.0, cord)):
            value = start * math.exp(y / 100)
            rows.append(Observation(when, region, value, epoch, Quality.GOOD))
    return rows


@pytest.mark.parametrize(("days", "is_noted"), [(0, True), (30, True), (31, False)])
def test_a_scan_is_noted_up_to_thirty_days_after_a_relapse(days, is_noted):
    rows = course()
    relapse = ClinicalEvent(rows[8].when - timedelta(days=days), EventKind.RELAPSE)
    notes = assess_patient(rows, [relapse], parameters=PRECISE).notes
    assert (notes == (f"A scan on {rows[8].when} was taken {days} days after a relapse.",)) == (
        is_noted
    )


@pytest.mark.parametrize("lost", LOSSES)
def test_a_sudden_loss_is_named_where_it_is_likelier_than_not(lost):
    one = assess_patient(course(lost=lost), parameters=PRECISE)
    chance = one.posterior.p_step
    named = [note for note in one.notes if "probably lost area at once" in note]
    assert bool(named) == (chance >= 0.5)
    if named:
        assert f"(P = {chance:.2f})" in named[0]


def test_the_losses_of_the_test_above_lie_on_both_sides():
    chances = [
        assess_patient(course(lost=lost), parameters=PRECISE).posterior.p_step
        for lost in LOSSES
    ]
    assert chances[0] < 0.5 < chances[1] < 0.95


@pytest.mark.parametrize(("people", "is_noted"), [(4, True), (5, False)])
def test_an_epoch_with_few_reference_patients_is_poorly_known(people, is_noted):
    covariance = tuple(tuple(0.25 * (i == j) for j in range(4)) for i in range(4))
    known = EpochOffsets(("A", "B"), (0.0, 0.0), (0.0, 0.0), covariance, (9, people))
    rows = course(epochs="AAAAABBBB")
    notes = assess_patient(rows, parameters=replace(PRECISE, epochs=known)).notes
    words = "Offset of epoch B poorly known (brain +- 1.0 %, cord +- 1.0 %)."
    assert notes == ((words,) if is_noted else ())


def test_scans_after_a_move_to_an_unknown_scanner_are_no_outliers():
    one = assess_patient(course(epochs="AAAAABBBB", moved=6.0), parameters=PRECISE)
    assert min(weight.weight for weight in one.weights) > 0.8


def test_a_treatment_of_the_year_before_the_first_scan_still_explains_a_fall():
    start = ClinicalEvent(START - timedelta(days=400), EventKind.THERAPY_START)
    plain, treated = (
        assess_patient(course(), events, parameters=PRECISE) for events in ([], [start])
    )
    assert treated.brain_percent_per_year > plain.brain_percent_per_year + 1e-5


def test_a_step_adds_nothing_to_the_gap_and_a_bend_its_integral():
    found = PRECISE.alternatives()
    gap = found.gap(np.array([5.0]))[0]
    assert np.all(gap[found.is_step] == 0)
    bends = ~found.is_step
    assert gap[bends] == pytest.approx(np.maximum(5.0 - found.onset[bends], 0.0))
