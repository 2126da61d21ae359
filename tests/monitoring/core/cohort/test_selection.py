"""Who is in a cohort, who is out and why; definitions keep their hash."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from monitoring.core.cohort.analysis import analyse
from monitoring.core.cohort.definition import (
    Definition,
    InvalidDefinition,
    Representative,
    definition_from_json,
    parse_bands,
)
from monitoring.core.cohort.selection import select
from monitoring.core.cohort.synthetic import KINDS, Truth, synthetic_cohort
from monitoring.core.cohort.table import Kind, Long, column, nearest_row
from monitoring.core.errors import NotAssessable


def cohort(patients=60, controls=20, seed=1):
    rng = np.random.default_rng(seed)
    return synthetic_cohort(Truth(), rng=rng, patients=patients, controls=controls)


def reasons(selected):
    return {one.reason.split(" (")[0]: len(one.ids) for one in selected.excluded}


def test_everybody_complete_is_in_once_with_the_latest_visit():
    whole = cohort()
    selected = select(whole, Definition())

    assert selected.patient.tolist() == list(range(80))
    assert set(selected.day.tolist()) == {int(whole.readings.day.max())}
    assert selected.is_control.sum() == 20
    assert selected.excluded == ()


def test_the_first_visit_may_stand_for_a_patient():
    selected = select(cohort(), Definition(visit=Representative.FIRST))

    assert set(selected.day.tolist()) == {date(2012, 1, 1).toordinal()}


def test_each_left_out_patient_is_counted_once_under_the_first_reason():
    whole = cohort()
    sex, born = whole.sex.copy(), whole.birth_year.copy()
    born[0] = np.nan
    keep = whole.edss.patient != 1
    edss = Long(whole.edss.patient[keep], whole.edss.day[keep], whole.edss.value[keep])
    values = whole.readings.values.copy()
    own = (whole.readings.patient == 2) & np.isfinite(values[:, column("cord")])
    values[own, column("cord")] = np.nan
    broken = replace(
        whole,
        sex=sex,
        birth_year=born,
        edss=edss,
        systems=whole.systems[keep],
        readings=replace(whole.readings, values=values),
    )

    selected = select(broken, Definition(phenotypes=("RRMS", "SPMS", "CIS")))

    assert reasons(selected) == {
        "Phenotype not asked for, or not stated": 12,
        "No day with usable brain and cord": 1,
        "Birth year not known": 1,
        "No EDSS within 90 days of such a scan": 1,
    }
    assert selected.patient.size + sum(reasons(selected).values()) == 80


def test_nobody_is_represented_by_an_old_visit_because_the_latest_edss_is_in_no_group():
    whole = cohort(patients=100)
    last = whole.edss.day.max()
    latest = whole.edss.value[whole.edss.day == last]
    gap = Definition(bands="custom", custom_bands=parse_bands("0-2.5, 4-10"))

    selected = select(whole, gap)

    in_gap = int(((latest > 2.5) & (latest < 4)).sum())
    assert reasons(selected) == {"EDSS in none of the groups": in_gap}
    assert set(selected.day.tolist()) == {int(last)}


def test_values_of_another_method_are_never_mixed_in():
    whole = cohort()
    other = Kind("cord_pmj_64mm", "sct", "7.3", "T1-weighted")
    kind = whole.readings.kind.copy()
    kind[(whole.readings.patient < 5) & (kind == 1)] = 2
    mixed = replace(whole, kinds=(*KINDS, other), readings=replace(whole.readings, kind=kind))

    selected = select(mixed, Definition())

    assert selected.cord_kind == KINDS[1]
    assert reasons(selected)["No day with usable brain and cord"] == 5


def test_an_edss_counts_within_its_days_and_the_nearer_one_wins():
    patient, day = np.array([0, 0, 1]), np.array([100, 300, 100])

    rows = nearest_row(
        patient, day, np.array([0, 0, 1, 2]), np.array([190, 230, 191, 100]), within=90
    )

    assert rows.tolist() == [0, 1, -1, -1]


def test_nobody_measured_is_a_sentence_and_no_number():
    whole = cohort()
    empty = replace(whole, readings=whole.readings.take(np.zeros(0, dtype=np.int64)))

    with pytest.raises(NotAssessable, match="No patient has a usable"):
        select(empty, Definition())
    result = analyse(empty, Definition())
    assert result["rooms"] == []
    assert "Upload and review scans" in result["problem"]


def test_equal_choices_have_equal_hashes_and_come_back_from_json():
    one = Definition(structures=("grey_matter", "white_matter"), since=date(2015, 1, 1))
    other = Definition(structures=("white_matter", "grey_matter"), since=date(2015, 1, 1))

    assert one.digest == other.digest
    assert definition_from_json(one.to_json()).digest == one.digest
    assert Definition().digest != one.digest


@pytest.mark.parametrize(
    "change",
    [
        {"age_from": 60, "age_to": 20},
        {"phenotypes": ()},
        {"phenotypes": ("HC",)},
        {"structures": ("soul",)},
        {"bands": "custom"},
        {"bands": "none such"},
        {"since": date(2020, 1, 1), "until": date(2019, 1, 1)},
    ],
    ids=["age", "nobody", "controls", "structure", "no bands", "bands", "dates"],
)
def test_a_definition_that_selects_nobody_is_refused(change):
    with pytest.raises(InvalidDefinition):
        Definition(**change)


@pytest.mark.parametrize("text", ["", "0-2", "0-2.5, 2-4", "0.5-2, 3-4", "mild, severe"])
def test_own_groups_that_are_none_are_refused(text):
    with pytest.raises(InvalidDefinition):
        parse_bands(text)
