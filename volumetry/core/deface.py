"""Take the face out of a scan, leave brain, neck and cord as they are.

Two rules, both without a picture of a face. Where a whole head is in view it is placed in MNI
space and everything in front of, and below, the frontal brain is blanked, and the ears; what
lies near the intracranial space, and the neck behind the throat, is never touched. Where no
head was found (a neck scan, half a head) only the rear part of the body is kept at every
height: the cord lies deep in it, and a face does not. Both are written as planes and distances
in millimetres; no mask of a person was used.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.brain import gates
from volumetry.core.brain.grid import WorkImage, shrink, work_image
from volumetry.core.brain.registration import brain_locate, otsu_level
from volumetry.core.brain.template import Template, template_load
from volumetry.core.errors import NotMeasurable
from volumetry.core.types import ScanImage, Verdict

VERSION = "1"
"""Version of the rules below; recorded with every defaced image."""

Matrix = NDArray[np.float64]

BRAIN_MARGIN_MM = 10.0
"""Nothing nearer to the template's intracranial space is touched: brains differ from the
affine template by up to this much (docs/brain.md)."""
FACE_BEHIND_MM, FACE_BELOW_MM = 5.0, 30.0
"""The face lies in front of this MNI y (throat and the front of the spine are behind it) and
below this MNI z (the middle of the forehead)."""
NECK_BELOW_MM, NECK_SLOPE = -66.0, 0.35
"""Below the skull base the rear limit moves forward with depth: a bent neck brings the cord
forward. With the 40 mm between cord and throat this leaves room for 30 degrees."""
EAR_MARGIN_MM = 8.0
"""Ears lie flat against the thin temporal bone: less is kept around the brain there."""
EAR_BOX_MM = ((62.0, np.inf), (-75.0, 5.0), (-80.0, 15.0))
"""Ears: sideways (either side), back to front, bottom to top, MNI mm."""
WHOLE_HEAD_MM = (115.0, 140.0, 115.0)
"""A field of view of this width, depth and height may hold a whole brain (the intake's limits
for a small adult; a little less in height, for a head that is tilted)."""
REAR_KEPT_MM = 115.0
"""Kept behind a missing head: cord centres lie 50 to 90 mm in front of the skin of the nape,
the mouth of an adult more than 150 mm."""
REAR_COLUMN_MM = 25.0
"""The rear surface is looked for within this distance of the middle of the body."""
REAR_MEDIAN_MM = 21.0
"""Heights over which the rear surface is a running median."""


class FaceRule(StrEnum):
    """What was done about the face."""

    HEAD = "head"
    """A head was placed; face and ears were blanked."""
    REAR = "rear"
    """No whole head was found; what lies far in front of the nape was blanked."""
    NOT_IN_VIEW = "not_in_view"
    """The field of view is too shallow to reach a face from the spine."""


@dataclass(frozen=True, slots=True)
class Deface:
    """Voxels to blank.

    Attributes
    ----------
    rule : FaceRule
        Which rule found them.
    removed : bool, shape of the image
        Voxels of face, ears and the air around them.
    """

    rule: FaceRule
    removed: NDArray[np.bool_]


def face_find(image: ScanImage) -> Deface:
    """Find the voxels to blank in any scan of head or neck, whatever its contrast.

    Raises
    ------
    NotMeasurable
        If a whole head may be in view but was not found: keeping the rear only would cut the
        brain, and cutting anything else would be a guess.
    """
    placed = head_place(image)
    if placed is not None:
        return Deface(FaceRule.HEAD, face_mask(image, placed))
    field = _field_mm(image)
    if field[1] <= REAR_KEPT_MM:
        return Deface(FaceRule.NOT_IN_VIEW, np.zeros(image.intensities.shape, dtype=bool))
    if np.all(field >= WHOLE_HEAD_MM):
        raise NotMeasurable("A head may be in view, but it was not found: its face was kept.")
    return Deface(FaceRule.REAR, front_mask(image))


def rear_only(image: ScanImage) -> ScanImage:
    """Return the scan without what lies far in front of the nape: the cord, not the face."""
    values = np.where(front_mask(image), np.float32(0.0), image.intensities)
    return ScanImage(values, image.affine, image.sha256)


def deface(image: ScanImage, template_to_world: Matrix) -> ScanImage:
    """Return the scan with face and ears blanked (zero), all else unchanged.

    Parameters
    ----------
    image : ScanImage
    template_to_world : float64, shape (4, 4)
        MNI millimetres to world millimetres (RAS+).
    """
    removed = face_mask(image, template_to_world)
    values = np.where(removed, np.float32(0.0), image.intensities)
    return ScanImage(values, image.affine)


def head_place(image: ScanImage) -> Matrix | None:
    """Return MNI to world millimetres of a whole head in view, or None.

    A T1 contrast is tried first. Any other contrast is then cut off at the level between head
    and air: what is left is a bright head with a dark skull, as the painted template has it.
    """
    extent = np.array(image.intensities.shape) * np.array(image.spacing_mm)
    if float(extent.min()) < gates.MIN_EXTENT_MM:
        return None
    work = work_image(image)
    for candidate in (work, _saturated(work)):
        try:
            place = brain_locate(candidate)
        except (NotMeasurable, RuntimeError):  # RuntimeError: the descent left the image
            continue
        covered = gates.coverage_check(work, place, template_load())
        missing = float(covered.value) if isinstance(covered.value, float) else 1.0
        matched = gates.registration_check(place).verdict is not Verdict.FAIL
        if matched and missing <= 1 - gates.COVERED_REFUSE:
            return np.asarray(work.to_world @ place.matrix)
    return None


def _saturated(work: WorkImage) -> WorkImage:
    """Return the scan cut off at the level between tissue and air."""
    ceiling = otsu_level(shrink(work, step_mm=3.0).values)
    values = np.minimum(work.values, np.float32(ceiling))
    return WorkImage(values, work.spacing_mm, work.to_world)


def face_mask(image: ScanImage, template_to_world: Matrix) -> NDArray[np.bool_]:
    """Return the voxels of face and ears of a placed head, shape of the image."""
    template = template_load()
    to_template = np.linalg.inv(template_to_world) @ image.affine
    removed = np.zeros(image.intensities.shape, dtype=bool)
    for box, index in _slabs(image.intensities.shape):
        x, y, z = (
            sum((m * g for m, g in zip(row[:3], index, strict=True)), start=row[3])
            for row in to_template[:3]
        )
        behind = FACE_BEHIND_MM + NECK_SLOPE * np.maximum(NECK_BELOW_MM - z, 0.0)
        face = (y > behind) & (z < FACE_BELOW_MM)
        (inner, _), (back, front), (low, high) = EAR_BOX_MM
        ear = (np.abs(x) > inner) & (y > back) & (y <= front) & (z > low) & (z < high)
        distance = _distance(template, (x, y, z))
        removed[box] = (face & (distance < -BRAIN_MARGIN_MM)) | (
            ear & (distance < -EAR_MARGIN_MM)
        )
    return removed


def _slabs(
    shape: tuple[int, ...], *, thickness: int = 32
) -> Iterator[tuple[slice, list[NDArray[np.float32]]]]:
    """Yield slabs along the first axis with their voxel indices: memory stays small."""
    for start in range(0, shape[0], thickness):
        stop = min(start + thickness, shape[0])
        sides = [np.arange(start, stop), np.arange(shape[1]), np.arange(shape[2])]
        index = np.meshgrid(*sides, indexing="ij", sparse=True)
        yield slice(start, stop), [part.astype(np.float32) for part in index]


def _distance(
    template: Template, point_mm: tuple[NDArray[np.float32], ...]
) -> NDArray[np.float32]:
    """Sample the signed distance to the template's intracranial boundary at MNI points."""
    index = np.stack(
        [axis - np.float32(o) for axis, o in zip(point_mm, template.origin_mm, strict=True)]
    )
    found = ndimage.map_coordinates(template.distance_mm, index, order=1, cval=-40.0)
    return np.asarray(found, dtype=np.float32)


def _field_mm(image: ScanImage) -> Matrix:
    """Return how far the field of view reaches sideways, to the front and up, mm."""
    sides = np.array(image.intensities.shape) - 1
    return np.asarray(np.abs(image.affine[:3, :3] * sides).sum(axis=1), dtype=np.float64)


def front_mask(image: ScanImage) -> NDArray[np.bool_]:
    """Return the voxels that lie far in front of the body's rear surface, at every height.

    Where the body is cut by the rear border, that border counts as its surface.
    """
    height, rear = _rear_surface(image)
    removed = np.zeros(image.intensities.shape, dtype=bool)
    for box, index in _slabs(image.intensities.shape):
        y, z = (
            sum((m * g for m, g in zip(row[:3], index, strict=True)), start=row[3])
            for row in image.affine[1:3]
        )
        removed[box] = y > np.interp(z, height, rear) + REAR_KEPT_MM
    return removed


def _rear_surface(image: ScanImage) -> tuple[Matrix, Matrix]:
    """Return world heights (mm, rising) and the y of the body's rear surface at each.

    Raises
    ------
    NotMeasurable
        If no body is in the image.
    """
    small = shrink(work_image(image), step_mm=3.0)
    body = ndimage.gaussian_filter(small.values, 1.0) > 0.5 * otsu_level(small.values)
    numbered, count = ndimage.label(ndimage.binary_opening(body))
    if count == 0:
        raise NotMeasurable("No body was found in this image.")
    spots = np.argwhere(numbered == int(np.argmax(np.bincount(numbered.ravel())[1:])) + 1)
    world = spots @ small.affine[:3, :3].T + small.affine[:3, 3]
    middle = (world[:, 0].min() + world[:, 0].max()) / 2
    world = world[np.abs(world[:, 0] - middle) < REAR_COLUMN_MM]
    step = 3.0
    levels = np.round(world[:, 2] / step).astype(int)
    known = np.unique(levels)
    rear = np.array([np.percentile(world[levels == level, 1], 1.0) for level in known])
    size = min(int(REAR_MEDIAN_MM / step), rear.size)
    return known * step, ndimage.median_filter(rear, size=size, mode="nearest")
