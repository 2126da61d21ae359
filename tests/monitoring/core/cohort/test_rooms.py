"""Planted truths are found, null cohorts are left alone, thin data get a sentence."""

from dataclasses import replace

import numpy as np
import pytest

from monitoring.core.cohort.analysis import analyse
from monitoring.core.cohort.courses import counting_rows, courses_of
from monitoring.core.cohort.curves import kaplan_meier, log_rank
from monitoring.core.cohort.definition import Definition
from monitoring.core.cohort.joint_slopes import fit_joint_slopes, sums_of
from monitoring.core.cohort.power import (
    correlation_power,
    difference_power,
    findable_difference,
)
from monitoring.core.cohort.ranking import area_difference, area_under_curve
from monitoring.core.cohort.selection import select
from monitoring.core.cohort.synthetic import NULL, Truth, synthetic_cohort
from monitoring.core.cohort.table import Long
from monitoring.core.errors import NotAssessable
from tests.monitoring.core.test_cohort_statistics import bivariate_groups

TESTED = (
    "cord-area", "correlations", "discrimination", "slopes", "lesions", "verification",
    "paradox",
)  # fmt: skip


def rooms_of(cohort, definition=None):
    result = analyse(cohort, definition or Definition())
    return {room["slug"]: room for room in result["rooms"]}


@pytest.fixture(scope="module")
def planted():
    return rooms_of(synthetic_cohort(Truth(), rng=np.random.default_rng(71)))


def test_every_planted_difference_is_found(planted):
    for slug in TESTED:
        assert planted[slug]["verdict"] == "supported", planted[slug]["answer"]
    assert "only discriminator" in planted["discrimination"]["answer"]


def test_nothing_is_claimed_of_a_null_cohort():
    rooms = rooms_of(synthetic_cohort(NULL, rng=np.random.default_rng(72)))

    for slug in TESTED:
        assert rooms[slug]["verdict"] == "not supported", rooms[slug]["answer"]
    # A negative answer has its figure and its table, as a positive one has.
    assert rooms["discrimination"]["figures"]["separation"]
    assert rooms["discrimination"]["tables"]


@pytest.mark.parametrize("case", ["few", "no controls", "one edss"])
def test_what_cannot_be_answered_is_a_sentence_without_a_number(case):
    sizes = {"few": (4, 2), "no controls": (60, 0), "one edss": (60, 20)}[case]
    cohort = synthetic_cohort(
        Truth(), rng=np.random.default_rng(3), patients=sizes[0], controls=sizes[1]
    )
    if case == "one edss":
        edss = cohort.edss
        cohort = replace(
            cohort, edss=Long(edss.patient, edss.day, np.full(edss.value.size, 2.0))
        )

    result = analyse(cohort, Definition())
    rooms = {room["slug"]: room for room in result["rooms"]}

    silent = {
        "few": ["losses", *TESTED],
        "no controls": ["losses", "phenotypes"],
        "one edss": ["cord-area", "discrimination"],
    }[case]
    for slug in silent:
        assert rooms[slug]["verdict"] == "cannot be answered"
        assert rooms[slug]["figures"] == {}
        assert rooms[slug]["answer"].endswith(".")
        assert rooms[slug]["title"] in result["methods"]
    # The methods name only what was done.
    was_compared = rooms["discrimination"]["verdict"] != "cannot be answered"
    assert ("Welch" in result["methods"]) is was_compared


def test_a_statement_counts_only_after_it_was_made():
    cohort = synthetic_cohort(Truth(), rng=np.random.default_rng(9), patients=100, controls=20)
    selected = select(cohort, Definition())
    rows = counting_rows(selected, courses_of(selected), "cdw")
    origin = {}
    said = cohort.statements
    for patient, day, d in zip(said.patient, said.day, said.d, strict=True):
        if np.isfinite(d):
            origin.setdefault(patient, day)

    assert rows.is_event.sum() > 5
    for i in range(rows.patient.size):
        own = said.patient == rows.patient[i]
        days = (said.day[own] - origin[rows.patient[i]]) / 365.25
        known = said.d[own][days <= rows.start[i] + 1e-9]
        assert rows.d[i] == known[-1]
        assert rows.stop[i] > rows.start[i]
    # Nobody goes on after the event.
    for patient in np.unique(rows.patient):
        assert not rows.is_event[rows.patient == patient][:-1].any()


def test_the_survival_curve_is_the_one_done_by_hand():
    years = np.array([1.0, 2, 2, 3, 4, 5])
    is_event = np.array([True, True, False, False, True, False])

    curve = kaplan_meier(years, is_event)

    assert curve.times.tolist() == [0, 1, 2, 4]
    assert curve.survival == pytest.approx([1, 5 / 6, 5 / 6 * 4 / 5, 5 / 6 * 4 / 5 / 2])
    assert np.all(curve.low <= curve.survival)
    assert np.all(curve.survival <= curve.high)
    # One event at a time without ties: the log-rank test is the score test of Cox.
    group = np.array([1, 0, 1, 0, 1, 0])
    assert 0 < log_rank(years, is_event, group).p < 1


def test_the_joint_slopes_equal_nlme():
    groups = bivariate_groups()
    patient = np.concatenate([np.full(g.y.size, i) for i, g in enumerate(groups)])
    region = np.concatenate([g.stratum for g in groups])
    years = np.concatenate([g.X[:, 2] + g.X[:, 3] for g in groups])
    y = np.concatenate([g.y for g in groups])

    fit = fit_joint_slopes(sums_of(patient, region, years, y, patients=len(groups)))

    # The maximum that mixed_model finds too; nlme stops 0.0003 below it.
    assert fit.log_likelihood == pytest.approx(-2604.05298, abs=1e-4)
    assert fit.beta == pytest.approx([0.1621, -0.4107, -0.9512, -0.8734], rel=1e-3)
    assert fit.slope_sd == pytest.approx((0.2448, 0.5320), rel=1e-3)
    assert fit.slope_correlation == pytest.approx(0.7176, abs=1e-3)
    assert fit.sigma == pytest.approx([0.58726, 1.47985], rel=1e-4)


def test_the_area_under_the_curve_counts_pairs_and_clusters():
    rng = np.random.default_rng(5)
    score, kind = rng.normal(size=60), rng.random(60) < 0.4
    score[kind] += 0.7
    pairs = (score[kind][:, None] > score[~kind][None, :]).mean()

    one = area_under_curve(score, kind)
    twice = area_under_curve(np.tile(score, 2), np.tile(kind, 2), np.tile(np.arange(60), 2))

    assert one.auc == pytest.approx(pairs)
    # Every visit copied: clustered by patient nothing is learned from the copies.
    assert twice.auc == pytest.approx(one.auc)
    assert twice.se == pytest.approx(one.se)
    assert area_difference(one, one)[0] == 0
    with pytest.raises(NotAssessable):
        area_under_curve(score[:1], kind[:1])


def test_power_is_as_published():
    # divergence.md 11: .6 against .2 with 100 per group .93; 80 % at g .3, .4, .5.
    assert correlation_power(0.6, 100, 0.2, 100) == pytest.approx(0.93, abs=0.005)
    assert correlation_power(0.6, 200, 0.3, 200) == pytest.approx(0.97, abs=0.005)
    for g, n in ((0.3, 175), (0.4, 99), (0.5, 64)):
        assert difference_power(g, n, n) == pytest.approx(0.80, abs=0.006)
    assert findable_difference(64, 64) == pytest.approx(0.5, abs=0.005)
