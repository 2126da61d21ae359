"""What the chart draws beside the points: fitted lines, the gap, corrected points."""

from collections.abc import Sequence
from datetime import date

import numpy as np

from monitoring.core.functionals import gap_at, offset_of_rows, path_at
from monitoring.core.mixtures import Mixture
from monitoring.core.parameter_set import Parameters
from monitoring.core.posterior import Functional, Solved, mixture
from monitoring.core.series import BRAIN, CORD, FloatArray, Series, anchors
from monitoring.core.types import Curve, Trajectory

GRID_POINTS = 41


def trajectory(
    origin: date, series: Series, solved: Solved, parameters: Parameters
) -> Trajectory:
    """Compute the fitted lines and the gap of one solved patient on a common time grid.

    A line is drawn on the scale of the region's first epoch: nobody knows how far a scanner
    reads from the truth, and a band that held this would look like doubt about the course.
    """
    batch = solved.batch
    times = np.linspace(0.0, series.now, GRID_POINTS)[None, :]
    therapy = np.inf if series.therapy_years is None else series.therapy_years
    shift = anchors(series) if parameters.anchors_own_level else (0.0, 0.0)
    offsets = offset_of_rows(batch, parameters)
    lines: dict[int, Curve | None] = {}
    for region in (BRAIN, CORD):
        if not np.any(series.region == region):
            lines[region] = None
            continue
        path = path_at(batch, parameters, times, region=region, therapy=float(therapy))
        first = int(np.flatnonzero(series.region == region)[0])
        band = _curve(times[0], mixture(solved, _as_seen_by(path, offsets, first)))
        lines[region] = _exponential(band, shift[region])
    gap = _curve(times[0], mixture(solved, gap_at(batch, parameters, times)))
    return Trajectory(origin, lines[BRAIN], lines[CORD], gap)


def corrected_values(
    series: Series, solved: Solved, parameters: Parameters
) -> tuple[float, ...]:
    """Return each row's value as the scanner of the region's first epoch would have read it."""
    offsets = mixture(solved, offset_of_rows(solved.batch, parameters)).mean()[0]
    own = offsets[: series.region.size]
    first = {
        int(region): int(np.flatnonzero(series.region == region)[0])
        for region in np.unique(series.region)
    }
    reference = np.array([own[first[int(region)]] for region in series.region])
    return _floats(np.exp((series.y - (own - reference)) / 100))


def _as_seen_by(path: Functional, offsets: Functional, row: int) -> Functional:
    """Return a latent path plus the offset of one row's epoch; the two are independent."""
    return Functional(
        path.covariance + offsets.covariance[:, :, row : row + 1],
        path.variance + offsets.variance[:, row : row + 1],
        path.mean + offsets.mean[:, row : row + 1],
        path.bend,
    )


def _curve(times: FloatArray, mixed: Mixture) -> Curve:
    """Return mean and 95 % band of one patient's functionals."""
    return Curve(
        _floats(times),
        _floats(mixed.mean()[0]),
        _floats(mixed.quantile(0.025)[0]),
        _floats(mixed.quantile(0.975)[0]),
    )


def _exponential(curve: Curve, shift: float) -> Curve:
    """Bring a curve of 100 ln(value) back to the unit of the value."""

    def back(percents: Sequence[float]) -> tuple[float, ...]:
        return _floats(np.exp((np.array(percents) + shift) / 100))

    return Curve(curve.years, back(curve.mean), back(curve.low), back(curve.high))


def _floats(values: FloatArray) -> tuple[float, ...]:
    """Return plain floats."""
    return tuple(float(value) for value in values)
