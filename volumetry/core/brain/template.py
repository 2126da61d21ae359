"""The MNI152 template as this engine uses it: tissue priors, and regions derived from them.

The maps (T1, grey, white, 1 mm) are read from the installed nilearn package; nothing is
downloaded. They hold no skull, no scalp and no region labels, so everything else is derived
here by rules on the maps' own geometry, and cached. World coordinates are MNI millimetres.
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumetry.core.brain.outlines import thalamus_distance
from volumetry.core.brain.regions import fluid_distances

DERIVATION = "8"
"""Version of the rules below; part of the cache key."""

MARGIN_MM = 14
"""Margin kept around the intracranial mask: room for skull and scalp."""

BRAINSTEM_END_MM = -66.0
"""Lower end of the brainstem, MNI z, mm: the level of the foramen magnum on the MNI152 T1.
Parenchyma, fluid and intracranial volume are cut at this plane at every visit."""

PONTOMEDULLARY_MM = (0.0, -32.0, -49.0)
"""Ventral pontomedullary junction on the MNI152 T1, mid-sagittal, MNI mm (read there)."""

MAPS = ("t1", "grey", "white", "fluid", "distance_mm", "lateral_mm", "other_mm",
        "thalamus_mm")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Template:
    """Arrays on one 1 mm grid; index to MNI by a shift (``origin_mm``), axes in RAS order.

    Attributes
    ----------
    t1, grey, white, fluid : float32
        Template intensity (0 to 1, zero outside the mask) and tissue priors.
    distance_mm : float32
        Signed distance to the intracranial boundary, positive inside.
    lateral_mm : float32
        Signed distance to the lateral ventricles, negative inside.
    other_mm : float32
        Distance to all other fluid.
    thalamus_mm : float32
        Signed distance to the right thalamus, negative inside; the left is its mirror.
    origin_mm : float64, shape (3,)
        MNI millimetres of voxel (0, 0, 0).
    digest : str
        Hash of the source maps and of the derivation version.
    """

    t1: NDArray[np.float32]
    grey: NDArray[np.float32]
    white: NDArray[np.float32]
    fluid: NDArray[np.float32]
    distance_mm: NDArray[np.float32]
    lateral_mm: NDArray[np.float32]
    other_mm: NDArray[np.float32]
    thalamus_mm: NDArray[np.float32]
    origin_mm: NDArray[np.float64]
    digest: str


@lru_cache(maxsize=1)
def template_load() -> Template:
    """Return the template, from the cache folder if these maps were derived before."""
    version = _nilearn_version()
    place = cache_folder() / f"mni152-{version}-v{DERIVATION}.npz"
    if place.is_file():
        stored = _cache_read(place)
        if stored is not None:
            return stored
    template = template_derive()
    _cache_write(template, place)
    return template


def cache_folder() -> Path:
    """Return the folder for derived priors: NEURAXIS_CACHE, or one of the user's own."""
    named = os.environ.get("NEURAXIS_CACHE")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME")
    base = Path(home) / ".cache" if home else Path(tempfile.gettempdir())
    return base / "neuraxis"


def template_derive() -> Template:
    """Derive masks, distances and regions from the maps of the nilearn package."""
    # nilearn takes five seconds to import (scikit-learn): only when nothing is cached
    from nilearn.datasets import (  # noqa: PLC0415
        load_mni152_gm_template,
        load_mni152_template,
        load_mni152_wm_template,
    )

    sources = (load_mni152_template, load_mni152_gm_template, load_mni152_wm_template)
    images = [load(resolution=1) for load in sources]
    t1, grey, white = (np.asarray(image.dataobj, dtype=np.float32) for image in images)
    digest = hashlib.sha256(DERIVATION.encode())
    for array in (t1, grey, white):
        digest.update(array.tobytes())
    origin = np.asarray(images[0].affine[:3, 3], dtype=np.float64)
    (t1, grey, white), origin = _cropped((t1, grey, white), origin)
    inside = ndimage.binary_fill_holes(ndimage.binary_closing(t1 > 0, iterations=3))
    distance = _signed_distance_mm(inside)
    fluid = np.clip(inside - grey - white, 0.0, 1.0).astype(np.float32)
    lateral, other = fluid_distances(
        t1, tissue=grey + white, distance_mm=distance, origin_mm=origin
    )
    return Template(
        t1=t1,
        grey=grey,
        white=white,
        fluid=fluid,
        distance_mm=distance,
        lateral_mm=lateral,
        other_mm=other,
        thalamus_mm=thalamus_distance(t1, origin_mm=origin),
        origin_mm=origin,
        digest=digest.hexdigest(),
    )


def _cropped(
    maps: tuple[NDArray[np.float32], ...], origin_mm: NDArray[np.float64]
) -> tuple[tuple[NDArray[np.float32], ...], NDArray[np.float64]]:
    """Cut, or pad with zeros, to a margin around the template's brain."""
    held = np.argwhere(maps[0] > 0)
    low, high = held.min(axis=0) - MARGIN_MM, held.max(axis=0) + 1 + MARGIN_MM
    pad = [(MARGIN_MM, MARGIN_MM)] * 3
    box = tuple(slice(a + MARGIN_MM, b + MARGIN_MM) for a, b in zip(low, high, strict=True))
    return tuple(np.ascontiguousarray(np.pad(m, pad)[box]) for m in maps), origin_mm + low


def _signed_distance_mm(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the distance to the boundary of a mask, positive inside, within +-40 mm."""
    outwards = ndimage.distance_transform_edt(~inside)
    inwards = ndimage.distance_transform_edt(inside)
    return np.clip(inwards - outwards, -40.0, 90.0).astype(np.float32)


def _nilearn_version() -> str:
    """Return the version of the installed nilearn without importing it."""
    from importlib.metadata import version  # noqa: PLC0415

    return str(version("nilearn"))


def _cache_read(place: Path) -> Template | None:
    """Read a cached template, or None if the file is damaged."""
    try:
        with np.load(place, allow_pickle=False) as stored:
            if str(stored["derivation"]) != DERIVATION:
                return None
            maps = {name: stored[name].astype(np.float32) for name in MAPS}
            return Template(**maps, origin_mm=stored["origin_mm"], digest=str(stored["digest"]))
    except (OSError, ValueError, KeyError):
        return None


def _cache_write(template: Template, place: Path) -> None:
    """Write the cache under another name and rename it; a full disk only costs time."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".npz", delete=False) as out:
            np.savez(
                out,
                derivation=np.array(DERIVATION),
                digest=np.array(template.digest),
                origin_mm=template.origin_mm,
                **{name: getattr(template, name).astype(np.float16) for name in MAPS},
            )
        Path(out.name).replace(place)
    except OSError:
        return
