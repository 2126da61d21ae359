"""From a claimed run to its result: what was asked for, the images, the engine."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from volumetry.core.deface import rear_only
from volumetry.core.errors import NotMeasurable
from volumetry.core.images import image_load
from volumetry.core.methods import CordRequest, PairRequest
from volumetry.core.types import Contrast, Landmark, LandmarkKind, ScanImage, VolumetryResult
from volumetry.engines.registry import MASK_METHODS, METHODS, PAIR_METHODS
from volumetry.faces import face_remove
from volumetry.masks import request_with_masks
from volumetry.models import Face, SourceImage, VolumetryRun

CORD_METHODS = {"neuraxis-cord", "neuraxis-cord-change", "mask-cord"}
"""Methods that need nothing in front of the spine."""


def run_measure(
    run: VolumetryRun, *, workdir: Path, say: Callable[[str], None] = lambda _step: None
) -> VolumetryResult:
    """Measure the run's image or pair, write files into ``workdir``, say where it stands.

    No transaction may be open: a measurement takes half a minute.

    Raises
    ------
    VolumetryError
        If a stored image cannot be read, or the method is gone: permanent, in words.
    """
    if not all(stored.file for stored in (run.image, run.before) if stored):
        raise NotMeasurable("This synthetic scan has no image: its numbers were drawn.")
    known = METHODS | MASK_METHODS if run.before is None else PAIR_METHODS
    if run.method not in known:
        raise NotMeasurable(f"This installation no longer offers the method {run.method}.")
    say("Step 1 of 3: removing the face and reading the image.")
    image = _image_of(run.image, method=run.method)
    if run.before is not None:
        before = _image_of(run.before, method=run.method)
        say("Step 2 of 3: aligning both scans and measuring the change.")
        result = PAIR_METHODS[run.method].measure(
            before, image, workdir=workdir, requests=pair_request(run.parameters)
        )
    else:
        say("Step 2 of 3: finding, outlining and measuring.")
        request = request_with_masks(cord_request(run.parameters), run.parameters)
        single = METHODS | MASK_METHODS
        result = single[run.method].measure(image, workdir=workdir, request=request)
    kept = Face.KEPT in {stored.face for stored in (run.image, run.before) if stored}
    return without_pictures(result) if kept and run.method not in CORD_METHODS else result


def _image_of(stored: SourceImage, *, method: str) -> ScanImage:
    """Read a stored image, its face removed.

    Where it could not be removed from the file, the cord is measured on the rear of the body
    alone; other methods read the file as it is, and their pictures are not stored.
    """
    face_remove(stored)
    image = image_load(Path(stored.file.path))
    if stored.face == Face.KEPT and method in CORD_METHODS:
        return rear_only(image)
    return image


def without_pictures(result: VolumetryResult) -> VolumetryResult:
    """Return the result without what would show the face of an image that kept it."""
    files = {
        name: path for name, path in result.files.items()
        if not name.endswith(".png") and name != "views.json"
    }  # fmt: skip
    return replace(result, files=files)


def cord_request(parameters: Mapping[str, object]) -> CordRequest:
    """Return the engine's request from a run's stored parameters."""
    landmark = parameters.get("landmark")
    hint = parameters.get("hint_mm")
    return CordRequest(
        contrast=Contrast(str(parameters.get("contrast", Contrast.AUTO))),
        landmark=(
            Landmark(LandmarkKind(str(landmark["kind"])), _point(landmark["point_mm"]))
            if isinstance(landmark, Mapping)
            else None
        ),
        hint_mm=_point(hint) if hint is not None else None,
    )


def pair_request(parameters: Mapping[str, object]) -> PairRequest:
    """Return what a pair's run was told of its two scans, each as `cord_request` reads it."""
    said = (parameters.get(name) for name in ("baseline", "followup"))
    one, other = (cord_request(facts if isinstance(facts, Mapping) else {}) for facts in said)
    return one, other


def _point(values: object) -> tuple[float, float, float]:
    """Return three coordinates, or say that these are none."""
    if not isinstance(values, list | tuple) or len(values) != 3:
        raise ValueError("A point has three coordinates.")
    x, y, z = (float(value) for value in values)
    return (x, y, z)
