"""Loss against own healthy controls, by EDSS group and by phenotype; cord area by group.

The expectation is a regression in controls on the log scale: ln(value) on age, sex and ln of
the intracranial volume. A group's loss is the mean of its patients' residuals; its interval
counts the spread of the patients and the error of the regression.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monitoring.core.cohort.report import Column, Room, Table, Verdict, interval_words
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import (
    CORD,
    GROWS_WITH_LOSS,
    PHENOTYPES,
    STRUCTURE_WORDS,
)
from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, as_floats

MINIMUM_CONTROLS = 10
MINIMUM_GROUP = 5
"""Fewer patients than this in a group: its number would describe persons, not a group."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Mean difference from the controls' expectation, percent; minus is less than expected."""

    structure: str
    group: str
    n: int
    percent: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """The controls' regression of one structure, in 100 ln(value)."""

    structure: str
    coefficients: FloatArray
    covariance: FloatArray
    residual_sd: float
    controls: int


def designs(selected: Selected) -> FloatArray:
    """Return `design_of` the selected visits."""
    return design_of(selected.age, selected.sex, selected.intracranial)


def design_of(age: FloatArray, sex: FloatArray, intracranial: FloatArray) -> FloatArray:
    """Return intercept, age - 45, sex and 100 ln(intracranial volume / 1.4 litres)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        head = 100 * np.log(intracranial / 1.4e6)
    return np.column_stack([np.ones(age.size), age - 45, sex, head])


def expectation(selected: Selected, structure: str) -> Expectation:
    """Fit the controls' expectation of one structure.

    Raises
    ------
    NotAssessable
        With fewer than `MINIMUM_CONTROLS` complete controls, or too alike to fit a line.
    """
    design, y = designs(selected), selected.log_percent(structure)
    complete = selected.is_control & np.isfinite(y) & np.all(np.isfinite(design), axis=1)
    count = int(complete.sum())
    if count < MINIMUM_CONTROLS:
        raise NotAssessable(
            f"A loss against healthy controls needs {MINIMUM_CONTROLS} own controls with "
            f"brain, cord, age and sex, measured like the patients; there are {count}."
        )
    X, own = design[complete], y[complete]
    if np.linalg.matrix_rank(X) < X.shape[1]:
        raise NotAssessable("The controls are too alike in age or sex to say what is expected.")
    bread = np.linalg.inv(X.T @ X)
    beta = bread @ X.T @ own
    rest = own - X @ beta
    variance = float(rest @ rest) / (count - X.shape[1])
    return Expectation(
        structure, as_floats(beta), as_floats(bread * variance), variance**0.5, count
    )


def deviations(selected: Selected, fitted: Expectation) -> FloatArray:
    """Return each row's difference from the expectation, in 100 ln units."""
    design = designs(selected)
    return as_floats(selected.log_percent(fitted.structure) - design @ fitted.coefficients)


def group_loss(
    selected: Selected, fitted: Expectation, rows: NDArray[np.bool_], *, name: str
) -> Loss | None:
    """Return the loss of some rows; None where fewer than `MINIMUM_GROUP` are complete."""
    gap = deviations(selected, fitted)
    rows = rows & np.isfinite(gap)
    n = int(rows.sum())
    if n < MINIMUM_GROUP:
        return None
    own = gap[rows]
    centre = designs(selected)[rows].mean(axis=0)
    of_patients = own.var(ddof=1) / n
    of_controls = float(centre @ fitted.covariance @ centre)
    se = float(np.sqrt(of_patients + of_controls))
    # Welch-Satterthwaite: the two errors come from different people.
    df = (of_patients + of_controls) ** 2 / (
        of_patients**2 / (n - 1) + of_controls**2 / (fitted.controls - 4)
    )
    width = float(stats.t.ppf(0.975, df)) * se
    mean = float(own.mean())
    low, middle, high = (100 * np.expm1(x / 100) for x in (mean - width, mean, mean + width))
    return Loss(fitted.structure, name, n, float(middle), float(low), float(high))


def losses_by(
    selected: Selected, groups: Sequence[tuple[str, NDArray[np.bool_]]]
) -> tuple[list[Loss], list[str]]:
    """Return the losses of every structure in every group, and why some have none."""
    found: list[Loss] = []
    reasons: list[str] = []
    for structure in selected.structures:
        try:
            fitted = expectation(selected, structure)
        except NotAssessable as error:
            reasons.append(str(error))
            continue
        for name, rows in groups:
            loss = group_loss(selected, fitted, rows, name=name)
            if loss is not None:
                found.append(loss)
            elif structure == CORD:
                reasons.append(f"{name}: {too_few(int(rows.sum()))}")
    return found, list(dict.fromkeys(reasons))


def too_few(count: int) -> str:
    """Say that a group is too small for a number."""
    people = "patient" if count == 1 else "patients"
    return f"{count} {people}; a number needs {MINIMUM_GROUP}."


def edss_groups(selected: Selected) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return name and rows of every EDSS group."""
    bands = enumerate(selected.definition.groups)
    return [(f"EDSS {band.name}", selected.in_group(index)) for index, band in bands]


def loss_table(losses: Sequence[Loss], *, slug: str, title: str, head: str) -> Table:
    """Return losses as a table."""
    return Table(
        slug,
        title,
        (
            Column("Structure"),
            Column(head),
            Column("Patients", 0),
            Column("Difference, %", 1),
            Column("95 % from", 1),
            Column("to", 1),
        ),
        tuple(
            (STRUCTURE_WORDS[one.structure], one.group, one.n, one.percent, one.low, one.high)
            for one in losses
        ),
        "Minus: smaller than expected from own healthy controls of the same age, sex and "
        "intracranial volume. Ventricles grow where tissue is lost.",
    )


def loss_room(selected: Selected) -> Room:
    """Figure 1: loss of each structure and of the cord by EDSS group."""
    slug, title = "losses", "Loss against healthy controls, by EDSS group"
    question = "How much smaller than in healthy controls are brain structures and cord?"
    losses, reasons = losses_by(selected, edss_groups(selected))
    if not losses:
        return Room(slug, title, question, Verdict.CANNOT_SAY, " ".join(reasons))
    cord = [one for one in losses if one.structure == CORD]
    worst = cord[-1] if cord else losses[-1]
    words = interval_words(worst.percent, worst.low, worst.high, 1)
    answer = (
        f"In {worst.group} ({worst.n} patients) the {STRUCTURE_WORDS[worst.structure].lower()} "
        f"differs from the controls' expectation by {words} percent."
    )
    return Room(
        slug,
        title,
        question,
        Verdict.DESCRIBED,
        answer,
        notes=tuple(reasons),
        tables=(
            loss_table(losses, slug="losses", title="Loss by EDSS group", head="EDSS group"),
        ),
        figures={"losses": figure_of(losses)},
    )


def figure_of(losses: Sequence[Loss]) -> list[dict[str, object]]:
    """Return losses as points with intervals, ventricles last."""
    ordered = sorted(losses, key=lambda one: one.structure in GROWS_WITH_LOSS)
    return [
        {
            "structure": one.structure,
            "name": STRUCTURE_WORDS[one.structure],
            "group": one.group,
            "n": one.n,
            "value": one.percent,
            "low": one.low,
            "high": one.high,
        }
        for one in ordered
    ]


def phenotype_groups(selected: Selected) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return name and rows of every phenotype that was asked for."""
    order = [name for name in PHENOTYPES if name in selected.definition.phenotypes]
    return [(name, selected.phenotype == PHENOTYPES.index(name)) for name in order]
