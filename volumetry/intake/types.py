"""The words of the door: what may come in, what was recognised, what is refused."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path

from volumetry.core.errors import VolumetryError

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30


class IntakeRefused(VolumetryError):
    """The upload cannot be taken; ``str(error)`` says what is wrong and what to do.

    The sentence never quotes a file name, a path or anything read from a header.
    """


@dataclass(frozen=True, slots=True)
class Limits:
    """What an upload may weigh; every number stands in docs/intake.md (tested equal)."""

    max_upload_bytes: int = 512 * MEBIBYTE  # all files of one upload, as sent
    max_unpacked_bytes: int = 2 * GIBIBYTE  # what they unpack to, counted while reading
    max_entries: int = 20_000  # files of one upload or entries of one archive
    max_directory_bytes: int = 8 * MEBIBYTE  # an archive's own table of contents
    max_header_bytes: int = 8 * MEBIBYTE  # a DICOM file's text before its pixels
    max_header_seconds: float = 120.0  # reading all DICOM headers of one upload
    max_series: int = 40  # series taken from one upload
    max_side: int = 1024  # voxels along one axis
    max_voxels: int = 512 * 1024 * 1024
    min_slices: int = 5  # voxels along the shortest axis
    min_side: int = 16  # voxels along the two other axes
    converter_seconds: float = 120.0  # one series
    converter_memory_bytes: int = 4 * GIBIBYTE  # address space of the converter


class SequenceClass(StrEnum):
    """What an MR series is weighted for; ``UNKNOWN`` where nothing tells."""

    T1 = "t1"
    T2 = "t2"
    T2S = "t2s"
    FLAIR = "flair"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, repr=False)
class SubjectClaims:
    """What the files say of the person, to be compared with the record and dropped.

    Held in memory only; its ``repr`` shows nothing, so that no log can hold it.
    """

    sex: str | None = None  # "M", "F" or "O"
    birth_year: int | None = None
    study_date: date | None = None

    def __repr__(self) -> str:
        return "SubjectClaims(hidden)"


@dataclass(frozen=True, slots=True)
class AcquisitionFacts:
    """How the scanner made the images: an allow-list, each value checked.

    Free text matches ``[A-Za-z0-9 ._/-]{1,64}`` and holds no part of the patient's name or
    number; terms that DICOM enumerates are kept only when DICOM defines them. Times are in
    milliseconds, lengths in millimetres, the angle in degrees.
    """

    manufacturer: str | None = None
    model: str | None = None
    field_strength_tesla: float | None = None
    software: str | None = None
    coil: str | None = None
    acquisition_type: str | None = None  # "2D" or "3D"
    scanning_sequence: str | None = None
    sequence_variant: str | None = None
    scan_options: str | None = None
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    inversion_time_ms: float | None = None
    flip_angle_deg: float | None = None
    echo_train_length: int | None = None
    averages: float | None = None
    pixel_bandwidth_hz: float | None = None
    parallel_factor: float | None = None
    slice_thickness_mm: float | None = None
    slice_distance_mm: float | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    rows: int | None = None
    columns: int | None = None
    acquisition_matrix: tuple[int, ...] | None = None
    patient_position: str | None = None
    image_type: str | None = None
    is_contrast_enhanced: bool = False
    serial_hash: str | None = None  # "the same scanner?", without naming it
    station_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """What an image may show, judged by its geometry and the words beside it."""

    may_hold_brain: bool
    may_hold_cord: bool
    why: str


@dataclass(frozen=True, slots=True)
class RecognisedSeries:
    """One clean image in the scratch folder and what is known of it.

    Attributes
    ----------
    path : Path
        The rewritten ``.nii.gz``: random name, no text field, no extension, no gzip name.
    sha256 : str
        Hash of exactly these bytes; the same images give the same hash again.
    shape, spacing_mm, axcodes : tuple
        The voxel grid as stored: sides, voxel size in mm, and where each axis points
        (as nibabel writes it: ``("L", "A", "S")``).
    field_of_view_mm : tuple of float
        Extent in mm from right to left, back to front, and foot to head.
    sequence, sequence_basis
        The class, and what decided it: ``timing``, ``series name``, ``file name``, ``nothing``.
    series_hash : str or None
        Keyed hash of the DICOM instances, for finding a series that is already held.
    sentences : tuple of str
        Remarks in words for the page.
    subject : SubjectClaims or None
        None for NIfTI, which says nothing of the person.
    """

    path: Path
    sha256: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    axcodes: tuple[str, str, str]
    field_of_view_mm: tuple[float, float, float]
    sequence: SequenceClass
    sequence_basis: str
    coverage: Coverage
    acquisition: AcquisitionFacts
    series_hash: str | None
    sentences: tuple[str, ...]
    subject: SubjectClaims | None = field(default=None, repr=False)

    @property
    def may_hold_brain(self) -> bool:
        """Whether a whole brain fits into the image."""
        return self.coverage.may_hold_brain

    @property
    def may_hold_cord(self) -> bool:
        """Whether the upper cervical cord may be measured on the image."""
        return self.coverage.may_hold_cord


@dataclass(frozen=True, slots=True)
class Intake:
    """Everything one upload held: the series taken and, in words, what was left out."""

    series: tuple[RecognisedSeries, ...]
    skipped: tuple[str, ...] = ()
