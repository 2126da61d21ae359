"""Area under the ROC curve with its interval, for one value per patient or many.

The variance is DeLong's by placement values; with several visits per patient the placements are
summed within patients first (Obuchowski 1997, Biometrics 53:567), so that a patient with many
visits does not count as many patients. With one visit each the two are the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monitoring.core.cohort_statistics import Z95
from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, IntArray, as_floats


@dataclass(frozen=True, slots=True)
class Area:
    """AUC with 95 % interval (logit scale) and the placements of each patient.

    ``influence`` holds each patient's contribution to the error: the covariance of two AUCs of
    the same patients is the sum of products.
    """

    auc: float
    low: float
    high: float
    se: float
    p: float
    positives: int
    negatives: int
    influence: FloatArray


def area_under_curve(
    score: FloatArray, is_positive: NDArray[np.bool_], patient: IntArray | None = None
) -> Area:
    """Return the chance that a positive scores higher than a negative, ties counted half.

    Parameters
    ----------
    score, is_positive : arrays, shape (n,)
    patient : int array, shape (n,), or None
        Whose row it is; None: every row is another patient. A patient may have rows of both
        kinds.

    Raises
    ------
    NotAssessable
        With fewer than two patients of either kind.
    """
    positive, negative = score[is_positive], score[~is_positive]
    m, n = positive.size, negative.size
    owner = (
        np.arange(score.size) if patient is None else np.unique(patient, return_inverse=True)[1]
    )
    count = int(owner.max()) + 1 if owner.size else 0
    with_positive = np.unique(owner[is_positive]).size
    with_negative = np.unique(owner[~is_positive]).size
    if min(with_positive, with_negative) < 2:
        raise NotAssessable("An area under the curve needs two patients of each kind.")
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    own_positive, own_negative = stats.rankdata(positive), stats.rankdata(negative)
    above = (ranks[:m] - own_positive) / n
    below = 1 - (ranks[m:] - own_negative) / m
    auc = float(above.mean())
    influence = np.zeros(count)
    np.add.at(influence, owner[is_positive], (above - auc) / m)
    np.add.at(influence, owner[~is_positive], (below - auc) / n)
    # Small-sample factors as in DeLong (n - 1) and Obuchowski (I / (I - 1)).
    scale = _scale(owner, is_positive, with_positive, with_negative, count)
    influence = as_floats(influence * scale)
    se = float(np.sqrt(influence @ influence))
    low, high, p = _logit_interval(auc, se)
    return Area(auc, low, high, se, p, m, n, influence)


def _scale(
    owner: IntArray,
    is_positive: NDArray[np.bool_],
    with_positive: int,
    with_negative: int,
    count: int,
) -> FloatArray:
    """Return the square root of I / (I - 1) of each patient's kind."""
    has_positive = np.zeros(count, dtype=np.bool_)
    has_positive[owner[is_positive]] = True
    factor_positive = np.sqrt(with_positive / (with_positive - 1))
    factor_negative = np.sqrt(with_negative / (with_negative - 1))
    factors = np.full(count, factor_negative)
    factors[has_positive] = factor_positive
    return factors


def _logit_interval(auc: float, se: float) -> tuple[float, float, float]:
    """Return the interval on the logit scale and p against .5."""
    if se <= 0 or not 0 < auc < 1:
        return (auc, auc, 0.0 if auc in {0.0, 1.0} else 1.0)
    logit, width = np.log(auc / (1 - auc)), Z95 * se / (auc * (1 - auc))
    low, high = (float(1 / (1 + np.exp(-x))) for x in (logit - width, logit + width))
    return low, high, float(2 * stats.norm.sf(abs(auc - 0.5) / se))


def area_difference(first: Area, second: Area) -> tuple[float, float, float, float]:
    """Return the difference of two AUCs of the same patients: value, low, high, p."""
    gap = first.auc - second.auc
    rest = first.influence - second.influence
    se = float(np.sqrt(rest @ rest))
    if se <= 0:
        return gap, gap, gap, 1.0
    return gap, gap - Z95 * se, gap + Z95 * se, float(2 * stats.norm.sf(abs(gap) / se))
