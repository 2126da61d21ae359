"""Which values may be joined, and which cord level a trend follows."""

from dataclasses import replace
from datetime import date

import pytest

from monitoring.core.comparability import (
    Comparison,
    CordCandidate,
    Processing,
    SeriesFacts,
    choose_cord_trend,
    compare,
    epoch_key,
    split_into_series,
)
from volumetry.core.types import LandmarkKind

PMJ, C2C3 = LandmarkKind.PMJ, LandmarkKind.C2C3
FACTS = SeriesFacts(
    structure="cord_c2_c3",
    quantity="mean_csa",
    method="neuraxis-cord",
    method_version="1.0",
    epoch="Prisma",
)


def test_equal_facts_are_one_series():
    result = compare(FACTS, replace(FACTS))
    assert result.verdict is Comparison.SAME
    assert result.reasons == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"structure": "cord_pmj_64mm"}, "Structure differs: cord_c2_c3 and cord_pmj_64mm."),
        ({"quantity": "volume"}, "Quantity differs: mean_csa and volume."),
        ({"method": "sct"}, "Method differs: neuraxis-cord and sct."),
        ({"method_version": "2.0"}, "Method version differs: 1.0 and 2.0."),
        ({"epoch": "Vida"}, "Scanner epoch differs: Prisma and Vida."),
        ({"processing": Processing.LONGITUDINAL}, "Processing differs: cross and long."),
    ],
)
def test_each_fact_breaks_the_series_with_its_reason(change, reason):
    result = compare(FACTS, replace(FACTS, **change))
    assert result.verdict is Comparison.DIFFERENT
    assert result.reasons == (reason,)
    assert result.offset_may_join == ("epoch" in change)


def test_a_new_method_version_is_an_epoch_of_its_own_to_the_model():
    assert epoch_key(FACTS) != epoch_key(replace(FACTS, method_version="2.0"))


def test_values_are_grouped_by_series():
    other = replace(FACTS, epoch="Vida")
    assert split_into_series([FACTS, other, FACTS]) == [[0, 2], [1]]


def day(year: int) -> date:
    return date(year, 5, 1)


def test_the_landmark_with_most_scans_is_followed_and_the_other_not_mixed_in():
    choice = choose_cord_trend(
        [CordCandidate(PMJ, day(y)) for y in (2018, 2019)]
        + [CordCandidate(C2C3, day(y)) for y in (2015, 2016, 2017)]
    )
    assert choice.kind is C2C3
    assert choice.reason == (
        "Cord area counted from the C2/C3 disc: 3 scans. 2 scans from the pontomedullary "
        "junction are not mixed in."
    )


def test_a_tie_goes_to_the_newest():
    scans = [CordCandidate(PMJ, day(2018)), CordCandidate(C2C3, day(2019))]
    assert choose_cord_trend(scans).kind is C2C3
    same_day = [CordCandidate(C2C3, day(2019)), CordCandidate(PMJ, day(2019))]
    assert choose_cord_trend(same_day).kind is PMJ


def test_two_values_of_one_day_are_one_scan():
    scans = [CordCandidate(PMJ, day(2018))] * 3 + [
        CordCandidate(C2C3, day(y)) for y in (2016, 2017)
    ]
    assert choose_cord_trend(scans).kind is C2C3


def test_no_cord_means_no_choice():
    assert choose_cord_trend([]) is None
