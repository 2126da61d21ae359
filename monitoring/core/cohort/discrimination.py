"""How well each structure separates EDSS 2-2.5 from 3-3.5, and whether the cord alone does.

Values are adjusted for age, sex, intracranial volume, disease duration and scanner epoch within
the two bands. Hedges g and AUC rank the structures; Welch's p decides, corrected by Holm over
the structures. AUC of all visits, clustered by patient, stands beside the AUC of one visit.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from monitoring.core.cohort.losses import designs
from monitoring.core.cohort.ranking import Area, area_difference, area_under_curve
from monitoring.core.cohort.report import Column, Room, Table, Verdict, listing, p_words
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import (
    CORD,
    GROWS_WITH_LOSS,
    STRUCTURE_WORDS,
    column,
    nearest_row,
)
from monitoring.core.cohort_statistics import (
    TwoGroups,
    benjamini_hochberg,
    dummies,
    holm,
    two_groups,
)
from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, as_floats

LOWER, UPPER = (2.0, 2.5), (3.0, 3.5)
"""The two neighbouring bands of the hypothesis (clinical rules, 2)."""

MINIMUM_BAND = 10


@dataclass(frozen=True, slots=True)
class Separation:
    """How well one structure tells the two bands apart; plus means smaller in EDSS 3-3.5."""

    structure: str
    groups: TwoGroups
    area: Area
    clustered: Area | None
    p_holm: float
    p_bh: float

    @property
    def is_found(self) -> bool:
        """Say whether it separates after correction over the structures."""
        return self.p_holm < 0.05 and self.groups.hedges_g > 0


def in_band(edss: FloatArray, band: tuple[float, float]) -> NDArray[np.bool_]:
    """Say which EDSS lie in a closed band."""
    return (edss >= band[0]) & (edss <= band[1])


def adjusted(
    selected: Selected, structure: str, rows: NDArray[np.bool_], upper: NDArray[np.bool_]
) -> FloatArray:
    """Return 100 ln(value) of some rows with the covariates' linear part taken off.

    The two bands keep their means: the covariates' effect is estimated within bands. Where
    there are too few patients for the covariates the values come back as they are.
    """
    y = selected.log_percent(structure)[rows]
    given = [*designs(selected)[rows].T[1:], selected.duration[rows]]
    epochs = selected.epoch[rows]
    if np.unique(epochs).size > 1:
        given += list(dummies(epochs.tolist()).T)
    columns = [one - one.mean() for one in given if np.all(np.isfinite(one)) and np.ptp(one)]
    design = np.column_stack([np.ones(y.size), upper[rows], *columns])
    if not columns or y.size < 3 * design.shape[1]:
        return y
    beta = np.linalg.lstsq(design, y, rcond=None)[0]
    return as_floats(y - design[:, 2:] @ beta[2:])


def separations(selected: Selected) -> list[Separation]:
    """Return every structure's separation, best first.

    Raises
    ------
    NotAssessable
        With fewer than `MINIMUM_BAND` patients in either band.
    """
    upper = in_band(selected.edss, UPPER) & ~selected.is_control
    lower = in_band(selected.edss, LOWER) & ~selected.is_control
    if min(upper.sum(), lower.sum()) < MINIMUM_BAND:
        raise NotAssessable(
            f"Separating EDSS 2–2.5 from 3–3.5 needs {MINIMUM_BAND} patients in each band; "
            f"there are {int(lower.sum())} and {int(upper.sum())}."
        )
    found: list[tuple[str, TwoGroups, Area, Area | None]] = []
    for structure in selected.structures:
        rows = (upper | lower) & np.isfinite(selected.log_percent(structure))
        if min((upper & rows).sum(), (lower & rows).sum()) < MINIMUM_BAND:
            continue
        sign = -1.0 if structure in GROWS_WITH_LOSS else 1.0
        loss = -sign * adjusted(selected, structure, rows, upper)
        is_upper = upper[rows]
        groups = two_groups(loss[is_upper], loss[~is_upper])
        area = area_under_curve(loss, is_upper, selected.patient[rows])
        found.append((structure, groups, area, _all_visits(selected, structure, sign)))
    p = [one[1].welch.p for one in found]
    return sorted(
        (
            Separation(*one, float(family), float(rate))
            for one, family, rate in zip(found, holm(p), benjamini_hochberg(p), strict=True)
        ),
        key=lambda one: -one.area.auc,
    )


def _all_visits(selected: Selected, structure: str, sign: float) -> Area | None:
    """Return the AUC of every visit in the two bands, unadjusted, clustered by patient."""
    table, cohort = selected.occasions, selected.cohort
    mine = np.isin(table.patient, selected.patient[~selected.is_control])
    row = nearest_row(
        cohort.edss.patient,
        cohort.edss.day,
        table.patient,
        table.day,
        within=selected.definition.edss_within_days,
    )
    edss = np.where(row >= 0, cohort.edss.value[np.maximum(row, 0)], np.nan)
    value = table.values[:, column(structure)]
    for day, is_first in (
        (selected.definition.since, True),
        (selected.definition.until, False),
    ):
        mine &= _within(table.day, day, is_first=is_first)
    upper, lower = in_band(edss, UPPER), in_band(edss, LOWER)
    rows = mine & (upper | lower) & np.isfinite(value)
    try:
        return area_under_curve(-sign * value[rows], upper[rows], table.patient[rows])
    except NotAssessable:
        return None


def _within(days: NDArray[np.int64], day: date | None, *, is_first: bool) -> NDArray[np.bool_]:
    """Say which days lie on the right side of a limit."""
    if day is None:
        return np.ones(days.size, dtype=np.bool_)
    limit = day.toordinal()
    return days >= limit if is_first else days <= limit


def discrimination_room(selected: Selected) -> Room:
    """Rank the structures by how well they separate the two bands."""
    slug, title = "discrimination", "EDSS 2–2.5 against 3–3.5"
    question = "Is the cord the only measure that separates EDSS 2–2.5 from 3–3.5?"
    ranked = separations(selected)
    verdict, answer = verdict_of(ranked)
    versus = [one for one in ranked if one.structure != CORD]
    cord = next((one for one in ranked if one.structure == CORD), None)
    notes = []
    if cord and versus:
        best = versus[0]
        gap, low, high, p = area_difference(cord.area, best.area)
        note = (
            f"AUC of the cord minus AUC of the best other structure "
            f"({STRUCTURE_WORDS[best.structure].lower()}): {gap:.2f} (95 % interval {low:.2f} "
            f"to {high:.2f}, {p_words(p)})."
        )
        notes.append(note.replace("-", "−"))
    return Room(
        slug,
        title,
        question,
        verdict,
        answer,
        tuple(notes),
        (_table(ranked),),
        {
            "separation": [
                {
                    "structure": one.structure,
                    "name": STRUCTURE_WORDS[one.structure],
                    "group": "One visit per patient",
                    "n": one.area.positives + one.area.negatives,
                    "value": one.area.auc,
                    "low": one.area.low,
                    "high": one.area.high,
                }
                for one in ranked
            ]
        },
    )


def verdict_of(ranked: list[Separation]) -> tuple[Verdict, str]:
    """Return the sentence: the cord is, or is not, the only discriminator."""
    found = [one for one in ranked if one.is_found]
    cord = next((one for one in ranked if one.structure == CORD), None)
    if cord is None:
        return Verdict.CANNOT_SAY, "Too few cord values in the two bands."
    counts = (
        f"{cord.groups.n2} patients with EDSS 2–2.5 and {cord.groups.n1} with 3–3.5; "
        f"cord: Hedges g {cord.groups.hedges_g:.2f} ({cord.groups.g_low:.2f} to "
        f"{cord.groups.g_high:.2f}), AUC {cord.area.auc:.2f}, corrected {p_words(cord.p_holm)}."
    ).replace("-", "−")
    others = listing([STRUCTURE_WORDS[o.structure].lower() for o in found if o is not cord])
    if cord in found and not others:
        return Verdict.SUPPORTED, f"The cord is the only discriminator here. {counts}"
    if cord in found:
        words = f"The cord is not the only discriminator here: {others} separate the bands too."
        return Verdict.NOT_SUPPORTED, f"{words} {counts}"
    if others:
        return (
            Verdict.NOT_SUPPORTED,
            f"The cord does not separate the bands here; {others} do. {counts}",
        )
    return Verdict.NOT_SUPPORTED, f"No structure separates the bands here. {counts}"


def _table(ranked: list[Separation]) -> Table:
    """Return the ranking with effect sizes, tests and both corrections."""
    heads = (
        ("Structure", None), ("n 2–2.5", 0), ("n 3–3.5", 0), ("AUC", 2), ("from", 2),
        ("to", 2), ("Hedges g", 2), ("from", 2), ("to", 2), ("Welch p", "p"),
        ("p, Holm", "p"), ("p, BH", "p"), ("Mann–Whitney p", "p"), ("AUC, all visits", 2),
        ("from", 2), ("to", 2), ("visits", 0),
    )  # fmt: skip
    rows = []
    for one in ranked:
        g, every = one.groups, one.clustered
        rows.append((
            STRUCTURE_WORDS[one.structure], g.n2, g.n1, one.area.auc, one.area.low,
            one.area.high, g.hedges_g, g.g_low, g.g_high, g.welch.p, one.p_holm, one.p_bh,
            g.mann_whitney.p, every.auc if every else None, every.low if every else None,
            every.high if every else None,
            every.positives + every.negatives if every else None,
        ))  # fmt: skip
    return Table(
        "discrimination",
        "Ranking",
        tuple(Column(name, digits) for name, digits in heads),
        tuple(rows),
        "Plus and AUC above 0.5: more tissue lost in EDSS 3–3.5. Adjusted for age, sex, "
        "intracranial volume, disease duration and scanner epoch where there are enough "
        "patients. All visits: unadjusted, clustered by patient.",
    )
