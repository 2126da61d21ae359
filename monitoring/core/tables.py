"""The tables of the command line: every cell read is checked, every refusal names its line.

Formats (CSV, header required, columns in any order, further columns ignored):

* observations: `OBSERVATION_COLUMNS`
* events: `EVENT_COLUMNS`
* healthy controls: observations and `CONTROL_COLUMNS`
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TypeVar

from monitoring.core.errors import InvalidObservation, InvalidTable
from monitoring.core.norms import MeasureFacts, Sex
from monitoring.core.observations import check_value
from monitoring.core.types import ClinicalEvent, EventKind, Observation, Quality, Region

OBSERVATION_COLUMNS = ("patient_id", "date", "region", "value", "epoch", "quality")
EVENT_COLUMNS = ("patient_id", "date", "event")
CONTROL_COLUMNS = ("sex", "birth_year", "structure", "method", "contrast")

_ISO_DATE = re.compile(r"(19|20|21)\d{2}-\d{2}-\d{2}")
"""A century that a scan or a relapse can have: year 1 or 2914 is a slip, not a day."""

_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabulators"}

_YEAR = re.compile(r"(18|19|20)\d{2}")

Word = TypeVar("Word")

_REGIONS: dict[str, Region] = {word.value: word for word in Region}
_QUALITIES: dict[str, Quality] = {word.value: word for word in Quality}
_EVENTS: dict[str, EventKind] = {word.value: word for word in EventKind}
_SEXES: dict[str, Sex] = {word.value: word for word in Sex}


@dataclass(frozen=True, slots=True)
class Control:
    """One observation of a healthy control with what a norm needs to know."""

    observation: Observation
    sex: Sex
    birth_year: int
    facts: MeasureFacts


def read_observations(text: str) -> dict[str, list[Observation]]:
    """Read observations by patient; every row is checked, also the rejected ones.

    Raises
    ------
    InvalidTable
        Naming the line, for a missing column, an unknown word, a date that is none, or a value
        that is not a positive number.
    """
    patients: dict[str, list[Observation]] = {}
    table = "observations"
    for line, cells in _rows(text, OBSERVATION_COLUMNS, table=table):
        patient, observation = _observation(cells, table, line)
        patients.setdefault(patient, []).append(observation)
    if not patients:
        raise InvalidTable("The observations hold no row.")
    return patients


def read_events(text: str) -> dict[str, list[ClinicalEvent]]:
    """Read clinical events by patient."""
    patients: dict[str, list[ClinicalEvent]] = {}
    table = "events"
    for line, (patient, day, word) in _rows(text, EVENT_COLUMNS, table=table):
        _named(patient, table, line)
        kind = _EVENTS.get(word) or _unknown(_EVENTS, word, "event", table, line)
        event = ClinicalEvent(_parsed_date(day) or _no_date(day, table, line), kind)
        patients.setdefault(patient, []).append(event)
    return patients


def read_controls(text: str) -> dict[str, list[Control]]:
    """Read healthy controls by person.

    Raises
    ------
    InvalidTable
        As `read_observations`, and for a sex, a birth year or a measure that is not stated.
    """
    people: dict[str, list[Control]] = {}
    table, count = "controls", len(OBSERVATION_COLUMNS)
    for line, cells in _rows(text, (*OBSERVATION_COLUMNS, *CONTROL_COLUMNS), table=table):
        person, observation = _observation(cells[:count], table, line)
        word, year, structure, method, contrast = cells[count:]
        if not (structure and method and contrast):
            raise InvalidTable(
                f"{table}, line {line}: structure, method and contrast must be stated."
            )
        if not _YEAR.fullmatch(year):
            raise InvalidTable(f"{table}, line {line}: {year!r} is not a birth year (YYYY).")
        control = Control(
            observation=observation,
            sex=_SEXES.get(word) or _unknown(_SEXES, word, "sex", table, line),
            birth_year=int(year),
            facts=MeasureFacts(structure=structure, method=method, contrast=contrast),
        )
        people.setdefault(person, []).append(control)
    if not people:
        raise InvalidTable("The controls hold no row.")
    return people


def table_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()


def _observation(cells: Sequence[str], table: str, line: int) -> tuple[str, Observation]:
    """Return the patient and the checked observation of one row."""
    patient, day, region, value, epoch, quality = cells
    _named(patient, table, line)
    if not epoch:
        # Scans of unknown scanners must not pass for scans of one scanner.
        raise InvalidTable(f"{table}, line {line}: epoch is empty; name the scanner.")
    observation = Observation(
        _parsed_date(day) or _no_date(day, table, line),
        _REGIONS.get(region) or _unknown(_REGIONS, region, "region", table, line),
        _number(value, table, line),
        epoch,
        _QUALITIES.get(quality) or _unknown(_QUALITIES, quality, "quality", table, line),
        str(line),
    )
    try:
        check_value(observation)
    except InvalidObservation as error:
        raise InvalidTable(f"{table}, line {line}: {error}") from error
    return patient, observation


def _rows(
    text: str, columns: Sequence[str], *, table: str
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield line number and the wanted cells, stripped of blanks; empty lines are skipped."""
    if "\0" in text:
        raise InvalidTable(f"The {table} are not a text table.")
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    width, chosen = 0, list[int]()
    try:
        for cells in reader:
            if width and len(cells) == width:
                wanted = tuple([cells[place].strip() for place in chosen])
                if wanted[0] or any(map(str.strip, cells)):
                    yield reader.line_num, wanted
            elif not any(map(str.strip, cells)):
                continue
            elif width:
                raise InvalidTable(
                    f"{table}, line {reader.line_num}: {len(cells)} cells where the header "
                    f"names {width}."
                )
            else:
                header = _header([cell.strip() for cell in cells], columns, table=table)
                width, chosen = len(header), [header.index(one) for one in columns]
    except csv.Error as error:
        raise InvalidTable(f"{table}, line {reader.line_num}: {error}.") from error
    if not width:
        raise InvalidTable(f"The {table} are empty: the first line names the columns.")


def _header(cells: list[str], columns: Sequence[str], *, table: str) -> list[str]:
    """Check the header line."""
    missing = [column for column in columns if column not in cells]
    for mark, name in _OTHER_SEPARATORS.items():
        if missing and any(mark in cell for cell in cells):
            raise InvalidTable(
                f"The {table} are separated by {name}: separate the columns by commas and "
                "write decimals with a point."
            )
    if missing:
        raise InvalidTable(f"The {table} lack the column {', '.join(missing)}.")
    twice = sorted({cell for cell in cells if cell and cells.count(cell) > 1})
    if twice:
        raise InvalidTable(f"The {table} name the column {', '.join(twice)} twice.")
    return cells


def _named(patient: str, table: str, line: int) -> None:
    """Refuse a row without a patient."""
    if not patient:
        raise InvalidTable(f"{table}, line {line}: patient_id is empty.")


@lru_cache(maxsize=100_000)
def _parsed_date(text: str) -> date | None:
    """Return an ISO date of day precision, None for anything else; tables repeat dates."""
    if not _ISO_DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _no_date(text: str, table: str, line: int) -> date:
    """Refuse a cell that is no ISO date of day precision."""
    raise InvalidTable(f"{table}, line {line}: {text!r} is not a date (YYYY-MM-DD, from 1900).")


def _number(text: str, table: str, line: int) -> float:
    """Read a decimal number."""
    try:
        # Underscores are Python's, not a table's.
        value = float("nan") if "_" in text else float(text)
    except ValueError as error:
        raise InvalidTable(f"{table}, line {line}: value {text!r} is not a number.") from error
    if not math.isfinite(value):
        raise InvalidTable(f"{table}, line {line}: value {text!r} is not a finite number.")
    return value


def _unknown(words: Mapping[str, Word], text: str, column: str, table: str, line: int) -> Word:
    """Refuse a word that is not on a closed list."""
    raise InvalidTable(
        f"{table}, line {line}: {column} {text!r} is none of {', '.join(words)}."
    )
