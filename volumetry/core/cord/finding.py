"""Finding the cord: medialness in a midline band, then the best tube by dynamic programming.

The measure of a place is how much of a cord-sized ellipse around it lies on an edge of one
sign; a lower quantile over directions is taken, so the edge must exist nearly all round.
Both signs are tried (cord darker or brighter than the fluid). What is found is only a
proposal: `volumetry.core.cord.judging` decides whether it is a cord.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.cord.geometry import Array, Grid
from volumetry.core.cord.medialness import SEARCH_MM, medialness

SEARCH_STEP_MM = 3.0
SEARCH_STEP_TALL_MM = 4.0
TALL_SCAN_MM = 150.0
MIDLINE_HALF_BAND_MM = 26.0
MIDLINE_SIGMA_MM = 14.0
SYMMETRY_WEIGHT = 3.0
SYMMETRY_REACH_MM = 16
HINT_SIGMA_MM = 4.0
FLOOR = 1.2
"""Medialness (in standard deviations) below which a place adds nothing to a tube."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tube that may be the cord.

    Attributes
    ----------
    points_mm : array, shape (n, 3)
        World points, one per search slice, from top to bottom.
    polarity : int
        +1 where the cord is brighter than what surrounds it, -1 where it is darker.
    score : float
        Mean medialness along the path, standard deviations above the scan's mean.
    """

    points_mm: Array
    polarity: int
    score: float


@dataclass(frozen=True, slots=True)
class SearchVolume:
    """The part of the scan that is searched, on a grid of 1 mm x 1 mm x about 3 mm.

    ``origin`` and ``step`` are in voxel indices of the grid the band was cut from.
    """

    values: NDArray[np.float32]
    origin: Array
    step: Array
    spacing_mm: Array
    midline: float | None

    def voxels(self, search_voxels: Array) -> Array:
        """Return the indices in the scan's grid of indices in the search volume."""
        return np.asarray(self.origin + search_voxels * self.step)


def candidates_find(
    grid: Grid,
    *,
    polarities: tuple[int, ...] = (1, -1),
    hint_mm: Array | None = None,
    per_polarity: int = 3,
) -> list[Candidate]:
    """Propose tubes, best first.

    A hint is a soft prior: near its height the path is drawn to it, elsewhere it is free.
    """
    volume = search_volume(grid, hint_mm=hint_mm)
    found: list[Candidate] = []
    place = SYMMETRY_WEIGHT * _symmetry(volume) + _shallow(volume, grid)
    place += _prior(volume, grid, hint_mm)
    for polarity, strength in zip(
        polarities, medialness(volume.values, polarities), strict=True
    ):
        found += _tubes(volume, grid, strength + place, polarity=polarity, count=per_polarity)
    return sorted(found, key=lambda tube: -tube.score * len(tube.points_mm) ** 0.5)


def search_volume(grid: Grid, *, hint_mm: Array | None = None) -> SearchVolume:
    """Cut the midline band out of a scan and bring it to the search spacing."""
    spacing = grid.spacing_mm
    shape = np.asarray(grid.values.shape)
    midline = body_midline(grid)
    low, high = np.zeros(3), shape - 1.0
    if hint_mm is not None:
        middle: float | None = float(grid.voxels(hint_mm)[0])
    else:
        middle = midline
    if middle is not None and shape[0] * spacing[0] > 2 * MIDLINE_HALF_BAND_MM:
        half = (MIDLINE_HALF_BAND_MM + 8.0) / spacing[0]
        low[0], high[0] = max(0.0, middle - half), min(shape[0] - 1.0, middle + half)
    tall = shape[2] * spacing[2] > TALL_SCAN_MM
    along = SEARCH_STEP_TALL_MM if tall else SEARCH_STEP_MM
    if spacing[2] >= 2.0:
        along = float(spacing[2] * (max(1.0, np.rint(along / spacing[2])) if tall else 1.0))
    step_mm = np.array([SEARCH_MM, SEARCH_MM, along])
    step = step_mm / spacing
    counts = np.maximum(1, np.floor((high - low) / step).astype(int) + 1)
    first = np.floor(low).astype(int)
    last = np.ceil(high).astype(int) + 1
    part = grid.values[first[0] : last[0], first[1] : last[1], first[2] : last[2]]
    part = np.clip(part, *np.percentile(part[::2, ::2, :], (1, 99)))
    blur = [0.4 * s if s > 1.01 else 0.0 for s in step]
    if any(blur):
        part = ndimage.gaussian_filter(part, blur, mode="nearest", truncate=2.5)
    axes = [low[a] - first[a] + np.arange(counts[a]) * step[a] for a in range(3)]
    values = _resample(part, axes)
    return SearchVolume(values, low, step, step_mm, midline)


def body_midline(grid: Grid) -> float | None:
    """Find the left-right mirror plane of the body as an i index; None for small crops.

    Mean over heights of the best self-correlation of the mirrored, 4 mm coarse scan.
    """
    spacing = grid.spacing_mm
    width = grid.values.shape[0] * spacing[0]
    if width < 90.0:
        return None
    coarse, stride = _coarse(grid)
    count = coarse.shape[0]
    best, best_score = (count - 1) / 2.0, -np.inf
    for twice in range(int(0.55 * count), int(1.45 * count)):
        first, last = max(0, twice - count + 1), min(count - 1, twice)
        overlap = coarse[first : last + 1]
        mirrored = overlap[::-1]
        score = _correlation(overlap, mirrored) * (overlap.shape[0] / count) ** 0.5
        if score > best_score:
            best, best_score = twice / 2.0, score
    return float(best * stride[0])


def _coarse(grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Take every n-th voxel, about 4 mm apart, slightly blurred; and the strides."""
    stride = np.maximum(1, np.round(4.0 / grid.spacing_mm)).astype(np.intp)
    coarse = grid.values[:: stride[0], :: stride[1], :: stride[2]].astype(np.float32)
    coarse = np.clip(coarse, 0.0, float(np.percentile(coarse, 98)))
    return ndimage.gaussian_filter(coarse, (1.0, 1.0, 0.0)), stride


def _shallow(volume: SearchVolume, grid: Grid) -> NDArray[np.float32]:
    """Penalty for places near the skin: the cord lies about 30 mm deep or more in the body.

    Where the scan is cropped inside the body nothing is known about depth, so only distance
    to air seen in the scan counts.
    """
    coarse, stride = _coarse(grid)
    if min(coarse.shape[0] * stride[0] * grid.spacing_mm[0], 1e9) < 90.0:
        return np.zeros(volume.values.shape, dtype=np.float32)
    body = coarse > 0.12 * float(np.percentile(coarse, 95))
    body = ndimage.binary_closing(
        np.pad(body, ((3, 3), (3, 3), (0, 0)), mode="edge"),
        np.ones((3, 3, 1), dtype=np.bool_),
        iterations=2,
    )[3:-3, 3:-3]
    depth = np.empty(coarse.shape, dtype=np.float32)
    for k in range(coarse.shape[2]):
        filled = ndimage.binary_fill_holes(body[:, :, k])
        padded = np.pad(filled, 12, mode="edge")
        distance = (
            ndimage.distance_transform_edt(
                padded, sampling=tuple(stride[:2] * grid.spacing_mm[:2])
            )
            if not padded.all()
            else np.full(padded.shape, 99.0)
        )
        depth[:, :, k] = distance[12:-12, 12:-12]
    axes = [
        (volume.origin[a] + np.arange(volume.values.shape[a]) * volume.step[a]) / stride[a]
        for a in range(3)
    ]
    return np.asarray(np.minimum(0.0, 0.2 * (_resample(depth, axes) - 30.0)), dtype=np.float32)


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-12))


def _resample(part: NDArray[np.float32], axes: list[Array]) -> NDArray[np.float32]:
    """Linear interpolation onto a separable grid, one axis at a time."""
    values = part
    for axis, asked in enumerate(axes):
        at = np.clip(asked, 0.0, values.shape[axis] - 1.0)
        base = np.minimum(at.astype(int), max(0, values.shape[axis] - 2))
        weight = (at - base).astype(np.float32)
        upper = np.minimum(base + 1, values.shape[axis] - 1)
        shape = [1, 1, 1]
        shape[axis] = -1
        weight = weight.reshape(shape)
        values = (1.0 - weight) * values.take(base, axis) + weight * values.take(upper, axis)
    return np.asarray(values, dtype=np.float32)


def _symmetry(volume: SearchVolume) -> NDArray[np.float32]:
    """Correlation of the neighbourhood of each place with its left-right mirror image.

    Canal, vertebra and muscles lie nearly symmetrically around the cord, but not around a
    vessel, a root or the fluid beside the cord. Range -1 ... 1.
    """
    blurred = ndimage.gaussian_filter(volume.values, (1.0, 1.0, 0.0))
    local = ndimage.gaussian_filter(blurred, (10.0, 10.0, 0.0), truncate=2.0)
    spread = ndimage.gaussian_filter((blurred - local) ** 2, (10.0, 10.0, 0.0), truncate=2.0)
    relief = (blurred - local) / (np.sqrt(spread) + 0.3 * float(blurred.std()) + 1e-6)
    count = relief.shape[0]
    symmetry = np.zeros_like(relief)
    for x in range(count):
        reach = min(SYMMETRY_REACH_MM, x, count - 1 - x)
        if reach < 5:
            continue
        right = relief[x + 1 : x + 1 + reach]
        left = relief[x - reach : x][::-1]
        product = (right * left).sum(axis=0)
        power = 0.5 * (right * right + left * left).sum(axis=0)
        smooth = (8.0, 1.0)
        product = ndimage.gaussian_filter(product, smooth, mode="nearest", truncate=2.0)
        power = ndimage.gaussian_filter(power, smooth, mode="nearest", truncate=2.0)
        symmetry[x] = product / (power + 0.05 * reach)
    return np.asarray(symmetry, dtype=np.float32)


def _prior(volume: SearchVolume, grid: Grid, hint_mm: Array | None) -> NDArray[np.float32]:
    """Log prior: near the midline of the body, and near the hint."""
    shape = volume.values.shape
    prior = np.zeros(shape, dtype=np.float32)
    x = np.arange(shape[0])[:, None, None]
    y = np.arange(shape[1])[None, :, None]
    z = np.arange(shape[2])[None, None, :]
    if hint_mm is not None:
        at = (grid.voxels(hint_mm) - volume.origin) / volume.step
        off = ((x - at[0]) ** 2 + (y - at[1]) ** 2) * SEARCH_MM**2
        near = np.exp(-0.5 * ((z - at[2]) * volume.spacing_mm[2] / 12.0) ** 2)
        prior += (near * np.maximum(-0.5 * off / HINT_SIGMA_MM**2, -12.0) + 3.0 * near).astype(
            np.float32
        )
    elif volume.midline is not None:
        at_x = (volume.midline - volume.origin[0]) / volume.step[0]
        off_x = (x - at_x) * SEARCH_MM
        prior += (-0.5 * (off_x / MIDLINE_SIGMA_MM) ** 2).astype(np.float32)
    return prior


def _tubes(
    volume: SearchVolume,
    grid: Grid,
    medialness: NDArray[np.float32],
    *,
    polarity: int,
    count: int,
) -> list[Candidate]:
    """Return the best paths, each with the surroundings of the former blanked."""
    score = medialness.copy()
    found = []
    for _ in range(count):
        path = _best_path(score - FLOOR, step_mm=float(volume.spacing_mm[2]))
        if len(path) < 2:
            break
        mean = float(np.mean(score[path[:, 0], path[:, 1], path[:, 2]]))
        points = grid.world(volume.voxels(path[::-1].astype(float)))
        found.append(Candidate(points, polarity, mean))
        for x, y, z in path:
            score[max(0, x - 9) : x + 10, max(0, y - 9) : y + 10, z] = -5.0
    return found


def _best_path(gain: NDArray[np.float32], *, step_mm: float) -> NDArray[np.intp]:
    """Find the path through consecutive slices with the largest summed gain.

    It may start and end at any slice (a local alignment): a tube that is not there in part
    of the scan is not continued there. Returns indices, shape (n, 3), bottom to top.
    """
    layers = np.ascontiguousarray(np.moveaxis(gain, 2, 0))
    reach = int(min(np.ceil(0.7 * step_mm), 12))
    penalty = np.float32(1.0 / step_mm)
    total = np.empty_like(layers)
    total[0] = layers[0]
    # Steps in x and y cost separately, so the best predecessor is found axis by axis.
    for z in range(1, len(layers)):
        best = _best_within(_best_within(total[z - 1], 0, reach, penalty), 1, reach, penalty)
        total[z] = layers[z] + np.maximum(best, 0.0)
    z, x, y = (int(n) for n in np.unravel_index(int(np.argmax(total)), total.shape))
    path = [(x, y, z)]
    while z > 0:
        before = _predecessor(total[z - 1], x, y, reach, float(penalty))
        if before is None:
            break
        (x, y), z = before, z - 1
        path.append((x, y, z))
    return np.asarray(path[::-1])


def _best_within(
    score: NDArray[np.float32], axis: int, reach: int, penalty: np.float32
) -> NDArray[np.float32]:
    """Best score within ``reach`` along one axis, less the price of the step there."""
    best = score.copy()
    count = score.shape[axis]
    for shift in range(1, min(reach, count - 1) + 1):
        near = [slice(None), slice(None)]
        far = [slice(None), slice(None)]
        near[axis], far[axis] = slice(0, count - shift), slice(shift, count)
        price = penalty * np.float32(shift * shift)
        here, there = best[tuple(near)], best[tuple(far)]
        np.maximum(here, score[tuple(far)] - price, out=here)
        np.maximum(there, score[tuple(near)] - price, out=there)
    return best


def _predecessor(
    total: NDArray[np.float32], x: int, y: int, reach: int, penalty: float
) -> tuple[int, int] | None:
    """Return the place one slice below from which the best path came; None where it began."""
    low_x, low_y = max(0, x - reach), max(0, y - reach)
    part = total[low_x : x + reach + 1, low_y : y + reach + 1]
    dx = np.arange(part.shape[0])[:, None] + low_x - x
    dy = np.arange(part.shape[1])[None, :] + low_y - y
    worth = part - penalty * (dx * dx + dy * dy)
    best = int(np.argmax(worth))
    i, j = divmod(best, part.shape[1])
    return (low_x + i, low_y + j) if worth[i, j] > 0.0 else None
