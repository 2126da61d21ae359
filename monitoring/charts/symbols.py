"""Marker shapes of the figures as SVG paths, named as plotly names them."""

import math
from collections.abc import Sequence

Corner = tuple[float, float]


def _polygon(corners: int, *, turn: float = -90.0, radius: float = 1.0) -> list[Corner]:
    """Return a regular polygon of unit radius, the first corner up."""
    angles = [math.radians(turn + 360 * k / corners) for k in range(corners)]
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def _star(points: int, *, turn: float = -90.0, inner: float = 0.45) -> list[Corner]:
    """Return a star: outer and inner corners by turns."""
    outside = _polygon(points, turn=turn)
    inside = _polygon(points, turn=turn + 180 / points, radius=inner)
    return [corner for pair in zip(outside, inside, strict=True) for corner in pair]


HALF = 0.89  # the side of a square whose area looks like the circle's
ARM = 0.32
BEZIER = 0.5523  # handles of a quarter circle, in radii
AREAS: dict[str, Sequence[Corner]] = {
    "square": [(-HALF, -HALF), (HALF, -HALF), (HALF, HALF), (-HALF, HALF)],
    "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
    "pentagon": _polygon(5),
    "hexagon": _polygon(6),
    "hexagon2": _polygon(6, turn=0),
    "octagon": _polygon(8, turn=22.5),
    "star": _star(5),
    "hexagram": _star(6, inner=0.58),
    "star-square": _star(4, turn=45, inner=0.62),
    "star-diamond": _star(4, inner=0.62),
    "triangle-up": _polygon(3),
    "triangle-down": _polygon(3, turn=90),
    "triangle-left": _polygon(3, turn=180),
    "triangle-right": _polygon(3, turn=0),
    "star-triangle-up": _star(3, inner=0.35),
    "star-triangle-down": _star(3, turn=90, inner=0.35),
    "cross": [
        (-ARM, -1), (ARM, -1), (ARM, -ARM), (1, -ARM), (1, ARM), (ARM, ARM),
        (ARM, 1), (-ARM, 1), (-ARM, ARM), (-1, ARM), (-1, -ARM), (-ARM, -ARM),
    ],
    "hourglass": [(-HALF, -HALF), (HALF, -HALF), (-HALF, HALF), (HALF, HALF)],
    "bowtie": [(-HALF, -HALF), (HALF, HALF), (HALF, -HALF), (-HALF, HALF)],
}  # fmt: skip
STROKES: dict[str, Sequence[tuple[Corner, Corner]]] = {
    "x-thin": [((-0.9, -0.9), (0.9, 0.9)), ((-0.9, 0.9), (0.9, -0.9))],
    "cross-thin": [((-1.2, 0), (1.2, 0)), ((0, -1.2), (0, 1.2))],
    "line-ew": [((-1.3, 0), (1.3, 0))],
    "line-ns": [((0, -1.3), (0, 1.3))],
}


class UnknownSymbol(ValueError):
    """A figure uses a shape that the report cannot draw."""


def symbol_path(name: str, size: float) -> str:
    """Return the path of a marker around the origin.

    Parameters
    ----------
    name : str
        Plotly's name without ``-open`` and ``-dot``.
    size : float
        Diameter in pixels, as plotly counts it.

    Raises
    ------
    UnknownSymbol
        If no shape has this name: another one in its place would say something else.
    """
    radius = size / 2
    if name == "circle":
        r, k = radius, BEZIER * radius
        return (
            f"M0 {-r:.2f}C{k:.2f} {-r:.2f} {r:.2f} {-k:.2f} {r:.2f} 0"
            f"C{r:.2f} {k:.2f} {k:.2f} {r:.2f} 0 {r:.2f}"
            f"C{-k:.2f} {r:.2f} {-r:.2f} {k:.2f} {-r:.2f} 0"
            f"C{-r:.2f} {-k:.2f} {-k:.2f} {-r:.2f} 0 {-r:.2f}Z"
        )
    if name in AREAS:
        corners = " ".join(f"{x * radius:.2f} {y * radius:.2f}" for x, y in AREAS[name])
        return f"M{corners}Z"
    if name in STROKES:
        return "".join(
            f"M{a[0] * radius:.2f} {a[1] * radius:.2f}L{b[0] * radius:.2f} {b[1] * radius:.2f}"
            for a, b in STROKES[name]
        )
    raise UnknownSymbol(f"No shape is called {name!r}; add it to charts/symbols.py.")
