"""The clinico-radiological paradox: how much of the EDSS brain, cord and lesions explain.

Out-of-fold predictions of linear models only: a variance explained on the patients that a model
was fitted to says nothing. Gains are given in both orders and as Shapley shares; their
intervals resample patients with the predictions fixed.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring.core.cohort.losses import designs
from monitoring.core.cohort.report import Cell, Column, Room, Table, Verdict, interval_words
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import CORD
from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, as_floats

MINIMUM_PATIENTS = 50
FOLDS = 10
REPEATS = 5
RESAMPLINGS = 1000
UNEXPLAINED = 1.5
"""EDSS points above what brain and the clinical facts predict (product, 2.6)."""
SHOWN = 10

Blocks = dict[str, FloatArray]


@dataclass(frozen=True, slots=True)
class Explained:
    """Squared errors out of fold per patient, for every set of blocks."""

    edss: FloatArray
    rows: NDArray[np.int64]
    predicted: dict[frozenset[str], FloatArray]
    names: tuple[str, ...]

    def r2(self, names: frozenset[str], rows: NDArray[np.int64] | None = None) -> float:
        """Return the cross-validated share of variance, of all or of resampled patients."""
        chosen = slice(None) if rows is None else rows
        edss = self.edss[chosen]
        rest = edss - self.predicted[names][chosen]
        return float(1 - (rest @ rest) / ((edss - edss.mean()) ** 2).sum())


def explained(selected: Selected, *, seed: int) -> Explained:
    """Predict EDSS out of fold from every set of blocks.

    Raises
    ------
    NotAssessable
        With fewer than `MINIMUM_PATIENTS` complete patients, or one EDSS only.
    """
    clinical = np.column_stack([designs(selected)[:, 1:], selected.duration])
    blocks: Blocks = {
        "brain": np.column_stack([selected.log_percent(s) for s in selected.structures[:-1]]),
        "cord": selected.log_percent(CORD)[:, None],
    }
    lesions = np.log1p(np.column_stack([selected.lesions_brain, selected.lesions_cord]))
    complete = ~selected.is_control & np.all(np.isfinite(clinical), axis=1)
    for block in blocks.values():
        complete &= np.all(np.isfinite(block), axis=1)
    with_lesions = complete & np.all(np.isfinite(lesions), axis=1)
    if with_lesions.sum() >= max(MINIMUM_PATIENTS, 0.8 * complete.sum()):
        complete, blocks = with_lesions, {**blocks, "lesions": lesions}
    rows = np.flatnonzero(complete)
    if rows.size < MINIMUM_PATIENTS:
        raise NotAssessable(
            f"Explaining the EDSS needs {MINIMUM_PATIENTS} patients with brain, cord, age, "
            "sex, "
            f"intracranial volume and disease duration; there are {rows.size}."
        )
    edss = selected.edss[rows]
    if np.ptp(edss) == 0:
        raise NotAssessable("All patients have the same EDSS: there is nothing to explain.")
    names = tuple(blocks)
    sets = [
        frozenset(one) for size in range(len(names) + 1)
        for one in itertools.combinations(names, size)
    ]  # fmt: skip
    rng = np.random.default_rng([seed, 6])
    repeats = REPEATS if rows.size <= 2000 else 1
    folds = [rng.permutation(rows.size) % FOLDS for _ in range(repeats)]
    predicted = {
        one: _predict(
            np.column_stack([clinical[rows], *(blocks[n][rows] for n in names if n in one)]),
            edss,
            folds,
        )
        for one in sets
    }
    return Explained(edss, rows, predicted, names)


def _predict(X: FloatArray, y: FloatArray, folds: list[NDArray[np.int64]]) -> FloatArray:
    """Return out-of-fold predictions, averaged over the repeats."""
    spread = X.std(axis=0)
    X = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    design = np.column_stack([np.ones(y.size), X])
    total = np.zeros(y.size)
    for fold in folds:
        for k in range(FOLDS):
            out = fold == k
            beta = np.linalg.lstsq(design[~out], y[~out], rcond=None)[0]
            total[out] += design[out] @ beta
    return as_floats(total / len(folds))


def gain(
    found: Explained, after: frozenset[str], before: frozenset[str], *, seed: int
) -> tuple[float, float, float]:
    """Return the gain in explained variance with its 95 % bootstrap interval."""
    rng = np.random.default_rng([seed, 7])
    n = found.edss.size
    resamplings = RESAMPLINGS if n <= 5000 else 200
    drawn = []
    for _ in range(resamplings):
        rows = rng.integers(0, n, n)
        drawn.append(found.r2(after, rows) - found.r2(before, rows))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return found.r2(after) - found.r2(before), float(low), float(high)


def shapley(found: Explained) -> dict[str, float]:
    """Return each block's share, averaged over all orders."""
    shares = dict.fromkeys(found.names, 0.0)
    orders = list(itertools.permutations(found.names))
    for order in orders:
        for place, name in enumerate(order):
            before = frozenset(order[:place])
            shares[name] += (found.r2(before | {name}) - found.r2(before)) / len(orders)
    return shares


def paradox_room(selected: Selected, *, seed: int) -> Room:
    """Say how much of the EDSS the cord explains beyond the brain, and whom that misses."""
    slug, title = "paradox", "What explains the EDSS"
    question = "Does the cord explain disability that the brain does not?"
    found = explained(selected, seed=seed)
    brain, both = frozenset({"brain"}), frozenset({"brain", "cord"})
    steps = [
        ("Age, sex, head size, duration", frozenset[str](), None),
        ("+ brain", brain, frozenset[str]()),
        ("+ brain + cord", both, brain),
        ("+ cord, without brain", frozenset({"cord"}), frozenset[str]()),
    ]
    if "lesions" in found.names:
        steps.append(("+ brain + cord + lesions", both | {"lesions"}, both))
    rows: list[tuple[Cell, ...]] = []
    gains: dict[str, tuple[float, float, float]] = {}
    for name, after, before in steps:
        beside: tuple[Cell, ...] = (None, None, None)
        if before is not None:
            gains[name] = gain(found, after, before, seed=seed)
            beside = gains[name]
        rows.append((name, found.r2(after), *beside))
    value, low, high = gains["+ brain + cord"]
    verdict = Verdict.SUPPORTED if low > 0 else Verdict.NOT_SUPPORTED
    lead = (
        "The cord explains disability beyond the brain"
        if low > 0
        else "The cord is not found to explain disability beyond the brain"
    )
    answer = (
        f"{lead}: cross-validated variance of the EDSS rises by "
        f"{interval_words(100 * value, 100 * low, 100 * high, 1)} percent points, from "
        f"{100 * found.r2(brain):.0f} to {100 * found.r2(both):.0f} % ({found.edss.size} "
        "patients)."
    )
    shares = ", ".join(f"{name} {100 * one:.1f} %" for name, one in shapley(found).items())
    heads = (
        ("Predictors", None), ("R², cross-validated", 3), ("gain", 3), ("from", 3), ("to", 3),
    )  # fmt: skip
    table = Table(
        "paradox",
        "Explained variance of the EDSS",
        tuple(Column(head, digits) for head, digits in heads),
        tuple(rows),
        f"Linear models, {FOLDS}-fold cross-validation; gain over the line's own predictors "
        "without its last one. A negative R² predicts worse than the mean.",
    )
    return Room(
        slug,
        title,
        question,
        verdict,
        answer,
        (f"Shares averaged over all orders (Shapley): {shares}.".replace("-", "−"),),
        (table, unexplained_table(selected, found)),
        {"explained": [{"name": row[0], "value": row[1]} for row in rows]},
    )


def unexplained_table(selected: Selected, found: Explained) -> Table:
    """Return the patients whose EDSS lies furthest above what the brain predicts."""
    by_brain = found.edss - found.predicted[frozenset({"brain"})]
    by_both = found.edss - found.predicted[frozenset({"brain", "cord"})]
    order = [i for i in np.argsort(-by_brain) if by_brain[i] >= UNEXPLAINED]
    rows = tuple(
        (
            selected.cohort.ids[selected.patient[found.rows[i]]],
            float(found.edss[i]),
            float(by_brain[i]),
            float(by_both[i]),
        )
        for i in order[:SHOWN]
    )
    return Table(
        "unexplained",
        "Patients whose disability the brain does not explain",
        (
            Column("Patient"),
            Column("EDSS", 1),
            Column("above brain", 1),
            Column("above brain and cord", 1),
        ),
        rows,
        f"{len(order)} patients lie {UNEXPLAINED} points or more above what age, sex, head "
        f"size, duration and brain predict; the first {SHOWN} are listed.",
    )
