"""Heads with a drawn corpus callosum of known mid-sagittal area.

The label maps have no callosum: it is part of the two white matters, which touch only there.
That contact gives the mid-sagittal plane and the place. In a slab around the plane the map's
own callosum is cleared away, and an arch of drawn thickness (splenium, isthmus, body, genu,
rostrum) takes its place, with fluid and cortex above it, ventricles, septum and fornix below.
Shares no code with the engine. Truth: voxels drawn within 4 mm of the plane, over 8 mm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tests.volumetry.phantoms.heads import LabelledHead

LEFT, RIGHT = 2, 41
SLAB_MM = 10.0
CLEARED_MM = 13.0
COUNTED_MM = 4.0
KEPT = (10, 49, 11, 50, 12, 51, 13, 52, 16, 28, 60, 26, 58)
"""Deep nuclei and brainstem are never painted over."""


@dataclass(frozen=True, slots=True)
class DrawnCallosum:
    """A head with a drawn callosum, and its true area, mm²."""

    head: LabelledHead
    area_mm2: float


def contact_plane(
    labels: NDArray[np.int16],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the contact points of the two white matters, their centre and the unit normal."""
    touch = (labels[:-1] == LEFT) & (labels[1:] == RIGHT)
    points = np.argwhere(touch) + np.array([0.5, 0.0, 0.0])
    for _ in range(4):
        centre = points.mean(axis=0)
        normal = np.linalg.svd(points - centre, full_matrices=False)[2][-1]
        off = np.abs((points - centre) @ normal)
        points = points[off < max(2.0, 2.5 * float(np.median(off)))]
    normal *= np.sign(normal[0])
    return points, centre, normal


def callosum_drawn(head: LabelledHead, *, seed: int, thickness: float = 1.0) -> DrawnCallosum:
    """Draw a callosum into a head.

    Parameters
    ----------
    head : LabelledHead
        The head; it is not changed.
    seed : int
        Seed of the shape.
    thickness : float
        Factor on the thickness (0.6: a thin callosum).
    """
    rng = np.random.default_rng(seed)
    labels = head.labels.copy()
    points, centre, normal = contact_plane(labels)
    forward = np.array([0.0, 1.0, 0.0]) - normal[1] * normal
    forward /= np.linalg.norm(forward)
    up = np.cross(normal, forward)
    along, above = (points - centre) @ forward, (points - centre) @ up
    middle = (np.quantile(along, 0.01) + np.quantile(along, 0.99)) / 2
    half = (np.quantile(along, 0.99) - np.quantile(along, 0.01)) / 2 - 3.0 * thickness
    top = float(np.quantile(above, 0.97)) - 2.5 * thickness
    line, width = _arch(half, rng=rng, thickness=thickness)
    line = line + np.array([middle, top - line[:, 1].max()])

    low = np.floor(points.min(axis=0)).astype(int) - 16
    high = np.ceil(points.max(axis=0)).astype(int) + 17
    low[0] -= 4
    high[0] += 4
    box = tuple(slice(max(0, a), b) for a, b in zip(low, high, strict=True))
    grid = np.moveaxis(np.indices(labels[box].shape), 0, -1) + np.array([s.start for s in box])
    off = grid - centre
    across, u, v = off @ normal, off @ forward, off @ up
    place = np.stack([u, v], axis=-1)
    gap, nearest = cKDTree(line).query(place)
    drawn = gap <= width[nearest] / 2
    is_under = _inside(line, place)
    near = np.abs(across) <= SLAB_MM
    part = labels[box]
    free = near & ~np.isin(part, KEPT)
    side = across < 0
    cleared = free & (gap < CLEARED_MM) & np.isin(part, (LEFT, RIGHT, 3, 42, 4, 43, 24, 14))
    edge = gap - width[nearest] / 2
    out = part.copy()
    over = cleared & ~is_under
    out[over & (edge <= 2)] = 24
    out[over & (edge > 2) & (np.abs(across) <= 1.5)] = 24
    cortex = over & (edge > 2) & (np.abs(across) > 1.5) & np.isin(part, (LEFT, RIGHT, 24))
    out[cortex] = np.where(side, 3, 42)[cortex]
    under = cleared & is_under
    out[under] = np.where(side, 4, 43)[under]
    fornix = _fornix(line, width, place) & (np.abs(across) <= 2.5) & free
    septum = under & (np.abs(across) <= 0.7) & (u > np.median(line[:, 0]))
    out[septum] = 85
    out[fornix] = np.where(side, LEFT, RIGHT)[fornix]
    shown = free & drawn
    out[shown] = np.where(side, LEFT, RIGHT)[shown]
    labels[box] = out
    counted = drawn & free & (np.abs(across) <= COUNTED_MM)
    return DrawnCallosum(LabelledHead(labels), float(counted.sum()) / (2 * COUNTED_MM))


def _arch(
    half: float, *, rng: np.random.Generator, thickness: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points of the arch from splenium to rostrum (mm), and its thickness there."""
    s = np.linspace(0.0, 1.0, 600)
    height = half * rng.uniform(0.42, 0.58)
    angle = np.deg2rad(np.interp(s, [0, 1], [186.0, -38.0]))
    line = np.stack([half * np.cos(angle), height * np.sin(angle)], axis=1)

    def bump(place: float, reach: float) -> NDArray[np.float64]:
        return np.asarray(np.exp(-0.5 * ((s - place) / reach) ** 2))

    width = (
        rng.uniform(4.8, 6.0)
        + rng.uniform(4.0, 6.0) * bump(0.04, 0.07)
        - rng.uniform(0.5, 1.5) * bump(0.24, 0.05)
        + rng.uniform(3.5, 5.5) * bump(0.82, 0.07)
    )
    width *= np.interp(s, [0.0, 0.90, 1.0], [1.0, 1.0, 0.3])
    return line, width * thickness


def _inside(line: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points lie under the arch."""
    order = np.argsort(line[:, 0])
    roof = np.interp(place[..., 0], line[order, 0], line[order, 1], left=-1e3, right=-1e3)
    return np.asarray(place[..., 1] < roof)


def _fornix(
    line: NDArray[np.float64], width: NDArray[np.float64], place: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return a strip, 3 mm thick, that leaves the body's underside and sinks to the front."""
    at = int(0.36 * len(line))
    start = line[at] - np.array([0.0, width[at] / 2])
    steps = np.linspace(0.0, 1.0, 80)[:, None]
    path = start + steps * np.array([24.0, 0.0]) + steps**2 * np.array([0.0, -20.0])
    gap, _ = cKDTree(path).query(place)
    return np.asarray(gap <= 1.5)
