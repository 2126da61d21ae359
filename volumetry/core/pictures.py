"""Pictures for the eye: mosaics of cross-sections and clickable views, drawn with pillow.

Every clickable view carries the matrix that turns a pixel into world millimetres, so a click
on the page is a point in the scan.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from volumetry.core.types import FloatArray

Array = NDArray[np.float64]

OUTLINE = (255, 196, 0)
CENTRE = (0, 200, 255)
WINDOW = (80, 230, 120)
LANDMARK = (255, 90, 120)
INK = (235, 235, 235)
BACKGROUND = (12, 12, 14)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something drawn on a view: a named line or point, world mm, shape (n, 3)."""

    kind: str
    points_mm: Array
    colour: tuple[int, int, int] = CENTRE


@dataclass(frozen=True, slots=True)
class View:
    """A planar view of a scan.

    Attributes
    ----------
    picture : Image
        What is shown.
    pixel_to_world : array, shape (3, 3)
        Maps (px, py, 1), pixel centres at integers, to world mm RAS.
    """

    picture: Image.Image
    pixel_to_world: Array
    marks: tuple[Mark, ...] = field(default=())

    def pixel_of(self, points_mm: Array) -> Array:
        """Project world points onto the view, shape (n, 2)."""
        axes, origin = self.pixel_to_world[:, :2], self.pixel_to_world[:, 2]
        pixels, *_ = np.linalg.lstsq(axes, (points_mm - origin).T, rcond=None)
        return np.asarray(pixels.T)

    def as_json(self, file_name: str) -> dict[str, object]:
        """Describe the view for the page that shows it."""
        return {
            "file": file_name,
            "width": self.picture.width,
            "height": self.picture.height,
            "pixel_to_world": self.pixel_to_world.tolist(),
            "marks": [
                {
                    "kind": mark.kind,
                    "points": np.round(self.pixel_of(mark.points_mm), 2).tolist(),
                }
                for mark in self.marks
            ],
        }


def planar_view(
    values: FloatArray,
    affine: Array,
    *,
    origin_mm: Array,
    across: Array,
    down: Array,
    size_mm: tuple[float, float],
    min_height: int = 640,
    marks: tuple[Mark, ...] = (),
) -> View:
    """Cut a plane out of a scan and show it with square millimetres.

    Parameters
    ----------
    values : array, shape (i, j, k)
    affine : array, shape (4, 4)
    origin_mm : array, shape (3,)
        World point of the upper left pixel.
    across, down : arrays, shape (3,)
        World unit vectors along picture columns and rows.
    size_mm : (float, float)
        Width and height of the view.
    min_height : int
        Height in pixels, at least.
    marks : tuple of Mark
        Drawn on the picture and described beside it.
    """
    pixel_mm = min(1.0, size_mm[1] / min_height)
    width = min(1600, max(32, round(size_mm[0] / pixel_mm)))
    height = min(1600, max(32, round(size_mm[1] / pixel_mm)))
    matrix = np.stack([across * pixel_mm, down * pixel_mm, origin_mm], axis=1)
    px, py = np.meshgrid(np.arange(width), np.arange(height))
    points = np.stack([px, py, np.ones_like(px)], axis=-1) @ matrix.T
    inverse = np.linalg.inv(affine)
    voxels = np.moveaxis(points @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
    shown = np.asarray(
        ndimage.map_coordinates(values, voxels, order=1, mode="constant", cval=np.nan),
        dtype=np.float64,
    )
    view = View(grey_picture(shown), matrix, marks)
    draw = ImageDraw.Draw(view.picture)
    for mark in marks:
        _draw_mark(draw, mark, view.pixel_of(mark.points_mm))
    return view


def _draw_mark(draw: ImageDraw.ImageDraw, mark: Mark, pixels: Array) -> None:
    corners = [(float(x), float(y)) for x, y in pixels]
    if len(corners) > 1:
        draw.line(corners, fill=mark.colour, width=2)
    elif corners:
        x, y = corners[0]
        draw.line([(x - 12, y), (x + 12, y)], fill=mark.colour, width=2)
        draw.line([(x, y - 12), (x, y + 12)], fill=mark.colour, width=2)
        draw.ellipse([x - 7, y - 7, x + 7, y + 7], outline=mark.colour, width=2)


def grey_picture(values: FloatArray, *, low: float = 1.0, high: float = 99.5) -> Image.Image:
    """Turn values into an RGB picture, clipped at percentiles; NaN is background."""
    seen = np.isfinite(values)
    if not seen.any():
        return Image.new("RGB", values.shape[::-1], BACKGROUND)
    floor, ceiling = np.percentile(values[seen], (low, high))
    scaled = np.clip((values - floor) / max(ceiling - floor, 1e-9), 0.0, 1.0) * 255.0
    grey = np.where(seen, scaled, 12.0).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def text_draw(
    picture: Image.Image, at: tuple[float, float], text: str, *, size: int = 14
) -> None:
    """Write text with a dark rim, readable on any grey.

    The packaged font has no ² and would draw an empty box: its 2 is written smaller and raised.
    """
    pen, (x, y) = ImageDraw.Draw(picture), at
    for index, part in enumerate(re.split("(²)", text)):
        is_raised = index % 2 == 1
        font = ImageFont.load_default(0.65 * size if is_raised else size)
        words = "2" if is_raised else part
        pen.text((x, y), words, fill=INK, font=font, stroke_width=2, stroke_fill=(0, 0, 0))
        x += pen.textlength(words, font=font)


def closed_line_draw(
    picture: Image.Image,
    pixels: Array,
    *,
    colour: tuple[int, int, int] = OUTLINE,
    width: int = 2,
) -> None:
    """Draw a closed outline, pixels of shape (n, 2)."""
    corners = [(float(x), float(y)) for x, y in pixels]
    ImageDraw.Draw(picture).line([*corners, corners[0]], fill=colour, width=width)


def mosaic(tiles: list[Image.Image], *, columns: int, gap: int = 4) -> Image.Image:
    """Lay equally large tiles out in rows."""
    width, height = tiles[0].size
    rows = -(-len(tiles) // columns)
    sheet = Image.new(
        "RGB", (columns * (width + gap) + gap, rows * (height + gap) + gap), BACKGROUND
    )
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(tile, (gap + column * (width + gap), gap + row * (height + gap)))
    return sheet


def side_by_side(pictures: list[Image.Image], *, height: int, gap: int = 6) -> Image.Image:
    """Scale pictures to one height and put them in a row."""
    scaled = [p.resize((max(1, round(p.width * height / p.height)), height)) for p in pictures]
    width = sum(p.width for p in scaled) + gap * (len(scaled) + 1)
    sheet = Image.new("RGB", (width, height + 2 * gap), BACKGROUND)
    left = gap
    for picture in scaled:
        sheet.paste(picture, (left, gap))
        left += picture.width + gap
    return sheet


def picture_save(picture: Image.Image, path: Path) -> Path:
    """Write a PNG, first under another name, then renamed."""
    scratch = path.with_name(f"_{path.name}")
    # Half the time of the usual level 6, for files a few per cent larger.
    picture.save(scratch, format="PNG", compress_level=3)
    return scratch.rename(path)
