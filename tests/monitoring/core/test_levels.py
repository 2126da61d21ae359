"""Levels: entry, hysteresis, minimum data, words."""

import pytest

from monitoring.core.levels import Scanned, decide, insufficient, missing_data
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.types import Level, Needs, Region

POLICY = literature_defaults().policy
BRAIN, CORD = Region.BRAIN, Region.CORD


def level(p1: float, p2: float, previous: Level | None = None) -> Level:
    return decide(p_faster_than_1=p1, p_change=p2, policy=POLICY, previous=previous).level


@pytest.mark.parametrize(
    ("p1", "p2", "expected"),
    [
        (0.49, 0.29, Level.NONE),
        (0.5, 0.0, Level.WATCH),
        (0.0, 0.3, Level.WATCH),
        (0.79, 0.59, Level.WATCH),
        (0.8, 0.0, Level.FLAG),
        (0.0, 0.6, Level.FLAG),
    ],
)
def test_either_probability_at_its_line_raises_the_level(p1, p2, expected):
    assert level(p1, p2) is expected


@pytest.mark.parametrize(
    ("p1", "p2", "previous", "expected"),
    [
        (0.71, 0.0, Level.FLAG, Level.FLAG),
        (0.0, 0.51, Level.FLAG, Level.FLAG),
        (0.69, 0.49, Level.FLAG, Level.WATCH),
        (0.41, 0.0, Level.FLAG, Level.WATCH),
        (0.39, 0.19, Level.FLAG, Level.NONE),
        (0.41, 0.0, Level.WATCH, Level.WATCH),
        (0.0, 0.21, Level.WATCH, Level.WATCH),
        (0.39, 0.19, Level.WATCH, Level.NONE),
        (0.71, 0.0, Level.WATCH, Level.WATCH),
        (0.41, 0.21, Level.NONE, Level.NONE),
        (0.41, 0.21, Level.INSUFFICIENT, Level.NONE),
    ],
)
def test_a_level_is_left_only_when_both_are_a_tenth_below(p1, p2, previous, expected):
    assert level(p1, p2, previous) is expected


def test_a_louder_probability_never_gives_a_quieter_level():
    loudness = {Level.NONE: 0, Level.WATCH: 1, Level.FLAG: 2}
    grid = [i / 40 for i in range(41)]
    for previous in (None, Level.WATCH, Level.FLAG):
        for p2 in grid:
            levels = [loudness[level(p1, p2, previous)] for p1 in grid]
            assert levels == sorted(levels)


@pytest.mark.parametrize(
    ("p1", "p2", "previous", "sentence"),
    [
        (
            0.1,
            0.2,
            None,
            (
                "Below the watch line. P(cord shrinking ≥ 1 %/yr faster than the brain "
                "predicts) = 0.10; P(acceleration has begun) = 0.20. This does not rule it out."
            ),
        ),
        (
            0.55,
            0.35,
            None,
            (
                "Watch: review. More likely than not (P = 0.55) that the cord is now shrinking "
                "≥ 1 %/yr faster than the brain predicts."
            ),
        ),
        (0.2, 0.35, None, "Watch: review. The cord's rate may have changed (P = 0.35)."),
        (
            0.9,
            0.65,
            None,
            "Flag: review. Probable cord-selective acceleration (P = 0.65).",
        ),
        (
            0.85,
            0.4,
            None,
            (
                "Flag: review. The cord is probably (P = 0.85) shrinking ≥ 1 %/yr faster than "
                "the brain predicts."
            ),
        ),
        (
            0.75,
            0.4,
            Level.FLAG,
            (
                "Flag kept: review. The probabilities have fallen to 0.75 and 0.40; the level "
                "drops when both are 0.1 below its line."
            ),
        ),
    ],
)
def test_the_sentence_is_the_one_of_the_product_guide(p1, p2, previous, sentence):
    decision = decide(p_faster_than_1=p1, p_change=p2, policy=POLICY, previous=previous)
    assert decision.sentence == sentence
    assert decision.is_held == ("kept" in sentence)


def scans(brain: list[float], cord: list[float], epochs: str = "") -> list[Scanned]:
    names = epochs or "A" * len(cord)
    return [Scanned(t, BRAIN, "A") for t in brain] + [
        Scanned(t, CORD, e) for t, e in zip(cord, names, strict=True)
    ]


@pytest.mark.parametrize(
    ("brain", "cord", "epochs", "needs"),
    [
        ([0, 1, 2], [0, 1, 2], "", Needs()),
        ([0, 1, 2], [0, 2], "", Needs(cord_scans=1)),
        ([0, 2], [0, 1, 2], "", Needs(brain_scans=1)),
        ([0, 0.5, 1], [0, 0.5, 1], "", Needs(years=0.5)),
        ([0, 3, 6], [5.5, 5.75, 6], "", Needs(years=1.0)),
        # Rounded up: 0.5 years after this, 0.0007 would still be missing.
        ([0, 0.5, 0.9993], [0, 0.5, 0.9993], "", Needs(years=0.6)),
        ([0, 1, 2], [0, 1, 2], "ABC", Needs(cord_pair_on_one_epoch=True)),
        ([0, 1, 2], [0, 0, 2], "", Needs(cord_scans=1)),
        ([], [], "", Needs(3, 3, 1.5, cord_pair_on_one_epoch=True)),
    ],
)
def test_what_is_missing_is_counted(brain, cord, epochs, needs):
    assert missing_data(scans(brain, cord, epochs), POLICY) == needs


def test_two_cord_scans_of_one_day_and_epoch_are_no_pair():
    needs = missing_data(scans([0, 1, 2], [0, 0, 1, 2], "AABC"), POLICY)
    assert needs.cord_pair_on_one_epoch


def test_what_is_missing_is_said_in_words():
    needs = Needs(brain_scans=1, cord_scans=2, years=1.0)
    assert insufficient(needs).sentence == (
        "Not yet assessable. Needs 2 more usable cord scans, 1 more usable brain scan and "
        "1 more year of follow-up of brain and cord."
    )
    pair = insufficient(Needs(cord_pair_on_one_epoch=True))
    assert pair.reason == "Needs two cord scans on one scanner epoch."
