"""Decide which proposed tube is the cord, or say in words that none can be trusted."""

from dataclasses import dataclass, replace

import numpy as np

from volumetry.core.cord.finding import Candidate, body_midline, candidates_find
from volumetry.core.cord.geometry import Array, Grid, sampler_around
from volumetry.core.cord.judging import Judgement, judge
from volumetry.core.cord.profile import points_extend, profile_of
from volumetry.core.cord.tracing import Trace, trace
from volumetry.core.types import Contrast

EVIDENCE_LIMIT = -2.7
"""Log evidence below which a tube found without a click is not called a cord. On the images
that the limits were set on, true cords had 0 ... -2.4 and the best other tube of scans without
a cord -3.7 or less (docs/cord.md)."""
MARGIN_LIMIT = 1.0
"""Least difference in log evidence to the next tube elsewhere."""
NO_CORD_LIMIT = -4.0
"""Below this nothing in the scan resembles a cord."""
HINTED_EVIDENCE_LIMIT = -8.0
HINT_REACH_MM = 9.0
ON_CORD_MM = 5.0
"""A click this near to the centreline lies on the cord that was found."""
QUICK_STEP_MM, QUICK_SECTIONS = 3.0, 90
"""Sections of a coarse look: every 3 mm, but no more of them than a whole head has."""
KEPT_BELOW_MM = 25.0
KEPT_ABOVE_MM = 40.0


@dataclass(frozen=True, slots=True)
class Located:
    """The tube taken for the cord, how sure that is, and what spoke against it.

    ``traced`` is None when nothing was proposed at all; ``quick`` is the look at the coarse
    trace by which tubes were ranked. ``margin`` is the difference in log
    evidence to the best tube elsewhere (20 when there is none).
    """

    traced: Trace | None
    polarity: int
    judgement: Judgement | None
    quick: Judgement | None
    margin: float
    is_trusted: bool
    is_hinted: bool

    @property
    def evidence(self) -> float:
        """Log evidence of the tube, -20 when there is none."""
        return self.judgement.evidence if self.judgement else -20.0

    @property
    def is_hopeless(self) -> bool:
        """Whether nothing in the scan resembles a cord."""
        return self.traced is None or self.evidence < NO_CORD_LIMIT

    @property
    def reason(self) -> str:
        """Why the tube is not trusted, in words for the clinic."""
        if self.is_hopeless:
            return "No spinal cord was recognised in this scan."
        assert self.judgement is not None
        if self.evidence < EVIDENCE_LIMIT:
            words = WORDS[self.judgement.weakest]
            return f"The cord could not be located with confidence: {words}."
        return (
            "The cord could not be located with confidence: two structures look alike "
            f"(margin {self.margin:.1f}, at least {MARGIN_LIMIT} is needed)."
        )


WORDS = {
    "rim": "the edge of what was found is not visible all round",
    "area": "the cross-section of what was found is not that of a cord",
    "homogeneity": "what was found is not uniform inside",
    "ring": "what was found is not surrounded by a ring of fluid",
    "smoothness": "the cross-section of what was found jumps from slice to slice",
    "steadiness": "the cross-section of what was found changes too much along its course",
    "shape": "the outline of what was found is irregular",
    "symmetry": "what was found is not symmetrical",
    "course": "the course of what was found bends too much for a cord",
    "midline": "what was found lies beside the midline of the body",
    "length": "too short a stretch was found",
    "content": "what was found holds something else within its edge",
    "medialness": "what was found is too faint",
}


def polarities_of(contrast: Contrast) -> tuple[int, ...]:
    """Signs of cord against fluid that a contrast allows."""
    if contrast is Contrast.T1:
        return (1,)
    if contrast in (Contrast.T2, Contrast.T2S):
        return (-1,)
    return (1, -1)


def cord_locate(
    grid: Grid, *, contrast: Contrast, hint_mm: tuple[float, float, float] | None
) -> Located:
    """Find the cord; with a hint only tubes that pass near it count.

    What is found without the hint stays as it is when the hint lies on it: a click on a cord
    that was found anyway changes no number.
    """
    alone = _located(grid, contrast, None)
    if hint_mm is None:
        return alone
    hint = np.asarray(hint_mm, dtype=float)
    if alone.is_trusted and alone.traced is not None:
        gaps = np.linalg.norm(alone.traced.sections.centre_mm - hint, axis=1)
        if gaps.min() <= max(ON_CORD_MM, 0.6 * float(grid.spacing_mm[2])):
            return replace(alone, is_hinted=True)
    return _located(grid, contrast, hint)


def _located(grid: Grid, contrast: Contrast, hint: Array | None) -> Located:
    candidates = candidates_find(
        grid, polarities=polarities_of(contrast), hint_mm=hint, per_polarity=4
    )
    midline = body_midline(grid)
    if hint is not None:
        near = [tube for tube in candidates if _passes_near(tube, hint, grid)]
        candidates = near or [
            straight_tube(grid, hint, sign) for sign in polarities_of(contrast)
        ]
        midline = None
    looks = [_quick_look(grid, tube, midline) for tube in candidates]
    if not looks:
        return Located(None, 0, None, None, 0.0, is_trusted=False, is_hinted=hint is not None)
    judged = sorted(
        zip(candidates, looks, strict=True), key=lambda pair: -pair[1].judgement.evidence
    )
    best, quick = judged[0][0], judged[0][1].judgement
    others = [
        look.judgement.evidence for tube, look in judged[1:] if not _overlap(tube, best, grid)
    ]
    margin = quick.evidence - max(others) if others else 20.0
    points = points_extend(_near_cord(best, judged[0][1], grid), grid)
    traced = trace(grid, points, polarity=best.polarity)
    judgement = _judgement_of(grid, traced, best, midline)
    if hint is not None:
        trusted = judgement.evidence > HINTED_EVIDENCE_LIMIT
    else:
        trusted = judgement.evidence > EVIDENCE_LIMIT and margin > MARGIN_LIMIT
    return Located(
        traced, best.polarity, judgement, quick, float(margin), trusted, hint is not None
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """A coarse trace's judgement and the heights (mm along the scan's axis) of its cord."""

    judgement: Judgement
    low_mm: float
    high_mm: float


def _quick_look(grid: Grid, tube: Candidate, midline: float | None) -> _Look:
    """Judge a coarse trace: enough to rank tubes."""
    sampler = sampler_around(grid, tube.points_mm, order=1)
    length_mm = float(np.ptp(tube.points_mm @ grid.axes[:, 2]))
    traced = trace(
        grid,
        tube.points_mm,
        polarity=tube.polarity,
        step_mm=max(QUICK_STEP_MM, length_mm / QUICK_SECTIONS),
        passes=2,
        sampler=sampler,
    )
    judgement = _judgement_of(grid, traced, tube, midline)
    profile = profile_of(traced)
    centres = tube.points_mm if profile is None else profile.sections.centre_mm
    heights = centres @ grid.axes[:, 2]
    return _Look(judgement, float(heights.min()), float(heights.max()))


def _near_cord(tube: Candidate, look: _Look, grid: Grid) -> Array:
    """Keep the part of a path near its cord: a path through a head goes on to the vertex."""
    heights = tube.points_mm @ grid.axes[:, 2]
    kept = (heights > look.low_mm - KEPT_BELOW_MM) & (heights < look.high_mm + KEPT_ABOVE_MM)
    return tube.points_mm[kept] if kept.sum() >= 3 else tube.points_mm


def _judgement_of(
    grid: Grid, traced: Trace, tube: Candidate, midline: float | None
) -> Judgement:
    offset = None
    profile = profile_of(traced)
    if midline is not None and profile is not None:
        across = grid.voxels(profile.sections.centre_mm)[:, 0] - midline
        offset = float(across.mean() * grid.spacing_mm[0])
    return judge(traced, medialness=tube.score, midline_offset_mm=offset)


def _passes_near(tube: Candidate, hint: Array, grid: Grid) -> bool:
    along = (tube.points_mm - hint) @ grid.axes[:, 2]
    nearest = int(np.argmin(np.abs(along)))
    reach = max(6.0, 1.5 * float(grid.spacing_mm[2]))
    if abs(along[nearest]) > reach:
        return False
    offset = tube.points_mm[nearest] - hint - along[nearest] * grid.axes[:, 2]
    return float(np.linalg.norm(offset)) <= HINT_REACH_MM


def straight_tube(grid: Grid, hint: Array, polarity: int) -> Candidate:
    """Propose a short straight tube through a click when no path came near it."""
    along = max(3.0, float(grid.spacing_mm[2]))
    reach = max(12.0, 1.5 * along)
    heights = np.arange(reach, -reach - 1e-6, -along)
    points = hint + heights[:, None] * grid.axes[:, 2]
    voxels = grid.voxels(points)
    inside = (voxels[:, 2] >= 0) & (voxels[:, 2] <= grid.values.shape[2] - 1)
    kept = points[inside] if inside.sum() >= 3 else points
    return Candidate(kept, polarity, 5.0)


def _overlap(one: Candidate, other: Candidate, grid: Grid) -> bool:
    """Whether two tubes run within 5 mm of each other at most heights they share."""
    up = grid.axes[:, 2]
    height = one.points_mm @ up
    order = np.argsort(other.points_mm @ up)
    at = (other.points_mm @ up)[order]
    shared = (height >= at[0] - 1.0) & (height <= at[-1] + 1.0)
    if not shared.any():
        return False
    there = np.stack(
        [np.interp(height[shared], at, other.points_mm[order, axis]) for axis in range(3)],
        axis=-1,
    )
    return float(np.median(np.linalg.norm(one.points_mm[shared] - there, axis=1))) < 5.0
