"""Measure the cervical cord of one scan: find, trace, place the level, average."""

from dataclasses import dataclass, field, replace

import numpy as np

from volumetry.core.cord.brainstem import Junction, junction_propose
from volumetry.core.cord.geometry import Array, Grid, grid_of
from volumetry.core.cord.given_mask import mask_profile, mask_shapes
from volumetry.core.cord.levels import (
    MIN_COVERED,
    STRUCTURE,
    WINDOW_MM,
    Projection,
    WindowMean,
    landmark_project,
    window_mean,
)
from volumetry.core.cord.locating import Located, cord_locate
from volumetry.core.cord.profile import Profile, profile_of
from volumetry.core.cord.tracing import Trace, refined, trace
from volumetry.core.cord.uncertainty import common_share, mean_area_error
from volumetry.core.errors import NotMeasurable
from volumetry.core.methods import CordRequest
from volumetry.core.types import (
    Landmark,
    LandmarkKind,
    Outcome,
    Quantity,
    ScanImage,
    Structure,
    StructureMeasure,
    Unit,
)

MAX_SLICE_MM = 20.0
MIN_SLICES = 3
MIN_FIELD_MM = 18.0
C2C3_TO_CORD_MM = 9.0
"""From the posterior edge of the C2-C3 disc back to the middle of the cord."""
PMJ_TO_CORD_MM = (12.0, 30.0)
"""From the pontomedullary notch back and down to the middle of the upper cord."""


@dataclass(frozen=True, slots=True)
class Level:
    """A landmark on this cord: where it projects to, who placed it."""

    landmark: Landmark
    projection: Projection
    placed_by: str
    junction: Junction | None = None


@dataclass(frozen=True, slots=True)
class CordMeasurement:
    """Everything that was learnt about the cord of one scan.

    ``profile``, ``traced`` and ``level`` are None when the scan gave none. ``window`` is the
    mean over the fixed stretch below the landmark, also when too little of it is covered.
    """

    outcome: Outcome
    reason: str | None
    grid: Grid
    located: Located | None = None
    traced: Trace | None = None
    profile: Profile | None = None
    level: Level | None = None
    window: WindowMean | None = None
    measures: tuple[StructureMeasure, ...] = ()
    notes: dict[str, object] = field(default_factory=dict)
    given_mask: ScanImage | None = None


def cord_measure(image: ScanImage, *, request: CordRequest) -> CordMeasurement:
    """Measure the cord; what cannot be measured is said in ``reason``, never guessed."""
    grid = grid_of(image)
    refusal = _geometry_refusal(grid, request)
    if refusal is not None:
        return CordMeasurement(Outcome.REFUSED, refusal, grid)
    if request.mask is not None:
        return _mask_measured(image, request.mask, grid, request)
    located = cord_locate(grid, contrast=request.contrast, hint_mm=request.hint_mm)
    if not located.is_trusted and request.landmark is not None and request.hint_mm is None:
        near = _hint_from(request.landmark)
        located = cord_locate(grid, contrast=request.contrast, hint_mm=near)
    traced = located.traced
    if not located.is_trusted or traced is None:
        outcome = Outcome.REFUSED if located.is_hopeless else Outcome.NEEDS_LANDMARK
        reason = f"{located.reason} If it shows a cord, click a point on it."
        return CordMeasurement(outcome, reason, grid, located)
    traced = refined(grid, traced)
    profile = profile_of(traced, is_trusted=True)
    if profile is None:
        outcome, reason = _unseen(is_shown=request.hint_mm is not None)
        return CordMeasurement(outcome, reason, grid, located, traced)
    measurement = CordMeasurement(
        Outcome.OK,
        None,
        grid,
        located,
        traced,
        profile,
        measures=_segment_measures(
            profile, common_share(grid, traced.blur_mm, traced.thin_fluid)
        ),
    )
    return _with_level(measurement, request)


def _mask_measured(
    image: ScanImage, mask: ScanImage, grid: Grid, request: CordRequest
) -> CordMeasurement:
    """Measure a mask made elsewhere instead of finding and contouring."""
    same = mask.intensities.shape == image.intensities.shape and np.allclose(
        mask.affine, image.affine, atol=1e-3
    )
    if not same:
        reason = "The mask does not lie on the voxel grid of the scan."
        return CordMeasurement(Outcome.REFUSED, reason, grid)
    mask_grid = grid_of(mask)
    try:
        shapes = mask_shapes(mask_grid)
    except NotMeasurable as error:
        return CordMeasurement(Outcome.REFUSED, str(error), grid)
    profile = mask_profile(mask_grid, shapes)
    traces = [trace(grid, profile.sections.centre_mm, polarity=sign) for sign in (1, -1)]
    traced = max(traces, key=lambda one: float(one.confidence.mean()))
    peaks = [shape.peak for shape in shapes.slices]
    values = np.unique(mask.intensities)
    notes: dict[str, object] = {
        "mask_is_soft": bool(len(values) > 2),
        "mask_slices_scaled_up": int(sum(peak < 0.999 for peak in peaks)),
    }
    measurement = CordMeasurement(
        Outcome.OK,
        None,
        grid,
        None,
        traced,
        profile,
        measures=_segment_measures(
            profile, common_share(grid, traced.blur_mm, traced.thin_fluid)
        ),
        notes=notes,
        given_mask=mask,
    )
    return _with_level(measurement, request)


def _unseen(*, is_shown: bool) -> tuple[Outcome, str]:
    """Say what to do with a cord of which hardly any edge can be measured.

    Whoever has clicked on the cord is not asked to click again.
    """
    found = (
        "Less than 10 mm of the cord can be measured: its edge is not visible all round, or "
        "the outline holds more than cord. "
    )
    if is_shown:
        return Outcome.REFUSED, found + "Give an outline of the cord as a mask."
    return Outcome.NEEDS_LANDMARK, found + "Click a point on the cord."


def _hint_from(landmark: Landmark) -> tuple[float, float, float]:
    """Guess a point on the cord from a landmark: behind the disc, or below the pons."""
    x, y, z = landmark.point_mm
    if landmark.kind is LandmarkKind.C2C3:
        return (x, y - C2C3_TO_CORD_MM, z)
    return (x, y - PMJ_TO_CORD_MM[0], z - PMJ_TO_CORD_MM[1])


def _geometry_refusal(grid: Grid, request: CordRequest) -> str | None:
    shape, spacing = np.asarray(grid.values.shape), grid.spacing_mm
    field_mm = shape * spacing
    if shape[2] < MIN_SLICES or min(field_mm[:2]) < MIN_FIELD_MM or min(shape) < MIN_SLICES:
        return (
            f"The scan is too small for a cord: {shape[0]} x {shape[1]} x {shape[2]} voxels, "
            f"{field_mm[0]:.0f} x {field_mm[1]:.0f} x {field_mm[2]:.0f} mm."
        )
    if spacing.max() > MAX_SLICE_MM:
        return f"Slices {spacing.max():.0f} mm apart are too far apart to measure a cord."
    for name, point in (
        ("hint", request.hint_mm),
        ("landmark", request.landmark.point_mm if request.landmark else None),
    ):
        if point is not None:
            outside = _distance_outside(grid, np.asarray(point))
            if outside > 30.0:
                return f"The {name} lies {outside:.0f} mm outside the scan."
    return None


def _distance_outside(grid: Grid, point_mm: Array) -> float:
    voxels = grid.voxels(point_mm)
    nearest = np.clip(voxels, -0.5, np.asarray(grid.values.shape) - 0.5)
    return float(np.linalg.norm((voxels - nearest) * grid.spacing_mm))


def _segment_measures(profile: Profile, share: float) -> tuple[StructureMeasure, ...]:
    """Mean area and volume over the whole measured stretch."""
    measured = profile.is_measured
    position = profile.sections.position_mm
    half = 0.5 * profile.sections.step_mm
    low, high = position[measured][0] - half, position[measured][-1] + half
    mean = window_mean(position, profile.area_mm2, low=float(low), high=float(high))
    error = mean_area_error(
        position[measured],
        profile.area_mm2[measured],
        share=share,
        length_mm=mean.length_mm,
    )
    return _area_and_volume(Structure.CORD_SEGMENT, mean, error)


def _area_and_volume(
    structure: Structure, mean: WindowMean, error: float
) -> tuple[StructureMeasure, ...]:
    return (
        StructureMeasure(structure, Quantity.MEAN_CSA, mean.mean_mm2, Unit.MM2, error),
        StructureMeasure(
            structure,
            Quantity.VOLUME,
            mean.mean_mm2 * mean.length_mm,
            Unit.MM3,
            error * mean.length_mm,
        ),
    )


def _with_level(measurement: CordMeasurement, request: CordRequest) -> CordMeasurement:
    """Place the window below the landmark, or say which click is missing."""
    level = _level_of(measurement, request)
    if level is None:
        return replace(
            measurement,
            outcome=Outcome.NEEDS_LANDMARK,
            reason="The cord was measured, but its level is unknown: click the posterior edge "
            "of the C2-C3 disc, or the pontomedullary junction.",
        )
    return _with_window(measurement, level)


def measurement_recast(measurement: CordMeasurement, profile: Profile) -> CordMeasurement:
    """Average again over another profile of the same cord, at the level that was found."""
    assert measurement.traced is not None
    traced = measurement.traced
    share = common_share(measurement.grid, traced.blur_mm, traced.thin_fluid)
    recast = replace(
        measurement,
        profile=profile,
        window=None,
        measures=_segment_measures(profile, share),
    )
    if measurement.level is None:
        return recast
    return _with_window(replace(recast, outcome=Outcome.OK, reason=None), measurement.level)


def _with_window(measurement: CordMeasurement, level: Level) -> CordMeasurement:
    """Average over the fixed stretch below a level, or say what of it is missing."""
    assert measurement.profile is not None
    assert measurement.traced is not None
    profile, kind = measurement.profile, level.landmark.kind
    traced = measurement.traced
    share = common_share(measurement.grid, traced.blur_mm, traced.thin_fluid)
    if not level.projection.is_plausible(kind, profile.sections):
        return replace(
            measurement,
            level=level,
            outcome=Outcome.NEEDS_LANDMARK,
            reason=f"The landmark lies {level.projection.distance_mm:.0f} mm from the cord's "
            "course and cannot be right; click it again.",
        )
    low, high = (level.projection.position_mm + edge for edge in WINDOW_MM[kind])
    window = window_mean(profile.sections.position_mm, profile.area_mm2, low=low, high=high)
    measurement = replace(measurement, level=level, window=window)
    if window.covered < MIN_COVERED:
        return replace(
            measurement,
            outcome=Outcome.REFUSED,
            reason=f"Only {100 * window.covered:.0f} % of the stretch {WINDOW_WORDS[kind]} is "
            "covered or has a visible cord edge; the visible stretch was measured.",
        )
    error = mean_area_error(
        profile.sections.position_mm[window.used],
        profile.area_mm2[window.used],
        share=share,
        length_mm=window.length_mm,
    )
    measures = measurement.measures + _area_and_volume(STRUCTURE[kind], window, error)
    return replace(measurement, measures=measures)


WINDOW_WORDS = {
    LandmarkKind.PMJ: "54-74 mm below the pontomedullary junction",
    LandmarkKind.C2C3: "from 16 mm above to 18 mm below the C2-C3 disc",
}


def _level_of(measurement: CordMeasurement, request: CordRequest) -> Level | None:
    """Take the landmark of the request, or propose the pontomedullary junction."""
    traced, profile = measurement.traced, measurement.profile
    assert traced is not None
    assert profile is not None
    if request.landmark is not None:
        landmark, placed_by, junction = request.landmark, "request", None
    else:
        # The way to the brainstem leads through what the profile may have left out on top.
        whole = profile_of(traced) if measurement.given_mask is None else profile
        junction = junction_propose(measurement.grid, traced, whole or profile)
        if junction is None:
            return None
        x, y, z = (float(value) for value in junction.point_mm)
        landmark, placed_by = Landmark(LandmarkKind.PMJ, (x, y, z)), "proposed, not confirmed"
    if measurement.given_mask is not None:
        onto = landmark_project(landmark, profile.sections)
        return Level(landmark, onto, placed_by, junction)
    on_trace = landmark_project(landmark, traced.sections)
    from_top = on_trace.position_mm - traced.sections.position_mm[profile.first]
    return Level(
        landmark, Projection(float(from_top), on_trace.distance_mm), placed_by, junction
    )
