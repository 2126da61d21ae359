"""Standard error of a mean area: what this scan's own profile shows, and what it cannot.

Noise of the contour shows as scatter of the profile about its smooth course. What is common
to the whole scan (fitted levels and blur, place of the voxels) does not show; it was measured
on drawn cords of known area (docs/cord.md) and is added as a share of the area.
"""

import numpy as np
from scipy import ndimage

from volumetry.core.cord.geometry import THICK_SLICE_MM, Array, Grid

BASE_SHARE = 0.0012
"""Error that all sections of one scan share, as a share of the area."""
SHARED_NOISE = 1.3
"""Noise also moves the fitted levels and blur, which all sections share: the error of the mean
is this many times what independent sections would give (drawn cords, docs/cord.md)."""
GIVEN_SHARE = 0.005
"""For masks made elsewhere, whose edge was not fitted here."""
SLICE_PLANE_SHARE = 0.008
"""For thick axial slices."""
SIDE_SHARE = 0.03
"""For thick sagittal or coronal slices, which cannot show the cord's sides: depends on where
the slices fall."""
CLEAR_BLUR_MM = 0.65
"""Above this fitted blur the ring of fluid fills up and the area is read low."""
BLUR_SHARE_PER_MM = 0.09
SPREAD_SHARE_PER_MM2 = 0.006
"""Growth of the shared error with the variance of the point spread."""
THIN_FLUID_SHARE = 0.025
"""Growth with the share of the rim beside which the fluid is much thinner than elsewhere: its
level is not reached there."""
CORRELATION_MM = 4.0
"""Length over which neighbouring sections share their noise: 3 mm smoothing of the edge."""


def is_thick_sideways(grid: Grid) -> bool:
    """Whether the slices are thick and not axial: the commonest clinical neck scan."""
    return grid.slice_axis in (0, 1) and bool(grid.spacing_mm.max() >= THICK_SLICE_MM - 1.0)


def common_share(grid: Grid, blur_mm: float | None, thin_fluid: float = 0.0) -> float:
    """Error that all sections share, as a share of the area.

    Parameters
    ----------
    blur_mm : float or None
        Blur fitted to the scan; None for a given mask.
    thin_fluid : float
        Share of the rim beside which the fluid is thin.
    """
    share = GIVEN_SHARE
    if blur_mm is not None:
        spread_mm2 = float(np.mean(grid.spacing_mm**2)) / 12.0 + blur_mm**2
        share = float(np.hypot(BASE_SHARE, SPREAD_SHARE_PER_MM2 * spread_mm2))
    if grid.is_thick_axial:
        share = SLICE_PLANE_SHARE
    elif is_thick_sideways(grid):
        share = SIDE_SHARE
    share = float(np.hypot(share, THIN_FLUID_SHARE * thin_fluid))
    return share + BLUR_SHARE_PER_MM * max(0.0, (blur_mm or 0.0) - CLEAR_BLUR_MM)


def mean_area_error(
    position_mm: Array, area_mm2: Array, *, share: float, length_mm: float
) -> float:
    """Return the standard error of the mean of measured areas over a length, mm².

    Parameters
    ----------
    position_mm, area_mm2 : arrays, shape (sections,)
        Sections that entered the mean; all measured.
    share : float
        Error common to all sections, as a share of the area.
    length_mm : float
        Length of the window.
    """
    mean = float(np.mean(area_mm2))
    step = float(np.median(np.diff(position_mm))) if len(position_mm) > 1 else length_mm
    if len(area_mm2) >= 5:
        course = ndimage.gaussian_filter1d(area_mm2, 5.0 / step, mode="nearest")
        scatter = float(np.std(area_mm2 - course))
    else:
        scatter = 0.02 * mean
    independent = max(1.0, min(len(area_mm2), length_mm / max(CORRELATION_MM, step)))
    return float(np.hypot(SHARED_NOISE * scatter / np.sqrt(independent), share * mean))
