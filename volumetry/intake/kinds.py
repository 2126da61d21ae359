"""Tell files apart by their content; a name proves nothing."""

import zlib
from enum import StrEnum
from pathlib import Path

from volumetry.intake.archive import is_zip
from volumetry.intake.dicom import is_dicom
from volumetry.intake.header import header_size

START_BYTES = 1024
GZIP_MAGIC = b"\x1f\x8b"
WHAT_TO_UPLOAD = "Upload .nii or .nii.gz, DICOM files, or a zip of DICOM files."

FOREIGN = (
    (b"%PDF", "is a PDF document, not an image of the scanner."),
    (b"\x89PNG", "is a picture, not an image of the scanner."),
    (b"\xff\xd8\xff", "is a picture, not an image of the scanner."),
    (b"GIF8", "is a picture, not an image of the scanner."),
    (b"\x89HDF", "is not a NIfTI image (it looks like MINC or HDF5)."),
    (b"CDF\x01", "is not a NIfTI image (it looks like MINC)."),
    (b"\x00\x00\x00\x01", "is not a NIfTI image (it looks like FreeSurfer MGH)."),
    (b"TRACK", "holds fibre tracks, not an image."),
    (b"mrtrix tracks", "holds fibre tracks, not an image."),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive. Pack the files as zip instead."),
    (b"Rar!", "is a RAR archive. Pack the files as zip instead."),
    (b"BZh", "is compressed with bzip2. Use zip, or gzip for NIfTI."),
    (b"\xfd7zXZ", "is compressed with xz. Use zip, or gzip for NIfTI."),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd. Use zip, or gzip for NIfTI."),
)


class FileKind(StrEnum):
    """What a file's first bytes say it is."""

    NIFTI = "nifti"  # or Analyze, or half a pair: the gate says which
    DICOM = "dicom"
    ZIP = "zip"
    FOREIGN = "foreign"


def file_kind(path: Path) -> FileKind:
    """Tell what a file is from its first bytes, unpacked if it is compressed with gzip."""
    start = _start(path)
    if is_zip(start):
        return FileKind.ZIP
    if start.startswith(GZIP_MAGIC):
        start = _inflated(start)
        if is_dicom(start):
            return FileKind.FOREIGN
    elif is_dicom(start):  # before NIfTI: the 128 bytes before "DICM" may hold anything
        return FileKind.DICOM
    return FileKind.NIFTI if header_size(start) is not None else FileKind.FOREIGN


def foreign_sentence(path: Path, *, subject: str) -> str:
    """Say why a file that is no image was not taken, and what to do."""
    start = _start(path)
    if not start:
        return f"{subject} is empty. Export or copy it again."
    if start.startswith(GZIP_MAGIC):
        inner = _inflated(start)
        if is_dicom(inner):
            return f"{subject} is DICOM compressed with gzip. Unpack it, or use a zip archive."
        if inner[257:262] == b"ustar":
            return f"{subject} is a tar archive. Pack the files as zip instead."
        return f"{subject} holds no NIfTI image, or is damaged. {WHAT_TO_UPLOAD}"
    for magic, sentence in FOREIGN:
        if start.startswith(magic):
            return f"{subject} {sentence} {WHAT_TO_UPLOAD}"
    if start[257:262] == b"ustar":
        return f"{subject} is a tar archive. Pack the files as zip instead."
    return f"{subject} is not an image that can be read. {WHAT_TO_UPLOAD}"


def _start(path: Path) -> bytes:
    with path.open("rb") as source:
        return source.read(START_BYTES)


def _inflated(start: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(start, START_BYTES)
    except zlib.error:
        return b""
