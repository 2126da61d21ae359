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
THICK_RELATIVE_ERROR: dict[Structure, float] = {
    Structure.BRAIN_PARENCHYMA: 0.025,
    Structure.GREY_MATTER: 0.10,
    Structure.WHITE_MATTER: 0.15,
    Structure.CSF: 0.10,
    Structure.LATERAL_VENTRICLES: 0.06,
    Structure.INTRACRANIAL: 0.035,
    Structure.THALAMUS: 0.30,
    Structure.CORPUS_CALLOSUM: 0.16,
}
"""The same for slices of 3 mm, where mixed voxels pass for grey matter: after the drawn head
of five that erred most in both tissues (docs/brain.md), twice the thin ones where it erred by
less."""


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
    errors = THICK_RELATIVE_ERROR if is_thick else RELATIVE_ERROR
    measures = []
    for structure, value in values.items():
        if value <= 0:
            raise EmptyStructure(f"{structure} is empty.")
        measures.append(_measure(structure, Quantity.VOLUME, value, errors))
    return (*measures, *_experimental(found, errors=errors))


def _experimental(
    found: BrainSegmentation, *, errors: dict[Structure, float]
) -> tuple[StructureMeasure, ...]:
    """Return thalamus (mm³) and callosum (mm²), those that were found."""
    measures = []
    if found.thalamus is not None:
        measures.append(
            _measure(Structure.THALAMUS, Quantity.VOLUME, found.thalamus.volume_mm3, errors)
        )
    if found.callosum is not None:
        measures.append(
            _measure(Structure.CORPUS_CALLOSUM, Quantity.AREA, found.callosum.area_mm2, errors)
        )
    return tuple(measures)


def _measure(
    structure: Structure, quantity: Quantity, value: float, errors: dict[Structure, float]
) -> StructureMeasure:
    """Return one measure with its default standard error."""
    unit = Unit.MM2 if quantity is Quantity.AREA else Unit.MM3
    error = value * errors[structure]
    return StructureMeasure(structure, quantity, value, unit, error)
