"""Where the brain engine bends: repeats, thick slices, cut heads, lesions, drawn callosa.

    python -m benchmarks.brain_limits repeats  --data FOLDER --seed 611 --maps 10 16
    python -m benchmarks.brain_limits thick    --data FOLDER --seed 621
    python -m benchmarks.brain_limits cuts     --data FOLDER --seed 631 --maps 10
    python -m benchmarks.brain_limits lesions  --data FOLDER --seed 641 --maps 10 13
    python -m benchmarks.brain_limits callosum --data FOLDER --seed 651 --maps 02 10 16

Every head is drawn by the test phantoms, which share no code with the engine. One line per
measurement as it is done, then means. Seeds below 100 were looked at while developing.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from tests.volumetry.phantoms.callosum import callosum_drawn
from tests.volumetry.phantoms.heads import (
    LabelledHead,
    contrast_random,
    head_draw,
    truth_of,
)
from tests.volumetry.phantoms.lesions import lesions_drawn
from volumetry.core.types import (
    Quantity,
    ScanImage,
    Structure,
    Verdict,
    VolumetryResult,
)
from volumetry.engines.brain import NeuraxisBrain

MAPS = ("02", "05", "10", "13", "16")
SHOWN = (
    Structure.BRAIN_PARENCHYMA,
    Structure.GREY_MATTER,
    Structure.WHITE_MATTER,
    Structure.LATERAL_VENTRICLES,
    Structure.INTRACRANIAL,
    Structure.THALAMUS,
)
CEREBRUM, CEREBELLUM = (2, 41, 3, 42), (7, 46, 8, 47)
CUTS_MM = {
    "top (vertex)": 25,
    "bottom (cerebellum, temporal poles)": 20,
    "right side": 25,
    "back": 30,
    "front": 30,
}
"""How much of the brain's own extent is left out of the scan at each side, mm."""


def head_of(data: Path, number: str) -> LabelledHead:
    return LabelledHead.read(data / "label_maps" / f"training_seg_{number}.nii.gz")


def measured(scan: ScanImage, lesions: ScanImage | None = None) -> VolumetryResult:
    with tempfile.TemporaryDirectory() as folder:
        return NeuraxisBrain().measure(scan, workdir=Path(folder), lesions=lesions)


def errors(result: VolumetryResult, head: LabelledHead) -> list[float]:
    """Return measured minus true, percent; NaN for what was not measured."""
    truth = truth_of(head.labels)
    row = []
    for structure in SHOWN:
        measure = result.measure_of(structure, Quantity.VOLUME)
        true = getattr(truth, structure)
        row.append(float("nan") if measure is None else 100 * (measure.value / true - 1))
    return row


def table(name: str) -> None:
    print(f"| {name} | " + " | ".join(SHOWN) + " |\n" + "|---" * (len(SHOWN) + 1) + "|")


def line(name: str, row: list[float] | np.ndarray) -> None:
    print(f"| {name} | " + " | ".join(f"{value:+.2f}" for value in row) + " |", flush=True)


def repeats(data: Path, numbers: list[str], seed: int, count: int) -> None:
    """Draw the same head again and again with new noise, bias and pose."""
    table("head, repeat")
    spread = []
    for number in numbers:
        head = head_of(data, number)
        means = contrast_random(np.random.default_rng(seed + int(number)))
        rows = []
        for step in range(count):
            scan = head_draw(head, seed=seed + 100 * int(number) + step, means=means)
            rows.append(errors(measured(scan), head))
            line(f"{number}, {step + 1}", rows[-1])
        spread.append(np.std(rows, axis=0, ddof=1))
        line(f"{number}, SD", spread[-1])
    line(f"pooled SD, n {count * len(numbers)}", np.sqrt(np.mean(np.square(spread), axis=0)))


def thick(data: Path, numbers: list[str], seed: int, millimetres: int) -> None:
    """Measure clinical 2-D scans: the same head in 1 mm and in thick slices."""
    table("head, slices")
    rows = []
    for number in numbers:
        head = head_of(data, number)
        scan = head_draw(head, seed=seed + int(number), slice_mm=millimetres)
        result = measured(scan)
        rows.append(errors(result, head))
        line(f"{number}, {millimetres} mm", rows[-1])
        warned = [check.name for check in result.quality if check.verdict is not Verdict.PASS]
        print(f"checks not passed: {', '.join(warned) or 'none'}; {result.reason or ''}")
    line("mean abs", np.nanmean(np.abs(rows), axis=0))
    line("mean", np.nanmean(rows, axis=0))


def cuts(data: Path, numbers: list[str], seed: int) -> None:
    """Cut a part of the head off and see whether a number is still given."""
    for number in numbers:
        head = head_of(data, number)
        scan = head_draw(head, seed=seed + int(number))
        for side, amount in CUTS_MM.items():
            result = measured(cut(scan, head, side, amount))
            print(f"| {number} | {side} | {amount} mm | {result.outcome} | {result.reason} |")
            marked = [
                f"{check.name} {check.verdict}"
                for check in result.quality
                if check.verdict is not Verdict.PASS
            ]
            line(f"{number} {side}: {', '.join(marked)}", errors(result, head))


def cut(scan: ScanImage, head: LabelledHead, side: str, amount_mm: int) -> ScanImage:
    """Return the scan without what lies beyond a plane so far inside the brain."""
    # Cerebrum and cerebellum: the brainstem and what follows it reach further down.
    brain = np.argwhere(np.isin(head.labels, CEREBRUM + CEREBELLUM)) + 3
    low, high = brain.min(axis=0), brain.max(axis=0)
    axis, is_high = {
        "right side": (0, True),
        "back": (1, False),
        "front": (1, True),
        "bottom (cerebellum, temporal poles)": (2, False),
        "top (vertex)": (2, True),
    }[side]
    keep = [slice(None)] * 3
    if is_high:
        keep[axis] = slice(0, int(high[axis] - amount_mm))
        return replace(scan, intensities=scan.intensities[tuple(keep)].copy())
    start = int(low[axis] + amount_mm)
    keep[axis] = slice(start, None)
    affine = scan.affine.copy()
    affine[:3, 3] += start * affine[:3, axis]
    return replace(scan, intensities=scan.intensities[tuple(keep)].copy(), affine=affine)


def lesions(data: Path, numbers: list[str], seed: int, millilitres: float) -> None:
    """Draw the same head without lesions, with them, and with them and their mask."""
    table("head, case")
    rows: dict[str, list[list[float]]] = {}
    for number in numbers:
        head = head_of(data, number)
        at = seed + int(number)
        means = contrast_random(np.random.default_rng(at))
        drawn = lesions_drawn(head, seed=at, millilitres=millilitres)
        plain = head_draw(head, seed=at, means=means)
        ill, mask = drawn.scan(seed=at, means=means)
        for name, scan, given in (
            ("no lesions", plain, None),
            ("lesions, no mask", ill, None),
            ("lesions, mask", ill, mask),
        ):
            result = measured(scan, given)
            rows.setdefault(name, []).append(errors(result, head))
            line(f"{number}, {name}", rows[name][-1])
        found = result.provenance.parameters
        print(
            f"true {drawn.volume_mm3 / 1000:.2f} ml in {drawn.count}; reported "
            f"{float(str(found['lesion_volume_mm3'])) / 1000:.2f} ml in {found['lesion_count']}"
        )
    base = np.array(rows["no lesions"])
    for name in ("lesions, no mask", "lesions, mask"):
        line(f"bias of {name}", np.mean(np.array(rows[name]) - base, axis=0))


def callosum(data: Path, numbers: list[str], seed: int) -> None:
    """Draw callosa of known area, thick to thin, at new poses."""
    off = []
    for number in numbers:
        head = head_of(data, number)
        for step, thickness in enumerate((1.1, 0.85, 0.6)):
            at = seed + 100 * int(number) + step
            drawn = callosum_drawn(head, seed=at, thickness=thickness)
            result = measured(head_draw(drawn.head, seed=at))
            found = result.measure_of(Structure.CORPUS_CALLOSUM, Quantity.AREA)
            if found is None:
                print(f"| {number} | {thickness} | {drawn.area_mm2:.0f} | {result.reason} |")
                continue
            off.append(100 * (found.value / drawn.area_mm2 - 1))
            print(f"| {number} | {thickness} | {drawn.area_mm2:.0f} | {found.value:.0f} | "
                  f"{off[-1]:+.1f} % |", flush=True)  # fmt: skip
    print(
        f"n {len(off)}, mean {np.mean(off):+.1f} %, SD {np.std(off, ddof=1):.1f} %, mean "
        f"absolute {np.mean(np.abs(off)):.1f} %, worst {np.max(np.abs(off)):.1f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["repeats", "thick", "cuts", "lesions", "callosum"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=601)
    parser.add_argument("--maps", nargs="*", default=list(MAPS))
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--slices", type=int, default=3)
    parser.add_argument("--millilitres", type=float, default=12.0)
    options = parser.parse_args()
    todo: dict[str, Callable[[], None]] = {
        "repeats": lambda: repeats(options.data, options.maps, options.seed, options.count),
        "thick": lambda: thick(options.data, options.maps, options.seed, options.slices),
        "cuts": lambda: cuts(options.data, options.maps, options.seed),
        "lesions": lambda: lesions(
            options.data, options.maps, options.seed, options.millilitres
        ),
        "callosum": lambda: callosum(options.data, options.maps, options.seed),
    }
    todo[options.what]()


if __name__ == "__main__":
    main()
