"""Faces go, brain and cord stay: on drawn heads, and on neck scans without a head."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from tests.volumetry.phantoms.heads import (
    BRAINSTEM,
    GREY,
    WHITE,
    LabelledHead,
    Pose,
    head_draw,
)
from volumetry.core.deface import (
    REAR_KEPT_MM,
    FaceRule,
    deface,
    face_find,
    front_mask,
    head_place,
    rear_only,
)
from volumetry.core.errors import NotMeasurable
from volumetry.core.images import image_load, sha256_of, voxels_blank
from volumetry.core.types import ScanImage

CORD = 512


def labels_in_scan(head: LabelledHead, pose: Pose, shape: tuple[int, ...]) -> np.ndarray:
    """Return the label map where `head_draw` put it."""
    turn = pose.matrix()
    centre_in = (np.array(head.labels.shape) - 1) / 2
    centre_out = (np.array(shape) - 1) / 2 + np.array(pose.shift_mm)
    return ndimage.affine_transform(
        head.labels,
        turn.T,
        offset=centre_in - turn.T @ centre_out,
        output_shape=shape,
        order=0,
    )


@pytest.mark.realdata
@pytest.mark.slow
def test_a_drawn_head_loses_its_face_and_keeps_brain_and_cord(realdata):
    head = LabelledHead.read(realdata / "label_maps" / "training_seg_16.nii.gz")
    pose = Pose((5.0, -3.0, 4.0), (2.0, -3.0, 1.0))
    scan = head_draw(head, seed=71, pose=pose)
    labels = labels_in_scan(head, pose, scan.intensities.shape)

    placed = head_place(scan)

    assert placed is not None
    clean = deface(scan, placed)
    gone = (clean.intensities == 0) & (scan.intensities != 0)
    away = ndimage.distance_transform_edt(~gone)
    assert away[np.isin(labels, WHITE + GREY)].min() > 3.0
    assert away[labels == CORD].min() > 25.0
    assert np.array_equal(clean.intensities[~gone], scan.intensities[~gone])
    # the nose: the foremost skin below the eyes; nothing in front of the brain is left there
    brain = np.argwhere(np.isin(labels, WHITE + GREY))
    stem = np.argwhere(labels == BRAINSTEM)
    front = brain[:, 1].max()
    below = slice(0, int(stem[:, 2].mean()))
    head_there = scan.intensities[:, front:, below] > 20
    left_there = clean.intensities[:, front:, below] > 20
    assert head_there.sum() > 30_000
    assert left_there.sum() < 0.01 * head_there.sum()


def neck(*, rear_mm: float = 0.0, tilt: float = 0.0) -> ScanImage:
    """Return a cylinder of a neck with a chin in front of its upper half, on 3 mm."""
    x, y, z = np.meshgrid(
        np.arange(60) * 3.0 - 90, np.arange(80) * 3.0 - 60 + rear_mm, np.arange(50) * 3.0,
        indexing="ij",
    )  # fmt: skip
    middle = 0.0 + tilt * (z - 75)
    body = (x / 60) ** 2 + ((y - middle) / 60) ** 2 < 1
    chin = (np.abs(x) < 45) & (y > 0) & (y < 150) & (z > 75)
    values = np.where(body | chin, 100.0, 2.0).astype(np.float32)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = [-90.0, -60.0 + rear_mm, 0.0]
    return ScanImage(values, affine)


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_a_neck_keeps_its_rear_at_every_height(tilt):
    scan = neck(tilt=tilt)

    removed = front_mask(scan)

    world_y = scan.affine[1, 3] + 3.0 * np.arange(80)
    for level, is_chin in ((10, False), (40, True)):
        rear = -60.0 + tilt * (3.0 * level - 75)
        limit = world_y[removed[30, :, level]].min()
        assert limit == pytest.approx(max(rear, -60.0) + REAR_KEPT_MM, abs=8.0)
        assert bool((removed[:, :, level] & (scan.intensities[:, :, level] > 50)).any()) or (
            not is_chin
        )


def test_the_rear_is_found_when_the_image_is_stored_the_other_way_round():
    scan = neck()
    flipped = scan.affine.copy()
    flipped[1, 1] *= -1
    flipped[1, 3] = scan.affine[1, 3] + 3.0 * 79
    turned = ScanImage(np.ascontiguousarray(scan.intensities[:, ::-1]), flipped)

    assert np.array_equal(front_mask(turned)[:, ::-1], front_mask(scan))


def test_a_shallow_field_of_view_shows_no_face():
    values = np.random.default_rng(3).random((64, 64, 40)).astype(np.float32)

    found = face_find(ScanImage(values, np.diag([1.0, 1.0, 3.0, 1.0])))

    assert found.rule is FaceRule.NOT_IN_VIEW
    assert not found.removed.any()


@pytest.mark.parametrize("kind", ["int16", "uint8", "float32"])
def test_blanking_changes_nothing_but_the_voxels(tmp_path, kind):
    rng = np.random.default_rng(5)
    stored = rng.integers(1, 200, size=(5, 6, 7)).astype(kind)
    source = nib.Nifti1Image(stored, np.diag([2.0, 1.0, 1.0, 1.0]))
    source.header.set_slope_inter(0.5, -3.0)
    source.header["vox_offset"] = 352
    content = source.header.binaryblock + b"\0" * 4 + stored.tobytes(order="F")
    before = tmp_path / "before.nii.gz"
    before.write_bytes(gzip.compress(content))
    removed = np.zeros(stored.shape, dtype=bool)
    removed[1:3, 2, 4:] = True

    voxels_blank(before, removed, tmp_path / "after.nii.gz")
    voxels_blank(before, removed, tmp_path / "again.nii.gz")

    first, second = (image_load(tmp_path / f"{n}.nii.gz") for n in ("before", "after"))
    assert np.all(second.intensities[removed] == 0)
    assert np.array_equal(second.intensities[~removed], first.intensities[~removed])
    assert np.array_equal(second.affine, first.affine)
    assert second.sha256 == sha256_of(tmp_path / "again.nii.gz")
    assert second.sha256 != first.sha256


def test_a_head_that_may_be_in_view_but_was_not_found_is_not_cut():
    values = np.random.default_rng(4).random((48, 64, 48)).astype(np.float32)

    with pytest.raises(NotMeasurable, match="kept"):
        face_find(ScanImage(values, np.diag([3.0, 3.0, 3.0, 1.0])))


def test_the_rear_alone_keeps_the_hash_and_the_nape():
    scan = neck()
    rear = rear_only(ScanImage(scan.intensities, scan.affine, "hash"))

    assert rear.sha256 == "hash"
    assert np.array_equal(rear.intensities[:, :35], scan.intensities[:, :35])
    assert not rear.intensities[:, 45:].any()
