"""The built-in cord engine as a method: measures, files, provenance."""

import csv
import importlib.metadata
import io
import json
import time
from pathlib import Path

import numpy as np

from volumetry.core.cord.contour import ANGLES
from volumetry.core.cord.corrected import cord_corrected
from volumetry.core.cord.edge import EDGE_DEFINITION
from volumetry.core.cord.engine import CordMeasurement, cord_measure
from volumetry.core.cord.geometry import values_to_input_order
from volumetry.core.cord.levels import WINDOW_MM
from volumetry.core.cord.painting import mask_paint
from volumetry.core.cord.quality import cord_quality
from volumetry.core.cord.showing import review_picture, sagittal_view
from volumetry.core.cord.straightened import cord_levels
from volumetry.core.cord.tracing import BLUR_SIGMA_MM
from volumetry.core.images import mask_save
from volumetry.core.methods import Availability, CordRequest
from volumetry.core.pictures import picture_save
from volumetry.core.types import Provenance, ScanImage, VolumetryResult

PROFILE_COLUMNS = ("position_mm", "csa_mm2", "ap_mm", "rl_mm", "confidence")
MASK_EDGE_DEFINITION = "given mask, soft sum per slice (sct_process_segmentation)"
LIBRARIES = ("numpy", "scipy", "nibabel")


class NeuraxisCord:
    """Cross-sectional area of the cervical cord, from one scan."""

    name = "neuraxis-cord"
    version = "1.4.1"
    description = (
        "Cervical cord area perpendicular to the centreline every millimetre (Neuraxis cord "
        f"{version}): medialness and dynamic programming for the centreline, a closed contour "
        "by dynamic programming, edge at the half level between cord and fluid, corrected by "
        "matching a drawn cord of known edge, voxels and blur."
    )

    def availability(self) -> Availability:
        """Say whether the method can run: it needs nothing beyond the package."""
        return Availability(is_ready=True)

    def measure(
        self, image: ScanImage, *, workdir: Path, request: CordRequest | None = None
    ) -> VolumetryResult:
        """Measure the cord and write mask, profile and pictures into ``workdir``."""
        started = time.perf_counter()
        request = request or CordRequest()
        measurement = cord_measure(image, request=request)
        share = None
        if request.correction is not None:
            measurement, share = cord_corrected(measurement, request.correction)
        files = files_write(measurement, image, workdir)
        if share is not None and request.correction is not None:
            given = request.correction.mask
            files["cord_mask.nii.gz"] = mask_save(
                given.intensities, given.affine, workdir / "cord_mask.nii.gz"
            )
        return VolumetryResult(
            outcome=measurement.outcome,
            reason=measurement.reason,
            measures=measurement.measures,
            quality=(*cord_quality(measurement), *([share.check()] if share else [])),
            provenance=self._provenance(measurement, image, request),
            seconds=time.perf_counter() - started,
            files=files,
        )

    def _provenance(
        self, measurement: CordMeasurement, image: ScanImage, request: CordRequest
    ) -> Provenance:
        parameters: dict[str, object] = {
            "input": _input_facts(image),
            "contrast_asked": str(request.contrast),
            "hint_mm": list(request.hint_mm) if request.hint_mm else None,
            "edge_definition": EDGE_DEFINITION,
            "psf": {
                "voxel_box_mm": [round(float(s), 4) for s in measurement.grid.spacing_mm],
                "blur_sigma_mm": BLUR_SIGMA_MM,
                "fitted_blur_sigma_mm": _fitted_blur(measurement),
            },
            "angles_per_section": ANGLES,
            "standard_error_basis": "scatter of this scan's profile and rescanned phantoms",
            "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
            **_measured_facts(measurement),
            **measurement.notes,
        }
        others: dict[str, str] = {}
        if request.mask is not None:
            parameters["edge_definition"] = MASK_EDGE_DEFINITION
            others["mask"] = request.mask.sha256
        if request.correction is not None:
            others["correction"] = request.correction.mask.sha256
            others["corrected"] = request.correction.own.sha256
        return Provenance(self.name, self.version, parameters, image.sha256, others)


def _input_facts(image: ScanImage) -> dict[str, object]:
    return {
        "shape": list(image.intensities.shape),
        "spacing_mm": [round(s, 4) for s in image.spacing_mm],
    }


def _fitted_blur(measurement: CordMeasurement) -> float | None:
    traced = measurement.traced
    return round(traced.blur_mm, 3) if traced and traced.blur_mm is not None else None


def _measured_facts(measurement: CordMeasurement) -> dict[str, object]:
    """Facts of the run that belong to its numbers: contrast, stretch, landmark, window."""
    facts: dict[str, object] = {"landmark": None, "window_mm": None}
    if measurement.located is not None and measurement.located.polarity:
        brighter = measurement.located.polarity > 0
        facts["cord_against_fluid"] = "brighter" if brighter else "darker"
        facts["log_evidence"] = round(measurement.located.evidence, 3)
        facts["log_evidence_margin"] = round(measurement.located.margin, 3)
    if measurement.profile is not None:
        sections = measurement.profile.sections
        facts["cord_segment_length_mm"] = round(measurement.profile.length_mm, 2)
        facts["section_step_mm"] = round(sections.step_mm, 3)
        facts["upper_end_mm"] = [round(float(x), 2) for x in sections.centre_mm[0]]
        facts["lower_end_mm"] = [round(float(x), 2) for x in sections.centre_mm[-1]]
        facts["position_zero"] = "upper end of the measured cord"
    if measurement.level is not None:
        level = measurement.level
        facts["landmark"] = {
            "kind": str(level.landmark.kind),
            "point_mm": [round(float(x), 2) for x in level.landmark.point_mm],
            "placed_by": level.placed_by,
            "is_confirmed": level.junction is None,
            "distance_to_centreline_mm": round(level.projection.distance_mm, 2),
        }
        facts["window_mm"] = list(WINDOW_MM[level.landmark.kind])
        facts["position_zero"] = f"projection of the landmark {level.landmark.kind}"
    if measurement.window is not None:
        facts["window_length_mm"] = measurement.window.length_mm
        facts["window_covered"] = round(measurement.window.covered, 4)
    return facts


def files_write(
    measurement: CordMeasurement, image: ScanImage, workdir: Path
) -> dict[str, Path]:
    """Write pictures always, mask and profile when there is a cord."""
    workdir.mkdir(parents=True, exist_ok=True)
    files: dict[str, Path] = {}
    if measurement.profile is not None:
        profile = measurement.profile
        if measurement.given_mask is not None:
            mask = measurement.given_mask.intensities
        else:
            painted = mask_paint(measurement.grid, profile.sections, profile.radius_mm)
            mask = values_to_input_order(painted, image)
        files["cord_mask.nii.gz"] = mask_save(mask, image.affine, workdir / "cord_mask.nii.gz")
        files["cord_profile.csv"] = text_write(
            profile_csv(measurement), workdir / "cord_profile.csv"
        )
    view = sagittal_view(measurement)
    files["sagittal.png"] = picture_save(view.picture, workdir / "sagittal.png")
    views: dict[str, object] = {"sagittal": view.as_json("sagittal.png")}
    levels = cord_levels(measurement)
    if levels is not None:
        views |= levels.as_json("straight.png", "sections.png")
        for name, picture in (("straight", levels.straight), ("sections", levels.sections)):
            files[f"{name}.png"] = picture_save(picture, workdir / f"{name}.png")
    files["views.json"] = text_write(json.dumps(views, indent=1), workdir / "views.json")
    files["qc.png"] = picture_save(review_picture(measurement, view), workdir / "qc.png")
    return files


def profile_csv(measurement: CordMeasurement) -> str:
    """Write the profile as CSV text; NaN is an empty field."""
    profile = measurement.profile
    assert profile is not None
    zero = measurement.level.projection.position_mm if measurement.level else 0.0
    columns = (
        profile.sections.position_mm - zero,
        profile.area_mm2,
        profile.ap_mm,
        profile.rl_mm,
        profile.confidence,
    )
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(PROFILE_COLUMNS)
    for row in zip(*columns, strict=True):
        writer.writerow(["" if np.isnan(value) else f"{value:.4f}" for value in row])
    return stream.getvalue()


def text_write(text: str, path: Path) -> Path:
    """Write a text file, first under another name, then renamed."""
    scratch = path.with_name(f"_{path.name}")
    scratch.write_text(text, encoding="utf-8")
    return scratch.rename(path)
