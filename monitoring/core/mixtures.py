"""Mixtures of Gaussians, many at once: moments, tail probabilities and quantiles."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from monitoring.core.series import FloatArray, as_floats

QUANTILE_STEPS = 60
QUANTILE_STEP = 1e-5
ROOT_2_PI = np.sqrt(2 * np.pi)

WORTH_PICKING = 0.7
"""Below this share of unfinished roots it pays to copy them out."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Gaussian mixtures, shape (P, F, K + 1); the first component is "no change"."""

    mean_of: FloatArray
    sd_of: FloatArray
    probability: FloatArray

    def mean(self) -> FloatArray:
        """Return the mixture means, shape (P, F)."""
        return as_floats(np.einsum("pfk,pk->pf", self.mean_of, self.probability))

    def sd(self) -> FloatArray:
        """Return the mixture standard deviations, shape (P, F)."""
        second = np.einsum("pfk,pk->pf", self.sd_of**2 + self.mean_of**2, self.probability)
        return as_floats(np.sqrt(np.maximum(second - self.mean() ** 2, 0.0)))

    def below(self, limit: FloatArray | float) -> FloatArray:
        """Return P(F < limit), shape (P, F)."""
        limits = np.asarray(limit, dtype=np.float64)[..., None]
        share = ndtr((limits - self.mean_of) / self.sd_of)
        return as_floats(np.einsum("pfk,pk->pf", share, self.probability))

    def quantile(self, level: float) -> FloatArray:
        """Return the quantile of the mixture cdf by safeguarded Newton steps, shape (P, F).

        The bracket holds every component's own 8-sigma range, so the root lies inside; a
        Newton step that leaves the bracket is replaced by bisection. The error of a step is
        about its square, so a step below `QUANTILE_STEP` (in SDs) is the last one.
        """
        shape, components = self.mean_of.shape[:2], self.mean_of.shape[2]
        means = self.mean_of.reshape(-1, components)
        sds = self.sd_of.reshape(-1, components)
        weight = np.repeat(self.probability, shape[1], axis=0)
        low, high = (means - 8 * sds).min(axis=1), (means + 8 * sds).max(axis=1)
        spread = self.sd().ravel()
        guess = np.clip(self.mean().ravel() + spread * ndtri(level), low, high)
        active = np.arange(guess.size)
        for _ in range(QUANTILE_STEPS):
            at = guess[active]
            z = (at[:, None] - means) / sds
            excess = np.einsum("ak,ak->a", weight, ndtr(z)) - level
            slope = np.einsum("ak,ak->a", weight, np.exp(-0.5 * z * z) / sds) / ROOT_2_PI
            low = np.where(excess < 0, at, low)
            high = np.where(excess < 0, high, at)
            step = at - excess / np.maximum(slope, 1e-12)
            is_last = np.abs(step - at) <= QUANTILE_STEP * spread
            # At the root itself the bracket has no width: a last step needs no bracket.
            is_taken = is_last | ((step > low) & (step < high))
            guess[active] = np.where(is_taken, step, 0.5 * (low + high))
            is_open = ~is_last
            if not is_open.any():
                break
            if is_open.mean() < WORTH_PICKING:
                active, low, high, spread = (
                    one[is_open] for one in (active, low, high, spread)
                )
                means, sds, weight = (one[is_open] for one in (means, sds, weight))
        return guess.reshape(shape)
