"""Measure the cord engine: phantoms with known area, rescans, shared masks, finding, timing.

Run from the top of the repository, one section at a time or all of them::

    python -m benchmarks.cord_report [bias sagittal coverage rescan masks heads repeats ...]

Each section prints one Markdown table; docs/cord.md holds the last full run. Seeds begin at
20000 and were not used while developing. Real scans are read from NEURAXIS_DATA.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from tests.volumetry.phantoms.cord_tube import T1, T2, Contrast, CordTube, tube_image
from tests.volumetry.phantoms.labelled_head import T1_MEANS, T2_MEANS, head_draw
from volumetry.core.cord.engine import CordMeasurement, cord_measure
from volumetry.core.cord.geometry import grid_of, values_to_input_order
from volumetry.core.cord.levels import landmark_project
from volumetry.core.cord.painting import mask_paint
from volumetry.core.cord.paired import align, change_measure
from volumetry.core.images import image_load
from volumetry.core.methods import CordRequest
from volumetry.core.types import Landmark, LandmarkKind, ScanImage
from volumetry.engines.cord import NeuraxisCord

DATA = Path(os.environ.get("NEURAXIS_DATA", "../shared/data"))
FIRST_SEED = 20000
SHORT = CordTube(length_mm=44.0, field_mm=40.0)
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


def measured(
    image: ScanImage, hint: tuple[float, float, float] | None = None
) -> CordMeasurement:
    return cord_measure(image, request=CordRequest(hint_mm=hint))


def middle_area(measurement: CordMeasurement) -> float:
    """Mean area over the middle 24 mm, where drawn area is known; NaN when not measured."""
    profile = measurement.profile
    if profile is None:
        return float("nan")
    height = measurement.grid.voxels(profile.sections.centre_mm)[:, 2]
    middle = (measurement.grid.values.shape[2] - 1) / 2.0
    near = np.abs(height - middle) * measurement.grid.spacing_mm[2] <= 12.0
    return float(np.nanmean(profile.area_mm2[near])) if near.any() else float("nan")


def bias_cases() -> Iterator[tuple[str, CordTube, dict[str, object]]]:
    for name, contrast in (("T2", T2), ("T1", T1)):
        base: dict[str, object] = {"contrast": contrast, "noise": 0.10, "blur_sigma_mm": 0.4}
        for blur in (0.0, 0.3, 0.6, 1.0):
            for tilt in (0.0, 15.0, 30.0):
                yield (
                    f"{name}, blur {blur} mm, tilt {tilt:.0f}°",
                    replace(SHORT, tilt_degrees=tilt),
                    base | {"blur_sigma_mm": blur},
                )
        for voxel in (0.8, 1.2):
            yield f"{name}, voxel {voxel} mm", SHORT, base | {"spacing_mm": (voxel,) * 3}
        yield f"{name}, curvature 1/100 mm", replace(SHORT, bend_per_mm=0.01), base
        yield f"{name}, noise 30 %", SHORT, base | {"noise": 0.3}
        yield f"{name}, bias field ±30 %", SHORT, base | {"bias": 0.3}
        yield (
            f"{name}, dorsal fluid 1 mm",
            replace(SHORT, lost_dorsal_fluid_mm=2.0),
            base,
        )
        yield (
            f"{name}, thin cord (52 mm²)",
            replace(SHORT, rl_mm=10.1, ap_mm=6.56),
            base,
        )
    yield (
        "T2*, axial 0.7 x 0.7 x 2.5 mm, tilt 10°",
        replace(SHORT, tilt_degrees=10.0),
        {"contrast": T2, "noise": 0.10, "spacing_mm": (0.7, 0.7, 2.5)},
    )
    yield (
        "T2, axial 0.7 x 0.7 x 5 mm, tilt 10°",
        replace(SHORT, tilt_degrees=10.0, length_mm=60.0),
        {"contrast": T2, "noise": 0.10, "spacing_mm": (0.7, 0.7, 5.0)},
    )


def percent_error(tube: CordTube, options: dict[str, object], seed: int) -> float:
    """Draw, measure the middle 24 mm, compare with the drawn area; NaN when not found."""
    image = tube_image(tube, subdivision=3, seed=seed, **options)  # type: ignore[arg-type]
    return 100.0 * (middle_area(measured(image)) / tube.area_mm2 - 1.0)


def bias(count: int = 3) -> None:
    """Error of each drawn cord: every seed has other noise and another place on the voxels."""
    print("| phantom | mean error % | worst % | n |\n|---|---|---|---|")
    for case, (name, tube, options) in enumerate(bias_cases()):
        errors = []
        for repeat in range(count):
            seed = FIRST_SEED + 10 * case + repeat
            phase = tuple(np.random.default_rng(seed).uniform(-0.5, 0.5, 3))
            errors.append(percent_error(tube, options | {"phase": phase}, seed))
        worst = errors[int(np.nanargmax(np.abs(errors)))]
        lost = int(np.isnan(errors).sum())
        said = f"{count - lost}" + (f" ({lost} not found)" if lost else "")
        print(f"| {name} | {np.nanmean(errors):+.2f} | {worst:+.2f} | {said} |", flush=True)


def sagittal() -> None:
    """Slices of 3 mm from side to side, at eight places of the slices."""
    print(
        "| sagittal 3 x 1 x 1 mm | mean error % | lowest | highest | n |\n|---|---|---|---|---|"
    )
    seed = FIRST_SEED + 3000
    for blur in (0.0, 0.4):
        for tilt in (0.0, 15.0):
            errors = []
            for phase in np.arange(0.0, 1.0, 0.125):
                seed += 1
                tube = replace(SHORT, tilt_degrees=tilt, field_mm=48.0)
                options: dict[str, object] = {
                    "noise": 0.10,
                    "blur_sigma_mm": blur,
                    "spacing_mm": (3.0, 1.0, 1.0),
                    "phase": (float(phase), 0.0, 0.0),
                }
                errors.append(percent_error(tube, options, seed))
            print(
                f"| T2, blur {blur} mm, tilt {tilt:.0f}° | {np.nanmean(errors):+.2f} | "
                f"{np.nanmin(errors):+.2f} | {np.nanmax(errors):+.2f} | "
                f"{int(np.isfinite(errors).sum())} |",
                flush=True,
            )


def coverage(count: int = 80) -> None:
    """Share of 95 % intervals that hold the drawn area, over cords of many kinds."""
    print("| cords | n | SD of the error % | stated error % | inside ±1.96 SE |")
    print("|---|---|---|---|---|")
    rng = np.random.default_rng(FIRST_SEED + 4000)
    rows: list[tuple[str, float, float]] = []
    for index in range(count):
        name, contrast = (("T2", T2), ("T1", T1))[index % 2]
        voxel, size = float(rng.choice([0.8, 1.0, 1.2])), float(rng.uniform(0.88, 1.06))
        tube = replace(
            SHORT,
            rl_mm=12.6 * size,
            ap_mm=8.2 * size * float(rng.uniform(0.93, 1.05)),
            tilt_degrees=float(rng.uniform(0.0, 30.0)),
            bend_per_mm=float(rng.uniform(-0.004, 0.004)),
            fluid_mm=float(rng.uniform(2.2, 4.0)),
        )
        image = tube_image(
            tube,
            contrast=contrast,
            noise=float(rng.choice([0.05, 0.10, 0.20])),
            blur_sigma_mm=float(rng.choice([0.0, 0.3, 0.4, 0.6])),
            spacing_mm=(voxel, voxel, voxel),
            rotation=turn(rng, 3.0),
            phase=tuple(rng.uniform(-0.5, 0.5, 3)),
            subdivision=3,
            seed=int(rng.integers(1 << 30)),
        )
        result = measured(image)
        if result.measures:
            mean, error = result.measures[0].value, result.measures[0].standard_error or 0.0
            share = 100.0 / tube.area_mm2
            rows.append((name, share * (mean - tube.area_mm2), share * error))
    for name in ("T2", "T1", "both"):
        part = np.array([row[1:] for row in rows if name in (row[0], "both")])
        inside = 100.0 * np.mean(np.abs(part[:, 0]) < 1.96 * part[:, 1])
        print(
            f"| {name} | {len(part)} | {part[:, 0].std(ddof=1):.2f} | "
            f"{part[:, 1].mean():.2f} | {inside:.0f} % |",
            flush=True,
        )


def turn(rng: np.random.Generator, degrees: float) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(rng.uniform(-degrees, degrees, 3))):
        i, j = (a for a in range(3) if a != axis)
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ step
    return matrix


def rescanned(share: float, contrast: Contrast, rng: np.random.Generator) -> ScanImage:
    size = np.sqrt(share)
    tube = replace(
        SHORT,
        rl_mm=12.6 * size,
        ap_mm=8.2 * size,
        tilt_degrees=8.0,
        bend_per_mm=0.002,
        taper_per_mm=0.002,
        length_mm=56.0,
    )
    return tube_image(
        tube,
        contrast=contrast,
        noise=0.10,
        blur_sigma_mm=0.4,
        rotation=turn(rng, 3.0),
        shift_mm=tuple(rng.uniform(-0.5, 0.5, 3)),
        subdivision=3,
        seed=int(rng.integers(1 << 30)),
    )


def rescan(count: int = 12) -> None:
    print(
        "| contrast | n | CV % | inside ±1.96 SE | change | paired mean | SD | difference SD |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, contrast in (("T2", T2), ("T1", T1)):
        rng = np.random.default_rng(FIRST_SEED + 500 + len(name))
        scans = [measured(rescanned(1.0, contrast, rng)) for _ in range(count)]
        areas = np.array([scan.measures[0].value for scan in scans])
        errors = np.array([scan.measures[0].standard_error for scan in scans])
        truth = np.pi * 12.6 * 8.2 / 4.0
        inside = float(np.mean(np.abs(areas - truth) < 1.96 * errors))
        cv = 100.0 * areas.std(ddof=1) / areas.mean()
        for share in (0.99, 0.98):
            read, plain = [], []
            for scan in scans:
                later = measured(rescanned(share, contrast, rng))
                alignment = align(scan, later)
                change = change_measure(scan, later, alignment) if alignment else None
                if change is not None:
                    read.append(change.percent)
                    plain.append(change.difference_percent)
            print(
                f"| {name} | {len(read)} | {cv:.2f} | {100 * inside:.0f} % | "
                f"{100 * (share - 1):.0f} % | {np.mean(read):+.2f} | "
                f"{np.std(read, ddof=1):.2f} | {np.std(plain, ddof=1):.2f} |",
                flush=True,
            )


def overlap(measurement: CordMeasurement, image: ScanImage, mask: np.ndarray) -> str:
    """Dice and area ratio over the slices that both cover."""
    profile = measurement.profile
    if profile is None:
        return "0 | refused"
    painted = mask_paint(measurement.grid, profile.sections, profile.radius_mm)
    truth = grid_of(replace(image, intensities=mask.astype(np.float32))).values
    rows = np.flatnonzero((truth > 0.5).any(axis=(0, 1)))
    mine = np.flatnonzero((painted > 0.5).any(axis=(0, 1)))
    both = np.intersect1d(rows, mine)
    a, b = truth[:, :, both] > 0.5, painted[:, :, both] > 0.5
    dice = 2.0 * (a & b).sum() / (a.sum() + b.sum())
    ratio = painted[:, :, both].sum() / truth[:, :, both].sum()
    return f"{dice:.3f} | {100 * (ratio - 1):+.1f} % | {len(both)} of {len(rows)}"


def masks() -> None:
    print(
        "| scan | Dice | area against mask | slices | without a click |\n|---|---|---|---|---|"
    )
    for name, (path, mask_path) in MASKED.items():
        if "run 2" in name:
            continue
        image, mask = image_load(path), nib.load(mask_path).get_fdata()
        result, found = measured(image), "yes"
        if result.profile is None:
            ijk = np.argwhere(mask > 0.5)
            middle = ijk[np.abs(ijk[:, 2] - np.median(ijk[:, 2])) < 1].mean(axis=0)
            point = image.affine[:3, :3] @ middle + image.affine[:3, 3]
            x, y, z = (float(value) for value in point)
            result, found = measured(image, (x, y, z)), "no: one click"
        print(f"| {name} | {overlap(result, image, mask)} | {found} |", flush=True)


def heads(count: int = 3) -> None:
    """Heads drawn from label maps, T1 (several poses) and T2: Dice, area, junction, time."""
    print("| head | Dice | area against label | slices | junction mm in the map (x, y, z) |")
    print("|---|---|---|---|---|")
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
            said = said if result.profile is not None else f"0 | {result.reason} | -"
            print(f"| {name} {number} | {said} | {place} |", flush=True)
        if len(places) > 1:
            spread = ", ".join(f"{value:.2f}" for value in np.std(places, axis=0, ddof=1))
            print(f"| T1 {number}: SD over {len(places)} poses | | | | {spread} |", flush=True)


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
    path = DATA / "label_maps/training_seg_13.nii.gz"
    head = head_draw(path, means=T1_MEANS, seed=FIRST_SEED + 13)
    row("T1 head 13, cropped below the brainstem", below_cropped(head.image, path))
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
    for name, path in (("t2 crop", MASKED["t2 1 mm crop"][0]), ("studyforrest", FOREST)):
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
