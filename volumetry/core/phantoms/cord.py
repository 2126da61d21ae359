"""The phantom's cord: a tube of ellipses whose area across the centreline is given.

All lengths are phantom millimetres (RAS). Arc length counts from the projection of the
pontomedullary junction to the centreline, downwards.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from volumetry.core.phantoms.brain import TEMPLATE_SCALE

Array = NDArray[np.float64]

# Midline of brainstem and cord, (y, z) in MNI mm, by eye from the template down to z = -70,
# then bent into an upright, slightly lordotic neck.
_COURSE = np.array(
    [
        (-33.4, -40.0), (-35.6, -45.0), (-37.5, -50.0), (-41.2, -60.0), (-44.8, -70.0),
        (-47.8, -80.0), (-49.9, -90.0), (-51.2, -100.0), (-51.5, -115.0), (-50.8, -130.0),
        (-49.2, -150.0), (-46.5, -172.0), (-43.5, -190.0),
    ]
)  # fmt: skip
_JUNCTION = np.array([0.0, -30.5, -47.5])

# Area in mm² across the centreline at arc length in mm below the junction: the medulla of the
# template, a cord that tapers to C3 and widens towards the cervical enlargement.
_AREA = np.array(
    [(0.0, 118.0), (18.0, 112.0), (30.0, 93.0), (42.0, 80.0), (54.0, 77.0), (64.0, 75.6),
     (78.0, 74.6), (92.0, 76.5), (106.0, 79.5), (130.0, 80.5)]
)  # fmt: skip
_ASPECT = np.array([(0.0, 1.15), (18.0, 1.2), (40.0, 1.5), (130.0, 1.55)])  # RL over AP
FADE_MM = (14.0, 28.0)
"""The loss of area begins below the medulla, which belongs to the brain's maps."""

UPPER_END_MM = 12.0
LOWER_END_MM = 125.0
C2_C3_MM = 64.0
"""The C2-C3 disc lies 64 mm below the junction on average (10.3389/fnimg.2022.1031253)."""


@dataclass(frozen=True, slots=True)
class Tube:
    """The cord of one visit; ``remaining`` is its area over that at baseline."""

    remaining: float = 1.0

    def area_mm2(self, arc_mm: Array) -> Array:
        """Return the area across the centreline at arc lengths."""
        fade = np.clip((arc_mm - FADE_MM[0]) / (FADE_MM[1] - FADE_MM[0]), 0.0, 1.0)
        fade = fade * fade * (3.0 - 2.0 * fade)
        area: Array = CURVES.area(arc_mm) * (1.0 - (1.0 - self.remaining) * fade)
        return area

    def mean_area_mm2(self, low_mm: float, high_mm: float) -> float:
        """Return the mean area between two arc lengths."""
        arc = np.arange(low_mm + 0.05, high_mm, 0.1)
        return float(self.area_mm2(arc).mean())

    def radii_mm(self, arc_mm: Array) -> tuple[Array, Array]:
        """Return the half axes of the ellipse: left-right, front-back."""
        aspect = np.interp(arc_mm, _ASPECT[:, 0], _ASPECT[:, 1])
        half = np.sqrt(self.area_mm2(arc_mm) / np.pi)
        return half * np.sqrt(aspect), half / np.sqrt(aspect)


@dataclass(frozen=True, slots=True)
class _Curves:
    """Centreline and area as functions."""

    y_of_z: CubicSpline
    area: CubicSpline
    z_table: Array
    arc_table: Array


def _curves() -> _Curves:
    course = _COURSE[::-1] * TEMPLATE_SCALE
    y_of_z = CubicSpline(course[:, 1], course[:, 0])
    z_table = np.linspace(course[-1, 1], course[0, 1], 4000)
    step = np.sqrt(1.0 + y_of_z(z_table, 1) ** 2) * abs(z_table[1] - z_table[0])
    arc = np.cumsum(step) - step[0]
    junction = _JUNCTION * TEMPLATE_SCALE
    distance = np.hypot(y_of_z(z_table) - junction[1], z_table - junction[2])
    return _Curves(
        y_of_z,
        CubicSpline(_AREA[:, 0], _AREA[:, 1]),
        z_table,
        arc - arc[int(np.argmin(distance))],
    )


CURVES = _curves()


def junction_mm() -> Array:
    """Return the pontomedullary junction on the ventral surface, phantom mm."""
    return _JUNCTION * TEMPLATE_SCALE


def centre_mm(arc_mm: Array) -> Array:
    """Return points of the centreline, shape (n, 3), at arc lengths."""
    z = np.interp(arc_mm, CURVES.arc_table, CURVES.z_table)
    return np.stack([np.zeros_like(z), CURVES.y_of_z(z), z], axis=-1)


def tube_coordinates(points: Array) -> tuple[Array, Array, Array]:
    """Return arc length, left-right and front-back offset of points from the centreline.

    Parameters
    ----------
    points : array, shape (n, 3)
        Phantom millimetres.

    Returns
    -------
    tuple of array
        Arc length below the junction, offset to the right, offset to the front; all mm,
        measured in the plane across the centreline that holds the point.
    """
    y, foot = points[:, 1], points[:, 2].copy()
    z = points[:, 2]
    for _ in range(6):
        # Newton on (p - c)·c' = 0; the course is nearly straight, so it settles at once.
        slope = CURVES.y_of_z(foot, 1)
        residual = (y - CURVES.y_of_z(foot)) * slope + (z - foot)
        foot = foot + residual / (1.0 + slope**2)
        foot = np.clip(foot, CURVES.z_table[-1], CURVES.z_table[0])
    slope = CURVES.y_of_z(foot, 1)
    length = np.sqrt(1.0 + slope**2)
    front = ((y - CURVES.y_of_z(foot)) - (z - foot) * slope) / length
    arc = np.interp(-foot, -CURVES.z_table, CURVES.arc_table)
    return arc, points[:, 0], front
