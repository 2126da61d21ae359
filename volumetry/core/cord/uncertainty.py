"""Standard error of a mean area: what this scan's own profile shows, and what it cannot.

Noise of the contour shows as scatter of the profile about its smooth course. What is common
to the whole scan (pose on the voxel grid, level of the fluid) does not show; it was measured
on rescanned phantoms (docs/cord.md) and is added as a share of the area.
"""

import numpy as np
from scipy import ndimage

from volumetry.core.cord.geometry import Array

COMMON_SHARE = 0.005
"""Error that all sections of one scan share, as a share of the area: root mean square against
the drawn area over tilts of 0-30 degrees and blurs of 0-0.6 mm (docs/cord.md)."""
SLICE_PLANE_SHARE = 0.008
"""The same for scans of thick slices."""
CORRELATION_MM = 4.0
"""Length over which neighbouring sections share their noise: 3 mm smoothing of the edge."""


def mean_area_error(
    position_mm: Array, area_mm2: Array, *, is_thick: bool, length_mm: float
) -> float:
    """Return the standard error of the mean of measured areas over a length, mm².

    Parameters
    ----------
    position_mm, area_mm2 : arrays, shape (sections,)
        Sections that entered the mean; all measured.
    is_thick : bool
        Whether slices are too thick to interpolate between.
    length_mm : float
        Length of the window.
    """
    mean = float(np.mean(area_mm2))
    share = SLICE_PLANE_SHARE if is_thick else COMMON_SHARE
    step = float(np.median(np.diff(position_mm))) if len(position_mm) > 1 else length_mm
    if len(area_mm2) >= 5:
        course = ndimage.gaussian_filter1d(area_mm2, 5.0 / step, mode="nearest")
        scatter = float(np.std(area_mm2 - course))
    else:
        scatter = 0.02 * mean
    independent = max(1.0, min(len(area_mm2), length_mm / max(CORRELATION_MM, step)))
    return float(np.hypot(scatter / np.sqrt(independent), share * mean))
