"""The simulator, the detectors, and seeded regressions of the model's behaviour."""

import numpy as np
import pytest

from monitoring.core.detectors import cusum, naive_rate, ols_rate, theil_sen_rate
from monitoring.core.errors import NotAssessable
from monitoring.core.evaluation import (
    above,
    acceleration_auc,
    alarms,
    coverage,
    look_at,
    threshold,
)
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.profiles import PROFILES, profile_table
from monitoring.core.reference import fit_reference
from monitoring.core.series import Series
from monitoring.core.simulation import (
    STEP_YEARS,
    simulate_cohort,
    simulate_scanners,
)


def test_there_are_the_fifteen_named_profiles():
    assert set(PROFILES) == {
        *("base", "reg", "regdense", "best", "harsh", "early", "sdc35", "glob"),
        *("onescan", "tenscan", "dense", "weakk", "rho9", "tail", "nodiv0"),
    }
    assert ("sdc35", "slope_sd", "(0.25, 0.35)") in profile_table()


def test_base_has_the_visits_and_the_converters_it_should():
    patients = simulate_cohort(PROFILES["base"], patients=3000, rng=np.random.default_rng(1))
    visits = np.mean([one.true_years.size for one in patients])
    converters = np.mean([one.is_converter for one in patients])
    # 6.9 visits and 12 % converters; binomial error of 3,000 patients is 0.6 %.
    assert visits == pytest.approx(6.9, abs=0.15)
    assert converters == pytest.approx(0.12, abs=0.018)
    # The documented mean cord slopes: -0.93 %/yr in non-converters, -2.07 in the four years
    # before conversion; 0.06 is three standard errors of the latter.
    calm = [mean_cord_slope(one, 0, one.follow_up) for one in patients if not one.is_converter]
    assert np.mean(calm) == pytest.approx(-0.93, abs=0.04)
    before = [
        mean_cord_slope(one, max(one.conversion - 4, 0), one.conversion)
        for one in patients
        if one.is_converter
    ]
    assert np.mean(before) == pytest.approx(-2.07, abs=0.15)


def mean_cord_slope(one, start, end):
    steps = slice(int(start / STEP_YEARS), int(end / STEP_YEARS) + 1)
    return one.true_slopes[1, steps].mean()


def test_one_seed_gives_one_cohort():
    first, second = (
        simulate_cohort(PROFILES["harsh"], patients=20, rng=np.random.default_rng(9))
        for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.series.y, other.series.y)
        assert one.series.epochs == other.series.epochs


def test_a_cohort_needs_patients():
    with pytest.raises(NotAssessable, match="at least one patient"):
        simulate_cohort(PROFILES["base"], patients=0, rng=np.random.default_rng(0))


def straight(brain: float, cord: float, years: list[float]) -> Series:
    t = np.repeat(np.array(years), 2)
    region = np.tile([0, 1], len(years))
    y = t * np.where(region == 1, cord, brain)
    return Series(t, y, region, np.zeros(t.size, int), ("A",) * t.size)


@pytest.mark.parametrize("detector", [naive_rate, ols_rate, theil_sen_rate])
def test_simple_detectors_read_the_gap_of_two_straight_lines(detector):
    assert detector(straight(-0.4, -1.9, [0, 1, 2.5, 4])) == pytest.approx(1.5)


@pytest.mark.parametrize("detector", [naive_rate, ols_rate, theil_sen_rate])
def test_simple_detectors_are_silent_on_one_scan(detector):
    assert np.isnan(detector(straight(-0.4, -1.9, [0])))


def test_cusum_rises_on_a_falling_cord_only():
    parameters = literature_defaults()
    years = [0.0, 1, 2, 3, 4, 5]
    assert cusum(straight(-0.4, -0.88, years), parameters) == 0
    assert cusum(straight(-0.4, -4.0, years), parameters) > 1


@pytest.fixture(scope="module")
def judged():
    """Return fitted parameters and two judged cohorts on one scanner set, 1,000 in all."""
    rng = np.random.default_rng(4242)
    profile = PROFILES["reg"]
    scanners = simulate_scanners(profile, rng=rng)
    everyone = simulate_cohort(profile, patients=1300, rng=rng, scanners=scanners)
    reference = [one.series for one in everyone[:300] if not one.is_converter][:200]
    parameters = fit_reference(reference, base=literature_defaults(), id="t").parameters
    return (
        parameters,
        look_at(everyone[300:800], parameters),
        look_at(everyone[800:], parameters),
    )


def test_the_model_is_quiet_and_honest_on_a_fixed_seed(judged):
    parameters, _, looks = judged
    flags, watches = (
        alarms(looks, looks.flagged(parameters)),
        alarms(looks, looks.watched(parameters)),
    )
    # The must targets of docs/divergence.md; one cohort of 500 carries +-.3 of chance.
    assert flags.false_per_100_years < 0.9
    assert watches.false_per_100_years < 2.3
    assert flags.specificity > 0.95
    assert 0.92 < coverage(looks) < 0.985


def test_the_model_beats_last_against_first_at_equal_specificity(judged):
    _, calibration, looks = judged
    caught = {
        name: alarms(looks, above(looks, name, threshold(calibration, name))).sensitivity
        for name in ("naive", "model")
    }
    assert caught["model"] > caught["naive"]
    later = acceleration_auc(looks, "model", years=(3, 5))
    assert later > acceleration_auc(looks, "naive", years=(3, 5))


def test_an_alarm_at_every_look_has_no_specificity(judged):
    _, _, looks = judged
    result = alarms(looks, np.ones(looks.patient.size, dtype=bool))
    assert result.specificity == 0
    assert result.sensitivity == 1
