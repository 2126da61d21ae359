"""Cox regression with time-varying covariates (counting process), by Newton steps.

Own code because the usual library was seen to return a hazard ratio of 0.0 without a word on
start-stop data; this one halves a step until the likelihood rises, and fails loudly.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monitoring.core.concordance import concordance
from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, IntArray, as_floats

LARGEST_EFFECT = 12.0
"""Log hazard ratio per SD of a covariate, a hazard ratio of 160,000, beyond which the events
are separated and the likelihood has no maximum."""


ROUNDING = 1e-13
"""Share of the likelihood below which a change is the rounding of its sums."""


class Ties(StrEnum):
    """How events at one time are treated."""

    EFRON = "efron"
    BRESLOW = "breslow"


@dataclass(frozen=True, slots=True, kw_only=True)
class HazardFit:
    """A fitted proportional hazards model of n rows and k covariates.

    Attributes
    ----------
    coefficients, standard_errors : arrays, shape (k,)
        Log hazard ratios per unit of each covariate.
    log_likelihood : float
        At the fit; partial in Cox's model.
    """

    coefficients: FloatArray
    standard_errors: FloatArray
    log_likelihood: float
    rows: int
    events: int

    @property
    def hazard_ratios(self) -> FloatArray:
        """Return exp(coefficients)."""
        return np.exp(self.coefficients)

    def interval(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return the Wald interval of the hazard ratios."""
        z = float(stats.norm.ppf(0.5 + level / 2))
        return (
            np.exp(self.coefficients - z * self.standard_errors),
            np.exp(self.coefficients + z * self.standard_errors),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CoxFit(HazardFit):
    """A fitted Cox model.

    Attributes
    ----------
    log_likelihood_null : float
        Partial log likelihood without covariates.
    concordance : float
        Share of comparable pairs ordered as the linear predictor says, ties counted half.
    """

    covariance: FloatArray
    log_likelihood_null: float
    concordance: float

    def likelihood_ratio_p(self) -> float:
        """Return the p value of the likelihood ratio test against no covariate."""
        twice = 2 * (self.log_likelihood - self.log_likelihood_null)
        return float(stats.chi2.sf(twice, self.coefficients.size))


def cox_fit(
    *,
    start: FloatArray,
    stop: FloatArray,
    is_event: NDArray[np.bool_],
    covariates: FloatArray,
    ties: Ties = Ties.EFRON,
    with_concordance: bool = True,
) -> CoxFit:
    """Fit a Cox model to start-stop rows.

    A row is at risk of an event at t when start < t <= stop: a patient's own follow-up that
    begins at t is not at risk at t, which is what careless risk sets get wrong.

    Parameters
    ----------
    covariates : array, shape (n, k)
    with_concordance : bool
        Whether the concordance is counted, which takes as long as the fit; else it is NaN.

    Raises
    ------
    NotAssessable
        For values that are no numbers, intervals of no length, no event, collinear
        covariates, or a likelihood without a maximum (complete separation).
    """
    _check(start, stop, is_event, covariates)
    centred = covariates - covariates.mean(axis=0)
    order = _order(start, stop, is_event)
    beta = np.zeros(covariates.shape[1])
    value, slope, information = _partial(beta, centred, order, ties)
    null = value
    for _ in range(50):
        try:
            step = np.linalg.solve(information, slope)
        except np.linalg.LinAlgError as error:
            raise NotAssessable("An effect of the Cox model is infinite.") from error
        size = 1.0
        while True:
            trial = beta + size * step
            new = _partial(trial, centred, order, ties)
            if np.isfinite(new[0]) and new[0] >= value - ROUNDING * abs(value):
                break
            size /= 2
            if size < 1e-10:
                raise NotAssessable("The Cox likelihood cannot be raised: no maximum found.")
        gain = new[0] - value
        beta, (value, slope, information) = trial, new
        if gain <= max(1e-10, ROUNDING * abs(value)) and float(np.abs(step).max()) < 1e-7:
            break
    else:
        raise NotAssessable("The Cox model did not converge: an effect may be infinite.")
    if float(np.abs(beta * centred.std(axis=0)).max()) > LARGEST_EFFECT:
        raise NotAssessable("An effect is infinite: a covariate orders the events completely.")
    covariance = np.linalg.inv(information)
    return CoxFit(
        coefficients=beta,
        standard_errors=np.sqrt(np.diag(covariance)),
        covariance=as_floats(covariance),
        log_likelihood_null=null,
        log_likelihood=value,
        concordance=(
            concordance(start, stop, is_event, centred @ beta)
            if with_concordance
            else float("nan")
        ),
        rows=start.size,
        events=int(is_event.sum()),
    )


def _check(
    start: FloatArray, stop: FloatArray, is_event: NDArray[np.bool_], covariates: FloatArray
) -> None:
    """Refuse rows that describe no follow-up."""
    if not all(np.all(np.isfinite(one)) for one in (start, stop, covariates)):
        raise NotAssessable("Cox rows must be finite numbers: drop incomplete rows first.")
    if np.any(stop <= start):
        raise NotAssessable("A follow-up interval ends before it begins.")
    if not is_event.any():
        raise NotAssessable("There is no event.")
    spread = np.linalg.matrix_rank(covariates - covariates.mean(axis=0))
    if spread < covariates.shape[1]:
        raise NotAssessable("A covariate is constant or collinear with others.")


@dataclass(frozen=True, slots=True)
class _Order:
    """How rows enter and leave the risk sets, found once.

    Attributes
    ----------
    entry, exit : int arrays, shape (n,)
        The event times from the first to the last at which a row is at risk are those from
        ``entry`` up to, not with, ``exit``: sums of all risk sets are one cumulative sum.
    times : int
        How many distinct event times there are.
    events, time_of : int arrays, shape (events,)
        Rows with an event, and the index of their time.
    rank, tied : arrays, shape (events,)
        Place among the events of one time from 0, and how many there are.
    """

    entry: IntArray
    exit: IntArray
    times: int
    events: IntArray
    time_of: IntArray
    rank: FloatArray
    tied: FloatArray


def _order(start: FloatArray, stop: FloatArray, is_event: NDArray[np.bool_]) -> _Order:
    """Place the rows once for all steps."""
    events = np.flatnonzero(is_event)
    events = events[np.argsort(stop[events], kind="stable")]
    times, time_of, tied = np.unique(stop[events], return_inverse=True, return_counts=True)
    first = np.concatenate([[0], np.cumsum(tied)[:-1]])
    return _Order(
        entry=np.searchsorted(times, start, side="right"),
        exit=np.searchsorted(times, stop, side="right"),
        times=times.size,
        events=events,
        time_of=time_of,
        rank=as_floats(np.arange(events.size) - first[time_of]),
        tied=as_floats(tied[time_of]),
    )


def _partial(
    beta: FloatArray, x: FloatArray, order: _Order, ties: Ties
) -> tuple[float, FloatArray, FloatArray]:
    """Return the partial log likelihood, its gradient and the information."""
    predictor = x @ beta
    shift = float(predictor.max())
    weight = np.exp(predictor - shift)
    size = beta.size
    upper = np.triu_indices(size)
    # One line per sum that the likelihood needs: w, w x, and the upper half of w x x'.
    wx = weight * x.T
    sums_of = [weight, *wx, *(wx[i] * x[:, j] for i, j in zip(*upper, strict=True))]
    at_risk = np.stack([_risk_sums(one, order) for one in sums_of])
    own = np.stack(
        [np.bincount(order.time_of, one[order.events], order.times) for one in sums_of]
    )
    share = order.rank / order.tied if ties is Ties.EFRON else np.zeros(order.events.size)
    sums = at_risk[:, order.time_of] - share * own[:, order.time_of]
    zero = sums[0]
    mean = sums[1 : 1 + size] / zero
    value = float(predictor[order.events].sum() - np.log(zero).sum() - shift * zero.size)
    slope = as_floats(x[order.events].sum(axis=0) - mean.sum(axis=1))
    second = np.zeros((size, size))
    second[upper] = (sums[1 + size :] / zero).sum(axis=1)
    second = second + np.triu(second, 1).T
    return value, slope, as_floats(second - mean @ mean.T)


def _risk_sums(values: FloatArray, order: _Order) -> FloatArray:
    """Return the sum of a value over the risk set of every event time."""
    steps = np.bincount(order.entry, values, order.times + 1)
    steps = steps - np.bincount(order.exit, values, order.times + 1)
    return as_floats(np.cumsum(steps)[: order.times])
