"""DICOM sessions: sorted into series, converted, or refused naming nobody."""

import os
import re
from datetime import date
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom.data
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from tests.volumetry.intake_files import (
    KEY,
    dicom_bytes,
    dicom_series,
    dicom_slice,
    file_at,
    files_at,
    nifti_bytes,
    other_object,
    zip_bytes,
)
from volumetry.core.images import image_load
from volumetry.intake import convert
from volumetry.intake.door import DEFAULT_LIMITS, intake, scratch_sweep
from volumetry.intake.types import Intake, IntakeRefused, Limits, SequenceClass, SubjectClaims

REPORT = "1.2.840.10008.5.1.4.1.1.88.33"
PRESENTATION = "1.2.840.10008.5.1.4.1.1.11.1"
SCREEN_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SPINE_T2 = {
    "SeriesDescription": "t2_tse_sag_cspine",
    "ScanningSequence": "SE",
    "EchoTime": "98",
    "RepetitionTime": "3500",
    "InversionTime": None,
}


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
    contents: list[bytes], *, sent: Path, scratch: Path, limits: Limits = DEFAULT_LIMITS
) -> Intake:
    return intake(files_at(sent, contents), scratch=scratch, key=KEY, limits=limits)


def refusal(
    contents: list[bytes], *, sent: Path, scratch: Path, limits: Limits = DEFAULT_LIMITS
) -> str:
    with pytest.raises(IntakeRefused) as caught:
        take(contents, sent=sent, scratch=scratch, limits=limits)
    assert list(scratch.iterdir()) == []
    sentence = str(caught.value)
    assert sentence.endswith(".")
    for personal in ("Novak", "7351124321", "1981", str(sent)):
        assert personal not in sentence
    return sentence


def pixels_seen(
    path: Path, *, corner: tuple[float, float, float], spacing: float, side: int
) -> np.ndarray:
    """Return the voxels of an axial slice by millimetres, as DICOM rows and columns.

    A witness for the geometry that does not care how the converter turned the axes: DICOM
    counts x to the left and y to the back, NIfTI to the right and to the front.
    """
    image = image_load(path)
    row, column = np.mgrid[:side, :side]
    x, y = corner[0] + column * spacing, corner[1] + row * spacing
    world = np.stack([-x, -y, np.full(x.shape, corner[2]), np.ones(x.shape)])
    voxel = np.tensordot(np.linalg.inv(image.affine), world, axes=1)[:3]
    np.testing.assert_allclose(voxel, np.rint(voxel), atol=1e-3)
    i, j, k = np.rint(voxel).astype(int)
    return np.asarray(image.intensities[i, j, k])


def test_a_series_becomes_one_image_with_the_pixels_in_their_place(sent, scratch):
    slices = [dicom_slice(n, spacing=1.5) for n in range(1, 21)]

    found = take([dicom_bytes(s) for s in reversed(slices)], sent=sent, scratch=scratch)

    (series,) = found.series
    assert series.shape == (32, 32, 20)
    np.testing.assert_allclose(series.spacing_mm, 1.5, rtol=1e-5)
    seen = pixels_seen(series.path, corner=(-10, -10, 3 * 1.5), spacing=1.5, side=32)
    assert np.array_equal(seen, slices[2].pixel_array)
    assert found.skipped == ()


def test_the_facts_kept_are_those_of_the_header(sent, scratch):
    extra = {
        "DeviceSerialNumber": "41234",
        "StationName": "MRC12345",
        "SoftwareVersions": ["syngo MR E11", "N4"],
        "ReceiveCoilName": "HeadNeck_64",
        "PatientPosition": "HFS",
        "AcquisitionMatrix": [0, 256, 240, 0],
        "ParallelReductionFactorInPlane": 2.0,
        "PixelBandwidth": "240",
    }
    (series,) = take(dicom_series(**extra), sent=sent, scratch=scratch).series
    facts = series.acquisition

    assert (facts.manufacturer, facts.model) == ("SIEMENS", "Prisma")
    assert (facts.software, facts.coil) == ("syngo MR E11/N4", "HeadNeck_64")
    assert (facts.field_strength_tesla, facts.acquisition_type) == (3.0, "3D")
    assert (facts.scanning_sequence, facts.sequence_variant) == ("GR/IR", "SP")
    assert (facts.repetition_time_ms, facts.echo_time_ms) == (2300.0, 2.98)
    assert (facts.inversion_time_ms, facts.flip_angle_deg) == (900.0, 9.0)
    assert (facts.rows, facts.columns, facts.pixel_spacing_mm) == (32, 32, (1.0, 1.0))
    assert facts.acquisition_matrix == (0, 256, 240, 0)
    assert (facts.parallel_factor, facts.pixel_bandwidth_hz) == (2.0, 240.0)
    assert (facts.patient_position, facts.image_type) == ("HFS", "ORIGINAL/PRIMARY/M/ND")
    assert not facts.is_contrast_enhanced
    assert re.fullmatch(r"[0-9a-f]{64}", facts.serial_hash)
    assert "41234" not in repr(series)
    assert "MRC12345" not in repr(series)
    assert (series.sequence, series.sequence_basis) == (SequenceClass.T1, "timing")


def test_the_same_scanner_has_the_same_hash_under_one_key_only(sent, scratch):
    files = files_at(sent, dicom_series(DeviceSerialNumber="41234"))

    def serial_hash(key: bytes) -> str | None:
        return intake(files, scratch=scratch, key=key).series[0].acquisition.serial_hash

    assert serial_hash(KEY) == serial_hash(KEY)
    assert serial_hash(KEY) != serial_hash(KEY[::-1])


def test_contrast_agent_is_a_yes_or_no(sent, scratch):
    contents = dicom_series(ContrastBolusAgent="Gadovist 7 ml, dr. Novak")

    (series,) = take(contents, sent=sent, scratch=scratch).series

    assert series.acquisition.is_contrast_enhanced
    assert "Gadovist" not in repr(series)
    assert any("contrast agent" in sentence for sentence in series.sentences)


def test_what_names_the_person_is_compared_in_memory_and_shown_nowhere(sent, scratch):
    (series,) = take(dicom_series(), sent=sent, scratch=scratch).series

    assert series.subject is not None
    assert series.subject.sex == "F"
    assert series.subject.birth_year == 1981
    assert series.subject.study_date == date(2021, 6, 7)
    assert repr(series.subject) == "SubjectClaims(hidden)"
    assert "1981" not in repr(series)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PatientBirthDate": None}, 1981),
        ({"PatientAge": None}, 1981),
        ({"PatientAge": "071Y"}, None),
        ({"PatientBirthDate": None, "PatientAge": "006M"}, None),
        ({"PatientBirthDate": None, "StudyDate": None}, None),
        ({"PatientBirthDate": "", "PatientAge": "040Y"}, 1981),
    ],
)
def test_a_year_of_birth_is_told_only_where_the_header_agrees_with_itself(
    tags, expected, sent, scratch
):
    (series,) = take(dicom_series(**tags), sent=sent, scratch=scratch).series

    assert series.subject is not None
    assert series.subject.birth_year == expected


def test_a_kept_text_with_a_part_of_the_name_or_number_is_dropped(sent, scratch):
    contents = dicom_series(
        SoftwareVersions="build for NOVAKOVA",
        ReceiveCoilName="coil 7351124321",
        ManufacturerModelName="Prisma; injected\n",
        ScanOptions="EVA",
    )

    facts = take(contents, sent=sent, scratch=scratch).series[0].acquisition

    assert facts.manufacturer == "SIEMENS"
    assert (facts.software, facts.coil, facts.model, facts.scan_options) == (None,) * 4


def test_two_patients_are_refused_naming_neither(sent, scratch):
    contents = dicom_series(8) + dicom_series(8, series="1.2.3.2", PatientID="8001011234")

    sentence = refusal(contents, sent=sent, scratch=scratch)

    assert "more than one patient" in sentence
    assert "8001011234" not in sentence


def test_two_names_without_any_number_are_two_patients(sent, scratch):
    contents = dicom_series(8, PatientID=None) + dicom_series(
        8, series="1.2.3.2", PatientID=None, PatientName="Svoboda^Jan"
    )

    assert "more than one patient" in refusal(contents, sent=sent, scratch=scratch)


def test_a_report_of_another_patient_in_the_session_is_noticed(sent, scratch):
    contents = [*dicom_series(8), other_object(REPORT, PatientID="8001011234")]

    assert "more than one patient" in refusal(contents, sent=sent, scratch=scratch)


def test_a_session_gives_its_series_and_says_what_was_left_out(sent, scratch):
    contents = [
        *dicom_series(20),
        *dicom_series(16, series="1.2.3.2", **SPINE_T2),
        *dicom_series(3, series="1.2.3.3", SeriesDescription="localizer"),
        *dicom_series(2, series="1.2.3.4", SeriesDescription="t1_cut"),
        other_object(REPORT),
        other_object(PRESENTATION),
        other_object(PRESENTATION),
        other_object(SCREEN_CAPTURE),
        b"index of the disc",
    ]

    found = take(contents, sent=sent, scratch=scratch)

    assert [s.sequence for s in found.series] == [SequenceClass.T1, SequenceClass.T2]
    said = " ".join(found.skipped)
    assert "2 presentation states, 1 report, 1 screen capture were left out" in said
    assert "1 series was left out. A series only plans the others" in said
    assert "1 series was left out. A series has only 2 images" in said
    assert "1 file that holds no image was left out" in said
    assert len(list(scratch.iterdir())) == 2


def test_a_zip_in_folders_gives_the_same_image_as_loose_files_in_any_order(sent, scratch):
    contents = dicom_series(20)
    packed = zip_bytes(
        {f"NOVAKOVA EVA/ST{n % 3}/{n}.dcm": content for n, content in enumerate(contents)}
    )

    loose = take(contents[::-1], sent=sent, scratch=scratch).series[0]
    zipped = intake([file_at(sent, "x.zip", packed)], scratch=scratch, key=KEY).series[0]

    assert loose.sha256 == zipped.sha256
    assert loose.series_hash == zipped.series_hash
    assert "NOVAKOVA" not in repr(zipped)


def test_the_series_hash_knows_a_series_again_and_tells_an_incomplete_one_apart(sent, scratch):
    whole = take(dicom_series(20), sent=sent, scratch=scratch).series[0]
    shorter = take(dicom_series(19), sent=sent, scratch=scratch).series[0]
    other = take(dicom_series(20, series="1.2.3.9"), sent=sent, scratch=scratch).series[0]

    assert len({whole.series_hash, shorter.series_hash, other.series_hash}) == 3
    assert "1.2.3" not in repr(whole)


def test_files_sent_twice_count_once(sent, scratch):
    contents = dicom_series(20)

    found = take([*contents, *contents[:3]], sent=sent, scratch=scratch)

    assert found.series[0].shape[2] == 20
    assert found.skipped == ("3 images were in the upload twice.",)


def _lossy() -> list[bytes]:
    return dicom_series(
        8, syntax=JPEGBaseline8Bit, PixelData=encapsulate([b"\xff\xd8 no JPEG \xff\xd9"])
    )


def _several_directions() -> list[bytes]:
    turned = dicom_series(6, first=20, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    return [*dicom_series(6), *turned]


def _uneven() -> list[bytes]:
    return [
        dicom_bytes(dicom_slice(n, ImagePositionPatient=[0, 0, n * 2.0 + 0.5 * (n == 4)]))
        for n in range(1, 12)
    ]


def _echoes_with_one_missing() -> list[bytes]:
    second = dicom_series(12, EchoTime="40")
    renumbered = []
    for number, content in enumerate(second[:-2]):
        data = dcmread(BytesIO(content))
        data.SOPInstanceUID = f"1.2.3.1.9.{number}"
        renumbered.append(dicom_bytes(data))
    return [*dicom_series(12), *renumbered]


WRONG = {
    "a cut file": (
        lambda: [*dicom_series(19), dicom_series(1, first=20)[0][:-100]],
        "Of 20 DICOM files 1 is damaged or cut off",
    ),
    "no pixels": (lambda: dicom_series(8, PixelData=None), "8 are damaged or cut off"),
    "a cut header": (lambda: [dicom_series(1)[0][:300]], "damaged or cut off"),
    "only a preamble": (lambda: [bytes(128) + b"DICM"], "no MR images, only 1 other"),
    "a slice missing": (
        lambda: [c for n, c in enumerate(dicom_series(20)) if n != 7],
        "incomplete: 1 slice is missing",
    ),
    "slices missing": (
        lambda: [c for n, c in enumerate(dicom_series(20)) if n not in {5, 6, 12}],
        "incomplete: 3 slices are missing",
    ),
    "uneven slices": (_uneven, "uneven distances"),
    "several directions": (_several_directions, "several directions"),
    "an echo cut short": (_echoes_with_one_missing, "some of its slices are missing"),
    "no position": (
        lambda: dicom_series(8, ImagePositionPatient=None),
        "does not say where its images lie",
    ),
    "too few slices": (lambda: dicom_series(4), "only 4 images"),
    "one place many times": (
        lambda: dicom_series(9, ImagePositionPatient=[0, 0, 0]),
        "only 1 slices?;",
    ),
    "text burned in": (lambda: dicom_series(8, BurnedInAnnotation="YES"), "text burned into"),
    "a screen capture": (lambda: [other_object(SCREEN_CAPTURE)], "only 1 screen capture"),
    "CT": (lambda: dicom_series(8, SOPClassUID=CT_IMAGE), "only 8 CT images"),
    "lossy compression": (_lossy, "compressed with loss"),
    "a localizer": (
        lambda: dicom_series(9, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        "only plans the others",
    ),
    "DICOM beside NIfTI": (lambda: [*dicom_series(8), nifti_bytes()], "mixes DICOM and NIfTI"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_a_volume_is_said_in_one_sentence(what, sent, scratch):
    make, expected = WRONG[what]

    assert re.search(expected, refusal(make(), sent=sent, scratch=scratch))


def test_a_deflated_file_is_refused_without_being_inflated(sent, scratch):
    data = dicom_slice(1)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    assert "deflated" in refusal([dicom_bytes(data)], sent=sent, scratch=scratch)


def test_implicit_little_endian_is_read(sent, scratch):
    contents = dicom_series(12, syntax=ImplicitVRLittleEndian)

    assert take(contents, sent=sent, scratch=scratch).series[0].shape == (32, 32, 12)


@pytest.mark.parametrize(
    "encoding", ["", "_RLE", "_jp2klossless", "_jpeg_ls_lossless", "_implicit"]
)
def test_every_allowed_encoding_gives_the_same_pixels(encoding, sent, scratch):
    """One slice of pydicom's own test files, repeated at eight places."""
    source = pydicom.data.get_testdata_file(f"MR_small{encoding}.dcm", download=False)
    contents = []
    for number in range(8):
        data = dcmread(source)
        data.SOPInstanceUID = f"1.2.3.4.{number}"
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.InstanceNumber = number
        data.ImagePositionPatient = [0, 0, 5.0 * number]
        contents.append(dicom_bytes(data))

    (series,) = take(contents, sent=sent, scratch=scratch).series

    expected = dcmread(pydicom.data.get_testdata_file("MR_small.dcm", download=False))
    seen = pixels_seen(series.path, corner=(0, 0, 20), spacing=0.3125, side=64)
    assert np.array_equal(seen, expected.pixel_array)


def test_a_big_endian_file_is_refused_with_what_to_do(sent, scratch):
    source = pydicom.data.get_testdata_file("MR_small_bigendian.dcm", download=False)

    sentence = refusal([Path(source).read_bytes()], sent=sent, scratch=scratch)

    assert "little endian" in sentence


def _enhanced(frames: int = 12, *, side: int = 32) -> bytes:
    frame_by_frame = (
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
        "EchoTime", "RepetitionTime", "InversionTime", "ScanningSequence",
    )  # fmt: skip
    data = dicom_slice(1)
    for keyword in frame_by_frame:
        delattr(data, keyword)
    data.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.4.1")
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.NumberOfFrames = frames
    pixels = np.random.default_rng(3).integers(0, 900, (frames, side, side), dtype=np.uint16)
    data.PixelData = pixels.tobytes()
    timing, echo, measures, plane = Dataset(), Dataset(), Dataset(), Dataset()
    timing.RepetitionTime, timing.FlipAngle = 2300.0, 9.0
    echo.EffectiveEchoTime = 2.98
    measures.PixelSpacing, measures.SliceThickness = [1, 1], 1
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared = Dataset()
    shared.MRTimingAndRelatedParametersSequence = Sequence([timing])
    shared.MREchoSequence = Sequence([echo])
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([plane])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    items = []
    for number in range(frames):
        place, content, item = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [-10, -10, float(number)]
        content.DimensionIndexValues = [1, number + 1]
        content.InStackPositionNumber, content.StackID = number + 1, "1"
        item.PlanePositionSequence = Sequence([place])
        item.FrameContentSequence = Sequence([content])
        items.append(item)
    data.PerFrameFunctionalGroupsSequence = Sequence(items)
    return dicom_bytes(data)


def test_an_enhanced_file_of_many_frames_is_one_image(sent, scratch):
    (series,) = take([_enhanced()], sent=sent, scratch=scratch).series

    assert series.shape == (32, 32, 12)
    np.testing.assert_allclose(series.spacing_mm, 1.0, rtol=1e-5)
    assert series.acquisition.echo_time_ms == 2.98
    assert series.acquisition.repetition_time_ms == 2300.0


def test_a_data_set_nested_without_end_is_damaged_not_a_crash(sent, scratch):
    """3000 sequences inside each other, each of undefined length."""
    opening = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    start = dicom_series(1)[0]
    at = start.index(b"\x20\x00\x0d\x00UI")
    content = start[:at] + opening * 3000 + start[at:]

    assert "damaged" in refusal([content], sent=sent, scratch=scratch)


def test_a_header_that_never_ends_is_read_only_so_far(sent, scratch):
    start = dicom_series(1)[0]
    at = start.index(b"\x18\x00\x50\x00DS")
    stuffing = b"\x09\x00\x10\x10LO\x0e\x00padding for me" * 20_000
    content = start[:at] + stuffing + start[at:]

    sentence = refusal(
        [content], sent=sent, scratch=scratch, limits=Limits(max_header_bytes=100_000)
    )

    assert "damaged" in sentence


def test_headers_that_take_too_long_end_the_reading(sent, scratch):
    limits = Limits(max_header_seconds=-1.0)

    assert "takes too long" in refusal(
        dicom_series(8), sent=sent, scratch=scratch, limits=limits
    )


def test_a_converter_that_takes_too_long_is_killed_and_leaves_nothing(
    sent, scratch, monkeypatch, tmp_path
):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\necho CANARY > left_behind.nii\nexec sleep 60\n")
    slow.chmod(0o700)
    monkeypatch.setattr(convert.dcm2niix, "bin", str(slow))

    sentence = refusal(
        dicom_series(8), sent=sent, scratch=scratch, limits=Limits(converter_seconds=0.3)
    )

    assert "more than 0.3 seconds" in sentence


def test_a_converter_that_wants_too_much_memory_fails_alone(sent, scratch):
    sentence = refusal(
        dicom_series(8),
        sent=sent,
        scratch=scratch,
        limits=Limits(converter_memory_bytes=1 << 20),
    )

    assert "could not be converted" in sentence


def test_a_converter_that_crashes_half_way_is_not_believed(
    sent, scratch, monkeypatch, tmp_path
):
    whole = tmp_path / "whole.nii"
    whole.write_bytes(nifti_bytes())
    crash = tmp_path / "crash"
    crash.write_text(f"#!/bin/sh\n/bin/cp {whole} image.nii\nexit 1\n")
    crash.chmod(0o700)
    monkeypatch.setattr(convert.dcm2niix, "bin", str(crash))

    assert "could not be converted" in refusal(dicom_series(8), sent=sent, scratch=scratch)


def test_a_conversion_that_loses_slices_is_not_believed(sent, scratch, monkeypatch, tmp_path):
    """Sound in itself, but not the 32 x 32 x 8 voxels that the files hold."""
    other = tmp_path / "other.nii"
    other.write_bytes(nifti_bytes())
    loses = tmp_path / "loses"
    loses.write_text(f"#!/bin/sh\n/bin/cp {other} image.nii\n")
    loses.chmod(0o700)
    monkeypatch.setattr(convert.dcm2niix, "bin", str(loses))

    assert "no single volume" in refusal(dicom_series(8), sent=sent, scratch=scratch)


def test_two_echoes_in_one_series_give_two_images(sent, scratch):
    first = dicom_series(12, EchoTime="10", EchoNumbers=1)
    second = [
        dicom_bytes(
            dicom_slice(
                n, EchoTime="40", EchoNumbers=2, SOPInstanceUID=f"1.2.3.1.9.{n}",
                InstanceNumber=20 + n,
            )
        )
        for n in range(1, 13)
    ]  # fmt: skip

    found = take([*first, *second], sent=sent, scratch=scratch)

    assert [series.shape for series in found.series] == [(32, 32, 12)] * 2
    assert [series.acquisition.echo_time_ms for series in found.series] == [10.0, 40.0]
    assert len({series.series_hash for series in found.series}) == 2


def test_phase_beside_magnitude_is_left_out(sent, scratch):
    phase = [
        dicom_bytes(
            dicom_slice(
                n, ImageType=["ORIGINAL", "PRIMARY", "P", "ND"], SOPInstanceUID=f"1.2.3.1.9.{n}"
            )
        )
        for n in range(1, 13)
    ]  # fmt: skip

    found = take([*dicom_series(12), *phase], sent=sent, scratch=scratch)

    assert len(found.series) == 1
    assert found.series[0].acquisition.image_type == "ORIGINAL/PRIMARY/M/ND"
    assert "phase images" in found.skipped[0]


def test_a_converter_gets_no_shell_no_environment_and_limits(
    sent, scratch, monkeypatch, tmp_path
):
    spy = tmp_path / "spy"
    seen = tmp_path / "seen"
    spy.write_text(f'#!/bin/sh\nsleep 0.2\n(env; ulimit -v; ulimit -c; echo "$@") > {seen}\n')
    spy.chmod(0o700)
    monkeypatch.setattr(convert.dcm2niix, "bin", str(spy))
    monkeypatch.setenv("SECRET_KEY", "CANARY")

    refusal(dicom_series(8), sent=sent, scratch=scratch)

    said = seen.read_text()
    assert "CANARY" not in said
    assert str((4 << 30) // 1024) in said.splitlines()
    assert "-b n -z n -g i -f image" in said


def test_a_fault_of_our_own_also_leaves_nothing(sent, scratch, monkeypatch):
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("disk on fire")

    monkeypatch.setattr("volumetry.intake.session.nifti_clean", broken)

    with pytest.raises(RuntimeError):
        take(dicom_series(8), sent=sent, scratch=scratch)
    assert list(scratch.iterdir()) == []


def test_a_handover_that_fails_half_way_takes_back_what_it_moved(sent, scratch, monkeypatch):
    contents = [*dicom_series(8), *dicom_series(8, series="1.2.3.2")]
    moves: list[Path] = []
    rename = Path.rename

    def fails_the_second_time(self, target):
        moves.append(target)
        if len(moves) == 2:
            raise OSError("disk full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails_the_second_time)

    with pytest.raises(OSError, match="disk full"):
        take(contents, sent=sent, scratch=scratch)
    assert list(scratch.iterdir()) == []


def test_what_a_killed_process_left_is_swept_once_it_is_old(scratch):
    old, young = scratch / "draft" / "intake-old", scratch / "intake-young"
    clean = scratch / "x.nii.gz"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "000001").write_bytes(b"pixels")
    clean.write_bytes(b"")
    os.utime(old, (0, 0))

    assert scratch_sweep(scratch, older_than_seconds=3600) == 1
    assert {path.name for path in scratch.iterdir()} == {"draft", "intake-young", "x.nii.gz"}
    assert list((scratch / "draft").iterdir()) == []


def test_more_series_than_allowed_are_refused(sent, scratch):
    contents = [content for n in range(3) for content in dicom_series(5, series=f"1.2.{n}")]

    sentence = refusal(contents, sent=sent, scratch=scratch, limits=Limits(max_series=2))

    assert "more than 2 series" in sentence


def test_more_files_than_allowed_are_refused(sent, scratch):
    sentence = refusal(
        dicom_series(8), sent=sent, scratch=scratch, limits=Limits(max_entries=7)
    )

    assert "more than 7 files" in sentence


def test_claims_compare_and_never_show():
    assert SubjectClaims("F", 1981) == SubjectClaims("F", 1981)
    assert f"{SubjectClaims('F', 1981)}" == "SubjectClaims(hidden)"


def test_a_clean_image_opens_in_nibabel_without_a_warning(sent, scratch):
    (series,) = take(dicom_series(), sent=sent, scratch=scratch).series

    header = nib.load(series.path).header
    assert header["descrip"] == b""
    assert header.extensions == []


def test_a_file_meta_group_cut_in_the_middle_is_damaged(sent, scratch):
    content = bytes(128) + b"DICM\x02\x00\x10\x00UI\xff\x001.2.840"

    assert "damaged" in refusal([content], sent=sent, scratch=scratch)
