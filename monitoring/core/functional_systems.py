"""Which EDSS the functional systems of a visit allow.

The scale defines its steps in words. Where the words name one step, one step is returned; where
they leave a choice ("combinations of lesser grades exceeding limits of previous steps"), the
range that they leave. The entered EDSS is never replaced: it stands beside this one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

# Visual and bowel and bladder are converted to a lower score before a step is determined
# (Neurostatus scoring, definitions 04/10.2, notes to these two systems).
VISUAL_CONVERTED = (0, 1, 2, 2, 3, 3, 4)
BOWEL_BLADDER_CONVERTED = (0, 1, 2, 3, 3, 4, 5)

# Steps that walking alone determines, by ambulation score (same definitions): 3 is 200 to 299 m
# without help, 4 is 100 to 199 m, 5 to 7 less than that or with help, 8 and 9 with more help,
# 10 and 11 a wheelchair, 12 and more confined to chair or bed.
STEP_OF_WALKING: dict[int, tuple[str, str]] = {
    3: ("5.0", "5.0"),
    4: ("5.5", "5.5"),
    5: ("6.0", "6.0"),
    6: ("6.0", "6.0"),
    7: ("6.0", "6.0"),
    8: ("6.5", "6.5"),
    9: ("6.5", "6.5"),
    10: ("7.0", "7.0"),
    11: ("7.5", "7.5"),
    12: ("8.0", "9.5"),
}
# 300 to 499 m without help: 4.5, or 5.0 by the functional systems.
SHORTENED_WALK = 2
# 500 m and more, but not unrestricted: the definitions speak of a full range from 2.0 on.
NOT_UNRESTRICTED = 1

# The seven systems that make a step; ambulation is asked for separately.
SYSTEMS = (
    "visual",
    "brainstem",
    "pyramidal",
    "cerebellar",
    "sensory",
    "bowel_bladder",
    "cerebral",
)


@dataclass(frozen=True, slots=True)
class EdssSpan:
    """The lowest and the highest step that the definitions allow; often the same."""

    low: Decimal
    high: Decimal

    @property
    def is_one_step(self) -> bool:
        """Say whether the definitions name one step."""
        return self.low == self.high

    def holds(self, step: Decimal) -> bool:
        """Say whether an entered step agrees."""
        return self.low <= step <= self.high

    def __str__(self) -> str:
        """Return the step, or the range."""
        return str(self.low) if self.is_one_step else f"{self.low} to {self.high}"


def edss_from_systems(scores: Mapping[str, int | None]) -> EdssSpan | None:
    """Return the steps that the scores of a visit allow, None unless all eight are known.

    Parameters
    ----------
    scores : mapping of str to int or None
        Unconverted scores of `SYSTEMS` and of ``ambulation`` (0 to 12).

    Notes
    -----
    Definitions of the steps: Kurtzke, Neurology 1983;33:1444; conversion of two systems and the
    ambulation score: Neurostatus-EDSS, definitions 04/10.2. Up to 3.5 the functional systems
    define the step, from 5.5 on walking alone, between them both, the worse one counting.

    Examples
    --------
    >>> known = dict.fromkeys([*SYSTEMS, "ambulation"], 0)
    >>> str(edss_from_systems(known | {"pyramidal": 3, "sensory": 2}))
    '3.5'
    >>> str(edss_from_systems(known | {"pyramidal": 3, "sensory": 3, "cerebellar": 3}))
    '4.0 to 5.0'
    >>> str(edss_from_systems(known | {"pyramidal": 3, "ambulation": 6}))
    '6.0'
    >>> edss_from_systems({"pyramidal": 3}) is None
    True
    """
    known = {name: scores.get(name) for name in (*SYSTEMS, "ambulation")}
    if any(score is None for score in known.values()):
        return None
    whole = {name: score for name, score in known.items() if score is not None}
    walking = whole["ambulation"]
    if walking in STEP_OF_WALKING:
        return _span(*STEP_OF_WALKING[walking])
    low, high = _by_systems(_converted(whole))
    if walking == SHORTENED_WALK:
        return EdssSpan(max(low, Decimal("4.5")), Decimal("5.0"))
    if walking == NOT_UNRESTRICTED:
        return EdssSpan(low, max(high, Decimal("2.0")))
    return EdssSpan(low, high)


def _span(low: str, high: str) -> EdssSpan:
    """Return a span from its words."""
    return EdssSpan(Decimal(low), Decimal(high))


def _converted(scores: Mapping[str, int]) -> list[int]:
    """Return the seven scores as they count for the step."""
    counted = dict(scores)
    counted["visual"] = VISUAL_CONVERTED[scores["visual"]]
    counted["bowel_bladder"] = BOWEL_BLADDER_CONVERTED[scores["bowel_bladder"]]
    return [counted[name] for name in SYSTEMS]


def _by_systems(grades: Sequence[int]) -> tuple[Decimal, Decimal]:
    """Return the lowest and highest step that seven converted grades define."""
    worst = max(grades)
    ones, twos, threes, fours = (grades.count(grade) for grade in (1, 2, 3, 4))
    if worst >= 5:
        low, high = "5.0", "5.0"
    elif worst == 4:
        alone = fours == 1 and not threes and not twos
        low, high = ("4.0", "4.0") if alone else ("4.5", "5.0")
    elif worst == 3:
        low, high = _with_threes(threes, twos)
    elif worst == 2:
        low, high = _with_twos(twos)
    else:
        step = ("0.0", "1.0")[ones] if ones < 2 else "1.5"
        low, high = step, step
    return Decimal(low), Decimal(high)


def _with_threes(threes: int, twos: int) -> tuple[str, str]:
    """Return the steps where the worst grade is 3."""
    if threes == 1 and twos == 0:
        return "3.0", "3.0"
    if (threes == 1 and twos <= 2) or (threes == 2 and twos == 0):
        return "3.5", "3.5"
    return "4.0", "5.0"


def _with_twos(twos: int) -> tuple[str, str]:
    """Return the steps where the worst grade is 2."""
    steps = {1: "2.0", 2: "2.5", 3: "3.0", 4: "3.0", 5: "3.5"}
    return (steps[twos], steps[twos]) if twos in steps else ("4.0", "5.0")
