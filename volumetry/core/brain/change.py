"""Percent brain volume change between two visits by boundary shift.

Boundary shift integral: Freeborough & Fox 1997, IEEE Trans Med Imaging 16:623,
doi 10.1109/42.640753; two-sided window and intensity matching after Leung et al. 2010,
NeuroImage 50:516, doi 10.1016/j.neuroimage.2009.12.059.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.brain.halfway import (
    HalfwayMap,
    HalfwayVisit,
    halfway_grid,
    halfway_map,
    halfway_visit,
    inverse,
)
from volumetry.core.brain.regional import RegionalChange, regional_changes
from volumetry.core.brain.segmentation import BrainSegmentation
from volumetry.core.brain.skull import eroded, grown
from volumetry.core.errors import NotMeasurable
from volumetry.core.types import Structure

BAND_VOXELS = 2
BIAS_SIGMA_MM, BIAS_STEP = 12.0, 3
WHITE_SIGMA = 0.7
"""Smoothing (voxels) before white matter is told from grey: noise must not pick the voxels."""
WHITE = 100.0
"""Intensity to which white matter is scaled half-way."""
REGIONS_ABOVE = 0.3
"""For the deformation intensities are clipped at white plus this share of white minus grey."""
WINDOWS = {"full": (0.05, 0.95), "narrow": (0.35, 0.65)}
"""Intensity windows between fluid (0) and grey matter (1), or white matter for the ventricles.

The narrow one is the measure: around the half level a moved edge is counted in full, whatever
the grey level next to it is. Towards grey the wide one loses what lies below its upper level,
towards fluid what a sulcus of two voxels, which never gets as dark as fluid, gains in width.
"""


@dataclass(frozen=True, slots=True)
class BrainChange:
    """Change from the first to the second visit, negative for loss.

    Attributes
    ----------
    percent : float
        Percent brain volume change, rigid (no scale correction), narrow window.
    percent_full : float
        The same with the wide window.
    percent_scaled : float
        ``percent`` corrected by the skull's scale.
    forward, backward : float
        Boundary shift with the band and means of the first, and of the second visit only
        (backward is measured from second to first and negated).
    independent : float
        Percent difference of the two segmentations.
    ventricles_percent : float
        Percent change of the lateral ventricles by the shift of their walls.
    ventricles_forward, ventricles_backward : float
        The same around the first, and around the second visit's ventricles only.
    ventricles_independent : float
        Percent change of lateral ventricular fluid by the two segmentations.
    intracranial_percent : float
        Percent difference of the two intracranial volumes.
    regions : tuple of RegionalChange
        Ventricles, thalamus and callosum by the deformation, those found at both visits.
    map : HalfwayMap
        How the visits were aligned.
    """

    percent: float
    percent_full: float
    percent_scaled: float
    forward: float
    backward: float
    independent: float
    ventricles_percent: float
    ventricles_forward: float
    ventricles_backward: float
    ventricles_independent: float
    intracranial_percent: float
    regions: tuple[RegionalChange, ...]
    map: HalfwayMap


@dataclass(frozen=True, slots=True)
class HalfwayPair:
    """Both visits on the half-way grid, intensities matched (white matter near 100)."""

    before: HalfwayVisit
    after: HalfwayVisit
    fluid: tuple[float, float]
    grey: tuple[float, float]


def brain_change(
    before: BrainSegmentation, after: BrainSegmentation
) -> tuple[BrainChange, HalfwayPair]:
    """Measure the change between two segmented visits.

    Raises
    ------
    NotMeasurable
        If the two scans cannot be brought into agreement.
    """
    maps = halfway_map(before, after)
    pair = _pair(before, after, maps)
    masks = [visit.parenchyma > 0.5 for visit in (pair.before, pair.after)]
    overlap = 2 * np.count_nonzero(masks[0] & masks[1]) / (masks[0].sum() + masks[1].sum())
    if overlap < 0.8:
        raise NotMeasurable("The two scans could not be aligned: are they of the same person?")
    shared = (pair.before.parenchyma + pair.after.parenchyma) / 2 > 0.5
    levels = ((pair.fluid[0] + pair.fluid[1]) / 2, (pair.grey[0] + pair.grey[1]) / 2)
    band = _band(pair, shared)
    volumes = {
        name: _shift(pair, band=band, levels=levels, window=window)
        for name, window in WINDOWS.items()
    }
    size = float(pair.before.parenchyma.sum() + pair.after.parenchyma.sum()) / 2
    percents = {name: _percent(moved, size) for name, moved in volumes.items()}
    one_sided = [
        _percent(
            _shift(
                pair,
                band=_band(pair, mask),
                levels=(pair.fluid[i], pair.grey[i]),
                window=WINDOWS["narrow"],
            ),
            size,
        )
        for i, mask in enumerate(masks)
    ]
    first, second = _volumes(before), _volumes(after)
    percent = percents["narrow"]
    walls = _ventricles(pair)
    change = BrainChange(
        percent=percent,
        percent_full=percents["full"],
        percent_scaled=100 * ((1 + percent / 100) / maps.skull_scale - 1),
        forward=one_sided[0],
        backward=one_sided[1],
        independent=100 * (second[0] / first[0] - 1),
        ventricles_percent=walls[0],
        ventricles_forward=walls[1],
        ventricles_backward=walls[2],
        ventricles_independent=100 * (second[1] / first[1] - 1),
        intracranial_percent=100 * (second[2] / first[2] - 1),
        regions=_regions(pair, _normal(before, after, maps)),
        map=maps,
    )
    return change, pair


def _ventricles(pair: HalfwayPair) -> tuple[float, float, float]:
    """Return the percent change of the lateral ventricles: both visits, first, second only.

    The walls are white matter (intensities are scaled to 100 there): what the bright side loses
    the ventricles gain.
    """
    fluids = (pair.before.ventricles, pair.after.ventricles)
    mean = (fluids[0] + fluids[1]) / 2
    size = float(mean.sum(dtype=np.float64))
    level = (pair.fluid[0] + pair.fluid[1]) / 2
    tried = ((mean, level), (fluids[0], pair.fluid[0]), (fluids[1], pair.fluid[1]))
    gained = [
        -_shift(
            pair, band=_band(pair, fluid > 0.5), levels=(dark, WHITE), window=WINDOWS["narrow"]
        )
        for fluid, dark in tried
    ]
    both, first, second = (_percent(moved, size) for moved in gained)
    return both, first, second


def _regions(
    pair: HalfwayPair, normal: NDArray[np.float64] | None
) -> tuple[RegionalChange, ...]:
    """Return the change of the deep structures by the deformation."""
    visits = (pair.before, pair.after)
    dark, grey = (sum(levels) / 2 for levels in (pair.fluid, pair.grey))
    bright = WHITE + REGIONS_ABOVE * (WHITE - grey)
    first, second = (
        (np.clip(visit.values, dark, bright) / np.float32(WHITE - dark)).astype(np.float32)
        for visit in visits
    )
    regions = {
        Structure.LATERAL_VENTRICLES: [np.clip(v.ventricles, 0.0, 1.0) for v in visits],
        Structure.THALAMUS: [v.thalamus for v in visits],
        Structure.CORPUS_CALLOSUM: [np.clip(v.callosum, 0.0, 1.0) for v in visits],
    }
    shared = {
        name: ((one + other) / 2).astype(np.float32)
        for name, (one, other) in regions.items()
        if one.any() and other.any()
    }
    return regional_changes(first, second, regions=shared, normal=normal)


def _normal(
    before: BrainSegmentation, after: BrainSegmentation, maps: HalfwayMap
) -> NDArray[np.float64] | None:
    """Return the normal of the mid-sagittal plane in the half-way space, the mean of both."""
    if before.callosum is None or after.callosum is None:
        return None
    half = maps.half()
    first = half[:3, :3] @ before.flat.to_world[:3, :3] @ before.callosum.plane.normal
    second = inverse(half)[:3, :3] @ after.flat.to_world[:3, :3] @ after.callosum.plane.normal
    mean = first + second
    return np.asarray(mean / np.linalg.norm(mean), dtype=np.float64)


def _volumes(seg: BrainSegmentation) -> tuple[float, float, float]:
    """Return parenchyma, ventricles and intracranial volume, mm³."""
    voxel = seg.flat.voxel_volume_mm3
    sums = (seg.parenchyma, seg.ventricles.fluid, seg.intracranial)
    brain, ventricles, space = (float(a.sum(dtype=np.float64)) * voxel for a in sums)
    return brain, ventricles, space


def _percent(moved_mm3: float, size_mm3: float) -> float:
    """Return percent of the first volume, from the difference and the mean of both."""
    return 100.0 * moved_mm3 / (size_mm3 - moved_mm3 / 2)


def _pair(before: BrainSegmentation, after: BrainSegmentation, maps: HalfwayMap) -> HalfwayPair:
    """Sample both visits half-way and match their intensities, half the step each."""
    grid, shape = halfway_grid(before, after, maps)
    half = maps.half()
    first = halfway_visit(before, inverse(half), grid, shape)
    second = halfway_visit(after, half, grid, shape)
    scales = [float(WHITE / seg.model.means[0]) for seg in (before, after)]
    values = [
        np.maximum(v.values * np.float32(s), np.float32(0.5))
        for v, s in zip((first, second), scales, strict=True)
    ]
    greys = [
        float(seg.model.means[1]) * s for seg, s in zip((before, after), scales, strict=True)
    ]
    core = eroded((first.parenchyma > 0.95) & (second.parenchyma > 0.95), 1)
    core = _white_core(core, values, level=(WHITE + sum(greys) / 2) / 2)
    if np.count_nonzero(core) < 10_000:
        raise NotMeasurable("The two scans could not be aligned: are they of the same person?")
    step, middle = _intensity_step(values, core)
    step *= np.float32(0.5)
    matched = [values[0] * np.exp(step), values[1] * np.exp(-step)]
    factors = (float(np.exp(middle / 2)), float(np.exp(-middle / 2)))
    levels = [
        (float(seg.model.means[2]) * s * f, grey * f)
        for seg, s, grey, f in zip((before, after), scales, greys, factors, strict=True)
    ]
    return HalfwayPair(
        before=_with_values(first, matched[0]),
        after=_with_values(second, matched[1]),
        fluid=(levels[0][0], levels[1][0]),
        grey=(levels[0][1], levels[1][1]),
    )


def _white_core(
    core: NDArray[np.bool_], values: list[NDArray[np.float32]], *, level: float
) -> NDArray[np.bool_]:
    """Return the white matter of both visits, a voxel inside its border, of what is brain.

    Intensities are matched there and nowhere else. Where the border of white and grey matter
    moves, a voxel changes its tissue, and a ratio taken over it counts a part of the loss as a
    difference of the scanners: with the border in, a twentieth of the loss was matched away.
    """
    mean = ndimage.gaussian_filter((values[0] + values[1]) / 2, WHITE_SIGMA)
    return eroded(core & (mean > level), 1)


def _intensity_step(
    values: list[NDArray[np.float32]], core: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], float]:
    """Return the smooth log ratio of the visits' intensities, and its median in the core."""
    ratio = np.log(values[1])
    ratio -= np.log(values[0])
    middle = float(np.median(ratio[core]))
    ratio -= np.float32(middle)
    np.clip(ratio, -0.4, 0.4, out=ratio)
    return _smooth_in_core(ratio, core) + np.float32(middle), middle


def _with_values(visit: HalfwayVisit, values: NDArray[np.float32]) -> HalfwayVisit:
    """Return the visit with other intensities."""
    return replace(visit, values=values.astype(np.float32))


def _smooth_in_core(field: NDArray[np.float32], core: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a Gaussian mean over the core only, carried to every voxel."""
    # the sums are smooth over 12 mm: blocks of 3 mm hold all there is to know, 27 times faster
    sides = [-side % BIAS_STEP for side in core.shape]
    pad = [(0, side) for side in sides]
    sigma = BIAS_SIGMA_MM / BIAS_STEP
    sums = [
        ndimage.gaussian_filter(_blocks(np.pad(values, pad)), sigma, truncate=2.5)
        for values in (core.astype(np.float32), np.where(core, field, np.float32(0)))
    ]
    coarse = sums[1] / np.maximum(sums[0], 1e-4)
    fine = ndimage.zoom(coarse, BIAS_STEP, order=1, grid_mode=True, mode="nearest")
    return np.asarray(fine[tuple(slice(0, side) for side in core.shape)], dtype=np.float32)


def _blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of cubes of voxels."""
    i, j, k = (side // BIAS_STEP for side in values.shape)
    cubes = values.reshape(i, BIAS_STEP, j, BIAS_STEP, k, BIAS_STEP)
    return np.asarray(cubes.mean(axis=(1, 3, 5)), dtype=np.float32)


def _band(pair: HalfwayPair, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels next to a mask's boundary, within the skull."""
    band = grown(mask, BAND_VOXELS) & ~eroded(mask, BAND_VOXELS)
    band &= (pair.before.intracranial + pair.after.intracranial) > 0.5
    return band


def _shift(
    pair: HalfwayPair,
    *,
    band: NDArray[np.bool_],
    levels: tuple[float, float],
    window: tuple[float, float],
) -> float:
    """Return the volume gained in the boundary band, mm³ (the grid is 1 mm)."""
    fluid, grey = levels
    low, high = (fluid + part * (grey - fluid) for part in window)
    first, second = (
        np.clip((visit.values[band] - low) / (high - low), 0.0, 1.0).sum(dtype=np.float64)
        for visit in (pair.before, pair.after)
    )
    return float(second - first)
