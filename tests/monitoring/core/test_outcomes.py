"""Clinical outcome rules against the test vectors of the clinical rules, and their laws."""

import json
from datetime import date, timedelta

import pytest

from monitoring.core.activity import (
    ActivityYear,
    Answer,
    edss_plus,
    is_sdmt_worse,
    is_slower,
    neda3,
    neda4,
)
from monitoring.core.edss import (
    BANDS,
    EDSS_VALUES,
    BandSet,
    StepAt55,
    edss_band,
    is_better,
    is_worse,
    valid_edss,
)
from monitoring.core.errors import InvalidObservation, NotAssessable
from monitoring.core.spms import ScoredVisit, SpmsRule, spms_onset
from monitoring.core.worsening import (
    CDW,
    Baseline,
    EdssVisit,
    Pira,
    WorseningRule,
    confirmed_worsenings,
    is_relapse_free,
    pira_events,
)
from tests.monitoring.core.fixture import DATA

ORIGIN = date(2015, 1, 1)


def day(number: int) -> date:
    return ORIGIN + timedelta(days=number)


def visits(*scores: tuple[int, float]) -> list[EdssVisit]:
    return [EdssVisit(day(number), edss) for number, edss in scores]


@pytest.mark.parametrize("value", [0.5, 3.25, 10.5, -1, 11])
def test_an_edss_that_does_not_exist_is_refused(value):
    with pytest.raises(InvalidObservation, match="does not exist"):
        valid_edss(value)


@pytest.mark.parametrize(
    ("baseline", "value", "expected"),
    [
        (0, 1.0, False),
        (0, 1.5, True),
        (2.0, 2.5, False),
        (2.0, 3.0, True),
        (5.0, 5.5, False),
        (5.0, 6.0, True),
        (5.5, 6.0, True),
        (6.0, 6.5, True),
        (6.5, 6.5, False),
    ],
)
def test_the_step_depends_on_the_baseline(baseline, value, expected):
    assert is_worse(value, baseline) is expected


def test_at_5_5_the_sources_differ():
    assert not is_worse(6.0, 5.5, at_55=StepAt55.ONE)
    assert is_worse(6.5, 5.5, at_55=StepAt55.ONE)


@pytest.mark.parametrize(
    ("baseline", "value", "expected"),
    [(1.0, 0, True), (2.0, 1.5, False), (2.0, 1.0, True), (5.5, 5.0, True), (0, 0, False)],
)
def test_an_improvement_is_a_fall_by_the_step_of_the_baseline(baseline, value, expected):
    assert is_better(value, baseline) is expected


def test_bands_cover_every_edss_once():
    for bands in BandSet:
        for value in EDSS_VALUES:
            holding = [b for b in BANDS[bands] if b.low <= value <= b.high]
            assert holding == [edss_band(value, bands)]


def test_edss_3_sits_where_the_sets_say():
    names = [edss_band(3.0, bands).name for bands in BandSet]
    assert names == ["3–3.5", "0–3", "mild (≤ 3)"]


def test_a_worsening_counts_once_it_is_confirmed():
    (event,) = confirmed_worsenings(visits((0, 2.0), (200, 3.0), (300, 3.0), (380, 3.5)))
    assert (event.event, event.confirmation) == (day(200), day(380))
    assert event.rule == "cdw-168d"


@pytest.mark.parametrize(
    "scores",
    [
        [(0, 2.0), (200, 3.0)],
        [(0, 2.0), (200, 3.0), (300, 3.0)],
        [(0, 2.0), (200, 3.0), (300, 2.0), (400, 3.0)],
        [(0, 2.0), (200, 2.5), (400, 2.5)],
    ],
)
def test_an_unconfirmed_worsening_does_not_count(scores):
    assert confirmed_worsenings(visits(*scores)) == []


def test_168_days_confirm_and_167_do_not():
    assert confirmed_worsenings(visits((0, 2.0), (100, 3.0), (268, 3.0)))
    assert not confirmed_worsenings(visits((0, 2.0), (100, 3.0), (267, 3.0)))


def test_a_visit_within_30_days_of_a_relapse_neither_starts_nor_confirms():
    scores = visits((0, 2.0), (100, 3.0), (300, 3.0), (400, 3.0))
    (event,) = confirmed_worsenings(scores, [day(270)])
    assert event.confirmation == day(400)
    swollen = visits((10, 4.0), (60, 2.0), (200, 3.0), (400, 3.0))
    (event,) = confirmed_worsenings(swollen, [day(0)])
    assert event.reference == day(60)
    assert event.from_edss == 2.0


def test_baseline_5_5_to_6_confirmed_is_a_worsening_by_default():
    scores = visits((0, 5.5), (200, 6.0), (400, 6.0))
    assert confirmed_worsenings(scores)
    strict = WorseningRule("one", Baseline.FIXED, at_55=StepAt55.ONE)
    assert not confirmed_worsenings(scores, rule=strict)


def test_a_roving_baseline_finds_the_second_step():
    scores = visits((0, 2.0), (200, 3.0), (400, 3.0), (600, 4.0), (800, 4.0))
    roving = WorseningRule("roving", Baseline.ROVING)
    assert len(confirmed_worsenings(scores)) == 1
    assert [e.to_edss for e in confirmed_worsenings(scores, rule=roving)] == [3.0, 4.0]


def test_a_roving_baseline_follows_a_confirmed_improvement():
    scores = visits((0, 4.0), (200, 2.0), (400, 2.0), (600, 3.0), (800, 3.0))
    roving = WorseningRule("roving", Baseline.ROVING)
    assert not confirmed_worsenings(scores)
    (event,) = confirmed_worsenings(scores, rule=roving)
    assert event.from_edss == 2.0


def test_a_worsening_that_is_lost_later_is_not_sustained():
    scores = visits((0, 2.0), (200, 3.0), (400, 3.0), (600, 2.0))
    sustained = WorseningRule("s", Baseline.FIXED, must_be_sustained=True)
    assert confirmed_worsenings(scores)
    assert not confirmed_worsenings(scores, rule=sustained)


def test_two_scores_on_one_day_are_refused():
    with pytest.raises(InvalidObservation, match="two EDSS scores"):
        confirmed_worsenings(visits((0, 2.0), (0, 3.0)))


WITNESS = json.loads((DATA / "edss_witness.json").read_text())["patients"]


def test_an_independent_program_finds_the_same_worsenings():
    for patient in WITNESS:
        scores = visits(*zip(patient["day"], patient["edss"], strict=True))
        onsets = [day(one) for one in patient["relapse"]]
        fixed = [e.event for e in confirmed_worsenings(scores, onsets)]
        expected = patient["first_cdw"]
        assert fixed == ([] if expected is None else [day(expected)])


def test_an_independent_program_gives_the_same_labels():
    events = 0
    for patient in WITNESS:
        scores = visits(*zip(patient["day"], patient["edss"], strict=True))
        found = pira_events(scores, [day(one) for one in patient["relapse"]])
        expected = [(day(when), kind) for when, kind in patient["roving"]]
        events += len(found)
        assert [one.event for one in found] == [when for when, _ in expected]
        for one, (_, kind) in zip(found, expected, strict=True):
            assert one.is_pira == (kind == "PIRA")
            assert one.is_raw == (kind == "RAW") or one.is_pira
    assert events > 100


ANCHORS = {"R": day(0), "B": day(300), "E": day(400), "C": day(600)}


@pytest.mark.parametrize(
    ("relapse", "yes", "no"),
    [
        (
            200,
            {Pira.MULLER_2023, Pira.CAGOL_2022, Pira.MULLER_2025},
            {Pira.MULLER_2023_STRICT, Pira.KAPPOS_2020},
        ),
        (
            450,
            {Pira.MULLER_2023, Pira.KAPPOS_2020, Pira.MULLER_2025},
            {Pira.MULLER_2023_STRICT, Pira.CAGOL_2022},
        ),
        (310, set(), {Pira.MULLER_2023}),
    ],
)
def test_each_definition_of_pira_has_its_own_windows(relapse, yes, no):
    answers = {
        one: is_relapse_free(one, anchors=ANCHORS, relapses=[day(relapse)]) for one in Pira
    }
    assert all(answers[one] for one in yes)
    assert not any(answers[one] for one in no)


def test_pira_events_carry_their_definition():
    scores = visits((0, 2.0), (300, 2.0), (400, 3.0), (600, 3.0))
    (event,) = pira_events(scores, [day(200)])
    assert (event.rule, event.is_pira, event.is_raw) == ("muller2023", True, False)
    (raw,) = pira_events(scores, [day(350)])
    assert (raw.is_pira, raw.is_raw) == (False, True)


def test_a_definition_that_resets_after_a_relapse_starts_from_the_residual():
    scores = visits((0, 2.0), (100, 3.0), (150, 3.0), (400, 4.0), (600, 4.0))
    (event,) = pira_events(scores, [day(90)], definition=Pira.KAPPOS_2020)
    assert event.from_edss == 3.0
    assert event.is_pira


def test_no_visit_is_no_event():
    assert confirmed_worsenings([], rule=CDW) == []


def scored(*rows: tuple[int, float, dict[str, int]]) -> list[ScoredVisit]:
    return [ScoredVisit(day(number), edss, fs) for number, edss, fs in rows]


STEADY = scored(
    (0, 3.0, {"pyramidal": 1}),
    (365, 4.0, {"pyramidal": 3}),
    (500, 4.5, {"pyramidal": 3}),
    (800, 5.0, {"pyramidal": 3}),
)


def test_steady_worsening_without_relapse_meets_the_rule():
    result = spms_onset(STEADY)
    assert (result.onset, result.confirmed) == (day(365), day(500))
    assert result.rule is SpmsRule.LORSCHEIDER


@pytest.mark.parametrize(
    ("rows", "relapses"),
    [
        # Below EDSS 4.
        ([(0, 1.0, 1), (365, 3.0, 3), (500, 3.0, 3)], []),
        # Pyramidal below 2.
        ([(0, 3.0, 1), (365, 4.0, 1), (500, 4.0, 1)], []),
        # A relapse since the visit before.
        ([(0, 3.0, 1), (365, 4.0, 3), (500, 4.0, 3)], [300]),
        # Confirmed too early.
        ([(0, 3.0, 1), (365, 4.0, 3), (455, 4.0, 3)], []),
        # Two visits in a row below.
        ([(0, 3.0, 1), (365, 4.0, 3), (500, 4.0, 3), (600, 3.0, 3), (700, 3.0, 3)], []),
        # From 5.5 the step is 1.0.
        ([(0, 5.5, 2), (365, 6.0, 3), (500, 6.0, 3)], []),
        # The raised system falls back.
        ([(0, 3.0, 1), (365, 4.0, 3), (500, 4.0, 1)], []),
    ],
)
def test_each_condition_of_the_rule_can_fail(rows, relapses):
    patient = scored(*((when, edss, {"pyramidal": fs}) for when, edss, fs in rows))
    assert spms_onset(patient, [day(one) for one in relapses]).onset is None


def test_one_isolated_visit_below_is_forgiven():
    rows = [(0, 3.0), (365, 4.0), (500, 4.0), (600, 3.0), (700, 4.0)]
    patient = scored(*((when, edss, {"pyramidal": 3 if when else 1}) for when, edss in rows))
    assert spms_onset(patient).onset == day(365)


def test_5_5_to_6_5_meets_the_step():
    rows = [(0, 5.5, 2), (365, 6.5, 3), (500, 6.5, 3)]
    patient = scored(*((when, edss, {"pyramidal": fs}) for when, edss, fs in rows))
    assert spms_onset(patient).onset == day(365)


def test_without_functional_systems_the_variant_is_named():
    result = spms_onset([ScoredVisit(v.when, v.edss) for v in STEADY])
    assert result.rule is SpmsRule.WITHOUT_FS
    assert result.onset == day(365)
    assert "two conditions were not asked" in result.reason


def test_a_residual_after_a_relapse_becomes_the_baseline():
    rows = [(0, 2.0, 1), (100, 3.5, 2), (400, 3.5, 2), (700, 4.0, 2), (900, 4.0, 2)]
    patient = scored(*((when, edss, {"pyramidal": fs}) for when, edss, fs in rows))
    assert spms_onset(patient, [day(95)]).onset is None


@pytest.mark.parametrize(("last", "onset"), [(300, None), (400, 500)])
def test_an_improvement_counts_from_the_next_only_after_nine_months(last, onset):
    """EDSS 5 to 4 and back: a worsening from 4 only where the 4 was held for 272 days."""
    rows = [(0, 5.0), (100, 4.0), (last, 4.0), (500, 5.0), (700, 5.0)]
    result = spms_onset(ScoredVisit(day(when), edss) for when, edss in rows)
    assert result.onset == (day(onset) if onset else None)


@pytest.mark.parametrize(("last", "onset"), [(250, 600), (300, None)])
def test_a_residual_is_the_baseline_only_after_half_a_year(last, onset):
    """EDSS 4 after a relapse, then 3.5: where the 4 was held for 182 days, 4.5 is no step."""
    rows = [(0, 3.0), (100, 4.0), (last, 4.0), (350, 3.5), (600, 4.5), (800, 4.5)]
    result = spms_onset((ScoredVisit(day(when), edss) for when, edss in rows), [day(95)])
    assert result.onset == (day(onset) if onset else None)


def test_two_visits_are_too_few():
    result = spms_onset(STEADY[:2])
    assert result.onset is None
    assert "Needs 3 visits" in result.reason


CALM = ActivityYear(
    relapse=False, confirmed_worsening=False, new_t2_lesion=False, gadolinium_lesion=False
)


def test_neda_is_yes_only_when_everything_was_examined():
    assert neda3(CALM) is Answer.YES
    no_mri = ActivityYear(False, False, None, None)
    assert neda3(no_mri) is Answer.UNKNOWN
    assert neda3(ActivityYear(True, None, None, None)) is Answer.NO


@pytest.mark.parametrize(
    ("year", "rate", "expected"),
    [
        (CALM, -0.39, Answer.YES),
        (CALM, -0.40, Answer.NO),
        (CALM, None, Answer.UNKNOWN),
        (ActivityYear(True, False, False, False), None, Answer.NO),
        (ActivityYear(False, False, None, False), -0.1, Answer.UNKNOWN),
    ],
)
def test_neda_4_adds_the_brain(year, rate, expected):
    assert neda4(year, brain_percent_per_year=rate) is expected


def test_functional_tests():
    assert is_slower(baseline_seconds=5.0, seconds=6.0)
    assert not is_slower(baseline_seconds=5.0, seconds=5.9)
    with pytest.raises(NotAssessable):
        is_slower(baseline_seconds=0, seconds=5)
    assert is_sdmt_worse(baseline_points=50, points=46)
    assert not is_sdmt_worse(baseline_points=50, points=47)
    assert edss_plus(edss=False, t25fw=True, nine_hole_peg=None) is Answer.YES
    assert edss_plus(edss=False, t25fw=False, nine_hole_peg=None) is Answer.UNKNOWN
    assert edss_plus(edss=False, t25fw=False, nine_hole_peg=False) is Answer.NO
