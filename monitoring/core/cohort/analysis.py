"""The whole analysis of a cohort, room by room, as JSON that says how it was made."""

import platform
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
import scipy

from monitoring.core.cohort.associations import correlation_room
from monitoring.core.cohort.cord_size import area_room
from monitoring.core.cohort.definition import Definition
from monitoring.core.cohort.discrimination import discrimination_room
from monitoring.core.cohort.external import Reference, reference_room
from monitoring.core.cohort.inputs import inputs_of
from monitoring.core.cohort.losses import loss_room
from monitoring.core.cohort.methods import methods_paragraph
from monitoring.core.cohort.paradox import paradox_room
from monitoring.core.cohort.phenotypes import phenotype_room
from monitoring.core.cohort.power import power_room
from monitoring.core.cohort.report import Room, plain, unanswered
from monitoring.core.cohort.selection import Selected, select
from monitoring.core.cohort.slopes import lesion_room, slopes_room
from monitoring.core.cohort.table import (
    COLUMNS,
    PHENOTYPES,
    Cohort,
)
from monitoring.core.cohort.verification import verification_room
from monitoring.core.errors import MonitoringError, NotAssessable

ANALYSIS_VERSION = "cohort-5"
"""Changes whenever a number of the page may change; stored results of another are not shown."""

SEED = 20_190_820
"""Of every bootstrap and cross-validation: the same cohort gives the same numbers."""

Progress = Callable[[int, str], None]
Maker = Callable[[Selected], Room]


def rooms_of() -> tuple[tuple[str, str, Maker], ...]:
    """Return slug, title and maker of every room, in the order of the page."""
    return (
        ("losses", "Loss against healthy controls", loss_room),
        ("cord-area", "Cord area and volume by EDSS group", area_room),
        ("correlations", "Brain and cord by EDSS group", _correlations),
        ("slopes", "Brain and cord over time", slopes_room),
        ("discrimination", "EDSS 2–2.5 against 3–3.5", discrimination_room),
        ("verification", "Divergence before worsening", verification_room),
        ("lesions", "New lesions and loss", lesion_room),
        ("paradox", "What explains the EDSS", _paradox),
        ("power", "What could have been found", power_room),
        ("phenotypes", "Phenotypes and healthy controls", phenotype_room),
    )


def _correlations(selected: Selected) -> Room:
    return correlation_room(selected, seed=SEED)


def _paradox(selected: Selected) -> Room:
    return paradox_room(selected, seed=SEED)


def analyse(
    cohort: Cohort,
    definition: Definition,
    *,
    progress: Progress = lambda _percent, _step: None,
    references: Callable[[], Sequence[Reference]] = tuple,
) -> dict[str, Any]:
    """Run every room; one that fails says why, the others stay.

    Parameters
    ----------
    references
        Reads the external reference; its errors are the words of that room.

    Returns
    -------
    dict
        JSON values: definition, digest, versions, seed, counts, exclusions, rooms, the
        selected rows (pseudonymous); and the inputs, cross-sectional and longitudinal, with
        arrays as columns, from which everything can be computed again
        (`inputs.cohort_from_inputs`).
    """
    progress(5, "Selecting patients")
    head: dict[str, Any] = {
        "definition": definition.to_json(),
        "digest": definition.digest,
        "versions": versions(),
        "seed": SEED,
        "is_synthetic": cohort.is_synthetic,
    }
    try:
        selected = select(cohort, definition)
    except NotAssessable as error:
        empty: dict[str, Any] = {"rooms": [], "rows": [], "excluded": [], "inputs": {}}
        return {**head, "problem": str(error), **empty}
    made = (
        *rooms_of(),
        (
            "reference",
            "External reference of cord area",
            lambda one: reference_room(one, references()),
        ),
    )
    rooms: list[Room] = []
    for index, (slug, title, maker) in enumerate(made):
        progress(10 + round(85 * index / len(made)), title)
        try:
            room = maker(selected)
        except MonitoringError as error:
            room = unanswered(slug, title, title + ".", str(error))
        rooms.append(room)
    progress(97, "Storing")
    return {
        **head,
        "problem": "",
        "counts": counts(selected),
        "kinds": [str(selected.brain_kind), str(selected.cord_kind)],
        "excluded": [
            {"reason": one.reason, "count": len(one.ids), "ids": list(one.ids)}
            for one in selected.excluded
        ],
        "rooms": [room.to_json() for room in rooms],
        "methods": methods_paragraph(selected, rooms, versions=head["versions"], seed=SEED),
        "columns": [*ROW_COLUMNS, *COLUMNS],
        "rows": selected_rows(selected),
        "inputs": inputs_of(selected),
    }


def versions() -> dict[str, str]:
    """Return what computed the numbers."""
    return {
        "analysis": ANALYSIS_VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def counts(selected: Selected) -> dict[str, Any]:
    """Return how many are in, by group and phenotype."""
    patients = ~selected.is_control
    groups = {
        band.name: int(selected.in_group(index).sum())
        for index, band in enumerate(selected.definition.groups)
    }
    phenotypes = {
        name: int((selected.phenotype == index).sum()) for index, name in enumerate(PHENOTYPES)
    }
    return {
        "patients": int(patients.sum()),
        "controls": int(selected.is_control.sum()),
        "groups": groups,
        "phenotypes": {name: count for name, count in phenotypes.items() if count},
        "epochs": int(np.unique(selected.epoch).size),
    }


ROW_COLUMNS = (
    "pseudonym",
    "phenotype",
    "visit",
    "age",
    "sex",
    "years_since_onset",
    "edss",
    "edss_group",
    "brain_lesions",
    "cord_lesions",
    "diffuse_cord",
)


def selected_rows(selected: Selected) -> list[list[Any]]:
    """Return the selected visits, one row each: what the cross-sectional rooms used."""
    groups = [band.name for band in selected.definition.groups]
    rows = []
    for i in range(selected.patient.size):
        group = int(selected.group[i])
        rows.append(
            plain([
                selected.cohort.ids[selected.patient[i]],
                PHENOTYPES[selected.phenotype[i]],
                date.fromordinal(int(selected.day[i])).isoformat(),
                float(selected.age[i]),
                float(selected.sex[i]),
                round(float(selected.duration[i]), 3),
                float(selected.edss[i]),
                groups[group] if group >= 0 else "",
                float(selected.lesions_brain[i]),
                float(selected.lesions_cord[i]),
                float(selected.diffuse_cord[i]),
                *(round(float(value), 3) for value in selected.values[i]),
            ])
        )  # fmt: skip
    return rows
