"""Two visits brought to the point half-way between them, neither favoured.

A rigid map is estimated in both directions and averaged, split by its matrix square root, and
both scans are sampled once, on one grid that is defined from both: swapping the visits gives
the same grid and the same two images.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import linalg, ndimage

from volumetry.core.brain.callosum import callosum_slab
from volumetry.core.brain.grid import WorkImage, to_sitk
from volumetry.core.brain.registration import SKULL_ABOVE_MM
from volumetry.core.brain.segmentation import BrainSegmentation, mni_height
from volumetry.core.brain.skull import grown

Matrix = NDArray[np.float64]
SEED = 20
MARGIN_MM = 6.0
SKULL_BAND_MM = (2, 8)
"""The skull's shell: from just inside the intracranial boundary to the scalp."""


@dataclass(frozen=True, slots=True)
class HalfwayMap:
    """Rigid map between two visits, and where their midpoint lies.

    Attributes
    ----------
    before_to_after : float64, shape (4, 4)
        World millimetres of the first visit to those of the second.
    gap_mm : float
        Largest disagreement of the two directions within the brain, mm.
    skull_scale : float
        Volume ratio (after / before) by which the skull's shell differs; 1 for the same head
        on a stable scanner.
    """

    before_to_after: Matrix
    gap_mm: float
    skull_scale: float

    def half(self) -> Matrix:
        """Return the map of half the way."""
        return np.asarray(np.real(linalg.sqrtm(self.before_to_after)), dtype=np.float64)


def inverse(matrix: Matrix) -> Matrix:
    """Return the inverse of a 4 x 4 map."""
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def halfway_map(before: BrainSegmentation, after: BrainSegmentation) -> HalfwayMap:
    """Register two visits rigidly, in both directions, on the brain."""
    start = _first_guess(before, after)
    forward = _rigid(before, after, start)
    backward = _rigid(after, before, inverse(start))
    mean = _mean_map(forward, inverse(backward))
    corners = _corners(before)
    gap = np.linalg.norm(((inverse(backward) - forward) @ corners.T)[:3], axis=0).max()
    grew = _skull_scale(before, after, mean)
    shrank = _skull_scale(after, before, inverse(mean))
    return HalfwayMap(mean, float(gap), float(np.sqrt(grew / shrank)))


def _first_guess(before: BrainSegmentation, after: BrainSegmentation) -> Matrix:
    """Return a rigid start from the two template maps."""
    first = before.flat.to_world @ before.place.matrix
    second = after.flat.to_world @ after.place.matrix
    linear = second @ inverse(first)
    left, _, right = np.linalg.svd(linear[:3, :3])
    centre = np.array([0.0, -18.0, 8.0, 1.0])
    guess = np.eye(4)
    guess[:3, :3] = left @ right
    guess[:3, 3] = (second @ centre)[:3] - guess[:3, :3] @ (first @ centre)[:3]
    return guess


def _in_work(world: Matrix, before: WorkImage, after: WorkImage) -> Matrix:
    """Turn a world-to-world map into one between the two boxes' millimetres."""
    return np.asarray(inverse(after.to_world) @ world @ before.to_world)


def _in_world(work: Matrix, before: WorkImage, after: WorkImage) -> Matrix:
    """Turn a map between the boxes' millimetres into one between worlds."""
    return np.asarray(after.to_world @ work @ inverse(before.to_world))


def _rigid(before: BrainSegmentation, after: BrainSegmentation, start: Matrix) -> Matrix:
    """Register one direction: world of ``before`` to world of ``after``."""
    local = _in_work(start, before.flat, after.flat)
    transform = sitk.Euler3DTransform()
    spots = np.argwhere(before.parenchyma > 0.5)
    centre = spots.mean(axis=0) * np.array(before.flat.spacing_mm)
    transform.SetCenter([float(c) for c in centre])
    transform.SetMatrix([float(v) for v in local[:3, :3].ravel()], 1e-5)
    shift = local[:3, :3] @ centre + local[:3, 3] - centre
    transform.SetTranslation([float(v) for v in shift])
    mask = grown(before.parenchyma > 0.5, 2)
    for shrinking, smoothing, rate in ((2, 1.5, 0.25), (1, 0.7, 0.06)):
        _descend(transform, before, after, mask, (shrinking, smoothing, rate))
    return _in_world(_matrix(transform), before.flat, after.flat)


def _descend(
    transform: sitk.Transform,
    before: BrainSegmentation,
    after: BrainSegmentation,
    mask: NDArray[np.bool_],
    level: tuple[int, float, float],
) -> None:
    """Optimise a transform in place at one resolution, by correlation within a mask."""
    shrinking, smoothing, rate = level
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(rate, SEED)
    method.SetMetricFixedMask(to_sitk(mask.astype(np.uint8), before.flat.spacing_mm))
    method.SetInterpolator(sitk.sitkLinear)
    # central differences at the samples: a filtered gradient of every voxel costs half the time
    method.MetricUseFixedImageGradientFilterOff()
    method.MetricUseMovingImageGradientFilterOff()
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-4, numberOfIterations=80, relaxationFactor=0.5
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([shrinking])
    method.SetSmoothingSigmasPerLevel([smoothing])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, inPlace=True)
    ceilings = [1.3 * seg.model.means[0] for seg in (before, after)]
    fixed = to_sitk(np.minimum(before.flat.values, ceilings[0]), before.flat.spacing_mm)
    moving = to_sitk(np.minimum(after.flat.values, ceilings[1]), after.flat.spacing_mm)
    method.Execute(fixed, moving)


def _matrix(transform: sitk.Transform) -> Matrix:
    """Return the 4 x 4 matrix of a linear SimpleITK transform."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    for axis in range(3):
        unit = [0.0, 0.0, 0.0]
        unit[axis] = 1.0
        matrix[:3, axis] = np.array(transform.TransformPoint(unit)) - origin
    matrix[:3, 3] = origin
    return matrix


def _mean_map(one: Matrix, other: Matrix) -> Matrix:
    """Return the rigid map half-way between two nearly equal ones (mean of logarithms)."""
    mean = np.real(linalg.expm((linalg.logm(one) + linalg.logm(other)) / 2))
    return np.asarray(mean, dtype=np.float64)


def _corners(seg: BrainSegmentation) -> Matrix:
    """Return the corners of the brain's bounding box in world millimetres, homogeneous."""
    spots = np.argwhere(seg.intracranial)
    low, high = spots.min(axis=0), spots.max(axis=0)
    corners = np.array([[x, y, z, 1.0] for x in (low[0], high[0]) for y in (low[1], high[1])
                        for z in (low[2], high[2])])  # fmt: skip
    return corners @ seg.flat.affine.T


def _skull_scale(before: BrainSegmentation, after: BrainSegmentation, rigid: Matrix) -> float:
    """Return the volume ratio of the skull's shell, with the rigid map as the start."""
    local = _in_work(rigid, before.flat, after.flat)
    transform = sitk.Similarity3DTransform()
    centre = np.argwhere(before.intracranial).mean(axis=0) * np.array(before.flat.spacing_mm)
    transform.SetCenter([float(c) for c in centre])
    transform.SetMatrix([float(v) for v in local[:3, :3].ravel()], 1e-5)
    shift = local[:3, :3] @ centre + local[:3, 3] - centre
    transform.SetTranslation([float(v) for v in shift])
    inner, outer = SKULL_BAND_MM
    shell = grown(before.intracranial, outer) & grown(~before.intracranial, inner)
    # below this height lie face and neck, which move
    shell &= mni_height(before.flat, before.place) > SKULL_ABOVE_MM
    _descend(transform, before, after, shell, (1, 0.7, 0.1))
    return float(transform.GetScale() ** 3)


@dataclass(frozen=True, slots=True)
class HalfwayVisit:
    """One visit sampled half-way.

    Attributes
    ----------
    values : float32, shape (i, j, k)
        Bias-corrected intensities (cubic B-spline, once).
    parenchyma, ventricles : float32, same shape
        Brain fraction and ventricular fluid (linear).
    thalamus, callosum : float32, same shape
        Share of both thalami, and of the callosum near the mid-sagittal plane (linear).
    intracranial : float32, same shape
        Intracranial membership.
    """

    values: NDArray[np.float32]
    parenchyma: NDArray[np.float32]
    ventricles: NDArray[np.float32]
    thalamus: NDArray[np.float32]
    callosum: NDArray[np.float32]
    intracranial: NDArray[np.float32]


def halfway_grid(
    before: BrainSegmentation, after: BrainSegmentation, maps: HalfwayMap
) -> tuple[Matrix, tuple[int, int, int]]:
    """Return a 1 mm grid in the half-way space that holds both brains: affine and shape."""
    half = maps.half()
    spots = np.concatenate([_corners(before) @ half.T, _corners(after) @ inverse(half).T])[
        :, :3
    ]
    low = np.floor(spots.min(axis=0)) - MARGIN_MM
    high = np.ceil(spots.max(axis=0)) + MARGIN_MM
    shape = (high - low).astype(int) + 1
    affine = np.eye(4)
    affine[:3, 3] = low
    return affine, (int(shape[0]), int(shape[1]), int(shape[2]))


def halfway_visit(
    seg: BrainSegmentation, to_visit: Matrix, grid: Matrix, shape: tuple[int, int, int]
) -> HalfwayVisit:
    """Sample one visit on the half-way grid; ``to_visit`` maps half-way to visit world."""
    index = inverse(seg.flat.affine) @ to_visit @ grid

    turn, shift = index[:3, :3], index[:3, 3]

    def linear(values: NDArray[np.float32]) -> NDArray[np.float32]:
        found = ndimage.affine_transform(
            values, turn, offset=shift, output_shape=shape, order=1
        )
        return np.asarray(found, dtype=np.float32)

    nothing = np.zeros(seg.flat.values.shape, dtype=np.float32)
    cubic = ndimage.affine_transform(
        seg.flat.values, turn, offset=shift, output_shape=shape, order=3
    )
    return HalfwayVisit(
        values=np.clip(np.asarray(cubic, dtype=np.float32), 0.0, None),
        parenchyma=linear(seg.parenchyma),
        ventricles=linear(seg.ventricles.fluid),
        thalamus=linear(nothing if seg.thalamus is None else seg.thalamus.share),
        callosum=linear(
            nothing
            if seg.callosum is None
            else callosum_slab(seg.callosum, nothing.shape, seg.flat.spacing_mm)
        ),
        intracranial=linear(seg.intracranial.astype(np.float32)),
    )
