"""The one mapping from verdicts to quality words."""

import pytest

from monitoring.core.quality import observation_quality
from monitoring.core.types import PersonVerdict, Quality

ACCEPTED, REJECTED = PersonVerdict.ACCEPTED, PersonVerdict.REJECTED


@pytest.mark.parametrize(
    ("checks", "person", "expected"),
    [
        (["pass"], None, Quality.GOOD),
        (["pass", "pass"], ACCEPTED, Quality.GOOD),
        (["pass"], REJECTED, Quality.REJECTED),
        (["warn"], None, Quality.FAIR),
        (["pass", "warn"], ACCEPTED, Quality.FAIR),
        (["warn"], REJECTED, Quality.REJECTED),
        (["fail"], None, None),
        (["pass", "warn", "fail"], None, None),
        (["fail"], ACCEPTED, Quality.POOR),
        (["warn", "fail"], ACCEPTED, Quality.POOR),
        (["fail"], REJECTED, Quality.REJECTED),
        ([], None, Quality.FAIR),
        ([], ACCEPTED, Quality.FAIR),
        ([], REJECTED, Quality.REJECTED),
    ],
)
def test_every_pair_of_verdicts_has_its_word(checks, person, expected):
    assert observation_quality(checks, person=person) is expected


@pytest.mark.parametrize(("checks", "person"), [(["ok"], None), (["pass"], "maybe")])
def test_a_word_that_is_no_verdict_is_refused(checks, person):
    with pytest.raises(ValueError, match="is not a valid"):
        observation_quality(checks, person=person)
