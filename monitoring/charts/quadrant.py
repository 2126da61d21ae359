"""The state of one visit as a small figure: z of brain and cord, cut at -1.96, and its path."""

from dataclasses import dataclass
from datetime import date

from monitoring.core.norms import ABNORMAL_Z, Quadrant
from monitoring.selectors.states import PatientState

BOX, REACH = 100.0, 4.0
WORDS = {
    Quadrant.NONE: "I: neither brain nor cord below the norm's cut",
    Quadrant.BRAIN_ONLY: "II: brain below the norm's cut, cord not",
    Quadrant.CORD_ONLY: "III: cord below the norm's cut, brain not",
    Quadrant.BOTH: "IV: brain and cord below the norm's cut",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuadrantFigure:
    """SVG coordinates in a box of 100 x 100, and the sentence beside them.

    ``trail`` is the polyline of the visits that lead to the last one, empty with fewer than
    two; ``since`` says on which day it begins.
    """

    x: float
    y: float
    trail: str
    since: date | None
    cut_x: float
    cut_y: float
    sentence: str
    chances: tuple[tuple[str, float], ...]
    norms: tuple[str, str]


def quadrant_figure(state: PatientState) -> QuadrantFigure | None:
    """Return the figure; None where there is no quadrant, ``state.state.reason`` says why."""
    quadrant, brain, cord = state.state.quadrant, state.brain, state.cord
    if quadrant is None or brain is None or cord is None or brain.z is None or cord.z is None:
        return None
    places = [(_place(b), BOX - _place(c)) for _, b, c in state.trail]
    has_trail = len(set(places)) > 1
    return QuadrantFigure(
        trail=" ".join(f"{x:g},{y:g}" for x, y in places) if has_trail else "",
        since=state.trail[0][0] if has_trail else None,
        x=_place(brain.z),
        y=BOX - _place(cord.z),
        cut_x=_place(ABNORMAL_Z),
        cut_y=BOX - _place(ABNORMAL_Z),
        sentence=(
            f"{WORDS[quadrant]} (brain z {brain.z:+.1f}, cord z {cord.z:+.1f}, {state.when})."
        ).replace("z -", "z −"),
        chances=tuple((one.value, p) for one, p in state.state.probabilities.items()),
        norms=(brain.reason, cord.reason),
    )


def _place(z: float) -> float:
    """Return a z in the box; what lies further out stays on the rim."""
    return round(BOX * (min(max(z, -REACH), REACH) + REACH) / (2 * REACH), 1)
