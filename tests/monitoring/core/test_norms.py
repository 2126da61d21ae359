"""Norms, the state quadrant and the simple rule against the clinical test vectors."""

from dataclasses import replace

import numpy as np
import pytest

from monitoring.core.baseline_rule import (
    BaselineScan,
    BaselineWord,
    baseline_rule,
    excess_probability,
    expected_brain_rate,
    expected_cord_rate,
    weighted_slope,
)
from monitoring.core.errors import NotAssessable
from monitoring.core.norms import (
    C2_T1W,
    C2_T1W_EARLIER,
    ControlScan,
    Quadrant,
    Sex,
    ZScore,
    brain_rate_label,
    normalised_area,
    own_norm,
    smallest_detectable_change,
    state_quadrant,
    z_score,
)
from monitoring.core.types import Region

FACTS = C2_T1W.facts


def test_the_default_norm_gives_the_printed_values():
    him = z_score(58, facts=FACTS, age=60, sex=Sex.MALE)
    # Printed with three and two decimals.
    assert him.expected == pytest.approx(69.842, abs=5e-4)
    assert him.z == pytest.approx(-1.88, abs=5e-3)
    assert him.is_abnormal is False
    her = z_score(54.96, facts=FACTS, age=45, sex=Sex.FEMALE)
    assert her.expected == 67.299
    assert her.is_abnormal is True
    assert z_score(54.98, facts=FACTS, age=45, sex=Sex.FEMALE).is_abnormal is False


def test_the_earlier_norm_is_kept():
    him = z_score(58, facts=FACTS, age=60, sex=Sex.MALE, norm=C2_T1W_EARLIER)
    assert him.expected == pytest.approx(69.608, abs=1e-3)
    assert him.z == pytest.approx(-1.83, abs=5e-3)


@pytest.mark.parametrize(
    ("change", "age", "sex", "words"),
    [
        ({}, 96, Sex.MALE, "ages 18 to 94, not 96"),
        ({"contrast": "t2"}, 50, Sex.MALE, "contrast t1, not t2"),
        ({"method": "neuraxis-cord"}, 50, Sex.MALE, "method sct, not neuraxis-cord"),
        ({"structure": "cord_c2_c3"}, 50, Sex.MALE, "structure cord_c2_mean_csa"),
        ({}, 50, None, "needs the sex"),
    ],
)
def test_outside_its_validity_a_norm_gives_a_reason_and_no_number(change, age, sex, words):
    result = z_score(60, facts=replace(FACTS, **change), age=age, sex=sex)
    assert result.z is None
    assert result.is_abnormal is None
    assert words in result.reason


def test_normalisation_by_the_baseline_brain():
    # Printed with three decimals.
    her = normalised_area(70, baseline_brain_mm3=1_100_000, sex=Sex.FEMALE)
    him = normalised_area(70, baseline_brain_mm3=1_100_000, sex=Sex.MALE)
    assert her == pytest.approx(71.352, abs=5e-4)
    assert him == pytest.approx(72.732, abs=5e-4)


def controls(count: int) -> list[ControlScan]:
    rng = np.random.default_rng(6)
    ages = np.linspace(20, 75, count)
    return [
        ControlScan(
            70 + 4 * (i % 2) - 0.1 * (age - 45) + rng.normal(0, 3),
            float(age),
            Sex.MALE if i % 2 else Sex.FEMALE,
        )
        for i, age in enumerate(ages)
    ]


def test_own_controls_give_a_norm_with_their_ages_as_its_limits():
    norm = own_norm(controls(120), facts=FACTS, id="own")
    # Three standard errors of 120 controls of SD 3.
    assert norm.expected(age=45, sex=Sex.FEMALE) == pytest.approx(70, abs=1.5)
    assert norm.predictive_sd == pytest.approx(3.0, abs=0.6)
    assert (norm.youngest, norm.oldest) == (20, 75)
    assert z_score(70, facts=FACTS, age=80, sex=Sex.MALE, norm=norm).z is None


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (controls(30), "needs 40"),
        ([replace(c, sex=Sex.MALE) for c in controls(60)], "both sexes"),
        ([c for c in controls(90) if not 40 < c.age < 55], "leave a gap"),
    ],
)
def test_controls_that_make_no_norm_are_refused(chosen, words):
    with pytest.raises(NotAssessable, match=words):
        own_norm(chosen, facts=FACTS, id="own")


def z(value: float | None) -> ZScore:
    return ZScore(value, 70.0, "n", "" if value is not None else "No z-score: age.")


@pytest.mark.parametrize(
    ("brain", "cord", "expected"),
    [
        (0.0, 0.0, Quadrant.NONE),
        (-2.0, 0.0, Quadrant.BRAIN_ONLY),
        (0.0, -2.0, Quadrant.CORD_ONLY),
        (-2.0, -2.0, Quadrant.BOTH),
        (-1.96, -1.96, Quadrant.NONE),
    ],
)
def test_the_quadrant_follows_the_cut(brain, cord, expected):
    state = state_quadrant(brain=z(brain), cord=z(cord), brain_error_z=0.2, cord_error_z=0.3)
    assert state.quadrant is expected
    assert sum(state.probabilities.values()) == pytest.approx(1)


def test_at_the_cut_the_quadrant_is_a_coin():
    state = state_quadrant(brain=z(3.0), cord=z(-1.96), brain_error_z=0.1, cord_error_z=0.3)
    assert state.probabilities[Quadrant.CORD_ONLY] == pytest.approx(0.5)


def test_without_a_norm_there_is_no_quadrant():
    state = state_quadrant(brain=z(None), cord=z(0.0), brain_error_z=0.1, cord_error_z=0.3)
    assert state.quadrant is None
    assert state.reason == "No z-score: age."


def test_published_labels_and_detectable_change():
    assert brain_rate_label(-0.43) == "80 % specificity, 65 % sensitivity"
    assert brain_rate_label(-0.39) is None
    assert smallest_detectable_change(2.2) == pytest.approx(6.1, abs=0.05)
    assert smallest_detectable_change(1.0) == pytest.approx(2.8, abs=0.05)


def test_expected_rates_by_age():
    assert [expected_cord_rate(a) for a in (45, 52.5, 60, 80)] == [0, -0.15, -0.30, -0.50]
    rates = [expected_brain_rate(a) for a in (30, 45, 60)]
    assert rates == pytest.approx([-0.10, -0.32, -0.50])


def test_the_posterior_of_the_simple_rule():
    variance, mean, p = excess_probability(-2.5, 0.5)
    assert (variance, mean, p) == pytest.approx((0.1910, -2.0755, 0.9705), abs=5e-5)


def scans(cord: float, years: list[float], sd: float = 1.0) -> list[BaselineScan]:
    return [
        BaselineScan(t, region, 70 * float(np.exp(rate * t / 100)), s, "A")
        for t in years
        for region, rate, s in ((Region.BRAIN, -0.3, 0.4), (Region.CORD, cord, sd))
    ]


def test_the_simple_rule_speaks_of_fast_cords_only():
    years = [0.0, 1, 2, 3, 4, 5, 6]
    assert baseline_rule(scans(-4.0, years), age=45).word is BaselineWord.RED
    assert baseline_rule(scans(-0.5, years), age=45).word is BaselineWord.NOTHING
    amber = baseline_rule(scans(-1.8, years, sd=2.2), age=45)
    assert amber.word is BaselineWord.AMBER


def test_the_simple_rule_needs_its_scans():
    short = baseline_rule(scans(-4.0, [0.0, 1, 2], sd=2.2), age=45)
    assert short.word is BaselineWord.NOT_ELIGIBLE
    assert short.excess_gap is None
    assert baseline_rule(scans(-4.0, [0.0, 1, 2]), age=45).word is not BaselineWord.NOT_ELIGIBLE


def test_a_jump_between_strata_is_no_slope():
    jump = [
        replace(one, stratum="B", value=one.value * 1.1) if one.years > 2 else one
        for one in scans(-1.0, [0.0, 1, 2, 3, 4, 5])
        if one.region is Region.CORD
    ]
    assert weighted_slope(jump).slope == pytest.approx(-1.0, abs=1e-9)
    with pytest.raises(NotAssessable, match="two times"):
        weighted_slope([replace(one, stratum=str(one.years)) for one in jump])
