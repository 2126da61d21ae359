"""Quality checks of a cord measurement, each with a sentence for the clinic."""

import numpy as np
from scipy import ndimage

from volumetry.core.cord.engine import WINDOW_WORDS, CordMeasurement, Level
from volumetry.core.cord.geometry import THICK_SLICE_MM
from volumetry.core.cord.levels import MAX_LANDMARK_DISTANCE_MM, MIN_COVERED
from volumetry.core.cord.locating import EVIDENCE_LIMIT, MARGIN_LIMIT
from volumetry.core.cord.profile import Profile
from volumetry.core.cord.uncertainty import CLEAR_BLUR_MM
from volumetry.core.types import QualityCheck, Verdict

MAX_ANGLE_DEGREES = 30.0
GOOD_CONFIDENCE = 0.7
MAX_SCATTER_PERCENT = (4.0, 8.0)
"""Area against its own smooth course: warn, fail. Cords change slowly along their length; a
contour that leaks to the dura jumps."""
CLEAR_NOTCH_MM = 2.0
EVEN_FLUID = 0.15
"""Share of the rim with thin fluid beside it that is usual."""
SIDE_BIAS_WORDS = "between 7 % low and 6 % high"
"""Drawn cords of 3 x 1 x 1 mm, all slice phases (docs/cord.md)."""


def cord_quality(measurement: CordMeasurement) -> tuple[QualityCheck, ...]:
    """Say everything the run could see about how far its numbers can be trusted."""
    checks = [*_finding_checks(measurement), *_geometry_checks(measurement)]
    if measurement.given_mask is not None:
        checks.append(_mask_check(measurement))
    if measurement.profile is not None:
        checks += _profile_checks(measurement)
    if measurement.level is not None:
        checks.append(_landmark_check(measurement.level))
    if measurement.window is not None:
        checks.append(_coverage_check(measurement))
    return tuple(checks)


def _finding_checks(measurement: CordMeasurement) -> list[QualityCheck]:
    located = measurement.located
    if located is None:
        return []
    sign = "brighter" if located.polarity > 0 else "darker"
    evidence, margin = located.evidence, located.margin
    hinted = " with a click" if located.is_hinted else ""
    trusted = evidence > EVIDENCE_LIMIT
    return [
        QualityCheck(
            "cord_evidence",
            round(evidence, 2),
            EVIDENCE_LIMIT,
            Verdict.PASS if trusted else Verdict.WARN if located.is_trusted else Verdict.FAIL,
            f"The cord was found{hinted}."
            if located.is_trusted and trusted
            else f"The cord was found only by the click; look at the picture. {located.reason}"
            if located.is_trusted
            else located.reason,
        ),
        QualityCheck(
            "cord_margin",
            round(margin, 2),
            MARGIN_LIMIT,
            Verdict.PASS
            if margin > MARGIN_LIMIT
            else Verdict.WARN
            if located.is_hinted
            else Verdict.FAIL,
            f"The cord is {sign} than the fluid; the next structure that resembles one is "
            f"{margin:.1f} behind in log evidence.",
        ),
    ]


def _geometry_checks(measurement: CordMeasurement) -> list[QualityCheck]:
    spacing = measurement.grid.spacing_mm
    axis = measurement.grid.slice_axis
    thickest = float(spacing.max())
    names = {0: "sagittal", 1: "coronal", 2: "axial"}
    thick = thickest >= THICK_SLICE_MM
    sentence = f"Voxels of {spacing[0]:.2f} x {spacing[1]:.2f} x {spacing[2]:.2f} mm."
    if thick and axis == 2:
        sentence += " Thick axial slices are measured in their own planes."
    elif thick and axis is not None:
        sentence += (
            f" Thick {names[axis]} slices blur the cord's sides: drawn cords of 3 mm slices "
            f"are read {SIDE_BIAS_WORDS}, by where the slices fall. Such scans are a series "
            "of their own."
        )
    return [
        QualityCheck(
            "slice_thickness_mm",
            round(thickest, 2),
            THICK_SLICE_MM,
            Verdict.WARN if thick else Verdict.PASS,
            sentence,
        )
    ]


def area_scatter_percent(profile: Profile) -> float:
    """Root mean square of area against its course over 10 mm, percent of the mean."""
    area = profile.area_mm2[profile.is_measured]
    if len(area) < 4:
        return 0.0
    course = ndimage.gaussian_filter1d(area, 10.0 / profile.sections.step_mm, mode="nearest")
    return float(100.0 * np.std(area - course) / np.mean(area))


def _scatter_check(profile: Profile) -> QualityCheck:
    scatter = area_scatter_percent(profile)
    warn, fail = MAX_SCATTER_PERCENT
    verdict = Verdict.PASS if scatter <= warn else Verdict.WARN
    words = "as a cord does" if scatter <= warn else "the contour may have leaked to the dura"
    return QualityCheck(
        "area_scatter_percent",
        round(scatter, 2),
        fail if scatter > fail else warn,
        Verdict.FAIL if scatter > fail else verdict,
        f"Area scatters by {scatter:.1f} % about its smooth course along the cord: {words}.",
    )


def _profile_checks(measurement: CordMeasurement) -> list[QualityCheck]:
    profile = measurement.profile
    assert profile is not None
    left_out = int((~profile.is_measured).sum())
    confidence = float(np.mean(profile.confidence[profile.is_measured]))
    angle = profile.angle_degrees
    length = profile.length_mm
    return [
        QualityCheck(
            "edge_confidence",
            round(confidence, 2),
            GOOD_CONFIDENCE,
            Verdict.PASS if confidence >= GOOD_CONFIDENCE else Verdict.WARN,
            f"Mean confidence of the cord's edge is {confidence:.2f} (1 is best).",
        ),
        QualityCheck(
            "sections_left_out",
            left_out,
            round(0.1 * len(profile.sections)),
            Verdict.PASS if left_out <= 0.1 * len(profile.sections) else Verdict.WARN,
            f"{left_out} of {len(profile.sections)} cross-sections have no visible edge all "
            "round, or an outline that holds more than cord, and were left out; "
            f"{length:.0f} mm of cord are visible.",
        ),
        QualityCheck(
            "cord_angle_degrees",
            round(angle, 1),
            MAX_ANGLE_DEGREES,
            Verdict.PASS if angle <= MAX_ANGLE_DEGREES else Verdict.WARN,
            f"The cord runs {angle:.0f} degrees off the slice normal; areas are corrected.",
        ),
        _scatter_check(profile),
        *_blur_checks(measurement),
        *_thin_fluid_checks(measurement),
    ]


def _blur_checks(measurement: CordMeasurement) -> list[QualityCheck]:
    blur = measurement.traced.blur_mm if measurement.traced else None
    if blur is None:
        return []
    words = (
        "the fluid around the cord is sharp enough"
        if blur <= CLEAR_BLUR_MM
        else "it fills the ring of fluid, so the area is read low by up to 8 % and its "
        "standard error is widened. Motion or a smoothing filter may be the cause"
    )
    return [
        QualityCheck(
            "scanner_blur_mm",
            round(blur, 2),
            CLEAR_BLUR_MM,
            Verdict.PASS if blur <= CLEAR_BLUR_MM else Verdict.WARN,
            f"Blur beyond the voxels is {blur:.2f} mm (standard deviation): {words}.",
        )
    ]


def _thin_fluid_checks(measurement: CordMeasurement) -> list[QualityCheck]:
    traced = measurement.traced
    if traced is None or traced.blur_mm is None:
        return []
    share = traced.thin_fluid
    words = (
        "the ring of fluid is even"
        if share <= EVEN_FLUID
        else "where it is that thin its level is not reached, so the area can be read up to "
        "2 % low and its standard error is widened"
    )
    return [
        QualityCheck(
            "thin_fluid_share",
            round(share, 2),
            EVEN_FLUID,
            Verdict.PASS if share <= EVEN_FLUID else Verdict.WARN,
            f"Beside {100 * share:.0f} % of the cord's edge the fluid is much thinner than "
            f"elsewhere: {words}.",
        )
    ]


def _mask_check(measurement: CordMeasurement) -> QualityCheck:
    scaled = measurement.notes["mask_slices_scaled_up"]
    assert isinstance(scaled, int)
    return QualityCheck(
        "mask_slices_scaled_up",
        scaled,
        0,
        Verdict.PASS if scaled == 0 else Verdict.WARN,
        f"The given mask was measured; {scaled} slices whose highest value is below 1 were "
        "scaled up to 1.",
    )


def _landmark_check(level: Level) -> QualityCheck:
    distance = round(level.projection.distance_mm, 1)
    limit = MAX_LANDMARK_DISTANCE_MM[level.landmark.kind]
    if level.junction is None:
        return QualityCheck(
            "landmark_distance_mm",
            distance,
            limit,
            Verdict.PASS if distance <= limit else Verdict.FAIL,
            f"The landmark was given; it lies {distance:.0f} mm from the cord's centreline.",
        )
    return QualityCheck(
        "landmark_notch_mm",
        round(level.junction.sharpness_mm, 1),
        CLEAR_NOTCH_MM,
        Verdict.PASS if level.junction.sharpness_mm >= CLEAR_NOTCH_MM else Verdict.WARN,
        "The pontomedullary junction was proposed by the engine and waits for confirmation: "
        f"the pons stands out by {level.junction.leap_mm:.0f} mm, "
        f"the notch is {level.junction.sharpness_mm:.1f} mm deep.",
    )


def _coverage_check(measurement: CordMeasurement) -> QualityCheck:
    assert measurement.window is not None
    assert measurement.level is not None
    covered = measurement.window.covered
    verdict = Verdict.FAIL if covered < MIN_COVERED else Verdict.WARN
    return QualityCheck(
        "window_coverage",
        round(covered, 3),
        MIN_COVERED,
        Verdict.PASS if covered >= 0.98 else verdict,
        f"{100 * covered:.0f} % of the stretch {WINDOW_WORDS[measurement.level.landmark.kind]} "
        "is measured.",
    )
