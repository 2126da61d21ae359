"""The door: files of an upload in, clean images and what was recognised out.

On every way out other than success the scratch folder is as it was before. A killed process
cannot tidy up: `scratch_sweep` removes what it left.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from volumetry.intake.archive import zip_unpack
from volumetry.intake.deidentify import MINIMUM_KEY_BYTES
from volumetry.intake.kinds import WHAT_TO_UPLOAD, FileKind, file_kind, foreign_sentence
from volumetry.intake.nifti import nifti_clean
from volumetry.intake.recognise import sequence_guess, series_recognised
from volumetry.intake.session import Visit, session_take
from volumetry.intake.types import (
    MEBIBYTE,
    AcquisitionFacts,
    Intake,
    IntakeRefused,
    Limits,
    RecognisedSeries,
)
from volumetry.intake.words import counted, was

WORK_PREFIX = "intake-"
DEFAULT_LIMITS = Limits()


def intake(
    files: Sequence[tuple[str, Path]],
    *,
    scratch: Path,
    key: bytes,
    limits: Limits = DEFAULT_LIMITS,
) -> Intake:
    """Take the files of one upload in, or refuse them in one sentence.

    Parameters
    ----------
    files : sequence of (str, Path)
        The client's name of each file (looked at in memory, never stored) and where it lies.
        One or more NIfTI files, one zip archive of DICOM or NIfTI files, or DICOM files under
        any name.
    scratch : Path
        Existing folder for the clean images; also used for work, removed before returning.
    key : bytes
        The clinic's secret for keyed hashes, at least 16 bytes.
    limits : Limits
        What an upload may weigh.

    Returns
    -------
    Intake
        At least one series; the caller owns the files at ``series[i].path``.

    Raises
    ------
    IntakeRefused
        With a sentence for the person at the form. Nothing is left in ``scratch``.
    """
    if len(key) < MINIMUM_KEY_BYTES:
        raise ValueError(f"the key for hashes needs {MINIMUM_KEY_BYTES} bytes or more")
    _upload_check(files, limits=limits)
    with _workplace(scratch) as work:
        visit = Visit(work, key, limits)
        offered, foreign = _files_offered(files, visit)
        dicom = [item.path for item in offered if item.kind is FileKind.DICOM]
        nifti = [item for item in offered if item.kind is FileKind.NIFTI]
        if dicom and nifti:
            raise IntakeRefused(
                "The upload mixes DICOM and NIfTI files. Upload them one after the other."
            )
        found = session_take(dicom, visit) if dicom else _nifti_take(nifti, visit)
        found = replace(found, skipped=(*found.skipped, *_foreign_words(foreign)))
        return _handed_over(found, scratch)


def scratch_sweep(scratch: Path, *, older_than_seconds: float) -> int:
    """Remove work folders that a killed process left, at any depth; return how many.

    They hold DICOM files as they were sent, so this belongs into every start and every tick.
    """
    stale = time.time() - older_than_seconds
    removed = 0
    for folder in sorted(scratch.rglob(f"{WORK_PREFIX}*")):
        with contextlib.suppress(FileNotFoundError):  # finished between the two calls
            if folder.stat().st_mtime < stale:
                shutil.rmtree(folder)
                removed += 1
    return removed


@dataclass(frozen=True, slots=True, repr=False)
class _Offered:
    """A file of the upload: the client's name, in memory only, and where it lies."""

    name: str
    path: Path
    kind: FileKind


@contextlib.contextmanager
def _workplace(scratch: Path) -> Iterator[Path]:
    work = scratch / f"{WORK_PREFIX}{uuid4().hex}"
    work.mkdir(mode=0o700)
    try:
        yield work
    finally:
        shutil.rmtree(work)


def _handed_over(found: Intake, scratch: Path) -> Intake:
    """Move the clean images out of the work folder, all or none."""
    moved: list[RecognisedSeries] = []
    try:
        for series in found.series:
            target = scratch / f"{uuid4().hex}.nii.gz"
            moved.append(replace(series, path=series.path.rename(target)))
    except BaseException:
        for series in moved:
            series.path.unlink(missing_ok=True)
        raise
    return replace(found, series=tuple(moved))


def _upload_check(files: Sequence[tuple[str, Path]], *, limits: Limits) -> None:
    if not files:
        raise IntakeRefused(f"No file was uploaded. {WHAT_TO_UPLOAD}")
    if len(files) > limits.max_entries:
        raise IntakeRefused(
            f"The upload holds more than {limits.max_entries} files. "
            "Upload one session at a time."
        )
    if sum(path.stat().st_size for _, path in files) > limits.max_upload_bytes:
        raise IntakeRefused(
            f"The upload is larger than {limits.max_upload_bytes // MEBIBYTE} MiB. "
            "Upload fewer series at once."
        )


def _files_offered(
    files: Sequence[tuple[str, Path]], visit: Visit
) -> tuple[list[_Offered], int]:
    """Return the image files, archives unpacked, and how many files are none."""
    offered: list[_Offered] = []
    foreign: list[Path] = []
    left = visit.limits.max_unpacked_bytes
    for number, (name, path) in enumerate(files):
        kind = file_kind(path)
        if kind is not FileKind.ZIP:
            (
                foreign.append(path)
                if kind is FileKind.FOREIGN
                else offered.append(_Offered(name, path, kind))
            )
            continue
        folder = visit.work / f"zip-{number}"
        folder.mkdir()
        for inner_name, inner in zip_unpack(path, folder, limits=visit.limits, max_bytes=left):
            left -= inner.stat().st_size
            kind = file_kind(inner)
            if kind is FileKind.FOREIGN:
                foreign.append(inner)
            else:
                offered.append(_Offered(inner_name, inner, kind))
    if not offered:
        if len(foreign) == 1:
            raise IntakeRefused(foreign_sentence(foreign[0], subject="This file"))
        raise IntakeRefused(f"None of the {len(foreign)} files is an image. {WHAT_TO_UPLOAD}")
    return offered, len(foreign)


def _foreign_words(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    holds = was(count, "holds", "hold")
    return (f"{counted(count, 'file')} that {holds} no image {was(count)} left out.",)


def _nifti_take(offered: Sequence[_Offered], visit: Visit) -> Intake:
    """Pass each NIfTI file through the gate; one bad file refuses the upload."""
    if len(offered) > visit.limits.max_series:
        raise IntakeRefused(
            f"The upload holds more than {visit.limits.max_series} images. "
            "Upload fewer at once."
        )
    taken: list[RecognisedSeries] = []
    left = visit.limits.max_unpacked_bytes
    for number, item in enumerate(offered, start=1):
        subject = "This file" if len(offered) == 1 else f"File {number} of {len(offered)}"
        clean = nifti_clean(
            item.path,
            visit.work / f"clean-{number}.nii.gz",
            limits=visit.limits,
            subject=subject,
            max_bytes=left,
        )
        left -= clean.unpacked_bytes
        guess = sequence_guess(header={}, file_words=item.name)
        taken.append(series_recognised(clean, guess, AcquisitionFacts(), words=item.name))
    return Intake(tuple(taken))
