"""The published cord areas load, and are not mixed with another method."""

import csv
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
    assert {level for level, _ in by_name} == {
        *(f"cord_c{one}" for one in range(1, 8)), "cord_c1_c2", "cord_c2_c3"
    }  # fmt: skip
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
    assert [table.slug for table in refused.tables] == ["reference", "reference-by-age"]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("datasets.tsv", "holds no cord area"),
        ("open_ms_cross_sectional_patient_info.csv", "holds no cord area"),
        ("open_ms_longitudinal_patient_info.csv", "holds no cord area"),
        ("per_slice_examples/DLBS__sub-1003_ses-wave1_T1w_PAM50.csv", "areas per slice"),
    ],
)
def test_the_other_real_tables_are_no_reference_and_say_why(realdata, name, words):
    with pytest.raises(InvalidTable, match=words):
        read_reference((realdata / "tables" / name).read_text())


@pytest.mark.realdata
def test_the_slices_of_one_person_average_to_the_areas_of_the_table(realdata):
    folder = realdata / "tables"
    with (folder / "cord_csa_by_session.csv").open() as file:
        sessions = {row["file"]: row for row in csv.DictReader(file)}
    for path in sorted((folder / "per_slice_examples").iterdir()):
        with path.open() as file:
            slices = list(csv.DictReader(file))
        at_c2 = [float(one["MEAN(area)"]) for one in slices
                 if one["VertLevel"] == "2" and one["MEAN(area)"]]  # fmt: skip
        known = float(sessions[path.name.split("__")[1]]["csa_C2_mm2"])
        # The table is rounded to three digits.
        assert np.mean(at_c2) == pytest.approx(known, abs=6e-4)


def test_another_program_of_the_table_is_another_method():
    rows = "\n".join(f"D,s{i},F,{30 + i},,T2w,70,jim" for i in range(25))
    head = "dataset,participant_id,sex,age,pathology,contrast,csa_C2C3_mm2,method"
    (reference,) = read_reference(f"{head}\n{rows}\n")

    assert matching([reference], Kind("cord_c2_c3", "jim", "7", "T2-weighted")) is reference
    with pytest.raises(NotAssessable, match="measured by jim on T2-weighted"):
        matching([reference], Kind("cord_c2_c3", "sct", "7", "T2-weighted"))


def test_a_table_of_another_form_is_refused():
    for text, words in (
        ("a,b\n1,2\n", "holds no cord area"),
        ("", "holds no cord area"),
        ("csa_C2_mm2,age\n70,40\n", "lacks the columns contrast, dataset"),
    ):
        with pytest.raises(InvalidTable, match=words):
            read_reference(text)
