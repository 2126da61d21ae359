"""Files for the tests of the door: honest ones, and ones that lie."""

import gzip
import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

KEY = b"0123456789abcdef0123456789abcdef"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
OBLIQUE = np.array(
    [
        [-0.9, 0.05, 0.02, 80.0],
        [0.05, 0.9, -0.1, -90.0],
        [0.02, 0.1, 0.9, -100.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def head_like(shape: tuple[int, int, int] = (20, 24, 18)) -> np.ndarray:
    """Return a varied image of positive whole numbers."""
    rng = np.random.default_rng(7)
    return rng.integers(1, 1000, size=shape, dtype=np.int16)


def nifti_bytes(
    values: np.ndarray | None = None, affine: np.ndarray | None = None, *, version: int = 1
) -> bytes:
    """Return an uncompressed single-file NIfTI."""
    kind = nib.Nifti1Image if version == 1 else nib.Nifti2Image
    image = kind(
        head_like() if values is None else values, np.eye(4) if affine is None else affine
    )
    return bytes(image.to_bytes())


def nifti_edited(**fields: object) -> bytes:
    """Return a NIfTI whose header fields were overwritten afterwards."""
    data = bytearray(nifti_bytes())
    header = nib.Nifti1Header(bytes(data[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    data[:348] = header.binaryblock
    return bytes(data)


def file_at(folder: Path, name: str, content: bytes) -> tuple[str, Path]:
    """Write a file and return it as the door takes it."""
    path = folder / name
    path.write_bytes(content)
    return name, path


def zip_bytes(entries: Mapping[str, bytes]) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def gzip_named(content: bytes, *, name: str) -> bytes:
    """Return gzip bytes that carry a file name in their header."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename=name, mode="wb", fileobj=buffer, mtime=1) as packed:
        packed.write(content)
    return buffer.getvalue()


def dicom_slice(
    number: int,
    *,
    series: str = "1.2.3.1",
    side: int = 32,
    spacing: float = 1.0,
    syntax: str = ExplicitVRLittleEndian,
    **tags: object,
) -> Dataset:
    """Return one axial MR slice; ``tags`` are DICOM keywords that replace the usual ones."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(syntax)
    data.file_meta.MediaStorageSOPClassUID = UID(MR_IMAGE)
    data.SOPClassUID = MR_IMAGE
    data.SOPInstanceUID = f"{series}.{number}"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.StudyInstanceUID = "1.2.3"
    data.SeriesInstanceUID = series
    data.SeriesNumber, data.InstanceNumber = 4, number
    data.Modality, data.Manufacturer = "MR", "SIEMENS"
    data.ManufacturerModelName = "Prisma"
    data.PatientName, data.PatientID = "Novakova^Eva", "7351124321"
    data.PatientSex, data.PatientBirthDate, data.PatientAge = "F", "19810203", "040Y"
    data.StudyDate, data.SeriesDescription = "20210607", "t1_mprage_sag"
    data.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    data.ScanningSequence, data.SequenceVariant = ["GR", "IR"], "SP"
    data.MRAcquisitionType, data.MagneticFieldStrength = "3D", "3"
    data.RepetitionTime, data.EchoTime, data.InversionTime = "2300", "2.98", "900"
    data.FlipAngle = "9"
    data.Rows = data.Columns = side
    data.PixelSpacing, data.SliceThickness = [spacing, spacing], spacing
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.ImagePositionPatient = [-10.0, -10.0, number * spacing]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    pixels = np.random.default_rng(number).integers(0, 900, (side, side), dtype=np.uint16)
    data.PixelData = pixels.tobytes()
    for keyword, value in tags.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    return data


def dicom_bytes(dataset: Dataset) -> bytes:
    """Return a DICOM file with preamble."""
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def dicom_series(count: int = 20, *, first: int = 1, **tags: object) -> list[bytes]:
    """Return the files of one series."""
    return [dicom_bytes(dicom_slice(n, **tags)) for n in range(first, first + count)]  # type: ignore[arg-type]


def files_at(folder: Path, contents: Iterable[bytes]) -> list[tuple[str, Path]]:
    """Write many files without extension."""
    return [file_at(folder, f"IM{n:04d}", content) for n, content in enumerate(contents)]


def other_object(sop_class: str, **tags: object) -> bytes:
    """Return a DICOM object without pixels: a report, a presentation state."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SOPClassUID, data.SOPInstanceUID = sop_class, data.file_meta.MediaStorageSOPInstanceUID
    data.PatientName, data.PatientID = "Novakova^Eva", "7351124321"
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    return dicom_bytes(data)
