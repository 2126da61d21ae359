"""Measure the cord engine: phantoms with known area, rescans, shared masks, finding, timing.

Run from the top of the repository, one section at a time or all of them::

    python -m benchmarks.cord_report [bias sagittal coverage rescan intervals masks heads ...]

Each section prints Markdown tables; docs/cord.md holds the last full run. Drawn cords are in
`benchmarks.cord_drawn`, with the first seed. Real scans are read from NEURAXIS_DATA.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from benchmarks.cord_drawn import (
    FIRST_SEED,
    bias,
    coverage,
    intervals,
    levels,
    measured,
    rescan,
    sagittal,
    turn,
)
from tests.volumetry.phantoms.labelled_head import T1_MEANS, T2_MEANS, head_draw
from volumetry.core.cord.engine import CordMeasurement
from volumetry.core.cord.geometry import grid_of, values_to_input_order
from volumetry.core.cord.levels import landmark_project
from volumetry.core.cord.painting import mask_paint
from volumetry.core.cord.paired import align
from volumetry.core.errors import NotMeasurable
from volumetry.core.images import image_load
from volumetry.core.types import Landmark, LandmarkKind, ScanImage
from volumetry.engines.cord import NeuraxisCord

DATA = Path(os.environ.get("NEURAXIS_DATA", "../shared/data"))
SCT, GM = DATA / "cord_sct_testing_data", DATA / "cord_gm_challenge"
TUTORIAL = DATA / "cord_sct_tutorial_data/sub-05"
FOREST = DATA / "brain_plus_cord_dicom/studyforrest_sub02_T1w_1p33mm.nii.gz"
MASKED = {
    "t2 1 mm crop": (SCT / "t2/t2.nii.gz", SCT / "t2/t2_seg-manual.nii.gz"),
    "t2s 7.5 mm crop": (SCT / "t2s/t2s.nii.gz", SCT / "t2s/t2s_seg.nii.gz"),
    "mt1 17 mm crop": (SCT / "mt/mt1.nii.gz", SCT / "mt/mt1_seg.nii.gz"),
    "PAM50 T2 template": (
        SCT / "template/template/PAM50_small_t2.nii.gz",
        SCT / "template/template/PAM50_small_cord.nii.gz",
    ),
    "MToff 5 mm full": (
        TUTORIAL / "sub-05_acq-MToff_MTS.nii.gz",
        TUTORIAL / "sub-05_acq-MTon_MTS_seg.nii.gz",
    ),
    "MTon 5 mm full": (
        TUTORIAL / "sub-05_acq-MTon_MTS.nii.gz",
        TUTORIAL / "sub-05_acq-MTon_MTS_seg.nii.gz",
    ),
} | {
    f"T2* {name} run {run}": (
        GM / f"sub-{name}/sub-{name}_run-{run}_T2starw.nii.gz",
        GM / f"sub-{name}/sub-{name}_run-1_T2starw_seg-manual.nii.gz",
    )
    for name in ("10062Ses1", "10062Ses2", "9584")
    for run in (1, 2)
}


def overlap(measurement: CordMeasurement, image: ScanImage, mask: np.ndarray) -> str:
    """Dice, the highest Dice that two outlines of these areas can have, area ratio, slices.

    Over the slices that both cover. Of two outlines with areas a and b in a slice at most the
    smaller is common, so no overlap exceeds 2 sum min(a, b) / sum (a + b).
    """
    profile = measurement.profile
    if profile is None:
        return "0 | - | - | 0"
    painted = mask_paint(measurement.grid, profile.sections, profile.radius_mm)
    truth = grid_of(replace(image, intensities=mask.astype(np.float32))).values
    rows = np.flatnonzero((truth > 0.5).any(axis=(0, 1)))
    mine = np.flatnonzero((painted > 0.5).any(axis=(0, 1)))
    both = np.intersect1d(rows, mine)
    a, b = truth[:, :, both] > 0.5, painted[:, :, both] > 0.5
    dice = 2.0 * (a & b).sum() / (a.sum() + b.sum())
    areas = np.stack([a.sum(axis=(0, 1)), b.sum(axis=(0, 1))])
    bound = 2.0 * areas.min(axis=0).sum() / areas.sum()
    ratio = painted[:, :, both].sum() / truth[:, :, both].sum()
    return f"{dice:.3f} | {bound:.3f} | {100 * (ratio - 1):+.1f} % | {len(both)} of {len(rows)}"


def masks() -> None:
    """Every shared cord image against its mask, found alone and with one click."""
    print(
        "| scan | without a click | Dice | highest Dice possible | area against mask | slices "
        "| with one click: Dice | highest possible | area | slices |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )
    for name, (path, mask_path) in MASKED.items():
        image, mask = image_load(path), nib.load(mask_path).get_fdata()
        alone, clicked = measured(image), measured(image, click_on(mask, image))
        found = "found" if alone.profile is not None else str(alone.outcome)
        print(
            f"| {name} | {found} | {overlap(alone, image, mask)} | "
            f"{overlap(clicked, image, mask)} |",
            flush=True,
        )


def click_on(mask: np.ndarray, image: ScanImage) -> tuple[float, float, float]:
    """Return the middle of a mask's middle slice, world mm: one click on the cord."""
    ijk = np.argwhere(mask > 0.5)
    middle = ijk[np.abs(ijk[:, 2] - np.median(ijk[:, 2])) < 1].mean(axis=0)
    x, y, z = (float(value) for value in image.affine[:3, :3] @ middle + image.affine[:3, 3])
    return x, y, z


def heads(count: int = 2) -> None:
    """Heads drawn from label maps, T1 (several poses) and T2: Dice, area, junction, time."""
    print(
        "| head | Dice | highest Dice possible | area against label | slices | junction mm in "
        "the map (x, y, z) |\n|---|---|---|---|---|---|"
    )
    for number in ("02", "05", "10", "16"):
        path = DATA / f"label_maps/training_seg_{number}.nii.gz"
        places = []
        for repeat in range(count + 1):
            means, name = (T2_MEANS, "T2") if repeat == count else (T1_MEANS, "T1")
            head = head_draw(path, means=means, seed=FIRST_SEED + 10 * int(number) + repeat)
            result = measured(head.image)
            place = "-"
            if result.level is not None:
                point = (head.to_map @ np.append(result.level.landmark.point_mm, 1.0))[:3]
                place = ", ".join(f"{value:.1f}" for value in point)
                if name == "T1":
                    places.append(point)
            mask = values_to_input_order(head.cord, head.image)
            said = overlap(result, head.image, mask)
            said = said if result.profile is not None else f"0 | - | {result.reason} | -"
            print(f"| {name} {number} | {said} | {place} |", flush=True)
            if result.profile is None:
                clicked = measured(head.image, click_on(mask, head.image))
                said = overlap(clicked, head.image, mask)
                words = clicked.reason or "found"
                print(f"| {name} {number}, one click | {said} | {words} |", flush=True)
        if len(places) > 1:
            spread = ", ".join(f"{value:.2f}" for value in np.std(places, axis=0, ddof=1))
            print(
                f"| T1 {number}: SD over {len(places)} poses | | | | | {spread} |", flush=True
            )


def repeats() -> None:
    print("| real rescan | run 1 mm² | run 2 mm² | difference % |\n|---|---|---|---|")
    for name in ("10062Ses1", "10062Ses2", "9584"):
        areas = [
            measured(image_load(MASKED[f"T2* {name} run {run}"][0])).measures[0].value
            for run in (1, 2)
        ]
        gap = 100.0 * (areas[1] / areas[0] - 1.0)
        print(f"| {name} | {areas[0]:.2f} | {areas[1]:.2f} | {gap:+.2f} |", flush=True)


def finding() -> None:
    print("| scan | outcome | log evidence | margin | words |\n|---|---|---|---|---|")
    slabs = DATA / "brain_ms_longitudinal"
    for path in sorted(slabs.glob("*/study*.nii.gz")):
        row(f"{path.parent.name} {path.name[:-7]}", image_load(path))
    for number in ("13", "02", "05", "10", "16"):
        path = DATA / f"label_maps/training_seg_{number}.nii.gz"
        for index, (name, means) in enumerate((("T1", T1_MEANS), ("T2", T2_MEANS))):
            head = head_draw(path, means=means, seed=FIRST_SEED + 200 + 2 * int(number) + index)
            image = below_cropped(head.image, path)
            row(f"{name} head {number}, cropped below the brainstem", image)
    try:
        row("fmri, 4-D", image_load(SCT / "fmri/fmri.nii.gz"))
    except NotMeasurable as error:
        print(f"| fmri, 4-D | refused | - | - | {error} |", flush=True)
    for name, (path, _) in MASKED.items():
        row(name, image_load(path))
    row("studyforrest", image_load(FOREST))


def below_cropped(image: ScanImage, labels: Path) -> ScanImage:
    """Cut away what lies below the lowest slice of the brainstem."""
    stem = np.asarray(nib.as_closest_canonical(nib.load(labels)).dataobj) == 16
    lowest = int(np.flatnonzero(stem.any(axis=(0, 1)))[0])
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, 2] * lowest
    return ScanImage(np.ascontiguousarray(image.intensities[:, :, lowest:]), affine)


def row(name: str, image: ScanImage) -> None:
    result = measured(image)
    located = result.located
    numbers = f"{located.evidence:.2f} | {located.margin:.2f}" if located else "- | -"
    outcome = "found" if result.profile is not None else str(result.outcome)
    print(f"| {name} | {outcome} | {numbers} | {result.reason or ''} |", flush=True)


def junction(count: int = 8) -> None:
    """Repose a real head with neck: how far the junction and the alignment stray."""
    print("| pose | junction mm (x, y, z) | window area mm² | alignment error mm |")
    print("|---|---|---|---|")
    image = image_load(FOREST)
    rng = np.random.default_rng(FIRST_SEED + 77)
    grid = grid_of(image)
    first = measured(image)
    assert first.profile is not None
    tissue = first.profile.sections.centre_mm[30]
    centre = grid.affine[:3, :3] @ (np.array(grid.values.shape) / 2) + grid.affine[:3, 3]
    points, areas, gaps = [], [], []
    for number in range(count):
        pose = np.eye(4)
        pose[:3, :3] = turn(rng, 5.0)
        pose[:3, 3] = centre - pose[:3, :3] @ centre + rng.uniform(-3, 3, 3)
        matrix = np.linalg.inv(grid.affine) @ pose @ grid.affine
        moved = ndimage.affine_transform(grid.values, matrix[:3, :3], matrix[:3, 3], order=3)
        result = measured(ScanImage(moved, grid.affine))
        if result.level is None or result.window is None:
            print(f"| {number} | lost: {result.reason} | | |")
            continue
        points.append((pose @ np.append(result.level.landmark.point_mm, 1.0))[:3])
        areas.append(result.window.mean_mm2)
        there = (np.linalg.inv(pose) @ np.append(tissue, 1.0))[:3]
        alignment = align(first, result)
        true = position_of(result, there) - position_of(first, tissue)
        gaps.append(np.nan if alignment is None else alignment.shift_mm - true)
        words = ", ".join(f"{value:.1f}" for value in points[-1])
        print(f"| {number} | {words} | {areas[-1]:.2f} | {gaps[-1]:+.2f} |", flush=True)
    words = ", ".join(f"{value:.2f}" for value in np.std(points, axis=0, ddof=1))
    cv = 100.0 * np.std(areas, ddof=1) / np.mean(areas)
    print(f"| SD | {words} | {cv:.2f} % | largest {np.nanmax(np.abs(gaps)):.2f} |", flush=True)


def position_of(measurement: CordMeasurement, point: np.ndarray) -> float:
    """Arc length at which a point of the tissue lies on the traced line."""
    assert measurement.traced is not None
    x, y, z = (float(value) for value in point)
    landmark = Landmark(LandmarkKind.C2C3, (x, y, z))
    return landmark_project(landmark, measurement.traced.sections).position_mm


def cost() -> None:
    """Time of a whole run, files and pictures included, as `python -m volumetry` does it."""
    print("| scan | CPU s | peak MB of the process |\n|---|---|---|")
    for name, path in (
        ("t2 crop", MASKED["t2 1 mm crop"][0]),
        ("head with neck", FOREST),
        ("PAM50 template, whole cord", MASKED["PAM50 T2 template"][0]),
    ):
        image = image_load(path)
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            NeuraxisCord().measure(image, workdir=Path(folder))
        seconds = time.process_time() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
        print(f"| {name} | {seconds:.1f} | {peak:.0f} |", flush=True)


SECTIONS: dict[str, Callable[[], None]] = {
    "bias": bias,
    "sagittal": sagittal,
    "coverage": coverage,
    "rescan": rescan,
    "levels": levels,
    "intervals": intervals,
    "masks": masks,
    "heads": heads,
    "repeats": repeats,
    "finding": finding,
    "junction": junction,
    "cost": cost,
}

if __name__ == "__main__":
    for section in sys.argv[1:] or SECTIONS:
        print(f"\n## {section}\n", flush=True)
        SECTIONS[section]()
