"""Proportional hazards where events are seen at visits only: the grouped-time model.

An event between two visits is known to lie in an interval, not at a time. With a hazard
exp(a + x b) over an interval of length L its probability is 1 - exp(-L exp(a + x b)): a
binomial model with complementary log-log link and offset ln L, whose b is the log hazard ratio
of Cox's model (Prentice and Gloeckler 1978, Biometrics 34:57). Many events on one visit day,
which Cox's model has to approximate as ties, are exact here.
"""

import numpy as np
from numpy.typing import NDArray

from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, IntArray, as_floats
from monitoring.core.survival import LARGEST_EFFECT, HazardFit

STEPS = 60


def grouped_fit(
    *,
    length: FloatArray,
    is_event: NDArray[np.bool_],
    covariates: FloatArray,
    period: IntArray,
) -> HazardFit:
    """Fit by Fisher scoring; one baseline hazard per period.

    Parameters
    ----------
    length : array, shape (n,)
        Of each interval, in years.
    is_event
        Whether the event lies in it.
    covariates : array, shape (n, k)
        Known at the start of the interval.
    period : array, shape (n,)
        Which baseline hazard an interval has. A period without an event tells nothing, and
        its rows are left out.

    Raises
    ------
    NotAssessable
        Without an event, or where an effect is infinite.
    """
    if not is_event.any():
        raise NotAssessable("There is no event.")
    keep = np.isin(period, np.unique(period[is_event]))
    y, offset = is_event[keep].astype(float), np.log(length[keep])
    names, place = np.unique(period[keep], return_inverse=True)
    spread = covariates[keep].std(axis=0)
    if not np.all(spread > 0):
        raise NotAssessable("A covariate is constant or collinear with others.")
    x = (covariates[keep] - covariates[keep].mean(axis=0)) / spread
    design = np.column_stack([np.eye(names.size)[place], x])
    time = np.bincount(place, np.exp(offset))
    theta = np.concatenate([np.log(np.bincount(place, y) / time), np.zeros(x.shape[1])])
    value, slope, information = _likelihood(theta, design, offset, y)
    for _ in range(STEPS):
        try:
            step = np.linalg.solve(information, slope)
        except np.linalg.LinAlgError as error:
            raise NotAssessable("An effect of the grouped-time model is infinite.") from error
        size = 1.0
        while True:
            new = _likelihood(theta + size * step, design, offset, y)
            if np.isfinite(new[0]) and new[0] >= value - 1e-12 * abs(value):
                break
            size /= 2
            if size < 1e-10:
                raise NotAssessable("The grouped-time likelihood cannot be raised.")
        theta, (value, slope, information) = theta + size * step, new
        if float(np.abs(size * step).max()) < 1e-8:
            break
    else:
        raise NotAssessable("The grouped-time model did not converge.")
    own = slice(names.size, None)
    if float(np.abs(theta[own]).max()) > LARGEST_EFFECT:
        raise NotAssessable("An effect is infinite: a covariate orders the events completely.")
    covariance = np.linalg.inv(information)
    return HazardFit(
        coefficients=as_floats(theta[own] / spread),
        standard_errors=as_floats(np.sqrt(np.diag(covariance))[own] / spread),
        log_likelihood=value,
        rows=y.size,
        events=int(y.sum()),
    )


def _likelihood(
    theta: FloatArray, design: FloatArray, offset: FloatArray, y: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Return log likelihood, gradient and expected information."""
    # Beyond exp(30) an interval without an event is impossible in any case.
    mean = np.exp(np.minimum(design @ theta + offset, 30.0))
    happens = -np.expm1(-mean)
    odds = mean * np.exp(-mean) / happens
    value = float(np.log(happens[y == 1]).sum() - mean[y == 0].sum())
    slope = design.T @ (y * odds - (1 - y) * mean)
    weight = mean * odds
    return value, as_floats(slope), as_floats((design.T * weight) @ design)
