"""The mid-sagittal plane, found by symmetry: no slice of the scan is taken for it.

The start is the template's plane x = 0 under the affine map; then the plane is moved until the
middle of the brain and its mirror image correlate best.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

Values = NDArray[np.float32]
Matrix = NDArray[np.float64]

NEAR_MM = ((-32.0, 32.0), (-60.0, 50.0), (-15.0, 62.0))
"""The part of the brain that is compared with its mirror image, MNI mm: both walls of the
fissure, ventricles and callosum; the outer lobes twist about each other."""
STEP_MM = 2.5
SIGMA_MM = 1.5
FIRST_STEP = (1.0, 0.03, 0.03)
"""First step of the search: mm along the normal, and two angles in radians."""


@dataclass(frozen=True, slots=True)
class Midplane:
    """The plane, in work millimetres.

    Attributes
    ----------
    point_mm : float64, shape (3,)
        A point on it: where MNI (0, -5, 20) lies, moved onto the plane.
    normal, forward, up : float64, shape (3,)
        Unit vectors: out of the plane to the right; in the plane to the front and upwards.
    symmetry : float
        Correlation of the brain's middle with its mirror image.
    """

    point_mm: NDArray[np.float64]
    normal: NDArray[np.float64]
    forward: NDArray[np.float64]
    up: NDArray[np.float64]
    symmetry: float


def midplane_find(
    flat: Values, *, spacing_mm: tuple[float, float, float], matrix: Matrix
) -> Midplane:
    """Find the plane of symmetry.

    Parameters
    ----------
    flat : float32, shape (i, j, k)
        Bias-corrected intensities, clipped to those of brain and fluid.
    spacing_mm : tuple of float
        Voxel sides, mm.
    matrix : float64, shape (4, 4)
        MNI millimetres to work millimetres.
    """
    spacing = np.array(spacing_mm)
    smooth = ndimage.gaussian_filter(flat, SIGMA_MM / spacing)
    axes = [np.arange(low, high, STEP_MM) for low, high in NEAR_MM]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    points = grid @ matrix[:3, :3].T + matrix[:3, 3]
    anchor = matrix[:3, :3] @ np.array([0.0, -5.0, 20.0]) + matrix[:3, 3]
    start = _unit(np.linalg.inv(matrix)[0, :3])
    frame = _frame(start, matrix)
    seen = _sample(smooth, points / spacing)

    def unlike(moved: NDArray[np.float64]) -> float:
        normal = _unit(start + moved[1] * frame[1] + moved[2] * frame[2])
        height = (points - anchor) @ normal - moved[0]
        mirrored = points - 2 * height[:, None] * normal
        return -float(np.corrcoef(seen, _sample(smooth, mirrored / spacing))[0, 1])

    first = np.vstack([np.zeros(3), np.diag(FIRST_STEP)])
    best = optimize.minimize(
        unlike,
        np.zeros(3),
        method="Nelder-Mead",
        options={"initial_simplex": first, "xatol": 0.002, "fatol": 1e-5, "maxiter": 120},
    )
    normal = _unit(start + best.x[1] * frame[1] + best.x[2] * frame[2])
    _, forward, up = _frame(normal, matrix)
    return Midplane(anchor + best.x[0] * normal, normal, forward, up, -float(best.fun))


def _frame(normal: NDArray[np.float64], matrix: Matrix) -> tuple[NDArray[np.float64], ...]:
    """Return the normal, and the template's front and up within the plane, orthonormal."""
    forward = _unit(matrix[:3, 1] - (matrix[:3, 1] @ normal) * normal)
    return normal, forward, np.cross(normal, forward)


def _unit(vector: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the vector at length one."""
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float64)


def _sample(values: Values, spots: NDArray[np.float64]) -> Values:
    """Sample at fractional voxels, linear."""
    found = ndimage.map_coordinates(values, spots.T, order=1, mode="nearest")
    return np.asarray(found, dtype=np.float32)
