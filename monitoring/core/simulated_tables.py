"""Simulated patients as the tables of the command line, with the truth beside them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from monitoring.core.observations import DAYS_PER_YEAR
from monitoring.core.profiles import Profile
from monitoring.core.simulation import SimulatedPatient, simulate_cohort, simulate_scanners
from monitoring.core.tables import EVENT_COLUMNS, OBSERVATION_COLUMNS, table_text
from monitoring.core.types import EventKind, Quality, Region

TRUTH_COLUMNS = (
    "patient_id",
    "as_of",
    "brain_percent_per_year",
    "cord_percent_per_year",
    "accelerates_on",
    "converts_on",
)

FIRST_DAY = date(2000, 1, 1)
"""Calendar time 0 of the simulated clinic: a day to count from, of no other meaning."""

TYPICAL = {Region.BRAIN: 1.1e6, Region.CORD: 75.0}
"""Brain mm³ and cord mm² that stand for y = 0; the model drops every patient's level."""

_REGIONS, _QUALITIES = tuple(Region), (Quality.GOOD, Quality.FAIR, Quality.POOR)


@dataclass(frozen=True, slots=True)
class SimulatedTables:
    """CSV texts of one simulated clinic.

    Attributes
    ----------
    observations, reference : str
        Usable scans of the people to judge, and of others, none of whom converts in view, for
        `fit_reference` (only the header line where none was asked for).
    events : str
        Treatment starts of both.
    truth : str
        `TRUTH_COLUMNS`, one row per visit with a usable scan of the people to judge, as
        ``assess --as-of every-visit`` has it: the true present slopes, %/year, and the days on
        which the cord began to accelerate and the patient converts, where they lie in view.
    """

    observations: str
    reference: str
    events: str
    truth: str


def simulated_tables(
    profile: Profile, *, patients: int, reference: int = 0, seed: int
) -> SimulatedTables:
    """Simulate a clinic: people to judge, and a reference scanned on the same scanners.

    Raises
    ------
    NotAssessable
        Without patients.
    """
    rng = np.random.default_rng(seed)
    scanners = simulate_scanners(profile, rng=rng)
    judged = simulate_cohort(profile, patients=patients, rng=rng, scanners=scanners)
    others: list[SimulatedPatient] = []
    while len(others) < reference:
        more = simulate_cohort(profile, patients=reference, rng=rng, scanners=scanners)
        others += [one for one in more if not one.is_converter]
    people = _named(judged, "P")
    stable = _named(others[:reference], "R")
    return SimulatedTables(
        observations=table_text(OBSERVATION_COLUMNS, _observation_rows(people)),
        reference=table_text(OBSERVATION_COLUMNS, _observation_rows(stable)),
        events=table_text(EVENT_COLUMNS, _event_rows([*people, *stable])),
        truth=table_text(TRUTH_COLUMNS, _truth_rows(people)),
    )


_Named = tuple[str, SimulatedPatient]


def _named(cohort: Sequence[SimulatedPatient], letter: str) -> list[_Named]:
    """Give every patient a name that sorts as it counts."""
    width = max(len(str(len(cohort))), 4)
    return [(f"{letter}{number:0{width}d}", one) for number, one in enumerate(cohort, start=1)]


def _day(patient: SimulatedPatient, since_onset: float) -> date:
    """Return the day that lies some years after a patient's onset."""
    days = round((patient.entry + since_onset) * DAYS_PER_YEAR)
    return FIRST_DAY + timedelta(days=days)


def _observation_rows(people: Iterable[_Named]) -> Iterator[tuple[str, ...]]:
    """Yield the usable scans."""
    for name, one in people:
        series = one.series
        for row, years in enumerate(series.years):
            region = _REGIONS[series.region[row]]
            value = TYPICAL[region] * math.exp(series.y[row] / 100)
            yield (
                name,
                _day(one, one.offset_years + years).isoformat(),
                region.value,
                f"{value:.8g}",
                series.epochs[row],
                _QUALITIES[series.quality[row]].value,
            )


def _event_rows(people: Iterable[_Named]) -> Iterator[tuple[str, ...]]:
    """Yield the treatment starts that a clinic would know by the end of the follow-up."""
    for name, one in people:
        if one.series.therapy_years is None:
            continue
        start = one.offset_years + one.series.therapy_years
        if start < one.follow_up:
            yield (name, _day(one, start).isoformat(), EventKind.THERAPY_START.value)


def _truth_rows(people: Iterable[_Named]) -> Iterator[tuple[str, ...]]:
    """Yield what was true at each visit."""
    for name, one in people:
        ends = [
            _day(one, when).isoformat() if when < one.follow_up else ""
            for when in (one.acceleration, one.conversion)
        ]
        for years in one.series.visits():
            since_onset = one.offset_years + years
            slopes = one.slopes_at(since_onset)
            yield (
                name,
                _day(one, since_onset).isoformat(),
                *(f"{slope:.4f}" for slope in slopes),
                *ends,
            )
