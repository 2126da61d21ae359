"""The NIfTI gate: read the header, stream the voxels, write a clean copy.

Nothing is believed. The header is read through a bounded decompressor, the voxels pass in
blocks of a few megabytes, and their number must equal the header's claim, so a file of 81
bytes that promises 32 GiB costs as little memory as an honest one. The copy is built from an
allow-list (grid, voxel type, scaling, position), never by editing the original header: a field
that nobody thought of cannot leak.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np

from volumetry.intake.header import Claims, Grid, Refuse, claims_read, refuser
from volumetry.intake.streams import BLOCK_BYTES, ByteStream, stream_open
from volumetry.intake.types import Limits

# On an 81 MB series level 6 took 3.5 times longer than 4 and saved nothing (15.7 : 15.5 MB).
COMPRESSION_LEVEL = 4


@dataclass(frozen=True, slots=True)
class CleanImage:
    """The rewritten file, its hash, and its grid."""

    path: Path
    sha256: str
    grid: Grid
    unpacked_bytes: int


def nifti_clean(
    source: Path,
    target: Path,
    *,
    limits: Limits,
    subject: str = "This file",
    max_bytes: int | None = None,
) -> CleanImage:
    """Check a NIfTI file to the last byte and write a clean copy.

    Parameters
    ----------
    source, target : Path
        ``source`` may be compressed with gzip; ``target`` ends in ``.nii.gz``.
    limits : Limits
        Sides, voxels and bytes allowed.
    subject : str
        How sentences begin ("This file", "File 2 of 3", "One series").
    max_bytes : int, optional
        Unpacked bytes still allowed; the whole allowance if None.

    Raises
    ------
    IntakeRefused
        With one sentence; ``target`` does not exist then.
    """
    refuse = refuser(subject)
    allowance = limits.max_unpacked_bytes if max_bytes is None else max_bytes
    try:
        with source.open("rb") as raw:
            stream = stream_open(raw)
            claims = claims_read(stream, limits=limits, allowance=allowance, refuse=refuse)
            sha256 = _copy_write(stream, claims, target, refuse=refuse)
    except zlib.error:
        target.unlink(missing_ok=True)
        raise refuse(
            "is damaged: it cannot be decompressed. Export or copy it again."
        ) from None
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return CleanImage(target, sha256, claims.grid, claims.voxel_bytes)


class _HashingFile:
    """A file that hashes what passes into it."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self.digest = hashlib.sha256()

    def write(self, block: bytes) -> int:
        self.digest.update(block)
        return self._target.write(block)

    def flush(self) -> None:
        self._target.flush()


def _copy_write(stream: ByteStream, claims: Claims, target: Path, *, refuse: Refuse) -> str:
    with target.open("xb") as raw:
        hashing = _HashingFile(raw)
        with gzip.GzipFile(
            filename="", mode="wb", compresslevel=COMPRESSION_LEVEL, fileobj=hashing, mtime=0
        ) as packed:
            packed.write(_header_bytes(claims))
            for block in _voxel_blocks(stream, claims, refuse=refuse):
                packed.write(block)
    return hashing.digest.hexdigest()


def _header_bytes(claims: Claims) -> bytes:
    header = nib.Nifti1Header(endianness="<")
    header.set_data_shape(claims.grid.shape)
    header.set_data_dtype(claims.voxel_type.newbyteorder("<"))
    header["scl_slope"], header["scl_inter"] = claims.slope, claims.intercept
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    header.set_xyzt_units("mm", "unknown")
    header.set_sform(claims.grid.affine, code="scanner")
    header.set_qform(claims.grid.affine, code="scanner", strip_shears=True)
    return bytes(header.binaryblock) + bytes(4)


def _voxel_blocks(stream: ByteStream, claims: Claims, *, refuse: Refuse) -> Iterator[bytes]:
    """Yield the voxels in little-endian blocks, or refuse at the first that is wrong."""
    missing = claims.voxel_bytes
    lowest, highest = np.inf, -np.inf
    while missing > 0:
        block = stream.read(min(missing, BLOCK_BYTES))
        if len(block) % claims.voxel_type.itemsize or not block:
            raise refuse("holds fewer voxels than its header claims. Export or copy it again.")
        missing -= len(block)
        values = np.frombuffer(block, dtype=claims.voxel_type)
        with np.errstate(invalid="ignore"):
            low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):  # a NaN makes both NaN
            raise refuse(
                "holds values that are no numbers (NaN or infinite). Export it again, "
                "without a mask or a registration step."
            )
        lowest, highest = min(lowest, low), max(highest, high)
        yield values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    if not stream.is_finished():
        raise refuse("holds more than its header claims. Export or copy it again.")
    if lowest == highest:
        raise refuse("is empty: every voxel has the same value. Upload the original image.")
    with np.errstate(over="ignore"):
        extremes = np.array([lowest, highest]) * claims.slope + claims.intercept
    if float(np.abs(extremes).max()) > float(np.finfo(np.float32).max):
        raise refuse("has a damaged intensity scale: its values overflow. Export it again.")
