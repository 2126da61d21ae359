"""The published cord areas load, and are not mixed with another method."""

from dataclasses import replace

import numpy as np
import pytest

from monitoring.core.cohort.definition import Definition
from monitoring.core.cohort.external import matching, read_reference, reference_room
from monitoring.core.cohort.selection import select
from monitoring.core.cohort.synthetic import KINDS, Truth, synthetic_cohort
from monitoring.core.cohort.table import Kind
from monitoring.core.errors import InvalidTable, NotAssessable


@pytest.fixture(scope="module")
def references(realdata):
    return read_reference((realdata / "tables" / "cord_csa_by_session.csv").read_text())


@pytest.mark.realdata
def test_the_real_table_gives_areas_by_age_sex_and_contrast(references):
    by_name = {(one.level, one.contrast): one for one in references}

    t2 = by_name["cord_c2", "T2-weighted"]
    young = {cell[1]: cell for cell in t2.cells() if cell[0] == "20-29"}
    # spine-generic, 19-52 years: 69.1 in women, 74.1 in men (clinical rules, 5a).
    assert young["female"][3] == pytest.approx(69.1, abs=1.5)
    assert young["male"][3] == pytest.approx(74.1, abs=1.5)
    t1 = by_name["cord_c2", "T1-weighted"]
    assert t1.area.size > 900
    assert 65 < t1.area.mean() < 72
    assert t1.age.min() >= 18


@pytest.mark.realdata
def test_another_method_level_or_contrast_is_refused_in_words(references):
    own = Kind("cord_c2", "sct", "7", "T1-weighted")
    assert matching(references, own).level == "cord_c2"
    for other in (
        Kind("cord_c2", "neuraxis-cord", "1", "T1-weighted"),
        Kind("cord_pmj_64mm", "sct", "7", "T1-weighted"),
        Kind("cord_c2", "sct", "7", "T2*-weighted"),
    ):
        with pytest.raises(NotAssessable, match="not compared"):
            matching(references, other)


@pytest.mark.realdata
def test_a_cohort_of_the_same_method_is_compared_and_another_is_not(references):
    cohort = synthetic_cohort(Truth(), rng=np.random.default_rng(4), patients=60, controls=20)
    refused = reference_room(select(cohort, Definition()), references)
    same = replace(cohort, kinds=(KINDS[0], Kind("cord_c2_c3", "sct", "7", "T1-weighted")))
    compared = reference_room(select(same, Definition()), references)

    assert refused.verdict == "cannot be answered"
    assert "not compared" in refused.answer
    assert compared.verdict == "described"
    assert "mm²" in compared.answer


def test_a_table_of_another_form_is_refused():
    with pytest.raises(InvalidTable, match="lacks the columns"):
        read_reference("a,b\n1,2\n")
