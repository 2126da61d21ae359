"""What another scan could tell: the level and the precision to expect on a date to come.

The next values of brain and cord are not known, but the model predicts them, as a mixture of
Gaussians over "no change" and every onset of a change up to that date. Each of a fixed set of
predicted pairs is then taken for measured, and the model's answer counted. Nothing is random:
the same facts give the same outlook. A plan for a clinic's calendar, not a prognosis.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from monitoring.core.alternatives import Alternatives
from monitoring.core.errors import NotAssessable
from monitoring.core.functionals import present_slopes
from monitoring.core.levels import Scanned, decide, missing_data
from monitoring.core.mixtures import Mixture
from monitoring.core.observations import (
    events_until,
    observation_series,
    usable_observations,
    years_between,
)
from monitoring.core.parameter_set import Parameters
from monitoring.core.posterior import (
    VARIANCE_FLOOR,
    alternatives_of,
    bend_chance,
    change_posterior,
    event_rows,
    row_covariance,
    solve,
)
from monitoring.core.series import Batch, FloatArray, Series, as_floats, pack
from monitoring.core.types import ClinicalEvent, Level, Observation, Quality, Region

IMAGINED_SCANS = 512
"""Predicted pairs of values per date. Against 65,536 pairs the probabilities move by less than
0.01 in the reference patients."""

DIVERGENCE = 2


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a good scan of brain and cord on one day, on the present scanners, could change.

    Attributes
    ----------
    is_assessable : bool
        Whether the minimum data would then be met; without them the level is ``insufficient``
        and the probabilities are 0.
    d_sd : float
        Expected posterior SD of D after the scan, percent per year.
    p_watch, p_flag : float
        Probability that the level will then be watch or louder, and flag.
    p_other : float
        Probability that the level will be another one than now.
    """

    when: date
    is_assessable: bool
    d_sd: float
    p_watch: float
    p_flag: float
    p_other: float


def scan_outlook(
    observations: Iterable[Observation],
    events: Iterable[ClinicalEvent] = (),
    *,
    parameters: Parameters,
    level: Level,
    dates: Sequence[date],
) -> tuple[Outlook, ...]:
    """Say for each date what one more scan of brain and cord could change.

    The scans so far keep the weights that they have now, and the imagined ones count as errors
    of ordinary size (weight 1): an outlier cannot be planned.

    Parameters
    ----------
    level : Level
        The level in force, for the hysteresis and for "another level than now".
    dates
        Days after the last usable scan.

    Raises
    ------
    NotAssessable
        Without any usable scan, or for a day that is not after the last one.
    """
    used, _ = usable_observations(observations)
    if not used:
        raise NotAssessable("Without any usable scan there is nothing to look ahead from.")
    last = used[-1].when
    if any(day <= last for day in dates):
        raise NotAssessable(f"An outlook needs days after the last scan ({last.isoformat()}).")
    known = events_until(events, last)
    return tuple(_outlook(used, known, parameters, level, day) for day in dates)


def first_to_change(outlooks: Sequence[Outlook], *, chance: float = 0.05) -> Outlook | None:
    """Return the first outlook whose chance of another level is at least ``chance``."""
    return next((one for one in outlooks if one.p_other >= chance), None)


def _outlook(
    used: Sequence[Observation],
    events: Sequence[ClinicalEvent],
    parameters: Parameters,
    level: Level,
    day: date,
) -> Outlook:
    """Return the outlook of one day."""
    further = [*used, *(_imagined(used, region, day) for region in Region)]
    origin = used[0].when
    scans = [Scanned(years_between(origin, o.when), o.region, o.epoch) for o in further]
    is_assessable = missing_data(scans, parameters.policy).is_met
    ahead = _look_ahead(
        observation_series(used, events), observation_series(further, events), parameters
    )
    pairs = _predicted(ahead, parameters, IMAGINED_SCANS)
    p_one, p_change, d_sd = _answers(ahead, parameters, pairs)
    levels = [Level.INSUFFICIENT]
    if is_assessable:
        levels = [
            decide(
                p_faster_than_1=float(one),
                p_change=float(change),
                policy=parameters.policy,
                previous=level,
            ).level
            for one, change in zip(p_one, p_change, strict=True)
        ]
    return Outlook(
        when=day,
        is_assessable=is_assessable,
        d_sd=float(d_sd.mean()),
        p_watch=_share(one in {Level.WATCH, Level.FLAG} for one in levels),
        p_flag=_share(one is Level.FLAG for one in levels),
        p_other=_share(one is not level for one in levels),
    )


def _share(answers: Iterable[bool]) -> float:
    """Return the share of true answers."""
    return float(np.mean(list(answers)))


def _imagined(used: Sequence[Observation], region: Region, day: date) -> Observation:
    """Return a good scan of a region on its last epoch; its value is never looked at."""
    own = [one for one in used if one.region is region]
    last = own[-1] if own else replace(used[-1], region=region)
    return replace(last, when=day, quality=Quality.GOOD, key=None)


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A patient's rows and the two next ones (brain, cord), whose values are not known yet.

    ``precision`` is V^-1 of all rows, ``residual`` that of the known rows, ``bend`` g of each
    alternative.
    """

    batch: Batch
    precision: FloatArray
    residual: FloatArray
    alternatives: Alternatives
    bend: FloatArray


def _look_ahead(known: Series, further: Series, parameters: Parameters) -> _Ahead:
    """Set up the system of the rows of ``further``, which are those of ``known`` and two."""
    solved = solve(pack([known], parameters), parameters)
    batch = pack([further], parameters)
    weights = np.append(solved.weights[0], np.ones(2))[None]
    precision = np.linalg.inv(row_covariance(batch, parameters, weights))[0]
    alternatives = alternatives_of(batch, parameters)
    bend = event_rows(batch, alternatives)[0]
    return _Ahead(batch, precision, solved.residual[0], alternatives, bend)


def _predicted(ahead: _Ahead, parameters: Parameters, count: int) -> FloatArray:
    """Return an even set of predicted residuals of the two next rows, shape (count, 2).

    The prediction is a mixture over "no change" and every onset until the day itself: an
    onset after the last scan has seen no data, so its Bayes factor is 1.
    """
    precision, bend, rows = ahead.precision, ahead.bend, ahead.residual.size
    covariance = np.linalg.inv(precision[rows:, rows:])
    carry = -covariance @ precision[rows:, :rows]
    # The precision of the known rows alone, without cancelling against the free levels.
    alone = precision[:rows, :rows] + precision[:rows, rows:] @ carry
    loads = alone @ bend[:rows]
    change = change_posterior(
        ahead.alternatives,
        projection=(loads.T @ ahead.residual)[None],
        information=(bend[:rows] * loads).sum(axis=0)[None],
        now=ahead.batch.now,
    )
    mean = carry @ ahead.residual
    unseen = (bend[rows:] - carry @ bend[:rows]).T
    spread = unseen[:, :, None] * unseen[:, None, :] / change.kappa_precision[0][:, None, None]
    means = np.vstack([mean, mean + change.kappa[0][:, None] * unseen])
    factors = np.linalg.cholesky(np.concatenate([covariance[None], covariance + spread]))
    # Halton's first point is the corner, where a normal quantile is infinite.
    even = qmc.Halton(d=3, scramble=False).random(count + 1)[1:]
    edges = np.cumsum(change.probability[0])
    of = np.minimum(np.searchsorted(edges, even[:, 0] * edges[-1]), edges.size - 1)
    return as_floats(means[of] + np.einsum("qij,qj->qi", factors[of], ndtri(even[:, 1:])))


def _answers(
    ahead: _Ahead, parameters: Parameters, pairs: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return P(D < -1), P(change) and the SD of D after each pair of residuals, shape (Q,)."""
    count, bend = pairs.shape[0], ahead.bend
    residuals = np.hstack(
        [np.broadcast_to(ahead.residual, (count, ahead.residual.size)), pairs]
    )
    loads = ahead.precision @ bend
    change = change_posterior(
        ahead.alternatives,
        projection=residuals @ loads,
        information=np.broadcast_to((bend * loads).sum(axis=0), (count, bend.shape[1])),
        now=np.repeat(ahead.batch.now, count),
    )
    slopes = present_slopes(ahead.batch, parameters)
    to_d = slopes.covariance[0, :, DIVERGENCE]
    gain = ahead.precision @ to_d
    left = max(float(slopes.variance[0, DIVERGENCE] - to_d @ gain), VARIANCE_FLOOR)
    unseen = slopes.bend[0, DIVERGENCE] - to_d @ loads
    mean = (residuals @ gain)[:, None]
    means = np.hstack([mean, mean + change.kappa * unseen])
    variances = np.hstack([np.full_like(mean, left), left + unseen**2 / change.kappa_precision])
    mixed = Mixture(means[:, None], np.sqrt(variances)[:, None], change.probability)
    p_change = bend_chance(change.probability, ahead.alternatives)
    return mixed.below(-1.0)[:, 0], p_change, mixed.sd()[:, 0]
