"""Measure percent brain volume change on drawn pairs of known truth and print the tables.

    python -m benchmarks.brain_change_report --data FOLDER --seed 907 --maps 10 16 [--swap]

Each map is drawn once as a first visit, then once for every wanted change with new noise, bias
and pose (0 is a rescan). One line per pair as it is done, then the summary over all maps. Each
visit is segmented once, which is what the engine does, and with ``--swap`` the change is
measured again with the visits exchanged. Seeds below 100 were looked at while developing.
"""

import argparse
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tests.volumetry.phantoms.callosum import contact_plane
from tests.volumetry.phantoms.heads import (
    LATERAL_VENTRICLES,
    THALAMUS,
    LabelledHead,
    atrophy_field,
    contrast_random,
    head_draw,
)
from volumetry.core.brain.change import BrainChange, brain_change
from volumetry.core.brain.segmentation import BrainSegmentation, brain_segment
from volumetry.core.types import Structure

MAPS = ("02", "05", "10", "13", "16")


@dataclass(frozen=True, slots=True)
class Row:
    """One pair: the true changes and the measured one, percent; swapped where asked for."""

    map: str
    true: float
    change: BrainChange
    true_regions: dict[Structure, float]
    gap: float | None
    seconds: float

    @property
    def true_ventricles(self) -> float:
        """Return the true percent change of the lateral ventricles."""
        return self.true_regions[Structure.LATERAL_VENTRICLES]


def true_regions(
    head: LabelledHead, moved: NDArray[np.float32] | None
) -> dict[Structure, float]:
    """Return the true percent change of the deep structures under a displacement.

    The callosum is the white matter near the contact of both hemispheres; its change is that of
    the area on the plane of contact, det(J) |J^-T n|.
    """
    points, _, normal = contact_plane(head.labels)
    near = np.zeros(head.labels.shape, dtype=bool)
    near[tuple(np.floor(points).astype(int).T)] = True
    near = ndimage.binary_dilation(near, np.ones((5, 1, 1), dtype=bool)) & np.isin(
        head.labels, (2, 41)
    )
    masks = {
        Structure.LATERAL_VENTRICLES: np.isin(head.labels, LATERAL_VENTRICLES),
        Structure.THALAMUS: np.isin(head.labels, THALAMUS),
        Structure.CORPUS_CALLOSUM: near,
    }
    if moved is None:
        return dict.fromkeys(masks, 0.0)
    slopes = [np.gradient(u) for u in moved]
    changes = {}
    for name, mask in masks.items():
        jacobian = np.array([[slope[mask] for slope in row] for row in slopes])
        jacobian = np.moveaxis(jacobian, -1, 0) + np.eye(3)
        ratio = np.linalg.det(jacobian)
        if name is Structure.CORPUS_CALLOSUM:
            turned = np.linalg.solve(
                np.swapaxes(jacobian, 1, 2), np.tile(normal[:, None], (len(ratio), 1, 1))
            )
            ratio = ratio * np.linalg.norm(turned[..., 0], axis=1)
        changes[name] = float(100 * (ratio.mean() - 1))
    return changes


def pair_measure(
    first: BrainSegmentation, second: BrainSegmentation, *, is_swapped: bool
) -> tuple[BrainChange, float | None, float]:
    """Return the change, the order-swap gap in points, and the CPU seconds of one order."""
    started = time.process_time()
    change, _ = brain_change(first, second)
    seconds = time.process_time() - started
    if not is_swapped:
        return change, None, seconds
    back, _ = brain_change(second, first)
    product = (1 + change.percent / 100) * (1 + back.percent / 100)
    return change, 100 * abs(product - 1), seconds


def pairs(data: Path, number: str, seed: int, wanted: list[float], *, swap: bool) -> list[Row]:
    head = LabelledHead.read(data / "label_maps" / f"training_seg_{number}.nii.gz")
    drawn = seed + 1000 * int(number)
    means = contrast_random(np.random.default_rng(drawn))
    first = brain_segment(head_draw(head, seed=drawn, means=means))
    rows = []
    for step, percent in enumerate(wanted, start=1):
        moved, achieved = (None, 0.0)
        if percent:
            moved, achieved = atrophy_field(head, percent=percent, seed=drawn)
        second = brain_segment(head_draw(head, seed=drawn + step, means=means, moved=moved))
        change, gap, seconds = pair_measure(first, second, is_swapped=swap)
        rows.append(Row(number, achieved, change, true_regions(head, moved), gap, seconds))
        show(rows[-1])
    return rows


def show(row: Row) -> None:
    change = row.change
    gap = "-" if row.gap is None else f"{row.gap:.4f}"
    print(
        f"| {row.map} | {row.true:.2f} | {change.percent:+.3f} | {change.forward:+.3f} / "
        f"{change.backward:+.3f} | {gap} | {change.independent:+.2f} | "
        f"{row.true_ventricles:+.2f} | {change.ventricles_percent:+.2f} | "
        f"{change.ventricles_independent:+.2f} | {change.map.gap_mm:.2f} | "
        f"{change.map.skull_scale:.4f} | {row.seconds:.0f} |",
        flush=True,
    )
    for region in change.regions:
        print(
            f"    {region.structure} by deformation: true "
            f"{row.true_regions[region.structure]:+.2f}, read {region.percent:+.2f} "
            f"({region.forward:+.2f} / {region.backward:+.2f})",
            flush=True,
        )


def summary(rows: list[Row]) -> None:
    rescans = np.array([row.change.percent for row in rows if not row.true])
    lost = [row for row in rows if row.true]
    if rescans.size > 1:
        print(f"\nRescans: n {rescans.size}, SD {rescans.std(ddof=1):.3f} %, mean "
              f"{rescans.mean():+.3f}, worst {np.abs(rescans).max():.3f}.")  # fmt: skip
    if lost:
        off = np.array([row.change.percent - row.true for row in lost])
        print(f"Losses: n {off.size}, mean absolute error {np.abs(off).mean():.3f} points, "
              f"worst {np.abs(off).max():.3f}.")  # fmt: skip
    for number in dict.fromkeys(row.map for row in rows):
        mine = [row for row in rows if row.map == number]
        slope = np.polyfit([r.true for r in mine], [r.change.percent for r in mine], 1)[0]
        print(f"Slope, map {number}: {slope:.3f}.")
    slope = np.polyfit([r.true for r in rows], [r.change.percent for r in rows], 1)[0]
    print(f"Slope, all: {slope:.3f}.")
    gaps = [row.gap for row in rows if row.gap is not None]
    if gaps:
        print(f"Order swap: n {len(gaps)}, worst gap {max(gaps):.4f} points.")
    walls = np.array([row.change.ventricles_percent - row.true_ventricles for row in rows])
    apart = np.array([row.change.ventricles_independent - row.true_ventricles for row in rows])
    print(f"Ventricles: mean absolute error {np.abs(walls).mean():.2f} points by their walls, "
          f"{np.abs(apart).mean():.2f} by the segmentations, n {walls.size}.")  # fmt: skip
    for structure in rows[0].true_regions:
        read = [
            (row.true_regions[structure], region.percent)
            for row in rows
            for region in row.change.regions
            if region.structure is structure
        ]
        apart = np.array([measured - true for true, measured in read])
        print(
            f"{structure} by deformation: mean absolute error {np.abs(apart).mean():.2f} "
            f"points, worst {np.abs(apart).max():.2f}, n {apart.size}."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=907)
    parser.add_argument("--maps", nargs="*", default=list(MAPS))
    parser.add_argument("--percents", nargs="*", type=float, default=[0, 0, -0.5, -1, -2])
    parser.add_argument("--swap", action="store_true")
    options = parser.parse_args()
    print(
        "| map | true % | boundary shift | one way / other | swap gap | independent "
        "| ventricles true % | walls | independent | rigid gap mm | skull | CPU s |"
    )
    print("|---" * 12 + "|")
    rows: list[Row] = []
    for number in options.maps:
        rows += pairs(options.data, number, options.seed, options.percents, swap=options.swap)
    summary(rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"Peak memory {peak:.2f} GB with the drawing of the heads, one thread.")


if __name__ == "__main__":
    main()
