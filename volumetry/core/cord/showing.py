"""Pictures of a cord measurement: the sagittal view to click on, the mosaic to review."""

import numpy as np
from PIL import Image

from volumetry.core.cord.contour import THETA
from volumetry.core.cord.engine import CordMeasurement
from volumetry.core.cord.geometry import Array, Grid, Sections, sampler_around
from volumetry.core.cord.levels import WINDOW_MM
from volumetry.core.pictures import (
    BACKGROUND,
    CENTRE,
    LANDMARK,
    WINDOW,
    Mark,
    View,
    closed_line_draw,
    grey_picture,
    mosaic,
    planar_view,
    side_by_side,
    text_draw,
)

PATCH_MM = 32.0
PATCH_PIXELS = 192
PATCHES = 12


def sagittal_view(measurement: CordMeasurement) -> View:
    """Show the sagittal plane through the cord, or the middle of the scan without one.

    The plane contains the front-back axis of the scan and the line that fits the centreline's
    course in the left-right direction best.
    """
    grid = measurement.grid
    extent = np.asarray(grid.values.shape) - 1.0
    spacing = grid.spacing_mm
    lean, at = 0.0, extent[0] / 2.0
    sections = measurement.profile.sections if measurement.profile else None
    if sections is not None and len(sections) > 2:
        voxels = grid.voxels(sections.centre_mm)
        lean, at = np.polyfit(voxels[:, 2], voxels[:, 0], 1)
        lean = (
            float(np.clip(lean * spacing[0] / spacing[2], -0.35, 0.35))
            * spacing[2]
            / spacing[0]
        )
        at = float(np.mean(voxels[:, 0] - lean * voxels[:, 2]))
    top = np.array([at + lean * extent[2], extent[1], extent[2]])
    bottom = np.array([at, extent[1], 0.0])
    back = np.array([at + lean * extent[2], 0.0, extent[2]])
    corner, foot, far = grid.world(top), grid.world(bottom), grid.world(back)
    down, across = foot - corner, far - corner
    height, width = float(np.linalg.norm(down)), float(np.linalg.norm(across))
    return planar_view(
        grid.values,
        grid.affine,
        origin_mm=corner,
        across=across / width,
        down=down / height,
        size_mm=(width, height),
        marks=_marks(measurement),
    )


def _marks(measurement: CordMeasurement) -> tuple[Mark, ...]:
    marks: list[Mark] = []
    if measurement.profile is not None:
        sections = measurement.profile.sections
        marks.append(Mark("centreline", sections.centre_mm, CENTRE))
        if measurement.level is not None:
            low, high = WINDOW_MM[measurement.level.landmark.kind]
            zero = measurement.level.projection.position_mm
            inside = (sections.position_mm >= zero + low) & (
                sections.position_mm <= zero + high
            )
            if inside.sum() > 1:
                marks.append(Mark("window", sections.centre_mm[inside], WINDOW))
    if measurement.level is not None:
        point = np.asarray(measurement.level.landmark.point_mm)[None]
        marks.append(Mark(f"landmark_{measurement.level.landmark.kind}", point, LANDMARK))
    return tuple(marks)


def review_picture(measurement: CordMeasurement, sagittal: View) -> Image.Image:
    """Put the sagittal view beside cross-sections with their outlines."""
    if measurement.profile is None:
        return side_by_side([sagittal.picture, *_three_slices(measurement.grid)], height=620)
    patches = _patches(measurement)
    return side_by_side([sagittal.picture, mosaic(patches, columns=4)], height=620)


def _three_slices(grid: Grid) -> list[Image.Image]:
    """Three axial slices of a scan in which no cord was measured."""
    shown = []
    for share in (0.25, 0.5, 0.75):
        k = int(share * (grid.values.shape[2] - 1))
        picture = grey_picture(grid.values[::-1, ::-1, k].T.astype(np.float64))
        size = np.asarray(grid.values.shape[:2]) * grid.spacing_mm[:2] * 2.0
        picture = picture.resize((max(32, round(size[0])), max(32, round(size[1]))))
        shown.append(picture)
    return shown


def _patches(measurement: CordMeasurement) -> list[Image.Image]:
    profile = measurement.profile
    assert profile is not None
    sections = profile.sections
    at = np.unique(np.linspace(0, len(sections) - 1, PATCHES).round().astype(int))
    values = _patch_values(measurement.grid, sections, at)
    zero = measurement.level.projection.position_mm if measurement.level else 0.0
    tiles = []
    for row, index in enumerate(at):
        tile = grey_picture(values[row])
        if np.isfinite(profile.area_mm2[index]):
            scale = PATCH_PIXELS / PATCH_MM
            x = profile.radius_mm[index] * np.cos(THETA)
            y = profile.radius_mm[index] * np.sin(THETA)
            middle = (PATCH_PIXELS - 1) / 2
            # Radiological display: the person's right is on the left of the picture.
            pixels = np.stack([middle - x * scale, middle - y * scale], axis=1)
            closed_line_draw(tile, pixels)
            label = f"{profile.area_mm2[index]:.1f} mm²"
        else:
            label = "left out"
        text_draw(
            tile, (4, 2), f"{sections.position_mm[index] - zero:.0f} mm  {label}", size=13
        )
        tiles.append(tile)
    while len(tiles) < PATCHES:
        tiles.append(Image.new("RGB", (PATCH_PIXELS, PATCH_PIXELS), BACKGROUND))
    return tiles


def _patch_values(
    grid: Grid, sections: Sections, at: np.ndarray[tuple[int, ...], np.dtype[np.intp]]
) -> Array:
    """Sample square patches of chosen sections, front up and right on the left."""
    offset = (np.arange(PATCH_PIXELS) - (PATCH_PIXELS - 1) / 2) * PATCH_MM / PATCH_PIXELS
    x, y = np.meshgrid(-offset, -offset)
    chosen = Sections(
        sections.position_mm[at],
        sections.centre_mm[at],
        sections.tangent[at],
        sections.x_axis[at],
        sections.y_axis[at],
        sections.cosine[at],
        sections.step_mm,
    )
    shape = (len(at), *x.shape)
    points = chosen.points(np.broadcast_to(x, shape), np.broadcast_to(y, shape))
    return sampler_around(grid, chosen.centre_mm, margin_mm=26.0)(points)
