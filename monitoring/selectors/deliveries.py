"""Reads of uploads on their way in: what arrived, what each visit of a clinic day holds.

The sender's names (folders, files, a patient number) are read from the scratch folder for the
eyes of those who sent them; they are in no row and go with the folder (docs/adr/0009).
"""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from monitoring.folders import delivery_place, draft_place
from monitoring.models import Clinic, DeliveredVisit, Delivery, Patient, UploadDraft
from monitoring.models import Sequence as SequenceClass
from monitoring.parts import Part, parts_list
from monitoring.selectors.recognition import series_row
from monitoring.selectors.uploads import SeriesView, series_list
from volumetry.intake.day import RefusedFile
from volumetry.intake.keeping import intake_read
from volumetry.models import VolumetryRun

SORTED = "sorted.json"
REFUSED = "refused.json"


@dataclass(frozen=True, slots=True)
class RunsSummary:
    """Where the measurements of a confirmed visit stand."""

    total: int
    words: str


@dataclass(frozen=True, slots=True)
class VisitCard:
    """One visit of a delivery as its page shows it.

    ``label`` and ``refused`` carry the sender's names; ``suggested`` is the patient whose
    pseudonym the sender's words hold.
    """

    visit: DeliveredVisit
    label: str
    files: int
    day: date | None
    suggested: Patient | None
    series: tuple[SeriesView, ...]
    refused: tuple[RefusedFile, ...]
    skipped: tuple[str, ...]
    runs: RunsSummary | None

    @property
    def draft(self) -> UploadDraft | None:
        """Return the draft that it became, if somebody said whose it is."""
        return self.visit.draft

    @property
    def is_confirmed(self) -> bool:
        """Say whether it is part of the record."""
        return self.draft is not None and self.draft.confirmed_at is not None

    @property
    def is_open(self) -> bool:
        """Say whether it waits for the technician's word."""
        return self.visit.state == DeliveredVisit.State.RECOGNISED and not self.is_confirmed

    @property
    def is_all_held(self) -> bool:
        """Say whether the clinic holds every image of it already."""
        return bool(self.series) and all(view.held for view in self.series)

    @property
    def needs_a_look(self) -> str:
        """Say why it cannot be confirmed at a glance; empty when it can."""
        new = [view for view in self.series if view.held is None]
        if any(view.sequence == SequenceClass.UNKNOWN for view in new):
            return "The weighting of a series was not recognised: look closer and choose it."
        if new and not any(view.is_worth_keeping for view in new):
            return "Nothing in it can be measured as it is: look closer to keep it anyway."
        return ""

    @property
    def needs_scanner(self) -> bool:
        """Say whether a file does not tell which scanner made it."""
        return any(view.held is None and not view.names_scanner for view in self.series)


def deliveries_open(clinic: Clinic) -> QuerySet[Delivery]:
    """Return deliveries of which something is not yet decided."""
    undecided = DeliveredVisit.objects.filter(delivery=OuterRef("pk")).exclude(
        Q(state=DeliveredVisit.State.REFUSED) | Q(draft__confirmed_at__isnull=False)
    )
    return Delivery.objects.filter(clinic=clinic).filter(
        Q(sorted_at__isnull=True) | Exists(undecided)
    )


def sorted_read(visit: DeliveredVisit) -> dict[str, Any]:
    """Return what was sorted into a visit, with the sender's words.

    Raises
    ------
    FileNotFoundError
        If its folder has gone.
    """
    path = draft_place(visit.folder) / SORTED
    said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return said


def delivery_refused(delivery: Delivery) -> list[RefusedFile]:
    """Return the files that belong to no visit, with the reason of each."""
    path = delivery_place(delivery.folder) / REFUSED
    if not path.is_file():
        return []
    return [RefusedFile(*one) for one in json.loads(path.read_text(encoding="utf-8"))]


def visit_cards(delivery: Delivery) -> list[VisitCard]:
    """Return the visits of a delivery in words."""
    rows = delivery.visits.select_related("draft__patient")
    return [_visit_card(visit, delivery.clinic) for visit in rows]


def visit_card(visit: DeliveredVisit) -> VisitCard:
    """Return one visit in words."""
    return _visit_card(visit, visit.delivery.clinic)


def _visit_card(visit: DeliveredVisit, clinic: Clinic) -> VisitCard:
    try:
        said = sorted_read(visit)
    except FileNotFoundError:
        said = {"label": "", "codes": [], "day": None, "files": [], "refused": []}
    day = date.fromisoformat(said["day"]) if said["day"] else None
    draft = visit.draft
    is_confirmed = draft is not None and draft.confirmed_at is not None
    series, skipped = _recognised(visit, clinic, day) if not is_confirmed else ((), ())
    return VisitCard(
        visit=visit,
        label=said["label"],
        files=len(said["files"]),
        day=draft.visit_date if draft else day,
        suggested=draft.patient if draft else patient_suggest(clinic, said["codes"]),
        series=series,
        refused=tuple(RefusedFile(*one) for one in said["refused"]),
        skipped=skipped,
        runs=_runs_summary(draft) if draft is not None and is_confirmed else None,
    )


def _recognised(
    visit: DeliveredVisit, clinic: Clinic, day: date | None
) -> tuple[tuple[SeriesView, ...], tuple[str, ...]]:
    """Return the series of a recognised visit in words, and what was left out."""
    if visit.state != DeliveredVisit.State.RECOGNISED:
        return (), ()
    try:
        found = intake_read(draft_place(visit.folder))
    except FileNotFoundError:
        return (), ()
    seen_on = day or timezone.localdate()
    shown = UploadDraft(clinic=clinic, visit_date=seen_on)
    shown.series = [
        series_row(index, series, clinic, seen_on) for index, series in enumerate(found.series)
    ]
    return tuple(series_list(shown)), found.skipped


def patient_suggest(clinic: Clinic, codes: list[str]) -> Patient | None:
    """Return the one patient of the clinic whose pseudonym is among the words."""
    found = list(Patient.objects.filter(clinic=clinic, pseudonym__in=codes)[:2])
    return found[0] if len(found) == 1 else None


def patient_by_code(clinic: Clinic, code: str) -> Patient | None:
    """Return the patient of a typed pseudonym; capitals count only where two differ by them."""
    own = Patient.objects.filter(clinic=clinic)
    exact = own.filter(pseudonym=code.strip()).first()
    if exact is not None:
        return exact
    alike = list(own.filter(pseudonym__iexact=code.strip())[:2])
    return alike[0] if len(alike) == 1 else None


def _runs_summary(draft: UploadDraft) -> RunsSummary:
    """Count the runs of a confirmed visit by what their badges say."""
    runs = VolumetryRun.objects.filter(image__scan__upload=draft, before__isnull=True)
    counts = Counter(str(run.get_status_display()).lower() for run in runs)
    words = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    return RunsSummary(sum(counts.values()), words)


@dataclass(frozen=True, slots=True)
class Arriving:
    """A delivery that has not arrived completely, for the page that continues it."""

    delivery: Delivery
    files: int
    complete: int
    size: int
    arrived: int


def deliveries_arriving(
    actor: User, clinic: Clinic, *, patient: Patient | None = None
) -> list[Arriving]:
    """Return what a person began to send, for one patient or for a clinic day, newest first."""
    began = Delivery.objects.filter(
        clinic=clinic, actor=actor, patient=patient, sorted_at__isnull=True
    )
    found = []
    for delivery in began[:5]:
        parts = delivery_parts(delivery)
        if parts:
            found.append(
                Arriving(
                    delivery,
                    files=len(parts),
                    complete=sum(part.is_complete for part in parts),
                    size=sum(part.size for part in parts),
                    arrived=sum(part.offset for part in parts),
                )
            )
    return found


def deliveries_undecided(clinic: Clinic) -> QuerySet[Delivery]:
    """Return sorted clinic days of which a visit waits for somebody's word."""
    return deliveries_open(clinic).filter(sorted_at__isnull=False)


def delivery_parts(delivery: Delivery) -> list[Part]:
    """Return the files of a delivery; none when its folder has gone."""
    folder = delivery_place(delivery.folder)
    return parts_list(folder) if folder.is_dir() else []
