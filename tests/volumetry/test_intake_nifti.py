"""The NIfTI gate: what is taken is rewritten clean, what lies is refused in a sentence."""

import gzip
import hashlib
import re
import struct
import tracemalloc
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.volumetry.intake_files import (
    KEY,
    OBLIQUE,
    file_at,
    gzip_named,
    head_like,
    nifti_bytes,
    nifti_edited,
)
from volumetry.core.images import image_load
from volumetry.intake.door import DEFAULT_LIMITS, intake
from volumetry.intake.types import IntakeRefused, Limits, RecognisedSeries


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "door"
    folder.mkdir()
    return folder


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    folder = tmp_path / "sent"
    folder.mkdir()
    return folder


def take(
    content: bytes,
    *,
    sent: Path,
    scratch: Path,
    name: str = "scan.nii",
    limits: Limits = DEFAULT_LIMITS,
) -> RecognisedSeries:
    found = intake([file_at(sent, name, content)], scratch=scratch, key=KEY, limits=limits)
    assert len(found.series) == 1
    return found.series[0]


def refusal(
    content: bytes, *, sent: Path, scratch: Path, limits: Limits = DEFAULT_LIMITS
) -> str:
    with pytest.raises(IntakeRefused) as caught:
        take(content, sent=sent, scratch=scratch, limits=limits)
    assert list(scratch.iterdir()) == []
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert str(sent) not in sentence
    assert "scan.nii" not in sentence
    return sentence


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_sound_image_keeps_its_voxels_and_its_place(version, pack, sent, scratch):
    content = pack(nifti_bytes(affine=OBLIQUE, version=version))

    series = take(content, sent=sent, scratch=scratch)

    clean = nib.load(series.path)
    assert np.array_equal(np.asanyarray(clean.dataobj), head_like())
    np.testing.assert_allclose(clean.affine, OBLIQUE, atol=1e-5)
    assert series.shape == (20, 24, 18)
    np.testing.assert_allclose(series.spacing_mm, np.linalg.norm(OBLIQUE[:3, :3], axis=0))
    assert series.path.parent == scratch
    assert series.sha256 == hashlib.sha256(series.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_real_voxel_type_and_byte_order_gives_the_same_numbers(
    dtype, order, sent, scratch
):
    values = (head_like() % 100).astype(f"{order}{dtype}")
    image = nib.Nifti1Image(values, np.eye(4), nib.Nifti1Header(endianness=order), dtype=dtype)
    content = image.to_bytes()
    assert struct.unpack(f"{order}i", content[:4]) == (348,)

    series = take(content, sent=sent, scratch=scratch)

    assert np.array_equal(image_load(series.path).intensities, values.astype(np.float32))


def test_the_intensity_scale_of_the_file_is_kept(sent, scratch):
    content = nifti_edited(scl_slope=0.5, scl_inter=-10)

    series = take(content, sent=sent, scratch=scratch)

    np.testing.assert_allclose(image_load(series.path).intensities, head_like() * 0.5 - 10)


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_a_slope_of_zero_or_none_means_unscaled(slope, sent, scratch):
    series = take(nifti_edited(scl_slope=slope), sent=sent, scratch=scratch)

    assert np.array_equal(image_load(series.path).intensities, head_like())


def test_the_same_upload_gives_the_same_hash_and_taking_a_clean_file_changes_nothing(
    sent, scratch
):
    content = nifti_bytes(affine=OBLIQUE)
    first = take(content, sent=sent, scratch=scratch)
    again = take(gzip.compress(content), sent=sent, scratch=scratch)
    taken_twice = take(first.path.read_bytes(), sent=sent, scratch=scratch)

    assert first.sha256 == again.sha256 == taken_twice.sha256
    assert len({first.path, again.path, taken_twice.path}) == 3


def test_a_flipped_affine_is_taken_as_it_stands(sent, scratch):
    """Radiological order is no error: the same anatomy must lie at the same millimetres."""
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    affine[0, 3] = 19.0
    flipped = head_like()[::-1]

    straight = image_load(take(nifti_bytes(), sent=sent, scratch=scratch).path)
    series = take(nifti_bytes(flipped, affine), sent=sent, scratch=scratch)
    turned = image_load(series.path)

    assert np.linalg.det(turned.affine) < 0
    assert series.axcodes == ("L", "A", "S")
    assert turned.voxel_volume_mm3 == pytest.approx(1.0)
    assert np.array_equal(turned.intensities[::-1], straight.intensities)
    corner = turned.affine @ [19, 0, 0, 1]
    np.testing.assert_allclose(corner, straight.affine @ [0, 0, 0, 1], atol=1e-6)


def test_trailing_dimensions_of_one_are_three_dimensions(sent, scratch):
    content = nifti_bytes(head_like()[..., None, None])

    assert take(content, sent=sent, scratch=scratch).shape == (20, 24, 18)


def test_extensions_and_gaps_before_the_voxels_are_dropped(sent, scratch):
    image = nib.Nifti1Image(head_like(), np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"CANARY" * 50))
    plain = take(nifti_bytes(), sent=sent, scratch=scratch)

    assert take(image.to_bytes(), sent=sent, scratch=scratch).sha256 == plain.sha256


def test_no_text_of_the_file_survives_in_the_copy(sent, scratch):
    canary = b"CANARY^EVA"
    data = bytearray(
        nifti_edited(
            descrip=canary,
            aux_file=canary,
            db_name=canary,
            intent_name=canary,
            data_type=canary,
        )
    )
    data[348:352] = b"\0\0\0\0"

    series = take(
        gzip_named(bytes(data), name="CANARY_EVA.nii"),
        sent=sent,
        scratch=scratch,
        name="CANARY_t1.nii.gz",
    )

    stored = series.path.read_bytes()
    assert b"CANARY" not in stored
    assert b"CANARY" not in gzip.decompress(stored)
    assert "CANARY" not in series.path.name
    assert "CANARY" not in repr(series)
    assert stored[3] == 0, "the gzip header says that no name follows"
    assert stored[4:8] == bytes(4), "and no time"


def test_a_qform_alone_is_enough(sent, scratch):
    image = nib.Nifti1Image(head_like(), None)
    image.set_qform(np.diag([2.0, 2.0, 2.0, 1.0]), code=1)
    image.set_sform(None, code=0)

    assert take(image.to_bytes(), sent=sent, scratch=scratch).spacing_mm == (2.0, 2.0, 2.0)


def test_an_sform_into_a_stretched_template_does_not_change_millimetres(sent, scratch):
    """An affine to a template scales the brain: volumes measured there would be wrong."""
    image = nib.Nifti1Image(head_like(), None)
    image.set_qform(np.diag([1.0, 1.0, 1.0, 1.0]), code=1)
    image.set_sform(np.diag([1.2, 1.2, 1.2, 1.0]), code=4)

    series = take(image.to_bytes(), sent=sent, scratch=scratch)

    assert series.spacing_mm == (1.0, 1.0, 1.0)
    assert any("template" in sentence for sentence in series.sentences)


def test_metres_are_read_as_metres(sent, scratch):
    image = nib.Nifti1Image(head_like(), np.diag([0.002, 0.002, 0.002, 1.0]))
    image.header.set_xyzt_units("meter")

    np.testing.assert_allclose(
        take(image.to_bytes(), sent=sent, scratch=scratch).spacing_mm, 2.0, rtol=1e-6
    )


def _without_place() -> bytes:
    return nifti_edited(sform_code=0, qform_code=0)


def _two_sizes() -> bytes:
    return nifti_edited(pixdim=[1, 3, 3, 3, 1, 1, 1, 1], qform_code=0)


def _sheared() -> bytes:
    return nifti_edited(srow_x=[1, 0.5, 0, 0], qform_code=0)


def _with_nan(value: float) -> bytes:
    values = head_like().astype(np.float32)
    values[3, 3, 3] = value
    return nifti_bytes(values)


def _signalling_nan() -> bytes:
    return nifti_bytes(np.ones((20, 24, 18), np.float32))[:-4] + b"\x01\x00\xa0\x7f"


def _double_slope(slope: float) -> bytes:
    data = bytearray(nifti_bytes(version=2))
    header = nib.Nifti2Header(bytes(data[:540]), check=False)
    header["scl_slope"] = slope
    data[:540] = header.binaryblock
    return bytes(data)


WRONG = {
    "an empty file": (b"", "empty"),
    "a PDF": (b"%PDF-1.7 " + bytes(400), "PDF"),
    "a PDF in gzip": (gzip.compress(b"%PDF-1.7 " + bytes(400)), "no NIfTI image"),
    "random text": (b"hello, scanner\n" * 50, "not an image"),
    "a cut header": (nifti_bytes()[:200], "cut off within its header"),
    "no voxel": (nifti_bytes()[:352], "fewer voxels"),
    "cut voxels": (nifti_bytes()[:-1], "fewer voxels"),
    "a cut gzip": (gzip.compress(nifti_bytes())[:-900], "fewer voxels"),
    "a gzip without its checksum": (gzip.compress(nifti_bytes())[:-6], "more than|damaged"),
    "a gzip with a wrong checksum": (
        gzip.compress(nifti_bytes())[:-8] + bytes(8),
        "cannot be decompressed",
    ),
    "bytes behind": (nifti_bytes() + b"x", "more than its header claims"),
    "bytes behind the gzip": (gzip.compress(nifti_bytes()) + b"x", "more than its header"),
    "two gzip members": (
        gzip.compress(nifti_bytes()[:5000]) + gzip.compress(nifti_bytes()[5000:]),
        "fewer voxels",
    ),
    "an empty member behind": (
        gzip.compress(nifti_bytes()) + gzip.compress(b""),
        "more than its header",
    ),
    "four dimensions": (nifti_bytes(np.ones((20, 24, 18, 3), np.int16)), "4 dimensions"),
    "a single slice": (nifti_bytes(np.ones((64, 64, 1), np.int16)), "only 1 slice;"),
    "too few slices": (nifti_bytes(np.ones((64, 64, 4), np.int16)), "only 4 slices"),
    "a two-dimensional image": (nifti_bytes(np.ones((64, 64), np.int16)), "only 1 slice"),
    "a postage stamp": (nifti_bytes(np.ones((8, 40, 8), np.int16)), "at least 16 across"),
    "more sides than allowed": (
        nifti_edited(dim=[3, 2000, 20, 20, 1, 1, 1, 1]),
        "at most 1024",
    ),
    "more voxels than there are": (
        nifti_edited(dim=[3, 21, 24, 18, 1, 1, 1, 1]),
        "fewer voxels",
    ),
    "fewer voxels than there are": (
        nifti_edited(dim=[3, 19, 24, 18, 1, 1, 1, 1]),
        "holds more",
    ),
    "no dimension": (nifti_edited(dim=[0, 20, 24, 18, 1, 1, 1, 1]), "make no sense"),
    "a negative side": (nifti_edited(dim=[3, -20, 24, 18, 1, 1, 1, 1]), "make no sense"),
    "complex voxels": (nifti_bytes(np.ones((20, 24, 18), np.complex64)), "magnitude"),
    "colour": (nifti_edited(datatype=128, bitpix=24), "colour"),
    "an unknown type": (nifti_edited(datatype=999), "unknown type"),
    "bits that disagree": (nifti_edited(bitpix=8), "voxel type and size disagree"),
    "an infinite scale": (nifti_edited(scl_slope=np.inf), "intensity scale"),
    "an offset that is none": (nifti_edited(scl_slope=2, scl_inter=np.nan), "intensity scale"),
    "a scale too small to be kept": (_double_slope(1e-300), "intensity scale"),
    "a scale too large to be kept": (_double_slope(1e300), "intensity scale"),
    "a place light-years away": (
        nifti_edited(srow_x=[1, 0, 0, 1e30], qform_code=0),
        "position matrix",
    ),
    "a scale that overflows": (nifti_edited(scl_slope=3e38), "overflow"),
    "voxels inside the header": (nifti_edited(vox_offset=100), "where its voxels begin"),
    "voxels nowhere": (nifti_edited(vox_offset=np.nan), "where its voxels begin"),
    "voxels far behind the end": (nifti_edited(vox_offset=1e6), "cut off before its voxels"),
    "voxels absurdly far": (nifti_edited(vox_offset=1e30), "GiB"),
    "no place in space": (_without_place(), "position matrix"),
    "a place of no number": (
        nifti_edited(srow_x=[np.nan, 0, 0, 0], qform_code=0),
        "position matrix",
    ),
    "a flat space": (nifti_edited(srow_x=[0, 0, 0, 0], qform_code=0), "position matrix"),
    "a sheared space": (_sheared(), "position matrix"),
    "two voxel sizes": (_two_sizes(), "two different voxel sizes"),
    "a mole of millimetres": (
        nifti_bytes(affine=np.diag([900.0, 900, 900, 1])),
        "no MR scan has",
    ),
    "an unknown unit": (nifti_edited(xyzt_units=5), "unit of length"),
    "zeros": (nifti_bytes(np.zeros((20, 24, 18), np.int16)), "is empty"),
    "one value": (nifti_bytes(np.full((20, 24, 18), 7, np.int16)), "is empty"),
    "a NaN": (_with_nan(np.nan), "no numbers"),
    "an infinity": (_with_nan(-np.inf), "no numbers"),
    "a signalling NaN": (_signalling_nan(), "no numbers"),
    "half a pair": (nifti_edited(magic=b"ni1"), "one half of a NIfTI pair"),
    "Analyze": (nifti_edited(magic=b""), "Analyze"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_in_one_sentence_and_leaves_nothing(what, sent, scratch):
    content, expected = WRONG[what]

    assert re.search(expected, refusal(content, sent=sent, scratch=scratch))


def _bomb(shape: tuple[int, int, int]) -> bytes:
    """Return a few bytes of gzip whose header claims float32 voxels of this shape."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float32)
    header["dim"] = [3, *shape, 1, 1, 1, 1]
    header["vox_offset"], header["magic"] = 352, b"n+1"
    header.set_sform(np.eye(4), code=1)
    return zlib.compress(bytes(header.binaryblock) + bytes(4), wbits=31)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((4096, 4096, 512), "at most 1024"), ((1024, 1024, 511), "fewer voxels")],
)
def test_a_few_bytes_that_claim_gigabytes_cost_no_memory(shape, expected, sent, scratch):
    content = _bomb(shape)
    assert len(content) < 150

    tracemalloc.start()
    sentence = refusal(content, sent=sent, scratch=scratch)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert expected in sentence
    assert peak < 16 << 20


def test_an_honest_bomb_is_read_in_blocks(sent, scratch):
    """64 MB of one value shrink a thousandfold; memory must follow neither size."""
    shape = (256, 256, 512)
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    header.set_sform(np.eye(4), code=1)
    content = gzip.compress(bytes(header.binaryblock) + bytes(4 + 2 * 256 * 256 * 512))
    assert len(content) < 100_000

    tracemalloc.start()
    sentence = refusal(content, sent=sent, scratch=scratch)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "is empty" in sentence
    assert peak < 32 << 20


def test_an_image_larger_than_the_limit_is_refused_before_its_voxels(sent, scratch):
    sentence = refusal(
        nifti_bytes(), sent=sent, scratch=scratch, limits=Limits(max_unpacked_bytes=10_000)
    )

    assert "unpacks to more than" in sentence


def test_an_upload_larger_than_the_limit_is_refused_unread(sent, scratch):
    sentence = refusal(
        nifti_bytes(), sent=sent, scratch=scratch, limits=Limits(max_upload_bytes=1 << 10)
    )

    assert "larger than" in sentence


def test_several_images_are_taken_together_or_not_at_all(sent, scratch):
    good = file_at(sent, "a_t1.nii", nifti_bytes())
    other = file_at(sent, "b_t2.nii", nifti_bytes(affine=OBLIQUE))
    bad = file_at(sent, "c.nii", nifti_bytes()[:-1])

    found = intake([good, other], scratch=scratch, key=KEY)
    assert [series.sequence for series in found.series] == ["t1", "t2"]
    for series in found.series:
        series.path.unlink()

    with pytest.raises(IntakeRefused, match="File 3 of 3 holds fewer voxels"):
        intake([good, other, bad], scratch=scratch, key=KEY)
    assert list(scratch.iterdir()) == []


def test_nothing_is_no_upload(scratch):
    with pytest.raises(IntakeRefused, match="No file was uploaded"):
        intake([], scratch=scratch, key=KEY)


def test_a_short_key_is_a_fault_of_the_deployment(scratch):
    with pytest.raises(ValueError, match="16 bytes"):
        intake([], scratch=scratch, key=b"short")
