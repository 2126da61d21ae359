"""The closed outline of the cord in every cross-section, by dynamic programming.

Rays leave the centreline at 48 angles. An outline is a radius per ray; it should lie on a
strong edge of the right sign, not beyond another one (the dura is the second edge), near the
prior and change little from ray to ray.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.cord.geometry import Array, Sampler, Sections

ANGLES = 48
THETA = np.arange(ANGLES) * 2.0 * np.pi / ANGLES
RAY_STEP_MM = 0.2
RADII_MM = np.arange(0.6, 12.0 + 1e-9, RAY_STEP_MM)
MAX_RADIAL_STEP = 3
FIRST_PRIOR_MM = 5.0


@dataclass(frozen=True, slots=True)
class Rays:
    """Intensities along the rays, times polarity (the cord is the bright side).

    ``values`` has shape (sections, angles, radii); outside the scan NaN was replaced by the
    nearest sample and ``is_inside`` (sections, angles) is False where a ray leaves the scan
    within 9 mm.
    """

    values: Array
    is_inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def rays_sample(sampler: Sampler, sections: Sections, *, polarity: int) -> Rays:
    """Sample the scan along the rays of every section, once."""
    values, missing = sampler.on_sections(
        sections, np.cos(THETA)[:, None] * RADII_MM, np.sin(THETA)[:, None] * RADII_MM
    )
    is_inside = np.asarray(~missing[:, :, RADII_MM <= 9.0].any(axis=-1))
    if missing.any():
        last = np.where(missing, 0, np.arange(len(RADII_MM)))
        last = np.maximum.accumulate(last, axis=-1)
        inner = np.take_along_axis(missing, last, axis=-1)
        values = np.take_along_axis(values, last, axis=-1)
        values[inner] = float(values[~inner].mean()) if not inner.all() else 0.0
    return Rays(polarity * values, is_inside)


def edge_strength(rays: Rays, *, along_sections: float) -> Array:
    """Outward drop of intensity, relative to the strong edges of its section (-1 ... 1.5)."""
    smooth = ndimage.gaussian_filter(
        rays.values, (along_sections, 0, 0), mode="nearest", truncate=3.0
    )
    smooth = ndimage.gaussian_filter1d(smooth, 1.0, axis=1, mode="wrap")
    drop = -ndimage.gaussian_filter1d(
        smooth, 0.5 / RAY_STEP_MM, axis=2, order=1, mode="nearest"
    )
    near = RADII_MM < 9.0
    strong = np.percentile(drop[:, :, near], 97, axis=(1, 2), keepdims=True)
    typical = float(np.median(strong))
    return np.asarray(np.clip(drop / np.maximum(strong, 0.3 * typical + 1e-9), -1.0, 1.5))


def outline_find(strength: Array, *, prior_mm: Array | None, prior_weight: float) -> Array:
    """Find the closed outline of every section.

    Parameters
    ----------
    strength : array, shape (sections, angles, radii)
    prior_mm : array, shape (sections, angles), or None for a circle of 5 mm
    prior_weight : float
        Cost per mm² away from the prior.

    Returns
    -------
    array, shape (sections, angles)
        Radius in mm, on the sampling grid (sub-voxel edges come later).
    """
    passed = np.cumsum(np.maximum(strength - 0.25, 0.0), axis=2) * RAY_STEP_MM
    prior = np.full(strength.shape[:2], FIRST_PRIOR_MM) if prior_mm is None else prior_mm
    cost = -strength + 0.8 * np.maximum(0.0, passed - 0.3)
    cost += prior_weight * (RADII_MM - prior[:, :, None]) ** 2
    cost += 2.0 * (RADII_MM < 2.0)
    return _cheapest_loop(cost.astype(np.float32))


def _cheapest_loop(cost: NDArray[np.float32]) -> Array:
    """Return the radii of the cheapest nearly closed path, shape (sections, angles).

    Three laps are run and the middle one kept, so that its ends meet. Only totals are stored;
    the way back asks again which neighbour was the cheapest.
    """
    laps = 3
    sections, angles, count = cost.shape
    steps = np.arange(-MAX_RADIAL_STEP, MAX_RADIAL_STEP + 1)
    penalty = (0.06 * steps * steps).astype(np.float32)
    totals = np.full(
        (laps * angles, sections, count + 2 * MAX_RADIAL_STEP), np.float32(1e9), np.float32
    )
    inner = slice(MAX_RADIAL_STEP, MAX_RADIAL_STEP + count)
    totals[0, :, inner] = cost[:, 0]
    shifted = np.empty((sections, count), dtype=np.float32)
    for turn in range(1, laps * angles):
        before, now = totals[turn - 1], totals[turn, :, inner]
        now[:] = before[:, inner]
        for step, price in zip(steps, penalty, strict=True):
            if step:
                first = MAX_RADIAL_STEP + int(step)
                np.add(before[:, first : first + count], price, out=shifted)
                np.minimum(now, shifted, out=now)
        now += cost[:, turn % angles]
    rows = np.arange(sections)
    radius = np.argmin(totals[-1, :, inner], axis=1)
    outline = np.empty((sections, angles))
    for turn in range(laps * angles - 1, angles - 1, -1):
        if turn < 2 * angles:
            outline[:, turn % angles] = RADII_MM[radius]
        near = totals[turn - 1][rows[:, None], radius[:, None] + MAX_RADIAL_STEP + steps]
        radius = radius + steps[np.argmin(near + penalty, axis=1)]
    return outline


def prior_from(outline: Array, *, step_mm: float) -> Array:
    """Smooth an outline to the prior of the next pass.

    Median over 7 mm x 5 angles, median over 21 mm and Gaussian of 6 mm along the cord, four
    Fourier harmonics around it.
    """

    def odd(mm: float) -> int:
        return max(1, min(2 * round(mm / step_mm / 2) + 1, 2 * ((len(outline) + 1) // 2) - 1))

    wrapped = np.pad(outline, ((0, 0), (2, 2)), mode="wrap")
    smooth = ndimage.median_filter(wrapped, (odd(7.0), 5), mode="nearest")[:, 2:-2]
    smooth = ndimage.median_filter(smooth, (odd(21.0), 1), mode="nearest")
    smooth = ndimage.gaussian_filter1d(smooth, 6.0 / step_mm, axis=0, mode="nearest")
    return harmonics_keep(smooth, count=4)


def harmonics_keep(outline: Array, *, count: int) -> Array:
    """Keep the lowest Fourier harmonics of the radius over the angle."""
    spectrum = np.fft.rfft(outline, axis=1)
    spectrum[:, count + 1 :] = 0.0
    return np.asarray(np.fft.irfft(spectrum, n=ANGLES, axis=1))


def centroid_offset(outline: Array) -> Array:
    """Centroid of each outline relative to its section's centre, shape (sections, 2), mm."""
    x, y = outline * np.cos(THETA), outline * np.sin(THETA)
    x2, y2 = np.roll(x, -1, axis=1), np.roll(y, -1, axis=1)
    cross = x * y2 - x2 * y
    area = cross.sum(axis=1) / 2.0
    cx = ((x + x2) * cross).sum(axis=1) / (6.0 * area)
    cy = ((y + y2) * cross).sum(axis=1) / (6.0 * area)
    return np.stack([cx, cy], axis=1)


def outline_area(outline: Array) -> Array:
    """Return the area of each polygon of radii, mm².

    It is 1/2 sin(2 pi / n) sum R_k R_(k+1), times the factor that makes a circle exact.
    """
    sector = (np.pi / ANGLES) / np.sin(np.pi / ANGLES) / np.cos(np.pi / ANGLES)
    polygon = 0.5 * np.sin(2 * np.pi / ANGLES) * (outline * np.roll(outline, -1, 1)).sum(axis=1)
    return np.asarray(polygon * sector)


def diameters(outline: Array) -> tuple[Array, Array]:
    """AP and RL diameters: extent along the outline's own axes after in-plane rotation.

    The axes are those of the second moments of the area; RL is the axis nearer to the
    scanner's right-left. Returns two arrays, shape (sections,), mm.
    """
    offset = centroid_offset(outline)
    x = outline * np.cos(THETA) - offset[:, :1]
    y = outline * np.sin(THETA) - offset[:, 1:]
    weight = outline**2
    xx, yy = (weight * x * x).sum(1), (weight * y * y).sum(1)
    xy = (weight * x * y).sum(1)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    angle = np.where(np.abs(angle) > np.pi / 4, angle - np.sign(angle) * np.pi / 2, angle)
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    along, across = cosine * x + sine * y, -sine * x + cosine * y
    return np.ptp(across, axis=1), np.ptp(along, axis=1)
