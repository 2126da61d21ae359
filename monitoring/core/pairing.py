"""Which earlier scans a follow-up is compared with: the baseline and the scan before.

A change that was measured on two scans directly is one number of the interval between them; it
never enters the series of single values (docs/clinical-rules.md, section 8.2).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Generic, TypeVar

from monitoring.core.comparability import SeriesFacts, compare

Key = TypeVar("Key", bound=Hashable)


class Against(StrEnum):
    """What a follow-up is compared with."""

    BASELINE = "baseline"
    PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class PairCandidate(Generic[Key]):
    """One usable scan of one region, with all that decides whether it pairs with another."""

    key: Key
    when: date
    facts: SeriesFacts


@dataclass(frozen=True, slots=True)
class PlannedPair(Generic[Key]):
    """A pair to be measured.

    Attributes
    ----------
    before, after : Key
        The earlier and the later scan.
    against : tuple of Against
        Both when the scan before is the baseline itself.
    is_first : bool
        Whether ``before`` is the first usable scan of all: False where an earlier one cannot
        be compared, so that the baseline begins with the scanner's period.
    """

    before: Key
    after: Key
    against: tuple[Against, ...]
    is_first: bool


@dataclass(frozen=True, slots=True)
class Unpaired(Generic[Key]):
    """A follow-up that no earlier scan can be compared with, and why."""

    after: Key
    reasons: tuple[str, ...]


def pairs_plan(
    candidates: Sequence[PairCandidate[Key]],
) -> tuple[list[PlannedPair[Key]], list[Unpaired[Key]]]:
    """Plan the pairs of one region of one patient.

    Parameters
    ----------
    candidates : sequence of PairCandidate
        Usable scans only (not rejected, not waiting for a reader), in any order; scans of one
        day stay in the order given.

    Returns
    -------
    pairs : list of PlannedPair
        In order of the later scan; the baseline first. Baseline is the earliest comparable
        scan of an earlier day, previous the latest one.
    unpaired : list of Unpaired
        Follow-ups without any comparable scan before.
    """
    ordered = sorted(candidates, key=lambda one: one.when)
    alike: dict[SeriesFacts, list[PairCandidate[Key]]] = {}
    for one in ordered:
        alike.setdefault(one.facts, []).append(one)
    pairs: list[PlannedPair[Key]] = []
    unpaired: list[Unpaired[Key]] = []
    for one in ordered:
        earlier = [other for other in ordered if other.when < one.when]
        if not earlier:
            continue
        # What is comparable has equal facts (`compare`); reasons are asked of one only.
        same = [other for other in alike[one.facts] if other.when < one.when]
        if not same:
            unpaired.append(Unpaired(one.key, compare(earlier[-1].facts, one.facts).reasons))
            continue
        baseline, previous = same[0], same[-1]
        is_first = baseline is earlier[0]
        if baseline is previous:
            both = (Against.BASELINE, Against.PREVIOUS)
            pairs.append(PlannedPair(baseline.key, one.key, both, is_first))
            continue
        pairs.append(PlannedPair(baseline.key, one.key, (Against.BASELINE,), is_first))
        pairs.append(PlannedPair(previous.key, one.key, (Against.PREVIOUS,), is_first))
    return pairs, unpaired
