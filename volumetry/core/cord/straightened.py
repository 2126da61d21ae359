"""The cord pulled straight, and its cross-sections at fixed levels: what two visits compare on.

Both pictures are laid out by millimetres from the landmark (or, without one, from the upper end
of the measured cord), so that a page can put two visits, and the area profile, on one scale.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from volumetry.core.cord.contour import THETA
from volumetry.core.cord.engine import CordMeasurement
from volumetry.core.cord.geometry import Array, Grid, Sections, sampler_around
from volumetry.core.pictures import (
    OUTLINE,
    WINDOW,
    closed_line_draw,
    grey_picture,
    mosaic,
    text_draw,
)

PIXEL_MM = 0.25
HALF_WIDTH_MM = 10.0
EVERY_MM = 3.0
TILE_PIXELS = 160
TILE_MM = 30.0
COLUMNS = 10
UPPER_END = "upper end"


@dataclass(frozen=True, slots=True)
class Levels:
    """Pictures along the cord with their geometry, for ``views.json``.

    ``straight`` shows the sagittal above the coronal cut; its columns run from ``first_mm`` to
    ``last_mm`` below ``zero``. ``sections`` is a sheet of tiles at ``positions_mm``.
    """

    straight: Image.Image
    sections: Image.Image
    first_mm: float
    last_mm: float
    positions_mm: tuple[float, ...]
    area_mm2: tuple[float | None, ...]
    zero: str

    def as_json(self, straight_name: str, sections_name: str) -> dict[str, object]:
        """Describe both pictures for the page that shows them."""
        return {
            "straight": {
                "file": straight_name,
                "first_mm": round(self.first_mm, 2),
                "last_mm": round(self.last_mm, 2),
                "zero": self.zero,
            },
            "sections": {
                "file": sections_name,
                "columns": COLUMNS,
                "tile": TILE_PIXELS,
                "positions_mm": [round(p, 2) for p in self.positions_mm],
                "area_mm2": [None if a is None else round(a, 2) for a in self.area_mm2],
                "zero": self.zero,
            },
        }


def cord_levels(measurement: CordMeasurement) -> Levels | None:
    """Draw a measured cord straight and as sections every 3 mm; None without a profile."""
    profile = measurement.profile
    if profile is None or len(profile.sections) < 2:
        return None
    level = measurement.level
    zero = level.projection.position_mm if level is not None else 0.0
    place = profile.sections.position_mm - zero
    rows = np.arange(np.ceil(place[0] / EVERY_MM), place[-1] / EVERY_MM + 1e-9)
    chosen = np.unique([int(np.argmin(np.abs(place - row * EVERY_MM))) for row in rows])
    if len(chosen) == 0:
        chosen = np.array([len(place) // 2])
    area = [
        float(profile.area_mm2[k]) if np.isfinite(profile.area_mm2[k]) else None for k in chosen
    ]
    return Levels(
        straight=_straight(measurement, profile.radius_mm, place),
        sections=_sheet(measurement, chosen, place),
        first_mm=float(place[0]),
        last_mm=float(place[-1]),
        positions_mm=tuple(float(place[k]) for k in chosen),
        area_mm2=tuple(area),
        zero=str(level.landmark.kind) if level is not None else UPPER_END,
    )


def _straight(measurement: CordMeasurement, radius_mm: Array, place: Array) -> Image.Image:
    """Cut along the centreline, front up, then right up; head at the left."""
    profile = measurement.profile
    assert profile is not None
    sections = profile.sections
    fine = np.arange(place[0], place[-1] + 1e-9, PIXEL_MM)
    along = _resampled(sections, place, fine)
    offset = np.arange(HALF_WIDTH_MM, -HALF_WIDTH_MM - 1e-9, -PIXEL_MM)
    across = np.broadcast_to(offset, (len(fine), len(offset)))
    sample = sampler_around(measurement.grid, along.centre_mm, margin_mm=HALF_WIDTH_MM + 4.0)
    none = np.zeros_like(across)
    cuts = [
        sample(along.points(none, across)),  # front to back
        sample(along.points(across, none)),  # right to left
    ]
    pictures = []
    edges = ((_nearest(np.pi / 2), _nearest(3 * np.pi / 2)), (_nearest(0.0), _nearest(np.pi)))
    for cut, (high, low) in zip(cuts, edges, strict=True):
        pixels = np.array(grey_picture(cut.T))
        for side, sign in ((high, 1.0), (low, -1.0)):
            edge = np.interp(fine, place, np.nan_to_num(radius_mm[:, side]))
            seen = np.interp(fine, place, np.isfinite(profile.area_mm2).astype(float)) > 0.5
            _paint(pixels, (HALF_WIDTH_MM - sign * edge) / PIXEL_MM, seen)
        pictures.append(pixels)
    if measurement.level is not None:
        at = round(-place[0] / PIXEL_MM)
        if 0 <= at < len(fine):
            for pixels in pictures:
                pixels[::3, at] = WINDOW
    gap = np.zeros((6, len(fine), 3), dtype=np.uint8)
    return Image.fromarray(np.concatenate([pictures[0], gap, pictures[1]]).astype(np.uint8))


def _paint(pixels: NDArray[np.uint8], row: Array, seen: NDArray[np.bool_]) -> None:
    """Draw an edge, one pixel per column where the section counts."""
    at = np.clip(np.round(row), 0, pixels.shape[0] - 1).astype(int)
    columns = np.flatnonzero(seen)
    pixels[at[columns], columns] = OUTLINE


def _nearest(angle: float) -> int:
    return int(np.argmin(np.abs(THETA - angle)))


def _resampled(sections: Sections, place: Array, fine: Array) -> Sections:
    """Return sections at finer steps; axes between two sections are their mean."""

    def between(rows: Array) -> Array:
        mixed = np.stack([np.interp(fine, place, rows[:, k]) for k in range(3)], axis=1)
        return np.asarray(mixed)

    def unit(rows: Array) -> Array:
        mixed = between(rows)
        return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True))

    return Sections(
        fine,
        between(sections.centre_mm),
        unit(sections.tangent),
        unit(sections.x_axis),
        unit(sections.y_axis),
        np.interp(fine, place, sections.cosine),
        PIXEL_MM,
    )


def _sheet(
    measurement: CordMeasurement, chosen: NDArray[np.int64], place: Array
) -> Image.Image:
    """Lay the chosen cross-sections out, each with its outline and level."""
    profile = measurement.profile
    assert profile is not None
    values = _tiles(measurement.grid, profile.sections, chosen)
    scale, middle = TILE_PIXELS / TILE_MM, (TILE_PIXELS - 1) / 2
    tiles = []
    for row, index in enumerate(chosen):
        tile = grey_picture(values[row])
        if np.isfinite(profile.area_mm2[index]):
            x = profile.radius_mm[index] * np.cos(THETA)
            y = profile.radius_mm[index] * np.sin(THETA)
            # Radiological display: the person's right is on the left of the picture.
            closed_line_draw(tile, np.stack([middle - x * scale, middle - y * scale], axis=1))
        text_draw(tile, (4, 2), f"{place[index]:.0f} mm", size=13)
        tiles.append(tile)
    return mosaic(tiles, columns=COLUMNS, gap=0)


def _tiles(grid: Grid, sections: Sections, chosen: NDArray[np.int64]) -> Array:
    """Sample square patches of chosen sections, front up and right on the left."""
    offset = (np.arange(TILE_PIXELS) - (TILE_PIXELS - 1) / 2) * TILE_MM / TILE_PIXELS
    x, y = np.meshgrid(-offset, -offset)
    picked = Sections(
        sections.position_mm[chosen],
        sections.centre_mm[chosen],
        sections.tangent[chosen],
        sections.x_axis[chosen],
        sections.y_axis[chosen],
        sections.cosine[chosen],
        sections.step_mm,
    )
    shape = (len(chosen), *x.shape)
    points = picked.points(np.broadcast_to(x, shape), np.broadcast_to(y, shape))
    return sampler_around(grid, picked.centre_mm, margin_mm=26.0)(points)
