"""Cox regression with time-varying covariates (counting process), by Newton steps.

Own code because the usual library was seen to return a hazard ratio of 0.0 without a word on
start-stop data; this one halves a step until the likelihood rises, and fails loudly.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, as_floats

LARGEST_EFFECT = 12.0
"""Log hazard ratio per SD of a covariate, a hazard ratio of 160,000, beyond which the events
are separated and the likelihood has no maximum."""


class Ties(StrEnum):
    """How events at one time are treated."""

    EFRON = "efron"
    BRESLOW = "breslow"


@dataclass(frozen=True, slots=True)
class CoxFit:
    """A fitted Cox model of n rows and k covariates.

    Attributes
    ----------
    coefficients, standard_errors : arrays, shape (k,)
        Log hazard ratios per unit of each covariate.
    log_likelihood_null, log_likelihood : float
        Partial log likelihood without covariates and at the fit.
    concordance : float
        Share of comparable pairs ordered as the linear predictor says, ties counted half.
    """

    coefficients: FloatArray
    standard_errors: FloatArray
    covariance: FloatArray
    log_likelihood_null: float
    log_likelihood: float
    concordance: float
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
) -> CoxFit:
    """Fit a Cox model to start-stop rows.

    A row is at risk of an event at t when start < t <= stop: a patient's own follow-up that
    begins at t is not at risk at t, which is what careless risk sets get wrong.

    Parameters
    ----------
    covariates : array, shape (n, k)

    Raises
    ------
    NotAssessable
        For values that are no numbers, intervals of no length, no event, collinear
        covariates, or a likelihood without a maximum (complete separation).
    """
    _check(start, stop, is_event, covariates)
    centred = covariates - covariates.mean(axis=0)
    sets = _risk_sets(start, stop, is_event)
    beta = np.zeros(covariates.shape[1])
    value, slope, information = _partial(beta, centred, sets, ties)
    null = value
    for _ in range(50):
        try:
            step = np.linalg.solve(information, slope)
        except np.linalg.LinAlgError as error:
            raise NotAssessable("An effect of the Cox model is infinite.") from error
        size = 1.0
        while True:
            trial = beta + size * step
            new = _partial(trial, centred, sets, ties)
            if np.isfinite(new[0]) and new[0] >= value - 1e-12:
                break
            size /= 2
            if size < 1e-10:
                raise NotAssessable("The Cox likelihood cannot be raised: no maximum found.")
        gain = new[0] - value
        beta, (value, slope, information) = trial, new
        if gain < 1e-10 and float(np.abs(step).max()) < 1e-7:
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
        concordance=_concordance(start, stop, is_event, centred @ beta),
        rows=start.size,
        events=int(is_event.sum()),
    )


RiskSet = tuple[NDArray[np.int64], NDArray[np.int64]]


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


def _risk_sets(
    start: FloatArray, stop: FloatArray, is_event: NDArray[np.bool_]
) -> list[RiskSet]:
    """Return, per event time, the rows at risk and the rows with an event."""
    sets = []
    for when in np.unique(stop[is_event]):
        at_risk = np.flatnonzero((start < when) & (stop >= when))
        died = np.flatnonzero((stop == when) & is_event)
        sets.append((at_risk, died))
    return sets


def _partial(
    beta: FloatArray, x: FloatArray, sets: list[RiskSet], ties: Ties
) -> tuple[float, FloatArray, FloatArray]:
    """Return the partial log likelihood, its gradient and the information."""
    predictor = x @ beta
    weights = np.exp(predictor - predictor.max())
    shift = float(predictor.max())
    value, slope = 0.0, np.zeros(beta.size)
    information = np.zeros((beta.size, beta.size))
    for at_risk, died in sets:
        risk_w, risk_x = weights[at_risk], x[at_risk]
        died_w, died_x = weights[died], x[died]
        sums = (risk_w.sum(), risk_w @ risk_x, risk_x.T @ (risk_w[:, None] * risk_x))
        tied = (died_w.sum(), died_w @ died_x, died_x.T @ (died_w[:, None] * died_x))
        value += float(predictor[died].sum())
        slope += died_x.sum(axis=0)
        for order in range(died.size):
            share = order / died.size if ties is Ties.EFRON else 0.0
            zero = sums[0] - share * tied[0]
            mean = (sums[1] - share * tied[1]) / zero
            value -= float(np.log(zero)) + shift
            slope -= mean
            information += (sums[2] - share * tied[2]) / zero - np.outer(mean, mean)
    return value, slope, information


def _concordance(
    start: FloatArray, stop: FloatArray, is_event: NDArray[np.bool_], predictor: FloatArray
) -> float:
    """Return Harrell's concordance over risk sets."""
    good, pairs = 0.0, 0
    for row in np.flatnonzero(is_event):
        when = stop[row]
        longer = (start < when) & ((stop > when) | ((stop == when) & ~is_event))
        others = predictor[longer]
        good += float((others < predictor[row]).sum() + 0.5 * (others == predictor[row]).sum())
        pairs += others.size
    return good / pairs if pairs else float("nan")
