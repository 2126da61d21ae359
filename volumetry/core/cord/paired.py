"""Change of the cord between two visits: boundary shift in the straightened space.

Both cords are traced, the straightened scans are aligned along the cord, and the shift of the
boundary is the integral of the difference of normalised intensities across the rim, around one
outline that belongs to both visits (a boundary shift integral; Freeborough and Fox 1997, IEEE
TMI 16:623, taken to the cord). Every step treats the visits alike, so that swapping them turns
the ratio of areas into its inverse.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from volumetry.core.cord.contour import RADII_MM, RAY_STEP_MM, THETA
from volumetry.core.cord.engine import CordMeasurement
from volumetry.core.cord.geometry import Array
from volumetry.core.cord.levels import MIN_COVERED, WINDOW_MM
from volumetry.core.cord.tracing import Trace
from volumetry.core.types import LandmarkKind

RIM_MM = 2.0
"""Half width of the band across the boundary that is integrated."""
LOWER, UPPER = 0.15, 0.85
"""Normalised intensities are clipped here: texture inside cord and fluid is not boundary."""
MAX_SHIFT_MM = 45.0
MIN_COMMON_MM = 20.0
MIN_CORRELATION = 0.2


@dataclass(frozen=True, slots=True)
class Alignment:
    """How two visits lie along each other.

    ``shift_mm`` leads from the first visit's positions to the second's; ``correlation`` of the
    straightened scans, -1 ... 1, says how well they then agree.
    """

    shift_mm: float
    correlation: float


@dataclass(frozen=True, slots=True)
class PairedChange:
    """Change over the common stretch.

    ``percent`` = 100 (area ratio - 1); ``difference_percent`` is the plain difference of the
    two visits' mean areas over the same stretch, a cross-check. ``standard_error`` in percent.
    By section: place along the first visit's trace, mean area of both visits, and change; NaN
    where a section was not measured in both.
    """

    percent: float
    standard_error: float
    difference_percent: float
    length_mm: float
    alignment: Alignment
    positions_mm: Array
    area_mm2: Array
    percent_by_section: Array


@dataclass(frozen=True, slots=True)
class LevelChange:
    """Change over the fixed window of a landmark, of the same tissue in both visits.

    ``percent`` and ``standard_error`` in percent; ``covered`` is the measured share of the
    window, ``gap_mm`` how far the two landmarks lie apart on the tissue.
    """

    kind: LandmarkKind
    percent: float
    standard_error: float
    covered: float
    gap_mm: float


def straightened(traced: Trace) -> Array:
    """Intensities around the cord on (section, angle, radius), made comparable.

    Each ray sample loses its mean along the cord: what is the same everywhere (cord, fluid)
    does not help to align; discs, roots and vertebrae do.
    """
    values = ndimage.gaussian_filter(
        traced.rays.values * traced.polarity, (0.5, 1.0, 2.0), mode="nearest"
    )
    values = values[:, ::2, ::3]
    trend = ndimage.gaussian_filter1d(values, 8.0 / traced.sections.step_mm, axis=0)
    relief = values - trend
    scale = np.sqrt(ndimage.gaussian_filter1d((relief**2).mean(axis=(1, 2)), 8.0)) + 1e-9
    return np.asarray(relief / scale[:, None, None])


def align(one: CordMeasurement, other: CordMeasurement) -> Alignment | None:
    """Find the shift along the cord at which two straightened scans agree best."""
    assert one.traced is not None
    assert other.traced is not None
    assert one.profile is not None
    assert other.profile is not None
    step = one.traced.sections.step_mm
    a, b = straightened(one.traced), straightened(other.traced)
    first, second = _span(one), _span(other)
    expected = 0.0
    # Landmarks of two kinds lie centimetres apart on the same cord: they say nothing here.
    if (
        one.level is not None
        and other.level is not None
        and one.level.landmark.kind == other.level.landmark.kind
    ):
        expected = (second[0] + other.level.projection.position_mm / step) - (
            first[0] + one.level.projection.position_mm / step
        )
        reach = round(15.0 / step)
    else:
        expected = float(second[0] - first[0])
        reach = round(MAX_SHIFT_MM / step)
    lags = np.arange(round(expected) - reach, round(expected) + reach + 1)
    scores = np.array([_agreement(a, b, first, second, int(lag), step) for lag in lags])
    if not np.isfinite(scores).any():
        return None
    best = int(np.nanargmax(scores))
    sub = 0.0
    if 0 < best < len(scores) - 1 and np.isfinite(scores[best - 1 : best + 2]).all():
        left, middle, right = scores[best - 1 : best + 2]
        sub = 0.5 * (left - right) / min(left - 2 * middle + right, -1e-9)
    return Alignment(float((lags[best] + np.clip(sub, -0.5, 0.5)) * step), float(scores[best]))


def landmark_gap_mm(
    one: CordMeasurement, other: CordMeasurement, alignment: Alignment
) -> float:
    """How far down the cord the second landmark lies from the first, on the same tissue, mm."""
    return _landmark_mm(other) - _landmark_mm(one) - alignment.shift_mm


def _landmark_mm(visit: CordMeasurement) -> float:
    """Return where a visit's landmark lies along its trace, mm."""
    assert visit.level is not None
    assert visit.traced is not None
    assert visit.profile is not None
    top = float(visit.traced.sections.position_mm[visit.profile.first])
    return visit.level.projection.position_mm + top


def _span(measurement: CordMeasurement) -> tuple[int, int]:
    """First and last row of the measured cord in its trace."""
    assert measurement.profile is not None
    first = measurement.profile.first
    return first, first + len(measurement.profile.sections) - 1


def _agreement(
    a: Array, b: Array, first: tuple[int, int], second: tuple[int, int], lag: int, step: float
) -> float:
    low = max(first[0], second[0] - lag)
    high = min(first[1], second[1] - lag)
    if (high - low) * step < MIN_COMMON_MM:
        return float("nan")
    x, y = a[low : high + 1], b[low + lag : high + lag + 1]
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum() + 1e-12))


def change_measure(
    before: CordMeasurement, after: CordMeasurement, alignment: Alignment
) -> PairedChange | None:
    """Measure the boundary shift over the stretch that both visits show."""
    assert before.traced is not None
    assert after.traced is not None
    rows_before, rows_after, step = _common_rows(before, after, alignment)
    if len(rows_before) * step < MIN_COMMON_MM:
        return None
    one = _rows_of(before.traced, rows_before)
    two = _rows_of(after.traced, rows_after)
    outline = 0.5 * (one.radius + two.radius)
    shift = _rim_integral(two, outline) - _rim_integral(one, outline)
    area_shift = (outline * shift).sum(axis=1) * (THETA[1] - THETA[0])
    mean_area = 0.5 * (one.area + two.area)
    cosine = 0.5 * (one.cosine + two.cosine)
    share = area_shift * cosine / mean_area
    used = np.isfinite(share)
    ratio = _ratio(float(np.nanmean(share * mean_area) / np.nanmean(mean_area[used])))
    plain = float(np.nanmean(two.area[used]) / np.nanmean(one.area[used]))
    return PairedChange(
        percent=100.0 * (ratio - 1.0),
        standard_error=_standard_error(100.0 * share[used], step),
        difference_percent=100.0 * (plain - 1.0),
        length_mm=float(used.sum() * step),
        alignment=alignment,
        positions_mm=rows_before * step,
        area_mm2=np.where(used, mean_area, np.nan),
        percent_by_section=100.0 * share,
    )


def level_change(
    before: CordMeasurement, after: CordMeasurement, change: PairedChange
) -> LevelChange | None:
    """Read the change over the window that belongs to the landmarks of both visits.

    Each visit's own landmark would put each window on other tissue, by as much as two
    placements differ. The alignment carries both landmarks to the same place; the window lies
    about their mean, so that neither visit is favoured and a swap inverts the ratio.

    Returns
    -------
    LevelChange or None
        None where a visit has no plausible landmark, their kinds differ, or less than
        `MIN_COVERED` of the window was measured in both.
    """
    if before.window is None or after.window is None:
        return None
    assert before.level is not None
    assert after.level is not None
    kind = before.level.landmark.kind
    if after.level.landmark.kind != kind:
        return None
    gap = landmark_gap_mm(before, after, change.alignment)
    centre = _landmark_mm(before) + 0.5 * gap
    low, high = (centre + edge for edge in WINDOW_MM[kind])
    places = change.positions_mm
    used = (places >= low) & (places <= high) & np.isfinite(change.area_mm2)
    step = float(np.median(np.diff(places)))
    covered = min(1.0, float(used.sum()) * step / (high - low))
    if covered < MIN_COVERED:
        return None
    share, area = change.percent_by_section[used], change.area_mm2[used]
    ratio = _ratio(float((share * area).sum() / area.sum()) / 100.0)
    return LevelChange(kind, 100.0 * (ratio - 1.0), _standard_error(share, step), covered, gap)


def _ratio(share: float) -> float:
    """Area ratio from a change relative to the mean of both visits."""
    return (1.0 + 0.5 * share) / (1.0 - 0.5 * share)


@dataclass(frozen=True, slots=True)
class _Visit:
    """One visit on the common sections: normalised rays, edge radius, area."""

    fraction: Array
    radius: Array
    area: Array
    cosine: Array


def _common_rows(
    before: CordMeasurement, after: CordMeasurement, alignment: Alignment
) -> tuple[Array, Array, float]:
    """Rows (not whole numbers) of both traces for sections halfway between the visits' own.

    Half of the shift goes to each visit, so neither is favoured by interpolation.
    """
    assert before.traced is not None
    assert after.traced is not None
    step = 0.5 * (before.traced.sections.step_mm + after.traced.sections.step_mm)
    shift = alignment.shift_mm / step
    first, second = _span(before), _span(after)
    low = max(first[0] + shift / 2.0, second[0] - shift / 2.0)
    high = min(first[1] + shift / 2.0, second[1] - shift / 2.0)
    count = int(np.floor(high - low)) if high > low else -1
    middle = 0.5 * (low + high)
    rows: Array = np.asarray(middle + np.arange(count + 1) - count / 2.0, dtype=np.float64)
    return rows - 0.5 * shift, rows + 0.5 * shift, float(step)


def _rows_of(traced: Trace, rows: Array) -> _Visit:
    inside, outside = traced.edge.inside[..., None], traced.edge.outside[..., None]
    fraction = (traced.rays.values - outside) / np.maximum(inside - outside, 1e-9)
    confident = np.where(traced.confidence > 0.4, traced.area_mm2, np.nan)
    return _Visit(
        _interpolated(fraction, rows),
        _interpolated(traced.radius_mm, rows),
        _interpolated(confident, rows),
        _interpolated(traced.sections.cosine, rows),
    )


def _interpolated(values: Array, rows: Array) -> Array:
    """Linear interpolation along the first axis at fractional rows."""
    base = np.clip(np.floor(rows).astype(int), 0, len(values) - 2)
    weight = (rows - base).reshape((-1,) + (1,) * (values.ndim - 1))
    return np.asarray((1.0 - weight) * values[base] + weight * values[base + 1])


def _rim_integral(visit: _Visit, outline: Array) -> Array:
    """Integral of the clipped fraction across the rim, mm: grows as the boundary moves out."""
    clipped = (np.clip(visit.fraction, LOWER, UPPER) - LOWER) / (UPPER - LOWER)
    ahead = RADII_MM - outline[..., None]
    weight = np.clip((RIM_MM - np.abs(ahead)) / RAY_STEP_MM + 0.5, 0.0, 1.0)
    # Beyond the fluid other tissue may begin: what comes back there is not cord.
    falling = np.minimum.accumulate(np.where(ahead > 0.0, clipped, 1.0), axis=-1)
    falling = np.where(ahead > 0.0, falling, clipped)
    return np.asarray((falling * weight).sum(axis=-1) * RAY_STEP_MM)


def _standard_error(percent: Array, step_mm: float) -> float:
    """Scatter of the change along the cord, with neighbours within 6 mm sharing their noise."""
    independent = max(1.0, len(percent) * step_mm / 6.0)
    scatter = float(np.std(percent)) / np.sqrt(independent)
    return float(np.hypot(scatter, COMMON_PERCENT))


COMMON_PERCENT = 0.15
"""Error that all sections of a pair share, percent (docs/cord.md)."""
