"""Reads of the scan ledger: every scan of a clinic, its epoch, what was measured on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import (
    Count,
    F,
    FloatField,
    Max,
    Min,
    OuterRef,
    QuerySet,
    Subquery,
    UUIDField,
)

from monitoring.core.quality import observation_quality
from monitoring.models import Clinic, Grant, Review, Scan, Scanner, ScannerEpoch
from monitoring.selectors.methods import active_methods, not_followed, version_counts
from monitoring.selectors.observations import effective_epoch
from monitoring.selectors.runs import REGION_WORDS, RunCard, run_card, run_region
from monitoring.selectors.uploads import sides_in_words
from volumetry.models import Measurement, Outcome, Status, VolumetryRun

if TYPE_CHECKING:
    from monitoring.models.people import Actor

MEASURED = (Outcome.OK, Outcome.NEEDS_LANDMARK)
SORTS = {
    "date": ("session__visit__date", "created_at"),
    "patient": ("session__visit__patient__pseudonym", "session__visit__date"),
    "scanner": ("epoch__scanner__name", "session__visit__date"),
    "sequence": ("sequence", "session__visit__date"),
    "brain": ("brain_value", "session__visit__date"),
    "cord": ("cord_value", "session__visit__date"),
}
VERDICTS = {
    "waits": "Waits for a reader",
    "accepted": "Accepted",
    "rejected": "Rejected",
    "unread": "Not looked at",
    "unmeasured": "Not measured",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """What the ledger is narrowed to, as the address says it."""

    patient: str = ""
    scanner: UUID | None = None
    epoch: UUID | None = None
    sequence: str = ""
    verdict: str = ""
    since: date | None = None
    until: date | None = None
    sort: str = "-date"


@dataclass(frozen=True, slots=True)
class LedgerCell:
    """What the newest run of one method says of a scan."""

    card: RunCard
    quality: str


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One scan in the ledger."""

    scan: Scan
    epoch: ScannerEpoch
    voxel: str
    brain: tuple[LedgerCell, ...]
    cord: tuple[LedgerCell, ...]
    others: tuple[LedgerCell, ...]

    @property
    def cells(self) -> tuple[LedgerCell, ...]:
        """Return every cell of the row."""
        return (*self.brain, *self.cord, *self.others)


def ledger_scans(actor: "Actor", clinic: Clinic, *, wanted: LedgerFilter) -> QuerySet[Scan]:
    """Return the scans of a clinic that a filter leaves, in its order."""
    scans = Scan.objects.filter(clinic=clinic).visible_to(actor, grant=Grant.REVIEW_READ)
    if wanted.patient:
        scans = scans.filter(session__visit__patient__pseudonym__icontains=wanted.patient)
    if wanted.scanner:
        scans = scans.filter(epoch__scanner=wanted.scanner)
    if wanted.epoch:
        scans = scans.filter(epoch=wanted.epoch) | scans.filter(epoch__merged_into=wanted.epoch)
    if wanted.sequence:
        scans = scans.filter(sequence=wanted.sequence)
    if wanted.since:
        scans = scans.filter(session__visit__date__gte=wanted.since)
    if wanted.until:
        scans = scans.filter(session__visit__date__lte=wanted.until)
    return _sorted(
        _by_verdict(scans.annotate(**_newest_runs(clinic)), wanted.verdict), wanted.sort
    )


def _measured() -> QuerySet[VolumetryRun]:
    """Return runs that measured something, newest first."""
    return VolumetryRun.objects.filter(
        before__isnull=True, status=Status.SUCCEEDED, outcome__in=MEASURED
    ).order_by("-finished_at", "-pk")


def _newest_runs(clinic: Clinic) -> dict[str, Subquery]:
    """Return, per region, the newest run of a scan that counts, as an annotation."""
    counting = _measured().exclude(not_followed(clinic))
    return {
        f"{region}_run": Subquery(
            counting.filter(image=OuterRef("image"), method__contains=region).values("pk")[:1],
            output_field=UUIDField(),
        )
        for region in REGION_WORDS
    }


def _by_verdict(scans: QuerySet[Any], verdict: str) -> QuerySet[Any]:
    """Keep scans of which brain or cord has the verdict asked for."""
    if verdict not in VERDICTS:
        return scans
    if verdict == "unmeasured":
        return scans.filter(brain_run__isnull=True, cord_run__isnull=True)
    found = _runs_by_verdict(verdict).values("pk")
    return scans.filter(brain_run__in=found) | scans.filter(cord_run__in=found)


def _runs_by_verdict(verdict: str) -> QuerySet[VolumetryRun]:
    """Return measured runs whose latest verdict is the one asked for."""
    latest = Review.objects.filter(run=OuterRef("pk")).order_by("-created_at", "-id")
    runs = _measured().annotate(latest=Subquery(latest.values("verdict")[:1])).order_by()
    if verdict in Review.Verdict.values:
        return runs.filter(latest=verdict)
    open_runs = runs.filter(latest__isnull=True)
    waiting = open_runs.filter(quality__verdict="fail") | open_runs.filter(
        outcome=Outcome.NEEDS_LANDMARK
    )
    if verdict == "waits":
        return waiting.distinct()
    return open_runs.exclude(pk__in=waiting.values("pk"))


def _sorted(scans: QuerySet[Any], sort: str) -> QuerySet[Scan]:
    """Put scans in the order asked for; scans without the value come last."""
    name = sort.removeprefix("-")
    fields = SORTS.get(name, SORTS["date"])
    if name in {"brain", "cord"}:
        number = Measurement.objects.filter(run=OuterRef(f"{name}_run"))
        number = (
            number.filter(structure="brain_parenchyma", quantity="volume")
            if name == "brain"
            else number.filter(quantity="mean_csa").order_by("structure")
        )
        scans = scans.annotate(
            **{f"{name}_value": Subquery(number.values("value")[:1], output_field=FloatField())}
        )
    if sort.startswith("-"):
        order = [F(field).desc(nulls_last=True) for field in fields]
    else:
        order = [F(field).asc(nulls_last=True) for field in fields]
    return scans.order_by(*order, "pk")


def ledger_rows(scans: Iterable[Scan] | QuerySet[Scan]) -> list[LedgerRow]:
    """Return the rows of scans, with what their pages would say, in few queries."""
    ids = [scan.pk for scan in scans]
    known = {
        scan.pk: scan
        for scan in Scan.objects.filter(pk__in=ids).select_related(
            "session__visit__patient",
            "image",
            "epoch__scanner",
            "epoch__merged_into__scanner",
            "clinic",
        )
    }
    runs: dict[UUID, list[VolumetryRun]] = {}
    images = {scan.image_id: scan.image for scan in known.values()}
    active = {
        clinic: active_methods(clinic) for clinic in {s.clinic_id for s in known.values()}
    }
    clinic_of = {scan.image_id: scan.clinic_id for scan in known.values()}
    for run in (
        VolumetryRun.objects.exclude(status=Status.CANCELLED)
        .filter(image__scan__in=ids, before__isnull=True)
        .order_by("created_at")
        .prefetch_related("measurements", "quality", "reviews__reviewer")
    ):
        run.image = images[run.image_id]
        followed = active[clinic_of[run.image_id]]
        if run.is_active or version_counts(
            run.method, run.method_version, followed, is_pair=False,
            has_image=bool(run.image.file),
        ):  # fmt: skip
            runs.setdefault(run.image_id, []).append(run)
    return [_row(known[pk], runs.get(known[pk].image_id, [])) for pk in ids if pk in known]


def _row(scan: Scan, runs: Iterable[VolumetryRun]) -> LedgerRow:
    """Return the row of one scan: per method the newest run that measured, else the newest."""
    chosen: dict[str, VolumetryRun] = {}
    for run in runs:
        held = chosen.get(run.method)
        if held is None or not _has_measured(held) or _has_measured(run):
            chosen[run.method] = run
    cells: dict[str, list[LedgerCell]] = {}
    for run in chosen.values():
        cells.setdefault(run_region(run), []).append(_cell(run))
    return LedgerRow(
        scan=scan,
        epoch=effective_epoch(scan.epoch),
        voxel=sides_in_words(scan.image.spacing_mm, digits=1),
        brain=tuple(cells.get("brain", ())),
        cord=tuple(cells.get("cord", ())),
        others=tuple(cells.get("", ())),
    )


def _has_measured(run: VolumetryRun) -> bool:
    """Say whether a run ended with something measured."""
    return run.status == Status.SUCCEEDED and run.outcome in MEASURED


def _cell(run: VolumetryRun) -> LedgerCell:
    """Return what one run says, with the quality word that the model would use."""
    card = run_card(run)
    if not _has_measured(run):
        return LedgerCell(card, "")
    quality = observation_quality(
        [check.verdict for check in run.quality.all()],
        person=card.review.verdict if card.review else None,
    )
    return LedgerCell(card, quality.value if quality else "waits")


def scanners_of(clinic: Clinic) -> QuerySet[Scanner]:
    """Return the scanners of a clinic, for the filter."""
    return Scanner.objects.filter(clinic=clinic)


def epochs_of(actor: "Actor", clinic: Clinic) -> QuerySet[ScannerEpoch]:
    """Return the epochs of a clinic with their scans counted and dated, by scanner."""
    clinics = Clinic.objects.visible_to(actor, grant=Grant.EPOCHS_READ)
    return (
        ScannerEpoch.objects.filter(scanner__clinic=clinic, scanner__clinic__in=clinics)
        .select_related("scanner", "merged_into__scanner")
        .annotate(
            scan_count=Count("scans", distinct=True),
            first_day=Min("scans__session__visit__date"),
            last_day=Max("scans__session__visit__date"),
            merged_count=Count("merged", distinct=True),
        )
        .order_by("scanner__name", "first_day", "created_at")
    )
