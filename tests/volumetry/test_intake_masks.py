"""The door for masks: on the voxels of their scan, sized as what they mark, or a sentence."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from volumetry.intake.masks import MaskKind, mask_take
from volumetry.intake.types import IntakeRefused, Limits

SPACING = np.diag([2.0, 2.0, 2.0, 1.0])


def written(path, values, affine=SPACING):
    image = nib.Nifti1Image(values, affine)
    image.header["descrip"] = b"drawn by Jana Novakova"
    path.write_bytes(gzip.compress(image.to_bytes()))
    return path


@pytest.fixture
def scan(tmp_path):
    values = np.random.default_rng(3).integers(1, 900, (60, 64, 60), dtype=np.int16)
    return written(tmp_path / "scan.nii.gz", values)


def lesions(value=1):
    mask = np.zeros((60, 64, 60), np.uint8)
    mask[30:34, 30:34, 30:34] = value
    mask[10:12, 10:12, 10:12] = value
    return mask


def take(tmp_path, scan, values, kind=MaskKind.LESIONS, affine=SPACING):
    source = written(tmp_path / "sent.nii.gz", values, affine)
    return mask_take(source, tmp_path / "clean.nii.gz", scan=scan, kind=kind, limits=Limits())


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_is_rewritten_without_a_word_of_its_header(tmp_path, scan, value):
    clean = take(tmp_path, scan, lesions(value))

    assert b"Novakova" not in gzip.decompress(clean.path.read_bytes())
    kept = np.asanyarray(nib.load(clean.path).dataobj)
    np.testing.assert_array_equal(kept, lesions(value))


def moved(shift: float) -> np.ndarray:
    affine = SPACING.copy()
    affine[1, 3] = shift
    return affine


@pytest.mark.parametrize(
    ("values", "kind", "affine", "words"),
    [
        (lesions()[:58], MaskKind.LESIONS, SPACING, "58 × 64 × 60 voxels, the scan 60"),
        (lesions(), MaskKind.LESIONS, moved(1.5), "up to 1.5 mm away"),
        (lesions(), MaskKind.LESIONS, np.diag([-2.0, 2.0, 2.0, 1.0]), "turned against it"),
        (np.zeros((60, 64, 60), np.uint8), MaskKind.LESIONS, SPACING, "empty"),
        (np.int16(lesions()) * -1, MaskKind.LESIONS, SPACING, "negative"),
        (
            lesions() + np.uint8(2) * np.roll(lesions(), 9, 0),
            MaskKind.LESIONS,
            SPACING,
            "labels",
        ),
        (1 - lesions(), MaskKind.LESIONS, SPACING, "no mask of MS lesions"),
        (lesions(), MaskKind.CORD, SPACING, "pieces"),
        (lesions(), MaskKind.BRAIN, SPACING, "a brain has"),
    ],
)
def test_what_is_no_mask_of_the_scan_is_refused_and_leaves_nothing(
    tmp_path, scan, values, kind, affine, words
):
    with pytest.raises(IntakeRefused, match=words):
        take(tmp_path, scan, values, kind, affine)

    assert not (tmp_path / "clean.nii.gz").exists()


def test_headers_that_differ_by_rounding_are_the_same_grid(tmp_path, scan):
    assert take(tmp_path, scan, lesions(), affine=moved(0.01)).sha256


def test_a_file_that_is_no_nifti_is_refused(tmp_path, scan):
    other = tmp_path / "mask.nii.gz"
    other.write_bytes(b"%PDF-1.4" + b"x" * 900)

    with pytest.raises(IntakeRefused, match="A mask is one NIfTI file"):
        mask_take(
            other,
            tmp_path / "clean.nii.gz",
            scan=scan,
            kind=MaskKind.BRAIN,
            limits=Limits(),
        )
