"""What an analysis was computed from, as JSON writes it, and back: an export can be replayed.

Only the selected patients and controls, only readings of the two kinds that entered; columns
of numbers, one array per column, in the units of `table`; NaN is written as null. Numbers keep
nine significant digits, which changes no printed digit of a result.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import (
    COLUMNS,
    SYSTEMS,
    Cohort,
    Kind,
    Lesions,
    Long,
    Readings,
    Statements,
)
from monitoring.core.errors import InvalidTable
from monitoring.core.series import FloatArray, IntArray, as_floats

SCHEMA = "neuraxis-cohort-inputs-1"
TABLES: dict[str, type] = {
    "phenotypes": Long,
    "edss": Long,
    "relapses": Long,
    "lesions": Lesions,
    "statements": Statements,
}
WHOLE = frozenset({"patient", "day", "epoch", "kind", "level"})
"""Columns of whole numbers."""


def inputs_of(selected: Selected) -> dict[str, Any]:
    """Return the part of a cohort that the analysis used; its columns are arrays."""
    cohort = selected.cohort
    own = selected.patient
    position = np.full(cohort.size, -1)
    position[own] = np.arange(own.size)
    kinds = [cohort.kinds.index(selected.brain_kind), cohort.kinds.index(selected.cord_kind)]
    readings = cohort.readings
    used = np.isin(readings.kind, kinds) & (position[readings.patient] >= 0)
    said: dict[str, Any] = {
        "schema": SCHEMA,
        "ids": [cohort.ids[one] for one in own],
        "kinds": [[k.structure, k.method, k.version, k.contrast] for k in cohort.kinds],
        "epochs": list(cohort.epochs),
        "epoch_ids": list(cohort.epoch_ids),
        "is_synthetic": cohort.is_synthetic,
        "sex": _printed(cohort.sex[own]),
        "birth_year": _printed(cohort.birth_year[own]),
        "onset": _printed(cohort.onset[own]),
        "readings": {
            "patient": position[readings.patient[used]],
            "day": readings.day[used],
            "epoch": readings.epoch[used],
            "kind": readings.kind[used],
        },
    }
    for at, name in enumerate(COLUMNS):
        values = readings.values[used, at]
        if np.isfinite(values).any():
            said["readings"][name] = _printed(values)
    for name, form in TABLES.items():
        table = getattr(cohort, name)
        rows = position[table.patient] >= 0
        said[name] = {
            one.name: _printed(getattr(table, one.name)[rows]) for one in fields(form)
        }
        said[name]["patient"] = position[table.patient[rows]]
        if name == "edss":
            said["systems"] = {
                system: _printed(cohort.systems[rows, at]) for at, system in enumerate(SYSTEMS)
            }
    return said


def cohort_from_inputs(said: Mapping[str, Any]) -> Cohort:
    """Return the cohort of an export.

    Raises
    ------
    InvalidTable
        Where the inputs are of another form or damaged.
    """
    if said.get("schema") != SCHEMA:
        raise InvalidTable(f"This export holds no inputs of the form {SCHEMA}.")
    try:
        readings = said["readings"]
        size = len(readings["patient"])
        blank = np.full(size, np.nan)
        cohort = Cohort(
            ids=tuple(said["ids"]),
            sex=_numbers(said["sex"]),
            birth_year=_numbers(said["birth_year"]),
            onset=_numbers(said["onset"]),
            readings=Readings(
                patient=_whole(readings["patient"]),
                day=_whole(readings["day"]),
                epoch=_whole(readings["epoch"]),
                kind=_whole(readings["kind"]),
                values=np.column_stack(
                    [_numbers(readings[c]) if c in readings else blank for c in COLUMNS]
                ),
            ),
            kinds=tuple(Kind(*one) for one in said["kinds"]),
            epochs=tuple(said["epochs"]),
            epoch_ids=tuple(said["epoch_ids"]),
            systems=np.column_stack([_numbers(said["systems"][name]) for name in SYSTEMS]),
            is_synthetic=bool(said["is_synthetic"]),
            **{name: _table(form, said[name]) for name, form in TABLES.items()},
        )
        return _sorted_by_patient(cohort)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidTable("The inputs of this export are incomplete or damaged.") from error


def _table(form: type, columns: Mapping[str, Any]) -> Any:
    """Return one long table."""
    return form(*(
        _whole(columns[one.name]) if one.name in WHOLE else _numbers(columns[one.name])
        for one in fields(form)
    ))  # fmt: skip


def _sorted_by_patient(cohort: Cohort) -> Cohort:
    """Sort every long table by patient and day: the selection may have had another order."""
    sorted_tables: dict[str, Any] = {}
    for name, form in TABLES.items():
        table = getattr(cohort, name)
        order = np.lexsort((table.day, table.patient))
        sorted_tables[name] = form(*(getattr(table, one.name)[order] for one in fields(form)))
        if name == "edss":
            sorted_tables["systems"] = cohort.systems[order]
    return replace(cohort, **sorted_tables)


def _printed(values: NDArray[Any]) -> NDArray[Any]:
    """Return a column with nine significant digits."""
    if np.issubdtype(values.dtype, np.integer):
        return values
    known = np.isfinite(values) & (values != 0)
    safe = np.where(known, values, 1.0)
    scale = 10.0 ** (8 - np.floor(np.log10(np.abs(safe))))
    return np.where(known, np.rint(safe * scale) / scale, values)


def _numbers(values: Any) -> FloatArray:
    """Return a column of numbers; None becomes NaN."""
    return as_floats(np.array(values, dtype=np.float64))


def _whole(values: Any) -> IntArray:
    """Return a column of whole numbers."""
    return np.array(values, dtype=np.int64)
