"""Simulated tables say what was simulated, and the commands take them."""

import csv
import io
from datetime import date

import numpy as np
import pytest

from monitoring.core.assessing import AsOf, assess_table
from monitoring.core.errors import NotAssessable
from monitoring.core.estimates import DIVERGENCE, posterior_table
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.profiles import PROFILES
from monitoring.core.simulated_tables import TRUTH_COLUMNS, simulated_tables
from monitoring.core.simulation import simulate_cohort, simulate_scanners
from monitoring.core.tables import read_events, read_observations

SEED = 11
PATIENTS = 60


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def tables():
    return simulated_tables(PROFILES["harsh"], patients=PATIENTS, reference=40, seed=SEED)


@pytest.fixture(scope="module")
def people():
    """Return the same people as the simulator draws them."""
    rng = np.random.default_rng(SEED)
    scanners = simulate_scanners(PROFILES["harsh"], rng=rng)
    return simulate_cohort(PROFILES["harsh"], patients=PATIENTS, rng=rng, scanners=scanners)


def test_the_table_of_a_patient_gives_the_posterior_of_the_simulated_rows(tables, people):
    parameters = literature_defaults()
    assessed = {
        row["patient_id"]: row
        for row in rows_of(
            assess_table(tables.observations, events=tables.events, parameters=parameters)
        )
    }
    # A treatment long before the first scan or after the last visit counts in no table.
    plain = [
        (f"P{number:04d}", one)
        for number, one in enumerate(people, start=1)
        if one.series.therapy_years is None or 0 < one.series.therapy_years < one.series.now
    ]
    seen = [(name, one) for name, one in plain if name in assessed]
    known = posterior_table([one.series for _, one in seen], parameters)
    compared = 0
    for place, (name, _) in enumerate(seen):
        if assessed[name]["level"] != "insufficient":
            # A day of rounding moves a slope of 1 %/year over years by far less than 0.02.
            said = float(assessed[name]["d_percent_per_year"])
            assert said == pytest.approx(known.mean[place, DIVERGENCE], abs=0.02)
            compared += 1
    assert compared > 20


def test_every_assessment_has_its_line_of_truth(tables, people):
    assessed = rows_of(
        assess_table(
            tables.observations,
            events=tables.events,
            parameters=literature_defaults(),
            as_of=AsOf.EVERY_VISIT,
        )
    )
    truth = rows_of(tables.truth)
    assert tuple(truth[0]) == TRUTH_COLUMNS
    assert [(row["patient_id"], row["as_of"]) for row in assessed] == [
        (row["patient_id"], row["as_of"]) for row in truth
    ]
    converts = {row["patient_id"] for row in truth if row["converts_on"]}
    measured = {f"P{n:04d}" for n, one in enumerate(people, 1) if one.series.years.size}
    assert converts == measured & {
        f"P{number:04d}" for number, one in enumerate(people, 1) if one.is_converter
    }
    assert converts
    for row in truth:
        if row["accelerates_on"] and row["converts_on"]:
            assert date.fromisoformat(row["accelerates_on"]) < date.fromisoformat(
                row["converts_on"]
            )


def test_scanner_epochs_follow_the_calendar(tables):
    """An epoch of one site ends before the next begins, whoever was scanned on it."""
    seen: dict[str, list[date]] = {}
    for text in (tables.observations, tables.reference):
        for rows in read_observations(text).values():
            for one in rows:
                seen.setdefault(one.epoch, []).append(one.when)
    spans = [(min(days), max(days)) for days in seen.values()]
    # Four sites, at most four epochs at once: more would mean dates that fit no calendar.
    for day in sorted(start for start, _ in spans):
        assert sum(start <= day <= end for start, end in spans) <= PROFILES["harsh"].sites
    assert len(spans) > PROFILES["harsh"].sites


def test_the_reference_holds_other_people_of_whom_none_converts(tables):
    reference = read_observations(tables.reference)
    assert 30 < len(reference) <= 40
    assert not set(reference) & set(read_observations(tables.observations))
    assert set(read_events(tables.events)) & set(reference)
    assert not any(row["patient_id"].startswith("R") for row in rows_of(tables.truth))


def test_one_seed_gives_one_clinic(tables):
    again = simulated_tables(PROFILES["harsh"], patients=PATIENTS, reference=40, seed=SEED)
    other = simulated_tables(PROFILES["harsh"], patients=PATIENTS, reference=40, seed=SEED + 1)
    assert again == tables
    assert other.observations != tables.observations


def test_a_clinic_without_patients_is_refused():
    with pytest.raises(NotAssessable, match="at least one patient"):
        simulated_tables(PROFILES["base"], patients=0, seed=1)
