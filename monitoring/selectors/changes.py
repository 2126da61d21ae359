"""Changes that were measured on two scans directly: which are wanted, and what they say.

Page, tables, API and the service that asks for the runs read the same plan.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from math import hypot
from uuid import UUID

from monitoring.core.comparability import Processing, SeriesFacts
from monitoring.core.pairing import Against, PairCandidate, PlannedPair, Unpaired, pairs_plan
from monitoring.core.types import Quality, Region
from monitoring.selectors.measured import MeasuredRun, MeasuredScan
from monitoring.selectors.observations import Point
from monitoring.selectors.runs import CHANGE_METHODS
from volumetry.core.types import Quantity, Structure
from volumetry.models import Outcome, Status

# Half-width of a 95 % interval of a normal error, in standard errors.
Z95 = 1.96
# The structure whose change stands for its region; the first that was measured.
CHANGED = {
    Region.BRAIN: (Structure.BRAIN_PARENCHYMA,),
    Region.CORD: (Structure.CORD_C2_C3, Structure.CORD_PMJ_64MM, Structure.CORD_SEGMENT),
}
SINGLE_QUANTITY = {Region.BRAIN: Quantity.VOLUME, Region.CORD: Quantity.MEAN_CSA}
WAITING = "Waits to be measured."
BEING_MEASURED = "Is being measured."
NOT_ASKED = "Not asked for yet."


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The change of one region from an earlier scan to a later one; negative is loss.

    ``percent`` is None while it waits or where it could not be measured; ``sentence`` then says
    why. ``difference_percent`` is what the two scans say when each is measured alone, and
    ``doubt`` says it in words when the two ways disagree by more than their errors allow.
    """

    region: Region
    against: tuple[Against, ...]
    is_first: bool
    scan_id: UUID
    when: date
    before_scan_id: UUID
    since: date
    run: MeasuredRun | None
    sentence: str = ""
    structure: str = ""
    percent: float | None = None
    standard_error: float | None = None
    quality: Quality | None = None
    verdict: str = ""
    difference_percent: float | None = None
    doubt: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def run_id(self) -> UUID | None:
        """Return the run that measured it or will."""
        return self.run.pk if self.run else None

    @property
    def method(self) -> str:
        """Return the method, empty before it was asked for."""
        return self.run.method if self.run else ""

    @property
    def version(self) -> str:
        """Return the version of the method."""
        return self.run.method_version if self.run else ""

    @property
    def years(self) -> float:
        """Return the time between the scans."""
        return (self.when - self.since).days / 365.25

    @property
    def percent_per_year(self) -> float | None:
        """Return the change per year; None below a quarter, where it only magnifies noise."""
        return None if self.percent is None or self.years < 0.25 else self.percent / self.years

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval, percent."""
        if self.percent is None or self.standard_error is None:
            return None
        margin = Z95 * self.standard_error
        return self.percent - margin, self.percent + margin

    @property
    def is_rejected(self) -> bool:
        """Say whether a reader took it out."""
        return self.quality is Quality.REJECTED

    @property
    def waits_for_reader(self) -> bool:
        """Say whether a failed check keeps it out until a reader accepts it."""
        return self.percent is not None and self.quality is None

    @property
    def words(self) -> str:
        """Return what it is compared with, in words."""
        baseline = "baseline" if self.is_first else "first scan of this scanner"
        names = {Against.BASELINE: baseline, Against.PREVIOUS: "previous"}
        return " and ".join(names[one] for one in self.against)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCompared:
    """A follow-up that no earlier scan of the region can be compared with."""

    region: Region
    scan_id: UUID
    when: date
    sentence: str


def change_plan(
    scans: Sequence[MeasuredScan], points: Iterable[Point], region: Region
) -> tuple[list[PlannedPair[UUID]], list[Unpaired[UUID]]]:
    """Plan the pairs of a region: scans by id, images at hand, measured and not rejected."""
    usable = {
        point.scan_id
        for point in points
        if point.region is region and point.since is None and point.quality is not None
        and not point.is_rejected
    }  # fmt: skip
    return pairs_plan(
        [
            PairCandidate(scan.pk, scan.when, _facts(scan, region))
            for scan in scans
            if scan.pk in usable and scan.has_image
        ]
    )


def _facts(scan: MeasuredScan, region: Region) -> SeriesFacts:
    """Return what makes a scan comparable with another of its region."""
    return SeriesFacts(
        structure=CHANGED[region][-1],
        quantity=Quantity.PERCENT_CHANGE,
        method=CHANGE_METHODS[region.value],
        method_version="",
        epoch=str(scan.epoch_id),
        processing=Processing.LONGITUDINAL,
    )


def change_list(
    scans: Sequence[MeasuredScan], points: Sequence[Point], runs: Iterable[MeasuredRun]
) -> tuple[tuple[Change, ...], tuple[NotCompared, ...]]:
    """Return the wanted changes of a patient with where each stands, and what has none.

    Parameters
    ----------
    scans, points
        As `patient_scans` and `point_list` give them.
    runs : iterable of MeasuredRun
        Runs of the patient's images in any state, oldest first.
    """
    by_id = {scan.pk: scan for scan in scans}
    newest = {(run.image_id, *run.task): run for run in runs if run.before_id}
    of_scan: dict[UUID, list[Point]] = {}
    for point in points:
        of_scan.setdefault(point.scan_id, []).append(point)
    changes: list[Change] = []
    left: list[NotCompared] = []
    for region in Region:
        pairs, unpaired = change_plan(scans, points, region)
        for pair in pairs:
            before, after = by_id[pair.before], by_id[pair.after]
            run = newest.get((after.image_id, CHANGE_METHODS[region.value], before.image_id))
            both = [*of_scan[before.pk], *of_scan[after.pk]]
            changes.append(_change(region, pair, before, after, run, both))
        left += [_not_compared(region, one, by_id[one.after]) for one in unpaired]
    return tuple(sorted(changes, key=lambda c: c.when)), tuple(left)


def _change(
    region: Region,
    pair: PlannedPair[UUID],
    before: MeasuredScan,
    after: MeasuredScan,
    run: MeasuredRun | None,
    points: Sequence[Point],
) -> Change:
    """Return one change with its number, or the words why it has none."""
    measured = {p.structure: p for p in points if run is not None and p.run_id == run.pk}
    found = next((measured[s] for s in CHANGED[region] if s in measured), None)
    difference, error = (
        _difference(region, before.pk, after.pk, points) if found else (None, None)
    )
    return Change(
        region=region,
        against=pair.against,
        is_first=pair.is_first,
        scan_id=after.pk,
        when=after.when,
        before_scan_id=before.pk,
        since=before.when,
        run=run,
        sentence="" if found else _sentence(run),
        structure=found.structure if found else "",
        percent=found.value if found else None,
        standard_error=found.standard_error if found else None,
        quality=found.quality if found else None,
        verdict=found.verdict if found else "",
        difference_percent=difference,
        doubt=_doubt(found, difference, error) if found else "",
        warnings=found.warnings if found else (),
    )


def _sentence(run: MeasuredRun | None) -> str:
    """Say why there is no number."""
    if run is None or run.status == Status.CANCELLED:
        return NOT_ASKED
    if run.is_active:
        return WAITING if run.status == Status.QUEUED else BEING_MEASURED
    if run.outcome == Outcome.OK:
        return "The run measured no change of this region."
    return run.reason or "The measurement failed; see its run."


def _difference(
    region: Region, before: UUID, after: UUID, points: Iterable[Point]
) -> tuple[float | None, float | None]:
    """Return the change in percent between two single measurements, and its error."""
    values: dict[tuple[str, str, str], dict[UUID, Point]] = {}
    for point in points:
        if (
            point.scan_id in {before, after}
            and point.since is None
            and point.structure in CHANGED[region]
            and point.quantity == SINGLE_QUANTITY[region]
            and point.structure != Structure.CORD_SEGMENT
        ):
            same = (point.structure, point.method, point.version)
            values.setdefault(same, {})[point.scan_id] = point
    both = next((held for held in values.values() if len(held) == 2), None)
    if both is None:
        return None, None
    one, other = both[before], both[after]
    ratio = other.value / one.value
    if not one.standard_error or not other.standard_error:
        return 100 * (ratio - 1), None
    relative = hypot(one.standard_error / one.value, other.standard_error / other.value)
    return 100 * (ratio - 1), 100 * ratio * relative


def _doubt(found: Point, difference: float | None, error: float | None) -> str:
    """Say so when the direct change and the difference of single scans disagree."""
    if difference is None or error is None or not found.standard_error:
        return ""
    apart = abs(found.value - difference)
    if apart <= Z95 * hypot(error, found.standard_error):
        return ""
    return (
        f"Measured one by one, the two scans differ by {difference:+.1f} %, measured together "
        f"by {found.value:+.1f} %: more apart than their errors allow. Look at both outlines."
    ).replace("-", "−")


def _not_compared(region: Region, one: Unpaired[UUID], scan: MeasuredScan) -> NotCompared:
    """Say why a follow-up has no change."""
    return NotCompared(
        region=region,
        scan_id=scan.pk,
        when=scan.when,
        sentence=(
            "No earlier scan on this scanner and protocol "
            f"({scan.epoch_label}): this is the first of its own, later ones are "
            "compared with it."
        ),
    )
