"""The model equals its reference numbers and an independent brute-force integration."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from monitoring.core.estimates import DIVERGENCE, posterior_table
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.posterior import solve
from monitoring.core.priors import StepPrior
from monitoring.core.series import Series, pack
from tests.monitoring.core.fixture import document, fixture_parameters, series_of

PATIENTS = tuple(document()["patients"])
COLUMNS = ("brain_slope", "cord_slope", "D", "gap")
PRINTED = 1e-8
"""The reference is rounded to 8 decimals, so half a unit there plus double rounding."""


@pytest.mark.parametrize(("robust", "key"), [(False, "gaussian"), (True, "student_t5")])
@pytest.mark.parametrize("name", PATIENTS)
def test_every_number_equals_the_reference(name, robust, key):
    expected = document()["expected"][name]
    numbers = expected[key]
    series = series_of(document()["patients"][name])
    table = posterior_table([series], fixture_parameters(), robust=robust)
    for column, word in enumerate(COLUMNS):
        one = numbers[word]
        assert table.mean[0, column] == pytest.approx(one["mean"], abs=PRINTED)
        assert table.sd[0, column] == pytest.approx(one["sd"], abs=PRINTED)
        assert table.low[0, column] == pytest.approx(one["cri95"][0], abs=PRINTED)
        assert table.high[0, column] == pytest.approx(one["cri95"][1], abs=PRINTED)
        assert table.unchanged_mean[0, column] == pytest.approx(one["h0_mean"], abs=PRINTED)
        assert table.unchanged_sd[0, column] == pytest.approx(one["h0_sd"], abs=PRINTED)
    assert table.p_change[0] == pytest.approx(numbers["p_change"], abs=PRINTED)
    assert table.p_half[0] == pytest.approx(numbers["p_D_below_minus_0_5"], abs=PRINTED)
    assert table.p_one[0] == pytest.approx(numbers["p_D_below_minus_1"], abs=PRINTED)
    prior = 1 - expected["prior_p_no_change"]
    assert table.p_change_prior[0] == pytest.approx(prior, abs=PRINTED)
    if robust:
        assert table.weights[0] == pytest.approx(numbers["weights"], abs=PRINTED)


def test_all_patients_in_one_batch_equal_each_alone():
    every = [series_of(document()["patients"][name]) for name in PATIENTS]
    parameters = fixture_parameters()
    together = posterior_table(every, parameters)
    for index, series in enumerate(every):
        alone = posterior_table([series], parameters)
        # Padding changes only the order of additions.
        assert together.mean[index] == pytest.approx(alone.mean[0], abs=1e-10)
        assert together.low[index] == pytest.approx(alone.low[0], abs=1e-7)
        assert together.weights[index] == pytest.approx(alone.weights[0], abs=1e-12)


def test_chunks_of_any_size_give_the_same_numbers():
    every = [series_of(document()["patients"][name]) for name in PATIENTS] * 3
    parameters = fixture_parameters()
    whole = posterior_table(every, parameters)
    tiny = posterior_table(every, parameters, chunk_cells=1)
    assert whole.p_change == pytest.approx(tiny.p_change, abs=1e-12)


def test_the_history_equals_the_reference_with_weights_made_anew_at_every_visit():
    history = document()["as_of_history"]
    series = series_of(document()["patients"][history["patient"]])
    cuts = [series.until(value["t_now"]) for value in history["values"]]
    table = posterior_table(cuts, fixture_parameters())
    for index, value in enumerate(history["values"]):
        assert table.p_change[index] == pytest.approx(value["p_change"], abs=PRINTED)
        assert table.p_one[index] == pytest.approx(value["p_D_below_minus_1"], abs=PRINTED)
        assert table.mean[index, DIVERGENCE] == pytest.approx(value["D_mean"], abs=PRINTED)
        assert table.low[index, DIVERGENCE] == pytest.approx(value["D_cri95"][0], abs=PRINTED)
        assert table.high[index, DIVERGENCE] == pytest.approx(value["D_cri95"][1], abs=PRINTED)


def test_intermediate_matrices_equal_the_reference():
    middle = document()["intermediate"]
    parameters = fixture_parameters()
    series = series_of(document()["patients"][middle["patient"]])
    solved = solve(pack([series], parameters), parameters, robust=False)
    count = len(middle["tau"])
    assert solved.residual[0] == pytest.approx(middle["residual_r"], abs=PRINTED)
    # Inverting twice costs digits: the condition number of V is about 3e2.
    assert np.linalg.inv(solved.precision[0]) == pytest.approx(np.array(middle["V"]), abs=1e-7)
    assert solved.kappa[0, :count] == pytest.approx(middle["kappa_hat"], abs=PRINTED)
    assert solved.kappa_precision[0, :count] == pytest.approx(middle["p_tau"], abs=PRINTED)
    factors = solved.log_bayes_factor[0, :count]
    assert factors == pytest.approx(middle["log_bayes_factor"], abs=PRINTED)
    after = solved.probability[0]
    assert after[0] == pytest.approx(middle["posterior_weight_no_change"], abs=PRINTED)
    assert after[1 : count + 1] == pytest.approx(middle["posterior_weight_of_tau"], abs=PRINTED)
    assert after[count + 1 :].sum() == 0


def brute_force(series: Series) -> tuple[float, float]:
    """Integrate kappa on a grid with dense normal densities: slow, and knows no algebra.

    Returns P(change) and P(D < -1).
    """
    parameters = fixture_parameters()
    solved = solve(pack([series], parameters), parameters, robust=False)
    covariance = np.linalg.inv(solved.precision[0])
    residual, years, is_cord = solved.residual[0], series.years, series.region == 1
    psi, walk = parameters.slope_covariance(), np.array(parameters.slope_walk_sd) ** 2
    beta = psi[0, 1] / psi[0, 0]
    on_cord = psi[1, 1] * years + walk[1] * years**2 / 2 - beta * psi[0, 1] * years
    on_brain = psi[0, 1] * years - beta * (psi[0, 0] * years + walk[0] * years**2 / 2)
    c = np.where(is_cord, on_cord, on_brain)
    prior = psi[1, 1] - 2 * beta * psi[0, 1] + beta**2 * psi[0, 0]
    prior += (walk[1] + beta**2 * walk[0]) * series.now
    sd = np.sqrt(prior - c @ np.linalg.solve(covariance, c))
    change = parameters.change
    grid = change.grid()[change.grid() <= series.now]
    onset = change.probabilities()[: grid.size]
    kappas = change.kappa_mean + change.kappa_sd * np.linspace(-7, 7, 2001)
    kappa_density = stats.norm.pdf(kappas, change.kappa_mean, change.kappa_sd)
    kappa_density /= kappa_density.sum()
    cases = [(1 - onset.sum(), 0.0, 0.0)]
    for tau, probability in zip(grid, onset, strict=True):
        weights = probability * kappa_density
        cases += [(w, k, tau) for w, k in zip(weights, kappas, strict=True)]
    weight, kappa, tau = (np.array(column) for column in zip(*cases, strict=True))
    bent = np.maximum(years[None, :] - tau[:, None], 0) * is_cord * kappa[:, None]
    rest = residual[None, :] - bent
    quadratic = np.einsum("ki,ij,kj->k", rest, np.linalg.inv(covariance), rest)
    joint = weight * np.exp(-0.5 * (quadratic - quadratic.min()))
    joint /= joint.sum()
    mean = rest @ np.linalg.solve(covariance, c) + kappa
    return float(joint[1:].sum()), float(joint @ stats.norm.cdf((-1 - mean) / sd))


@pytest.mark.parametrize("name", ["diverging", "one_outlier", "therapy_quality_gaps"])
def test_the_closed_form_equals_brute_force_integration(name):
    series = series_of(document()["patients"][name])
    table = posterior_table([series], fixture_parameters(), robust=False)
    p_change, p_one = brute_force(series)
    # 2001 points over +-7 sd: the error of the sum is below 1e-8.
    assert table.p_change[0] == pytest.approx(p_change, abs=1e-7)
    assert table.p_one[0] == pytest.approx(p_one, abs=1e-7)


STEPS = StepPrior(mean=-1.5, sd=1.0, rate_per_year=0.02)


def test_steps_that_never_happen_change_no_number():
    every = [series_of(document()["patients"][name]) for name in PATIENTS]
    plain = fixture_parameters()
    never = replace(plain, steps=replace(STEPS, rate_per_year=0.0))
    for name in ("p_change", "p_one", "mean", "low", "high"):
        with_steps, without = (
            getattr(posterior_table(every, one), name) for one in (never, plain)
        )
        # Quantiles stop at 1e-9.
        assert with_steps == pytest.approx(without, abs=1e-8)


def test_a_step_equals_brute_force_over_its_size_and_time():
    parameters = replace(fixture_parameters(), steps=STEPS)
    series = series_of(document()["patients"]["one_outlier"])
    solved = solve(pack([series], parameters), parameters, robust=False)
    covariance, residual = np.linalg.inv(solved.precision[0]), solved.residual[0]
    is_cord, change = series.region == 1, parameters.change
    log_density, mass = [], []
    nodes, node_mass = np.polynomial.hermite_e.hermegauss(80)
    grid = change.grid()[change.grid() <= series.now]
    chances = {False: change.probabilities(), True: 0.5 * 0.02 * np.exp(-0.02 * grid)}
    sizes = {False: (change.kappa_mean, change.kappa_sd), True: (STEPS.mean, STEPS.sd)}
    cases = [(False, tau, i) for i, tau in enumerate(grid)]
    cases += [(True, tau, i) for i, tau in enumerate(grid) if i]
    for is_step, tau, i in cases:
        course = (series.years >= tau) if is_step else np.maximum(series.years - tau, 0)
        mean, sd = sizes[is_step]
        for node, share in zip(nodes, node_mass / node_mass.sum(), strict=True):
            rest = residual - course * is_cord * (mean + sd * node)
            log_density.append(-0.5 * rest @ np.linalg.solve(covariance, rest))
            mass.append((is_step, chances[is_step][i] * share))
    none = -0.5 * residual @ np.linalg.solve(covariance, residual)
    weight = np.exp(np.array(log_density) - none)
    of_step = sum(w * m for w, (is_step, m) in zip(weight, mass, strict=True) if is_step)
    of_bend = sum(w * m for w, (is_step, m) in zip(weight, mass, strict=True) if not is_step)
    total = 1 - sum(m for _, m in mass) + of_step + of_bend

    assert solved.p_step[0] == pytest.approx(of_step / total, abs=1e-7)
    assert solved.p_change[0] == pytest.approx(of_bend / total, abs=1e-7)
    assert of_step / total > 0.05


def test_a_lost_lesion_volume_is_a_step_and_no_change_of_rate():
    years = np.repeat(np.arange(9.0), 2)
    region = np.tile([0, 1], 9)
    y = np.where(region == 1, -0.9, -0.4) * years - 3.0 * ((region == 1) & (years >= 4))
    series = Series(years, y, region, np.zeros(18, dtype=int), ("A",) * 18)
    precise = replace(literature_defaults(), error_sd=(0.3, 0.5), slope_sd=(0.25, 0.55))
    blind, seeing = (
        posterior_table([series], one) for one in (replace(precise, steps=None), precise)
    )

    assert seeing.p_step[0] > 0.9
    assert seeing.p_change[0] < blind.p_change[0]
    # The loss is in the level: the rate now comes out as the true one.
    assert seeing.mean[0, DIVERGENCE] == pytest.approx(0.0, abs=0.2)
    assert abs(seeing.mean[0, DIVERGENCE]) < abs(blind.mean[0, DIVERGENCE])


def test_without_rows_the_posterior_is_the_prior():
    empty = Series(np.empty(0), np.empty(0), np.empty(0, int), np.empty(0, int), ())
    parameters = fixture_parameters()
    table = posterior_table([empty], parameters)
    assert table.mean[0, :2] == pytest.approx(
        [parameters.slope_mean[0], parameters.slope_mean[1] - 1.4 * 0.05]
    )
    assert table.p_change[0] == pytest.approx(0.05)


def test_quantiles_return_their_probability():
    every = [series_of(document()["patients"][name]) for name in PATIENTS]
    parameters = fixture_parameters()
    from monitoring.core.functionals import present_slopes
    from monitoring.core.posterior import mixture

    solved = solve(pack(every, parameters), parameters)
    mixed = mixture(solved, present_slopes(solved.batch, parameters))
    for level in (0.025, 0.1, 0.5, 0.9, 0.975):
        assert mixed.below(mixed.quantile(level)) == pytest.approx(level, abs=1e-9)
