"""The built-in brain engine: volumes of one T1-weighted head scan."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from volumetry.core.brain import gates
from volumetry.core.brain.corrected import parenchyma_corrected
from volumetry.core.brain.lesions import FilledLesions, lesions_fill
from volumetry.core.brain.measures import brain_measures
from volumetry.core.brain.picture import mosaic_description, mosaic_save
from volumetry.core.brain.segmentation import BrainSegmentation, brain_segment
from volumetry.core.brain.template import template_load
from volumetry.core.errors import VolumetryError
from volumetry.core.images import mask_save
from volumetry.core.methods import Availability, CordRequest, Correction
from volumetry.core.types import (
    EXPERIMENTAL,
    Outcome,
    Provenance,
    ScanImage,
    Structure,
    Verdict,
    VolumetryResult,
)

OF_ONE_TISSUE = {Structure.GREY_MATTER, Structure.WHITE_MATTER, Structure.CSF}
"""What a corrected brain mask does not tell apart."""
LABELS = {"csf": 1, "grey_matter": 2, "white_matter": 3, "lateral_ventricles": 4}


class NeuraxisBrain:
    """Volumes of brain, tissues, ventricles and intracranial space from one T1 scan."""

    name = "neuraxis-brain"
    version = "0.3.1"
    description = (
        "Neuraxis brain: affine registration to MNI152 (Fonov et al. 2011, "
        "doi 10.1016/j.neuroimage.2010.07.033), bias field and tissue means by "
        "expectation-maximisation, intracranial boundary by intensity and connection, lateral "
        "ventricles by flooding from the bent template (demons), tissue "
        "fractions with explicit partial volume; volumes are sums of fractions. Experimental: "
        "thalamus and corpus callosum by outlines read on MNI152, refined by intensity."
    )

    def availability(self) -> Availability:
        """Say that the built-in engine is always ready."""
        return Availability(is_ready=True)

    def measure(
        self,
        image: ScanImage,
        *,
        workdir: Path,
        request: CordRequest | None = None,
        lesions: ScanImage | None = None,
    ) -> VolumetryResult:
        """Measure the brain; what cannot be measured is refused with a reason.

        ``lesions`` (here or in the request) is a mask on the image's own grid; its lesions are
        filled first, and their volume and count are a quality check and part of the
        provenance. A ``correction`` of the request changes the parenchyma where a reader did.
        """
        started = time.perf_counter()
        provenance = self._provenance(image, {})
        request = request or CordRequest()
        lesions = lesions or request.lesions
        fix = request.correction
        try:
            if lesions is None:
                return self._measure(image, workdir=workdir, started=started, fix=fix)
            filled = lesions_fill(image, lesions)
            result = self._measure(filled.image, workdir=workdir, started=started, fix=fix)
            return _with_lesions(result, filled, mask_sha256=lesions.sha256)
        except VolumetryError as refusal:
            seconds = time.perf_counter() - started
            return VolumetryResult.refused(str(refusal), provenance=provenance, seconds=seconds)

    def _provenance(self, image: ScanImage, parameters: dict[str, object]) -> Provenance:
        return Provenance(self.name, self.version, parameters, image.sha256)

    def _measure(
        self, image: ScanImage, *, workdir: Path, started: float, fix: Correction | None
    ) -> VolumetryResult:
        gates.extent_require(image)
        steps: dict[str, float] = {}

        def on_step(name: str) -> None:
            steps[name] = round(time.perf_counter() - started - sum(steps.values()), 2)

        found = brain_segment(image, on_step=on_step)
        quality = (gates.slice_check(image), *found.checks,
                   gates.border_check(found.parenchyma, found.flat))  # fmt: skip
        parameters: dict[str, object] = {
            "labels": LABELS,
            "standard_error_basis": "default repeatability, not this site's own repeats",
            "template": "MNI152 (nilearn)",
            "template_digest": template_load().digest,
            "experimental": sorted(structure.value for structure in EXPERIMENTAL),
            "affine_scale": round(found.place.scale, 4),
            "tissue_means": [round(float(m), 2) for m in found.model.means],
            "tissue_deviations": [round(float(d), 2) for d in found.model.deviations],
            "simpleitk": sitk.Version.VersionString(),
            "threads": 1,
            "seconds_by_step": steps,
            **_experimental_numbers(found),
        }
        failed = [check for check in quality if check.verdict is Verdict.FAIL]
        files = self._write(image, found, workdir=workdir)
        provenance = self._provenance(image, parameters)
        seconds = time.perf_counter() - started
        if failed:
            reason = " ".join(check.sentence for check in failed)
            return VolumetryResult(
                Outcome.REFUSED, reason, (), quality, provenance, seconds, files
            )
        measures = brain_measures(found, is_thick=max(image.spacing_mm) > gates.SLICE_WARN_MM)
        result = VolumetryResult(
            Outcome.OK, None, measures, quality, provenance, seconds, files
        )
        return result if fix is None else _with_correction(result, found, fix, workdir=workdir)

    def _write(
        self, image: ScanImage, found: BrainSegmentation, *, workdir: Path
    ) -> dict[str, Path]:
        """Write mask and labels on the input's own grid, and the picture."""
        to_box = np.linalg.inv(found.flat.affine) @ image.affine
        shape = image.intensities.shape
        parenchyma = ndimage.affine_transform(
            found.parenchyma, to_box[:3, :3], offset=to_box[:3, 3], output_shape=shape, order=1
        )
        labels = ndimage.affine_transform(
            label_map(found), to_box[:3, :3], offset=to_box[:3, 3], output_shape=shape, order=0
        )
        mask = mask_save(
            (parenchyma > 0.5).astype(np.uint8), image.affine, workdir / "brain_mask.nii.gz"
        )
        segmentation = mask_save(labels, image.affine, workdir / "segmentation.nii.gz")
        outlined = [found.intracranial, found.parenchyma > 0.5, found.ventricles.region]
        if found.thalamus is not None:
            outlined.append(found.thalamus.share > 0.5)
        picture = mosaic_save(
            found.flat.values,
            spacing_mm=found.flat.spacing_mm,
            masks=tuple(outlined),
            path=workdir / "qc.png",
        )
        views = workdir / "views.json"
        views.write_text(json.dumps({"mosaic": mosaic_description(picture.name)}))
        return {
            "brain_mask.nii.gz": mask,
            "segmentation.nii.gz": segmentation,
            "qc.png": picture,
            "views.json": views,
        }


def _experimental_numbers(found: BrainSegmentation) -> dict[str, object]:
    """Return the sides of the thalamus and the mid-sagittal plane, for the record."""
    numbers: dict[str, object] = {}
    if found.thalamus is not None:
        numbers["thalamus_left_mm3"] = round(found.thalamus.left_mm3, 1)
        numbers["thalamus_right_mm3"] = round(found.thalamus.right_mm3, 1)
    if found.callosum is not None:
        plane, to_world = found.callosum.plane, found.flat.to_world
        point = to_world[:3, :3] @ plane.point_mm + to_world[:3, 3]
        numbers["midplane_point_mm"] = np.round(point, 2).tolist()
        numbers["midplane_normal"] = np.round(to_world[:3, :3] @ plane.normal, 5).tolist()
    return numbers


def _with_correction(
    result: VolumetryResult, found: BrainSegmentation, fix: Correction, *, workdir: Path
) -> VolumetryResult:
    """Put a reader's correction of the brain mask into the parenchyma; keep what it leaves."""
    changed = parenchyma_corrected(
        found.parenchyma, found.flat.affine, own=fix.own, mask=fix.mask
    )
    volume = float(changed.fraction.sum(dtype=np.float64)) * found.flat.voxel_volume_mm3
    measures = []
    for measure in result.measures:
        if measure.structure is Structure.BRAIN_PARENCHYMA:
            error = (measure.standard_error or 0.0) * volume / measure.value
            measures.append(replace(measure, value=volume, standard_error=error))
        elif measure.structure not in OF_ONE_TISSUE:
            measures.append(measure)
    mask = mask_save(fix.mask.intensities, fix.mask.affine, workdir / "brain_mask.nii.gz")
    others = {"correction": fix.mask.sha256, "corrected": fix.own.sha256}
    provenance = replace(
        result.provenance, other_sha256=result.provenance.other_sha256 | others
    )
    return replace(
        result,
        measures=tuple(measures),
        quality=(*result.quality, changed.check()),
        provenance=provenance,
        files=result.files | {"brain_mask.nii.gz": mask},
    )


def _with_lesions(
    result: VolumetryResult, filled: FilledLesions, *, mask_sha256: str
) -> VolumetryResult:
    """Put volume and count of the filled lesions on record."""
    parameters = result.provenance.parameters | {
        "lesion_volume_mm3": round(filled.volume_mm3, 1),
        "lesion_count": filled.count,
    }
    others = result.provenance.other_sha256 | {"lesions": mask_sha256}
    provenance = replace(result.provenance, parameters=parameters, other_sha256=others)
    quality = (*result.quality, filled.check())
    return replace(result, provenance=provenance, quality=quality)


def label_map(found: BrainSegmentation) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the dominant tissue per voxel, numbered by ``LABELS``."""
    labels = np.zeros(found.intracranial.shape, dtype=np.uint8)
    order = np.array([LABELS["white_matter"], LABELS["grey_matter"], LABELS["csf"]])
    inside = found.intracranial
    labels[inside] = order[found.fractions[:, inside].argmax(axis=0)]
    labels[found.ventricles.region & (labels == LABELS["csf"])] = LABELS["lateral_ventricles"]
    return labels
