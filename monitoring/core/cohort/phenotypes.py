"""CIS, RRMS, SPMS and PPMS against own healthy controls, with lesion load beside."""

import numpy as np

from monitoring.core.cohort.losses import (
    MINIMUM_GROUP,
    figure_of,
    loss_table,
    losses_by,
    phenotype_groups,
    too_few,
)
from monitoring.core.cohort.report import Cell, Column, Room, Table, Verdict, interval_words
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import CORD
from monitoring.core.series import FloatArray

UNCORRECTED = (
    "The intervals are not corrected for the number of phenotypes. Published comparisons of "
    "relapsing MS with controls found smaller, equal and larger cords."
)


def phenotype_room(selected: Selected) -> Room:
    """Compare the phenotypes with the controls."""
    slug, title = "phenotypes", "Phenotypes and healthy controls"
    question = "In which phenotype is the cord smaller than in healthy controls?"
    groups = phenotype_groups(selected)
    losses, reasons = losses_by(selected, groups)
    lesions = lesion_table(selected)
    tables = (lesions,) if lesions.rows else ()
    if not losses:
        return Room(slug, title, question, Verdict.CANNOT_SAY, " ".join(reasons), (), tables)
    cord = [one for one in losses if one.structure == CORD]
    smaller = [one for one in cord if one.high < 0]
    words = "; ".join(
        f"{one.group} {interval_words(one.percent, one.low, one.high, 1)} %, n = {one.n}"
        for one in cord
    )
    verdict = Verdict.SUPPORTED if smaller else Verdict.NOT_SUPPORTED
    lead = (
        f"The cord is smaller than in controls in {', '.join(o.group for o in smaller)}."
        if smaller
        else "In no phenotype is the cord smaller than in controls."
    )
    return Room(
        slug,
        title,
        question,
        verdict,
        f"{lead} Difference: {words}.",
        (
            *reasons,
            UNCORRECTED,
        ),
        (
            loss_table(losses, slug="phenotypes", title="Loss by phenotype", head="Phenotype"),
            *tables,
        ),
        {"losses": figure_of(losses)},
    )


def lesion_table(selected: Selected) -> Table:
    """Return lesion counts of brain and cord, and diffuse change, by phenotype."""
    rows: list[tuple[Cell, ...]] = []
    for name, chosen in phenotype_groups(selected):
        if chosen.sum() == 0:
            continue
        if chosen.sum() < MINIMUM_GROUP:
            rows.append((name, too_few(int(chosen.sum())), *(None,) * 8))
            continue
        rows.append(
            (
                name,
                "",
                *_quartiles(selected.lesions_brain[chosen]),
                *_quartiles(selected.lesions_cord[chosen]),
                _share(selected.diffuse_brain[chosen]),
                _share(selected.diffuse_cord[chosen]),
            )
        )
    heads = (
        ("Phenotype", None), ("", None), ("Brain lesions, median", 0), ("quarter", 0),
        ("three quarters", 0), ("Cord lesions, median", 0), ("quarter", 0),
        ("three quarters", 0), ("Diffuse brain change, %", 0), ("Diffuse cord change, %", 0),
    )  # fmt: skip
    return Table(
        "lesions",
        "Lesion load at the visit",
        tuple(Column(head, digits) for head, digits in heads),
        tuple(rows),
        "Focal T2 lesions as readers counted them at the visit or in the year before; diffuse "
        "change as present or absent. Patients without a statement are left out of the column.",
    )


def _quartiles(values: FloatArray) -> tuple[Cell, Cell, Cell]:
    """Return median and quartiles of what is known."""
    known = values[np.isfinite(values)]
    if known.size < MINIMUM_GROUP:
        return (None, None, None)
    middle, low, high = np.quantile(known, (0.5, 0.25, 0.75))
    return float(middle), float(low), float(high)


def _share(values: FloatArray) -> Cell:
    """Return the share of yes among what is known, percent."""
    known = values[np.isfinite(values)]
    return float(100 * known.mean()) if known.size >= MINIMUM_GROUP else None
