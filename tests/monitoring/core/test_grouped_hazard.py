"""The grouped-time hazard model: its likelihood, its limit, and its refusals."""

import numpy as np
import pytest
from scipy.optimize import minimize

from monitoring.core.errors import NotAssessable
from monitoring.core.grouped_hazard import grouped_fit
from monitoring.core.survival import cox_fit


def rows(n=4000, *, seed=1, scale=1.0):
    """Intervals of one to two years (times scale) with a log hazard ratio of 0.8."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    length = scale * rng.uniform(1, 2, n)
    period = rng.integers(0, 3, n)
    hazard = np.exp(-3.0 + 0.3 * period + 0.8 * x[:, 0])
    return {
        "length": length,
        "is_event": rng.random(n) < -np.expm1(-hazard * length),
        "covariates": x,
        "period": period,
    }


def test_it_is_the_maximum_of_the_binomial_likelihood():
    given = rows()
    fit = grouped_fit(**given)

    def minus(theta):
        eta = theta[:3][given["period"]] + given["covariates"] @ theta[3:]
        mean = given["length"] * np.exp(eta)
        p = -np.expm1(-mean)
        return -np.where(given["is_event"], np.log(p), -mean).sum()

    witness = minimize(minus, np.array([-3.0, -3, -3, 0, 0]), method="BFGS")

    assert fit.coefficients == pytest.approx(witness.x[3:], abs=1e-4)
    assert fit.log_likelihood == pytest.approx(-witness.fun, abs=1e-6)
    # Expected against observed information.
    assert fit.standard_errors == pytest.approx(
        np.sqrt(np.diag(witness.hess_inv))[3:], rel=0.05
    )


def test_it_finds_what_was_planted():
    found = [grouped_fit(**rows(seed=seed)) for seed in range(20)]

    z = [(fit.coefficients[0] - 0.8) / fit.standard_errors[0] for fit in found]
    # Twenty seeds: the mean of z has a standard error of 0.22.
    assert abs(np.mean(z)) < 0.6
    assert max(np.abs(z)) < 3.5


def test_on_short_intervals_it_is_the_model_of_cox():
    rng = np.random.default_rng(8)
    n = 1500
    x = rng.normal(size=(n, 1))
    time = rng.exponential(1 / np.exp(0.7 * x[:, 0] - 1))
    stop, is_event = np.minimum(time, 2.0), time < 2.0
    cox = cox_fit(start=stop * 0, stop=stop, is_event=is_event, covariates=x)
    # Everybody cut into weeks.
    weeks = np.arange(0, 2, 1 / 52)
    who, week = np.nonzero(stop[:, None] > weeks[None, :])
    end = np.minimum(weeks[week] + 1 / 52, stop[who])
    grouped = grouped_fit(
        length=np.full(who.size, 1 / 52),
        is_event=is_event[who] & (end == stop[who]),
        covariates=x[who],
        period=week,
    )

    assert grouped.coefficients == pytest.approx(cox.coefficients, rel=0.01)
    assert grouped.standard_errors == pytest.approx(cox.standard_errors, rel=0.02)


def test_it_refuses_what_has_no_answer():
    given = rows(200)
    with pytest.raises(NotAssessable, match="no event"):
        grouped_fit(**{**given, "is_event": np.zeros(200, dtype=bool)})
    with pytest.raises(NotAssessable, match="constant"):
        grouped_fit(**{**given, "covariates": np.ones((200, 1))})
    with pytest.raises(NotAssessable, match=r"infinite|no maximum|cannot be raised|converge"):
        grouped_fit(**{**given, "covariates": given["is_event"][:, None] * 1.0})
