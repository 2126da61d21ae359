"""Sort DICOM files into series and tell which of them can be a volume."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from volumetry.intake.deidentify import number
from volumetry.intake.dicom import (
    ALLOWED_SYNTAXES,
    ENHANCED_MR,
    DicomFile,
    syntax_refusal,
)
from volumetry.intake.types import Limits
from volumetry.intake.words import counted, was

LOCALIZER_WORDS = ("localizer", "localiser", "scout", "survey", "3-plane", "3 plane")
PHASE_TERMS = {"P", "R", "I", "PHASE", "REAL", "IMAGINARY", "PHASE MAP"}
PROJECTIONS = ("PROJECTION IMAGE", "MIP", "LOCALIZER")
SAME_DIRECTION = 1e-3  # difference of direction cosines, 0.06 degrees
SAME_PLACE_MM = 0.01
# Positions are stored with 3 or more decimals; a tenth of a slice is far above rounding.
GAP_TOLERANCE = 0.1


@dataclass(frozen=True, slots=True, repr=False)
class SeriesFiles:
    """The files of one series, in memory only."""

    files: tuple[DicomFile, ...]

    @property
    def first(self) -> DicomFile:
        """The file that stands for the series."""
        return self.files[0]

    @property
    def words(self) -> str:
        """What people call the series; never stored."""
        tags = ("SeriesDescription", "ProtocolName", "BodyPartExamined")
        return " ".join(self.first.header.get(tag, "") for tag in tags)


def series_group(files: Sequence[DicomFile]) -> tuple[list[SeriesFiles], int]:
    """Group MR images by series; also return how many files were there twice."""
    seen: set[str] = set()
    groups: dict[str, list[DicomFile]] = defaultdict(list)
    for file in files:
        instance = file.header.get("SOPInstanceUID", "")
        if instance and instance in seen:
            continue
        seen.add(instance or str(file.path))
        groups[file.header.get("SeriesInstanceUID", "")].append(file)
    # by instance, so that the order of the upload changes nothing
    ordered = [
        SeriesFiles(tuple(sorted(part, key=lambda f: f.header.get("SOPInstanceUID", ""))))
        for _, group in sorted(groups.items())
        for part in _parts(group)
    ]
    return ordered, len(files) - sum(len(series.files) for series in ordered)


def _parts(files: list[DicomFile]) -> list[list[DicomFile]]:
    """Separate echoes, and phase from magnitude, that share one series.

    Only where places repeat: some scanners let the echo time of a plain series jitter.
    """
    places = {_text(file, "ImagePositionPatient", "ImageOrientationPatient") for file in files}
    if len(places) == len(files):
        return [files]
    parts: dict[tuple[str, ...], list[DicomFile]] = defaultdict(list)
    for file in files:
        parts[_text(file, "EchoTime", "ImageType")].append(file)
    if len({len(part) for part in parts.values()}) > 1:
        return [files]  # one part is incomplete, which the geometry check then says
    return [part for _, part in sorted(parts.items())]


def _text(file: DicomFile, *tags: str) -> tuple[str, ...]:
    return tuple(file.header.get(tag, "") for tag in tags)


def is_phase(series: SeriesFiles) -> bool:
    """Say whether the images hold phase, real or imaginary parts instead of magnitude."""
    image_type = series.first.header.get("ImageType", "").upper().split("\\")
    return bool(PHASE_TERMS & set(image_type[2:])) and "M" not in image_type[2:]


def is_localizer(series: SeriesFiles) -> bool:
    """Say whether a series only plans others, or is a projection of one."""
    image_type = series.first.header.get("ImageType", "").upper().split("\\")
    if any(word in image_type for word in PROJECTIONS):
        return True
    return any(word in series.words.lower() for word in LOCALIZER_WORDS)


def series_obstacle(series: SeriesFiles, *, limits: Limits) -> str | None:
    """Say in a sentence why a series cannot be a volume, or return None."""
    syntaxes = Counter(file.syntax for file in series.files)
    for syntax in sorted(syntaxes):
        if syntax not in ALLOWED_SYNTAXES:
            return syntax_refusal(syntax)
    if is_phase(series):
        return (
            "A series holds phase images, on which no volume is measured. "
            "Upload the magnitude images."
        )
    if series.first.sop_class == ENHANCED_MR:
        return None  # its geometry lies frame by frame; the converter and the gate judge it
    count = len(series.files)
    if count < limits.min_slices:
        return (
            f"A series has only {count} image{'' if count == 1 else 's'}; a volume needs at "
            f"least {limits.min_slices}. Upload the whole series."
        )
    return _geometry_obstacle(series, limits=limits)


def series_sides(series: SeriesFiles) -> list[int] | None:
    """Return the sides, sorted, that the series' volume must have; None for Enhanced MR."""
    if series.first.sop_class == ENHANCED_MR:
        return None
    plane = [int(number(series.first.header.get(tag)) or 0) for tag in ("Rows", "Columns")]
    return sorted([*plane, len(_slice_places(series)[0])])


def _slice_places(series: SeriesFiles) -> tuple[np.ndarray, list[int]]:
    """Return the distinct positions along the normal, mm, and how many images each has."""
    direction = np.array(_vector(series.first, "ImageOrientationPatient", 6))
    positions = [_vector(file, "ImagePositionPatient", 3) for file in series.files]
    normal = np.cross(direction[:3], direction[3:])
    ordered = np.sort(np.array(positions, dtype=np.float64) @ normal)
    breaks = np.flatnonzero(np.diff(ordered) > SAME_PLACE_MM) + 1
    parts = np.split(ordered, breaks)
    return np.array([part.mean() for part in parts]), [len(part) for part in parts]


def _geometry_obstacle(series: SeriesFiles, *, limits: Limits) -> str | None:
    directions = [_vector(file, "ImageOrientationPatient", 6) for file in series.files]
    positions = [_vector(file, "ImagePositionPatient", 3) for file in series.files]
    if any(v is None for v in directions) or any(v is None for v in positions):
        return (
            "A series does not say where its images lie in the body. "
            "Export the original series from the scanner or archive."
        )
    stacked = np.array(directions, dtype=np.float64)
    if float(np.ptp(stacked, axis=0).max()) > SAME_DIRECTION:
        return (
            "A series holds images in several directions (a localizer). "
            "Upload one that runs in one direction."
        )
    places, repeats = _slice_places(series)
    if len(places) < limits.min_slices:
        return (
            f"A series has only {len(places)} slices; a volume needs at least "
            f"{limits.min_slices}. Upload the whole series."
        )
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    if len(set(repeats)) > 1:
        return (
            "A series is incomplete: some of its slices are missing. "
            "Export the whole series again."
        )
    steps = gaps / usual
    missing = int(np.sum(np.round(steps[steps > 1.5]) - 1))
    if missing:
        return (
            f"A series is incomplete: {counted(missing, 'slice')} {was(missing, 'is', 'are')} "
            "missing in between. Export the whole series again."
        )
    if float(np.abs(steps - 1).max()) > GAP_TOLERANCE:
        return (
            "A series has slices at uneven distances, so no volume can be measured on it. "
            "Export the original series."
        )
    return None


def _vector(file: DicomFile, tag: str, length: int) -> list[float] | None:
    parts = [number(part) for part in file.header.get(tag, "").split("\\")]
    found = [part for part in parts if part is not None]
    return found if len(found) == length else None
