"""Figure 2: the cord's size by EDSS group, as area and, where it was measured, as volume.

The area is the mean over the level's window; the volume is that of the same window. Each is
compared between the groups given age, sex, head size, disease duration and scanner epoch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from monitoring.core.cohort.losses import MINIMUM_GROUP, designs, edss_groups, too_few
from monitoring.core.cohort.report import (
    Cell,
    Column,
    Room,
    Table,
    Verdict,
    listing,
    number,
    p_words,
)
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import CORD, CORD_VOLUME, column
from monitoring.core.cohort_statistics import LinearModel, dummies, linear_model
from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, as_floats

KNOWN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Size:
    """One way to say how large the cord is."""

    column: str
    slug: str
    noun: str
    unit: str


AREA = Size(CORD, "cord-area", "cord area", "mm²")
VOLUME = Size(CORD_VOLUME, "cord-volume", "cord volume", "mm³")


def area_room(selected: Selected) -> Room:
    """Cord area and volume by EDSS group, each with an analysis of covariance."""
    slug, title = "cord-area", "Cord area and volume by EDSS group"
    question = "Is the cord smaller where disability is higher?"
    figure, notes = by_group(selected, AREA)
    if len([one for one in figure if one["group"] != "Controls"]) < 2:
        reason = f"Two EDSS groups of {MINIMUM_GROUP} patients are needed. {' '.join(notes)}"
        return Room(slug, title, question, Verdict.CANNOT_SAY, reason.strip())
    verdict, answer, terms = ancova(selected, AREA)
    tables = [_sizes_table(selected, AREA, figure), *terms]
    figures = {"areas": figure}
    volumes, _ = by_group(selected, VOLUME)
    if len([one for one in volumes if one["group"] != "Controls"]) >= 2:
        _, words, terms = ancova(selected, VOLUME)
        notes.append(words)
        tables += [_sizes_table(selected, VOLUME, volumes), *terms]
        figures["volumes"] = volumes
    else:
        notes.append(f"Cord volume: this method ({selected.cord_kind}) has stored none.")
    return Room(slug, title, question, verdict, answer, tuple(notes), tuple(tables), figures)


def by_group(selected: Selected, size: Size) -> tuple[list[dict[str, Any]], list[str]]:
    """Return mean with interval, spread and points per group, and why some have none."""
    values = selected.values[:, column(size.column)]
    named = [("Controls", selected.is_control), *edss_groups(selected)]
    figure: list[dict[str, Any]] = []
    notes = []
    for name, chosen in named:
        own = values[chosen & np.isfinite(values)]
        if own.size < MINIMUM_GROUP:
            notes.append(f"{name}: {too_few(own.size)}")
            continue
        spread = float(own.std(ddof=1))
        width = float(stats.t.ppf(0.975, own.size - 1)) * spread / own.size**0.5
        mean = float(own.mean())
        figure.append({
            "group": name, "n": int(own.size), "value": mean, "low": mean - width,
            "high": mean + width, "sd": spread, "points": np.round(thinned(own), 1).tolist(),
        })  # fmt: skip
    return figure, notes


def thinned(values: FloatArray, *, most: int = 240) -> FloatArray:
    """Return at most ``most`` values, evenly over the sorted ones: a drawing needs no more."""
    if values.size <= most:
        return values
    places = np.linspace(0, values.size - 1, most).round().astype(int)
    return as_floats(np.sort(values)[places])


def _sizes_table(selected: Selected, size: Size, figure: list[dict[str, Any]]) -> Table:
    """Return means, intervals and spreads."""
    keys = ("group", "n", "value", "low", "high", "sd")
    rows: list[tuple[Cell, ...]] = [tuple(one[key] for key in keys) for one in figure]
    return Table(
        size.slug,
        f"{size.noun.capitalize()} by group",
        (
            Column("Group"),
            Column("n", 0),
            Column(f"Mean, {size.unit}", 1),
            Column("95 % from", 1),
            Column("to", 1),
            Column("SD", 1),
        ),
        tuple(rows),
        f"Cord: {selected.cord_kind}.",
    )


def ancova(selected: Selected, size: Size) -> tuple[Verdict, str, tuple[Table, ...]]:
    """Test the EDSS groups given age, sex, head size, duration and scanner epoch."""
    y = selected.log_percent(size.column)
    columns = {
        "age": selected.age,
        "sex": selected.sex,
        "intracranial volume": designs(selected)[:, 3],
        "disease duration": selected.duration,
    }
    complete = ~selected.is_control & (selected.group >= 0) & np.isfinite(y)
    # What is known of hardly anybody is not adjusted for; the answer names what was.
    columns = {
        name: own
        for name, own in columns.items()
        if np.isfinite(own[complete]).sum() >= KNOWN_SHARE * max(complete.sum(), 1)
    }
    for own in columns.values():
        complete &= np.isfinite(own)
    terms = {
        name: own[complete]
        for name, own in columns.items()
        if complete.any() and np.ptp(own[complete])
    }
    try:
        terms["EDSS group"] = dummies(selected.group[complete].tolist())
        epochs = selected.epoch[complete]
        if np.unique(epochs).size > 1:
            terms["scanner epoch"] = dummies(epochs.tolist())
        model = linear_model(y[complete], terms)
    except NotAssessable as error:
        words = f"{size.noun.capitalize()}: the groups cannot be compared. {error}"
        return Verdict.CANNOT_SAY, words, ()
    test = next(one for one in model.deletions if one.name == "EDSS group")
    is_found = test.p < 0.05
    given = listing([name for name in terms if name != "EDSS group"]) or "nothing else"
    answer = (
        f"Given {given}, the {size.noun} "
        f"{'differs' if is_found else 'does not differ'} between the EDSS groups "
        f"(F = {number(test.f)}, df {test.df} and {model.residual_df}, {p_words(test.p)}, "
        f"{model.n} patients)."
    )
    verdict = Verdict.SUPPORTED if is_found else Verdict.NOT_SUPPORTED
    return verdict, answer, (_model_table(size, model),)


def _model_table(size: Size, model: LinearModel) -> Table:
    """Return the test of every term."""
    return Table(
        f"{size.slug}-model",
        f"Analysis of covariance of 100 ln({size.noun})",
        (
            Column("Term"),
            Column("F", 2),
            Column("df", 0),
            Column("p", "p"),
            Column("Partial eta²", 3),
        ),
        tuple((t.name, t.f, t.df, t.p, t.partial_eta_squared) for t in model.deletions),
        f"Each term deleted from the full model; {model.n} complete patients, "
        f"{model.residual_df} residual degrees of freedom.",
    )
