"""Outlines of thalamus and corpus callosum in MNI space, read on the template by eye.

The template has no region labels. Both outlines were drawn on the MNI152 T1 and grey maps as
the nilearn package carries them, the right thalamus at ten heights (the left is its mirror),
the callosum on the mid-sagittal plane. The thalamus is taken as FreeSurfer's label does it:
with the reticular nucleus and the geniculate bodies, down to the hypothalamic sulcus.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Values = NDArray[np.float32]
Outline = tuple[tuple[float, float], ...]

THALAMUS_MM: dict[float, Outline] = {
    -7: ((15, -23), (19, -24), (22, -26), (21, -28), (17, -28), (14, -26)),
    -4: ((6, -13), (10, -14), (14, -19), (18, -23), (22, -25.5), (23, -28), (20, -30.5),
         (14, -30.5), (9, -28), (6, -22), (5, -17)),
    -2: ((3, -8), (6, -8), (10, -10.5), (14.5, -16), (18, -21), (22, -25), (24, -29),
         (22, -32.5), (14, -33), (8, -30), (5, -24), (3, -18)),
    1: ((2, -6), (4, -3), (8, -1.5), (13, -7), (17, -13), (20, -19), (22.5, -25), (25, -30),
        (24, -34), (16, -36), (11, -35), (8, -31.5), (5, -25), (2, -20)),
    4: ((1, -5), (4, -1), (9, 0), (14, -5), (18, -11.5), (21, -17.5), (23, -24), (24.5, -30),
        (23, -35), (16, -36), (11, -35), (8, -31.5), (5, -26), (1, -20)),
    7: ((1, -5), (4, -1), (9, 0), (15, -5), (19, -10.5), (22, -17), (24, -24), (24.5, -30),
        (22, -35), (15, -35), (11, -33.5), (7, -29.5), (4, -24), (1, -19)),
    10: ((1.5, -6), (4, -2), (9, -1), (15, -5), (19, -10.5), (22, -17), (24, -24), (24, -29),
         (20, -33), (13, -32), (8, -28.5), (4, -22), (1.5, -17)),
    13: ((3, -8), (5, -3.5), (9, -2.5), (14, -4), (18.5, -9.5), (22, -16), (23.5, -22),
         (23.5, -27.5), (19, -31), (14, -30), (10, -28), (6, -23), (3, -17)),
    16: ((5, -10), (7, -6.5), (12, -6.5), (17, -12), (20.5, -19), (20, -27.5), (15, -28.5),
         (12, -26.5), (8, -22), (5, -16)),
    19: ((8, -14), (12, -11), (16, -16), (16, -22), (11, -21)),
}  # fmt: skip
"""MNI height z: outline of the right thalamus as (x, y), mm."""

CALLOSUM_MM: Outline = (
    (-43.5, 14), (-42, 19), (-39, 23), (-35, 26.3), (-28, 26.8), (-20, 27), (-14, 28.3),
    (-8, 29.5), (-3, 29.7), (3, 28.5), (9, 26), (15, 22.5), (21, 18.5), (26, 14), (30, 10),
    (33, 6), (34, 3), (33, 0), (31, -2), (28, -3.2), (24, -2.8), (20, -2), (16, -0.5), (19, 1),
    (22, 2.5), (22.3, 5), (21, 8), (18, 12), (14, 15.5), (9, 18.5), (4, 20.5), (-2, 21.7),
    (-8, 22.3), (-14, 22), (-20, 20.5), (-25, 18.5), (-29, 15.5), (-31, 12), (-32, 9),
    (-34, 7), (-37, 6.3), (-40, 7.5), (-42.5, 10),
)  # fmt: skip
"""The callosum on the plane x = 0 as (y, z), MNI mm; the fornix is cut off below it."""

FINE_MM = 0.25
CAP_MM = 2.0
"""The outermost outlines shrink to nothing within this height."""
LEAST_TISSUE = 0.55
"""Template T1 above which a voxel of the outline holds tissue (fluid 0.24, grey 0.65)."""
FAR_MM = 20.0


def thalamus_distance(t1: Values, *, origin_mm: NDArray[np.float64]) -> Values:
    """Return the signed distance to the right thalamus on the template's 1 mm grid, mm.

    Negative inside. The template is symmetric, so the left one is its mirror. Between two drawn
    heights the distances are interpolated, which is an interpolation of the shape.
    """
    axes = [start + np.arange(side) for start, side in zip(origin_mm, t1.shape, strict=True)]
    across = np.arange(-5.0, 40.0, FINE_MM), np.arange(-50.0, 15.0, FINE_MM)
    heights = sorted(THALAMUS_MM)
    planes = [polygon_distance(THALAMUS_MM[z], across) for z in heights]
    planes = [planes[0] + 2 * CAP_MM, *planes, planes[-1] + 2 * CAP_MM]
    heights = [heights[0] - CAP_MM, *heights, heights[-1] + CAP_MM]
    spots = np.meshgrid(
        (axes[0] - across[0][0]) / FINE_MM,
        (axes[1] - across[1][0]) / FINE_MM,
        indexing="ij",
    )
    inside = np.zeros(t1.shape, dtype=np.float32)
    for (low, below), (high, above) in pairwise(zip(heights, planes, strict=True)):
        for k in np.flatnonzero((axes[2] >= low) & (axes[2] < high)):
            part = (axes[2][k] - low) / (high - low)
            plane = (1 - part) * below + part * above
            inside[:, :, k] = ndimage.map_coordinates(plane, spots, order=1, cval=FAR_MM) < 0
    smooth = (ndimage.gaussian_filter(inside, 1.0) > 0.5) & (t1 > LEAST_TISSUE)
    return signed_distance(smooth)


def callosum_distance(*, step_mm: float = 0.5) -> tuple[Values, tuple[float, float]]:
    """Return the signed distance to the callosum on a grid of the plane x = 0, and its corner.

    Returns
    -------
    distance_mm : float32, shape (a, b)
        Negative inside; axes y and z.
    corner_mm : tuple of float
        MNI y and z of element (0, 0).
    """
    across = np.arange(-75.0, 65.0, step_mm), np.arange(-35.0, 60.0, step_mm)
    return polygon_distance(CALLOSUM_MM, across), (float(across[0][0]), float(across[1][0]))


def polygon_distance(
    points: Outline, across: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> Values:
    """Return the signed distance to a polygon on a regular grid, negative inside."""
    first, second = np.meshgrid(*across, indexing="ij")
    inside = np.zeros(first.shape, dtype=bool)
    for (a, b), (c, d) in pairwise((*points, points[0])):
        if b == d:
            continue
        crosses = (b > second) != (d > second)
        inside ^= crosses & (first < a + (c - a) * (second - b) / (d - b))
    return signed_distance(inside) * np.float32(across[0][1] - across[0][0])


def signed_distance(inside: NDArray[np.bool_]) -> Values:
    """Return the distance to the edge between the voxels, in voxels, negative inside."""
    apart = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    return np.asarray(np.where(apart > 0, apart - 0.5, apart + 0.5), dtype=np.float32)
