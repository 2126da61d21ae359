"""Change of deep structures between two visits, from the deformation. Experimental.

Half-way between the visits, demons bend each scan into the other. The Jacobian determinant of
the bend, averaged over a structure, is how much larger it is in the other visit; for the
callosum it is the ratio of areas on the mid-sagittal plane, det(J) |J^-T n| with the plane's
normal n (Nanson). First to second and second to first are measured apart and then averaged.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volumetry.core.brain.deform import demons
from volumetry.core.types import Structure

Values = NDArray[np.float32]

LEVELS = ((4, 30), (2, 30))
"""Voxel side in mm, iterations: what is left after the rigid map is a few millimetres."""
MARGIN_MM = 14
LEAST_MM3 = 200.0
"""A structure with less in common between the visits has no change."""


@dataclass(frozen=True, slots=True)
class RegionalChange:
    """Percent change of one structure, negative for loss.

    Attributes
    ----------
    structure : Structure
        What changed: the volume of thalamus or ventricles, the area of the callosum.
    percent : float
        Mean of both directions.
    forward, backward : float
        From the bend of the first visit into the second, and of the second into the first.
    """

    structure: Structure
    percent: float
    forward: float
    backward: float


def regional_changes(
    before: Values,
    after: Values,
    *,
    regions: dict[Structure, Values],
    normal: NDArray[np.float64] | None,
) -> tuple[RegionalChange, ...]:
    """Measure the change of every region from the deformation.

    Parameters
    ----------
    before, after : float32, shape (i, j, k)
        Both visits half-way on 1 mm, intensities matched and clipped to fluid ... white,
        white matter near 1.
    regions : dict of float32, same shape
        Weight of each structure per voxel, the mean of both visits.
    normal : float64, shape (3,), optional
        Normal of the mid-sagittal plane, for the callosum.
    """
    known = {name: weight for name, weight in regions.items() if weight.sum() >= LEAST_MM3}
    if not known:
        return ()
    box = _box(np.maximum.reduce(list(known.values())))
    first, second = before[box], after[box]
    weights = {name: weight[box] for name, weight in known.items()}
    forward = _ratios(*demons(first, second, levels=LEVELS), weights, normal)
    backward = _ratios(*demons(second, first, levels=LEVELS), weights, normal)
    return tuple(
        RegionalChange(
            name,
            percent=50.0 * (forward[name] + 1.0 / backward[name]) - 100.0,
            forward=100.0 * (forward[name] - 1.0),
            backward=100.0 * (1.0 / backward[name] - 1.0),
        )
        for name in known
    )


def _box(weight: Values) -> tuple[slice, slice, slice]:
    """Return the box of a weight with a margin."""
    held = np.argwhere(weight > 0.05)
    low = np.maximum(held.min(axis=0) - MARGIN_MM, 0)
    high = np.minimum(held.max(axis=0) + MARGIN_MM + 1, weight.shape)
    first, second, third = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return first, second, third


def _ratios(
    field: Values,
    step: int,
    weights: dict[Structure, Values],
    normal: NDArray[np.float64] | None,
) -> dict[Structure, float]:
    """Return how much larger each region is where the field points to."""
    slopes = np.stack([np.stack(np.gradient(u, float(step))) for u in field.astype(np.float64)])
    jacobian = np.moveaxis(slopes, (0, 1), (-2, -1)) + np.eye(3)
    volume = np.linalg.det(jacobian)
    ratios = {}
    for name, weight in weights.items():
        coarse = weight[::step, ::step, ::step]
        ratio = volume
        if name is Structure.CORPUS_CALLOSUM and normal is not None:
            turned = np.linalg.solve(
                np.swapaxes(jacobian, -1, -2),
                np.broadcast_to(normal[:, None], (*volume.shape, 3, 1)),
            )
            ratio = volume * np.linalg.norm(turned[..., 0], axis=-1)
        ratios[name] = float((ratio * coarse).sum() / coarse.sum())
    return ratios
