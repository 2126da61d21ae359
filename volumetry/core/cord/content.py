"""Which outlines hold cord and nothing else, read off the whole trace.

An outline can lie on a clear edge and still be wrong: it has leaked to the dura, it has passed
fat or a root beside the cord, or the path has gone on to another structure. Two looks tell: the
levels just within the outline, and an area that is lost on the way up. A section that fails one
of them is left out and counted.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.cord.contour import RADII_MM
from volumetry.core.cord.geometry import THICK_SLICE_MM, Array, Sections

CORE_MM, BAND_MM = 2.6, (1.0, 2.5)
"""Middle of the cord, and how far within the outline something else is looked for."""
FLUID_WITHIN, BRIGHT_WITHIN = -0.25, 0.5
"""Levels there against the middle's, in steps from fluid to cord, that are not cord. On shared
scans whose outline is right a mean over five rays stays within -0.15 ... 0.5."""
FOREIGN = (0.06, 0.27)
"""Share of the rim with foreign levels within it: full confidence, none."""

LOST_OVER_MM = 20.0
MIN_BESIDE = 8.0
"""Sections that each side needs: among few thick slices a leak looks like a loss above it."""
LOST_SHARE = 0.77
"""Going up, no cord gets thinner than this from one 20 mm to the next (lumbar enlargement to
thoracic cord, the steepest way up, about 0.9 in the PAM50 template): the path has left it."""


def foreign_share(
    values: Array, outline_mm: Array, outside: Array, *, contrast: float, step_mm: float
) -> Array:
    """Share of the rim with something else than cord just within it, per section.

    An outline that has leaked to the dura holds fluid; one that has passed a bright structure
    beside the cord holds that. The band from 1 to 2.5 mm within the outline is compared with
    the middle of the cord; grey matter in it is allowed for.

    Parameters
    ----------
    values : array, shape (sections, angles, radii)
        Intensity along the rays, times polarity.
    outline_mm, outside : arrays, shape (sections, angles)
        The outline, and the fluid's level beside it.
    contrast : float
        Usual step from fluid to cord, intensity units.
    step_mm : float
        Distance of the sections.
    """
    core = np.median(values[:, :, RADII_MM < CORE_MM], axis=(1, 2))[:, None]
    within = outline_mm[..., None] - RADII_MM
    band = (within >= BAND_MM[0]) & (within <= BAND_MM[1]) & (RADII_MM > 1.5)
    level = (values * band).sum(axis=-1) / np.maximum(band.sum(axis=-1), 1)
    step = np.maximum(core - outside, max(0.3 * contrast, 1e-9))
    apart = ndimage.uniform_filter1d((level - core) / step, 5, axis=1, mode="wrap")
    if step_mm < THICK_SLICE_MM:
        apart = ndimage.gaussian_filter1d(apart, 2.0 / step_mm, axis=0, mode="nearest")
    return np.asarray(((apart < FLUID_WITHIN) | (apart > BRIGHT_WITHIN)).mean(axis=1))


def rows_lost(area_mm2: Array, seen: NDArray[np.bool_], sections: Sections) -> int:
    """Count the uppermost rows above the place where the cord loses its area for good.

    The median of 20 mm is compared with that of the 20 mm below, so that a short narrowing
    (a disc pressing on the cord) does not count. Coming from below the loss shows up to 10 mm
    early; that stretch, in which cord and something else meet, is not trusted either.

    Parameters
    ----------
    area_mm2, seen : arrays, shape (sections,)
        Area, and whether the section counts; from top to bottom.
    """
    position = sections.position_mm
    enough = max(MIN_BESIDE, 0.5 * LOST_OVER_MM / sections.step_mm)
    for row in np.flatnonzero(seen)[::-1]:
        gap = position - position[row]
        above = area_mm2[seen & (gap < 0.0) & (gap >= -LOST_OVER_MM)]
        below = area_mm2[seen & (gap >= 0.0) & (gap <= LOST_OVER_MM)]
        if min(len(above), len(below)) < enough:
            continue
        if np.median(above) < LOST_SHARE * np.median(below):
            return int(row)
    return 0
