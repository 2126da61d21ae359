"""The cohort statistics equal R; what has no answer is refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from monitoring.core.cohort_statistics import (
    benjamini_hochberg,
    correlation,
    correlation_difference,
    correlation_heterogeneity,
    dummies,
    fisher_interval,
    holm,
    linear_model,
    theil_sen,
    two_groups,
)
from monitoring.core.errors import NotAssessable
from monitoring.core.mixed_model import Group, fit_mixed_model
from monitoring.core.survival import Ties, cox_fit
from tests.monitoring.core.fixture import DATA

PRINTED = 2e-10
"""R's output is given to ten decimals."""


@pytest.fixture(scope="module")
def checks(realdata):
    text = (realdata / "statistics" / "r_references.json").read_text()
    return {check["id"]: check for check in json.loads(text)["checks"]}


def columns(path: Path) -> dict[str, np.ndarray]:
    with path.open() as handle:
        rows = list(csv.DictReader(handle))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


@pytest.mark.realdata
def test_fisher_z_equals_r(checks):
    given, expected = checks["fisher_z"]["inputs"], checks["fisher_z"]["reference"]
    result = correlation_difference(**given)
    assert result.statistic == pytest.approx(expected["z"], abs=PRINTED)
    assert result.p == pytest.approx(expected["p"], abs=PRINTED)
    assert fisher_interval(0.6, n=120) == pytest.approx(expected["ci_of_0_60"], abs=PRINTED)


@pytest.fixture(scope="module")
def mtcars(checks) -> dict[str, np.ndarray]:
    table = checks["partial_correlation"]["inputs"]["mtcars"]
    return {name: np.array(v, float) for name, v in table.items() if name != "car"}


@pytest.mark.realdata
def test_partial_correlation_equals_r(checks, mtcars):
    expected = checks["partial_correlation"]["reference"]
    given = np.column_stack([mtcars["hp"], mtcars["wt"]])
    result = correlation(mtcars["mpg"], mtcars["qsec"], given=given)
    assert result.r == pytest.approx(expected["r"], abs=PRINTED)
    assert result.t == pytest.approx(expected["t"], abs=PRINTED)
    assert result.p == pytest.approx(expected["p"], abs=PRINTED)
    assert result.n - 2 - given.shape[1] == expected["df"]
    assert result.low < result.r < result.high


@pytest.mark.realdata
def test_ancova_equals_r(checks, mtcars):
    expected = checks["ancova"]["reference"]
    terms = {"wt": mtcars["wt"], "hp": mtcars["hp"], "cyl": dummies(mtcars["cyl"])}
    model = linear_model(mtcars["mpg"], terms)
    # R's inputs are printed in full, so only rounding of the output is left.
    for term in model.deletions:
        assert term.f == pytest.approx(expected["drop1_F"][term.name], rel=1e-9)
        assert term.p == pytest.approx(expected["drop1_p"][term.name], rel=1e-8)
    for term in model.sequential:
        assert term.f == pytest.approx(expected["sequential_F"][term.name], rel=1e-9)
    assert model.residual_sum_of_squares == pytest.approx(expected["rss"], rel=1e-9)
    assert model.residual_df == expected["df_residual"]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "adjust"), [("benjamini_hochberg", benjamini_hochberg), ("holm", holm)]
)
def test_adjusted_p_values_equal_r_in_any_order(checks, name, adjust):
    given = np.array(checks[name]["inputs"]["p"])
    expected = np.array(checks[name]["reference"]["adjusted"])
    assert adjust(given) == pytest.approx(expected, abs=1e-10)
    order = np.random.default_rng(0).permutation(given.size)
    assert adjust(given[order]) == pytest.approx(expected[order], abs=1e-10)


@pytest.mark.realdata
def test_robust_slope_equals_r(checks):
    given, expected = checks["robust_slope"]["inputs"], checks["robust_slope"]["reference"]
    x, y = np.array(given["x"]), np.array(given["y"])
    assert theil_sen(x, y) == pytest.approx(expected["theil_sen"], abs=PRINTED)
    model = linear_model(y, {"x": x})
    assert model.coefficients[1] == pytest.approx(expected["ols"], abs=PRINTED)


@pytest.mark.realdata
def test_two_groups_equal_r(checks):
    given, expected = checks["two_groups"]["inputs"], checks["two_groups"]["reference"]
    result = two_groups(np.array(given["a"]), np.array(given["b"]))
    assert result.cohen_d == pytest.approx(expected["cohen_d"], abs=PRINTED)
    assert result.hedges_g == pytest.approx(expected["hedges_g"], abs=PRINTED)
    assert result.student == pytest.approx(tuple(expected["student"].values()), abs=PRINTED)
    assert result.welch == pytest.approx(tuple(expected["welch"].values()), abs=PRINTED)
    rank = expected["mann_whitney"]
    assert result.mann_whitney.statistic == rank["W"]
    assert result.mann_whitney.p == pytest.approx(rank["p_exact"], abs=PRINTED)
    assert result.g_low < result.hedges_g < result.g_high


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "restricted"), [("mixed_reml", True), ("mixed_ml", False)])
def test_random_slopes_equal_lme4(checks, realdata, name, restricted):
    expected = checks[name]["reference"]
    table = columns(realdata / "statistics" / "sleepstudy.csv")
    subjects = sorted(set(table["Subject"]))
    groups = []
    for subject in subjects:
        rows = table["Subject"] == subject
        design = np.column_stack([np.ones(rows.sum()), table["Days"][rows]])
        zero = np.zeros(rows.sum(), int)
        groups.append(Group(table["Reaction"][rows], design, design, zero))
    fit = fit_mixed_model(groups, restricted=restricted)
    deviance = expected["minus2_reml" if restricted else "minus2_loglik"]
    assert -2 * fit.log_likelihood == pytest.approx(deviance, abs=1e-6)
    assert fit.beta == pytest.approx(expected["fixef"], rel=1e-6)
    # lme4's own optimiser stops at about 1e-5 of a variance.
    assert fit.G[0, 0] == pytest.approx(expected["var_intercept"], rel=1e-4)
    assert fit.G[1, 1] == pytest.approx(expected["var_days"], rel=1e-4)
    assert fit.random_correlation[0, 1] == pytest.approx(expected["corr"], abs=1e-4)
    assert fit.sigma[0] == pytest.approx(expected["sigma"], rel=1e-5)
    for subject, effects in expected["blup"].items():
        own = fit.random_effects[subjects.index(float(subject))]
        assert own == pytest.approx(effects, rel=1e-3)


def bivariate_groups() -> list[Group]:
    with (DATA / "bivariate_fixture.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    groups = []
    for patient in dict.fromkeys(row["id"] for row in rows):
        own = [row for row in rows if row["id"] == patient]
        t = np.array([float(row["t"]) for row in own])
        cord = np.array([row["k"] == "c" for row in own]).astype(int)
        design = np.column_stack([1 - cord, cord, (1 - cord) * t, cord * t]).astype(float)
        y = np.array([float(row["y"]) for row in own])
        groups.append(Group(y, design, design, cord))
    return groups


@pytest.mark.realdata
def test_the_bivariate_model_equals_nlme(checks):
    expected = checks["bivariate_ml"]["reference"]
    groups = bivariate_groups()
    assert len(groups) == expected["n_patients"]
    fit = fit_mixed_model(groups)
    assert fit.log_likelihood >= expected["loglik"] - 1e-4
    # nlme stops a little below the maximum that we and an independent fit find (-2604.05298).
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=1e-3)
    assert fit.beta == pytest.approx(list(expected["fixef"].values()), rel=2e-3)
    assert fit.random_sd == pytest.approx(list(expected["sd"].values()), rel=5e-3)
    assert fit.sigma == pytest.approx(list(expected["sigma"].values()), rel=5e-4)
    assert fit.random_correlation == pytest.approx(np.array(expected["corr"]), abs=0.005)
    assert sum(group.y.size for group in groups) == expected["n_rows"]
    # A hundredth of the SDs of levels (4 and 10 %) and slopes (0.24 and 0.53 %/yr).
    for effects, own in zip(expected["ranef_first_two"], fit.random_effects, strict=False):
        assert np.all(np.abs(own - np.array(effects)) < 0.01 * fit.random_sd)


def cox_of(table: dict[str, np.ndarray], names: list[str], ties: Ties):
    return cox_fit(
        start=table["start"],
        stop=table["stop"],
        is_event=table["event"] == 1,
        covariates=np.column_stack([table[name] for name in names]),
        ties=ties,
    )


@pytest.mark.realdata
@pytest.mark.parametrize("ties", list(Ties))
@pytest.mark.parametrize("form", ["counting", "full"])
def test_cox_with_start_and_stop_equals_r(checks, realdata, form, ties):
    expected = checks[f"cox_{form}_{ties}"]["reference"]
    table = columns(realdata / "statistics" / "heart.csv")
    table["age:transplant"] = table["age"] * table["transplant"]
    table["surgery:transplant"] = table["surgery"] * table["transplant"]
    fit = cox_of(table, list(expected["coef"]), ties)
    assert fit.coefficients == pytest.approx(list(expected["coef"].values()), abs=1e-9)
    assert fit.standard_errors == pytest.approx(expected["se"], abs=1e-9)
    assert fit.log_likelihood_null == pytest.approx(expected["loglik"][0], abs=1e-8)
    assert fit.log_likelihood == pytest.approx(expected["loglik"][1], abs=1e-8)


@pytest.mark.realdata
def test_cox_on_one_row_per_person_equals_r(checks, realdata):
    expected = checks["cox_rossi"]["reference"]
    table = columns(realdata / "statistics" / "rossi.csv")
    table |= {"start": np.zeros(432), "stop": table["week"], "event": table["arrest"]}
    fit = cox_of(table, list(expected["coef"]), Ties.EFRON)
    # R stops once the likelihood rises by less than 1e-9 of itself; we go on.
    assert fit.coefficients == pytest.approx(list(expected["coef"].values()), abs=1e-8)
    assert fit.standard_errors == pytest.approx(expected["se"], abs=1e-9)
    assert fit.log_likelihood == pytest.approx(expected["loglik"][1], abs=1e-8)
    assert fit.concordance == pytest.approx(expected["concordance"], abs=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"is_event": np.zeros(6, bool)}, "no event"),
        ({"stop": np.array([1.0, 2, 3, 4, 5, 0])}, "ends before it begins"),
        ({"covariates": np.ones((6, 1))}, "constant or collinear"),
        ({"covariates": np.array([[1.0], [2], [3], [4], [5], [np.nan]])}, "finite numbers"),
        ({"covariates": np.array([[6.0], [5], [4], [3], [2], [1]])}, "infinite|no maximum"),
    ],
)
def test_cox_fails_loudly(change, words):
    rows = {
        "start": np.zeros(6),
        "stop": np.arange(1.0, 7),
        "is_event": np.ones(6, bool),
        "covariates": np.array([[1.0], [3], [2], [2], [1], [5]]),
    }
    with pytest.raises(NotAssessable, match=words):
        cox_fit(**{**rows, **change})


def test_shifting_a_covariate_changes_no_hazard_ratio():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(60, 2))
    stop = rng.exponential(np.exp(-0.5 * x[:, 0])) + 0.01
    rows = {"start": np.zeros(60), "stop": stop, "is_event": rng.random(60) < 0.7}
    here = cox_fit(**rows, covariates=x)
    there = cox_fit(**rows, covariates=x + 1000)
    assert there.coefficients == pytest.approx(here.coefficients, abs=1e-8)
    low, high = here.interval()
    assert np.all((low < here.hazard_ratios) & (here.hazard_ratios < high))
    assert 0 <= here.likelihood_ratio_p() <= 1


def test_correlation_agrees_with_scipy_and_knows_its_n():
    rng = np.random.default_rng(3)
    x = rng.normal(size=40)
    y = 0.5 * x + rng.normal(size=40)
    result = correlation(x, y)
    expected = stats.pearsonr(x, y)
    interval = expected.confidence_interval()
    assert result.r == pytest.approx(expected.statistic, abs=1e-12)
    assert result.p == pytest.approx(expected.pvalue, abs=1e-12)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high), abs=1e-6)
    assert result.n == 40


def test_equal_correlations_are_not_heterogeneous():
    result = correlation_heterogeneity([0.4, 0.4, 0.4], [50, 80, 60])
    assert result.statistic == pytest.approx(0)
    assert result.df == 2
    assert correlation_heterogeneity([0.7, 0.1, 0.1], [100, 100, 100]).p < 0.001


@pytest.mark.parametrize(
    "question",
    [
        lambda: correlation(np.arange(3.0), np.arange(3.0)),
        lambda: correlation(np.ones(10), np.arange(10.0)),
        lambda: two_groups(np.ones(4), np.ones(4)),
        lambda: two_groups(np.ones(1), np.arange(4.0)),
        lambda: theil_sen(np.zeros(3), np.arange(3.0)),
        lambda: linear_model(np.arange(5.0), {"a": np.ones(5)}),
        lambda: dummies(["a", "a"]),
        lambda: fit_mixed_model([]),
        lambda: correlation_difference(r1=0.5, n1=3, r2=0.5, n2=30),
    ],
)
def test_a_question_without_an_answer_is_refused(question):
    with pytest.raises(NotAssessable):
        question()
