"""The divergence model applied to a table: text in, text out, no database.

Observations and events as in `monitoring.core.tables`; assessments have `ASSESSMENT_COLUMNS`,
whose numbers are empty where the level is ``insufficient``.
"""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum

from monitoring.core.divergence import (
    PatientRecord,
    assess_histories,
    assess_many,
    assess_patient,
)
from monitoring.core.parameter_set import Parameters
from monitoring.core.tables import read_events, read_observations, table_text
from monitoring.core.types import Divergence

ASSESSMENT_COLUMNS = (
    "patient_id",
    "as_of",
    "level",
    "d_percent_per_year",
    "d_low",
    "d_high",
    "p_faster_than_1",
    "p_change",
    "brain_percent_per_year",
    "cord_percent_per_year",
    "n_brain",
    "n_cord",
    "span_years",
    "reason",
)

PATIENTS_AT_ONCE = 1000
"""Patients computed together; more would only cost memory."""


class AsOf(StrEnum):
    """Which dates of a patient are assessed."""

    LAST = "last"
    EVERY_VISIT = "every-visit"


def assess_table(
    observations: str,
    *,
    events: str | None = None,
    parameters: Parameters,
    as_of: AsOf = AsOf.LAST,
) -> str:
    """Assess every patient of a table.

    Parameters
    ----------
    observations, events : str
        CSV texts (see `monitoring.core.tables`).

    Returns
    -------
    str
        The assessments as CSV, sorted by patient and date. The row of ``last`` equals the
        last row of ``every-visit``: the hysteresis of earlier visits is carried in both.

    Raises
    ------
    InvalidTable
        Naming table and line, for a missing column, an unknown word, a date that is none, or
        a value that is not a positive number.
    """
    patients = read_observations(observations)
    known = read_events(events) if events is not None else {}
    names = sorted(patients)
    rows: list[list[str]] = []
    for first in range(0, len(names), PATIENTS_AT_ONCE):
        chosen = names[first : first + PATIENTS_AT_ONCE]
        records = [(patients[name], known.get(name, [])) for name in chosen]
        for name, own in zip(chosen, _assessed(records, parameters, as_of), strict=True):
            fallback = max(one.when for one in patients[name])
            rows += [_row(name, one, fallback) for one in own]
    return table_text(ASSESSMENT_COLUMNS, rows)


def _assessed(
    records: Sequence[PatientRecord], parameters: Parameters, as_of: AsOf
) -> list[list[Divergence]]:
    """Return the wanted assessments of each patient, at least one."""
    if as_of is AsOf.LAST:
        return [[one] for one in assess_many(records, parameters=parameters)]
    return [
        history or [assess_patient(*record, parameters=parameters)]
        for history, record in zip(
            assess_histories(records, parameters=parameters), records, strict=True
        )
    ]


def _row(patient: str, one: Divergence, fallback: date) -> list[str]:
    """Return the cells of one assessment."""
    numbers = (
        one.d_percent_per_year,
        one.d_low,
        one.d_high,
        one.p_faster_than_1,
        one.p_change,
        one.brain_percent_per_year,
        one.cord_percent_per_year,
    )
    return [
        patient,
        (one.as_of or fallback).isoformat(),
        one.level.value,
        *(_cell(number) for number in numbers),
        str(one.n_brain),
        str(one.n_cord),
        f"{one.span_years:.4f}",
        " ".join((one.reason, *one.notes)),
    ]


def _cell(number: float | None) -> str:
    """Write a number with six decimals, nothing for None and no minus before a zero."""
    return "" if number is None else f"{round(number, 6) + 0.0:.6f}"
