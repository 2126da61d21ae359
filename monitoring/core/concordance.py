"""Harrell's concordance of start-stop rows, exact, in the time that sorting takes.

Comparing every event with everybody at risk takes events times rows; here ranks are cut into
bins: whole bins are counted by cumulative sums over time, only the own bin pair by pair.
"""

import numpy as np
from numpy.typing import NDArray

from monitoring.core.series import FloatArray, IntArray

BINS = 256


def concordance(
    start: FloatArray, stop: FloatArray, is_event: NDArray[np.bool_], predictor: FloatArray
) -> float:
    """Return the share of comparable pairs ordered as the predictor says, ties counted half.

    An event at t is compared with every row at risk that outlives it: start < t, and stop > t
    or censored at t.

    Returns
    -------
    float
        NaN where no pair can be compared.
    """
    events = np.flatnonzero(is_event)
    if not events.size:
        return float("nan")
    values, rank = np.unique(predictor, return_inverse=True)
    # Times of the comparison: an event precedes what is censored on its day.
    _, when = np.unique(np.concatenate([stop, start]), return_inverse=True)
    enters = 2 * when[stop.size :] + 1
    leaves = np.where(is_event, 2 * when[: stop.size], 2 * when[: stop.size] + 1)
    asked = leaves[events]
    entered = _below(enters, rank, asked, rank[events], values.size)
    left = _below(leaves, rank, asked + 1, rank[events], values.size)
    below, tied, pairs = entered - left
    return float((below + 0.5 * tied) / pairs) if pairs else float("nan")


def _below(time: IntArray, rank: IntArray, at: IntArray, of: IntArray, size: int) -> IntArray:
    """Count, over all questions, rows before a time: of lower rank, of the same, and all.

    Parameters
    ----------
    time, rank : arrays, shape (n,)
    at, of : arrays, shape (m,)
        Time and rank of each question; a row counts when its time lies below ``at``.
    size : int
        How many ranks there are.
    """
    width = -(-size // BINS)
    moments, place = np.unique(at, return_inverse=True)
    # A row counts from the first question after it on.
    first = np.searchsorted(moments, time, side="right")
    cells = first * (BINS + 1) + rank // width + 1
    grid = np.bincount(cells, minlength=(moments.size + 1) * (BINS + 1))
    before = grid.reshape(-1, BINS + 1).cumsum(axis=0).cumsum(axis=1)
    own = of // width
    below = int(before[place, own].sum())
    total = int(before[place, -1].sum())
    tied = 0
    rows_by_bin, rows_end = _by_bin(rank // width)
    asked_by_bin, asked_end = _by_bin(own)
    for one in np.unique(own):
        rows = rows_by_bin[rows_end[one] : rows_end[one + 1]]
        for question in np.array_split(
            asked_by_bin[asked_end[one] : asked_end[one + 1]],
            1 + rows.size * (asked_end[one + 1] - asked_end[one]) // 2_000_000,
        ):
            is_there = first[rows][None, :] <= place[question][:, None]
            gap = rank[rows][None, :] - of[question][:, None]
            below += int((is_there & (gap < 0)).sum())
            tied += int((is_there & (gap == 0)).sum())
    return np.array([below, tied, total])


def _by_bin(bins: IntArray) -> tuple[IntArray, IntArray]:
    """Return the rows sorted by bin, and where each bin begins."""
    order = np.argsort(bins, kind="stable")
    return order, np.searchsorted(bins[order], np.arange(BINS + 1))
