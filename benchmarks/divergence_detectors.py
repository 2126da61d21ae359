"""Compare detectors of divergence on simulated patients, and print one table.

Each (profile, seed): one scanner set; 500 non-converters fit the reference; n patients set the
thresholds, n others are judged. A row of the table is a profile, a column the share of
converters that a detector catches at equal specificity. With --levels a second table says what
the product's own levels did; docs/divergence.md has both:

    python -m benchmarks.divergence_detectors --levels --seeds 20261 20262 20263 --patients 1500
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from monitoring.core.evaluation import (
    DETECTORS,
    Alarms,
    Looks,
    above,
    acceleration_auc,
    alarms,
    coverage,
    look_at,
    threshold,
)
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.profiles import PROFILES
from monitoring.core.reference import fit_reference
from monitoring.core.simulation import simulate_cohort, simulate_scanners

REFERENCE_POOL = 900
REFERENCE_PATIENTS = 500


@dataclass(frozen=True)
class Result:
    """What one profile and seed gave."""

    profile: str
    seed: int
    flag: Alarms
    watch: Alarms
    coverage: float
    calibration: tuple[float, float]
    detectors: dict[str, tuple[Alarms, float]]


def run(profile: str, seed: int, patients: int) -> Result:
    regime = PROFILES[profile]
    rng = np.random.default_rng([seed, sorted(PROFILES).index(profile)])
    scanners = simulate_scanners(regime, rng=rng)
    everyone = simulate_cohort(
        regime, patients=REFERENCE_POOL + 2 * patients, rng=rng, scanners=scanners
    )
    pool = [one.series for one in everyone[:REFERENCE_POOL] if not one.is_converter]
    fit = fit_reference(pool[:REFERENCE_PATIENTS], base=literature_defaults(), id="benchmark")
    calibration = look_at(everyone[REFERENCE_POOL:-patients], fit.parameters)
    looks = look_at(everyone[-patients:], fit.parameters)
    detectors = {}
    for name in DETECTORS:
        caught = alarms(looks, above(looks, name, threshold(calibration, name)))
        detectors[name] = (caught, acceleration_auc(looks, name, years=(3, 5)))
    return Result(
        profile,
        seed,
        alarms(looks, looks.flagged(fit.parameters)),
        alarms(looks, looks.watched(fit.parameters)),
        coverage(looks),
        (worst_bin(looks, looks.p_half, looks.d_true < -0.5), worst_change_bin(looks)),
        detectors,
    )


def worst_bin(looks: Looks, probability: np.ndarray, outcome: np.ndarray) -> float:
    """Return the largest |predicted - observed| over bins of probability with >= 100 looks."""
    edges = np.array([0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.97, 1.0])
    place = np.digitize(probability, edges[1:-1])
    gaps = [
        abs(float(probability[place == b].mean() - outcome[place == b].mean()))
        for b in range(edges.size - 1)
        if int((place == b).sum()) >= 100
    ]
    return max(gaps, default=float("nan"))


def worst_change_bin(looks: Looks) -> float:
    """Return the same for P(change) against a true acceleration at the look."""
    acceleration = np.array([one.acceleration for one in looks.patients])[looks.patient]
    return worst_bin(looks, looks.p_change, acceleration <= looks.since_onset)


def read_kept(path: Path | None) -> dict[tuple[str, int], Result]:
    if path is None or not path.exists():
        return {}
    kept = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        detectors = {n: (Alarms(**a), float(u)) for n, (a, u) in fields["detectors"].items()}
        one = Result(
            fields["profile"],
            fields["seed"],
            Alarms(**fields["flag"]),
            Alarms(**fields["watch"]),
            fields["coverage"],
            tuple(fields["calibration"]),
            detectors,
        )
        kept[one.profile, one.seed] = one
    return kept


def mean_of(values: Sequence[float]) -> float:
    return float(np.nanmean(np.array(values)))


def print_levels(results: Sequence[Result]) -> None:
    print(
        "| profile | flag ff | flag spec | flag sens | lead | D < -1 | watch ff | watch sens ",
        end="",
    )
    print("| coverage | bins D < -.5 / change |")
    print("|" + "---|" * 10)
    for profile in dict.fromkeys(one.profile for one in results):
        own = [one for one in results if one.profile == profile]
        flag, watch = [one.flag for one in own], [one.watch for one in own]
        cells = [
            f"{mean_of([f.false_per_100_years for f in flag]):.2f}",
            f"{mean_of([f.specificity for f in flag]):.3f}",
            f"{mean_of([f.sensitivity for f in flag]):.2f}",
            f"{mean_of([f.lead_years for f in flag]):.1f}",
            f"{mean_of([f.share_below_minus_1 for f in flag]):.2f}",
            f"{mean_of([w.false_per_100_years for w in watch]):.2f}",
            f"{mean_of([w.sensitivity for w in watch]):.2f}",
            f"{mean_of([one.coverage for one in own]):.3f}",
            (
                f"{mean_of([one.calibration[0] for one in own]):.2f} / "
                f"{mean_of([one.calibration[1] for one in own]):.2f}"
            ),
        ]
        print(f"| {profile} | " + " | ".join(cells) + " |")


def print_detectors(results: Sequence[Result]) -> None:
    print(
        "| profile | "
        + " | ".join(DETECTORS)
        + " | lead model | spec model | AUC 3-5 model / OLS |"
    )
    print("|" + "---|" * (len(DETECTORS) + 4))
    for profile in dict.fromkeys(one.profile for one in results):
        own = [one for one in results if one.profile == profile]
        caught = [
            f"{mean_of([one.detectors[name][0].sensitivity for one in own]):.2f}"
            for name in DETECTORS
        ]
        model = [one.detectors["model"][0] for one in own]
        auc = [mean_of([one.detectors[name][1] for one in own]) for name in ("model", "OLS")]
        cells = [
            *caught,
            f"{mean_of([a.lead_years for a in model]):.1f}",
            f"{mean_of([a.specificity for a in model]):.3f}",
            f"{auc[0]:.2f} / {auc[1]:.2f}",
        ]
        print(f"| {profile} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", nargs="+", default=list(PROFILES), choices=list(PROFILES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--patients", type=int, default=1500)
    parser.add_argument("--keep", type=Path, help="JSON lines: results are added and reused")
    parser.add_argument("--levels", action="store_true", help="also what the levels did")
    options = parser.parse_args()
    results = []
    kept = read_kept(options.keep)
    for profile in options.profiles:
        for seed in options.seeds:
            began = time.perf_counter()
            one = kept.get((profile, seed)) or run(profile, seed, options.patients)
            results.append(one)
            if options.keep and (profile, seed) not in kept:
                with options.keep.open("a", encoding="utf-8") as handle:
                    handle.write(json.dumps(asdict(one)) + "\n")
            seconds = time.perf_counter() - began
            print(
                f"# {profile} {seed}: flag {one.flag.false_per_100_years:.2f} "
                f"{one.flag.sensitivity:.2f} coverage {one.coverage:.3f} "
                f"({one.flag.converters} converters, {seconds:.0f} s)",
                flush=True,
            )
    print_detectors(results)
    if options.levels:
        print()
        print_levels(results)


if __name__ == "__main__":
    main()
