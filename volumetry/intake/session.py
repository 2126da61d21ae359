"""Take a DICOM session in: sort it into series, convert each, say what was left out."""

import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from volumetry.intake.convert import series_convert
from volumetry.intake.deidentify import (
    acquisition_facts,
    keyed_hash,
    naming_tokens,
    subject_claims,
)
from volumetry.intake.dicom import DamagedDicom, DicomFile, dicom_read, patients_check
from volumetry.intake.nifti import nifti_clean
from volumetry.intake.recognise import sequence_guess, series_recognised
from volumetry.intake.series import (
    SeriesFiles,
    is_localizer,
    series_group,
    series_obstacle,
    series_sides,
)
from volumetry.intake.types import Intake, IntakeRefused, Limits, RecognisedSeries
from volumetry.intake.words import counted, listed, was

SPLIT = (
    "A series mixes several acquisitions, so it gives no single volume. "
    "Convert it to NIfTI yourself and upload the image that you need."
)
LOCALIZER = (
    "A series only plans the others or is a projection of one (localizer, MIP). "
    "Upload the series made of slices."
)


@dataclass(frozen=True, slots=True)
class Visit:
    """What every step of one upload needs."""

    work: Path
    key: bytes = field(repr=False)
    limits: Limits


def session_take(paths: Sequence[Path], visit: Visit) -> Intake:
    """Sort DICOM files into series and convert each that can be a volume."""
    files = _headers_read(paths, limits=visit.limits)
    patients_check(files)
    images = [file for file in files if file.is_mr_image]
    kinds = Counter(file.kind for file in files if not file.is_mr_image)
    if any(file.header.get("BurnedInAnnotation", "").upper() == "YES" for file in images):
        raise IntakeRefused(
            "The images have text burned into them, which may name the patient. "
            "Upload the original series."
        )
    if not images:
        raise IntakeRefused(
            f"The upload holds no MR images, only {listed(kinds)}. Upload the MR series."
        )
    groups, twice = series_group(images)
    if len(groups) > visit.limits.max_series:
        raise IntakeRefused(
            f"The upload holds more than {visit.limits.max_series} series. "
            "Upload fewer at once."
        )
    tokens = naming_tokens([file.header for file in files])
    taken: list[RecognisedSeries] = []
    reasons: list[str] = []
    for number, series in enumerate(groups):
        if is_localizer(series):
            reasons.append(LOCALIZER)
            continue
        try:
            taken += _series_take(series, number=number, tokens=tokens, visit=visit)
        except IntakeRefused as refusal:
            reasons.append(str(refusal))
    if not taken:
        # the commonest reason that is not "it only plans the others"
        told = [reason for reason in reasons if reason != LOCALIZER] or reasons
        raise IntakeRefused(Counter(told).most_common(1)[0][0])
    skipped = [
        f"{counted(n, 'series')} {was(n)} left out. {reason}"
        for reason, n in Counter(reasons).items()
    ]
    if kinds:
        skipped.append(f"{listed(kinds)} {was(sum(kinds.values()))} left out.")
    if twice:
        skipped.append(f"{counted(twice, 'image')} {was(twice)} in the upload twice.")
    return Intake(tuple(taken), tuple(skipped))


def _headers_read(paths: Sequence[Path], *, limits: Limits) -> list[DicomFile]:
    deadline = time.monotonic() + limits.max_header_seconds
    files: list[DicomFile] = []
    damaged = 0
    for path in paths:
        if time.monotonic() > deadline:
            raise IntakeRefused(
                "Reading the DICOM files takes too long. Upload fewer series at once."
            )
        try:
            files.append(dicom_read(path, limits=limits))
        except DamagedDicom:
            damaged += 1
    if damaged:
        raise IntakeRefused(
            f"Of {counted(len(paths), 'DICOM file')} {damaged} {was(damaged, 'is', 'are')} "
            "damaged or cut off. Export the session again."
        )
    return files


def _series_take(
    series: SeriesFiles, *, number: int, tokens: frozenset[str], visit: Visit
) -> list[RecognisedSeries]:
    """Convert one series and pass what comes out through the gate."""
    obstacle = series_obstacle(series, limits=visit.limits)
    if obstacle:
        raise IntakeRefused(obstacle)
    source = visit.work / f"series-{number}"
    target = visit.work / f"converted-{number}"
    source.mkdir()
    target.mkdir()
    for place, file in enumerate(series.files):
        (source / f"{place:06d}.dcm").symlink_to(file.path.resolve())
    try:
        images = series_convert(
            source, target, limits=visit.limits, max_bytes=visit.limits.max_unpacked_bytes
        )
        return [
            _series_recognised(image, series, part=part, tokens=tokens, visit=visit)
            for part, image in enumerate(images)
        ]
    finally:
        shutil.rmtree(source)
        shutil.rmtree(target)


def _series_recognised(
    image: Path, series: SeriesFiles, *, part: int, tokens: frozenset[str], visit: Visit
) -> RecognisedSeries:
    clean = nifti_clean(
        image,
        visit.work / f"clean-{uuid4().hex}.nii.gz",
        limits=visit.limits,
        subject="A series",
    )
    sides = series_sides(series)
    if sides is not None and sorted(clean.grid.shape) != sides:
        clean.path.unlink()
        raise IntakeRefused(SPLIT)
    header = series.first.header
    facts = acquisition_facts(header, tokens=tokens, key=visit.key)
    guess = sequence_guess(header=header, series_words=series.words)
    found = series_recognised(clean, guess, facts, words=series.words)
    instances = sorted(file.header.get("SOPInstanceUID", "") for file in series.files)
    return replace(
        found,
        series_hash=keyed_hash(visit.key, "series", *instances, str(part)),
        subject=subject_claims(header),
    )
