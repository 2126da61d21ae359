"""The cord engine against drawn cords of known area, and the laws it must keep.

Tolerances are those that benchmarks/cord_report.py reached on other seeds, rounded up
(docs/cord.md).
"""

from dataclasses import replace

import numpy as np
import pytest

from tests.volumetry.phantoms.cord_tube import T1, T2, CordTube, tube_image
from volumetry.core.cord.content import rows_lost
from volumetry.core.cord.contour import ANGLES, THETA, diameters, outline_area
from volumetry.core.cord.engine import cord_measure
from volumetry.core.cord.geometry import curve_fit, grid_of, sections_along
from volumetry.core.cord.judging import judge
from volumetry.core.cord.levels import window_mean
from volumetry.core.cord.medialness import lanes_sort
from volumetry.core.cord.profile import CONFIDENCE_LIMIT, sections_slice
from volumetry.core.cord.quality import cord_quality
from volumetry.core.cord.tracing import refined, trace
from volumetry.core.methods import CordRequest
from volumetry.core.types import (
    Landmark,
    LandmarkKind,
    Outcome,
    Quantity,
    ScanImage,
    Structure,
    Verdict,
)

UP = np.array([0.0, 0.0, 1.0])
SHORT = CordTube(length_mm=44.0, field_mm=40.0)


def measured(image: ScanImage, **request):
    return cord_measure(image, request=CordRequest(**request))


def segment_area(result) -> float:
    return next(m.value for m in result.measures if m.quantity is Quantity.MEAN_CSA)


@pytest.mark.parametrize("contrast", [T2, T1], ids=["T2", "T1"])
@pytest.mark.parametrize("tilt", [0.0, 20.0])
def test_the_area_of_a_drawn_cord_is_read_within_two_percent(contrast, tilt):
    tube = replace(SHORT, tilt_degrees=tilt)
    image = tube_image(tube, contrast=contrast, noise=0.1, blur_sigma_mm=0.4, seed=71)
    assert segment_area(measured(image)) == pytest.approx(tube.area_mm2, rel=0.02)


def test_blur_of_the_scanner_does_not_shrink_the_cord():
    sharp, soft = (
        segment_area(measured(tube_image(SHORT, blur_sigma_mm=blur, noise=0.05, seed=72)))
        for blur in (0.3, 0.6)
    )
    assert soft == pytest.approx(sharp, rel=0.02)


def test_thin_fluid_behind_the_cord_is_allowed_for_and_said():
    tube = replace(SHORT, lost_dorsal_fluid_mm=2.0)
    drawn = measured(tube_image(tube, blur_sigma_mm=0.4, noise=0.1, seed=80))
    even = measured(tube_image(SHORT, blur_sigma_mm=0.4, noise=0.1, seed=80))
    assert segment_area(drawn) == pytest.approx(tube.area_mm2, rel=0.02)
    checks = [
        {c.name: c for c in cord_quality(one)}["thin_fluid_share"] for one in (drawn, even)
    ]
    assert [check.verdict for check in checks] == [Verdict.WARN, Verdict.PASS]
    errors = [one.measures[0].standard_error for one in (drawn, even)]
    assert errors[0] > 2.0 * errors[1]


def test_a_section_whose_outline_holds_fluid_loses_its_confidence():
    image = tube_image(SHORT, noise=0.05, blur_sigma_mm=0.3, seed=81)
    traced = measured(image).traced
    leaked = np.array(traced.outline_mm)
    behind = np.sin(THETA) < -0.3
    leaked[10:14, behind] += 2.6
    again = refined(grid_of(image), replace(traced, outline_mm=leaked))
    assert (again.confidence[11:13] < CONFIDENCE_LIMIT).all()
    assert (again.confidence[20:30] > CONFIDENCE_LIMIT).all()


def test_a_canal_taken_for_a_cord_is_held_against_it():
    """On T2 the canal is a bright tube too; what its outline holds tells it from a cord."""
    thin = replace(SHORT, rl_mm=10.1, ap_mm=6.56, fluid_mm=2.6)
    image = tube_image(thin, noise=0.05, blur_sigma_mm=0.3, seed=82)
    grid, points = grid_of(image), np.linspace([0.0, 0.0, 18.0], [0.0, 0.0, -18.0], 13)
    canal, cord = (
        judge(trace(grid, points, polarity=sign), medialness=9.0, midline_offset_mm=None)
        for sign in (1, -1)
    )
    assert canal.looks["content"] < -1.0
    assert cord.looks["content"] == 0.0
    assert cord.evidence > canal.evidence + 1.0


@pytest.mark.parametrize(
    ("narrow_mm", "kept_from"), [(40, (40, 50)), (8, (0, 0))], ids=["for good", "in passing"]
)
def test_what_lies_above_a_lasting_loss_of_area_is_not_cord(narrow_mm, kept_from):
    rows = np.arange(100)
    area = np.where(rows < 40, np.where(rows >= 40 - narrow_mm, 50.0, 90.0), 90.0)
    line = curve_fit(np.linspace([0.0, 0.0, 50.0], [0.0, 0.0, -50.0], 21), up=UP, knot_mm=20.0)
    sections = sections_along(line, step_mm=1.0, right=np.array([1.0, 0.0, 0.0]))
    sections = sections_slice(sections, 0, 100)
    first = rows_lost(area, np.ones(100, dtype=np.bool_), sections)
    assert kept_from[0] <= first <= kept_from[1]


def test_diameters_are_those_of_the_drawn_ellipse():
    result = measured(tube_image(SHORT, noise=0.05, blur_sigma_mm=0.3, seed=73))
    assert np.nanmedian(result.profile.ap_mm) == pytest.approx(8.2, abs=0.2)
    assert np.nanmedian(result.profile.rl_mm) == pytest.approx(12.6, abs=0.25)


def test_storing_the_array_in_another_order_changes_nothing():
    image = tube_image(SHORT, noise=0.05, seed=74)
    turned = ScanImage(
        np.ascontiguousarray(image.intensities.transpose(2, 1, 0)[:, ::-1]),
        image.affine[:, [2, 1, 0, 3]]
        @ np.array(
            [
                [1, 0, 0, 0],
                [0, -1, 0, image.intensities.shape[1] - 1],
                [0, 0, 1, 0],
                [0, 0, 0, 1.0],
            ]
        ),
    )
    assert segment_area(measured(turned)) == pytest.approx(segment_area(measured(image)))


def test_scaling_all_intensities_changes_nothing():
    image = tube_image(SHORT, noise=0.05, seed=75)
    louder = replace(image, intensities=image.intensities * np.float32(37.5))
    assert segment_area(measured(louder)) == pytest.approx(
        segment_area(measured(image)), rel=1e-3
    )


def test_the_input_is_never_changed():
    image = tube_image(SHORT, noise=0.05, seed=76)
    before = image.intensities.copy()
    measured(image)
    assert np.array_equal(image.intensities, before)


def test_thick_axial_slices_are_measured_in_their_planes_and_flagged():
    tube = replace(SHORT, tilt_degrees=10.0, length_mm=60.0)
    image = tube_image(tube, spacing_mm=(0.7, 0.7, 5.0), noise=0.1, seed=77)
    result = measured(image)
    assert result.grid.is_thick_axial
    assert segment_area(result) == pytest.approx(tube.area_mm2, rel=0.02)


def test_a_window_outside_the_scan_is_refused_and_says_how_much_is_covered():
    image = tube_image(SHORT, noise=0.05, seed=78)
    landmark = Landmark(LandmarkKind.PMJ, (0.0, 8.0, 30.0))
    result = measured(image, landmark=landmark)
    assert result.outcome is Outcome.REFUSED
    assert "%" in result.reason
    assert {m.structure for m in result.measures} == {Structure.CORD_SEGMENT}


def test_a_landmark_far_from_the_cord_is_not_believed():
    image = tube_image(
        CordTube(length_mm=44.0, field_mm=110.0), noise=0.05, seed=79, subdivision=2
    )
    landmark = Landmark(LandmarkKind.C2C3, (50.0, 40.0, 0.0))
    result = measured(image, landmark=landmark)
    assert result.outcome is Outcome.NEEDS_LANDMARK
    assert Structure.CORD_C2_C3 not in {m.structure for m in result.measures}


def test_lanes_are_sorted_as_columns_are():
    values = np.random.default_rng(5).normal(size=(16, 3, 40)).astype(np.float32)
    values[3] = values[9]  # equal values keep their number
    expected = np.sort(values, axis=0)
    assert np.array_equal(np.stack(lanes_sort(values)), expected)


def test_the_polygon_area_of_a_circle_is_exact():
    outline = np.full((3, ANGLES), 5.0)
    assert outline_area(outline) == pytest.approx(25.0 * np.pi)


def test_diameters_follow_a_turned_ellipse():
    turn = np.radians(25.0)
    angle = THETA - turn
    outline = 1.0 / np.sqrt((np.cos(angle) / 6.0) ** 2 + (np.sin(angle) / 4.0) ** 2)
    ap, rl = diameters(outline[None])
    assert ap[0] == pytest.approx(8.0, abs=0.05)  # 48 rays miss the exact apex
    assert rl[0] == pytest.approx(12.0, abs=0.05)


def test_a_window_mean_is_the_integral_of_the_profile():
    position = np.arange(0.0, 41.0)
    mean = window_mean(position, 60.0 + position, low=10.3, high=30.3)
    assert mean.mean_mm2 == pytest.approx(80.3, abs=1e-6)
    assert mean.covered == 1.0


def test_missing_sections_lower_the_coverage_not_the_mean():
    position = np.arange(0.0, 41.0)
    area = np.where((position > 18) & (position < 24), np.nan, 75.0)
    mean = window_mean(position, area, low=10.0, high=30.0)
    assert mean.mean_mm2 == pytest.approx(75.0)
    assert mean.covered == pytest.approx(0.75, abs=0.05)


def test_nothing_measured_is_not_zero():
    position = np.arange(0.0, 10.0)
    mean = window_mean(position, np.full(10, np.nan), low=2.0, high=8.0)
    assert np.isnan(mean.mean_mm2)
    assert mean.covered == 0.0


@pytest.mark.parametrize(
    ("hint", "outcome", "ask"),
    [(None, Outcome.NEEDS_LANDMARK, "Click"), ((0.0, 0.0, 0.0), Outcome.REFUSED, "mask")],
)
def test_whoever_has_clicked_is_not_asked_to_click_again(
    monkeypatch: pytest.MonkeyPatch, hint, outcome, ask
) -> None:
    monkeypatch.setattr("volumetry.core.cord.engine.profile_of", lambda traced, **_: None)
    image = tube_image(SHORT, contrast=T2, seed=7)
    result = measured(image, hint_mm=hint)
    assert result.outcome is outcome
    assert ask in str(result.reason)
    assert not result.measures
