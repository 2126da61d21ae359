"""A drawn cord with exactly known area: an elliptical tube in fluid, canal and muscle.

The drawing shares no code with the engine. Each voxel is the mean of finely subdivided points
(the box of the voxel) after an optional Gaussian blur of the drawn scene, so partial volume is
exact up to the subdivision.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from volumetry.core.types import ScanImage


@dataclass(frozen=True, slots=True)
class CordTube:
    """The drawn anatomy; lengths in mm, angles in degrees.

    ``rl_mm`` and ``ap_mm`` are full diameters at the middle; ``taper_per_mm`` changes the area
    linearly along the cord (share per mm); ``bend_per_mm`` is the curvature of the centreline
    in the sagittal plane, ``tilt_degrees`` its slope at the middle. The dorsal fluid rim is
    ``fluid_mm`` wide, less ``lost_dorsal_fluid_mm`` behind the cord.
    """

    rl_mm: float = 12.6
    ap_mm: float = 8.2
    length_mm: float = 70.0
    tilt_degrees: float = 0.0
    bend_per_mm: float = 0.0
    taper_per_mm: float = 0.0
    fluid_mm: float = 3.0
    lost_dorsal_fluid_mm: float = 0.0
    field_mm: float = 50.0

    @property
    def area_mm2(self) -> float:
        """Area perpendicular to the cord at its middle."""
        return float(np.pi * self.rl_mm * self.ap_mm / 4.0)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Intensities of the drawn tissues."""

    cord: float
    fluid: float
    bone: float
    muscle: float
    disc: float


T2 = Contrast(cord=100.0, fluid=260.0, bone=35.0, muscle=60.0, disc=75.0)
T1 = Contrast(cord=150.0, fluid=35.0, bone=85.0, muscle=110.0, disc=60.0)


def scene_intensity(
    tube: CordTube, contrast: Contrast, points: np.ndarray, *, cell_mm: float
) -> np.ndarray:
    """Paint points of shape (..., 3), each the middle of a cell of ``cell_mm``.

    Cord and canal have soft edges one cell wide: hard cells would draw an ellipse along the
    voxel axes up to 0.8 % too large or too small, by where its flat sides fall between them.
    Discs lie in front at uneven distances, so that places along the cord can be told apart.
    """
    slope = np.tan(np.radians(tube.tilt_degrees))
    z = points[..., 2]
    centre_y = slope * z + 0.5 * tube.bend_per_mm * z * z
    lean = slope + tube.bend_per_mm * z
    # Distance across the leaning cord: the offset along y shortened by its slope.
    y = (points[..., 1] - centre_y) / np.sqrt(1.0 + lean * lean)
    x = points[..., 0]
    grow = np.sqrt(np.maximum(1.0 + tube.taper_per_mm * z, 0.1))
    a, b = grow * tube.rl_mm / 2.0, grow * tube.ap_mm / 2.0
    shift = tube.lost_dorsal_fluid_mm / 2.0
    in_cord = _coverage(x, y, a, b, cell_mm)
    in_canal = _coverage(x, y - shift, a + tube.fluid_mm, b + tube.fluid_mm - shift, cell_mm)
    in_bone = (np.abs(x) < a + tube.fluid_mm + 6.0) & (np.abs(y) < b + tube.fluid_mm + 5.0)
    in_disc = np.mod(z + 0.3 * np.abs(z), 16.0) < 4.0
    drawn = np.where(in_bone, contrast.bone, contrast.muscle)
    drawn = np.where(in_bone & in_disc & (y > 0), contrast.disc, drawn)
    drawn = drawn + in_canal * (contrast.fluid - drawn)
    return drawn + in_cord * (contrast.cord - drawn)


def _coverage(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray, cell_mm: float):
    """Share of a cell inside an ellipse: a ramp over the first-order distance to it."""
    level = (x / a) ** 2 + (y / b) ** 2
    slope = 2.0 * np.hypot(x / a**2, y / b**2)
    return np.clip(0.5 - (level - 1.0) / np.maximum(slope, 1e-6) / cell_mm, 0.0, 1.0)


def tube_image(
    tube: CordTube,
    *,
    contrast: Contrast = T2,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    blur_sigma_mm: float = 0.0,
    noise: float = 0.0,
    bias: float = 0.0,
    phase: tuple[float, float, float] = (0.0, 0.0, 0.0),
    rotation: np.ndarray | None = None,
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    subdivision: int = 4,
    seed: int = 0,
) -> ScanImage:
    """Draw a scan of the tube.

    ``noise`` is the Gaussian SD as a share of the cord-to-fluid step; ``bias`` the amplitude
    of a smooth left-right field; ``phase`` shifts the grid by shares of a voxel; ``rotation``
    (3 x 3) and ``shift_mm`` move the person.
    """
    spacing = np.asarray(spacing_mm)
    extent = np.array([tube.field_mm, tube.field_mm, tube.length_mm])
    shape = np.maximum(3, np.round(extent / spacing)).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(shape - 1) / 2.0 * spacing + np.asarray(phase) * spacing
    divide = np.maximum(1, np.round(subdivision * spacing / spacing.min())).astype(int)
    fine = [(np.arange(n * d) + 0.5) / d - 0.5 for n, d in zip(shape, divide, strict=True)]
    cell = float((spacing / divide).min())
    turn = np.eye(3) if rotation is None else rotation
    drawn = np.empty([len(axis) for axis in fine], dtype=np.float32)
    i, j = np.meshgrid(fine[0], fine[1], indexing="ij")
    for index, k in enumerate(fine[2]):
        voxels = np.stack([i, j, np.full(i.shape, k)], axis=-1)
        world = voxels * spacing + affine[:3, 3]
        person = (world - np.asarray(shift_mm)) @ turn
        drawn[:, :, index] = scene_intensity(tube, contrast, person, cell_mm=cell)
    if blur_sigma_mm > 0:
        drawn = ndimage.gaussian_filter(
            drawn, blur_sigma_mm / (spacing / divide), mode="nearest"
        )
    n, d = shape, divide
    values = drawn.reshape(n[0], d[0], n[1], d[1], n[2], d[2]).mean(axis=(1, 3, 5))
    rng = np.random.default_rng(seed)
    step = abs(contrast.cord - contrast.fluid)
    if bias:
        values *= (1.0 + bias * np.linspace(-1, 1, n[0]))[:, None, None]
    values = values + rng.normal(0.0, noise * step, values.shape)
    return ScanImage(values.astype(np.float32), affine, "")
