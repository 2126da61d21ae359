"""Run the DICOM converter: no shell, bounded time, memory and output, nothing inherited."""

import contextlib
import os
import resource
import signal
import subprocess
from pathlib import Path

import dcm2niix

from volumetry.intake.types import IntakeRefused, Limits

FAILED = (
    "The DICOM files could not be converted: they are damaged or of an unusual kind. "
    "Export them again, or convert them to NIfTI and upload that."
)


def series_convert(source: Path, target: Path, *, limits: Limits, max_bytes: int) -> list[Path]:
    """Convert one series into NIfTI files.

    Parameters
    ----------
    source : Path
        Folder that holds the files of one series and nothing else.
    target : Path
        Empty folder for the result.
    limits : Limits
        Seconds and address space of the converter.
    max_bytes : int
        Largest file that it may write.

    Returns
    -------
    list of Path
        Uncompressed magnitude images, sorted by name. The converter is told a constant name
        (its default puts protocol and time into it) and to write no sidecar.

    Raises
    ------
    IntakeRefused
        If it fails, takes too long, or writes nothing.
    """
    # -g i ignores a defaults file of the account; it would change the images silently.
    options = ["-b", "n", "-z", "n", "-g", "i", "-f", "image"]
    command = [dcm2niix.bin, *options, "-o", str(target), str(source)]
    process = subprocess.Popen(  # noqa: S603 - fixed program, no shell, paths of our own making
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # it prints header text
        stderr=subprocess.DEVNULL,
        cwd=target,
        env={"HOME": str(target), "LC_ALL": "C", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        _limit(process.pid, limits=limits, max_bytes=max_bytes)
        process.wait(timeout=limits.converter_seconds)
    except subprocess.TimeoutExpired:
        raise IntakeRefused(
            f"Converting the DICOM files took more than {limits.converter_seconds:g} seconds. "
            "Upload fewer series at once."
        ) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    images = [image for image in sorted(target.glob("*.nii")) if not _is_phase(image)]
    if process.returncode != 0 or not images:  # a crash may leave half a conversion
        raise IntakeRefused(FAILED)
    return images


def _limit(pid: int, *, limits: Limits, max_bytes: int) -> None:
    # prlimit after the start, because code between fork and exec is unsafe under threads. The
    # process cannot have read its input yet, and limits bind later allocations and writes.
    wanted = {
        resource.RLIMIT_AS: limits.converter_memory_bytes,
        resource.RLIMIT_CPU: int(limits.converter_seconds) + 1,  # outlives a killed parent
        resource.RLIMIT_FSIZE: max_bytes,
        resource.RLIMIT_CORE: 0,  # a core file would hold the patient
    }
    with contextlib.suppress(ProcessLookupError):
        for what, limit in wanted.items():
            resource.prlimit(pid, what, (limit, limit))


def _is_phase(image: Path) -> bool:
    """Say whether the converter marked an image as phase, real or imaginary part."""
    return bool({"ph", "real", "imaginary"} & set(image.stem.split("_")[1:]))
