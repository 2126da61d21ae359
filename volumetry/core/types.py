"""The words of the pixel side: images in, measures out.

A *volume* is a number of mm³; an array is an *image* or a *label map*. World coordinates are
millimetres in RAS+ (x to the right, y to the front, z up), as nibabel and the NIfTI standard
give them. Every dataclass is frozen: inputs are never changed.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64] | NDArray[np.float32]


class Structure(StrEnum):
    """Stable ids of what is measured; definitions in docs/measures.md."""

    BRAIN_PARENCHYMA = "brain_parenchyma"
    GREY_MATTER = "grey_matter"
    WHITE_MATTER = "white_matter"
    CSF = "csf"
    LATERAL_VENTRICLES = "lateral_ventricles"
    INTRACRANIAL = "intracranial"
    THALAMUS = "thalamus"
    CORPUS_CALLOSUM = "corpus_callosum"
    CORD_C2_C3 = "cord_c2_c3"
    CORD_PMJ_64MM = "cord_pmj_64mm"
    CORD_SEGMENT = "cord_segment"


EXPERIMENTAL = frozenset({Structure.THALAMUS, Structure.CORPUS_CALLOSUM})
"""Structures that are measured and shown as experimental: not accurate, or not tested enough,
to be followed (docs/brain.md). Analyses, trends and exports leave them out unless they are
asked for by name."""


class Quantity(StrEnum):
    """What kind of number a measure is."""

    VOLUME = "volume"
    MEAN_CSA = "mean_csa"
    AREA = "area"
    PERCENT_CHANGE = "percent_change"


class Unit(StrEnum):
    """Units, as UCUM writes them."""

    MM3 = "mm3"
    MM2 = "mm2"
    PERCENT = "%"


class Verdict(StrEnum):
    """The verdict of a quality check (a person's verdict is accepted or rejected)."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


class Outcome(StrEnum):
    """How a measurement ended."""

    OK = "ok"
    REFUSED = "refused"
    NEEDS_LANDMARK = "needs_landmark"


class Contrast(StrEnum):
    """Image contrast of a cord scan; AUTO lets the engine decide."""

    AUTO = "auto"
    T1 = "t1"
    T2 = "t2"
    T2S = "t2s"


class LandmarkKind(StrEnum):
    """Where a cord level is counted from; kinds are never mixed on one trend."""

    PMJ = "pmj"
    C2C3 = "c2c3"


@dataclass(frozen=True, slots=True)
class Landmark:
    """A point that a person or the engine placed, in world millimetres (RAS+)."""

    kind: LandmarkKind
    point_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ScanImage:
    """A 3-D image.

    Attributes
    ----------
    intensities : array, shape (i, j, k)
        Finite floating point intensities on the file's own voxel grid.
    affine : array, shape (4, 4)
        Voxel index to world millimetres (RAS+).
    sha256 : str
        Hash of the file's bytes as stored, empty for an image that was never a file.
    """

    intensities: NDArray[np.float32]
    affine: NDArray[np.float64]
    sha256: str = ""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each array axis, mm."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(lengths[0]), float(lengths[1]), float(lengths[2]))

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, mm³."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))


@dataclass(frozen=True, slots=True)
class LabelMap:
    """Integer labels on a voxel grid, with the grid's affine (RAS+)."""

    labels: NDArray[np.integer]
    affine: NDArray[np.float64]

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, mm³."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))


@dataclass(frozen=True, slots=True)
class StructureMeasure:
    """One number with its unit and standard error (same unit; None where none is known)."""

    structure: Structure
    quantity: Quantity
    value: float
    unit: Unit
    standard_error: float | None = None

    def __post_init__(self) -> None:
        """Refuse a number that is none."""
        if not np.isfinite(self.value):
            raise ValueError(f"{self.structure} {self.quantity} is not finite")


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """One check: its stable name, the value, the limit it was held against, the verdict.

    ``sentence`` says the same in words for the clinic; it is shown on the page.
    """

    name: str
    value: float | str | None
    limit: float | str | None
    verdict: Verdict
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a number, enough to make it again.

    ``parameters`` holds JSON values only (settings, landmark, window, edge definition, PSF,
    library versions); ``image_sha256`` the input's hash; ``other_sha256`` those of a follow-up
    image or of masks, by role.
    """

    method: str
    version: str
    parameters: dict[str, object]
    image_sha256: str
    other_sha256: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VolumetryResult:
    """What a method returns; ``files`` are the files it wrote, by contract name."""

    outcome: Outcome
    reason: str | None
    measures: tuple[StructureMeasure, ...]
    quality: tuple[QualityCheck, ...]
    provenance: Provenance
    seconds: float
    files: dict[str, Path] = field(default_factory=dict)

    def measure_of(self, structure: Structure, quantity: Quantity) -> StructureMeasure | None:
        """Return the measure of a structure and quantity, or None."""
        for measure in self.measures:
            if measure.structure == structure and measure.quantity == quantity:
                return measure
        return None

    @classmethod
    def refused(cls, reason: str, *, provenance: Provenance, seconds: float) -> Self:
        """Return a result that carries only the reason why nothing was measured."""
        return cls(Outcome.REFUSED, reason, (), (), provenance, seconds)
