"""One patient's rows for the model, and many patients packed into rectangular arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from monitoring.core.parameter_set import Parameters

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BRAIN, CORD = 0, 1


def as_floats(values: ArrayLike) -> FloatArray:
    """Return a float64 array: numpy's stubs lose the type in sums and products."""
    return np.asarray(values, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Series:
    """The usable rows of one patient, in time order, brain before cord within a visit.

    Attributes
    ----------
    years : array, shape (n,)
        Since the first usable scan.
    y : array, shape (n,)
        100 ln(value), percent up to a constant per region.
    region : int array, shape (n,)
        0 brain, 1 cord.
    quality : int array, shape (n,)
        0 good, 1 fair, 2 poor.
    epochs : tuple of str
        Epoch name of each row.
    therapy_years : float or None
        Start of the treatment whose pseudo-atrophy may be seen; None without one.
    """

    years: FloatArray
    y: FloatArray
    region: IntArray
    quality: IntArray
    epochs: tuple[str, ...]
    therapy_years: float | None = None

    @property
    def now(self) -> float:
        """Years from the first to the last row; 0 without rows."""
        return float(self.years[-1]) if self.years.size else 0.0

    def until(self, years: float) -> Self:
        """Return what was known at a time: later rows and a later treatment are unknown."""
        count = int(np.searchsorted(self.years, years, side="right"))
        is_known = self.therapy_years is not None and self.therapy_years <= years
        return type(self)(
            years=self.years[:count],
            y=self.y[:count],
            region=self.region[:count],
            quality=self.quality[:count],
            epochs=self.epochs[:count],
            therapy_years=self.therapy_years if is_known else None,
        )

    def visits(self) -> tuple[float, ...]:
        """Return the times at which anything was measured."""
        return tuple(float(year) for year in np.unique(self.years))


@dataclass(frozen=True, slots=True)
class Batch:
    """Patients side by side: P patients, N rows each, short ones padded.

    Attributes
    ----------
    used : bool array, shape (P, N)
        False on padding.
    years, y, multiplier : arrays, shape (P, N)
    region, epoch : int arrays, shape (P, N)
        ``epoch`` below E is a row of the parameter set's E epochs; from E on it is an epoch
        that the parameter set never saw, numbered within the patient.
    dip : array, shape (P, N)
        g(t), the share of the pseudo-atrophy that has happened.
    now : array, shape (P,)
        Time of the last row.
    """

    used: NDArray[np.bool_]
    years: FloatArray
    y: FloatArray
    multiplier: FloatArray
    region: IntArray
    epoch: IntArray
    dip: FloatArray
    now: FloatArray


def dip_share(years: FloatArray, *, therapy: FloatArray, time_constant: float) -> FloatArray:
    """Return g(t) = 1 - exp(-(t - x) / time constant) after the treatment start x, else 0.

    A ``therapy`` of infinity means no treatment.
    """
    elapsed = np.maximum(years - therapy, 0.0)
    return -np.expm1(-elapsed / time_constant)


def pack(series: Sequence[Series], parameters: Parameters) -> Batch:
    """Pack patients into rectangular arrays.

    Where the parameter set anchors each patient on the own level, each region is centred on
    its first value: levels of different patients are then never compared, and the unit of the
    values drops out.
    """
    patients = len(series)
    rows = max((one.years.size for one in series), default=0)
    used = np.zeros((patients, rows), dtype=np.bool_)
    years, y = np.zeros((patients, rows)), np.zeros((patients, rows))
    region = np.zeros((patients, rows), dtype=np.int64)
    quality, epoch = region.copy(), region.copy()
    therapy, now = np.full(patients, np.inf), np.zeros(patients)
    known = {name: index for index, name in enumerate(parameters.epochs.names)}
    for index, one in enumerate(series):
        count = one.years.size
        if not count:
            continue
        used[index, :count] = True
        years[index, :count] = one.years
        y[index, :count] = one.y
        region[index, :count] = one.region
        quality[index, :count] = one.quality
        epoch[index, :count] = _epoch_numbers(one.epochs, known)
        now[index] = one.years[-1]
        if one.therapy_years is not None:
            therapy[index] = one.therapy_years
    if parameters.anchors_own_level and rows:
        _centre(y, region, used)
    multiplier = np.array(parameters.quality_multiplier)[quality]
    dip = dip_share(
        years, therapy=therapy[:, None], time_constant=parameters.pseudo_atrophy_years
    )
    return Batch(used, years, y, multiplier, region, epoch, dip, now)


def _epoch_numbers(epochs: Sequence[str], known: Mapping[str, int]) -> list[int]:
    """Return each row's epoch number: as in the parameter set, unknown ones behind."""
    local: dict[str, int] = {}
    for name in dict.fromkeys(epochs):
        local[name] = known[name] if name in known else len(known) + len(local)
    return [local[name] for name in epochs]


def _centre(y: FloatArray, region: IntArray, used: NDArray[np.bool_]) -> None:
    """Subtract the first value of its region from each row, in place."""
    first = np.zeros((y.shape[0], 2))
    for one in (BRAIN, CORD):
        is_own = used & (region == one)
        at = is_own.argmax(axis=1)[:, None]
        first[:, one] = np.where(is_own.any(axis=1), np.take_along_axis(y, at, axis=1)[:, 0], 0)
    y -= np.where(used, np.take_along_axis(first, region, axis=1), 0.0)


def anchors(series: Series) -> tuple[float, float]:
    """Return the first y of brain and cord (0 where the region has none)."""
    first = [0.0, 0.0]
    for region in (BRAIN, CORD):
        rows = np.flatnonzero(series.region == region)
        if rows.size:
            first[region] = float(series.y[rows[0]])
    return (first[0], first[1])
