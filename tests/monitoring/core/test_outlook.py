"""What another scan could change: predicted, deterministic, and equal to running the model."""

import math
from dataclasses import replace
from datetime import date, timedelta

import pytest

from monitoring.core import outlook as module
from monitoring.core.divergence import assess_patient
from monitoring.core.errors import NotAssessable
from monitoring.core.observations import observation_series
from monitoring.core.outlook import first_to_change, scan_outlook
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.posterior import fixed_mean
from monitoring.core.types import ClinicalEvent, EventKind, Level, Observation, Quality, Region

PARAMETERS = literature_defaults()
START = date(2015, 3, 1)
YEAR = timedelta(days=365)


def course(*, years: int, cord: float, brain: float = -0.4) -> list[Observation]:
    """Return yearly scans on straight lines, percent per year."""
    return [
        Observation(
            START + i * YEAR, region, first * math.exp(rate * i / 100), "A", Quality.GOOD
        )
        for i in range(years)
        for region, first, rate in ((Region.BRAIN, 1.1e6, brain), (Region.CORD, 70.0, cord))
    ]


def test_an_imagined_scan_says_what_the_model_says_of_the_same_scan():
    gaussian = replace(PARAMETERS, robustness=replace(PARAMETERS.robustness, rounds=0))
    known = course(years=5, cord=-1.6)
    events = [ClinicalEvent(START + YEAR, EventKind.THERAPY_START)]
    day = START + 5 * YEAR + timedelta(days=40)
    next_pair = [
        Observation(day, Region.BRAIN, 1.07e6, "A", Quality.GOOD),
        Observation(day, Region.CORD, 62.0, "A", Quality.GOOD),
    ]
    further = observation_series([*known, *next_pair], events)
    ahead = module._look_ahead(observation_series(known, events), further, gaussian)
    residual = ahead.batch.y - fixed_mean(ahead.batch, gaussian)

    p_one, p_change, sd = module._answers(ahead, gaussian, residual[:, -2:])

    said = assess_patient([*known, *next_pair], events, parameters=gaussian).posterior
    assert p_one[0] == pytest.approx(said.p_faster_than_1, abs=1e-9)
    assert p_change[0] == pytest.approx(said.p_change, abs=1e-9)
    assert 0 < sd[0] < 1


def test_the_predicted_scans_average_to_what_is_known_now():
    known = course(years=6, cord=-1.8)
    day = known[-1].when + timedelta(days=20)
    ahead = module._look_ahead(
        observation_series(known, []),
        observation_series([*known, *(replace(one, when=day) for one in known[-2:])], []),
        PARAMETERS,
    )

    p_one, p_change, _ = module._answers(
        ahead, PARAMETERS, module._predicted(ahead, PARAMETERS, 4096)
    )

    # Probabilities are martingales: the expectation after a scan is the value before it. Only
    # the twenty days in which a change may begin come in between.
    now = assess_patient(known, parameters=PARAMETERS).posterior
    assert p_change.mean() == pytest.approx(now.p_change, abs=0.01)
    assert p_one.mean() == pytest.approx(now.p_faster_than_1, abs=0.01)


def test_more_scans_are_sharper_and_a_steep_cord_is_nearer_to_a_flag():
    days = [START + 5 * YEAR, START + 6 * YEAR]

    def ahead(known):
        return scan_outlook(known, parameters=PARAMETERS, level=Level.NONE, dates=days)

    short, long = ahead(course(years=3, cord=-0.9)), ahead(course(years=5, cord=-0.9))
    steep = ahead(course(years=5, cord=-2.2))

    assert long[0].d_sd < short[0].d_sd
    assert steep[0].p_watch > long[0].p_watch
    assert 0 <= steep[0].p_flag <= steep[0].p_watch <= 1
    assert ahead(course(years=5, cord=-2.2)[::-1]) == steep


def test_a_patient_short_of_data_hears_when_the_scan_would_make_an_answer_possible():
    known = course(years=2, cord=-1.0)
    soon, later = scan_outlook(
        known,
        parameters=PARAMETERS,
        level=Level.INSUFFICIENT,
        dates=[START + timedelta(days=480), START + timedelta(days=560)],
    )

    assert not soon.is_assessable
    assert soon.p_other == 0
    assert later.is_assessable
    assert later.p_other == 1
    assert first_to_change([soon, later]) is later
    assert first_to_change([soon]) is None


def test_the_numbers_settle_with_the_number_of_imagined_scans(monkeypatch):
    known = course(years=6, cord=-1.9)
    found = []
    for count in (module.IMAGINED_SCANS, 8192):
        monkeypatch.setattr(module, "IMAGINED_SCANS", count)
        (one,) = scan_outlook(
            known, parameters=PARAMETERS, level=Level.NONE, dates=[START + 6 * YEAR]
        )
        found.append(one)

    assert found[0].p_watch == pytest.approx(found[1].p_watch, abs=0.01)
    assert found[0].p_flag == pytest.approx(found[1].p_flag, abs=0.01)


@pytest.mark.parametrize("known", [[], course(years=3, cord=-1.0)], ids=["none", "past"])
def test_nothing_is_foreseen_without_a_scan_or_for_a_past_day(known):
    with pytest.raises(NotAssessable):
        scan_outlook(known, parameters=PARAMETERS, level=Level.NONE, dates=[START + YEAR])
