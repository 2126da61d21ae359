"""MR-like scans of whole heads drawn from label maps with a cervical cord.

The label maps (shared data, never committed) are truth for testing only. Class intensities,
bias field, blur, noise and pose are drawn at random per seed.
"""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from volumetry.core.types import ScanImage

CORD = 512
BRAINSTEM = 16
WHITE = (2, 41, 7, 46, 16, 28, 60, 85, 77, 251, 252, 253, 254, 255)
GREY = (3, 42, 8, 47, 10, 49, 11, 50, 12, 51, 13, 52, 17, 53, 18, 54, 26, 58)
FLUID = (4, 5, 14, 15, 24, 43, 44, 31, 63, 72)

T1_MEANS = {"white": 110.0, "grey": 78.0, "fluid": 26.0, "cord": 104.0}
T2_MEANS = {"white": 55.0, "grey": 75.0, "fluid": 150.0, "cord": 58.0}


@dataclass(frozen=True, slots=True)
class Head:
    """A drawn head: the scan, and the share of cord in each of its voxels."""

    image: ScanImage
    cord: np.ndarray
    to_map: np.ndarray
    """World mm of the scan to world mm of the label map, shape (4, 4)."""


def head_draw(
    path: Path,
    *,
    means: dict[str, float],
    seed: int,
    noise: float = 0.03,
    bias: float = 0.25,
    blur_sigma_mm: float = 0.45,
    max_degrees: float = 6.0,
    max_shift_mm: float = 3.0,
    pose: bool = True,
) -> Head:
    """Draw one head; ``noise`` is a share of the white matter intensity (Rician)."""
    rng = np.random.default_rng(seed)
    source = nib.as_closest_canonical(nib.load(path))
    labels = np.asarray(source.dataobj).astype(np.int16)
    drawn = intensities(labels, means=means, rng=rng)
    drawn = ndimage.gaussian_filter(drawn, blur_sigma_mm)
    cord = (labels == CORD).astype(np.float32)
    to_map = np.eye(4)
    if pose:
        to_map = random_pose(rng, source.affine, labels.shape, max_degrees, max_shift_mm)
        matrix = np.linalg.inv(source.affine) @ to_map @ source.affine
        drawn = ndimage.affine_transform(drawn, matrix[:3, :3], matrix[:3, 3], order=3)
        cord = ndimage.affine_transform(cord, matrix[:3, :3], matrix[:3, 3], order=1)
    field = ndimage.zoom(rng.normal(0, 1, (4, 4, 4)), 64, order=3)[:256, :256, :256]
    drawn = drawn * np.exp(bias * field / np.abs(field).max())
    sigma = noise * means["white"]
    real = drawn + rng.normal(0, sigma, drawn.shape)
    rician = np.hypot(real, rng.normal(0, sigma, drawn.shape))
    return Head(ScanImage(rician.astype(np.float32), source.affine, ""), cord, to_map)


def intensities(labels: np.ndarray, *, means: dict[str, float], rng) -> np.ndarray:
    """Paint each label with its class mean (± 4 %) and 1.5 % texture."""
    lookup = np.zeros(1024, dtype=np.float32)
    for name, members in (
        ("white", WHITE),
        ("grey", GREY),
        ("fluid", FLUID),
        ("cord", (CORD,)),
    ):
        value = means[name] * rng.normal(1.0, 0.04)
        lookup[list(members)] = value
    known = {*WHITE, *GREY, *FLUID, CORD, 0}
    for label in np.unique(labels):
        if int(label) not in known:
            lookup[label] = rng.uniform(0.15, 1.15) * means["white"]
    drawn = lookup[labels]
    texture = ndimage.gaussian_filter(rng.normal(0, 1, labels.shape).astype(np.float32), 1.0)
    return drawn * (1.0 + 0.015 * texture / texture.std())


def random_pose(rng, affine, shape, max_degrees, max_shift_mm) -> np.ndarray:
    """Draw a rigid pose about the middle of the scan."""
    angles = np.radians(rng.uniform(-max_degrees, max_degrees, 3))
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [a for a in range(3) if a != axis]
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        turn = turn @ step
    centre = affine[:3, :3] @ (np.asarray(shape) / 2.0) + affine[:3, 3]
    pose = np.eye(4)
    pose[:3, :3] = turn
    pose[:3, 3] = centre - turn @ centre + rng.uniform(-max_shift_mm, max_shift_mm, 3)
    return pose
