"""The concordance counted in bins is the one counted pair by pair."""

import numpy as np
import pytest

from monitoring.core.concordance import concordance


def pair_by_pair(start, stop, is_event, predictor) -> float:
    """Witness: every event against everybody who outlives it."""
    good = pairs = 0.0
    for row in np.flatnonzero(is_event):
        when = stop[row]
        later = (start < when) & ((stop > when) | ((stop == when) & ~is_event))
        good += (predictor[later] < predictor[row]).sum()
        good += 0.5 * (predictor[later] == predictor[row]).sum()
        pairs += later.sum()
    return good / pairs


@pytest.mark.parametrize("seed", range(12))
def test_it_equals_the_pairs_with_ties_and_late_entries(seed):
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(20, 1500))
    start = rng.integers(0, 8, rows).astype(float)
    stop = start + rng.integers(1, 5, rows)
    is_event = rng.random(rows) < 0.4
    predictor = np.round(rng.normal(size=rows), seed % 4)

    found = concordance(start, stop, is_event, predictor)

    assert found == pytest.approx(pair_by_pair(start, stop, is_event, predictor), abs=1e-12)


def test_without_a_pair_there_is_no_number():
    one = np.ones(1)
    assert np.isnan(concordance(one * 0, one, np.array([True]), one))
    assert np.isnan(concordance(one * 0, one, np.array([False]), one))


def test_one_predictor_for_everybody_is_a_coin():
    rng = np.random.default_rng(3)
    stop = rng.uniform(1, 5, 4000)
    coin = concordance(stop * 0, stop, rng.random(4000) < 0.5, np.zeros(4000))
    assert coin == 0.5
