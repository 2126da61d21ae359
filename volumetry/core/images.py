"""Read and write NIfTI files for the engines."""

import gzip
import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from volumetry.core.errors import NotMeasurable, UnreadableImage
from volumetry.core.types import ScanImage


def image_load(path: Path) -> ScanImage:
    """Read a NIfTI file as a 3-D image.

    Raises
    ------
    UnreadableImage
        If the file is missing, truncated or no image.
    NotMeasurable
        If it is readable but not one 3-D image of finite, varying intensities.
    """
    try:
        source = nib.load(path)
        header_shape = source.shape
        shape = header_shape[:3]
        if any(side > 1 for side in header_shape[3:]):
            raise NotMeasurable(
                f"{path.name} has {len(header_shape)} dimensions "
                f"({' x '.join(map(str, header_shape))}); upload one 3-D image."
            )
        if len(shape) < 3:
            raise NotMeasurable(f"{path.name} is a single slice; a 3-D image is needed.")
        intensities = np.asanyarray(source.dataobj, dtype=np.float32).reshape(shape)
        affine = np.asarray(source.affine, dtype=np.float64)
    except NotMeasurable:
        raise
    except (
        OSError,
        EOFError,
        ValueError,
        HeaderDataError,
        ImageFileError,
    ) as e:
        raise UnreadableImage(f"{path.name} cannot be read as a NIfTI image.") from e
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise UnreadableImage(f"{path.name} has no usable position matrix in its header.")
    if not np.all(np.isfinite(intensities)):
        raise NotMeasurable(f"{path.name} holds values that are not numbers (NaN or infinite).")
    if float(np.ptp(intensities)) == 0.0:
        raise NotMeasurable(f"{path.name} is empty: every voxel has the same value.")
    return ScanImage(intensities, affine, sha256_of(path))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal text."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def mask_save(values: NDArray[np.generic], affine: NDArray[np.float64], path: Path) -> Path:
    """Write an array on a grid as NIfTI, first under another name, then renamed."""
    scratch = path.with_name(f"_{path.name}")
    nib.save(nib.Nifti1Image(values, affine), scratch)
    return scratch.rename(path)


def voxels_blank(source: Path, removed: NDArray[np.bool_], target: Path) -> None:
    """Copy a gzipped NIfTI file with some voxels set to zero; every other byte stays.

    Parameters
    ----------
    source, target : Path
        Files; ``target`` is written under another name and renamed.
    removed : bool, shape (i, j, k)
        Voxels to set to the stored number nearest to intensity zero.
    """
    proxy = nib.load(source).dataobj
    content = bytearray(gzip.decompress(source.read_bytes()))
    stored = np.frombuffer(
        content, dtype=proxy.dtype, count=removed.size, offset=int(proxy.offset)
    ).reshape(removed.shape, order="F")
    zero = -float(proxy.inter) / float(proxy.slope)
    if stored.dtype.kind in "iu":
        limits = np.iinfo(stored.dtype)
        zero = int(np.clip(round(zero), limits.min, limits.max))
    stored[removed] = zero
    scratch = target.with_name(f"_{target.name}")
    # no time in the file: equal pixels are equal bytes
    scratch.write_bytes(gzip.compress(content, compresslevel=6, mtime=0))
    scratch.rename(target)
