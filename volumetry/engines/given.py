"""Masks made elsewhere as methods of their own: their numbers never join an engine's series."""

import time
from dataclasses import replace
from pathlib import Path

from volumetry.core.brain.corrected import mask_volume_mm3
from volumetry.core.errors import VolumetryError
from volumetry.core.images import mask_save
from volumetry.core.methods import Availability, CordRequest
from volumetry.core.types import (
    Outcome,
    Provenance,
    Quantity,
    ScanImage,
    Structure,
    StructureMeasure,
    Unit,
    VolumetryResult,
)
from volumetry.engines.cord import NeuraxisCord

NO_MASK = "This method measures a mask made elsewhere, and none was given."


class GivenCordMask:
    """Cross-sectional area of a cord mask made elsewhere."""

    name = "mask-cord"
    version = "1.0.0"
    description = (
        "Morphometry of a cord mask made elsewhere, with the measures of "
        "sct_process_segmentation: soft sum per slice, corrected for the cord's angle."
    )

    def availability(self) -> Availability:
        """Say whether the method can run: it needs nothing beyond the package."""
        return Availability(is_ready=True)

    def measure(
        self, image: ScanImage, *, workdir: Path, request: CordRequest | None = None
    ) -> VolumetryResult:
        """Measure the mask of the request; the scan gives level, picture and edge quality."""
        if request is None or request.mask is None:
            bare = Provenance(self.name, self.version, {}, image.sha256)
            return VolumetryResult.refused(NO_MASK, provenance=bare, seconds=0.0)
        result = NeuraxisCord().measure(image, workdir=workdir, request=request)
        made_by = replace(result.provenance, method=self.name, version=self.version)
        return replace(result, provenance=made_by)


class GivenBrainMask:
    """Volume of a brain mask made elsewhere."""

    name = "mask-brain"
    version = "1.0.0"
    description = (
        "Volume of a brain mask made elsewhere: the sum of its shares times the voxel volume. "
        "Its error is not known."
    )

    def availability(self) -> Availability:
        """Say whether the method can run: it needs nothing beyond the package."""
        return Availability(is_ready=True)

    def measure(
        self, image: ScanImage, *, workdir: Path, request: CordRequest | None = None
    ) -> VolumetryResult:
        """Measure the mask of the request."""
        started = time.perf_counter()
        mask = request.mask if request else None
        others = {"mask": mask.sha256} if mask else {}
        made_by = Provenance(self.name, self.version, {}, image.sha256, others)
        try:
            if mask is None:
                return VolumetryResult.refused(NO_MASK, provenance=made_by, seconds=0.0)
            volume = mask_volume_mm3(mask)
        except VolumetryError as refusal:
            seconds = time.perf_counter() - started
            return VolumetryResult.refused(str(refusal), provenance=made_by, seconds=seconds)
        kept = mask_save(mask.intensities, mask.affine, workdir / "brain_mask.nii.gz")
        measure = StructureMeasure(
            Structure.BRAIN_PARENCHYMA, Quantity.VOLUME, volume, Unit.MM3
        )
        seconds = time.perf_counter() - started
        return VolumetryResult(
            Outcome.OK, None, (measure,), (), made_by, seconds, {"brain_mask.nii.gz": kept}
        )
