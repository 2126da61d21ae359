"""What may stay of a DICOM header, and in which form.

An allow-list (docs/intake.md), read from raw bytes: values outside it are never decoded.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import date

from volumetry.intake.types import AcquisitionFacts, SubjectClaims

SAFE_TEXT = re.compile(r"[A-Za-z0-9 ._/-]{1,64}")
# One letter names nobody, but would strike out every model name.
SHORTEST_TOKEN = 2
MINIMUM_KEY_BYTES = 16

# Tags whose parts must not occur in any text that is kept.
NAMING_TAGS = (
    "PatientName",
    "PatientID",
    "OtherPatientNames",
    "OtherPatientIDs",
    "PatientBirthName",
    "PatientMotherBirthName",
    "PatientBirthDate",
    "AccessionNumber",
)

# Terms that DICOM PS3.3 (C.7.6.1.1.2, C.8.3.1.1, C.7.3.1.1.2) and the vendors define; others
# may be anything a person typed.
SCANNING_SEQUENCES = frozenset({"SE", "IR", "GR", "EP", "RM"})
SEQUENCE_VARIANTS = frozenset({"SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "NONE"})
SCAN_OPTIONS = frozenset(
    [
        "PER",
        "RG",
        "CG",
        "PPG",
        "FC",
        "PFF",
        "PFP",
        "SP",
        "FS",
        "IR",
        "WE",
        "FAST_GEMS",
        "ACC_GEMS",
        "EDR_GEMS",
        "FILTERED_GEMS",
        "SAT1",
        "SAT2",
        "DB",
        "MT",
    ]
)
PATIENT_POSITIONS = frozenset(["HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS"])
IMAGE_TYPES = frozenset(
    [
        "ORIGINAL",
        "DERIVED",
        "PRIMARY",
        "SECONDARY",
        "OTHER",
        "M",
        "P",
        "R",
        "I",
        "FFE",
        "SE",
        "IR",
        "ND",
        "NORM",
        "DIS2D",
        "DIS3D",
        "MFSPLIT",
        "MPR",
        "FM",
        "FS",
        "MAGNITUDE",
        "PHASE",
        "MAP",
        "VOLUME",
        "NONE",
        "T1",
        "T2",
        "T2_STAR",
        "PROTON_DENSITY",
        "FLUID_ATTENUATED",
        "STIR",
        "UNI",
        "INV1",
        "INV2",
        "DIXON",
        "WATER",
        "FAT",
        "IN_PHASE",
        "OPP_PHASE",
    ]
)


def keyed_hash(key: bytes, purpose: str, *parts: str) -> str:
    """Return an HMAC-SHA-256 that tells equality without telling the value."""
    message = "\0".join((purpose, *parts)).encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def naming_tokens(headers: Iterable[Mapping[str, str]]) -> frozenset[str]:
    """Return the parts of everything that names the person, in lower case."""
    texts = {header[tag] for header in headers for tag in NAMING_TAGS if tag in header}
    tokens = {token for text in texts for token in re.split(r"[^a-z0-9]+", text.lower())}
    return frozenset(token for token in tokens if len(token) >= SHORTEST_TOKEN)


def safe_text(value: str | None, *, tokens: frozenset[str]) -> str | None:
    """Return the text if its letters are harmless and no naming token is in it."""
    text = (value or "").replace("\\", "/")  # DICOM's mark between several values
    if not SAFE_TEXT.fullmatch(text) or any(token in text.lower() for token in tokens):
        return None
    return text


def acquisition_facts(
    header: Mapping[str, str], *, tokens: frozenset[str], key: bytes
) -> AcquisitionFacts:
    """Reduce a header to the facts that may be stored."""
    spacing = _numbers(header.get("PixelSpacing"))
    matrix = _numbers(header.get("AcquisitionMatrix"))

    def text(tag: str) -> str | None:
        return safe_text(header.get(tag), tokens=tokens)

    def terms(tag: str, known: frozenset[str]) -> str | None:
        return _known_terms(header.get(tag), known)

    def hashed(tag: str) -> str | None:
        value = header.get(tag)
        return keyed_hash(key, tag, value) if value else None

    return AcquisitionFacts(
        manufacturer=text("Manufacturer"),
        model=text("ManufacturerModelName"),
        field_strength_tesla=number(header.get("MagneticFieldStrength")),
        software=text("SoftwareVersions"),
        coil=text("ReceiveCoilName"),
        acquisition_type=terms("MRAcquisitionType", frozenset({"2D", "3D"})),
        scanning_sequence=terms("ScanningSequence", SCANNING_SEQUENCES),
        sequence_variant=terms("SequenceVariant", SEQUENCE_VARIANTS),
        scan_options=terms("ScanOptions", SCAN_OPTIONS),
        repetition_time_ms=number(header.get("RepetitionTime")),
        echo_time_ms=number(header.get("EchoTime") or header.get("EffectiveEchoTime")),
        inversion_time_ms=number(header.get("InversionTime")),
        flip_angle_deg=number(header.get("FlipAngle")),
        echo_train_length=_whole(header.get("EchoTrainLength")),
        averages=number(header.get("NumberOfAverages")),
        pixel_bandwidth_hz=number(header.get("PixelBandwidth")),
        parallel_factor=number(header.get("ParallelReductionFactorInPlane")),
        slice_thickness_mm=number(header.get("SliceThickness")),
        slice_distance_mm=number(header.get("SpacingBetweenSlices")),
        pixel_spacing_mm=(spacing[0], spacing[1]) if len(spacing) == 2 else None,
        rows=_whole(header.get("Rows")),
        columns=_whole(header.get("Columns")),
        acquisition_matrix=tuple(int(n) for n in matrix) or None,
        patient_position=terms("PatientPosition", PATIENT_POSITIONS),
        image_type=terms("ImageType", IMAGE_TYPES),
        is_contrast_enhanced=bool(header.get("ContrastBolusAgent")),
        serial_hash=hashed("DeviceSerialNumber"),
        station_hash=hashed("StationName"),
    )


def subject_claims(header: Mapping[str, str]) -> SubjectClaims:
    """Return sex, year of birth and study date, for comparison in memory.

    Anonymised files often carry a made-up birth date beside the true age. Where the two
    disagree by more than a year, the year of birth is unknown rather than guessed.
    """
    sex = header.get("PatientSex", "").upper()
    study_date = _date(header.get("StudyDate"))
    born = _date(header.get("PatientBirthDate"))
    by_age = None
    age = re.fullmatch(r"0*(\d{1,3})Y?", header.get("PatientAge", "").upper())
    if age and study_date:
        by_age = study_date.year - int(age.group(1))
    birth_year = born.year if born else by_age
    if born and by_age is not None and abs(born.year - by_age) > 1:
        birth_year = None
    return SubjectClaims(sex if sex in {"M", "F", "O"} else None, birth_year, study_date)


def number(value: str | None) -> float | None:
    """Return the first number of a DICOM text, or None."""
    found = _numbers(value)
    return found[0] if found else None


def _numbers(value: str | None) -> list[float]:
    try:
        found = [float(part) for part in (value or "").split("\\") if part.strip()]
    except ValueError:
        return []
    return found if all(abs(n) < 1e9 for n in found) else []  # also drops NaN and infinity


def _whole(value: str | None) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def _known_terms(value: str | None, known: frozenset[str]) -> str | None:
    terms = [term.strip() for term in (value or "").upper().split("\\")]
    kept = [term for term in terms if term in known]
    return "/".join(kept)[:64] or None


def _date(value: str | None) -> date | None:
    if not value or not re.fullmatch(r"\d{8}", value):
        return None
    try:
        return date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return None
