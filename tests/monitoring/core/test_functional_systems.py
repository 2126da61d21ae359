"""The EDSS that functional systems allow: the words of the scale, case by case."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.functional_systems import SYSTEMS, EdssSpan, edss_from_systems

HIGHEST = {
    "visual": 6,
    "brainstem": 5,
    "pyramidal": 6,
    "cerebellar": 5,
    "sensory": 6,
    "bowel_bladder": 6,
    "cerebral": 5,
    "ambulation": 12,
}
# Systems whose grade counts as it is: any of them stands for "one FS".
PLAIN = ("brainstem", "pyramidal", "cerebellar", "sensory", "cerebral")


def span(*, ambulation: int = 0, **grades: int) -> str:
    return str(
        edss_from_systems(dict.fromkeys(SYSTEMS, 0) | grades | {"ambulation": ambulation})
    )


def graded(*grades: int) -> str:
    """Give grades to the systems that are not converted."""
    return span(**dict(zip(PLAIN, grades, strict=False)))


@pytest.mark.parametrize(
    ("grades", "step"),
    [
        ((), "0.0"),
        ((1,), "1.0"),
        ((1, 1), "1.5"),
        ((1, 1, 1, 1, 1), "1.5"),
        ((2,), "2.0"),
        ((2, 1, 1), "2.0"),
        ((2, 2), "2.5"),
        ((2, 2, 1), "2.5"),
        ((3,), "3.0"),
        ((3, 1, 1), "3.0"),
        ((2, 2, 2), "3.0"),
        ((2, 2, 2, 2), "3.0"),
        ((3, 2), "3.5"),
        ((3, 2, 2), "3.5"),
        ((3, 3), "3.5"),
        ((3, 3, 1), "3.5"),
        ((2, 2, 2, 2, 2), "3.5"),
        ((4,), "4.0"),
        ((4, 1, 1), "4.0"),
        ((5,), "5.0"),
    ],
)
def test_a_combination_that_the_scale_names_gives_its_step(grades, step):
    assert graded(*grades) == step


@pytest.mark.parametrize(
    ("grades", "steps"),
    [
        ((3, 2, 2, 2), "4.0 to 5.0"),
        ((3, 3, 2), "4.0 to 5.0"),
        ((3, 3, 3), "4.0 to 5.0"),
        ((4, 2), "4.5 to 5.0"),
        ((4, 3), "4.5 to 5.0"),
        ((4, 4), "4.5 to 5.0"),
    ],
)
def test_a_combination_that_the_scale_leaves_open_gives_a_range(grades, steps):
    assert graded(*grades) == steps


@pytest.mark.parametrize(
    ("ambulation", "steps"),
    [
        (2, "4.5 to 5.0"),
        (3, "5.0"),
        (4, "5.5"),
        (5, "6.0"),
        (6, "6.0"),
        (7, "6.0"),
        (8, "6.5"),
        (9, "6.5"),
        (10, "7.0"),
        (11, "7.5"),
        (12, "8.0 to 9.5"),
    ],
)
def test_a_short_walk_decides_whatever_the_systems_say(ambulation, steps):
    assert span(ambulation=ambulation, pyramidal=3) == steps


def test_a_walk_that_is_not_unrestricted_leaves_two_open():
    assert span(ambulation=1, sensory=1) == "1.0 to 2.0"
    assert span(ambulation=1, pyramidal=3) == "3.0"


@pytest.mark.parametrize(("visual", "step"), [(1, "1.0"), (2, "2.0"), (3, "2.0"), (4, "3.0")])
def test_a_visual_grade_counts_converted(visual, step):
    assert span(visual=visual) == step


@pytest.mark.parametrize(
    ("bowel_bladder", "step"), [(2, "2.0"), (3, "3.0"), (4, "3.0"), (5, "4.0"), (6, "5.0")]
)
def test_a_bowel_and_bladder_grade_counts_converted(bowel_bladder, step):
    assert span(bowel_bladder=bowel_bladder) == step


@pytest.mark.parametrize("missing", [*SYSTEMS, "ambulation"])
def test_a_system_that_was_not_scored_leaves_the_step_unknown(missing):
    scores = dict.fromkeys((*SYSTEMS, "ambulation"), 0) | {missing: None}

    assert edss_from_systems(scores) is None


scores = st.fixed_dictionaries({n: st.integers(0, high) for n, high in HIGHEST.items()})


@given(scores, st.sampled_from(sorted(HIGHEST)))
def test_a_worse_score_never_lowers_the_step(known, name):
    if known[name] == HIGHEST[name]:
        return
    before = edss_from_systems(known)
    after = edss_from_systems(known | {name: known[name] + 1})

    assert after.low >= before.low
    assert after.high >= before.high


@given(scores)
def test_every_step_is_one_that_the_scale_has(known):
    found = edss_from_systems(known)

    assert found.low <= found.high
    for step in (found.low, found.high):
        assert step == 0 or (step >= 1 and (step * 2) % 1 == 0)


def test_the_order_of_the_systems_does_not_matter():
    for grades in product(range(4), repeat=3):
        assert graded(*grades) == graded(*reversed(grades))


def test_an_entered_step_agrees_when_it_lies_in_the_range():
    found = EdssSpan(Decimal("4.0"), Decimal("5.0"))

    assert found.holds(Decimal("4.5"))
    assert not found.holds(Decimal("3.5"))
