"""Reads of the contact sheet: many measurements at once, each beside the patient's own last."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db.models import F

from monitoring.models import Review
from monitoring.selectors.runs import RunCard, run_card
from volumetry.models import Measurement, RunFile, Status, VolumetryRun

SHEET_PICTURE = "qc.png"


@dataclass(frozen=True, slots=True)
class Step:
    """How far a number lies from the same patient's comparable number before, in percent."""

    percent: float
    since: date


@dataclass(frozen=True, slots=True)
class Tile:
    """One measurement of the contact sheet: where it stands and the picture that it drew."""

    card: RunCard
    picture: str
    step: Step | None


def sheet_tiles(runs: Iterable[VolumetryRun]) -> list[Tile]:
    """Return the tiles of runs that came from `review_queue`.

    Pictures and numbers of the scans before take one query each, however many runs there are.
    """
    held = list(runs)
    drawn = RunFile.objects.filter(run__in=held, name=SHEET_PICTURE)
    with_picture = set(drawn.values_list("run", flat=True))
    before = _numbers_before(held)
    return [
        Tile(
            card := run_card(run),
            SHEET_PICTURE if run.pk in with_picture else "",
            _step(card, before.get(run.image.scan.session.visit.patient_id, [])),
        )
        for run in held
    ]


def _numbers_before(runs: Sequence[VolumetryRun]) -> dict[UUID, list[dict[str, Any]]]:
    """Return what was measured on the patients of some runs, by patient, oldest first."""
    patients = {run.image.scan.session.visit.patient_id for run in runs}
    patient = "run__image__scan__session__visit__patient"
    rows = (
        Measurement.objects.filter(
            **{f"{patient}__in": patients}, run__status=Status.SUCCEEDED, run__before=None
        )
        .exclude(run__reviews__verdict=Review.Verdict.REJECTED)
        .order_by("run__image__scan__session__visit__date", "run__finished_at")
        .values(
            "structure",
            "quantity",
            "value",
            patient=F(patient),
            day=F("run__image__scan__session__visit__date"),
            epoch=F("run__image__scan__epoch"),
            method=F("run__method"),
            version=F("run__method_version"),
        )
    )
    found: dict[UUID, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["patient"], []).append(row)
    return found


def _step(card: RunCard, numbers: Sequence[dict[str, Any]]) -> Step | None:
    """Return how far a headline lies from the comparable number before; None without one."""
    run, headline = card.run, card.headline
    if headline is None or run.before_id:
        return None
    value = next(
        measure.value
        for measure in run.measurements.all()
        if (measure.structure, measure.quantity) == (headline.structure, headline.quantity)
    )
    same = {
        "structure": headline.structure,
        "quantity": headline.quantity,
        "epoch": run.image.scan.epoch_id,
        "method": run.method,
        "version": run.method_version,
    }
    day = run.image.scan.session.visit.date
    earlier = [
        row
        for row in numbers
        if row["day"] < day and all(row[name] == wanted for name, wanted in same.items())
    ]
    if not earlier:
        return None
    last = earlier[-1]
    return Step(percent=100.0 * (value / last["value"] - 1.0), since=last["day"])
