"""Synthetic T1 heads drawn from whole-head label maps: the truth is known by counting.

Shares no code with the engine. Intensities follow the order that FreeSurfer's label map gives
on T1 (white matter 110, cortex 78, cerebrospinal fluid 30), jittered per head; each head gets
its own pose, smooth bias, texture, point spread and Rician noise.

The truth uses one written set of labels (FreeSurfer numbers, and 500-530 outside the brain).
Choroid plexus (136, 137, 163, 164, by their place inside the ventricles) counts as ventricle;
vessels (30, 62) and optic chiasm (85) are neither brain nor fluid.
"""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import linalg as sparse_linalg

from volumetry.core.types import ScanImage

WHITE = (2, 41, 7, 46, 16, 28, 60, 25, 57)
GREY = (3, 42, 8, 47, 10, 49, 11, 50, 12, 51, 13, 52, 17, 53, 18, 54, 26, 58)
LATERAL_VENTRICLES = (4, 5, 43, 44, 136, 137, 163, 164)
FLUID = (*LATERAL_VENTRICLES, 14, 15, 24, 72)
THALAMUS = (10, 49)
BRAINSTEM = 16

# Relative T1 intensities (white matter 110): an ordinary MPRAGE, no particular scanner.
T1_MEANS: dict[int, float] = {
    0: 0.0, 2: 110, 41: 110, 7: 106, 46: 106, 16: 102, 28: 101, 60: 101, 25: 90, 57: 90,
    3: 78, 42: 78, 8: 76, 47: 76, 10: 97, 49: 97, 11: 84, 50: 84, 12: 88, 51: 88,
    13: 101, 52: 101, 17: 79, 53: 79, 18: 78, 54: 78, 26: 82, 58: 82,
    4: 29, 43: 29, 5: 30, 44: 30, 14: 29, 15: 30, 24: 31, 72: 30,
    136: 48, 163: 48, 137: 48, 164: 48, 30: 45, 62: 45, 85: 85,
    502: 40, 506: 28, 507: 70, 508: 62, 509: 66, 511: 84, 512: 98, 514: 48, 515: 11, 516: 92,
    530: 84,
}  # fmt: skip
FLUID_AT_REST = 30.0
WHITE_AT_REST = 110.0


@dataclass(frozen=True, slots=True)
class LabelledHead:
    """A whole-head label map in RAS order on a 1 mm grid."""

    labels: NDArray[np.int16]

    @classmethod
    def read(cls, path: Path) -> "LabelledHead":
        """Read a label map, turn it to RAS and cut the empty air around the head."""
        source = nib.as_closest_canonical(nib.load(path))
        labels = np.asarray(source.dataobj).astype(np.int16)
        inside = np.argwhere(labels > 0)
        low, high = inside.min(axis=0), inside.max(axis=0) + 1
        return cls(labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])


@dataclass(frozen=True, slots=True)
class HeadTruth:
    """True volumes, mm3, by counting labels."""

    brain_parenchyma: float
    grey_matter: float
    white_matter: float
    csf: float
    lateral_ventricles: float
    intracranial: float
    thalamus: float


@dataclass(frozen=True, slots=True)
class Pose:
    """Rotation (degrees, about x, y, z), shift (mm) of a head in the scanner."""

    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def matrix(self) -> NDArray[np.float64]:
        """Return the 3 x 3 rotation."""
        a, b, c = np.deg2rad(self.degrees)
        x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
        return np.asarray(z @ y @ x)

    @classmethod
    def random(cls, rng: np.random.Generator, *, degrees: float = 6.0) -> "Pose":
        """Return a random pose of up to ``degrees`` about each axis and 4 mm."""
        a, b, c = (float(angle) for angle in rng.uniform(-degrees, degrees, 3))
        x, y, z = (float(shift) for shift in rng.uniform(-4, 4, 3))
        return cls((a, b, c), (x, y, z))


def truth_of(labels: NDArray[np.int16], *, fluid_scale: float = 1.0) -> HeadTruth:
    """Count the true volumes; outer fluid is cut at the lowest slice of the brainstem."""
    lowest = int(np.argwhere(np.any(labels == BRAINSTEM, axis=(0, 1))).min())
    skull = labels[:, :, lowest:]

    def count(numbers: tuple[int, ...]) -> float:
        return float(np.isin(skull, numbers).sum()) * fluid_scale

    grey, white, fluid = count(GREY), count(WHITE), count(FLUID)
    return HeadTruth(
        brain_parenchyma=grey + white,
        grey_matter=grey,
        white_matter=white,
        csf=fluid,
        lateral_ventricles=count(LATERAL_VENTRICLES),
        intracranial=grey + white + fluid,
        thalamus=count(THALAMUS),
    )


def _smooth_field(
    shape: tuple[int, ...], *, knots: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a smooth random field between -1 and 1 on a grid of few cubic knots."""
    coarse = rng.normal(size=(knots,) * 3)
    zoom = [side / knots for side in shape]
    field = ndimage.zoom(coarse, zoom, order=3, mode="nearest", grid_mode=True)
    field -= field.mean()
    return np.asarray(field / np.abs(field).max(), dtype=np.float32)


def _sampled_moved(
    painted: NDArray[np.float32],
    moved: NDArray[np.float32],
    turn: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, ...],
) -> NDArray[np.float32]:
    """Sample a painted head whose points were displaced: find where each point came from."""
    grids = np.meshgrid(*(np.arange(side) for side in shape), indexing="ij", sparse=True)
    target = np.stack(
        [
            sum((t * g for t, g in zip(row, grids, strict=True)), start=o)
            for row, o in zip(turn, offset, strict=True)
        ]
    ).astype(np.float32)
    source = target.copy()
    for _ in range(3):  # fixed point of x + u(x) = y; u changes by less than 0.1 per mm
        step = [ndimage.map_coordinates(u, source, order=1, mode="nearest") for u in moved]
        source = target - np.stack(step)
    return np.asarray(ndimage.map_coordinates(painted, source, order=1), dtype=np.float32)


def atrophy_field(
    head: LabelledHead, *, percent: float, seed: int = 0
) -> tuple[NDArray[np.float32], float]:
    """Return a smooth displacement that changes the brain's volume while the skull stays.

    The displacement is the gradient of a potential whose Laplacian is a uniform shrinkage in
    brain tissue (modulated by a smooth random factor, 0.5 to 1.5), balanced by fluid that
    expands; nothing crosses the skull (Neumann). Truth: the Jacobian determinant, summed over
    the brain's voxels.

    Returns
    -------
    moved : float32, shape (3, i, j, k)
        Displacement, mm.
    achieved : float
        True change of parenchyma, percent.
    """
    step = 2
    labels = head.labels
    fit = tuple(side - side % step for side in labels.shape)
    blocks = labels[: fit[0], : fit[1], : fit[2]]
    lowest = int(np.argwhere(np.any(labels == BRAINSTEM, axis=(0, 1))).min())

    def fraction(numbers: tuple[int, ...]) -> NDArray[np.float64]:
        hit = np.isin(blocks, numbers)
        hit[:, :, :lowest] = False
        shape = (fit[0] // step, step, fit[1] // step, step, fit[2] // step, step)
        return hit.reshape(shape).mean(axis=(1, 3, 5))

    tissue, fluid = fraction(WHITE + GREY), fraction(FLUID)
    domain = (tissue + fluid) > 0.5
    modulation = 1 + 0.5 * _smooth_field(domain.shape, knots=4, rng=np.random.default_rng(seed))
    wanted = tissue * modulation
    wanted *= tissue[domain].sum() / wanted[domain].sum()
    divergence = np.where(domain, wanted, 0.0)
    divergence -= np.where(domain, fluid, 0.0) * divergence.sum() / fluid[domain].sum()
    flow = _potential_flow(divergence * percent / 100, domain, step=step)
    zoom = [side / coarse for side, coarse in zip(fit, domain.shape, strict=True)]
    fine = np.zeros((3, *labels.shape), dtype=np.float32)
    for axis in range(3):
        fine[axis, : fit[0], : fit[1], : fit[2]] = ndimage.zoom(
            ndimage.gaussian_filter(flow[axis], 0.7),
            zoom,
            order=1,
            grid_mode=True,
            mode="nearest",
        )
    # the coarse grid blurs thin cortex: scale to the wanted change, then say what it became
    fine *= np.float32(percent / _brain_change(labels, fine, lowest=lowest))
    return fine, _brain_change(labels, fine, lowest=lowest)


def _brain_change(
    labels: NDArray[np.int16], moved: NDArray[np.float32], *, lowest: int
) -> float:
    """Return the percent change of parenchyma under a displacement, by the Jacobian."""
    brain = np.isin(labels, WHITE + GREY)
    brain[:, :, :lowest] = False
    jacobian = np.zeros((int(brain.sum()), 3, 3))
    for row, u in enumerate(moved):
        for column, slope in enumerate(np.gradient(u)):
            jacobian[:, row, column] = slope[brain]
    jacobian += np.eye(3)
    return float(100 * (np.linalg.det(jacobian).mean() - 1))


def _potential_flow(
    divergence: NDArray[np.float64], domain: NDArray[np.bool_], *, step: int
) -> NDArray[np.float32]:
    """Solve the Poisson equation with closed walls; return the gradient at voxel centres."""
    number = np.full(domain.shape, -1)
    number[domain] = np.arange(np.count_nonzero(domain))
    rows, columns = [], []
    for axis in range(3):
        here = [slice(None)] * 3
        there = [slice(None)] * 3
        here[axis], there[axis] = slice(0, -1), slice(1, None)
        joined = domain[tuple(here)] & domain[tuple(there)]
        rows.append(number[tuple(here)][joined])
        columns.append(number[tuple(there)][joined])
    first, second = np.concatenate(rows), np.concatenate(columns)
    count = int(domain.sum())
    one_way = sparse.coo_matrix((np.ones(first.size), (first, second)), (count, count))
    links = (one_way + one_way.T).tocsr()
    laplacian = sparse.diags(np.asarray(links.sum(axis=1)).ravel()) - links
    source = divergence[domain]
    source = source - source.mean()
    potential, _ = sparse_linalg.cg(
        laplacian + 1e-9 * sparse.identity(count), -source, rtol=1e-5, maxiter=1500
    )
    # face fluxes: potential differences, zero through walls
    flow = np.zeros((3, *domain.shape), dtype=np.float32)
    values = np.zeros(domain.shape)
    values[domain] = potential
    for axis in range(3):
        here = [slice(None)] * 3
        there = [slice(None)] * 3
        here[axis], there[axis] = slice(0, -1), slice(1, None)
        joined = domain[tuple(here)] & domain[tuple(there)]
        flux = np.where(joined, values[tuple(there)] - values[tuple(here)], 0.0)
        flow[axis][tuple(here)] += flux / 2
        flow[axis][tuple(there)] += flux / 2
    return flow * step


def contrast_random(rng: np.random.Generator) -> dict[int, float]:
    """Jitter the class means: grey and fluid contrast per head, each label by up to 4 %."""
    grey_shift, fluid_shift = rng.uniform(-6, 5), rng.uniform(-6, 8)
    means = {}
    for label, mean in T1_MEANS.items():
        jitter = rng.uniform(0.96, 1.04) if label > 0 else 1.0
        moved = mean
        if label in GREY:
            moved += grey_shift * (WHITE_AT_REST - mean) / (WHITE_AT_REST - T1_MEANS[3])
        elif label in FLUID:
            moved += fluid_shift
        # left and right of one structure share their mean
        means[label] = moved * jitter
    for left, right in (
        (2, 41),
        (3, 42),
        (7, 46),
        (8, 47),
        (10, 49),
        (11, 50),
        (12, 51),
        (13, 52),
        (17, 53),
        (18, 54),
        (26, 58),
        (28, 60),
        (4, 43),
        (5, 44),
    ):
        means[right] = means[left]  # fmt: skip
    return means


def head_draw(
    head: LabelledHead,
    *,
    seed: int,
    pose: Pose | None = None,
    means: dict[int, float] | None = None,
    noise: float = 0.03,
    bias: float = 0.25,
    slice_mm: int = 1,
    rest_mm: int = 3,
    moved: NDArray[np.float32] | None = None,
) -> ScanImage:
    """Draw one T1 scan of a labelled head.

    Parameters
    ----------
    head : LabelledHead
        What is drawn.
    seed : int
        Seed of everything random.
    pose : Pose, optional
        Where the head lies; random within 6 degrees when left out.
    means : dict, optional
        Intensity per label; random when left out (a rescan passes the same means).
    noise : float
        Rician noise, fraction of the white matter intensity.
    bias : float
        Smooth intensity bias, half its range (0.25: between 0.75 and 1.25).
    slice_mm : int
        Slice thickness along z, mm: that many 1 mm planes are averaged.
    rest_mm : int
        Empty margin around the head, mm.
    moved : float32, shape (3, i, j, k), optional
        Displacement of every point of the head, mm (see ``atrophy_field``).
    """
    rng = np.random.default_rng(seed)
    pose = Pose.random(rng) if pose is None else pose
    means = contrast_random(rng) if means is None else means
    table = np.zeros(1024, dtype=np.float32)
    for label, mean in means.items():
        table[label] = mean
    painted = table[head.labels]
    texture = _smooth_field(head.labels.shape, knots=24, rng=rng)
    painted *= 1.0 + 0.015 * texture / max(float(texture.std()), 1e-6)
    painted[head.labels == 507] *= 1.0 + 0.35 * texture[head.labels == 507]
    shape = tuple(side + 2 * rest_mm for side in head.labels.shape)
    turn = pose.matrix()
    centre_in = (np.array(head.labels.shape) - 1) / 2
    centre_out = (np.array(shape) - 1) / 2 + np.array(pose.shift_mm)
    offset = centre_in - turn.T @ centre_out
    if moved is None:
        posed = ndimage.affine_transform(
            painted, turn.T, offset=offset, output_shape=shape, order=1
        )
    else:
        posed = _sampled_moved(painted, moved, turn.T, offset, shape)
    posed = ndimage.gaussian_filter(posed, 0.45)
    posed *= 1.0 + bias * _smooth_field(shape, knots=4, rng=rng)
    if slice_mm > 1:
        planes = shape[2] // slice_mm
        posed = posed[:, :, : planes * slice_mm]
        posed = posed.reshape(*posed.shape[:2], planes, slice_mm).mean(axis=3)
    sigma = noise * means[2]
    real = posed + rng.normal(scale=sigma, size=posed.shape)
    imaginary = rng.normal(scale=sigma, size=posed.shape)
    scan = np.hypot(real, imaginary).astype(np.float32)
    affine = np.diag([1.0, 1.0, float(slice_mm), 1.0])
    affine[:3, 3] = [-shape[0] / 2, -shape[1] * 0.55, -shape[2] * 0.6]
    return ScanImage(scan, affine)
