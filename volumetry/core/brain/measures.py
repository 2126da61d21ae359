"""Measures of a segmentation: volumes are sums of fractions times voxel volume."""

import numpy as np

from volumetry.core.brain.segmentation import BrainSegmentation
from volumetry.core.errors import EmptyStructure
from volumetry.core.types import Quantity, Structure, StructureMeasure, Unit

RELATIVE_ERROR: dict[Structure, float] = {
    Structure.BRAIN_PARENCHYMA: 0.008,
    Structure.GREY_MATTER: 0.02,
    Structure.WHITE_MATTER: 0.02,
    Structure.CSF: 0.05,
    Structure.LATERAL_VENTRICLES: 0.03,
    Structure.INTRACRANIAL: 0.015,
    Structure.THALAMUS: 0.15,
    Structure.CORPUS_CALLOSUM: 0.08,
}
"""Standard errors until a site has its own repeats: brain 0.8 % (between-session, cross-
sectional methods), the others from the spread on synthetic heads (docs/brain.md)."""
THICK_SLICE_FACTOR = 2.0


def brain_measures(found: BrainSegmentation, *, is_thick: bool) -> tuple[StructureMeasure, ...]:
    """Return every measure of one visit; experimental ones where they were found.

    Raises
    ------
    EmptyStructure
        If a structure holds nothing; a volume of zero would be a lie.
    """
    voxel = found.flat.voxel_volume_mm3
    white, grey, fluid = (float(f.sum(dtype=np.float64)) * voxel for f in found.fractions)
    ventricles = float(found.ventricles.fluid.sum(dtype=np.float64)) * voxel
    values = {
        Structure.BRAIN_PARENCHYMA: white + grey,
        Structure.GREY_MATTER: grey,
        Structure.WHITE_MATTER: white,
        Structure.CSF: fluid,
        Structure.LATERAL_VENTRICLES: ventricles,
        Structure.INTRACRANIAL: white + grey + fluid,
    }
    factor = THICK_SLICE_FACTOR if is_thick else 1.0
    measures = []
    for structure, value in values.items():
        if value <= 0:
            raise EmptyStructure(f"{structure} is empty.")
        measures.append(_measure(structure, Quantity.VOLUME, value, factor))
    return (*measures, *_experimental(found, factor=factor))


def _experimental(found: BrainSegmentation, *, factor: float) -> tuple[StructureMeasure, ...]:
    """Return thalamus (mm³) and callosum (mm²), those that were found."""
    measures = []
    if found.thalamus is not None:
        measures.append(
            _measure(Structure.THALAMUS, Quantity.VOLUME, found.thalamus.volume_mm3, factor)
        )
    if found.callosum is not None:
        measures.append(
            _measure(Structure.CORPUS_CALLOSUM, Quantity.AREA, found.callosum.area_mm2, factor)
        )
    return tuple(measures)


def _measure(
    structure: Structure, quantity: Quantity, value: float, factor: float
) -> StructureMeasure:
    """Return one measure with its default standard error."""
    unit = Unit.MM2 if quantity is Quantity.AREA else Unit.MM3
    error = value * RELATIVE_ERROR[structure] * factor
    return StructureMeasure(structure, quantity, value, unit, error)
