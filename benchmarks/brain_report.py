"""Measure the brain engine on synthetic heads of known truth and print the tables.

    python -m benchmarks.brain_report --data FOLDER [--seed 101] [--maps 02 05 ...] [--pairs 13]

One line per head as it is done, then means. The heads are drawn by the test phantoms (which
share no code with the engine) from the label maps under FOLDER/label_maps. Seeds below 100
were looked at while developing; report on others.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from tests.volumetry.phantoms.heads import (
    LATERAL_VENTRICLES,
    LabelledHead,
    atrophy_field,
    contrast_random,
    head_draw,
    truth_of,
)
from volumetry.core.types import Quantity, Structure
from volumetry.engines.brain import NeuraxisBrain
from volumetry.engines.brain_change import NeuraxisChange

MAPS = ("02", "05", "10", "13", "16")
SHOWN = (
    Structure.BRAIN_PARENCHYMA,
    Structure.GREY_MATTER,
    Structure.WHITE_MATTER,
    Structure.LATERAL_VENTRICLES,
    Structure.INTRACRANIAL,
    Structure.CSF,
)


def head_of(data: Path, number: str) -> LabelledHead:
    return LabelledHead.read(data / "label_maps" / f"training_seg_{number}.nii.gz")


def visits(data: Path, numbers: list[str], seed: int) -> None:
    print("| head | " + " | ".join(SHOWN) + " | CPU s |")
    print("|---" * (len(SHOWN) + 2) + "|")
    errors = []
    for number in numbers:
        head = head_of(data, number)
        scan, truth = head_draw(head, seed=seed + int(number)), truth_of(head.labels)
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            result = NeuraxisBrain().measure(scan, workdir=Path(folder))
        seconds = time.process_time() - started
        if not result.measures:
            print(f"| {number} | {result.reason} |", flush=True)
            continue
        row = []
        for structure in SHOWN:
            measure = result.measure_of(structure, Quantity.VOLUME)
            assert measure is not None
            row.append(100 * (measure.value / getattr(truth, structure) - 1))
        errors.append(row)
        cells = " | ".join(f"{error:+.2f}" for error in row)
        print(f"| {number} | {cells} | {seconds:.0f} |", flush=True)
    means = " | ".join(f"{m:.2f}" for m in np.abs(errors).mean(axis=0))
    worst = " | ".join(f"{m:.2f}" for m in np.abs(errors).max(axis=0))
    print(f"| mean abs | {means} | |\n| worst | {worst} | |")


def ventricles_change(head: LabelledHead, moved: NDArray[np.float32]) -> float:
    """Return the true percent change of the lateral ventricles under a displacement."""
    inside = np.isin(head.labels, LATERAL_VENTRICLES)
    slopes = [[slope[inside] for slope in np.gradient(u)] for u in moved]
    jacobian = np.moveaxis(np.array(slopes), -1, 0) + np.eye(3)
    return float(100 * (np.linalg.det(jacobian).mean() - 1))


def pairs(data: Path, number: str, seed: int, wanted: list[float]) -> None:
    print(f"\nMap {number}, seed {seed}:\n")
    print("| true % | boundary shift | first to second | second to first | ventricles true % "
          "| walls | independent | CPU s |")  # fmt: skip
    print("|---" * 8 + "|")
    head = head_of(data, number)
    means = contrast_random(np.random.default_rng(seed))
    first = head_draw(head, seed=seed, means=means)
    for step, percent in enumerate(wanted, start=1):
        moved, achieved, wider = (None, 0.0, 0.0)
        if percent:
            moved, achieved = atrophy_field(head, percent=percent, seed=seed)
            wider = ventricles_change(head, moved)
        second = head_draw(head, seed=seed + step, means=means, moved=moved)
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            result = NeuraxisChange().measure(first, second, workdir=Path(folder))
        seconds = time.process_time() - started
        if not result.measures:
            print(f"| {achieved:.2f} | {result.reason} |", flush=True)
            continue
        numbers = result.provenance.parameters
        print(
            f"| {achieved:.2f} | {result.measures[0].value:+.3f} | "
            f"{numbers['percent_forward']} | {numbers['percent_backward']} | {wider:+.2f} | "
            f"{result.measures[1].value:+.2f} | {numbers['ventricles_percent_independent']} | "
            f"{seconds:.0f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--maps", nargs="*", default=list(MAPS))
    parser.add_argument("--pairs", nargs="*", default=[])
    parser.add_argument("--percents", nargs="*", type=float, default=[0.0, -0.5, -1.0, -2.0])
    options = parser.parse_args()
    if options.maps:
        visits(options.data, options.maps, options.seed)
    for number in options.pairs:
        pairs(options.data, number, options.seed, options.percents)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\nPeak memory {peak:.2f} GB, one thread.")


if __name__ == "__main__":
    main()
