"""A head and neck with known truth, as a T1-weighted scanner would see it.

Independent of the engines: own anatomy, own partial volume, own noise. Its brain, though, is
made of the MNI152 maps that the brain engine uses as its prior, so that what it says of the
brain engine is optimistic. Outside brain and cord the anatomy is schematic: skull, scalp,
face, airway, vertebrae with discs, muscle and fat, enough for the surroundings to be dark and
bright where they are in a person.
"""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from volumetry.core.phantoms import cord
from volumetry.core.phantoms.brain import BrainMaps, brain_maps
from volumetry.core.phantoms.neck import neck_paint, spine_paint
from volumetry.core.phantoms.painting import Map, edge, paint
from volumetry.core.types import ScanImage

Affine = NDArray[np.float64]
SHAPE = (176, 224, 244)
SPACING_MM = 1.0
CENTRE_MM = (0.0, -12.0, -32.0)
"""Middle of the field of view in phantom millimetres."""

# T1-weighted intensities, white matter 100 (an ordinary MPRAGE, no particular scanner).
GREY, WHITE, FLUID, CORD = 76.0, 100.0, 26.0, 96.0
BONE, MARROW = 8.0, 62.0
SKULL_MM = 5.5
DIPLOE_MM = (1.8, 3.8)
SKULL_LOWEST_MM = -66.0
BRAIN_LOWEST_MM = -72.0
SUBSAMPLES = 4
SLAB = (SHAPE[0], SHAPE[1], SHAPE[2] // 4)
STORED_PER_UNIT = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One visit to the scanner.

    Attributes
    ----------
    brain, cord : float
        What remains of parenchyma and of cord area, share of the baseline.
    seed : int
        Of pose, bias field and noise.
    pose_degrees, pose_mm : float
        Standard deviation of each rotation and shift.
    noise_percent : float
        Standard deviation of the noise in each channel, percent of white matter.
    bias : float
        Largest relative change of the intensity by the coil.
    psf_sigma_mm : float
        Gaussian point spread beside the voxel's own box.
    """

    brain: float = 1.0
    cord: float = 1.0
    seed: int = 1
    pose_degrees: float = 2.0
    pose_mm: float = 2.0
    noise_percent: float = 2.5
    bias: float = 0.12
    psf_sigma_mm: float = 0.45


@dataclass(frozen=True, slots=True)
class Truth:
    """What the phantom is, known without measuring it; points in world millimetres."""

    parenchyma_mm3: float
    cord_pmj_64mm_mm2: float
    cord_c2_c3_mm2: float
    pmj_mm: tuple[float, float, float]
    c2_c3_mm: tuple[float, float, float]


def phantom_make(visit: Visit) -> tuple[ScanImage, Truth]:
    """Draw one visit: the image and its truth."""
    rng = np.random.default_rng(visit.seed)
    maps = brain_maps(remaining=visit.brain)
    affine = _grid_affine()
    pose = _pose(visit, rng)
    image = _tissues(maps, cord.Tube(visit.cord), pose @ affine)
    image = ndimage.gaussian_filter(image, visit.psf_sigma_mm / SPACING_MM)
    image *= _bias_field(visit.bias, rng)
    image = _rician(image, visit.noise_percent, rng)
    stored = np.round(np.clip(image * STORED_PER_UNIT, 0, 32000)).astype(np.float32)
    return ScanImage(stored, affine), _truth(visit, maps.parenchyma_mm3, pose)


def truth_of(visit: Visit) -> Truth:
    """Return the truth of a visit without drawing its image."""
    pose = _pose(visit, np.random.default_rng(visit.seed))
    return _truth(visit, brain_maps(remaining=visit.brain).parenchyma_mm3, pose)


def _truth(visit: Visit, parenchyma_mm3: float, pose: Affine) -> Truth:
    tube = cord.Tube(visit.cord)
    world = np.asarray(np.linalg.inv(pose), dtype=np.float64)
    return Truth(
        parenchyma_mm3=parenchyma_mm3,
        cord_pmj_64mm_mm2=tube.mean_area_mm2(54.0, 74.0),
        cord_c2_c3_mm2=tube.mean_area_mm2(cord.C2_C3_MM - 16.0, cord.C2_C3_MM + 18.0),
        pmj_mm=_moved(cord.junction_mm(), world),
        c2_c3_mm=_moved(cord.centre_mm(np.array([cord.C2_C3_MM]))[0], world),
    )


def _grid_affine() -> Affine:
    """Return voxel to world: RAS, the field of view around its middle."""
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = np.array(CENTRE_MM) - SPACING_MM * (np.array(SHAPE) - 1) / 2
    return affine


def _pose(visit: Visit, rng: np.random.Generator) -> Affine:
    """Return world to phantom: how the person lay this time."""
    turn = Rotation.from_euler("xyz", rng.normal(size=3) * visit.pose_degrees, degrees=True)
    pose = np.eye(4)
    pose[:3, :3] = turn.as_matrix()
    middle = np.array(CENTRE_MM)
    pose[:3, 3] = middle - pose[:3, :3] @ middle + rng.normal(size=3) * visit.pose_mm
    return pose


def _moved(point: NDArray[np.float64], affine: Affine) -> tuple[float, float, float]:
    x, y, z = affine[:3, :3] @ point + affine[:3, 3]
    return (float(x), float(y), float(z))


def _resampled(values: Map, affine: Affine, to_phantom: Affine, *, outside: float) -> Map:
    """Return a map of the phantom on a slab of the scan's grid, linearly interpolated."""
    matrix = np.linalg.inv(affine) @ to_phantom
    resampled: Map = ndimage.affine_transform(
        values, matrix[:3, :3], matrix[:3, 3], SLAB, order=1, mode="constant", cval=outside
    )
    return resampled


def _tissues(maps: BrainMaps, tube: cord.Tube, to_phantom: Affine) -> Map:
    """Return the noiseless intensities, slab by slab to keep memory small."""
    image = np.empty(SHAPE, dtype=np.float32)
    for lowest in range(0, SHAPE[2], SLAB[2]):
        shifted = to_phantom.copy()
        shifted[:3, 3] += lowest * to_phantom[:3, 2]
        image[:, :, lowest : lowest + SLAB[2]] = _slab(maps, tube, shifted)
    return image


def _slab(maps: BrainMaps, tube: cord.Tube, to_phantom: Affine) -> Map:
    """Paint one slab from the outside in."""
    x, y, z = _phantom_axes(to_phantom)
    has_brain = float(z.max()) > BRAIN_LOWEST_MM
    far = np.float32(60.0)
    outside = (
        _resampled(maps.outside_mm, maps.outside_affine, to_phantom, outside=float(far))
        if has_brain
        else np.full(SLAB, far)
    )
    image = neck_paint(x, y, z, outside)
    head = edge(z - np.float32(SKULL_LOWEST_MM))
    paint(image, BONE, edge(SKULL_MM - outside) * head)
    diploe = np.minimum(outside - DIPLOE_MM[0], DIPLOE_MM[1] - outside)
    paint(image, MARROW, edge(diploe) * head)
    spine_paint(image, x, y, z)
    if has_brain:
        paint(image, FLUID, edge(-outside))
        grey = _resampled(maps.grey, maps.affine, to_phantom, outside=0.0)
        white = _resampled(maps.white, maps.affine, to_phantom, outside=0.0)
        image *= 1.0 - grey - white
        image += GREY * grey + WHITE * white
    near = (np.abs(x) < 14.0) & (y > -62.0) & (y < -24.0) & (z < -45.0)
    if near.any():
        values = image[near]
        paint(values, CORD, cord_fraction(tube, np.argwhere(near), to_phantom))
        image[near] = values
    return image


def _phantom_axes(to_phantom: Affine) -> tuple[Map, Map, Map]:
    """Return the phantom millimetres of every voxel of a slab."""
    i, j, k = (axis.astype(np.float32) for axis in np.ogrid[tuple(slice(n) for n in SLAB)])
    rows = to_phantom.astype(np.float32)
    x, y, z = (row[0] * i + row[1] * j + row[2] * k + row[3] for row in rows[:3])
    return x, y, z


def cord_fraction(tube: cord.Tube, index: NDArray[np.int64], to_phantom: Affine) -> Map:
    """Return the share of voxels that the cord fills, by subsampling at its surface.

    Parameters
    ----------
    tube : Tube
    index : array, shape (n, 3)
        Voxels to look at.
    to_phantom : array, shape (4, 4)
        Voxel to phantom millimetres.
    """
    depth = _tube_depth(tube, _points(index, to_phantom))
    fraction = (depth > 0).astype(np.float32)
    surface = np.abs(depth) < np.sqrt(3.0) * SPACING_MM
    steps = (np.arange(SUBSAMPLES) + 0.5) / SUBSAMPLES - 0.5
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    total = np.zeros(int(surface.sum()))
    for offset in offsets:
        total += _tube_depth(tube, _points(index[surface] + offset, to_phantom)) > 0
    fraction[surface] = total / len(offsets)
    return fraction


def _points(
    index: NDArray[np.int64] | NDArray[np.float64], affine: Affine
) -> NDArray[np.float64]:
    points: NDArray[np.float64] = index @ affine[:3, :3].T + affine[:3, 3]
    return points


def _tube_depth(tube: cord.Tube, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return roughly the depth below the cord's surface, mm; its sign is exact."""
    arc, side, front = cord.tube_coordinates(points)
    wide, deep = tube.radii_mm(arc)
    depth = (1.0 - np.sqrt((side / wide) ** 2 + (front / deep) ** 2)) * deep
    ends = np.minimum(arc - cord.UPPER_END_MM, cord.LOWER_END_MM - arc)
    shallower: NDArray[np.float64] = np.minimum(depth, ends)
    return shallower


def _bias_field(largest: float, rng: np.random.Generator) -> Map:
    """Return a smooth multiplicative field, 1 +- ``largest``."""
    axes = [np.linspace(-1.0, 1.0, side, dtype=np.float32) for side in SHAPE]
    i, j, k = np.meshgrid(*axes, indexing="ij", sparse=True)
    a = rng.uniform(-1.0, 1.0, size=9)
    field = a[0] * i + a[1] * j + a[2] * k + a[3] * i * j + a[4] * j * k + a[5] * i * k
    field = field + a[6] * i**2 + a[7] * j**2 + a[8] * k**2
    field = field - field.mean()
    smooth: Map = (1.0 + largest * field / np.abs(field).max()).astype(np.float32)
    return smooth


def _rician(image: Map, percent: float, rng: np.random.Generator) -> Map:
    """Return the magnitude of the image with noise in both channels."""
    sigma = np.float32(percent / 100 * WHITE)
    real = image + sigma * rng.standard_normal(SHAPE, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(SHAPE, dtype=np.float32)
    magnitude: Map = np.hypot(real, imaginary)
    return magnitude


def part_of(image: ScanImage, *, lowest_mm: float, highest_mm: float) -> ScanImage:
    """Return the slices of an image between two heights in world millimetres."""
    heights = image.affine[2, 3] + image.affine[2, 2] * np.arange(image.intensities.shape[2])
    kept = np.flatnonzero((heights >= lowest_mm) & (heights <= highest_mm))
    affine = image.affine.copy()
    affine[2, 3] = heights[kept[0]]
    return ScanImage(image.intensities[:, :, kept[0] : kept[-1] + 1], affine)


def phantom_write(image: ScanImage, path: Path) -> Path:
    """Write an image as a scanner would: whole numbers, compressed NIfTI."""
    nib.save(nib.Nifti1Image(image.intensities.astype(np.int16), image.affine), path)
    return path
