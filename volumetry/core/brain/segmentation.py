"""One head scan in, tissue fractions and regions out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.brain import gates
from volumetry.core.brain.callosum import Callosum, callosum_find
from volumetry.core.brain.deform import DeepMap, deep_map
from volumetry.core.brain.grid import WorkImage, work_image
from volumetry.core.brain.midplane import midplane_find
from volumetry.core.brain.partial_volume import pure_shares, tissue_fractions
from volumetry.core.brain.regions import FAR_MM
from volumetry.core.brain.registration import BrainPlace, brain_locate
from volumetry.core.brain.skull import brain_find, eroded, grown, intracranial_find
from volumetry.core.brain.template import BRAINSTEM_END_MM, Template, template_load
from volumetry.core.brain.thalamus import Thalamus, thalamus_find
from volumetry.core.brain.tissue import TissueModel, bias_field, tissue_fit
from volumetry.core.brain.ventricles import Ventricles, lateral_ventricles_find
from volumetry.core.errors import EmptyStructure, NotMeasurable
from volumetry.core.types import QualityCheck, ScanImage, Verdict

BOX_MNI_MM = ((-84.0, 84.0), (-120.0, 88.0), (-84.0, 94.0))
"""The brain's box in MNI space with 10 to 20 mm around it."""

DEEP_CENTRE_MM = (0.0, -6.0, 4.0)
DEEP_RADIUS_MM = (42.0, 42.0, 30.0)
"""Ellipsoid of the deep nuclei in MNI space: they are brighter than cortex on T1, so the grey
mean is not taken there."""


@dataclass(frozen=True, slots=True)
class BrainSegmentation:
    """What was found in one scan, on the brain's box of the working grid.

    Attributes
    ----------
    flat : WorkImage
        Bias-corrected scan.
    fractions : float32, shape (3, i, j, k)
        White, grey, fluid; they sum to one in the intracranial space.
    intracranial : bool, shape (i, j, k)
        Intracranial space.
    ventricles : Ventricles
        Lateral ventricles.
    thalamus : Thalamus or None
        Both thalami; None if they were not found.
    callosum : Callosum or None
        The corpus callosum on the mid-sagittal plane; None if it was not found.
    distance_mm : float32, shape (i, j, k)
        Signed distance to the template's intracranial boundary under the affine map.
    place : BrainPlace
        Template to the box's work millimetres.
    model : TissueModel
        Tissue means, deviations, bias.
    checks : tuple of QualityCheck
        Field of view, registration, contrast, skull.
    """

    flat: WorkImage
    fractions: NDArray[np.float32]
    intracranial: NDArray[np.bool_]
    ventricles: Ventricles
    thalamus: Thalamus | None
    callosum: Callosum | None
    distance_mm: NDArray[np.float32]
    place: BrainPlace
    model: TissueModel
    checks: tuple[QualityCheck, ...]

    @property
    def parenchyma(self) -> NDArray[np.float32]:
        """White plus grey fraction."""
        return np.asarray(self.fractions[0] + self.fractions[1])


def brain_segment(
    image: ScanImage, *, on_step: Callable[[str], None] = lambda _: None
) -> BrainSegmentation:
    """Segment the brain of a T1-weighted head scan.

    Raises
    ------
    NotMeasurable
        If there is no head, no brain, or no T1 contrast.
    EmptyStructure
        If the lateral ventricles were not found.
    """
    template = template_load()
    whole = work_image(image)
    place = brain_locate(whole)
    coverage, matched = place_checks(whole, place, template)
    on_step("registration")
    work, place = brain_box(whole, place)
    pull = _puller(template, place, work)
    distance = pull(template.distance_mm, -40.0)
    priors = np.stack([pull(p, 0.0) for p in (template.white, template.grey, template.fluid)])
    deep_grey = _deep_grey(work, place) & (priors[1] > 0.15)
    model = tissue_fit(work.values, priors=priors, inside=(distance > 4) & ~deep_grey)
    on_step("tissue means")
    flat = _flattened(work, model)
    above = mni_height(flat, place) > BRAINSTEM_END_MM
    brain = brain_find(flat.values, distance_mm=distance, model=model)
    space = intracranial_find(flat.values, brain=brain, distance_mm=distance, model=model)
    space &= above
    on_step("skull")
    model = tissue_fit(
        work.values,
        priors=_own_priors(flat, space, priors, model),
        inside=eroded(space, 2) & ~deep_grey,
        start=model,
    )
    flat = _flattened(work, model)
    on_step("second tissue means")
    fractions = tissue_fractions(flat.values, inside=space, priors=priors, model=model)
    _tissue_outside_brain_is_fluid(fractions, brain=brain, space=space)
    on_step("partial volume")
    deep = deep_map(
        flat.values,
        spacing_mm=flat.spacing_mm,
        matrix=place.matrix,
        space=space,
        means=model.means,
        template=template,
    )
    on_step("deep brain")
    ventricles = lateral_ventricles_find(
        flat.values,
        space=space,
        lateral_mm=deep.pull(template.lateral_mm, FAR_MM),
        other_mm=deep.pull(template.other_mm, FAR_MM),
        means=model.means,
    )
    _wall_settled(fractions, ventricles)
    on_step("ventricles")
    thalamus = _thalamus(flat, fractions[2], place, model, template)
    callosum = _callosum(flat, space, place, model, deep, template)
    on_step("thalamus and callosum")
    checks = (
        coverage,
        matched,
        *gates.contrast_checks(model),
        gates.stripped_check(whole, distance, flat, model),
    )
    return BrainSegmentation(
        flat=flat,
        fractions=fractions,
        intracranial=space,
        ventricles=ventricles,
        thalamus=thalamus,
        callosum=callosum,
        distance_mm=distance,
        place=place,
        model=model,
        checks=(*checks, *gates.experimental_checks(thalamus, callosum)),
    )


def _own_priors(
    flat: WorkImage,
    space: NDArray[np.bool_],
    priors: NDArray[np.float32],
    model: TissueModel,
) -> NDArray[np.float32]:
    """Return where this scan's own tissues lie, shape (3, i, j, k), smooth over a voxel."""
    shares = pure_shares(flat.values, inside=space, priors=priors, model=model)
    return np.stack([ndimage.gaussian_filter(share, 1.0) for share in shares])


def _thalamus(
    flat: WorkImage,
    fluid: NDArray[np.float32],
    place: BrainPlace,
    model: TissueModel,
    template: Template,
) -> Thalamus | None:
    """Find the thalami, or return None: the other structures do not depend on them."""
    try:
        return thalamus_find(
            flat.values,
            fluid=fluid,
            spacing_mm=flat.spacing_mm,
            matrix=place.matrix,
            means=model.means,
            spread=float(model.deviations[0]),
            template=template,
        )
    except EmptyStructure:
        return None


def _callosum(
    flat: WorkImage,
    space: NDArray[np.bool_],
    place: BrainPlace,
    model: TissueModel,
    deep: DeepMap,
    template: Template,
) -> Callosum | None:
    """Find the callosum, or return None: the other structures do not depend on it."""
    white, _, fluid = (np.float32(mean) for mean in model.means)
    tissue = np.where(space, np.clip(flat.values, np.float32(0.8) * fluid, white), fluid)
    plane = midplane_find(tissue, spacing_mm=flat.spacing_mm, matrix=place.matrix)
    try:
        return callosum_find(
            flat.values,
            plane=plane,
            spacing_mm=flat.spacing_mm,
            deep=deep,
            origin_mm=template.origin_mm,
            means=model.means,
            spread=float(model.deviations[0]),
        )
    except EmptyStructure:
        return None


def place_checks(
    whole: WorkImage, place: BrainPlace, template: Template
) -> tuple[QualityCheck, QualityCheck]:
    """Return the checks of coverage and registration; refuse early where they are hopeless."""
    coverage = gates.coverage_check(whole, place, template)
    matched = gates.registration_check(place)
    missing = float(coverage.value) if isinstance(coverage.value, float) else 1.0
    if matched.verdict is Verdict.FAIL or missing > 1 - gates.COVERED_REFUSE:
        raise NotMeasurable(
            "No whole brain was found in this scan: it does not match a T1-weighted head, or "
            "it shows only a part of it (a neck scan, for instance)."
        )
    return coverage, matched


def brain_box(whole: WorkImage, place: BrainPlace) -> tuple[WorkImage, BrainPlace]:
    """Cut the brain's box out of the scan; the map moves with it."""
    corners = np.array([[x, y, z, 1.0] for x in BOX_MNI_MM[0] for y in BOX_MNI_MM[1]
                        for z in BOX_MNI_MM[2]])  # fmt: skip
    spots = (corners @ place.matrix.T)[:, :3] / np.array(whole.spacing_mm)
    low = np.clip(np.floor(spots.min(axis=0)).astype(int), 0, None)
    high = np.minimum(np.ceil(spots.max(axis=0)).astype(int), whole.values.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    shift = np.eye(4)
    shift[:3, 3] = low * np.array(whole.spacing_mm)
    work = WorkImage(
        np.ascontiguousarray(whole.values[box]), whole.spacing_mm, whole.to_world @ shift
    )
    return work, BrainPlace(np.linalg.inv(shift) @ place.matrix, place.score)


def _puller(
    template: Template, place: BrainPlace, work: WorkImage
) -> Callable[[NDArray[np.float32], float], NDArray[np.float32]]:
    """Return a function that samples a template map at every voxel of the box."""
    matrix = np.linalg.inv(place.matrix) @ np.diag([*work.spacing_mm, 1.0])

    def pull(values: NDArray[np.float32], outside: float) -> NDArray[np.float32]:
        found = ndimage.affine_transform(
            values,
            matrix[:3, :3],
            offset=matrix[:3, 3] - template.origin_mm,
            output_shape=work.values.shape,
            order=1,
            cval=outside,
        )
        return np.asarray(found, dtype=np.float32)

    return pull


def _flattened(work: WorkImage, model: TissueModel) -> WorkImage:
    """Return the scan with its bias divided out."""
    values = work.values / bias_field(model.weights, work.values.shape)
    return WorkImage(values.astype(np.float32), work.spacing_mm, work.to_world)


def _deep_grey(work: WorkImage, place: BrainPlace) -> NDArray[np.bool_]:
    """Return a generous ellipsoid around basal ganglia and thalamus, in MNI space."""
    axes = [np.arange(n) * s for n, s in zip(work.values.shape, work.spacing_mm, strict=True)]
    inverse = np.linalg.inv(place.matrix).astype(np.float32)
    grids = np.meshgrid(*(axis.astype(np.float32) for axis in axes), indexing="ij", sparse=True)
    squared = np.zeros(work.values.shape, dtype=np.float32)
    for row, centre, radius in zip(inverse[:3], DEEP_CENTRE_MM, DEEP_RADIUS_MM, strict=True):
        along = sum((r * g for r, g in zip(row[:3], grids, strict=True)), start=row[3])
        squared += ((along - centre) / radius) ** 2
    return np.asarray(squared < 1.0)


def mni_height(work: WorkImage, place: BrainPlace) -> NDArray[np.float32]:
    """Return the MNI height (z, mm) of every voxel under the affine map."""
    row = np.linalg.inv(place.matrix)[2]
    height = np.full(work.values.shape, row[3], dtype=np.float32)
    for axis, (side, step) in enumerate(zip(work.values.shape, work.spacing_mm, strict=True)):
        view = [1, 1, 1]
        view[axis] = side
        height += (row[axis] * step * np.arange(side, dtype=np.float32)).reshape(view)
    return height


def _wall_settled(fractions: NDArray[np.float32], ventricles: Ventricles) -> None:
    """Give ventricles and wall their fluid; the rest keeps its ratio of white to grey.

    Choroid plexus, half as bright as grey matter, counts as fluid here.
    """
    wall = ventricles.wall | ventricles.region
    fluid = np.clip(ventricles.fluid[wall], 0.0, 1.0)
    tissue = fractions[0][wall] + fractions[1][wall]
    white = np.where(tissue > 0.05, fractions[0][wall] / np.maximum(tissue, 0.05), 0.5)
    # a mixture of white matter and fluid was taken for grey: at the wall white prevails
    white = np.where(fluid > 0.1, np.maximum(white, 0.5), white)
    fractions[0][wall] = (1.0 - fluid) * white
    fractions[1][wall] = (1.0 - fluid) * (1.0 - white)
    fractions[2][wall] = fluid


def _tissue_outside_brain_is_fluid(
    fractions: NDArray[np.float32], *, brain: NDArray[np.bool_], space: NDArray[np.bool_]
) -> None:
    """Give bright voxels away from the connected brain (vessels, sinus, dura) to fluid."""
    away = space & ~grown(brain, 2)
    fractions[0][away] = 0.0
    fractions[1][away] = 0.0
    fractions[2][away] = 1.0
