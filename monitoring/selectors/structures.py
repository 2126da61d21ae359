"""Courses of every structure that was measured of a patient, beside brain and cord as a whole.

Each is in percent of the patient's own first usable value of that structure, so that all share
the scale of the figure. None of them enters the divergence.
"""

from dataclasses import dataclass

from monitoring.core.types import Region
from monitoring.selectors.runs import QUANTITY_WORDS, STRUCTURE_WORDS
from monitoring.selectors.timeline_points import TimelinePoint, points_in_percent
from monitoring.selectors.timelines import Timeline
from volumetry.core.types import EXPERIMENTAL, Quantity

USUAL = {Region.BRAIN: Quantity.VOLUME.value, Region.CORD: Quantity.MEAN_CSA.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureKind:
    """What can be chosen: a structure and what was measured of it."""

    structure: str
    quantity: str
    region: Region

    @property
    def slug(self) -> str:
        """Return its name in an address."""
        return f"{self.structure}-{self.quantity}"

    @property
    def words(self) -> str:
        """Return its name as a person reads it."""
        name = STRUCTURE_WORDS.get(self.structure, self.structure.replace("_", " "))
        if self.quantity == USUAL[self.region]:
            return name
        return f"{name}, {QUANTITY_WORDS.get(self.quantity, self.quantity)}"

    @property
    def is_experimental(self) -> bool:
        """Say whether its numbers are shown for trial (docs/brain.md)."""
        return self.structure in EXPERIMENTAL


def structure_kinds(timeline: Timeline) -> list[StructureKind]:
    """Return what can be drawn beside the trend, brain first, experimental ones last."""
    found = {
        (p.structure, p.quantity): StructureKind(
            structure=p.structure, quantity=p.quantity, region=p.region
        )
        for p in timeline.other_points
        if p.since is None and p.quality is not None and not p.is_rejected
    }
    return sorted(
        found.values(),
        key=lambda kind: (kind.region is Region.CORD, kind.is_experimental, kind.words),
    )


def structure_course(timeline: Timeline, kind: StructureKind) -> tuple[TimelinePoint, ...]:
    """Return the values of one structure, oldest first."""
    own = [
        point
        for point in timeline.other_points
        if point.since is None
        and (point.structure, point.quantity) == (kind.structure, kind.quantity)
    ]
    return points_in_percent(own, now={}, relapses=timeline.relapses, skull=None)
