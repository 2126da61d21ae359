"""Laws of the statement about one patient."""

import math
import random
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.core.divergence import (
    assess_histories,
    assess_history,
    assess_many,
    assess_patient,
    inputs_digest,
)
from monitoring.core.errors import InvalidObservation
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.priors import EpochOffsets
from monitoring.core.profiles import PROFILES
from monitoring.core.simulated_tables import simulated_tables
from monitoring.core.tables import read_observations
from monitoring.core.types import (
    ClinicalEvent,
    EventKind,
    Level,
    Observation,
    Quality,
    Region,
)
from tests.monitoring.core.fixture import document, fixture_parameters

PARAMETERS = literature_defaults()
START = date(2010, 3, 1)


def observations_of(name: str) -> list[Observation]:
    """Return a patient of the reference as dated observations."""
    patient = document()["patients"][name]
    rows = []
    for i, years in enumerate(patient["t"]):
        when = START + timedelta(days=round(years * 365.25))
        for region, start in ((Region.BRAIN, 1.1e6), (Region.CORD, 70.0)):
            y = patient[f"y_{region.value}"][i]
            if y is not None:
                quality = Quality(patient[f"quality_{region.value}"][i])
                value = start * math.exp(y / 100)
                epoch = str(patient["epoch"][i])
                rows.append(Observation(when, region, value, epoch, quality, f"{region}-{i}"))
    return rows


def numbers(one) -> list[float]:
    """Return every number of an assessable statement."""
    assert one.level is not Level.INSUFFICIENT
    return [
        one.d_percent_per_year,
        one.d_low,
        one.d_high,
        one.p_faster_than_1,
        one.p_change,
        one.brain_percent_per_year,
        one.brain_low,
        one.brain_high,
        one.cord_percent_per_year,
        one.cord_low,
        one.cord_high,
        one.gap_percent,
        one.gap_low,
        one.gap_high,
        *(w.weight for w in one.weights),
    ]


EXPECTED = document()["expected"]


@pytest.mark.parametrize("name", list(EXPECTED))
def test_levels_of_the_reference_patients(name):
    # Days round the reference's years by up to 0.002, far from any line.
    parameters = fixture_parameters()
    centred = [
        replace(o, value=o.value / (1.1e6 if o.region is Region.BRAIN else 70.0))
        for o in observations_of(name)
    ]
    start = document()["patients"][name]["therapy_start"]
    events = []
    if start is not None:
        day = START + timedelta(days=round(start * 365.25))
        events = [ClinicalEvent(day, EventKind.THERAPY_START)]
    one = assess_patient(centred, events, parameters=parameters)
    assert one.level.value == EXPECTED[name]["level"]
    if one.level is not Level.INSUFFICIENT:
        reference = EXPECTED[name]["student_t5"]
        # Visits rounded to days, at most 0.0014 years, on values that fall by up to 5 %/yr.
        assert one.d_percent_per_year == pytest.approx(reference["D"]["mean"], abs=5e-3)
        assert one.p_change == pytest.approx(reference["p_change"], abs=5e-3)


@settings(max_examples=20, deadline=None)
@given(
    brain_unit=st.floats(1e-6, 1e6),
    cord_unit=st.floats(1e-6, 1e6),
    seed=st.integers(0, 1000),
)
def test_units_and_row_order_change_nothing(brain_unit, cord_unit, seed):
    rows = observations_of("therapy_quality_gaps")
    factor = {Region.BRAIN: brain_unit, Region.CORD: cord_unit}
    scaled = [replace(o, value=o.value * factor[o.region]) for o in rows]
    random.Random(seed).shuffle(scaled)
    before = assess_patient(rows, parameters=PARAMETERS)
    after = assess_patient(scaled, parameters=PARAMETERS)
    # Only the rounding of 100 ln(value) differs: 1e-12 %, times the condition number.
    assert numbers(after) == pytest.approx(numbers(before), abs=1e-8)
    assert after.sentence == before.sentence


def test_row_order_changes_not_one_bit():
    rows = observations_of("diverging")
    backwards = assess_patient(rows[::-1], parameters=PARAMETERS)
    assert backwards == assess_patient(rows, parameters=PARAMETERS)


def test_a_rejected_scan_changes_nothing_at_all():
    rows = observations_of("diverging")
    absurd = Observation(START, Region.CORD, 1.0, "never seen", Quality.REJECTED)
    late = replace(absurd, when=date(2030, 1, 1))
    assert assess_history([absurd, *rows, late], parameters=PARAMETERS) == assess_history(
        rows, parameters=PARAMETERS
    )


def test_the_future_is_unknown():
    rows = observations_of("diverging")
    history = assess_history(rows, parameters=PARAMETERS)
    for index, then in enumerate(history[:-1]):
        previous = history[index - 1].level if index else None
        cut = assess_patient(
            rows,
            [ClinicalEvent(date(2029, 1, 1), EventKind.THERAPY_START)],
            parameters=PARAMETERS,
            as_of=then.as_of,
            previous_level=previous,
            with_curves=False,
        )
        assert (cut.level, cut.notes, cut.sentence) == (then.level, then.notes, then.sentence)
        if cut.level is not Level.INSUFFICIENT:
            # Only padding differs between one patient and a batch of visits; the interval's
            # ends are sought to 1e-9.
            assert numbers(cut) == pytest.approx(numbers(then), abs=1e-8)


def test_history_ends_with_the_present_and_remembers_when_it_was_raised():
    history = assess_history(observations_of("diverging"), parameters=fixture_parameters_own())
    raised = [one for one in history if one.level in {Level.WATCH, Level.FLAG}]
    assert raised
    assert raised[0].first_raised == raised[0].as_of
    assert history[-1].first_raised == raised[0].as_of
    assert history[-1].trajectory is not None
    assert history[0].trajectory is None
    assert f"First raised on {raised[0].as_of}" in history[-1].context


def fixture_parameters_own():
    """Return the reference parameters with the level on the patient's own first value."""
    return replace(fixture_parameters(), level_mean=None, level_cov=None)


def test_an_own_level_changes_little_against_a_known_cohort_level():
    # A cohort level of SD 9 % says almost nothing beside one scan of 1.35 %.
    rows = observations_of("diverging")
    centred = [
        replace(o, value=o.value / (1.1e6 if o.region is Region.BRAIN else 70.0)) for o in rows
    ]
    cohort = assess_patient(centred, parameters=fixture_parameters())
    own = assess_patient(rows, parameters=fixture_parameters_own())
    assert own.d_percent_per_year == pytest.approx(cohort.d_percent_per_year, abs=0.02)
    assert own.p_change == pytest.approx(cohort.p_change, abs=0.02)


def test_too_few_scans_give_words_and_no_number():
    one = assess_patient(observations_of("two_visits"), parameters=PARAMETERS)
    assert one.level is Level.INSUFFICIENT
    assert one.d_percent_per_year is None
    assert one.p_change is None
    assert one.gap_percent is None
    assert one.reason.startswith("Needs 1 more usable cord scan")


def test_one_region_only_gives_words_and_no_number():
    one = assess_patient(observations_of("brain_only"), parameters=PARAMETERS)
    assert one.level is Level.INSUFFICIENT
    assert (one.n_brain, one.n_cord) == (3, 0)
    assert "3 more usable cord scans" in one.reason
    assert one.trajectory is not None
    assert one.trajectory.cord_value is None


def test_no_scan_at_all_is_said():
    one = assess_patient([], parameters=PARAMETERS)
    assert one.level is Level.INSUFFICIENT
    assert one.as_of is None
    assert one.reason.startswith("No usable scan.")
    assert assess_history([], parameters=PARAMETERS) == []


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_value_that_no_cord_can_have_is_refused(value):
    bad = Observation(START, Region.CORD, value, "A", Quality.GOOD)
    with pytest.raises(InvalidObservation, match="positive number"):
        assess_patient([bad], parameters=PARAMETERS)


def test_mixed_units_are_not_assessed():
    rows = observations_of("diverging")
    mixed = [replace(rows[0], value=rows[0].value / 1000), *rows[1:]]
    one = assess_patient(mixed, parameters=PARAMETERS)
    assert one.level is Level.INSUFFICIENT
    assert "check units and typing" in one.reason
    assert one.d_percent_per_year is None
    # Without a level nothing that the model found is said, not even of the odd scan.
    assert one.notes == ()


def test_values_of_one_day_and_epoch_count_as_one_scan():
    rows = observations_of("parallel")
    cord = next(o for o in rows if o.region is Region.CORD)
    twins = [replace(cord, value=cord.value * f) for f in (1.01, 1 / 1.01)]
    doubled = [*twins, *(o for o in rows if o is not cord)]
    one = assess_patient(doubled, parameters=PARAMETERS)
    before = assess_patient(rows, parameters=PARAMETERS)
    assert numbers(one) == pytest.approx(numbers(before), abs=1e-9)
    assert one.notes == (f"2 cord values on {cord.when} count as one scan.",)


def test_of_two_values_on_one_day_the_better_one_counts():
    rows = observations_of("parallel")
    cord = next(o for o in rows if o.region is Region.CORD)
    worse = replace(cord, value=cord.value * 0.9, quality=Quality.POOR)
    one = assess_patient([*rows, worse], parameters=PARAMETERS)
    assert numbers(one) == numbers(assess_patient(rows, parameters=PARAMETERS))


def test_a_constant_on_a_whole_epoch_vanishes_as_its_prior_widens():
    rows = observations_of("scanner_change")
    shifted = [replace(o, value=o.value * 1.05) if o.epoch == "1" else o for o in rows]
    moves = []
    for sd in (1.5, 5.0, 20.0, 80.0):
        parameters = replace(PARAMETERS, epoch_offset_prior_sd=(sd, sd))
        before, after = (assess_patient(r, parameters=parameters) for r in (rows, shifted))
        moves.append(abs(after.d_percent_per_year - before.d_percent_per_year))
    assert moves == sorted(moves, reverse=True)
    assert moves[-1] < 0.01


def test_a_constant_on_a_whole_epoch_of_an_unknown_scanner_barely_matters():
    rows = observations_of("scanner_change")
    before = assess_patient(rows, parameters=PARAMETERS)
    for factor in (0.97, 1.03):
        shifted = [replace(o, value=o.value * factor) if o.epoch == "1" else o for o in rows]
        after = assess_patient(shifted, parameters=PARAMETERS)
        # Three percent, a change of field strength: a tenth of the interval's width at most.
        assert after.d_percent_per_year == pytest.approx(before.d_percent_per_year, abs=0.2)
        assert after.level is before.level


def test_a_constant_on_the_only_epoch_changes_nothing():
    rows = observations_of("diverging")
    shifted = [replace(o, value=o.value * 1.3) for o in rows]
    before, after = (assess_patient(r, parameters=PARAMETERS) for r in (rows, shifted))
    assert numbers(after) == pytest.approx(numbers(before), abs=1e-8)


def test_an_odd_last_scan_is_named_and_does_not_raise_the_level():
    one = assess_patient(observations_of("one_outlier"), parameters=fixture_parameters_own())
    odd = one.weights[-1]
    assert odd.is_outlier
    assert odd.observation.key == "cord-6"
    assert one.level is Level.NONE
    assert any("probable outlier" in note for note in one.notes)


def test_a_relapse_before_a_scan_is_noted():
    rows = observations_of("diverging")
    relapse = ClinicalEvent(rows[4].when - timedelta(days=12), EventKind.RELAPSE)
    one = assess_patient(rows, [relapse], parameters=PARAMETERS)
    assert f"A scan on {rows[4].when} was taken 12 days after a relapse." in one.notes


def test_an_old_treatment_is_no_dip():
    rows = observations_of("parallel")
    old = ClinicalEvent(START - timedelta(days=900), EventKind.THERAPY_START)
    assert numbers(assess_patient(rows, [old], parameters=PARAMETERS)) == numbers(
        assess_patient(rows, parameters=PARAMETERS)
    )


def test_a_fresh_treatment_explains_part_of_a_fall_of_the_brain():
    rows = observations_of("parallel")
    fresh = ClinicalEvent(rows[2].when - timedelta(days=90), EventKind.THERAPY_START)
    before = assess_patient(rows, parameters=PARAMETERS)
    after = assess_patient(rows, [fresh], parameters=PARAMETERS)
    assert after.brain_percent_per_year > before.brain_percent_per_year


def test_an_unknown_scanner_widens_the_interval_and_is_said():
    rows = observations_of("diverging")
    moved = [replace(o, epoch="new" if o.when > rows[7].when else "0") for o in rows]
    one_epoch = assess_patient(rows, parameters=PARAMETERS)
    two = assess_patient(moved, parameters=PARAMETERS)
    assert two.d_high - two.d_low > one_epoch.d_high - one_epoch.d_low
    assert any("Offset of epoch new poorly known" in note for note in two.notes)


def test_a_known_offset_is_taken_out():
    rows = observations_of("scanner_change")
    names = ("0", "1")
    exact = tuple(tuple(1e-6 * (i == j) for j in range(4)) for i in range(4))
    known = EpochOffsets(names, (0.0, 3.0), (0.0, -4.0), exact, (9, 9))
    parameters = replace(PARAMETERS, epochs=known)
    shift = {Region.BRAIN: math.exp(0.03), Region.CORD: math.exp(-0.04)}
    shifted = [
        replace(o, value=o.value * shift[o.region]) if o.epoch == "1" else o for o in rows
    ]
    free = EpochOffsets(names, (0.0, 0.0), (0.0, 0.0), exact, (9, 9))
    before = assess_patient(rows, parameters=replace(PARAMETERS, epochs=free))
    after = assess_patient(shifted, parameters=parameters)
    assert numbers(after)[:14] == pytest.approx(numbers(before)[:14], abs=1e-8)
    corrected = [w.value_corrected for w in after.weights]
    expected = [w.value_corrected for w in before.weights]
    assert corrected == pytest.approx(expected, rel=1e-8)


def test_the_fitted_line_passes_between_the_corrected_points():
    rows = observations_of("parallel")
    one = assess_patient(rows, parameters=PARAMETERS)
    line = one.trajectory.cord_value
    first = next(o for o in rows if o.region is Region.CORD)
    assert line.mean[0] == pytest.approx(first.value, rel=0.02)
    assert all(
        low < mid < high for low, mid, high in zip(line.low, line.mean, line.high, strict=True)
    )
    assert line.years[-1] == pytest.approx(one.span_years)
    gap = one.trajectory.gap_percent
    assert gap.mean[0] == pytest.approx(0.0, abs=1e-9)
    assert gap.mean[-1] == pytest.approx(one.gap_percent, abs=1e-9)


def test_the_digest_moves_exactly_when_an_answer_can():
    rows = observations_of("diverging")
    event = ClinicalEvent(START, EventKind.THERAPY_START)
    base = inputs_digest(rows, [event], parameters=PARAMETERS)
    rejected = Observation(START, Region.CORD, 5.0, "x", Quality.REJECTED)
    assert inputs_digest([rejected, *rows[::-1]], [event], parameters=PARAMETERS) == base
    assert inputs_digest(rows, [], parameters=PARAMETERS) != base
    assert inputs_digest(rows[1:], [event], parameters=PARAMETERS) != base
    other = replace(PARAMETERS, error_sd=(0.8, 2.1))
    assert inputs_digest(rows, [event], parameters=other) != base
    then = rows[-1].when
    known = inputs_digest(rows, [event], parameters=PARAMETERS, as_of=then)
    later = ClinicalEvent(then + timedelta(days=1), EventKind.RELAPSE)
    assert inputs_digest(rows, [event, later], parameters=PARAMETERS, as_of=then) == known
    assert inputs_digest(rows[:-2], [event], parameters=PARAMETERS, as_of=then) != known


def test_two_hundred_visits_are_assessed():
    rows = [
        Observation(
            START + timedelta(days=30 * i),
            region,
            value * math.exp(-0.004 * i / 12),
            "A",
            Quality.GOOD,
        )
        for i in range(200)
        for region, value in ((Region.BRAIN, 1.1e6), (Region.CORD, 70.0))
    ]
    one = assess_patient(rows, parameters=PARAMETERS)
    assert one.level is Level.NONE
    assert one.cord_percent_per_year == pytest.approx(-0.4, abs=0.1)


def test_many_at_once_equal_the_last_of_each_history_also_where_a_level_is_held():
    parameters = replace(PARAMETERS, slope_sd=(0.25, 0.55), error_sd=(0.25, 0.5))
    tables = simulated_tables(PROFILES["best"], patients=150, seed=12)
    records = [(rows, []) for rows in read_observations(tables.observations).values()]
    last = assess_many(records, parameters=parameters)
    histories = assess_histories(records, parameters=parameters)
    held = 0
    for one, history in zip(last, histories, strict=True):
        assert (one.level, one.is_held) == (history[-1].level, history[-1].is_held)
        assert (one.sentence, one.first_raised) == (
            history[-1].sentence,
            history[-1].first_raised,
        )
        held += one.is_held
    assert held > 0
