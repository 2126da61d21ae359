"""Measure what a user would otherwise install on the same synthetic heads as brain_report.py.

    python -m benchmarks.brain_peers --data FOLDER [--seed 501] [--maps 02 05 ...]

DIPY's TissueClassifierHMRF and ANTs' N4 with Atropos, both *given the true intracranial mask*
(neither finds one in a whole head by itself; the built-in engine gets the scan alone). They
come with the optional extra ``peers``, which belongs into an environment of its own: it needs
only this repository on the path beside it.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")

import ants
import numpy as np
from dipy.segment.tissue import TissueClassifierHMRF
from scipy import ndimage

from tests.volumetry.phantoms.heads import (
    BRAINSTEM,
    FLUID,
    GREY,
    WHITE,
    LabelledHead,
    Pose,
    contrast_random,
    head_draw,
    truth_of,
)

REST_MM = 3


def dipy_volumes(values: np.ndarray, mask: np.ndarray) -> tuple[float, float, float]:
    """Return fluid, grey, white (mm³) by DIPY's hidden Markov random field."""
    _, _, shares = TissueClassifierHMRF(verbose=False).classify(values * mask, 3, 0.1)
    fluid, grey, white = (float(shares[..., tissue][mask].sum()) for tissue in range(3))
    return fluid, grey, white


def ants_volumes(values: np.ndarray, mask: np.ndarray) -> tuple[float, float, float]:
    """Return fluid, grey, white (mm³) by ANTs N4 and Atropos."""
    image = ants.from_numpy(values.astype(np.float32))
    inside = ants.from_numpy(mask.astype(np.float32))
    flat = ants.n4_bias_field_correction(image, mask=inside)
    found = ants.atropos(a=flat, x=inside, i="kmeans[3]", m="[0.1,1x1x1]", c="[5,0]")
    maps = [np.asarray(share.numpy()) for share in found["probabilityimages"]]
    means = [float((flat.numpy() * share).sum() / share.sum()) for share in maps]
    fluid, grey, white = (float(maps[k][mask].sum()) for k in np.argsort(means))
    return fluid, grey, white


PEERS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[float, float, float]]] = {
    "DIPY HMRF": dipy_volumes,
    "ANTs N4 + Atropos": ants_volumes,
}


def posed_space(head: LabelledHead, pose: Pose) -> np.ndarray:
    """Return the true intracranial mask on the drawn scan's grid."""
    labels = head.labels
    lowest = int(np.argwhere(np.any(labels == BRAINSTEM, axis=(0, 1))).min())
    space = np.isin(labels, WHITE + GREY + FLUID)
    space[:, :, :lowest] = False
    shape = tuple(side + 2 * REST_MM for side in labels.shape)
    turn = pose.matrix()
    middle = (np.array(shape) - 1) / 2 + np.array(pose.shift_mm)
    offset = (np.array(labels.shape) - 1) / 2 - turn.T @ middle
    posed = ndimage.affine_transform(
        space.astype(np.float32), turn.T, offset=offset, output_shape=shape, order=1
    )
    return np.asarray(posed > 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=501)
    parser.add_argument("--maps", nargs="*", default=["02", "05", "10", "13", "16"])
    options = parser.parse_args()
    print("| head | tool | parenchyma | grey | white | CPU s |\n|---|---|---|---|---|---|")
    for number in options.maps:
        head = LabelledHead.read(options.data / "label_maps" / f"training_seg_{number}.nii.gz")
        # the pose and contrast that head_draw itself would draw first from this seed
        rng = np.random.default_rng(options.seed + int(number))
        pose, means = Pose.random(rng), contrast_random(rng)
        scan = head_draw(head, seed=options.seed + int(number), pose=pose, means=means)
        truth, mask = truth_of(head.labels), posed_space(head, pose)
        box = tuple(slice(s.start, s.stop) for s in ndimage.find_objects(mask.astype(int))[0])
        for name, run in PEERS.items():
            started = time.process_time()
            _, grey, white = run(scan.intensities[box].astype(np.float64), mask[box])
            seconds = time.process_time() - started
            errors = " | ".join(
                f"{100 * (found / true - 1):+.2f}"
                for found, true in (
                    (grey + white, truth.brain_parenchyma),
                    (grey, truth.grey_matter),
                    (white, truth.white_matter),
                )
            )
            print(f"| {number} | {name} | {errors} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
