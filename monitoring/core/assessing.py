"""The divergence model applied to a table: text in, text out, no database.

Formats (CSV, header required, columns in any order, further columns ignored):

* observations: ``patient_id,date,region,value,epoch,quality``
* events: ``patient_id,date,event``
* assessments: `ASSESSMENT_COLUMNS`; numbers are empty where the level is ``insufficient``.
"""

import csv
import hashlib
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar

from monitoring.core.divergence import (
    PatientRecord,
    assess_histories,
    assess_many,
    assess_patient,
    inputs_digest,
)
from monitoring.core.errors import InvalidObservation, InvalidTable
from monitoring.core.observations import check_value, observation_series, usable_observations
from monitoring.core.parameter_set import Parameters
from monitoring.core.reference import ReferenceFit, fit_reference
from monitoring.core.series import Series
from monitoring.core.types import (
    ClinicalEvent,
    Divergence,
    EventKind,
    Observation,
    Quality,
    Region,
)

OBSERVATION_COLUMNS = ("patient_id", "date", "region", "value", "epoch", "quality")
EVENT_COLUMNS = ("patient_id", "date", "event")
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

Word = TypeVar("Word", bound=StrEnum)

_REGIONS = {word.value: word for word in Region}
_QUALITIES = {word.value: word for word in Quality}
_EVENTS = {word.value: word for word in EventKind}

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


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
        The CSV texts described at the top of this module.

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
    return _text(ASSESSMENT_COLUMNS, rows)


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


def fit_table(
    observations: str, *, events: str | None = None, base: Parameters
) -> ReferenceFit:
    """Fit the parameters to the patients of a table (see `monitoring.core.reference`).

    The id of the proposal is a hash of everything that entered the fit, so that the same table
    gives the same id.
    """
    series: list[Series] = []
    digests: list[str] = []
    known = read_events(events) if events is not None else {}
    patients = read_observations(observations)
    for patient in sorted(patients):
        own = known.get(patient, [])
        used, _ = usable_observations(patients[patient])
        if used:
            series.append(observation_series(used, own))
            digests.append(inputs_digest(used, own, parameters=base))
    name = hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:12]
    return fit_reference(series, base=base, id=f"own-{name}")


def read_observations(text: str) -> dict[str, list[Observation]]:
    """Read observations by patient; every row is checked, also the rejected ones."""
    table = "observations"
    patients: dict[str, list[Observation]] = {}
    for line, row in _rows(text, OBSERVATION_COLUMNS, table=table):
        place = f"{table}, line {line}"
        observation = Observation(
            when=_date(row["date"], place),
            region=_word(_REGIONS, row["region"], "region", place),
            value=_number(row["value"], place),
            epoch=row["epoch"],
            quality=_word(_QUALITIES, row["quality"], "quality", place),
            key=str(line),
        )
        try:
            check_value(observation)
        except InvalidObservation as error:
            raise InvalidTable(f"{place}: {error}") from error
        patients.setdefault(_patient(row, place), []).append(observation)
    if not patients:
        raise InvalidTable("The observations hold no row.")
    return patients


def read_events(text: str) -> dict[str, list[ClinicalEvent]]:
    """Read clinical events by patient."""
    table = "events"
    patients: dict[str, list[ClinicalEvent]] = {}
    for line, row in _rows(text, EVENT_COLUMNS, table=table):
        place = f"{table}, line {line}"
        kind = _word(_EVENTS, row["event"], "event", place)
        event = ClinicalEvent(_date(row["date"], place), kind)
        patients.setdefault(_patient(row, place), []).append(event)
    return patients


def _rows(
    text: str, columns: Sequence[str], *, table: str
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield line number and cells, stripped of blanks; empty lines are skipped."""
    if "\0" in text:
        raise InvalidTable(f"The {table} are not a text table.")
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if not any(stripped):
                continue
            if header is None:
                header = _header(stripped, columns, table=table)
                continue
            if len(stripped) != len(header):
                raise InvalidTable(
                    f"{table}, line {reader.line_num}: {len(stripped)} cells where the header "
                    f"names {len(header)}."
                )
            yield reader.line_num, dict(zip(header, stripped, strict=True))
    except csv.Error as error:
        raise InvalidTable(f"{table}, line {reader.line_num}: {error}.") from error
    if header is None:
        raise InvalidTable(f"The {table} are empty: the first line names the columns.")


def _header(cells: list[str], columns: Sequence[str], *, table: str) -> list[str]:
    """Check the header line."""
    missing = [column for column in columns if column not in cells]
    if missing:
        raise InvalidTable(f"The {table} lack the column {', '.join(missing)}.")
    twice = sorted({cell for cell in cells if cell and cells.count(cell) > 1})
    if twice:
        raise InvalidTable(f"The {table} name the column {', '.join(twice)} twice.")
    return cells


def _patient(row: Mapping[str, str], place: str) -> str:
    """Return the patient's id."""
    if not row["patient_id"]:
        raise InvalidTable(f"{place}: patient_id is empty.")
    return row["patient_id"]


@lru_cache(maxsize=100_000)
def _parsed_date(text: str) -> date | None:
    """Return an ISO date of day precision, None for anything else; tables repeat dates."""
    if not _ISO_DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _date(text: str, place: str) -> date:
    """Read an ISO date, day precision, nothing else."""
    found = _parsed_date(text)
    if found is None:
        raise InvalidTable(f"{place}: {text!r} is not a date (YYYY-MM-DD).")
    return found


def _number(text: str, place: str) -> float:
    """Read a decimal number."""
    try:
        # Underscores are Python's, not a table's.
        value = float("nan") if "_" in text else float(text)
    except ValueError as error:
        raise InvalidTable(f"{place}: value {text!r} is not a number.") from error
    if not math.isfinite(value):
        raise InvalidTable(f"{place}: value {text!r} is not a finite number.")
    return value


def _word(words: Mapping[str, Word], text: str, column: str, place: str) -> Word:
    """Read a word of a closed list."""
    found = words.get(text)
    if found is None:
        raise InvalidTable(f"{place}: {column} {text!r} is none of {', '.join(words)}.")
    return found


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


def _text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
