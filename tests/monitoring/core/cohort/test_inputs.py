"""An exported analysis carries everything that it was computed from."""

from dataclasses import replace

import numpy as np
import orjson
import pytest

from monitoring.core.cohort.analysis import analyse
from monitoring.core.cohort.definition import Definition
from monitoring.core.cohort.inputs import cohort_from_inputs
from monitoring.core.cohort.replay import differences
from monitoring.core.cohort.synthetic import Truth, synthetic_cohort
from monitoring.core.errors import InvalidTable


def cohort():
    rng = np.random.default_rng(12)
    return synthetic_cohort(Truth(), rng=rng, patients=160, controls=30)


def test_the_inputs_of_an_export_give_its_numbers_again():
    whole = cohort()
    # Patients who are left out are not exported, and change nothing.
    whole = replace(whole, birth_year=np.where(np.arange(190) % 9, whole.birth_year, np.nan))
    first = analyse(whole, Definition())

    inputs = orjson.loads(orjson.dumps(first["inputs"], option=orjson.OPT_SERIALIZE_NUMPY))
    again = analyse(cohort_from_inputs(inputs), Definition())

    assert len(inputs["ids"]) == first["counts"]["patients"] + first["counts"]["controls"]
    assert [one["answer"] for one in again["rooms"]] == [
        one["answer"] for one in first["rooms"]
    ]
    assert differences(first, again) == []
    inputs["edss"]["value"][3] += 1
    assert differences(first, analyse(cohort_from_inputs(inputs), Definition()))


@pytest.mark.parametrize("damage", ["schema", "readings", "edss"])
def test_damaged_inputs_are_refused_in_words(damage):
    inputs = analyse(cohort(), Definition())["inputs"]
    with pytest.raises(InvalidTable):
        cohort_from_inputs({key: value for key, value in inputs.items() if key != damage})
