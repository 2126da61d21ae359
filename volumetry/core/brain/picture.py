"""The quality picture of the brain: slices in three planes with the outlines found."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from volumetry.core.brain.change import HalfwayPair

TILE = 232
COLUMNS = 5
MARKS = (0.14, 0.86)
"""First and last slice of a row, in parts of the extent of what is outlined."""
COLOURS = ((90, 200, 255), (255, 92, 92), (255, 224, 70), (120, 235, 130))
"""Intracranial boundary, brain, lateral ventricles, thalamus; named in the legend, not only
coloured."""
LEGEND = (
    "intracranial space",
    "brain parenchyma",
    "lateral ventricles",
    "thalamus (experimental)",
)
AXIAL, CORONAL, SAGITTAL = 2, 1, 0


def mosaic_save(
    values: NDArray[np.float32],
    *,
    spacing_mm: tuple[float, float, float],
    masks: tuple[NDArray[np.bool_], ...],
    path: Path,
    legend: tuple[str, ...] = LEGEND,
) -> Path:
    """Draw three rows of slices (axial, coronal, sagittal) with mask outlines.

    Parameters
    ----------
    values : float32, shape (i, j, k)
        Image in RAS order; drawn in radiological view (the patient's right is left).
    spacing_mm : tuple of float
        Voxel spacing.
    masks : tuple of bool arrays
        What is outlined, up to four.
    path : Path
        PNG to write.
    """
    held = np.argwhere(np.any(np.stack(masks), axis=0))
    low, high = held.min(axis=0), held.max(axis=0)
    top = float(np.percentile(values[masks[0]], 99.5))
    grey = np.clip(values / (1.15 * top), 0, 1) ** 0.8
    sheet = Image.new("RGB", (COLUMNS * TILE, 3 * TILE + 26), (0, 0, 0))
    for row, axis in enumerate((AXIAL, CORONAL, SAGITTAL)):
        marks = np.linspace(*MARKS, COLUMNS)
        for column, mark in enumerate(marks):
            index = int(low[axis] + mark * (high[axis] - low[axis]))
            tile = _slice(grey, masks, axis=axis, index=index, spacing_mm=spacing_mm)
            sheet.paste(tile, (column * TILE, row * TILE))
    _write_legend(sheet, legend[: len(masks)])
    scratch = path.with_name(f"_{path.name}")
    sheet.save(scratch, format="PNG")
    return scratch.rename(path)


def mosaic_description(file_name: str) -> dict[str, object]:
    """Describe the mosaic for a page that shows two visits tile by tile."""
    planes = ("axial", "coronal", "sagittal")
    labels = [
        f"{plane}, {round(100 * mark)} % of the brain's extent"
        for plane in planes
        for mark in np.linspace(*MARKS, COLUMNS)
    ]
    return {"file": file_name, "tile": TILE, "columns": COLUMNS, "labels": labels}


def change_picture_save(pair: HalfwayPair, *, path: Path) -> Path:
    """Draw the first visit half-way with the brain outlines of both visits."""
    return mosaic_save(
        pair.before.values,
        spacing_mm=(1.0, 1.0, 1.0),
        masks=(pair.before.parenchyma > 0.5, pair.after.parenchyma > 0.5),
        path=path,
        legend=("brain at the first scan", "brain at the second scan"),
    )


def _slice(
    grey: NDArray[np.float32],
    masks: tuple[NDArray[np.bool_], ...],
    *,
    axis: int,
    index: int,
    spacing_mm: tuple[float, float, float],
) -> Image.Image:
    """Return one square tile of a slice with its outlines."""
    plane = np.take(grey, index, axis=axis)
    steps = [s for a, s in enumerate(spacing_mm) if a != axis]
    # patient's right on the viewer's left, and up is up
    flips = (slice(None, None, -1), slice(None, None, -1))
    zoom = TILE / max(side * step for side, step in zip(plane.shape, steps, strict=True))
    factors = [step * zoom for step in steps]
    turned = ndimage.zoom(plane, factors, order=1)[flips].T
    colour = np.repeat((np.clip(turned, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
    for mask, paint in zip(masks, COLOURS, strict=False):
        cut = np.take(mask, index, axis=axis).astype(np.float32)
        soft = ndimage.gaussian_filter(ndimage.zoom(cut, factors, order=1), 0.8)[flips].T > 0.5
        edge = soft & ~ndimage.binary_erosion(soft)
        colour[edge] = paint
    tile = Image.new("RGB", (TILE, TILE), (0, 0, 0))
    picture = Image.fromarray(colour)
    tile.paste(picture, ((TILE - picture.width) // 2, (TILE - picture.height) // 2))
    return tile


def _write_legend(sheet: Image.Image, legend: tuple[str, ...]) -> None:
    """Write the names of the outlines below the slices."""
    pen = ImageDraw.Draw(sheet)
    across = 10
    for name, paint in zip(legend, COLOURS, strict=False):
        pen.line([(across, sheet.height - 12), (across + 26, sheet.height - 12)], paint, 3)
        pen.text((across + 32, sheet.height - 18), name, fill=(235, 235, 235))
        across += 190
    place = (sheet.width - 330, sheet.height - 18)
    words = "axial / coronal / sagittal; patient's right is left"
    pen.text(place, words, fill=(200, 200, 200))
