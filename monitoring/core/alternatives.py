"""What may have happened to a cord besides its steady course: one event out of a finite list.

Each alternative is a change of one unknown size at one known time: a *bend* of the slope (the
acceleration that the model is after) or, where the parameter set knows them, a *step* of the
level (a lesion of the cord: area is lost at once, the rate afterwards is the old one). The size
is integrated in closed form, the list is summed.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

DAY = 1 / 365
"""One day of tolerance, years: a visit on the fifth anniversary is 4.9993 or 5.0021 years after
the first by the calendar, and a candidate at 5.0 must not come and go with that."""


@dataclass(frozen=True, slots=True)
class Alternatives:
    """K alternatives to "nothing happened".

    Attributes
    ----------
    onset : array, shape (K,)
        Years since the first scan.
    is_step : bool array, shape (K,)
        Step of the level (percent); else bend of the slope (percent per year).
    mean, sd : arrays, shape (K,)
        Prior of the size.
    prior : array, shape (K,)
        Prior probability, before those in the future are taken out.
    """

    onset: FloatArray
    is_step: BoolArray
    mean: FloatArray
    sd: FloatArray
    prior: FloatArray

    def is_past(self, now: FloatArray) -> BoolArray:
        """Say which alternatives may have happened, shape (P, K) for ``now`` of shape (P,)."""
        return np.asarray(self.onset <= now[:, None] + DAY)

    def until(self, years: float) -> Self:
        """Leave out what lies after a time; for patients seen until then nothing changes."""
        kept = self.onset <= years + DAY
        return type(self)(
            self.onset[kept],
            self.is_step[kept],
            self.mean[kept],
            self.sd[kept],
            self.prior[kept],
        )

    def level(self, years: FloatArray) -> FloatArray:
        """Return the cord's level at given years per unit of size, shape (..., K)."""
        since = years[..., None] - self.onset
        return np.where(self.is_step, since >= -DAY, np.maximum(since, 0.0))

    def slope(self, now: FloatArray) -> FloatArray:
        """Return the cord's slope now per unit of size, shape (P, K)."""
        return np.where(self.is_step, 0.0, self.is_past(now))

    def gap(self, years: FloatArray) -> FloatArray:
        """Return the integral of that slope from 0 to given years, shape (..., K)."""
        return np.where(self.is_step, 0.0, self.level(years))
