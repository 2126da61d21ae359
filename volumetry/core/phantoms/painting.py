"""Soft-edged painting: the share of a voxel that a shape covers."""

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]


def edge(inside_mm: NDArray[np.floating]) -> Map:
    """Return the share of a 1 mm voxel inside a surface; ``inside_mm`` is positive inside.

    Examples
    --------
    >>> edge(np.array([-2.0, 0.0, 0.25, 3.0], dtype=np.float32)).tolist()
    [0.0, 0.5, 0.75, 1.0]
    """
    share: Map = np.clip(inside_mm + 0.5, 0.0, 1.0).astype(np.float32, copy=False)
    return share


def paint(image: Map, value: float, share: Map) -> None:
    """Mix a tissue into the image, in place."""
    image += (np.float32(value) - image) * share


def ellipse(across: Map, along: Map, *, half_across: float, half_along: float) -> Map:
    """Return roughly the distance to an ellipse, mm, positive inside."""
    radius = np.sqrt((across / half_across) ** 2 + (along / half_along) ** 2)
    inside: Map = ((1.0 - radius) * min(half_across, half_along)).astype(np.float32)
    return inside
