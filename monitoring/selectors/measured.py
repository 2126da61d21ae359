"""Scans with what was measured on them, read as plain facts.

A course of sixty scans holds thousands of rows: runs, checks, numbers, verdicts. Making a model
instance of each takes longer than everything else that a page does, so they are read as tuples,
and of the checks only those that did not pass.
"""

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef

from monitoring.core.quality import observation_quality
from monitoring.core.types import Quality
from monitoring.models import Review, Scan, Sequence
from monitoring.models.scans import epoch_words
from volumetry.models import (
    ACTIVE,
    Measurement,
    Outcome,
    QualityResult,
    Status,
    VolumetryRun,
)

# Parameters that name a mask which a person gave, in words.
MARKS = {"correction": "outline corrected", "lesions": "lesions filled"}
# Outcomes of a run that stored numbers.
WITH_NUMBERS = frozenset({Outcome.OK.value, Outcome.NEEDS_LANDMARK.value})


class Number(NamedTuple):
    """One measured number with its unit and standard error."""

    structure: str
    quantity: str
    value: float
    unit: str
    standard_error: float | None


class Verdict(NamedTuple):
    """A reader's word on a run."""

    verdict: str
    reason: str
    reader: str
    at: datetime

    @property
    def reason_words(self) -> str:
        """Return why it was rejected, in words."""
        return str(Review.Reason(self.reason).label) if self.reason else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """One run: how it ended, what it measured, what checks and readers say.

    ``concerns`` are the checks that did not pass, as (verdict, words); ``marks`` says in words
    which masks a person gave; ``review`` is the latest word of a reader.
    """

    pk: UUID
    image_id: UUID
    has_image: bool
    before_id: UUID | None
    before_scan_id: UUID | None
    since: date | None
    method: str
    method_version: str
    status: str
    outcome: str
    reason: str
    finished_at: datetime | None
    is_checked: bool
    concerns: tuple[tuple[str, str], ...]
    numbers: tuple[Number, ...]
    review: Verdict | None
    marks: tuple[str, ...] = ()

    @property
    def task(self) -> tuple[str, UUID | None]:
        """Return what is measured: of two runs of an image with one task the newer counts."""
        return (self.method, self.before_id)

    @property
    def is_active(self) -> bool:
        """Say whether the run still waits or works."""
        return self.status in ACTIVE

    @property
    def has_numbers(self) -> bool:
        """Say whether the run ended with something measured."""
        return self.status == Status.SUCCEEDED and self.outcome in WITH_NUMBERS

    @property
    def quality(self) -> Quality | None:
        """Return the quality word; None while a failed check waits for a reader."""
        verdicts = {verdict for verdict, _ in self.concerns} or {"pass"}
        return observation_quality(
            verdicts if self.is_checked else (),
            person=self.review.verdict if self.review else None,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the words of the checks that did not pass."""
        return tuple(words for _, words in self.concerns)

    @property
    def get_status_display(self) -> str:
        """Return the state in words, under the name that the run badge asks for."""
        return str(Status(self.status).label)

    @property
    def get_outcome_display(self) -> str:
        """Return the outcome in words, under the name that the run badge asks for."""
        return str(Outcome(self.outcome).label) if self.outcome else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredScan:
    """One scan with its runs, oldest first; a merged epoch goes by the one it joined.

    ``finished`` are the runs with numbers of the methods that the clinic follows, in the order
    in which they ended.
    """

    pk: UUID
    image_id: UUID
    has_image: bool
    when: date
    sequence: str
    notes: tuple[str, ...]
    epoch_id: UUID
    epoch_label: str
    scanner: str
    runs: tuple[MeasuredRun, ...] = ()
    finished: tuple[MeasuredRun, ...] = ()

    @property
    def sequence_words(self) -> str:
        """Return the class of the series in words."""
        return str(Sequence(self.sequence).label)


def measured_scans(**which: Any) -> list[MeasuredScan]:
    """Return scans, oldest first, with their runs in any state.

    Parameters
    ----------
    **which
        Conditions on `Scan`, as a queryset's ``filter`` takes them. Who calls has made sure
        that the reader may see these scans.
    """
    epoch = ("pk", "scanner__name", "software", "protocol")
    own, joined = (
        [f"{at}__{name}" for name in epoch] for at in ("epoch", "epoch__merged_into")
    )
    rows = list(
        Scan.objects.filter(**which)
        .order_by("session__visit__date", "created_at")
        .values_list("pk", "image_id", "image__file", "session__visit__date", "sequence",
                     "notes", *own, *joined)
    )  # fmt: skip
    images = {
        image: _Image(scan=pk, when=when, has_file=bool(file))
        for pk, image, file, when, *_ in rows
    }
    runs: dict[UUID, list[MeasuredRun]] = {}
    for run in _runs(images, {f"image__scan__{name}": value for name, value in which.items()}):
        runs.setdefault(run.image_id, []).append(run)
    return [
        _scan(row[:6], row[10:] if row[10] else row[6:10], runs=runs.get(row[1], ()))
        for row in rows
    ]


class _Image(NamedTuple):
    """Where an image belongs."""

    scan: UUID
    when: date
    has_file: bool


def _scan(
    row: tuple[Any, ...], epoch: tuple[Any, ...], *, runs: Iterable[MeasuredRun]
) -> MeasuredScan:
    pk, image_id, file, when, sequence, notes = row
    epoch_id, scanner, software, protocol = epoch
    return MeasuredScan(
        pk=pk,
        image_id=image_id,
        has_image=bool(file),
        when=when,
        sequence=sequence,
        notes=tuple(str(note) for note in notes),
        epoch_id=epoch_id,
        epoch_label=epoch_words(scanner, software, protocol),
        scanner=scanner,
        runs=tuple(runs),
    )


def _runs(images: Mapping[UUID, _Image], of_image: Mapping[str, Any]) -> list[MeasuredRun]:
    """Return the runs of some images, oldest first.

    They are read before their numbers: of a run that ends meanwhile nothing is shown by halves.
    """
    rows = (
        VolumetryRun.objects.filter(**of_image)
        .order_by("created_at")
        .values_list(
            "pk", "image_id", "before_id", "method", "method_version", "status", "outcome",
            "reason", "finished_at", *(f"parameters__{name}" for name in MARKS),
            Exists(QualityResult.objects.filter(run=OuterRef("pk"))),
        )
    )  # fmt: skip
    of_run = {f"run__{name}": value for name, value in of_image.items()}
    known = [row for row in rows if row[1] in images]  # a scan may come in between
    ended = _ended([row[0] for row in known if row[5] == Status.SUCCEEDED], of_run)
    reviews = _reviews(of_run)
    befores = _befores(images, {row[2] for row in known if row[2]})
    return [
        MeasuredRun(
            pk=pk,
            image_id=image_id,
            has_image=images[image_id].has_file,
            before_id=before_id,
            before_scan_id=befores[before_id].scan if before_id in befores else None,
            since=befores[before_id].when if before_id in befores else None,
            method=method,
            method_version=version,
            status=status,
            outcome=outcome,
            reason=reason,
            finished_at=finished_at,
            is_checked=is_checked,
            concerns=ended[pk].concerns if pk in ended else (),
            numbers=ended[pk].numbers if pk in ended else (),
            review=reviews.get(pk),
            marks=tuple(
                words for words, given in zip(MARKS.values(), masks, strict=True) if given
            ),
        )
        for (
            pk, image_id, before_id, method, version, status, outcome, reason, finished_at,
            *masks, is_checked,
        ) in known
    ]  # fmt: skip


def _befores(images: Mapping[UUID, _Image], wanted: AbstractSet[UUID]) -> Mapping[UUID, _Image]:
    """Return where earlier images of pairs belong; asks only for those not read already."""
    missing = wanted - images.keys()
    if not missing:
        return images
    rows = Scan.objects.filter(image__in=missing).values_list(
        "image_id", "pk", "session__visit__date"
    )
    return {
        **images,
        **{image: _Image(scan=pk, when=when, has_file=True) for image, pk, when in rows},
    }


class Ended(NamedTuple):
    """What a run stored when it succeeded."""

    concerns: tuple[tuple[str, str], ...]
    numbers: tuple[Number, ...]


# By run, for this process. It cannot be out of date: numbers and checks are written together
# with the end of their run and never again (`AppendOnlyModel`, `TRANSITIONS`), a key is never
# used twice, and nothing reads a run within the transaction that ends it. Only who has found
# the run by what the reader may see asks for it. It holds numbers without a person, of erased
# people too, until the process ends or it is full.
ENDED_RUNS: dict[UUID, Ended] = {}
MOST_KEPT = 20_000  # runs, some 2 kB each


def _ended(succeeded: Collection[UUID], of_run: Mapping[str, Any]) -> Mapping[UUID, Ended]:
    """Return what runs stored; asks only when one of them was not read before."""
    # Another thread may empty it between two looks: each key is asked for once.
    found = {pk: kept for pk in succeeded if (kept := ENDED_RUNS.get(pk))}
    if len(found) == len(succeeded):
        return found
    concerns, numbers = _concerns(of_run), _numbers(of_run)
    found = {
        pk: Ended(tuple(concerns.get(pk, ())), tuple(numbers.get(pk, ()))) for pk in succeeded
    }
    if len(ENDED_RUNS) + len(found) > MOST_KEPT:
        ENDED_RUNS.clear()
    if len(found) <= MOST_KEPT:
        ENDED_RUNS.update(found)
    return found


def _concerns(of_run: Mapping[str, Any]) -> dict[UUID, list[tuple[str, str]]]:
    """Return, per run, the checks that did not pass."""
    found: dict[UUID, list[tuple[str, str]]] = {}
    rows = QualityResult.objects.filter(**of_run).exclude(verdict="pass").order_by("id")
    for run, verdict, name, sentence in rows.values_list(
        "run_id", "verdict", "name", "sentence"
    ):
        found.setdefault(run, []).append((verdict, sentence or name))
    return found


def _numbers(of_run: Mapping[str, Any]) -> dict[UUID, list[Number]]:
    """Return what each run measured."""
    found: dict[UUID, list[Number]] = {}
    rows = Measurement.objects.filter(**of_run).order_by("id")
    for run, *number in rows.values_list(
        "run_id", "structure", "quantity", "value", "unit", "standard_error"
    ):
        found.setdefault(run, []).append(Number(*number))
    return found


def _reviews(of_run: Mapping[str, Any]) -> dict[UUID, Verdict]:
    """Return the latest word of a reader on each run."""
    rows = Review.objects.filter(**of_run).order_by("created_at", "id")
    return {
        run: Verdict(verdict, reason, reader or "", at)
        for run, verdict, reason, reader, at in rows.values_list(
            "run_id", "verdict", "reason", "reviewer__username", "created_at"
        )
    }
