"""Regions of MNI space, derived by rules from the template's own maps.

Lateral ventricles against all other fluid. The body, atrium and frontal horns are one deep
connected part of the fluid prior. The inferior horns are a line of a voxel or two on the
template, beside the hippocampus: they are looked for along a path read on the MNI152 T1.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Mask = NDArray[np.bool_]

VENTRICLE_DEPTH_MM = 15.0
"""Fluid deeper than this inside the intracranial mask is ventricle or cistern. On the MNI152
maps the lateral ventricles without their inferior horns are one connected part, clean of the
third ventricle and the cisterns: 17.8 ml, x within 35 mm, y -58 to 30, z -4 to 28."""
CISTERNS_BELOW_MM = 6.0
"""The deep fluid other than lateral is taken below this height: third and fourth ventricle
and the basal cisterns."""
INFERIOR_HORN_MM = (
    (34, -44, 0), (36, -40, -4), (37, -36, -8), (38, -32, -9), (38, -28, -11), (38, -24, -13),
    (38, -20, -15), (38, -16, -17), (38, -12, -20), (36, -8, -22),
)  # fmt: skip
"""Path of the right inferior horn, MNI mm, read on the MNI152 T1; the left is its mirror."""
HORN_RADIUS_MM = 5.0
HORN_FLUID, HORN_DARK = 0.12, 0.60
"""A voxel on that path belongs to the horn above this fluid prior or below this T1."""
DARK = 0.52
"""Template T1 between fluid (0.24) and grey matter (0.65)."""
OUTER_MM = 12.0
"""Fluid nearer than this to the skull is never lateral ventricle on the template."""
MIDLINE_MM, MIDLINE_TOP_MM = 2, 24
"""Fluid on the midline below this height is third ventricle or its roof."""
FAR_MM = 30.0
LATERAL, OTHER, TISSUE = 1, 2, 3


def fluid_distances(
    t1: NDArray[np.float32],
    *,
    tissue: NDArray[np.float32],
    distance_mm: NDArray[np.float32],
    origin_mm: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return distances to the template's lateral ventricles and to its other fluid, mm.

    Parameters
    ----------
    t1, tissue, distance_mm : float32, shape (i, j, k)
        T1 (0 to 1), grey plus white prior, signed distance inside the intracranial mask.
    origin_mm : float64, shape (3,)
        MNI millimetres of voxel (0, 0, 0); 1 mm grid.

    Returns
    -------
    lateral_mm : float32
        Distance to the lateral ventricles, negative inside (-10 to 30).
    other_mm : float32
        Distance to the other fluid, zero inside (0 to 30).
    """
    deep, low = _deep_fluid(tissue, distance_mm, origin_mm=origin_mm)
    horn = _inferior_horns(t1, tissue, distance_mm, origin_mm=origin_mm)
    x, _, z = np.ogrid[tuple(slice(o, o + n) for o, n in zip(origin_mm, t1.shape, strict=True))]
    dark = (distance_mm > 0) & ((t1 < DARK) | (tissue < 0.5))
    seeds = np.zeros(t1.shape, dtype=np.int16)
    seeds[~dark] = TISSUE
    seeds[dark & (distance_mm < OUTER_MM)] = OTHER
    seeds[dark & (np.abs(x) <= MIDLINE_MM) & (z < MIDLINE_TOP_MM)] = OTHER
    seeds[low] = OTHER
    seeds[deep | horn] = LATERAL
    flooded = ndimage.watershed_ift(np.clip(250 * t1, 0, 250).astype(np.uint8), seeds)
    lateral, other = flooded == LATERAL, flooded == OTHER
    outside = ndimage.distance_transform_edt(~lateral)
    signed = outside - ndimage.distance_transform_edt(lateral)
    return (
        np.clip(signed, -10.0, FAR_MM).astype(np.float32),
        np.clip(ndimage.distance_transform_edt(~other), 0.0, FAR_MM).astype(np.float32),
    )


def _deep_fluid(
    tissue: NDArray[np.float32],
    distance_mm: NDArray[np.float32],
    *,
    origin_mm: NDArray[np.float64],
) -> tuple[Mask, Mask]:
    """Return the deep part of the lateral ventricles and the deep fluid below them."""
    deep = (tissue < 0.5) & (distance_mm > VENTRICLE_DEPTH_MM)
    numbered, _ = ndimage.label(deep)
    lateral, other = np.zeros(deep.shape, dtype=bool), np.zeros(deep.shape, dtype=bool)
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        part = numbered[box] == number
        low = np.array([side.start for side in box]) + origin_mm
        high = np.array([side.stop for side in box]) + origin_mm
        is_large = np.count_nonzero(part) > 10_000
        if is_large and low[0] < -25 and high[0] > 25 and low[2] > -15:
            lateral[box] |= part
        elif is_large:
            other[box] |= part
    # above the third ventricle lies the fissure, where large lateral ventricles may reach
    other[:, :, int(CISTERNS_BELOW_MM - origin_mm[2]) :] = False
    if not (lateral.any() and other.any()):
        raise RuntimeError("the template's ventricles were not found: other maps than MNI152?")
    return lateral, other


def _inferior_horns(
    t1: NDArray[np.float32],
    tissue: NDArray[np.float32],
    distance_mm: NDArray[np.float32],
    *,
    origin_mm: NDArray[np.float64],
) -> Mask:
    """Return the fluid along the path of the inferior horns, on both sides."""
    knots = np.array(INFERIOR_HORN_MM, dtype=np.float64)
    steps = np.linspace(0, len(knots) - 1, 8 * len(knots))
    path = np.stack([np.interp(steps, np.arange(len(knots)), axis) for axis in knots.T], axis=1)
    wet = (distance_mm > 0) & ((1.0 - tissue > HORN_FLUID) | (t1 < HORN_DARK))
    spots = np.argwhere(wet)
    points = spots + origin_mm
    points[:, 0] = np.abs(points[:, 0])
    near, _ = cKDTree(path).query(points, distance_upper_bound=HORN_RADIUS_MM)
    horn = np.zeros(t1.shape, dtype=bool)
    horn[tuple(spots[np.isfinite(near)].T)] = True
    return horn
