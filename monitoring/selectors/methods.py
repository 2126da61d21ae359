"""Which runs count for a clinic: those of the method and version that it follows."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Q, QuerySet

from monitoring.models import Clinic, Grant, MethodChoice, Slot
from monitoring.selectors.measured import MeasuredRun
from monitoring.selectors.runs import BRAIN_METHOD, CHANGE_METHODS, CORD_METHOD, HEADLINES
from volumetry.engines.registry import MASK_METHODS, METHODS, PAIR_METHODS
from volumetry.models import ACTIVE, Measurement, Outcome, Status, VolumetryRun

if TYPE_CHECKING:
    from monitoring.models.people import Actor

# Method and version that a clinic follows, by slot; a slot without one follows what there is.
Active = dict[str, tuple[str, str]]

BUILT_IN = {
    Slot.BRAIN: BRAIN_METHOD,
    Slot.CORD: CORD_METHOD,
    Slot.BRAIN_CHANGE: CHANGE_METHODS["brain"],
    Slot.CORD_CHANGE: CHANGE_METHODS["cord"],
}


def slot_of(method: str, *, is_pair: bool) -> Slot:
    """Return what a method measures, by its name: a brain unless it says cord."""
    if is_pair:
        return Slot.CORD_CHANGE if "cord" in method else Slot.BRAIN_CHANGE
    return Slot.CORD if "cord" in method else Slot.BRAIN


def runs_of_slot(slot: str) -> QuerySet[VolumetryRun]:
    """Return the runs of a slot on images that can be measured again."""
    runs = VolumetryRun.objects.filter(before__isnull=slot in {Slot.BRAIN, Slot.CORD})
    runs = runs.exclude(image__file="").exclude(method__in=MASK_METHODS)
    if slot in {Slot.CORD, Slot.CORD_CHANGE}:
        return runs.filter(method__contains="cord")
    return runs.exclude(method__contains="cord")


def active_methods(clinic_id: UUID) -> Active:
    """Return the methods and versions that a clinic follows."""
    chosen = MethodChoice.objects.filter(clinic=clinic_id).order_by("created_at", "id")
    return {
        slot: (method, version)
        for slot, method, version in chosen.values_list("slot", "method", "version")
    }


def run_counts(run: MeasuredRun, active: Active) -> bool:
    """Say whether a run belongs to the method and version that its clinic follows.

    Numbers without an image (drawn, or taken over from elsewhere) cannot be measured again and
    keep their own method. A mask made elsewhere is no series of the clinic (docs/adr/0010).
    """
    is_pair = run.before_id is not None
    return version_counts(
        run.method, run.method_version, active, is_pair=is_pair, has_image=run.has_image
    )


def version_counts(
    method: str, version: str, active: Active, *, is_pair: bool, has_image: bool
) -> bool:
    """Say whether numbers of a method and version count, as `run_counts`."""
    if method in MASK_METHODS:
        return False
    chosen = active.get(slot_of(method, is_pair=is_pair))
    return chosen is None or (method, version) == chosen or not has_image


def not_followed(clinic: Clinic, *, to_image: str = "image") -> Q:
    """Return the condition of runs that `run_counts` leaves out, for a query."""
    left_out = Q(pk__in=[])
    foreign = Q(method__in=list(MASK_METHODS))
    for slot, (method, version) in active_methods(clinic.pk).items():
        is_cord = Q(method__contains="cord")
        of_slot = is_cord if slot in {Slot.CORD, Slot.CORD_CHANGE} else ~is_cord
        of_slot &= Q(before__isnull=slot in {Slot.BRAIN, Slot.CORD})
        left_out |= of_slot & ~Q(method=method, method_version=version)
    return (left_out & ~Q(**{f"{to_image}__file": ""})) | foreign


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionState:
    """How far one method and version has measured what the followed one measured."""

    method: str
    version: str
    is_active: bool
    is_installed: bool
    wanted: int
    measured: int
    refused: int
    failed: int
    waiting: int
    compared: int = 0
    mean_percent: float | None = None
    sd_percent: float | None = None

    @property
    def ended(self) -> int:
        """Return how many it has looked at: measured or refused in words."""
        return self.measured + self.refused

    @property
    def missing(self) -> int:
        """Return how many numbers of the followed version it does not have."""
        return max(0, self.wanted - self.measured)

    @property
    def not_asked(self) -> int:
        """Return how many it was never asked for."""
        return max(0, self.wanted - self.ended - self.failed - self.waiting)

    @property
    def share_percent(self) -> int:
        """Return what share it has measured; 100 only when nothing is missing."""
        return 100 * self.measured // self.wanted if self.wanted else 100

    @property
    def is_complete(self) -> bool:
        """Say whether nothing would leave the trend at a switch."""
        return self.missing == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotState:
    """What a clinic follows for one slot, and what else there is."""

    slot: Slot
    active: VersionState | None
    others: tuple[VersionState, ...]
    history: tuple[MethodChoice, ...]

    @property
    def is_measuring(self) -> bool:
        """Say whether a version has runs that wait or work."""
        return any(other.waiting for other in self.others)


def method_states(actor: "Actor", clinic: Clinic) -> list[SlotState]:
    """Return, per slot, the followed version and the others with their progress."""
    if not Clinic.objects.visible_to(actor, grant=Grant.METHODS).filter(pk=clinic.pk).exists():
        return []
    chosen: dict[str, list[MethodChoice]] = {}
    for choice in clinic.methods.select_related("chosen_by").order_by("created_at", "id"):
        chosen.setdefault(choice.slot, []).append(choice)
    return [_slot_state(clinic, slot, chosen.get(slot, [])) for slot in Slot]


def _slot_state(clinic: Clinic, slot: Slot, history: list[MethodChoice]) -> SlotState:
    """Return the state of one slot."""
    active = (history[-1].method, history[-1].version) if history else None
    runs = runs_of_slot(slot).filter(image__scan__clinic=clinic)
    versions = list(
        runs.order_by("method", "method_version").values_list("method", "method_version")
        .distinct()
    )  # fmt: skip
    known = METHODS if slot in {Slot.BRAIN, Slot.CORD} else PAIR_METHODS
    installed = [
        (name, method.version)
        for name, method in known.items()
        if slot_of(name, is_pair=known is PAIR_METHODS) is slot
    ]
    if active is None:
        active = next((one for one in versions if one in installed), None)
    wanted = tasks_measured(runs, *active) if active else set()
    states = [
        _version_state(runs, one, active, wanted, is_installed=one in installed)
        for one in dict.fromkeys([*versions, *installed])
    ]
    return SlotState(
        slot=slot,
        active=next((state for state in states if state.is_active), None),
        others=tuple(state for state in states if not state.is_active),
        history=tuple(reversed(history)),
    )


Task = tuple[UUID, UUID | None]


def tasks_measured(runs: QuerySet[VolumetryRun], method: str, version: str) -> set[Task]:
    """Return (image, earlier image) of all that a version measured.

    A cord without a known level has no number for a trend, so it does not count.
    """
    ended = runs.filter(method=method, method_version=version, status=Status.SUCCEEDED)
    return _tasks(ended.filter(outcome=Outcome.OK))


def _tasks(runs: QuerySet[VolumetryRun]) -> set[Task]:
    return set(runs.order_by().values_list("image_id", "before_id").distinct())


def _version_state(
    runs: QuerySet[VolumetryRun],
    one: tuple[str, str],
    active: tuple[str, str] | None,
    wanted: set[Task],
    *,
    is_installed: bool,
) -> VersionState:
    """Count what one version did of what is wanted."""
    own = runs.filter(method=one[0], method_version=one[1])
    measured = tasks_measured(runs, *one) & wanted
    unmeasured = [Outcome.REFUSED, Outcome.NEEDS_LANDMARK]
    refused = _tasks(own.filter(outcome__in=unmeasured)) & wanted - measured
    waiting = _tasks(own.filter(status__in=ACTIVE)) & wanted - measured
    failed = _tasks(own.filter(status=Status.FAILED)) & wanted - measured - refused - waiting
    is_active = one == active
    differences = [] if is_active or active is None else _differences(runs, active, one)
    return VersionState(
        method=one[0],
        version=one[1],
        is_active=is_active,
        is_installed=is_installed,
        wanted=len(wanted),
        measured=len(measured),
        refused=len(refused - waiting),
        failed=len(failed),
        waiting=len(waiting),
        compared=len(differences),
        mean_percent=fmean(differences) if differences else None,
        sd_percent=stdev(differences) if len(differences) > 1 else None,
    )


def _differences(
    runs: QuerySet[VolumetryRun], active: tuple[str, str], other: tuple[str, str]
) -> list[float]:
    """Return how much higher another version reads than the followed one, percent per scan.

    Of changes, which are percent already, the plain difference in percentage points.
    """
    one, two = _values(runs, active), _values(runs, other)
    pairs = [(one[key], two[key]) for key in one.keys() & two.keys()]
    if runs.filter(before__isnull=False).exists():
        return [after - before for before, after in pairs]
    return [100 * (after / before - 1) for before, after in pairs]


def _values(
    runs: QuerySet[VolumetryRun], version: tuple[str, str]
) -> dict[tuple[UUID, UUID | None, str], float]:
    """Return the headline numbers of a version; of two runs of a scan the newer counts."""
    headline = Q(pk__in=[])
    for structure, quantity in HEADLINES:
        if structure != "cord_segment" or quantity == "percent_change":
            headline |= Q(structure=structure, quantity=quantity)
    found = (
        Measurement.objects.filter(headline, run__in=runs)
        .filter(run__method=version[0], run__method_version=version[1])
        .order_by("run__finished_at", "pk")
        .values_list("run__image_id", "run__before_id", "structure", "value")
    )
    return {(image, before, structure): value for image, before, structure, value in found}


def measured_differently(runs: Iterable[MeasuredRun], active: Active) -> list[str]:
    """Return, in words, which scans were measured only by a version that is not followed.

    A number that silently stays off the trend would be worse than one that is late.
    """
    by_slot: dict[tuple[Slot, UUID], list[MeasuredRun]] = {}
    for run in runs:
        if run.before_id is None and run.status == Status.SUCCEEDED:
            slot = slot_of(run.method, is_pair=False)
            by_slot.setdefault((slot, run.image_id), []).append(run)
    left_out: dict[tuple[Slot, str, str], int] = {}
    for (slot, _), held in by_slot.items():
        if not any(run_counts(run, active) for run in held):
            key = (slot, held[-1].method, held[-1].method_version)
            left_out[key] = left_out.get(key, 0) + 1
    return [
        f"{count} scan{'s' if count > 1 else ''} measured with {method} {version} only: not on "
        f"the trend, which follows {' '.join(active[slot])}."
        for (slot, method, version), count in left_out.items()
    ]
