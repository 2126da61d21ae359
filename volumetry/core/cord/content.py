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

LOST_OVER_MM = (10.0, 20.0)
LOST_SHARE = 0.75
"""Going up, no cord gets thinner than this both from one 10 mm to the next (it is steep) and
from one 20 mm to the next (it lasts): the path has left it. Some necks lose a quarter from the
cervical enlargement to C2, but over 40 mm; a disc pressing on the cord takes less than 10."""


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

    Medians above and below a place are compared. Coming from below the loss shows some mm
    early; that stretch, in which cord and something else meet, is not trusted either. Among a
    few thick slices a leak looks like a loss above it, so nothing is said of them.

    Parameters
    ----------
    area_mm2, seen : arrays, shape (sections,)
        Area, and whether the section counts; from top to bottom.
    """
    if sections.step_mm >= THICK_SLICE_MM:
        return 0
    for row in np.flatnonzero(seen)[::-1]:
        gap = sections.position_mm - sections.position_mm[row]
        if all(_share_above(area_mm2[seen], gap[seen], mm) < LOST_SHARE for mm in LOST_OVER_MM):
            return int(row)
    return 0


def _share_above(area_mm2: Array, gap_mm: Array, reach_mm: float) -> float:
    """Median area above a place as a share of that below; 1 where too little is seen."""
    above = area_mm2[(gap_mm < 0.0) & (gap_mm >= -reach_mm)]
    below = area_mm2[(gap_mm >= 0.0) & (gap_mm <= reach_mm)]
    if min(len(above), len(below)) < 5:
        return 1.0
    return float(np.median(above) / np.median(below))
