"""What the card says beside the level: plan, state, costs, steroids."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from monitoring.charts.card import divergence_card
from monitoring.core.norms import MeasureFacts, Norm
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.planning import scan_plan
from monitoring.core.types import Needs, Region
from monitoring.models import Relapse
from monitoring.selectors.parameters import set_in_force
from monitoring.selectors.states import patient_state
from monitoring.selectors.timelines import timeline_of
from monitoring.services.divergence import divergence_refresh
from tests.factories.record import course_make, patient_make

TODAY = date(2022, 6, 1)
POLICY = literature_defaults().policy
YEAR = timedelta(days=365)
FIRST = date(2021, 6, 1)


@pytest.mark.parametrize(
    ("days", "needs", "scans", "earliest"),
    [
        ([], Needs(3, 3, 1.5, cord_pair_on_one_epoch=True), 3, TODAY + 2 * YEAR),
        ([FIRST], Needs(2, 2, 1.5, cord_pair_on_one_epoch=True), 2, TODAY + YEAR),
        ([FIRST, TODAY], Needs(1, 1, 0.5), 1, TODAY + YEAR),
        ([FIRST + timedelta(days=10 * i) for i in range(3)], Needs(0, 0, 1.5), 1,
         FIRST + timedelta(days=1.5 * 365.25)),
    ],
    ids=["none", "one", "two", "too-close"],
)  # fmt: skip
def test_the_plan_names_the_fewest_scans_and_the_earliest_day(days, needs, scans, earliest):
    found = scan_plan(
        dict.fromkeys(Region, days), needs, policy=POLICY, interval=YEAR, today=TODAY
    )

    assert found.scans == scans
    assert abs((found.earliest - earliest).days) <= 1


def test_nothing_is_planned_where_nothing_is_missing():
    assert scan_plan({}, Needs(), policy=POLICY, interval=YEAR, today=TODAY) is None


@pytest.fixture
def patient(vltava):
    """Return a patient with six yearly scans, a relapse and steroids."""
    found = patient_make(vltava, "CARD")
    course_make(found, cord=-2.5)
    Relapse.objects.create(
        patient=found, onset=date(2018, 12, 20), steroids_on=date(2018, 12, 27)
    )
    divergence_refresh(found.pk)
    return found


@pytest.mark.django_db
def test_the_card_says_what_the_level_rests_on(patient):
    timeline = timeline_of(patient, today=TODAY)

    card = divergence_card(timeline)

    assert len(card.weights) == 12
    assert card.plan == ""
    assert dict(card.expected)["flag"] == set_in_force(patient.clinic_id).expected.flag
    assert card.turns[-1].old == "insufficient"
    assert "6 scans" in timeline.cord_reason
    # 71 days after the relapse is past its shadow, 64 after steroids is within theirs.
    assert [c.text for c in timeline.caveats if c.id == "relapse"] == [
        "A scan on 2019-03-01 was taken 64 days after a relapse or steroids."
    ]


def _norm(structure, method, mean):
    return Norm(
        id=structure, facts=MeasureFacts(structure=structure, method=method, contrast="t1"),
        intercept=mean, male=1.0, linear=0.0, quadratic=0.0, predictive_sd=mean / 10,
        youngest=20, oldest=60, people=41, source="test",
    )  # fmt: skip


@pytest.mark.django_db
def test_the_state_needs_norms_of_the_same_method_and_of_the_age(patient):
    timeline = timeline_of(patient, today=TODAY)
    assert "none is adopted" in timeline.state.state.reason
    brain = _norm("brain_parenchyma", "neuraxis-brain 1.0", 1.1e6)
    cord = _norm("cord_pmj_64mm", "neuraxis-cord 1.0", 80.0)
    contrasts = {scan.scan_id: "t1" for scan in timeline.scans}
    own = replace(timeline.in_force, norms=(brain, cord), norm_refusals=())

    def state(norms=own, words=contrasts):
        return patient_state(patient, timeline.points, words, norms)

    found = state()
    assert found.state.quadrant.value == "III"
    assert found.cord.z == pytest.approx((70 * 0.975**5 - 80) / 8)
    assert sum(found.state.probabilities.values()) == pytest.approx(1)
    card = divergence_card(replace(timeline, state=found))
    assert card.quadrant.sentence.startswith("III: cord below the norm's cut")
    assert card.quadrant.y > card.quadrant.cut_y
    assert card.quadrant.x > card.quadrant.cut_x
    # Six yearly scans on one scanner, the cord falling: the line goes down to the dot.
    steps = [tuple(map(float, one.split(","))) for one in card.quadrant.trail.split()]
    assert len(steps) == 6
    assert steps[-1] == (card.quadrant.x, card.quadrant.y)
    assert [y for _, y in steps] == sorted(y for _, y in steps)
    moved = [
        p._replace(series="elsewhere") if p.when.year < 2021 else p for p in timeline.points
    ]
    other = patient_state(patient, moved, contrasts, own)
    assert len(other.trail) == sum(p.series != "elsewhere" for p in moved) / 2

    young = replace(own, norms=(brain, replace(cord, oldest=30)))
    assert "ages 20 to 30, not 36" in state(young).state.reason
    other = state(words=dict.fromkeys(contrasts, "t2"))
    assert other.state.quadrant is None
    assert "contrast t1, not t2" in other.state.reason
    one = replace(own, norms=(brain,), norm_refusals=("No cord norm. There are 3.",))
    assert state(one).state.reason == "No cord norm. There are 3."
