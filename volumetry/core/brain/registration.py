"""Where the brain lies: an affine map from MNI millimetres to the scan.

The template has no skull, so a metric over the whole image inflates it. Here a head is made of
the template (dark skull, bright scalp around its upper part) and the metric only looks inside
that shape. The metric is correlation: a T1 contrast is assumed, other contrasts score low.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage, optimize

from volumetry.core.brain.grid import WorkImage, from_sitk, shrink, to_sitk, work_image
from volumetry.core.brain.template import PONTOMEDULLARY_MM, template_load
from volumetry.core.errors import NotMeasurable
from volumetry.core.types import ScanImage

Pose = NDArray[np.float64]
"""Three turns (radians), the brain's centre (work mm), the linear size: shape (7,)."""

STEP_MM = 2.0
SEED = 20
SKULL_MM, SCALP_MM = 6.0, 11.0
"""Thickness of skull, and of skull plus scalp, painted around the template (adult heads: skull
4 to 9 mm over the vault; the registration only needs the order dark, bright)."""
SKULL_ABOVE_MM = -10.0
"""Skull and scalp are painted above this MNI height only: below it lie face and neck."""
TRIED_STARTS = 4
SCALE_START = (0.78, 1.02)
"""Linear size of a head to the template (1.89 l): intracranial volumes of 0.9 to 2.0 l."""
SMALLER = (0.95, 0.88)
"""Sizes tried again, shares of the pose's, where the descent ends at an implausible place: the
search sees skull and scalp blurred into one, and of a head with wide outer fluid it takes the
largest size allowed; from there the descent may run outwards."""
SCALE_PLAUSIBLE = (0.5, 1.15)
"""Affine volume ratio to the template: intracranial volumes of about 950 to 2200 ml."""
SCORE_PLAUSIBLE = 0.25
CENTRE_MM = (0.0, -18.0, 8.0)
"""Middle of the template's intracranial mask, MNI mm: heads are turned about it."""


@dataclass(frozen=True, slots=True)
class BrainPlace:
    """The affine map found, and how sure it is.

    Attributes
    ----------
    matrix : float64, shape (4, 4)
        MNI millimetres to work millimetres.
    score : float
        Squared correlation between scan and template head (0 to 1, higher is better).
    """

    matrix: NDArray[np.float64]
    score: float

    @property
    def scale(self) -> float:
        """Volume ratio scan to template."""
        return float(np.linalg.det(self.matrix[:3, :3]))

    @property
    def is_plausible(self) -> bool:
        """Whether the size is a head's and the match not a loose one."""
        low, high = SCALE_PLAUSIBLE
        return low < self.scale < high and self.score >= SCORE_PLAUSIBLE


@lru_cache(maxsize=1)
def _template_head() -> tuple[sitk.Image, sitk.Image]:
    """Return the painted template head and its metric mask, 2 mm, MNI space."""
    template = template_load()
    distance = ndimage.gaussian_filter(template.distance_mm, 0.7)[::2, ::2, ::2]
    t1 = ndimage.gaussian_filter(template.t1, 0.84)[::2, ::2, ::2]
    heights = template.origin_mm[2] + 2.0 * np.arange(t1.shape[2])
    above = np.broadcast_to(heights > SKULL_ABOVE_MM, t1.shape)
    skull = above & (distance <= 0) & (distance > -SKULL_MM)
    scalp = above & (distance <= -SKULL_MM) & (distance > -SCALP_MM)
    head = np.where(skull, 0.1, np.where(scalp, 0.6, np.where(distance > 0, t1, 0.2)))
    metric = (distance > -2.0) | skull | scalp
    spacing = (STEP_MM,) * 3
    return (
        to_sitk(head.astype(np.float32), spacing, template.origin_mm),
        to_sitk(metric.astype(np.uint8), spacing, template.origin_mm),
    )


def brain_locate(work: WorkImage) -> BrainPlace:
    """Register the template to a head scan with twelve degrees of freedom.

    Raises
    ------
    NotMeasurable
        If no head-sized object is in the image.
    """
    small = shrink(work, step_mm=STEP_MM)
    moving = to_sitk(
        np.minimum(small.values, np.percentile(small.values, 99)), small.spacing_mm
    )
    pose = _best_start(small, _starts(small))
    place = _affine(pose, moving)
    if place.is_plausible:
        return place
    tried = [place]
    for share in SMALLER:
        smaller = pose.copy()
        smaller[6] *= share
        tried.append(_affine(smaller, moving))
    return max(tried, key=lambda found: (found.is_plausible, found.score))


def _affine(pose: Pose, moving: sitk.Image) -> BrainPlace:
    """Descend from a pose with twelve degrees of freedom."""
    start = _similarity(pose)
    affine = sitk.AffineTransform(3)
    affine.SetCenter(start.GetCenter())
    affine.SetMatrix(start.GetMatrix())
    affine.SetTranslation(start.GetTranslation())
    final = _descend(affine, moving, rate=0.03)
    return BrainPlace(_matrix(final), -_metric_value(final, moving))


def template_point_to_world(
    image: ScanImage, *, mni_point_mm: tuple[float, float, float] = PONTOMEDULLARY_MM
) -> tuple[float, float, float]:
    """Return where a point of MNI space lies in a head scan, by the affine map alone.

    Parameters
    ----------
    image : ScanImage
        A scan that shows the brain.
    mni_point_mm : tuple of float
        Point in MNI millimetres; the ventral pontomedullary junction when left out.

    Returns
    -------
    tuple of float
        World millimetres (RAS+); a few mm off at best, to be confirmed or refined.

    Raises
    ------
    NotMeasurable
        If the image holds no head-sized object.
    """
    work = work_image(image)
    place = brain_locate(work)
    point = work.to_world @ place.matrix @ np.array([*mni_point_mm, 1.0])
    return (float(point[0]), float(point[1]), float(point[2]))


def _starts(small: WorkImage) -> list[Pose]:
    """Return start poses: the head's crown on the template's, several tilts and sizes."""
    values, spacing = small.values, np.array(small.spacing_mm)
    level = float(otsu_level(values))
    inside = ndimage.binary_opening(ndimage.gaussian_filter(values, 1.0) > 0.6 * level)
    numbered, count = ndimage.label(inside)
    if count == 0:
        raise NotMeasurable("No head was found in this image.")
    sizes = np.bincount(numbered.ravel())
    head = numbered == int(np.argmax(sizes[1:])) + 1
    planes = np.flatnonzero(head.sum(axis=(0, 1)) * spacing[0] * spacing[1] > 1000)
    if planes.size == 0:
        raise NotMeasurable("No head was found in this image.")
    top = int(planes.max())
    upper = head[:, :, max(0, top - int(150 / spacing[2])) : top + 1]
    columns = np.argwhere(upper.any(axis=2))
    middle = (columns.min(axis=0) + columns.max(axis=0)) / 2 * spacing[:2]
    starts = []
    for scale, drop, pitch, forward in product(
        (0.84, 0.93),
        (95.0, 88.0, 80.0, 60.0),
        (-20.0, -8.0, 0.0, 8.0, 20.0),
        (-14.0, 0.0, 14.0),
    ):
        height = top * spacing[2] - scale * (drop - CENTRE_MM[2])
        tilt = float(np.deg2rad(pitch))
        starts.append(np.array([tilt, 0.0, 0.0, middle[0], middle[1] + forward, height, scale]))
    return starts


def otsu_level(values: NDArray[np.float32]) -> float:
    """Return Otsu's threshold of the intensities below their 99.5th percentile."""
    ceiling = float(np.percentile(values, 99.5))
    counts, edges = np.histogram(values, bins=256, range=(0.0, ceiling))
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    mass = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(centres[int(np.nanargmax(between))])


def _method(rate: float) -> sitk.ImageRegistrationMethod:
    """Return a registration method with this engine's metric, seeded, on one thread."""
    _, mask = _template_head()
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(mask)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(rate, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _similarity(pose: Pose) -> sitk.Similarity3DTransform:
    """Return the transform of a pose: turns (radians), centre (work mm), scale."""
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*(float(angle) for angle in pose[:3]))
    transform = sitk.Similarity3DTransform()
    transform.SetCenter(CENTRE_MM)
    transform.SetMatrix(turn.GetMatrix())
    transform.SetScale(float(pose[6]))
    transform.SetTranslation([float(v) for v in pose[3:6] - np.array(CENTRE_MM)])
    return transform


def _best_start(small: WorkImage, starts: list[Pose]) -> Pose:
    """Search the pose under which smoothed template head and scan correlate best.

    The size is bounded: an unbounded descent from a poor start may inflate the template until
    its skull lies in the air around the head.
    """
    head, mask = (from_sitk(image)[::3, ::3, ::3] for image in _template_head())
    grid = np.argwhere(mask > 0)
    expected = ndimage.gaussian_filter(head, 0.7)[tuple(grid.T)]
    points = grid * (3 * STEP_MM) + template_load().origin_mm
    step = np.array(small.spacing_mm)
    smooth = ndimage.gaussian_filter(small.values, 4.0 / step)

    def cost(pose: Pose) -> float:
        if not SCALE_START[0] <= pose[6] <= SCALE_START[1]:
            return 1.0
        matrix = _matrix(_similarity(pose))
        index = (points @ matrix[:3, :3].T + matrix[:3, 3]) / step
        found = ndimage.map_coordinates(smooth, index.T, order=1, cval=-1.0)
        seen = found >= 0
        if np.count_nonzero(seen) < 0.6 * seen.size:
            return 1.0
        return -float(np.corrcoef(found[seen], expected[seen])[0, 1] * np.sqrt(seen.mean()))

    ranked = sorted(starts, key=cost)[:: len(starts) // 40][:TRIED_STARTS]
    simplex_mm = np.diag([0.08, 0.08, 0.08, 6.0, 6.0, 6.0, 0.05])
    found = [
        optimize.minimize(
            cost,
            pose,
            method="Nelder-Mead",
            options={
                "initial_simplex": np.vstack([pose, pose + simplex_mm]),
                "maxfev": 350,
                "fatol": 1e-4,
                "xatol": 1e-2,
            },
        )
        for pose in ranked
    ]
    best: Pose = min(found, key=lambda result: result.fun).x
    return best


def _descend(start: sitk.Transform, moving: sitk.Image, *, rate: float) -> sitk.Transform:
    """Optimise a transform over two resolutions by regular-step descent."""
    fixed, _ = _template_head()
    method = _method(rate)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-3, numberOfIterations=120, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2.0, 1.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(fixed, moving)
    return start


def _metric_value(transform: sitk.Transform, moving: sitk.Image) -> float:
    """Return the metric of a transform at full resolution."""
    fixed, _ = _template_head()
    method = _method(0.12)
    method.SetInitialTransform(transform, inPlace=False)
    return float(method.MetricEvaluate(fixed, moving))


def _matrix(transform: sitk.Transform) -> NDArray[np.float64]:
    """Return the 4 x 4 matrix of a linear SimpleITK transform."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    columns = [
        np.array(transform.TransformPoint(tuple(map(float, axis)))) - origin
        for axis in np.eye(3)
    ]
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack(columns, axis=1)
    matrix[:3, 3] = origin
    return matrix
