"""Thin data, room by room: a clear sentence, no number that nothing stands behind, no crash."""

import json
from dataclasses import fields, replace

import numpy as np
import orjson
import pytest

from monitoring.core.cohort.analysis import analyse
from monitoring.core.cohort.definition import Definition
from monitoring.core.cohort.external import Reference
from monitoring.core.cohort.synthetic import Truth, synthetic_cohort
from monitoring.core.cohort.table import Cohort, Long, column

SILENT = "cannot be answered"


def drawn(patients=200, controls=30, **more) -> Cohort:
    rng = np.random.default_rng(21)
    return synthetic_cohort(Truth(), rng=rng, patients=patients, controls=controls, **more)


def rows_of(table, keep):
    return type(table)(*(getattr(table, one.name)[keep] for one in fields(table)))


def with_edss(cohort: Cohort, value) -> Cohort:
    edss = cohort.edss
    return replace(cohort, edss=Long(edss.patient, edss.day, value(edss.value)))


def without(cohort: Cohort, structure: str) -> Cohort:
    values = cohort.readings.values.copy()
    values[:, column(structure)] = np.nan
    return replace(cohort, readings=replace(cohort.readings, values=values))


def nobody(cohort: Cohort, name: str) -> Cohort:
    table = getattr(cohort, name)
    return replace(cohort, **{name: rows_of(table, np.zeros(table.patient.size, bool))})


# Cohort, and the rooms that must be silent with a word of the reason that each must give.
CASES = {
    "four patients": (
        lambda: drawn(4, 30),
        {
            "losses": "needs 5", "cord-area": "Two EDSS groups", "correlations": "10",
            "slopes": "needs 30", "discrimination": "needs 10 patients in each band",
            "verification": "10 are needed", "lesions": "30 are needed", "paradox": "needs 50",
            "phenotypes": "needs 5", "reference": "20 are needed",
        },
    ),
    "no controls": (
        lambda: drawn(200, 0),
        {"losses": "10 own controls", "phenotypes": "10 own controls"},
    ),
    "nine controls": (
        lambda: drawn(200, 9),
        {"losses": "there are 9", "phenotypes": "there are 9"},
    ),
    "all the same EDSS": (
        lambda: with_edss(drawn(), lambda value: np.full(value.size, 2.0)),
        {
            "cord-area": "Two EDSS groups", "correlations": "nothing to compare",
            "slopes": "no other group", "discrimination": "there are 200 and 0",
            "verification": "0 events", "paradox": "same EDSS",
        },
    ),
    "one group empty": (
        lambda: with_edss(
            drawn(), lambda value: np.where((value > 3) & (value < 6), 6.0, value)
        ),
        {},
    ),
    "two scans each": (
        lambda: drawn(visits=2),
        {"slopes": "3 scans", "verification": "event", "lesions": "3 scans"},
    ),
    "no lesion was counted": (lambda: nobody(drawn(), "lesions"), {"lesions": "lesion counts"}),
    "no statement": (lambda: nobody(drawn(), "statements"), {"verification": "events"}),
    "no intracranial volume": (
        lambda: without(drawn(), "intracranial"),
        {"losses": "there are 0", "phenotypes": "there are 0", "paradox": "intracranial"},
    ),
    "sex not known": (
        lambda: replace(drawn(), sex=np.full(230, np.nan)),
        {"losses": "there are 0", "paradox": "sex", "reference": "needed"},
    ),
    "controls of one age": (
        lambda: replace(
            drawn(),
            birth_year=np.where(np.arange(230) >= 200, 1980, drawn().birth_year),
        ),
        {"losses": "too alike", "phenotypes": "too alike"},
    ),
}  # fmt: skip


def reference() -> list[Reference]:
    """An external reference of the synthetic cord, so that its room has something to say."""
    rng = np.random.default_rng(1)
    age, male = rng.uniform(20, 80, 60), (rng.random(60) < 0.5).astype(float)
    area = 70 + rng.normal(size=60)
    return [Reference("cord_pmj_64mm", "synthetic-cord", "T1-weighted", age, male, area)]


@pytest.mark.parametrize("case", CASES)
def test_what_the_data_cannot_answer_is_said_and_nothing_else_breaks(case):
    make, silent = CASES[case]
    result = analyse(make(), Definition(), references=reference)

    # NaN and infinity are no JSON: a number is there or it is not.
    orjson.dumps(result.pop("inputs"), option=orjson.OPT_SERIALIZE_NUMPY)
    json.dumps(result, allow_nan=False)
    rooms = {room["slug"]: room for room in result["rooms"]}
    assert len(rooms) == 11
    for slug, words in silent.items():
        assert rooms[slug]["verdict"] == SILENT, (slug, rooms[slug]["answer"])
        assert words in rooms[slug]["answer"], (slug, rooms[slug]["answer"])
    for slug, room in rooms.items():
        assert room["answer"].strip().endswith("."), (slug, room["answer"])
        assert "nan" not in room["answer"].lower().split(), (slug, room["answer"])
        if room["verdict"] == SILENT and slug not in {"correlations", "slopes"}:
            assert room["figures"] == {}, slug


def test_an_empty_group_is_named_and_the_others_are_answered():
    make, _ = CASES["one group empty"]
    rooms = {room["slug"]: room for room in analyse(make(), Definition())["rooms"]}

    for slug in ("losses", "cord-area", "correlations", "slopes"):
        said = " ".join(rooms[slug]["notes"])
        assert "EDSS 3.5–5.5: 0 patients" in said, (slug, said)
        assert rooms[slug]["verdict"] != SILENT
