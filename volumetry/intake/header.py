"""What a NIfTI header claims, and whether that makes sense."""

from collections.abc import Callable
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from volumetry.intake.streams import BLOCK_BYTES, ByteStream
from volumetry.intake.types import IntakeRefused, Limits

SINGLE_FILE_MAGIC = {348: b"n+1\x00", 540: b"n+2\x00\r\n\x1a\n"}
PAIR_MAGIC = (b"ni1\x00", b"ni2\x00")
MAGIC_AT = {348: 344, 540: 4}

# NIfTI-1 datatype codes of real numbers of 1 to 8 bytes; complex, RGB and 16-byte are refused.
VOXEL_TYPES = {
    2: "u1", 256: "i1", 4: "i2", 512: "u2", 8: "i4",
    768: "u4", 1024: "i8", 1280: "u8", 16: "f4", 64: "f8",
}  # fmt: skip

TINY, HUGE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
FARTHEST_MM = 1e5  # no scanner is larger than 100 m

STRETCHED = (
    "The header also leads into a stretched (template) space; "
    "the scanner's own millimetres are used."
)
MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # NIFTI_UNITS_UNKNOWN, METER, MM, MICRON
SPACING_RANGE_MM = (0.05, 30.0)
# Header sizes are float32 and often rounded to 2-3 digits; a real scaling (12-parameter
# template space) changes them by far more.
SPACING_TOLERANCE = 0.02
MAX_AXIS_COSINE = 0.02  # about 1 degree: more shear than rounding explains


@dataclass(frozen=True, slots=True)
class Grid:
    """A voxel grid that passed the gate; the affine leads to world millimetres (RAS+)."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    sentences: tuple[str, ...]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along each array axis, mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(x), float(y), float(z))

    @property
    def axcodes(self) -> tuple[str, str, str]:
        """Where each array axis points."""
        first, second, third = nib.aff2axcodes(self.affine)
        return (str(first), str(second), str(third))

    @property
    def spacing_ras_mm(self) -> tuple[float, float, float]:
        """Voxel size along the axes nearest right-left, back-front, foot-head, mm."""
        return self._in_world_order(self.spacing_mm)

    @property
    def field_of_view_mm(self) -> tuple[float, float, float]:
        """Extent along the axes nearest right-left, back-front, foot-head, mm."""
        x, y, z = (n * mm for n, mm in zip(self.shape, self.spacing_mm, strict=True))
        return self._in_world_order((x, y, z))

    def _in_world_order(self, values: tuple[float, float, float]) -> tuple[float, float, float]:
        ordered = [0.0, 0.0, 0.0]
        for axis, value in zip(nib.io_orientation(self.affine)[:, 0], values, strict=True):
            ordered[int(axis)] = value
        return (ordered[0], ordered[1], ordered[2])


@dataclass(frozen=True, slots=True)
class Claims:
    """What a header claims, checked for sense; the voxels must still prove it."""

    grid: Grid
    voxel_type: np.dtype[np.generic]
    slope: float
    intercept: float

    @property
    def voxel_bytes(self) -> int:
        """Bytes that the voxels take."""
        return int(np.prod(self.grid.shape, dtype=np.int64)) * self.voxel_type.itemsize


Refuse = Callable[[str], IntakeRefused]


def refuser(subject: str) -> Refuse:
    """Return a function that puts ``subject`` before the rest of a sentence."""

    def refuse(rest: str) -> IntakeRefused:
        return IntakeRefused(f"{subject} {rest}")

    return refuse


def claims_read(
    stream: ByteStream, *, limits: Limits, allowance: int, refuse: Refuse
) -> Claims:
    """Read a header from a stream, up to the first voxel.

    Raises
    ------
    IntakeRefused
        If the header is none, is damaged, or claims more than the limits allow.
    """
    block = stream.read(4)
    size = header_size(block)
    if size is None:
        raise refuse("is not a NIfTI image. Upload .nii, .nii.gz, or DICOM files.")
    order = "<" if int.from_bytes(block, "little") == size else ">"
    block += stream.read(size - len(block))
    if len(block) < size:
        raise refuse("is cut off within its header. Export or copy it again.")
    magic = block[MAGIC_AT[size] :][: len(SINGLE_FILE_MAGIC[size])]
    if magic != SINGLE_FILE_MAGIC[size]:
        if magic[:4] in PAIR_MAGIC:
            raise refuse(
                "is one half of a NIfTI pair (.hdr and .img). Save it as one .nii.gz file."
            )
        raise refuse(
            "is an Analyze image, which does not say where left and right are. "
            "Convert the original DICOM files to NIfTI, or upload those."
        )
    kind = nib.Nifti1Header if size == 348 else nib.Nifti2Header
    header = kind(block, endianness=order, check=False)
    shape = _shape_read(header, limits=limits, refuse=refuse)
    voxel_type = _voxel_type_read(header, order=order, refuse=refuse)
    slope, intercept = _scaling_read(header, refuse=refuse)
    offset = _offset_read(header, size=size, refuse=refuse)
    if offset + int(np.prod(shape, dtype=np.int64)) * voxel_type.itemsize > allowance:
        gigabytes = limits.max_unpacked_bytes / 2**30
        raise refuse(f"unpacks to more than {gigabytes:g} GiB, the limit. Upload fewer images.")
    with np.errstate(all="ignore"):  # nonsense numbers are refused, not warned about
        affine, sentences = _affine_read(header, refuse=refuse)
    rest = offset - size
    while rest > 0:  # extensions and padding are read past and dropped
        skipped = stream.read(min(rest, BLOCK_BYTES))
        if not skipped:
            raise refuse("is cut off before its voxels. Export or copy it again.")
        rest -= len(skipped)
    return Claims(Grid(shape, affine, sentences), voxel_type, slope, intercept)


def header_size(start: bytes) -> int | None:
    """Return the size that a NIfTI or Analyze header begins with, or None if there is none."""
    sizes = (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
    return next((size for size in sizes if size in SINGLE_FILE_MAGIC), None)


def _shape_read(
    header: nib.Nifti1Header, *, limits: Limits, refuse: Refuse
) -> tuple[int, int, int]:
    dim = [int(n) for n in header["dim"]]
    if not 1 <= dim[0] <= 7 or any(n < 1 for n in dim[1 : 1 + dim[0]]):
        raise refuse("has a damaged header: its dimensions make no sense. Export it again.")
    sides = dim[1 : 1 + dim[0]]
    if any(n > 1 for n in sides[3:]):
        raise refuse(
            f"has {len(sides)} dimensions (several time points, echoes or directions). "
            "Upload one 3-D image."
        )
    x, y, z = (*sides[:3], 1, 1)[:3]
    if max(x, y, z) > limits.max_side or x * y * z > limits.max_voxels:
        raise refuse(
            f"claims {x} × {y} × {z} voxels; at most {limits.max_side} along each side and "
            f"{limits.max_voxels // 2**20} million in all are taken. Check the export."
        )
    shortest, middle, _ = sorted((x, y, z))
    if shortest < limits.min_slices:
        raise refuse(
            f"has only {shortest} slice{'' if shortest == 1 else 's'}; a volume needs at least "
            f"{limits.min_slices}. Upload the whole 3-D series."
        )
    if middle < limits.min_side:
        raise refuse(
            f"is only {x} × {y} × {z} voxels; at least {limits.min_side} across are needed. "
            "Upload the original image."
        )
    return (x, y, z)


def _voxel_type_read(
    header: nib.Nifti1Header, *, order: str, refuse: Refuse
) -> np.dtype[np.generic]:
    name = VOXEL_TYPES.get(int(header["datatype"]))
    if name is None:
        raise refuse(
            "does not hold one real number per voxel (it is in colour, complex, or of an "
            "unknown type). Upload the magnitude image in grey values."
        )
    voxel_type: np.dtype[np.generic] = np.dtype(f"{order}{name}")
    if int(header["bitpix"]) != 8 * voxel_type.itemsize:
        raise refuse("has a damaged header: voxel type and size disagree. Export it again.")
    return voxel_type


def _scaling_read(header: nib.Nifti1Header, *, refuse: Refuse) -> tuple[float, float]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope):  # NIfTI: 0 means "not scaled"; nibabel reads NaN so too
        return 1.0, 0.0
    # NIfTI-2 holds doubles; what underflows to 0 in NIfTI-1 would read as "not scaled"
    is_sound = TINY <= abs(slope) <= HUGE and abs(intercept) <= HUGE
    if not is_sound:
        raise refuse("has a damaged header: its intensity scale is no number. Export it again.")
    return slope, intercept


def _offset_read(header: nib.Nifti1Header, *, size: int, refuse: Refuse) -> int:
    stated = float(header["vox_offset"])
    smallest = size + 4  # four bytes say whether extensions follow
    if stated == 0:
        return smallest
    if not np.isfinite(stated) or stated < smallest or stated != int(stated):
        raise refuse("has a damaged header: it does not say where its voxels begin.")
    return int(stated)


def _affine_read(
    header: nib.Nifti1Header, *, refuse: Refuse
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Choose the position matrix that keeps true millimetres.

    The sform may lead into template space, stretched: volumes measured there would be wrong.
    It counts only when its voxel size is the one of ``pixdim``; else the qform, which cannot
    stretch, does.
    """
    scale = MM_PER_UNIT.get(int(header["xyzt_units"]) & 7)
    pixdim = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
    if scale is None:
        raise refuse("has a damaged header: its unit of length is unknown. Export it again.")
    sform = _checked(np.asarray(header.get_sform(), dtype=np.float64))
    if int(header["sform_code"]) <= 0:
        sform = None
    qform = _qform_read(header)
    sentences: tuple[str, ...] = ()
    affine = qform if sform is None else sform
    if affine is None:
        raise refuse(
            "has no usable position matrix, so up, front and left are unknown. "
            "Convert the original DICOM files again."
        )
    if sform is not None and not _agree(sform, pixdim):
        if qform is None:
            raise refuse(
                "states two different voxel sizes in its header. "
                "Convert the original DICOM files again."
            )
        affine = qform
        sentences = (STRETCHED,)
    affine = affine * np.array([scale, scale, scale, 1.0])[:, None]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.all((spacing >= SPACING_RANGE_MM[0]) & (spacing <= SPACING_RANGE_MM[1])):
        raise refuse(
            "has a voxel size that no MR scan has. Convert the original DICOM files again."
        )
    return affine, sentences


def _qform_read(header: nib.Nifti1Header) -> NDArray[np.float64] | None:
    if int(header["qform_code"]) <= 0:
        return None
    try:
        return _checked(np.asarray(header.get_qform(), dtype=np.float64))
    except (ValueError, HeaderDataError):  # quaternion or voxel size that is none
        return None


def _checked(affine: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the affine if it is finite, invertible and without shear."""
    if not np.all(np.isfinite(affine)) or float(np.abs(affine).max()) > FARTHEST_MM:
        return None
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.all(lengths > 0):
        return None
    axes = affine[:3, :3] / lengths
    cosines = np.abs(axes.T @ axes - np.eye(3))
    return affine if float(cosines.max()) <= MAX_AXIS_COSINE else None


def _agree(affine: NDArray[np.float64], pixdim: NDArray[np.float64]) -> bool:
    if not np.all(np.isfinite(pixdim) & (pixdim > 0)):
        return True  # pixdim was never filled in, so it contradicts nothing
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.all(np.abs(spacing - pixdim) <= SPACING_TOLERANCE * spacing))
