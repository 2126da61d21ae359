"""Open a zip archive without believing it.

Entry names are read to refuse hostile ones and are never used on disk. Sizes are counted
while reading; the table of contents is bounded before it is parsed.
"""

import errno
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from volumetry.intake.types import IntakeRefused, Limits

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # LZMA may ask for gigabytes of memory
ENCRYPTED = 0x1
BLOCK_BYTES = 1 << 20
# Everything zipfile was seen to raise on broken archives.
ZIP_FAULTS = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, LookupError,
    ValueError, OverflowError, struct.error,
)  # fmt: skip
TOO_LONG_DIRECTORY = (
    "The zip archive has too large a table of contents. Upload one session at a time."
)
TOO_LARGE = "The zip archive unpacks to more than is allowed. Upload one session at a time."
DAMAGED = "The zip archive is damaged. Make it again and upload it."


def is_zip(start: bytes) -> bool:
    """Say whether the first bytes of a file are those of a zip archive."""
    return start.startswith(ZIP_MAGIC)


class _BoundedFile:
    """A file that hands out only so much at once.

    ``zipfile`` reads the whole table of contents in one call, as long as the archive says.
    """

    def __init__(self, source: BinaryIO, *, largest: int) -> None:
        self._source = source
        self._largest = largest
        self.seek, self.tell, self.seekable = source.seek, source.tell, source.seekable

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, or refuse to return so many."""
        wanted = size if size >= 0 else self._largest + 1  # "the rest" is 64 KiB at most
        if wanted > self._largest and size >= 0:
            raise IntakeRefused(TOO_LONG_DIRECTORY)
        block = self._source.read(wanted)
        if len(block) > self._largest:
            raise IntakeRefused(TOO_LONG_DIRECTORY)
        return block


def zip_unpack(
    source: Path, target: Path, *, limits: Limits, max_bytes: int
) -> Iterator[tuple[str, Path]]:
    """Yield each file of the archive: its name (in memory only) and where it lies now.

    Parameters
    ----------
    source, target : Path
        The archive, and an empty folder; files get numbers as names.
    limits : Limits
        Entries allowed.
    max_bytes : int
        Bytes that all entries together may unpack to.

    Raises
    ------
    IntakeRefused
        For a damaged, encrypted, hostile or too large archive.
    """
    try:
        with source.open("rb") as raw:
            bounded = _BoundedFile(raw, largest=limits.max_directory_bytes)
            with zipfile.ZipFile(bounded) as archive:
                entries = [
                    entry for entry in archive.infolist() if not entry.filename.endswith("/")
                ]
                _entries_check(entries, limits=limits)
                left = max_bytes
                for number, entry in enumerate(entries):
                    path = target / f"{number:06d}"
                    left -= _entry_write(archive, entry, path, left=left)
                    yield entry.filename, path
    except ZIP_FAULTS:
        raise IntakeRefused(DAMAGED) from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a full or failing disk is not the archive's fault
            raise
        raise IntakeRefused(DAMAGED) from None  # it points to before its own beginning


def _entries_check(entries: list[zipfile.ZipInfo], *, limits: Limits) -> None:
    if not entries:
        raise IntakeRefused("The zip archive is empty. Put the image files into it.")
    if len(entries) > limits.max_entries:
        raise IntakeRefused(
            f"The zip archive holds more than {limits.max_entries} files. "
            "Upload one session at a time."
        )
    for entry in entries:
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
            raise IntakeRefused(
                "The zip archive holds links instead of files. Pack the files themselves."
            )
        if _leads_outside(entry.orig_filename) or _leads_outside(entry.filename):
            raise IntakeRefused(
                "The zip archive holds a file whose path leads outside of it. Pack it again."
            )
        if entry.flag_bits & ENCRYPTED:
            raise IntakeRefused("The zip archive has a password. Upload one without.")
        if entry.compress_type not in METHODS:
            raise IntakeRefused(
                "The zip archive uses an unusual compression. Pack it again as an ordinary zip."
            )


def _leads_outside(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return parts[0] == "" or ":" in parts[0] or ".." in parts


def _entry_write(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, *, left: int
) -> int:
    """Write one entry and return its true size."""
    size = 0
    with archive.open(entry) as packed, path.open("xb") as target:
        while block := packed.read(BLOCK_BYTES):
            size += len(block)
            if size > left:
                raise IntakeRefused(TOO_LARGE)
            if size == len(block) and is_zip(block):
                raise IntakeRefused(
                    "The zip archive holds another zip archive. Unpack that first."
                )
            target.write(block)
    return size
