"""Nothing that names a person passes the door: a canary in every text field of a series."""

import functools
import gzip
import io
import logging
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom._dicom_dict import DicomDictionary
from pydicom.config import IGNORE
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence

from tests.volumetry.intake_files import (
    KEY,
    dicom_bytes,
    dicom_series,
    dicom_slice,
    file_at,
    files_at,
    zip_bytes,
)
from volumetry.intake.door import intake
from volumetry.intake.types import Intake, IntakeRefused

CANARY = "CANARYEVA"
CANARY_UID = "1.2.840.98765432123456789"
TEXT_VRS = ("PN", "LO", "SH", "LT", "ST", "UT", "UC", "CS", "AE", "UR")
DATE_VRS = {"DA": "19810203", "TM": "131415.161718", "DT": "19810203131415"}
# What makes the file a readable MR series; text in them would only make it unreadable.
STRUCTURAL = {
    "SpecificCharacterSet", "ImageType", "Modality", "PhotometricInterpretation",
    "BurnedInAnnotation", "PixelPresentation", "VolumetricProperties",
}  # fmt: skip


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "door"
    folder.mkdir()
    return folder


def seeded(dataset: Dataset) -> int:
    """Put a canary into every public text tag, a private group and a sequence; count them."""
    count = 0
    for tag, (vr, *_, keyword) in DicomDictionary.items():
        if vr not in TEXT_VRS or keyword in STRUCTURAL or tag >> 16 in {0, 2, 4} or not keyword:
            continue
        value = f"{CANARY}^{CANARY}" if vr == "PN" else CANARY
        dataset[tag] = DataElement(tag, vr, value, validation_mode=IGNORE)
        count += 1
    for keyword in ("PatientBirthDate", "StudyTime", "AcquisitionDateTime", "SeriesTime"):
        vr = {"PatientBirthDate": "DA", "AcquisitionDateTime": "DT"}.get(keyword, "TM")
        setattr(dataset, keyword, DATE_VRS[vr])
    block = dataset.private_block(0x0029, CANARY, create=True)
    block.add_new(0x10, "UT", CANARY)
    block.add_new(0x11, "OB", CANARY.encode() + b"1")
    inner = Dataset()
    inner.PatientComments = CANARY
    inner.add(DataElement(0x00291010, "LO", CANARY))
    dataset.RequestAttributesSequence = Sequence([inner])
    dataset.ReferencedImageSequence = Sequence([inner])
    return count


@functools.cache
def canary_series(count: int = 12) -> tuple[bytes, ...]:
    contents = []
    for number in range(1, count + 1):
        data = dicom_slice(number, series=CANARY_UID)
        assert seeded(data) > 700
        data.StudyInstanceUID = f"{CANARY_UID}.2"
        data.PatientID = CANARY
        contents.append(dicom_bytes(data))
    assert sum(content.count(CANARY.encode()) for content in contents) > 700 * count
    return tuple(contents)


def assert_no_canary(text: str | bytes) -> None:
    raw = text if isinstance(text, bytes) else text.encode()
    for canary in (CANARY, CANARY.lower(), CANARY_UID, *DATE_VRS.values(), "131415"):
        for encoding in ("utf-8", "utf-16-le"):
            assert canary.encode(encoding) not in raw


def check(found: Intake, *, scratch: Path) -> None:
    left = list(scratch.rglob("*"))
    assert sorted(left) == sorted(series.path for series in found.series)
    for path in left:
        assert_no_canary(path.name)
        assert_no_canary(path.read_bytes())
        assert_no_canary(gzip.decompress(path.read_bytes()))
    assert_no_canary(repr(found))


@pytest.mark.parametrize("packed", [False, True], ids=["loose files", "zip"])
def test_a_canary_in_every_text_tag_reaches_nothing(packed, tmp_path, scratch, caplog, capfd):
    contents = canary_series()
    if packed:
        entries = {f"{CANARY}/{n}.dcm": content for n, content in enumerate(contents)}
        files = [file_at(tmp_path, f"{CANARY}.zip", zip_bytes(entries))]
    else:
        files = [
            (f"{CANARY}_{n}.dcm", file_at(tmp_path, f"{n}", content)[1])
            for n, content in enumerate(contents)
        ]
    with caplog.at_level(logging.DEBUG):
        found = intake(files, scratch=scratch, key=KEY)

    check(found, scratch=scratch)
    printed = capfd.readouterr()
    assert_no_canary(printed.out + printed.err + caplog.text)
    (series,) = found.series
    assert series.acquisition.is_contrast_enhanced, "that there is an agent, not which"
    assert series.acquisition.manufacturer is None, "it held a part of the name"
    assert series.acquisition.station_hash is not None
    assert series.subject is not None
    assert series.subject.birth_year == 1981
    np.testing.assert_allclose(series.spacing_mm, 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda contents: contents[:4],
        lambda contents: [c for n, c in enumerate(contents) if n != 5],
        lambda contents: [*contents[:-1], contents[-1][:-1000]],
        lambda contents: [*contents, *dicom_series(6, PatientID=f"{CANARY}2")],
        lambda contents: [c.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0")
                          for c in contents],
    ],
    ids=["too few", "missing", "cut", "two patients", "wrong syntax"],
)  # fmt: skip
def test_a_refusal_says_nothing_of_the_person_and_leaves_nothing(
    break_it, tmp_path, scratch, caplog, capfd
):
    files = files_at(tmp_path, break_it(canary_series()))

    with caplog.at_level(logging.DEBUG), pytest.raises(IntakeRefused) as caught:
        intake(files, scratch=scratch, key=KEY)

    printed = capfd.readouterr()
    error: BaseException | None = caught.value
    while error is not None:
        assert_no_canary(f"{error!r} {error}")
        error = error.__cause__
    assert_no_canary(printed.out + printed.err + caplog.text)
    assert list(scratch.iterdir()) == []


def test_values_that_pydicom_complains_about_reach_no_log(tmp_path, scratch, caplog, capfd):
    """A wrong number, date or character set makes pydicom warn, quoting the value."""
    contents = []
    for number in range(1, 9):
        data = dicom_slice(number)
        data.SpecificCharacterSet = "ISO_IR 100"
        for keyword, vr in (
            ("RepetitionTime", "DS"),
            ("EchoTrainLength", "IS"),
            ("PatientAge", "AS"),
            ("StudyDate", "DA"),
        ):
            tag = tag_for_keyword(keyword)
            data[keyword] = DataElement(tag, vr, "12", validation_mode=IGNORE)
        content = dicom_bytes(data).replace(b"ISO_IR 100", b"CANARYEVA ")
        contents.append(content.replace(b"DS\x02\x0012", b"DS\x02\x00EV"))

    with caplog.at_level(logging.DEBUG):
        found = intake(files_at(tmp_path, contents), scratch=scratch, key=KEY)

    printed = capfd.readouterr()
    assert caplog.text == ""
    assert printed.out + printed.err == ""
    check(found, scratch=scratch)


def test_a_converter_that_writes_text_into_the_image_changes_nothing(tmp_path, scratch):
    """ImageComments went to aux_file and the time to descrip when last measured."""
    plain = intake(files_at(tmp_path, dicom_series(12)), scratch=scratch, key=KEY)
    commented = intake(
        files_at(tmp_path, dicom_series(12, ImageComments=CANARY, AcquisitionTime="131415")),
        scratch=scratch,
        key=KEY,
    )

    assert plain.series[0].sha256 == commented.series[0].sha256


def test_the_upload_itself_is_left_alone(tmp_path, scratch):
    files = files_at(tmp_path, dicom_series(8))
    before = [path.read_bytes() for _, path in files]

    intake(files, scratch=scratch, key=KEY)

    assert [path.read_bytes() for _, path in files] == before


def test_the_seeding_itself_would_be_noticed():
    """Guard of the guard: the check finds a canary in a raw file."""
    buffer = io.BytesIO(canary_series(1)[0])

    with pytest.raises(AssertionError):
        assert_no_canary(buffer.getvalue())
