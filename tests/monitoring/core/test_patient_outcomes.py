"""Outcomes of one patient as of a day: nothing is known before it was confirmed."""

from datetime import date

import pytest

from monitoring.core.activity import Answer
from monitoring.core.outcomes import LesionFinding, OutcomeKind, outcomes_of
from monitoring.core.spms import ScoredVisit


def visits(*scores):
    return [
        ScoredVisit(date(2018 + i // 2, 1 + 6 * (i % 2), 1), s) for i, s in enumerate(scores)
    ]


def kinds(found):
    return [(one.kind, one.event, one.confirmed) for one in found.events]


RISING = visits(2.0, 2.0, 3.0, 3.0, 3.0)


def test_a_worsening_without_relapse_is_cdw_and_pira_from_its_confirmation_on():
    event, confirmed = date(2019, 1, 1), date(2019, 7, 1)

    assert kinds(outcomes_of(RISING, [])) == [
        (OutcomeKind.CDW, event, confirmed),
        (OutcomeKind.PIRA, event, confirmed),
    ]
    assert outcomes_of(RISING, [], as_of=date(2019, 6, 30)).events == ()
    assert {one.rule for one in outcomes_of(RISING, []).events} == {"cdw-168d", "muller2023"}


def test_a_worsening_after_a_relapse_is_raw():
    found = outcomes_of(RISING, [date(2018, 11, 1)])

    assert [one.kind for one in found.events] == [OutcomeKind.CDW, OutcomeKind.RAW]


def test_the_rule_of_spms_stands_beside_the_others_with_its_id():
    scores = visits(3.0, 3.0, 4.5, 4.5, 4.5, 4.5)

    found = outcomes_of(scores, [])

    (spms,) = [one for one in found.events if one.kind is OutcomeKind.SPMS]
    assert spms.rule == "lorscheider2016-without-fs"
    assert spms.event == date(2019, 1, 1)
    assert "Functional systems unknown" in found.spms.reason


CALM = visits(2.0, 2.0, 2.0, 2.0)  # the last on 2019-07-01
SCAN = LesionFinding(date(2019, 6, 1), new_t2=False, gadolinium=False)


@pytest.mark.parametrize(
    ("scores", "relapses", "lesions", "brain", "three", "four", "missing"),
    [
        (CALM, [], [SCAN], -0.1, "yes", "yes", ()),
        (CALM, [], [SCAN], -0.4, "yes", "no", ()),
        (CALM, [], [SCAN], None, "yes", "unknown", ("brain loss",)),
        (CALM, [date(2019, 3, 1)], [], -0.1, "no", "no",
         ("new or enlarging T2 lesions", "enhancing lesions")),
        # 365 days before the last visit is outside of its year, 364 is inside.
        (CALM, [date(2018, 7, 1)], [SCAN], -0.1, "yes", "yes", ()),
        (CALM, [date(2018, 7, 2)], [SCAN], -0.1, "no", "no", ()),
        (CALM, [], [], -0.1, "unknown", "unknown",
         ("new or enlarging T2 lesions", "enhancing lesions")),
        (CALM, [], [LesionFinding(date(2019, 6, 1), False, None)], -0.1, "unknown", "unknown",
         ("enhancing lesions",)),
        (CALM, [], [LesionFinding(date(2019, 6, 1), True, None)], -0.1, "no", "no",
         ("enhancing lesions",)),
        # Worse on the last visit: nobody knows yet whether it stays.
        (visits(2.0, 2.0, 2.0, 3.0), [], [SCAN], -0.1, "unknown", "unknown",
         ("confirmed worsening",)),
        # Seen for half a year only.
        (visits(2.0, 2.0), [], [LesionFinding(date(2018, 7, 1), False, False)], -0.1,
         "unknown", "unknown", ("relapses", "confirmed worsening")),
    ],
    ids=[
        "calm", "atrophy", "no-brain", "relapse", "before", "first-day", "no-mri", "no-gd",
        "new-t2", "waits", "new",
    ],
)  # fmt: skip
def test_neda_is_unknown_where_a_component_is_missing_and_no_sign_is_known(
    scores, relapses, lesions, brain, three, four, missing
):
    answer = outcomes_of(scores, relapses, lesions, brain_percent_per_year=brain).activity

    assert (answer.neda3, answer.neda4) == (Answer(three), Answer(four))
    assert answer.missing == missing


def test_without_any_visit_there_is_no_answer():
    found = outcomes_of([], [])

    assert found.activity is None
    assert found.events == ()
    assert "Needs 3 visits" in found.spms.reason
