"""Posteriors of many patients in one pass, as arrays and one by one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitoring.core.functionals import gap_at, present_slopes
from monitoring.core.mixtures import Mixture
from monitoring.core.parameter_set import Parameters
from monitoring.core.posterior import Functional, Solved, mixture, solve
from monitoring.core.series import FloatArray, Series, pack
from monitoring.core.types import Estimate, Posterior

CHUNK_CELLS = 150_000
"""Matrix cells (patients x rows x rows) per pass: the working set stays in the cache."""

BRAIN_SLOPE, CORD_SLOPE, DIVERGENCE, GAP = range(4)


@dataclass(frozen=True, slots=True)
class PosteriorTable:
    """Posteriors of P patients, column-wise; F = brain slope, cord slope, D, gap.

    Attributes
    ----------
    mean, sd, low, high : arrays, shape (P, 4)
        ``low`` and ``high`` are the .025 and .975 quantiles of the mixture.
    unchanged_mean, unchanged_sd : arrays, shape (P, 4)
        The component without a change of slope.
    p_half, p_one, p_change, p_change_prior, p_step : arrays, shape (P,)
    weights : tuple of arrays
        Student-t weights of each patient's rows.
    """

    mean: FloatArray
    sd: FloatArray
    low: FloatArray
    high: FloatArray
    unchanged_mean: FloatArray
    unchanged_sd: FloatArray
    p_half: FloatArray
    p_one: FloatArray
    p_change: FloatArray
    p_change_prior: FloatArray
    p_step: FloatArray
    weights: tuple[FloatArray, ...]

    def posterior(self, index: int) -> Posterior:
        """Return one patient's posterior."""
        brain, cord, divergence, gap = (
            Estimate(
                float(self.mean[index, column]),
                float(self.low[index, column]),
                float(self.high[index, column]),
            )
            for column in range(4)
        )
        return Posterior(
            divergence=divergence,
            brain=brain,
            cord=cord,
            gap=gap,
            p_faster_than_half=float(self.p_half[index]),
            p_faster_than_1=float(self.p_one[index]),
            p_change=float(self.p_change[index]),
            p_change_prior=float(self.p_change_prior[index]),
            p_step=float(self.p_step[index]),
            weights=tuple(float(weight) for weight in self.weights[index]),
        )


def posterior_table(
    series: Sequence[Series],
    parameters: Parameters,
    *,
    robust: bool = True,
    chunk_cells: int = CHUNK_CELLS,
) -> PosteriorTable:
    """Compute every patient's posterior at the patient's last row.

    Patients of similar length are computed together, so that little padding is solved. To get
    results as of earlier visits, pass ``series.until(visit)``.
    """
    sizes = np.array([one.years.size for one in series], dtype=np.int64)
    order = np.lexsort((np.array([one.now for one in series]), sizes))
    columns = {name: np.zeros((len(series), 4)) for name in _FOUR}
    single = {name: np.zeros(len(series)) for name in _ONE}
    weights: list[FloatArray] = [np.empty(0)] * len(series)
    for chunk in _chunks(order, sizes, cells=chunk_cells):
        solved = solve(pack([series[i] for i in chunk], parameters), parameters, robust=robust)
        for name, values in _summaries(solved, parameters).items():
            (columns if name in columns else single)[name][chunk] = values
        for row, index in enumerate(chunk):
            weights[index] = solved.weights[row, : sizes[index]]
    return PosteriorTable(**columns, **single, weights=tuple(weights))


_FOUR = ("mean", "sd", "low", "high", "unchanged_mean", "unchanged_sd")
_ONE = ("p_half", "p_one", "p_change", "p_change_prior", "p_step")


def _chunks(
    order: np.ndarray[tuple[int], np.dtype[np.intp]], sizes: np.ndarray, *, cells: int
) -> list[list[int]]:
    """Split patients, sorted by length, so that a padded chunk stays within ``cells``."""
    chunks: list[list[int]] = []
    current: list[int] = []
    for index in order:
        rows = max(int(sizes[index]), 1)
        if current and (len(current) + 1) * rows * rows > cells:
            chunks.append(current)
            current = []
        current.append(int(index))
    if current:
        chunks.append(current)
    return chunks


def _summaries(solved: Solved, parameters: Parameters) -> dict[str, FloatArray]:
    """Return the columns of the table for one solved batch."""
    batch = solved.batch
    slopes = present_slopes(batch, parameters)
    gap = gap_at(batch, parameters, batch.now[:, None])
    slope_mean = np.broadcast_to(slopes.mean, slopes.variance.shape)
    both = Functional(
        covariance=np.concatenate([slopes.covariance, gap.covariance], axis=-1),
        variance=np.concatenate([slopes.variance, gap.variance], axis=-1),
        mean=np.concatenate([slope_mean, gap.mean], axis=-1),
        bend=np.concatenate([slopes.bend, gap.bend], axis=1),
    )
    mixed = mixture(solved, both)
    divergence = Mixture(
        mixed.mean_of[:, DIVERGENCE : DIVERGENCE + 1],
        mixed.sd_of[:, DIVERGENCE : DIVERGENCE + 1],
        mixed.probability,
    )
    return {
        "mean": mixed.mean(),
        "sd": mixed.sd(),
        "low": mixed.quantile(0.025),
        "high": mixed.quantile(0.975),
        "unchanged_mean": mixed.mean_of[..., 0],
        "unchanged_sd": mixed.sd_of[..., 0],
        "p_half": divergence.below(-0.5)[:, 0],
        "p_one": divergence.below(-1.0)[:, 0],
        "p_change": solved.p_change,
        "p_change_prior": solved.prior_change,
        "p_step": solved.p_step,
    }
