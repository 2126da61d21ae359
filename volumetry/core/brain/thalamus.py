"""Both thalami: the template's outline, refined by intensity where there is an edge to see.

Experimental. Medially fluid and laterally the internal capsule bound the thalamus visibly; to
the ventral diencephalon below there is hardly an edge on T1, so there the shape alone decides.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from volumetry.core.brain.outlines import FAR_MM
from volumetry.core.brain.shape import evidence, membership, outline_fitted
from volumetry.core.brain.template import Template
from volumetry.core.errors import EmptyStructure

Values = NDArray[np.float32]
Matrix = NDArray[np.float64]

CORE_MM = 3.0
"""Deeper than this inside the outline the mean of the thalamus is taken."""
EDGE_ABOVE_MM = -1.0
"""Below this MNI height the thalamus borders on tissue of nearly the same intensity."""
ROUNDS = 3
BOX_MM = ((-40.0, 40.0), (-52.0, 16.0), (-24.0, 36.0))
"""A box around both thalami, MNI mm, with room for larger ones."""
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
"""Left to right in MNI space."""
LEAST_CORE = 200
PLAUSIBLE = (0.6, 1.5)
"""Volume found over that of the outline at this head's size: healthy thalami on drawn heads had
0.88 and 1.13, and a quarter may be lost in multiple sclerosis. Beyond that the outline slipped,
most likely because the thalamus is hardly darker than the white matter around it."""
MIXED_SPREAD = 3.0
"""Spread of mixtures with fluid, and of the darker grey matter next to the thalamus, in those
of an unmixed tissue."""


@dataclass(frozen=True, slots=True)
class Thalamus:
    """Share of thalamus per voxel.

    Attributes
    ----------
    share : float32, shape (i, j, k)
        Both sides.
    left_mm3, right_mm3 : float
        Volume of each.
    """

    share: Values
    left_mm3: float
    right_mm3: float

    @property
    def volume_mm3(self) -> float:
        """Volume of both sides."""
        return self.left_mm3 + self.right_mm3


def thalamus_find(
    flat: Values,
    *,
    fluid: Values,
    spacing_mm: tuple[float, float, float],
    matrix: Matrix,
    means: NDArray[np.float64],
    spread: float,
    template: Template,
) -> Thalamus:
    """Find both thalami.

    Parameters
    ----------
    flat : float32, shape (i, j, k)
        Bias-corrected intensities.
    fluid : float32, same shape
        Share of fluid; it is never thalamus.
    spacing_mm : tuple of float
        Voxel sides, mm.
    matrix : float64, shape (4, 4)
        MNI millimetres to the work millimetres of ``flat``.
    means : float64, shape (3,)
        White, grey, fluid.
    spread : float
        Standard deviation of an unmixed tissue.
    template : Template
        The template's maps.

    Raises
    ------
    EmptyStructure
        If no tissue lies where the thalami should be, or of no plausible size.
    """
    to_voxel = np.diag([*(1 / np.array(spacing_mm)), 1.0]) @ matrix
    box, to_box = _box(to_voxel, flat.shape)
    seen = flat[box]
    white, grey, dark = (float(mean) for mean in means)
    maps = [to_box @ MIRROR, to_box]
    both = [_distance(template, placed, seen.shape) for placed in maps]
    expected = np.minimum(*both) < 0
    core = seen[(np.minimum(*both) < -CORE_MM) & (seen > (grey + dark) / 2)]
    if core.size < LEAST_CORE:
        raise EmptyStructure("No tissue was found where the thalami should be.")
    mean = float(np.median(core))
    around = ((white, spread), (dark, spread), ((mean + dark) / 2, MIXED_SPREAD * spread))
    trust = _trust(to_box, seen.shape)
    ratio = evidence(seen, inside=(mean, spread), around=around, trust=trust)
    found = membership(ratio, np.minimum(*both))
    for _ in range(ROUNDS - 1):
        for side in (0, 1):
            own = both[side] <= both[1 - side]
            apart = np.where(own, both[side], np.float32(FAR_MM))
            maps[side] = outline_fitted(maps[side], distance_mm=apart, found=found * own)
        both = [_distance(template, placed, seen.shape) for placed in maps]
        found = membership(ratio, np.minimum(*both))
    found *= 1.0 - np.clip(fluid[box], 0.0, 1.0)
    size = float(found.sum(dtype=np.float64)) / np.count_nonzero(expected)
    if not PLAUSIBLE[0] < size < PLAUSIBLE[1]:
        raise EmptyStructure(
            f"The thalami found are {size:.2f} times as large as this head's size lets expect."
        )
    share = np.zeros(flat.shape, dtype=np.float32)
    share[box] = found
    is_left = both[0] <= both[1]
    left, right = (float(found[own].sum(dtype=np.float64)) for own in (is_left, ~is_left))
    voxel_mm3 = float(np.prod(spacing_mm))
    return Thalamus(share, left * voxel_mm3, right * voxel_mm3)


def _box(to_voxel: Matrix, shape: tuple[int, ...]) -> tuple[tuple[slice, slice, slice], Matrix]:
    """Return the voxels around both thalami, and MNI millimetres to voxels of that box."""
    corners = np.array([[x, y, z, 1.0] for x, y, z in product(*BOX_MM)])
    spots = (corners @ to_voxel.T)[:, :3]
    low = np.clip(np.floor(spots.min(axis=0)).astype(int), 0, None)
    high = np.minimum(np.ceil(spots.max(axis=0)).astype(int) + 1, shape)
    first, second, third = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    shift = np.eye(4)
    shift[:3, 3] = -low
    return (first, second, third), shift @ to_voxel


def _distance(template: Template, to_voxel: Matrix, shape: tuple[int, ...]) -> Values:
    """Return the signed distance to the right thalamus (to the left one, if mirrored), mm."""
    back = np.linalg.inv(to_voxel)
    found = ndimage.affine_transform(
        template.thalamus_mm,
        back[:3, :3],
        offset=back[:3, 3] - template.origin_mm,
        output_shape=shape,
        order=1,
        cval=FAR_MM,
    )
    return np.asarray(found, dtype=np.float32)


def _trust(to_voxel: Matrix, shape: tuple[int, ...]) -> Values:
    """Return how much intensity counts, 0 to 1: by the MNI height of every voxel."""
    row = np.linalg.inv(to_voxel)[2]
    grids = np.meshgrid(
        *(np.arange(side, dtype=np.float32) for side in shape), indexing="ij", sparse=True
    )
    height = sum((r * g for r, g in zip(row[:3], grids, strict=True)), start=row[3])
    return np.asarray(special.expit(height - EDGE_ABOVE_MM), dtype=np.float32)
