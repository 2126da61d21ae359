"""How detectors are counted, on a cohort small enough to count by hand."""

from dataclasses import replace

import numpy as np
import pytest

from monitoring.core.detectors import (
    CUSUM_CLIP,
    CUSUM_SLACK,
    cusum_path,
    naive_rate,
    ols_rate,
    theil_sen_rate,
)
from monitoring.core.evaluation import Looks, above, acceleration_auc, alarms, threshold
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.series import Series
from monitoring.core.simulation import SimulatedPatient

NEVER = np.inf


def person(visits: int, *, converts: float = NEVER, accelerates: float = NEVER):
    """Return a patient with yearly scans of both regions from onset on."""
    years = np.repeat(np.arange(float(visits)), 2)
    rows = Series(
        years, np.zeros(2 * visits), np.tile([0, 1], visits), np.zeros(2 * visits, int),
        ("A",) * (2 * visits),
    )  # fmt: skip
    return SimulatedPatient(
        series=rows,
        entry=0.0,
        offset_years=0.0,
        follow_up=visits - 0.5,
        conversion=converts,
        acceleration=accelerates,
        true_years=np.arange(float(visits)),
        true_slopes=np.zeros((2, 24 * visits)),
    )


def looks_at(people, *, d_true=None, scores=None) -> Looks:
    owner = np.concatenate([[i] * len(p.series.visits()) for i, p in enumerate(people)])
    years = np.concatenate([p.series.visits() for p in people])
    zero = np.zeros(owner.size)
    return Looks(
        patients=people,
        patient=owner,
        years=years,
        since_onset=years,
        number=years.astype(int),
        scores=scores or {},
        p_one=zero,
        p_half=zero,
        p_change=zero,
        d_mean=zero,
        d_low=zero - 1,
        d_high=zero + 1,
        d_true=zero if d_true is None else d_true,
        is_assessable=zero == 0,
    )


PEOPLE = [
    person(5),  # stable, alarmed at year 2
    person(5),  # stable, never alarmed
    person(7, converts=3.5, accelerates=1.0),  # caught at year 2
    person(7, converts=1.5, accelerates=0.5),  # two looks before conversion: not counted
    person(7, converts=3.5),  # alarmed at year 5 only: too late
    person(5, accelerates=2.0),  # accelerates, neither stable nor converter
]
ALARMS = {0: (2, 4), 2: (2, 3), 3: (1,), 4: (5, 6), 5: (4,)}


def is_alarm(looks: Looks) -> np.ndarray:
    return np.array(
        [
            years in ALARMS.get(one, ())
            for one, years in zip(looks.patient, looks.years, strict=True)
        ]
    )


def test_alarms_are_counted_until_the_first_of_each_patient():
    d_true = np.where(looks_at(PEOPLE).patient == 2, -1.5, -0.5)
    looks = looks_at(PEOPLE, d_true=d_true)

    found = alarms(looks, is_alarm(looks))

    assert (found.stable, found.converters) == (2, 2)
    # One first alarm in 2 years of the first and 4 years of the second stable patient.
    assert found.false_per_100_years == pytest.approx(100 / 6)
    assert found.specificity == 0.5
    assert found.sensitivity == 0.5
    assert found.lead_years == pytest.approx(1.5)
    assert found.share_below_minus_1 == pytest.approx(1 / 5)


def test_no_level_counts_where_data_are_insufficient():
    looks = looks_at([person(4)])
    loud = np.ones(4)
    looks = replace(looks, p_one=loud, p_change=loud, is_assessable=looks.number > 1)
    for counted in (looks.flagged, looks.watched):
        assert list(counted(literature_defaults())) == [False, False, True, True]


def test_a_threshold_is_what_the_share_of_stable_patients_never_exceeds():
    stable = [person(4) for _ in range(20)]
    short, ill = person(2), person(4, converts=2.0)
    people = [*stable, short, ill]
    looks = looks_at(people)
    # A patient's highest score is the patient's number; the short and the ill one are loud.
    highest = np.array([*range(20), 500.0, 900.0])
    scores = np.where(looks.number == 1, highest[looks.patient], np.nan)
    looks = looks_at(people, scores={"one": scores})

    limit = threshold(looks, "one", specificity=0.9)

    assert limit == 18
    alarmed = set(looks.patient[above(looks, "one", limit)])
    assert alarmed == {19, 20, 21}


def test_detectors_meet_on_the_looks_that_all_can_judge():
    people = [person(5), person(5, accelerates=0.0)]
    looks = looks_at(people)
    is_case = looks.patient == 1
    model = np.where(is_case, looks.years, 0.5)
    # Where least squares has no slope yet, the model's score must not count either.
    early = looks.years < 2
    model[early & ~is_case] = 99.0
    ols = np.where(early, np.nan, 0.0)
    scores = {"model": model, "OLS": ols}
    looks = looks_at(people, scores=scores)

    assert acceleration_auc(looks, "model", years=(2, 5)) == 1.0
    assert acceleration_auc(looks, "OLS", years=(2, 5)) == 0.5
    assert np.isnan(acceleration_auc(looks, "model", years=(8, 9)))


def test_one_wild_scan_moves_the_cusum_by_its_clip_only():
    one = person(5).series
    y = one.y.copy()
    y[-1] = -40.0
    wild = Series(one.years, y, one.region, one.quality, one.epochs)
    path = cusum_path(wild, literature_defaults())
    assert path[-1] == pytest.approx(path[-2] + CUSUM_CLIP - CUSUM_SLACK)


@pytest.mark.parametrize(
    ("detector", "short", "long"),
    [(naive_rate, [0, 0.89], [0, 0.91]), (ols_rate, [0, 2], [0, 1, 2])],
)
def test_a_detector_is_silent_on_less_than_it_needs(detector, short, long):
    def rows(years):
        t = np.repeat(np.array(years, dtype=float), 2)
        region = np.tile([0, 1], len(years))
        return Series(t, -t * region, region, np.zeros(t.size, int), ("A",) * t.size)

    assert np.isnan(detector(rows(short)))
    assert detector(rows(long)) == pytest.approx(1.0)


def test_theil_sen_reads_no_slope_between_scans_of_a_few_weeks():
    years = np.repeat([0.0, 0.1, 1.0, 1.1], 2)
    cord = np.array([0.0, -5.0, -1.0, -6.0])
    y = np.where(np.tile([0, 1], 4) == 1, np.repeat(cord, 2), 0.0)
    rows = Series(years, y, np.tile([0, 1], 4), np.zeros(8, int), ("A",) * 8)
    # Wide pairs: -1, -5.5, +4.4 and -1 %/year; the two narrow ones read -50.
    assert theil_sen_rate(rows) == pytest.approx(1.0)
