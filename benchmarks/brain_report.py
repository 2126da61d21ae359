"""Measure the brain engine on synthetic heads of known truth and print the tables.

    python -m benchmarks.brain_report --data FOLDER [--seed 101] [--maps 02 05 ...]

One line per head as it is done, then means. Pairs: `benchmarks.brain_change_report`; repeats,
thick slices, cut heads, lesions, drawn callosa: `benchmarks.brain_limits`. The heads are drawn
by the test phantoms (which share no code with the engine) from the label maps under
FOLDER/label_maps. Seeds below 100 were looked at while developing; report on others.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from tests.volumetry.phantoms.heads import LabelledHead, head_draw, truth_of
from volumetry.core.types import Quantity, Structure
from volumetry.engines.brain import NeuraxisBrain

MAPS = ("02", "05", "10", "13", "16")
SHOWN = (
    Structure.BRAIN_PARENCHYMA,
    Structure.GREY_MATTER,
    Structure.WHITE_MATTER,
    Structure.LATERAL_VENTRICLES,
    Structure.INTRACRANIAL,
    Structure.CSF,
    Structure.THALAMUS,
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
            true = getattr(truth, structure)
            row.append(float("nan") if measure is None else 100 * (measure.value / true - 1))
        errors.append(row)
        cells = " | ".join(f"{error:+.2f}" for error in row)
        print(f"| {number} | {cells} | {seconds:.0f} |", flush=True)
    means = " | ".join(f"{m:.2f}" for m in np.nanmean(np.abs(errors), axis=0))
    worst = " | ".join(f"{m:.2f}" for m in np.nanmax(np.abs(errors), axis=0))
    print(f"| mean abs | {means} | |\n| worst | {worst} | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--maps", nargs="*", default=list(MAPS))
    options = parser.parse_args()
    visits(options.data, options.maps, options.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\nPeak memory {peak:.2f} GB, one thread.")


if __name__ == "__main__":
    main()
