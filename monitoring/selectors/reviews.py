"""Reads of the review pages: who waits for a reader, the own series, the prior, the views."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Case, Exists, IntegerField, OuterRef, Q, QuerySet, Value, When

from monitoring.models import Clinic, Grant, Review, Scan
from monitoring.selectors.methods import not_followed
from monitoring.selectors.observations import Point, patient_scans, point_list
from monitoring.selectors.runs import (
    EARLIER,
    SHOWN_UNITS,
    Number,
    decimals_for,
    rounded,
    run_details,
    run_headline,
)
from monitoring.selectors.scans import Picture, pictures_of
from volumetry.models import ACTIVE, Outcome, QualityResult, Status, VolumetryRun

if TYPE_CHECKING:
    from monitoring.models.people import Actor

JUDGED = (Outcome.OK, Outcome.NEEDS_LANDMARK)
LANDMARK, FAILED_CHECK, LOOK = 0, 1, 2
# Checks of a change that hold it against another way of measuring it.
DOUBTS = ("independent_difference", "gap_to_plain_difference", "direction_gap")
VIEWS_FILE = "views.json"
VIEWS_MAX_BYTES = 2_000_000


def review_queue(actor: "Actor", clinic: Clinic) -> QuerySet[VolumetryRun]:
    """Return the runs of a clinic that wait for a reader, the most urgent first.

    A landmark that is needed comes first (without it there is no number), then failed checks
    (the number waits for the reader), then what passed. Only the newest measurement of a scan
    by a method is asked about, and none for which a new run is already on its way. A change
    between two scans is asked about only in doubt: both scans were looked at already.
    """
    scans = Scan.objects.filter(clinic=clinic).visible_to(actor, grant=Grant.REVIEW_READ)
    # A method is one for pairs or for single scans, never both.
    same = VolumetryRun.objects.filter(
        Q(before=OuterRef("before")) | Q(before__isnull=True),
        image=OuterRef("image"),
        method=OuterRef("method"),
    )
    left_out = not_followed(clinic)
    newer = same.filter(
        status=Status.SUCCEEDED, outcome__in=JUDGED, finished_at__gt=OuterRef("finished_at")
    ).exclude(left_out)
    checks = QualityResult.objects.filter(run=OuterRef("pk"))
    failed = checks.filter(verdict="fail")
    doubted = checks.filter(Q(verdict="fail") | Q(verdict="warn", name__in=DOUBTS))
    return (
        VolumetryRun.objects.filter(
            image__scan__in=scans, status=Status.SUCCEEDED, outcome__in=JUDGED
        )
        .exclude(Exists(Review.objects.filter(run=OuterRef("pk"))))
        .exclude(Exists(newer))
        .exclude(left_out)
        .exclude(Q(before__isnull=False) & ~Exists(doubted))
        .exclude(Q(outcome=Outcome.NEEDS_LANDMARK) & Exists(same.filter(status__in=ACTIVE)))
        .annotate(
            urgency=Case(
                When(outcome=Outcome.NEEDS_LANDMARK, then=Value(LANDMARK)),
                When(Exists(failed), then=Value(FAILED_CHECK)),
                default=Value(LOOK),
                output_field=IntegerField(),
            )
        )
        .select_related("image__scan__session__visit__patient", EARLIER)
        .prefetch_related("measurements", "quality", "reviews__reviewer")
        .order_by("urgency", "finished_at", "pk")
    )


def reviews_recent(actor: "Actor", clinic: Clinic, *, limit: int = 10) -> list[Review]:
    """Return the last verdicts of a clinic."""
    scans = Scan.objects.filter(clinic=clinic).visible_to(actor, grant=Grant.REVIEW_READ)
    return list(
        Review.objects.filter(run__image__scan__in=scans)
        .select_related("reviewer", "run__image__scan__session__visit__patient")
        .order_by("-created_at", "-id")[:limit]
    )


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Where a run stands in the queue, and what lies beside it."""

    place: int | None
    total: int
    previous: UUID | None
    following: UUID | None

    @property
    def next(self) -> UUID | None:
        """Return where a verdict leads: onward, or back to what was skipped."""
        return self.following or self.previous


def review_neighbours(
    queue: QuerySet[VolumetryRun], pk: UUID, *, after: str = ""
) -> Neighbours:
    """Return what n and p lead to; a run that left the queue leads to its front.

    ``after`` is the id of a run that counts as looked at.
    """
    ids = [one for one in queue.values_list("pk", flat=True) if str(one) != after]
    if pk not in ids:
        return Neighbours(None, len(ids), None, ids[0] if ids else None)
    at = ids.index(pk)
    return Neighbours(
        place=at + 1,
        total=len(ids),
        previous=ids[at - 1] if at > 0 else None,
        following=ids[at + 1] if at + 1 < len(ids) else None,
    )


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One number of the patient's own series, beside the one under review."""

    point: Point
    percent_of_first: float | None
    value_text: str
    error_text: str
    is_this: bool
    breaks_here: bool


@dataclass(frozen=True, slots=True)
class OwnSeries:
    """The patient's own numbers of the structure under review, oldest first."""

    number: Number
    rows: tuple[SeriesRow, ...]


def own_series(run: VolumetryRun) -> OwnSeries | None:
    """Return the patient's series of the number that stands for a run; None without one.

    Beside a change stand the changes of other visits since the same scan.
    """
    number = run_headline(run)
    if number is None:
        return None
    patient = run.image.scan.session.visit.patient
    points = [
        point
        for point in point_list(patient_scans(patient))
        if (point.structure, point.quantity) == (number.structure, number.quantity)
        and point.before_scan_id == (run.before.scan.pk if run.before else None)
    ]
    return OwnSeries(number, _series_rows(points, run))


def _series_rows(points: Sequence[Point], run: VolumetryRun) -> tuple[SeriesRow, ...]:
    """Compare each point with the first one that counts and is comparable."""
    rows: list[SeriesRow] = []
    before: Point | None = None
    for point in points:
        base = next((p for p in points if p.series == point.series and not p.is_rejected), None)
        percent = None
        if base is not None and base is not point and point.since is None:
            percent = 100.0 * (point.value / base.value - 1.0)
        _, scale = SHOWN_UNITS.get(point.unit, (point.unit, 1.0))
        value = point.value * scale
        error = point.standard_error * scale if point.standard_error else None
        decimals = decimals_for(value, error)
        rows.append(
            SeriesRow(
                point=point,
                percent_of_first=percent,
                value_text=rounded(value, decimals),
                error_text=rounded(error, decimals) if error else "",
                is_this=point.run_id == run.pk,
                breaks_here=before is not None and before.series != point.series,
            )
        )
        before = point
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class Prior:
    """The same measurement on the scan before."""

    run: VolumetryRun
    scan: Scan
    number: Number | None
    picture: Picture | None


def prior_of(run: VolumetryRun) -> Prior | None:
    """Return the newest measurement by the same method on the visit before; None without.

    The picture of a change shows both scans already.
    """
    if run.before_id:
        return None
    scan = run.image.scan
    visit = scan.session.visit
    before = (
        run_details()
        .filter(
            method=run.method,
            status=Status.SUCCEEDED,
            outcome__in=JUDGED,
            image__scan__session__visit__patient=visit.patient_id,
            image__scan__session__visit__date__lt=visit.date,
        )
        .order_by("-image__scan__session__visit__date", "-finished_at")
        .first()
    )
    if before is None:
        return None
    pictures = pictures_of([file.name for file in before.files.all()])
    return Prior(
        run=before,
        scan=before.image.scan,
        number=run_headline(before),
        picture=pictures[0] if pictures else None,
    )


@dataclass(frozen=True, slots=True)
class View:
    """A picture on which a click is a point in the scan.

    ``pixel_to_world`` is the 3 x 3 matrix that takes (column, row, 1), pixel centres at
    integers, to world millimetres (RAS+). ``start`` is the pixel where a cross that is moved
    by keys begins: on the cord where it was found, a quarter of its way down.
    """

    file: str
    width: int
    height: int
    pixel_to_world: tuple[tuple[float, float, float], ...]
    start: tuple[float, float]

    def world_of(self, px: float, py: float) -> tuple[float, float, float]:
        """Return the world point of a pixel.

        Raises
        ------
        ValueError
            If the pixel lies outside the picture.
        """
        if not (-0.5 <= px <= self.width - 0.5 and -0.5 <= py <= self.height - 0.5):
            raise ValueError("The point lies outside the picture.")
        x, y, z = (row[0] * px + row[1] * py + row[2] for row in self.pixel_to_world)
        return (x, y, z)


def sagittal_view(run: VolumetryRun) -> View | None:
    """Return the sagittal view of a run, when it drew one that can be clicked."""
    files = {file.name: file for file in run.files.all()}
    described = files.get(VIEWS_FILE)
    if described is None:
        return None
    try:
        with described.file.open("rb") as stream:
            views = json.loads(stream.read(VIEWS_MAX_BYTES))
        view = _view(views["sagittal"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return view if view.file in files else None


def _view(described: dict[str, Any]) -> View:
    """Read one view of ``views.json``; wrong types and missing keys raise."""
    rows = [[float(value) for value in row] for row in described["pixel_to_world"]]
    if len(rows) != 3 or any(len(row) != 3 for row in rows):
        raise ValueError("pixel_to_world is a 3 x 3 matrix")
    width, height = int(described["width"]), int(described["height"])
    marks = {mark["kind"]: mark["points"] for mark in described.get("marks", [])}
    line = marks.get("centreline") or [[width / 2, height / 2]]
    x, y = (float(value) for value in line[len(line) // 4])
    return View(
        file=str(described["file"]),
        width=width,
        height=height,
        pixel_to_world=tuple((row[0], row[1], row[2]) for row in rows),
        start=(x, y),
    )
