"""Drawn cords of known area: bias, sagittal slices, coverage of the errors, rescans and change.

Sections of `benchmarks.cord_report`. Seeds begin at 50000 and were not used while developing.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tests.volumetry.phantoms.cord_tube import T1, T2, Contrast, CordTube, tube_image
from volumetry.core.cord.engine import CordMeasurement, cord_measure
from volumetry.core.cord.paired import align, change_measure, level_change
from volumetry.core.methods import CordRequest
from volumetry.core.types import Landmark, LandmarkKind, ScanImage

FIRST_SEED = 50000
STATED: dict[str, list[tuple[str, float, float]]] = {}
"""Every drawn cord of this run: contrast, error of the mean area and its stated error, percent
of the drawn area, by section of the report."""
SHORT = CordTube(length_mm=44.0, field_mm=40.0)
BLURS_MM, TILTS_DEGREES = (0.0, 0.3, 0.6, 1.0), (0.0, 15.0, 30.0)


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
        for blur in BLURS_MM:
            for tilt in TILTS_DEGREES:
                yield (
                    f"{name}, blur {blur} mm, tilt {tilt:.0f}°",
                    replace(SHORT, tilt_degrees=tilt),
                    base | {"blur_sigma_mm": blur},
                )
        for voxel in (0.8, 1.2):
            yield f"{name}, voxel {voxel} mm", SHORT, base | {"spacing_mm": (voxel,) * 3}
        yield f"{name}, curvature 1/100 mm", replace(SHORT, bend_per_mm=0.01), base
        for field in (26.0, 110.0):
            yield f"{name}, field of view {field:.0f} mm", replace(SHORT, field_mm=field), base
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


def percent_errors(
    tube: CordTube, options: dict[str, object], seed: int
) -> tuple[float, float, float]:
    """Draw and measure.

    Returns
    -------
    tuple of float
        Error of the area over the middle 24 mm; error of the whole stretch, and the standard
        error that is stated for it. All in percent of the drawn area; NaN when not found.
    """
    image = tube_image(tube, subdivision=3, seed=seed, **options)  # type: ignore[arg-type]
    result = measured(image)
    if not result.measures:
        return (float("nan"),) * 3
    whole, share = result.measures[0], 100.0 / tube.area_mm2
    return (
        share * middle_area(result) - 100.0,
        share * whole.value - 100.0,
        share * (whole.standard_error or 0.0),
    )


def intervals() -> None:
    """Share of 95 % intervals that hold the drawn area, over the sections that were run."""
    print("| cords | n | SD of the error % | stated error % | inside ±1.96 SE |")
    print("|---|---|---|---|---|")
    everything = [row for rows in STATED.values() for row in rows]
    for section, rows in (STATED | {"all": everything}).items():
        for name in ("T2", "T1", "both"):
            pairs = [row[1:] for row in rows if name in (row[0], "both")]
            if pairs:
                print(f"| {section}, {name} | {inside_words(pairs)} |", flush=True)


def inside_words(pairs: list[tuple[float, float]]) -> str:
    """Say SD of the errors, stated error and share inside; pairs of error and its error."""
    part = np.array([pair for pair in pairs if np.isfinite(pair).all()])
    inside = 100.0 * np.mean(np.abs(part[:, 0]) < 1.96 * part[:, 1])
    return (
        f"{len(part)} | {part[:, 0].std(ddof=1):.2f} | {part[:, 1].mean():.2f} | {inside:.0f} %"
    )


def bias(count: int = 3) -> None:
    """Error of each drawn cord: every seed has other noise and another place on the voxels."""
    print("| phantom | mean error % | worst % | n |\n|---|---|---|---|")
    means: dict[str, float] = {}
    stated = STATED.setdefault("rows of the bias table", [])
    for case, (name, tube, options) in enumerate(bias_cases()):
        rows = []
        for repeat in range(count):
            seed = FIRST_SEED + 10 * case + repeat
            phase = tuple(np.random.default_rng(seed).uniform(-0.5, 0.5, 3))
            rows.append(percent_errors(tube, options | {"phase": phase}, seed))
        errors = [row[0] for row in rows]
        means[name] = float(np.nanmean(errors))
        stated += [(name[:2], *row[1:]) for row in rows]
        worst = errors[int(np.nanargmax(np.abs(errors)))]
        lost = int(np.isnan(errors).sum())
        said = f"{count - lost}" + (f" ({lost} not found)" if lost else "")
        print(f"| {name} | {means[name]:+.2f} | {worst:+.2f} | {said} |", flush=True)
    print("\n| spread with tilt | highest minus lowest mean of the three tilts % |\n|---|---|")
    for name in ("T2", "T1"):
        for blur in BLURS_MM:
            three = [means[f"{name}, blur {blur} mm, tilt {t:.0f}°"] for t in TILTS_DEGREES]
            print(f"| {name}, blur {blur} mm | {max(three) - min(three):.2f} |")


def sagittal() -> None:
    """Slices of 3 mm from side to side, at eight places of the slices."""
    print(
        "| sagittal 3 x 1 x 1 mm | mean error % | lowest | highest | n |\n|---|---|---|---|---|"
    )
    seed = FIRST_SEED + 3000
    stated = STATED.setdefault("sagittal 3 mm", [])
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
                error, whole, whole_error = percent_errors(tube, options, seed)
                errors.append(error)
                stated.append(("T2", whole, whole_error))
            print(
                f"| T2, blur {blur} mm, tilt {tilt:.0f}° | {np.nanmean(errors):+.2f} | "
                f"{np.nanmin(errors):+.2f} | {np.nanmax(errors):+.2f} | "
                f"{int(np.isfinite(errors).sum())} |",
                flush=True,
            )


def coverage(count: int = 48) -> None:
    """Measure cords of random size, tilt, bend, fluid, voxel, noise and blur."""
    rng = np.random.default_rng(FIRST_SEED + 4000)
    rows = STATED.setdefault("random cords", [])
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
    print(f"{len(rows)} of {count} measured.")


def turn(rng: np.random.Generator, degrees: float) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(rng.uniform(-degrees, degrees, 3))):
        i, j = (a for a in range(3) if a != axis)
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ step
    return matrix


def rescanned(
    share: float, contrast: Contrast, rng: np.random.Generator, *, length_mm: float = 56.0
) -> ScanImage:
    size = np.sqrt(share)
    tube = replace(
        SHORT,
        rl_mm=12.6 * size,
        ap_mm=8.2 * size,
        tilt_degrees=8.0,
        bend_per_mm=0.002,
        taper_per_mm=0.002,
        length_mm=length_mm,
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


def rescan(count: int = 8) -> None:
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
        share = 100.0 / truth
        STATED.setdefault("rescans", []).extend(
            (name, share * (area - truth), share * error)
            for area, error in zip(areas, errors, strict=True)
        )
        inside = float(np.mean(np.abs(areas - truth) < 1.96 * errors))
        cv = 100.0 * areas.std(ddof=1) / areas.mean()
        for left in (0.99, 0.98):
            read, plain = [], []
            for scan in scans:
                later = measured(rescanned(left, contrast, rng))
                alignment = align(scan, later)
                change = change_measure(scan, later, alignment) if alignment else None
                if change is not None:
                    read.append(change.percent)
                    plain.append(change.difference_percent)
            print(
                f"| {name} | {len(read)} | {cv:.2f} | {100 * inside:.0f} % | "
                f"{100 * (left - 1):.0f} % | {np.mean(read):+.2f} | "
                f"{np.std(read, ddof=1):.2f} | {np.std(plain, ddof=1):.2f} |",
                flush=True,
            )


CLICK_SD_MM = 2.0
"""Along the cord: how far a person's click on the C2-C3 disc may lie from the last one's."""


def clicked(image: ScanImage, rng: np.random.Generator) -> CordMeasurement:
    point = (0.0, 9.0, float(rng.normal(0.0, CLICK_SD_MM)))
    return cord_measure(image, request=CordRequest(landmark=Landmark(LandmarkKind.C2C3, point)))


def levels(count: int = 8) -> None:
    """Follow a level over two visits whose landmarks were clicked apart, on a tapered cord."""
    print("| contrast | change | n | own windows | SD | same tissue | SD | inside ±1.96 SE |")
    print("|---|---|---|---|---|---|---|---|")
    for name, contrast in (("T2", T2), ("T1", T1)):
        rng = np.random.default_rng(FIRST_SEED + 700 + len(name))
        for left in (1.0, 0.99):
            own, same, inside = [], [], []
            for _ in range(count):
                one, two = (
                    clicked(rescanned(share, contrast, rng, length_mm=80.0), rng)
                    for share in (1.0, left)
                )
                alignment = align(one, two)
                change = change_measure(one, two, alignment) if alignment else None
                level = level_change(one, two, change) if change else None
                if level is None or one.window is None or two.window is None:
                    continue
                ratio = two.window.mean_mm2 / one.window.mean_mm2
                own.append(100 * (ratio - 1))
                same.append(level.percent)
                error = level.percent - 100 * (left - 1)
                inside.append(abs(error) < 1.96 * level.standard_error)
            print(
                f"| {name} | {100 * (left - 1):.0f} % | {len(same)} | {np.mean(own):+.2f} | "
                f"{np.std(own, ddof=1):.2f} | {np.mean(same):+.2f} | "
                f"{np.std(same, ddof=1):.2f} | {100 * np.mean(inside):.0f} % |",
                flush=True,
            )
