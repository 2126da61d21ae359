# ruff: noqa: PERF401 - one line per kind of effect reads best
"""Measure whether the cohort analyses recover what was planted, and leave a null cohort alone.

OMP_NUM_THREADS=1 python -m benchmarks.cohort_truth --seeds 20 --first 5000
"""

import argparse
from collections import defaultdict
from typing import Any

import numpy as np
from scipy import stats

from monitoring.core.cohort.analysis import analyse
from monitoring.core.cohort.definition import Definition, parse_bands
from monitoring.core.cohort.power import correlation_power, difference_power
from monitoring.core.cohort.synthetic import ERROR, NULL, SD, SLOPE, Truth, synthetic_cohort

PATIENTS, CONTROLS = 400, 100
TWO = Definition(bands="custom", custom_bands=parse_bands("0-2.5, 4-5.5"))
FINE = Definition(bands="fine")
TESTS = (
    "cord-area", "correlations", "slopes", "discrimination", "verification", "lesions",
    "paradox",
)  # fmt: skip


def seen_share(region: str) -> float:
    """Return how much of a spread is left of a correlation with the error of one scan."""
    return SD[region] / float(np.hypot(SD[region], ERROR[region]))


def slope_correlation(truth: Truth, rho: float) -> float:
    """Return the correlation of true slopes: own part, and what the lesions share."""
    shared = truth.lesion_slope**2 * 1.5 * 0.6**2
    brain, cord = SLOPE["brain"][1], SLOPE["cord"][1]
    size = np.sqrt((brain**2 + shared) * (cord**2 + shared))
    return float((rho * brain * cord + shared) / size)


def table(result: dict[str, Any], slug: str) -> list[list[Any]]:
    for room in result["rooms"]:
        for one in room["tables"]:
            if one["slug"] == slug:
                return list(one["rows"])
    return []


def planted(
    truth: Truth, fine: dict[str, Any], two: dict[str, Any]
) -> list[tuple[str, float, float, float]]:
    """Return name, truth, low and high of every planted effect."""
    both = seen_share("brain") * seen_share("cord")
    found = []
    for row in table(fine, "correlations"):
        if row[0] == "Whole brain" and row[10] is not None:
            severe = row[1] in {"EDSS 4–5.5", "EDSS ≥ 6"}
            r = (truth.r_severe if severe else truth.r_mild) * both
            found.append(("partial correlation", r, row[10], row[11]))
    for row in table(fine, "discrimination"):
        if row[0] == "Cord":
            found.append(("Hedges g", -truth.cord_step * seen_share("cord"), row[7], row[8]))
    losses = list(truth.cord_loss)
    base = 100 * np.log1p(losses[1] / 100)
    losses[2] = float(100 * np.expm1((base + truth.cord_step * SD["cord"]) / 100))
    names = ["EDSS 0–1.5", "EDSS 2–2.5", "EDSS 3–3.5", "EDSS 4–5.5", "EDSS ≥ 6"]
    for row in table(fine, "losses"):
        if row[0] in {"Cord", "Whole brain"}:
            value = losses[names.index(row[1])] if row[0] == "Cord" else 0.0
            found.append((f"loss, {row[0].lower()}", value, row[4], row[5]))
    for row in table(two, "slopes"):
        rho = truth.slope_r_mild if row[0] == "EDSS 0-2.5" else truth.slope_r_severe
        found.append(("slope correlation", slope_correlation(truth, rho), row[9], row[10]))
    for row in table(fine, "verification"):
        if row[0].startswith("Confirmed"):
            ratio = float(np.exp(truth.d_hazard))
            found.append(("hazard ratio", ratio, row[4], row[5]))
            found.append(("hazard ratio, grouped time", ratio, row[14], row[15]))
    # Seven yearly counts stand for the true rate: regression to the mean, gamma and Poisson.
    seen = 0.54 / (0.54 + 0.9 / 7)
    found += [
        (f"lesions and {row[1]} slope", truth.lesion_slope * seen, row[4], row[5])
        for row in table(fine, "lesion-slopes")
        if row[0] == "brain"
    ]
    return found


def power_of_slopes(truth: Truth, rows: list[list[Any]]) -> float:
    """Return the power to tell the planted slope correlations apart, with errors as fitted."""
    z = [
        np.arctanh(slope_correlation(truth, rho))
        for rho in (truth.slope_r_mild, truth.slope_r_severe)
    ]
    # A profile interval is 2 x 1.96 errors wide on the scale of atanh.
    error = [(np.arctanh(row[10]) - np.arctanh(row[9])) / 3.92 for row in rows]
    return float(stats.norm.cdf((z[0] - z[1]) / np.hypot(*error) - 1.96))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=5000)
    asked = parser.parse_args()
    truth = Truth()
    inside: dict[str, list[bool]] = defaultdict(list)
    slope_power: list[float] = []
    right: dict[str, int] = defaultdict(int)
    claimed: dict[str, int] = defaultdict(int)
    asked_null = 0
    for seed in range(asked.first, asked.first + asked.seeds):
        rng = np.random.default_rng(seed)
        cohort = synthetic_cohort(truth, rng=rng, patients=PATIENTS, controls=CONTROLS)
        fine, two = analyse(cohort, FINE), analyse(cohort, TWO)
        slope_power.append(power_of_slopes(truth, table(two, "slopes")))
        for name, value, low, high in planted(truth, fine, two):
            inside[name].append(low <= value <= high)
        rooms = {room["slug"]: room for room in fine["rooms"]}
        rooms |= {r["slug"]: r for r in two["rooms"] if r["slug"] in {"correlations", "slopes"}}
        for slug in TESTS:
            right[slug] += rooms[slug]["verdict"] == "supported"
        null = synthetic_cohort(NULL, rng=rng, patients=PATIENTS, controls=CONTROLS)
        for room in analyse(null, Definition())["rooms"]:
            if room["slug"] in TESTS:
                asked_null += 1
                claimed[room["slug"]] += room["verdict"] == "supported"
    print(f"{asked.seeds} seeds from {asked.first}, {PATIENTS} patients, {CONTROLS} controls")
    for name, hits in inside.items():
        print(f"{name}: {sum(hits)} of {len(hits)} intervals hold the truth")
    # The grouped-time ratio is the same effect, seen once more.
    every = [hit for name, hits in inside.items() if "grouped" not in name for hit in hits]
    print(f"all planted effects: {sum(every)} of {len(every)} ({100 * np.mean(every):.1f} %)")
    print("found:", dict(right))
    n = PATIENTS // 5  # so many are in a band, give or take
    both = seen_share("brain") * seen_share("cord")
    r1, r2 = truth.r_mild * both, truth.r_severe * both
    g = -truth.cord_step * seen_share("cord")
    print(f"power, correlations: {correlation_power(r1, 2 * n, r2, n, covariates=4):.2f}")
    print(f"power, cord between bands: {difference_power(g, n, n, alpha=0.05 / 5):.2f}")
    print(f"power, slopes: {np.mean(slope_power):.2f}")
    print(f"null cohort: {sum(claimed.values())} of {asked_null} claimed", dict(claimed))


if __name__ == "__main__":
    main()
