"""Propose the pontomedullary junction: the notch below the pons in the ventral profile.

Going up from the cord in the midline plane, the ventral edge of the medulla rises slowly; at
the pons it leaps forward by about a centimetre. The notch is the point of the ventral profile
farthest from the chord across the leap. No template is needed, and a neck scan that ends
below the pons proposes nothing.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from volumetry.core.cord.geometry import Array, Grid
from volumetry.core.cord.profile import Profile
from volumetry.core.cord.tracing import Trace

STEP_MM = 0.5
SEARCH_ABOVE_MM = 85.0
FRONT_MM = 45.0
BACK_MM = 12.0
LEAP_MM = 4.5
LEAP_OVER_MM = 5.0
PONS_HEIGHT_MM = 10.0
CHORD_BELOW_MM = 10.0
CHORD_ABOVE_MM = 6.0
BELOW_TOP_MM = (25.0, 16.0, 9.0)
"""Where the ventral profile may begin below the cord's upper end: where roots or vessels lie
against the cord its edge is lost, and the next place is tried."""


@dataclass(frozen=True, slots=True)
class Junction:
    """A proposed pontomedullary junction.

    ``leap_mm`` is how far the pons stands out, ``sharpness_mm`` the depth of the notch
    against its chord: small values are doubtful.
    """

    point_mm: Array
    leap_mm: float
    sharpness_mm: float


def junction_propose(grid: Grid, traced: Trace, profile: Profile) -> Junction | None:
    """Look for the notch above the cord; None when the scan shows no pons."""
    threshold = _threshold(traced, profile)
    for below_mm in BELOW_TOP_MM:
        frame = _upper_frame(grid, profile, below_mm=below_mm)
        heights = np.arange(0.0, SEARCH_ABOVE_MM, STEP_MM)
        forward = np.arange(-BACK_MM, FRONT_MM, STEP_MM)
        plane = _midline_plane(grid, frame, heights, forward) * traced.polarity
        edge = _ventral_profile(plane, forward, threshold)
        notch = _notch(heights, edge)
        if notch is not None:
            row, leap, depth = notch
            origin, up, front, _ = frame
            point = origin + heights[row] * up + edge[row] * front
            return Junction(point, leap, depth)
    return None


def _upper_frame(
    grid: Grid, profile: Profile, *, below_mm: float
) -> tuple[Array, Array, Array, Array]:
    """Origin below the cord's upper end, and up, front and right axes.

    Up follows the scan's own axis leaned in the left-right direction as the upper cord is:
    the head's midline plane continues that of the upper neck.
    """
    sections = profile.sections
    upper = sections.position_mm <= 40.0
    voxels = grid.voxels(sections.centre_mm[upper])
    scaled = voxels * grid.spacing_mm
    lean = float(np.clip(np.polyfit(scaled[:, 2], scaled[:, 0], 1)[0], -0.3, 0.3))
    right, front, up = grid.axes.T
    start = int(np.argmin(np.abs(sections.position_mm - below_mm)))
    up_leaned = up + lean * right
    up_leaned /= np.linalg.norm(up_leaned)
    across = np.cross(front, up_leaned)
    return sections.centre_mm[start], up_leaned, front, across


def _midline_plane(
    grid: Grid, frame: tuple[Array, Array, Array, Array], heights: Array, forward: Array
) -> Array:
    """Sample the plane, averaged over 4 mm across; outside the scan NaN. (heights, forward)."""
    origin, up, front, across = frame
    inverse = np.linalg.inv(grid.affine)
    total = np.zeros((len(heights), len(forward)))
    offsets = (-2.0, -1.0, 0.0, 1.0, 2.0)
    for offset in offsets:
        points = (
            origin
            + offset * across
            + heights[:, None, None] * up
            + forward[None, :, None] * front
        )
        voxels = np.moveaxis(points @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
        total += ndimage.map_coordinates(
            grid.values, voxels, order=1, mode="constant", cval=np.nan
        )
    return np.asarray(total / len(offsets))


def _threshold(traced: Trace, profile: Profile) -> float:
    """Middle between the levels of cord and fluid at the upper end of the cord."""
    start = profile.sections.centre_mm[0]
    nearest = int(np.argmin(np.linalg.norm(traced.sections.centre_mm - start, axis=1)))
    part = slice(nearest, nearest + 25)
    inside = float(np.median(traced.edge.inside[part]))
    outside = float(np.median(traced.edge.outside[part]))
    return 0.5 * (inside + outside)


def _ventral_profile(plane: Array, forward: Array, threshold: float) -> Array:
    """Follow the ventral edge upwards; NaN from where it is lost.

    In each row the edge is the first fall through the threshold in front of a seed that lies
    5 mm behind the edge of the row below.
    """
    smooth = ndimage.gaussian_filter(np.nan_to_num(plane, nan=-1e9), (0.0, 0.0))
    edge = np.full(len(plane), np.nan)
    seed = 0.0
    for row, values in enumerate(smooth):
        first = int(np.searchsorted(forward, seed))
        ahead = values[first:] - threshold
        if not len(ahead) or ahead[0] <= 0 or np.isnan(plane[row, first]):
            break
        falls = np.flatnonzero(ahead <= 0)
        if len(falls) == 0:
            break
        at = falls[0]
        share = ahead[at - 1] / max(ahead[at - 1] - ahead[at], 1e-9)
        edge[row] = forward[first + at - 1] + share * STEP_MM
        seed = float(np.clip(edge[row] - 5.0, seed - 0.5, seed + 0.4))
    return edge


def _notch(heights: Array, edge: Array) -> tuple[int, float, float] | None:
    """Find the first lasting leap forward, and the row farthest behind its chord."""
    known = np.isfinite(edge)
    count = int(np.argmin(known)) if not known.all() else len(edge)
    if count * STEP_MM < 30.0:
        return None
    smooth = ndimage.median_filter(edge[:count], 5, mode="nearest")
    smooth = ndimage.gaussian_filter1d(smooth, 1.0, mode="nearest")
    over = round(LEAP_OVER_MM / STEP_MM)
    tall = round(PONS_HEIGHT_MM / STEP_MM)
    for row in range(round(6.0 / STEP_MM), count - over - tall):
        if smooth[row + over] - smooth[row] < LEAP_MM:
            continue
        above = smooth[row + over : row + over + tall]
        if above.min() - smooth[row] < 0.8 * LEAP_MM:
            continue
        low = max(0, row - round(CHORD_BELOW_MM / STEP_MM))
        high = row + over + round(CHORD_ABOVE_MM / STEP_MM)
        line = np.stack([heights[low : high + 1], smooth[low : high + 1]], axis=1)
        chord = line[-1] - line[0]
        chord = chord / np.linalg.norm(chord)
        offset = line - line[0]
        behind = chord[1] * offset[:, 0] - chord[0] * offset[:, 1]
        best = int(np.argmax(behind))
        leap = float(np.median(above) - smooth[row])
        return low + best, leap, float(behind[best])
    return None
