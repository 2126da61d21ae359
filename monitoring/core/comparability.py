"""Which measured values may stand in one series, and which cord level a trend follows.

A *series* is (structure, quantity, method, method version, epoch): only points of one series
are joined by a plain line. Everything here answers SAME or DIFFERENT with reasons in words.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from volumetry.core.types import LandmarkKind


class Comparison(StrEnum):
    """Whether two values may be compared without a correction."""

    SAME = "same"
    DIFFERENT = "different"


class Processing(StrEnum):
    """Whether a value was measured on one scan alone or jointly with the patient's others."""

    CROSS_SECTIONAL = "cross"
    LONGITUDINAL = "long"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """What makes a value comparable with another.

    Attributes
    ----------
    structure, quantity : str
        As in `volumetry.core.types`: ``cord_c2_c3`` and ``mean_csa``, for instance.
    method, method_version : str
    epoch : str
        Site, scanner, its software, protocol and contrast.
    processing : Processing
        ``cross`` and ``long`` values never mix (clinical rules, section 8.2).
    """

    structure: str
    quantity: str
    method: str
    method_version: str
    epoch: str
    processing: Processing = Processing.CROSS_SECTIONAL


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """SAME, or DIFFERENT with every reason."""

    verdict: Comparison
    reasons: tuple[str, ...]

    @property
    def offset_may_join(self) -> bool:
        """Whether an estimated offset may tie the two together (only the epoch differs)."""
        return all(reason.startswith(_EPOCH) for reason in self.reasons)


_EPOCH = "Scanner epoch"

_LABELS = (
    ("structure", "Structure"),
    ("quantity", "Quantity"),
    ("method", "Method"),
    ("method_version", "Method version"),
    ("processing", "Processing"),
    ("epoch", _EPOCH),
)


def compare(first: SeriesFacts, second: SeriesFacts) -> ComparisonResult:
    """Say whether two values belong to one series.

    Examples
    --------
    >>> old = SeriesFacts(structure="cord_c2_c3", quantity="mean_csa", method="neuraxis-cord",
    ...                   method_version="1.0", epoch="Prisma 2019")
    >>> new = SeriesFacts(structure="cord_c2_c3", quantity="mean_csa", method="neuraxis-cord",
    ...                   method_version="1.0", epoch="Vida 2023")
    >>> compare(old, new).reasons
    ('Scanner epoch differs: Prisma 2019 and Vida 2023.',)
    """
    reasons = tuple(
        f"{label} differs: {one} and {other}."
        for field, label in _LABELS
        if (one := getattr(first, field)) != (other := getattr(second, field))
    )
    return ComparisonResult(Comparison.DIFFERENT if reasons else Comparison.SAME, reasons)


def epoch_key(facts: SeriesFacts) -> str:
    """Return the name under which the divergence model keeps one offset.

    A new method or version reads the same pixels differently, so it is an epoch of its own to
    the model even on an unchanged scanner.
    """
    return f"{facts.epoch} | {facts.method} {facts.method_version}"


@dataclass(frozen=True, slots=True)
class CordCandidate:
    """One usable cord value and the landmark from which its level was counted."""

    kind: LandmarkKind
    when: date


@dataclass(frozen=True, slots=True)
class CordChoice:
    """The landmark kind of the cord trend, and why, in words."""

    kind: LandmarkKind
    reason: str


def choose_cord_trend(candidates: Iterable[CordCandidate]) -> CordChoice | None:
    """Choose which landmark kind a patient's cord trend follows.

    Areas counted from the pontomedullary junction and from the C2/C3 disc are different
    quantities and are never mixed. The kind with more scan days is followed; a tie goes to the
    kind that was measured last, and should that be the same day too, to the junction, which
    needs no click on a disc.

    Returns
    -------
    CordChoice or None
        None without any usable cord value.
    """
    days: dict[LandmarkKind, set[date]] = {}
    for one in candidates:
        days.setdefault(one.kind, set()).add(one.when)
    if not days:
        return None
    best = max(days, key=lambda kind: _rank(kind, days))
    others = [kind for kind in days if kind is not best]
    reason = f"Cord area counted from the {_NAMES[best]}: {_scans(len(days[best]))}."
    for kind in others:
        reason += f" {_scans(len(days[kind]))} from the {_NAMES[kind]} are not mixed in."
    return CordChoice(best, reason)


_NAMES: Mapping[LandmarkKind, str] = {
    LandmarkKind.PMJ: "pontomedullary junction",
    LandmarkKind.C2C3: "C2/C3 disc",
}


def _rank(kind: LandmarkKind, days: Mapping[LandmarkKind, set[date]]) -> tuple[int, date, bool]:
    """Order kinds by scan days, then by the last one, then the junction first."""
    return (len(days[kind]), max(days[kind]), kind is LandmarkKind.PMJ)


def _scans(count: int) -> str:
    """Return a count of scans in words."""
    return f"{count} scan" if count == 1 else f"{count} scans"


def split_into_series(facts: Sequence[SeriesFacts]) -> list[list[int]]:
    """Group values into series, by index, in order of first appearance."""
    groups: dict[SeriesFacts, list[int]] = {}
    for index, one in enumerate(facts):
        groups.setdefault(one, []).append(index)
    return list(groups.values())
