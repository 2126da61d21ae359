"""Planted truths are found, null cohorts are left alone, thin data get a sentence."""

from dataclasses import replace

import numpy as np
import pytest

from monitoring.core.cohort.analysis import analyse
from monitoring.core.cohort.courses import counting_rows, courses_of
from monitoring.core.cohort.curves import kaplan_meier, log_rank
from monitoring.core.cohort.definition import Definition
from monitoring.core.cohort.joint_slopes import (
    fit_joint_slopes,
    joint_design,
    search,
    sums_of,
)
from monitoring.core.cohort.power import (
    bands_answer,
    correlation_power,
    difference_power,
    findable_difference,
)
from monitoring.core.cohort.ranking import area_difference, area_under_curve
from monitoring.core.cohort.selection import select
from monitoring.core.cohort.slope_profile import equality_p, slope_profile
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


def test_a_correlation_of_the_other_sign_is_called_stronger_and_not_higher():
    turned = synthetic_cohort(Truth(r_mild=0.1, r_severe=-0.6), rng=np.random.default_rng(71))

    room = rooms_of(turned)["correlations"]

    assert room["verdict"] == "not supported"
    assert "it is stronger beyond EDSS" in room["answer"]


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


def test_nobody_is_at_risk_of_what_no_later_visit_could_confirm():
    cohort = synthetic_cohort(Truth(), rng=np.random.default_rng(9), patients=60, controls=20)
    last_but_two, last_but_one, last = np.unique(cohort.edss.day)[-3:].tolist()
    # One patient relapsed before the last visit, which then confirms nothing.
    relapsed = replace(cohort, relapses=Long.of([(0, last - 20, 1.0)]))

    courses = courses_of(select(relapsed, Definition()))

    assert courses.ends["cdw"][1] == last_but_one
    assert courses.ends["spms"][1] == last_but_one
    assert courses.ends["cdw"][0] == last_but_two
    for endpoint, events in courses.events.items():
        seen = np.isfinite(events)
        assert np.all(events[seen] <= courses.ends[endpoint][seen])


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


def slope_sums(*, patients, rho, seed):
    """Sums of six yearly scans of brain and cord with slopes correlated by rho."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, patients))
    slope = [0.25 * first - 0.4, 0.55 * (rho * first + np.sqrt(1 - rho**2) * second) - 0.9]
    years = np.arange(6.0)
    y = [
        rng.normal(0, level, (patients, 1)) + own[:, None] * years
        + rng.normal(0, error, (patients, 6))
        for own, level, error in zip(slope, (5, 7), (0.6, 1.5), strict=True)
    ]  # fmt: skip
    return sums_of(
        np.tile(np.repeat(np.arange(patients), 6), 2),
        np.repeat([0, 1], 6 * patients),
        np.tile(years, 2 * patients),
        np.concatenate([one.ravel() for one in y]),
        patients=patients,
    )


def test_the_profile_interval_ends_where_the_likelihood_has_fallen_enough():
    sums = slope_sums(patients=60, rho=0.5, seed=4)
    fit = fit_joint_slopes(sums)
    profile = slope_profile(sums, fit)

    low, high = profile.interval()

    assert low < fit.slope_correlation < high
    for end in (low, high):
        assert profile.rise(np.arctanh(end)) == pytest.approx(3.841, abs=0.06)
    # The likelihood is not a parabola: this end lies further out than the curvature says.
    assert abs(np.arctanh(low) - profile.z) != pytest.approx(1.96 * profile.se, rel=0.005)


def test_groups_of_one_correlation_are_equal_and_others_are_not():
    def profile(rho, seed):
        sums = slope_sums(patients=200, rho=rho, seed=seed)
        return slope_profile(sums, fit_joint_slopes(sums))

    mild = profile(0.7, 1)

    assert equality_p(mild, profile(0.7, 2)) > 0.05
    assert equality_p(mild, profile(0.0, 3)) < 0.001
    assert equality_p(mild, mild) == 1.0


def test_a_large_fit_started_from_a_sample_finds_the_same_maximum():
    sums = slope_sums(patients=3400, rho=0.4, seed=5)

    fit = fit_joint_slopes(sums)
    again = search(sums, joint_design(sums, None), fit.theta + 0.01)

    assert fit.theta == pytest.approx(again, abs=2e-4)


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


def test_power_without_patients_in_a_band_is_no_number():
    assert bands_answer(64, 64).endswith("would be found with 80 %.")
    assert bands_answer(1, 64).endswith("(1 and 64 patients) no difference could be tested.")
