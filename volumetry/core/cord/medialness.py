"""Medialness: how much of a cord-sized ellipse around a place lies on an edge of one sign."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SEARCH_MM = 1.0
ELLIPSES_MM = tuple(
    (radius * elongation**0.5, radius / elongation**0.5)
    for radius in (3.5, 4.5, 5.5)
    for elongation in (1.0, 1.4)
)
DIRECTIONS = 16
SLAB = 4
"""Slices whose edges are sorted at once: few enough to stay in the processor's cache."""


def _gradients(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """In-plane gradients at 1 mm, divided by their local size: coils leave bright skin."""
    sigma = (1.0, 1.0, 0.0)
    gx = ndimage.gaussian_filter(values, sigma, order=(1, 0, 0))
    gy = ndimage.gaussian_filter(values, sigma, order=(0, 1, 0))
    power = gx * gx + gy * gy
    local = ndimage.gaussian_filter(power, (9.0, 9.0, 1.0), truncate=2.5)
    size = np.sqrt(local) + 0.7 * np.sqrt(float(np.mean(power))) + 1e-6
    return gx / size, gy / size


def medialness(
    values: NDArray[np.float32], polarities: tuple[int, ...]
) -> list[NDArray[np.float32]]:
    """Mean of ranks 3-10 of 16 outward edge strengths, best over six ellipses.

    Parameters
    ----------
    values : array, shape (x, y, slices)
        Intensities, 1 mm apart in the slices.
    polarities : tuple of int
        +1 for tubes brighter than what surrounds them, -1 for darker ones.

    Returns
    -------
    list of arrays like ``values``, one per polarity
        Standard deviations above the scan's mean.
    """
    angles = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    nx, ny, nz = values.shape
    best = [np.full((nz, nx, ny), -np.inf, dtype=np.float32) for _ in polarities]
    margin = 8
    # Slices first: a slab of them lies together in memory.
    gx, gy = (
        np.pad(np.moveaxis(part, 2, 0), ((0, 0), (margin, margin), (margin, margin)))
        for part in _gradients(values)
    )
    for a, b in ELLIPSES_MM:
        for slab in (slice(z, min(z + SLAB, nz)) for z in range(0, nz, SLAB)):
            edges = np.empty((DIRECTIONS, slab.stop - slab.start, nx, ny), dtype=np.float32)
            for index, angle in enumerate(angles):
                dx, dy = a * np.cos(angle), b * np.sin(angle)
                normal = np.array([np.cos(angle) / a, np.sin(angle) / b])
                normal = (normal / np.linalg.norm(normal)).astype(np.float32)
                at_x = margin + round(dx / SEARCH_MM)
                at_y = margin + round(dy / SEARCH_MM)
                window = (slab, slice(at_x, at_x + nx), slice(at_y, at_y + ny))
                np.multiply(gx[window], -normal[0], out=edges[index])
                edges[index] -= normal[1] * gy[window]
            lanes = lanes_sort(edges)
            for index, polarity in enumerate(polarities):
                ranks = lanes[2:10] if polarity > 0 else lanes[6:14]
                mean = polarity * (functools.reduce(np.add, ranks) / np.float32(len(ranks)))
                np.maximum(best[index][slab], mean, out=best[index][slab])
    for index, raw in enumerate(best):
        score = np.ascontiguousarray(np.moveaxis(raw, 0, 2))
        score = (score - score.mean()) / (score.std() + 1e-6)
        best[index] = score
        border = 3
        score[:border], score[-border:] = -5.0, -5.0
        score[:, :border], score[:, -border:] = -5.0, -5.0
    return best


@functools.cache
def _comparators(count: int) -> tuple[tuple[int, int], ...]:
    """Pairs to compare so that ``count`` lanes (a power of two) are sorted.

    Odd-even merge sort (Batcher 1968, AFIPS 32:307).
    """
    pairs = []
    run = 1
    while run < count:
        gap = run
        while gap >= 1:
            pairs += [
                (low, low + gap)
                for first in range(gap % run, count - gap, 2 * gap)
                for low in range(first, min(first + gap, count - gap))
                if low // (2 * run) == (low + gap) // (2 * run)
            ]
            gap //= 2
        run *= 2
    return tuple(pairs)


def lanes_sort(values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Sort along the first axis (a power of two long), in place.

    Whole lanes are compared at once: four times as fast as a sort of each column.
    """
    lanes = list(values)
    spare = np.empty_like(lanes[0])
    for low, high in _comparators(len(lanes)):
        np.minimum(lanes[low], lanes[high], out=spare)
        np.maximum(lanes[low], lanes[high], out=lanes[high])
        lanes[low], spare = spare, lanes[low]
    return lanes
