"""Read DICOM headers: only what the allow-list names, never the pixels.

Values are taken as raw bytes and decoded here. pydicom's own conversion would warn, with the
offending value inside the warning; what it still says while reading is silenced.
"""

import io
import logging
import math
import struct
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.sequence import Sequence

from volumetry.intake.deidentify import NAMING_TAGS, number
from volumetry.intake.types import IntakeRefused, Limits

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"

ALLOWED_SYNTAXES = frozenset(
    f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".4.57", ".4.70", ".4.80", ".4.90", ".5")
)
# JPEG baseline and extended, JPEG-LS near-lossless, JPEG 2000, MPEG and HEVC families.
LOSSY_SYNTAXES = ("4.50", "4.51", "4.81", "4.91", "4.93", "4.10", "4.20")
DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.8.1")
BIG_ENDIAN = "1.2.840.10008.1.2.2"
UNCOMPRESSED = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"})
MEDIA_SOP_CLASS, TRANSFER_SYNTAX = 0x0002, 0x0010  # elements of group 2
PIXEL_TAGS = {b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00", b"\xe0\x7f\x10\x00"}
SEQUENCE_END = b"\xfe\xff\xdd\xe0"  # closes compressed pixels; only padding may follow
TAIL_BYTES = 1 << 16

# What a file without MR pixels is, in the clinic's words, by the start of its SOP class.
OTHER_KINDS = (
    ("1.2.840.10008.5.1.4.1.1.88.", "report"),
    ("1.2.840.10008.5.1.4.1.1.11.", "presentation state"),
    ("1.2.840.10008.5.1.4.1.1.7", "screen capture"),
    ("1.2.840.10008.5.1.4.1.1.104.", "document"),
    ("1.2.840.10008.1.3.10", "directory"),
    ("1.2.840.10008.5.1.4.1.1.4.2", "spectroscopy file"),
    ("1.2.840.10008.5.1.4.1.1.66", "segmentation or registration"),
    ("1.2.840.10008.5.1.4.1.1.2", "CT image"),
    ("1.2.840.10008.5.1.4.1.1.6", "ultrasound image"),
    ("1.2.840.10008.5.1.4.1.1.3.", "ultrasound image"),
    ("1.2.840.10008.5.1.4.1.1.128", "PET image"),
    ("1.2.840.10008.5.1.4.1.1.1", "X-ray image"),
)

KEPT_TAGS = (
    "Manufacturer", "ManufacturerModelName", "MagneticFieldStrength", "SoftwareVersions",
    "ReceiveCoilName", "MRAcquisitionType", "ScanningSequence", "SequenceVariant",
    "ScanOptions", "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle",
    "EchoTrainLength", "NumberOfAverages", "PixelBandwidth", "ParallelReductionFactorInPlane",
    "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "Rows", "Columns",
    "AcquisitionMatrix", "PatientPosition", "ImageType",
)  # fmt: skip
# Read to decide, hash or compare; never stored as they are.
DECIDING_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "BurnedInAnnotation",
    "NumberOfFrames", "BitsAllocated", "SamplesPerPixel",
    "ImageOrientationPatient", "ImagePositionPatient", "ContrastBolusAgent",
    "DeviceSerialNumber", "StationName", "StudyDate", "PatientSex", "PatientAge",
    "SeriesDescription", "ProtocolName", "BodyPartExamined",
)  # fmt: skip
# Enhanced MR keeps these one or two sequences deep; the first value found counts.
NESTED_TAGS = (
    "RepetitionTime", "FlipAngle", "EchoTrainLength", "EffectiveEchoTime", "PixelSpacing",
    "SliceThickness", "SpacingBetweenSlices", "PixelBandwidth", "ReceiveCoilName",
    "ParallelReductionFactorInPlane", "NumberOfAverages",
)  # fmt: skip
GROUP_SEQUENCES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

TEXT_TAGS = (*KEPT_TAGS, *DECIDING_TAGS, *NAMING_TAGS)
WANTED_TAGS = [tag for tag in map(tag_for_keyword, (*TEXT_TAGS, *GROUP_SEQUENCES)) if tag]

# Everything pydicom was seen to raise on broken files; reading is from memory, so that a
# failing disk (OSError of the file itself) is not among them.
DICOM_FAULTS = (
    InvalidDicomError, BytesLengthException, EOFError, ValueError, TypeError, LookupError,
    AttributeError, NotImplementedError, OverflowError, RecursionError, OSError, struct.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class DicomFile:
    """A file on disk and the header values that may be looked at (in memory only)."""

    path: Path
    sop_class: str
    syntax: str
    header: Mapping[str, str]

    @property
    def is_mr_image(self) -> bool:
        """Whether it is an MR image, classic or enhanced."""
        return self.sop_class in {MR_IMAGE, ENHANCED_MR}

    @property
    def kind(self) -> str:
        """What it is instead, in words."""
        for start, word in OTHER_KINDS:
            if self.sop_class.startswith(start):
                return word
        return "other DICOM object"


def _nothing_passes(_record: logging.LogRecord) -> bool:
    return False


# pydicom writes every warning into its log as well. A filter outlives later log configuration.
logging.getLogger("pydicom").addFilter(_nothing_passes)


class DamagedDicom(Exception):
    """The file begins as DICOM but cannot be read."""


def is_dicom(start: bytes) -> bool:
    """Say whether the first bytes of a file are those of DICOM."""
    return start[128:132] == b"DICM"


def dicom_read(path: Path, *, limits: Limits) -> DicomFile:
    """Read the allow-listed header values of one file.

    Raises
    ------
    DamagedDicom
        If the header cannot be read within ``limits.max_header_bytes``.
    """
    with path.open("rb") as source:
        block = source.read(limits.max_header_bytes)
    meta = _meta_read(block)
    syntax = meta.get(TRANSFER_SYNTAX, "")
    sop_class = meta.get(MEDIA_SOP_CLASS, "")
    if syntax not in ALLOWED_SYNTAXES:  # a deflated data set would unpack without bound
        return DicomFile(path, sop_class, syntax, {})
    buffer = io.BytesIO(block)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # their text quotes header values
            dataset = dcmread(buffer, stop_before_pixels=True, specific_tags=list(WANTED_TAGS))
            header = _header_values(dataset)
    except DICOM_FAULTS:
        raise DamagedDicom from None
    file = DicomFile(path, header.get("SOPClassUID", sop_class), syntax, header)
    if file.is_mr_image and not _has_all_pixels(file, pixels_at=buffer.tell(), block=block):
        raise DamagedDicom
    return file


def _has_all_pixels(file: DicomFile, *, pixels_at: int, block: bytes) -> bool:
    """Say whether the pixels that the header promises follow it.

    The converter fills what is missing with whatever it has, so a cut file must end here.
    """
    if block[pixels_at : pixels_at + 4] not in PIXEL_TAGS:
        return False
    size = file.path.stat().st_size
    if file.syntax in UNCOMPRESSED:
        tags = ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames")
        counts = [number(file.header.get(tag)) or 1.0 for tag in tags]
        return size - pixels_at >= 8 + math.prod(counts) / 8
    with file.path.open("rb") as source:
        source.seek(max(pixels_at, size - TAIL_BYTES))
        return SEQUENCE_END in source.read()


def syntax_refusal(syntax: str) -> str:
    """Say why pixels in this transfer syntax are not taken, and what to do."""
    if syntax in DEFLATED:
        return (
            "The DICOM files are compressed as a whole (deflated). "
            "Export them uncompressed or with lossless JPEG."
        )
    if syntax == BIG_ENDIAN:
        return "The DICOM files are in big endian byte order. Export them in little endian."
    if any(syntax.startswith(f"1.2.840.10008.1.2.{end}") for end in LOSSY_SYNTAXES):
        return (
            "The images are compressed with loss, which changes measured volumes. "
            "Export the originals, uncompressed or with lossless compression."
        )
    return (
        "The images are encoded in a way that is not supported. "
        "Export them uncompressed (explicit little endian)."
    )


def _meta_read(block: bytes) -> dict[int, str]:
    """Return the file meta group by element number.

    Read by hand, because the transfer syntax must be known before pydicom may touch the rest:
    it inflates deflated files while reading. PS3.10, 7.1: always explicit little endian.
    """
    found: dict[int, str] = {}
    at = 132
    while at + 8 <= len(block):
        group, element, vr, size = struct.unpack_from("<HH2sH", block, at)
        if group != 2:
            break
        at += 8
        if vr in {b"OB", b"UN", b"UT"}:
            if at + 4 > len(block):
                break
            (size,) = struct.unpack_from("<I", block, at)
            at += 4
        if at + size > len(block):
            raise DamagedDicom
        if vr == b"UI":
            found[element] = block[at : at + size].decode("latin-1").strip("\0 ")
        at += size
    return found


def _header_values(dataset: Dataset) -> dict[str, str]:
    header = {
        keyword: value
        for keyword in TEXT_TAGS
        if (value := _value(dataset, keyword)) is not None
    }
    for sequence in GROUP_SEQUENCES:
        group = _first_item(dataset, sequence)
        if group is None:
            continue
        for inner in [group, *_first_items(group)]:
            for keyword in NESTED_TAGS:
                value = _value(inner, keyword)
                if value is not None:
                    header.setdefault(keyword, value)
    return header


def _first_items(dataset: Dataset) -> list[Dataset]:
    tags = list(dataset.keys())  # a Dataset itself iterates over converted elements
    items = [_item(dataset, tag) for tag in tags]
    return [item for item in items if item is not None]


def _first_item(dataset: Dataset, keyword: str) -> Dataset | None:
    tag = tag_for_keyword(keyword)
    return None if tag is None or tag not in dataset else _item(dataset, tag)


def _item(dataset: Dataset, tag: int) -> Dataset | None:
    element = dataset.get_item(tag)
    if element is None or element.VR not in {"SQ", None}:
        return None
    value = dataset[tag].value if isinstance(element, RawDataElement) else element.value
    return value[0] if isinstance(value, Sequence) and len(value) else None


def _value(dataset: Dataset, keyword: str) -> str | None:
    """Return a value as text, parts separated by a backslash; None if absent or empty."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in dataset:
        return None
    element = dataset.get_item(tag)
    raw = element.value if isinstance(element, RawDataElement | DataElement) else None
    if not isinstance(raw, bytes):
        return None
    binary = {"US": "H", "FD": "d"}.get(dictionary_VR(tag))
    if binary is None:
        text = raw.decode("latin-1").replace("\0", " ")
        return sys.intern("\\".join(part.strip() for part in text.split("\\"))) or None
    count = len(raw) // struct.calcsize(binary)
    numbers = struct.unpack_from(f"<{count}{binary}", raw)
    return sys.intern("\\".join(f"{n:.10g}" for n in numbers)) or None


def patients_check(files: list[DicomFile]) -> None:
    """Refuse an upload that holds two people, naming neither.

    Raises
    ------
    IntakeRefused
        If two patient numbers (or, without any number, two names) occur.
    """
    for tag in ("PatientID", "PatientName"):
        found = {" ".join(f.header[tag].lower().split("^")) for f in files if tag in f.header}
        if len(found) > 1:
            raise IntakeRefused(
                "The files belong to more than one patient. Upload one patient at a time."
            )
        if found:
            return
