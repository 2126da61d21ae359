"""Reads of the upload pages: whom to upload for, what was recognised, what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Max, Prefetch, QuerySet

from monitoring.models import Clinic, Grant, Patient, Scan, Scanner, UploadDraft
from monitoring.models import Sequence as SequenceClass
from monitoring.selectors.runs import RunCard, run_card
from volumetry.models import VolumetryRun

if TYPE_CHECKING:
    from monitoring.models.people import Actor

BASIS_WORDS = {
    "timing": "by the timing in its header",
    "series name": "by the name of the series",
    "file name": "by the name of the file",
    "nothing": "nothing in the file tells",
}
# Facts of the header that a technician recognises a protocol by: key, word, unit.
FACT_WORDS = (
    ("manufacturer", "Manufacturer", ""),
    ("model", "Model", ""),
    ("field_strength_tesla", "Field strength", "T"),
    ("software", "Software", ""),
    ("coil", "Coil", ""),
    ("acquisition_type", "Acquisition", ""),
    ("repetition_time_ms", "Repetition time", "ms"),
    ("echo_time_ms", "Echo time", "ms"),
    ("inversion_time_ms", "Inversion time", "ms"),
    ("flip_angle_deg", "Flip angle", "°"),
    ("slice_thickness_mm", "Slice thickness", "mm"),
)
SCANNER_FACTS = ("manufacturer", "model", "field_strength_tesla", "serial_hash")


@dataclass(frozen=True, slots=True)
class SeriesView:
    """One recognised series of a draft, in words."""

    index: int
    number: int
    sequence: str
    sequence_word: str
    basis: str
    voxel: str
    field: str
    matrix: str
    coverage: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    measure_brain: bool
    measure_cord: bool
    names_scanner: bool
    question: str
    stated_date: date | None
    held: Scan | None

    @property
    def is_worth_keeping(self) -> bool:
        """Say whether the page proposes to keep it: new, and something can be measured."""
        return self.held is None and (
            self.measure_brain
            or self.measure_cord
            or self.sequence not in {SequenceClass.OTHER, SequenceClass.UNKNOWN}
        )


def patient_matches(
    actor: "Actor", clinic: Clinic, *, text: str, limit: int = 20
) -> list[Patient]:
    """Return patients of the clinic whose pseudonym holds a text, last seen first."""
    found = Patient.objects.visible_to(actor, grant=Grant.UPLOAD).filter(clinic=clinic)
    if text:
        found = found.filter(pseudonym__icontains=text)
    seen = found.annotate(last_visit=Max("visits__date"))
    return list(seen.order_by("-last_visit", "pseudonym")[:limit])


def drafts_waiting(patient: Patient) -> QuerySet[UploadDraft]:
    """Return uploads of a patient that nobody confirmed yet."""
    return UploadDraft.objects.filter(patient=patient, confirmed_at__isnull=True)


def uploads_recent(patient: Patient, *, limit: int = 5) -> list[UploadDraft]:
    """Return the newest confirmed uploads of a patient."""
    return list(
        UploadDraft.objects.filter(patient=patient, confirmed_at__isnull=False).order_by(
            "-confirmed_at"
        )[:limit]
    )


def scanner_names(clinic: Clinic) -> list[str]:
    """Return what the clinic calls its scanners."""
    return sorted(set(Scanner.objects.filter(clinic=clinic).values_list("name", flat=True)))


def series_list(draft: UploadDraft) -> list[SeriesView]:
    """Return the series of a draft in words, with the scans that the clinic already holds."""
    held_ids = [row["duplicate_of"] for row in draft.series if row["duplicate_of"]]
    held = {
        str(scan.pk): scan
        for scan in Scan.objects.filter(pk__in=held_ids, clinic=draft.clinic_id).select_related(
            "session__visit__patient"
        )
    }
    return [
        _series_view(row, number, draft, held.get(row["duplicate_of"]))
        for number, row in enumerate(draft.series, start=1)
    ]


def _series_view(
    row: Mapping[str, Any], number: int, draft: UploadDraft, held: Scan | None
) -> SeriesView:
    """Put one row of a draft into words."""
    facts = row["acquisition"]
    days_off = row.get("days_off", 0)
    return SeriesView(
        index=row["index"],
        number=number,
        sequence=row["sequence"],
        sequence_word=SequenceClass(row["sequence"]).label,
        basis=BASIS_WORDS.get(row["sequence_basis"], row["sequence_basis"]),
        voxel=sides_in_words(row["spacing_mm"], digits=2),
        field=sides_in_words(row["field_of_view_mm"], digits=0),
        matrix=" × ".join(str(side) for side in row["shape"]),
        coverage=row["coverage"],
        facts=facts_in_words(facts),
        notes=tuple(row["sentences"]),
        measure_brain=row["measure_brain"],
        measure_cord=row["measure_cord"],
        names_scanner=any(facts.get(name) for name in SCANNER_FACTS),
        question=row["question"],
        stated_date=draft.visit_date + timedelta(days=days_off) if days_off else None,
        held=held,
    )


def sides_in_words(sides: Sequence[float], *, digits: int) -> str:
    """Return "0.70 × 0.67 × 0.67 mm"."""
    return " × ".join(f"{float(side):.{digits}f}" for side in sides) + " mm"


def facts_in_words(acquisition: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the acquisition facts that are known, as word and value with unit."""
    known = []
    for key, word, unit in FACT_WORDS:
        value = acquisition.get(key)
        if value in (None, ""):
            continue
        text = f"{value:.4g}" if isinstance(value, int | float) else str(value)
        known.append((word, f"{text} {unit}".strip()))
    return tuple(known)


def visit_date_asked(series: Sequence[SeriesView]) -> tuple[bool, date | None]:
    """Say whether the date is in question, and which date all images agree on instead."""
    asked = [view for view in series if view.question and view.held is None]
    stated = {view.stated_date for view in asked}
    return bool(asked), stated.pop() if len(stated) == 1 else None


@dataclass(frozen=True, slots=True)
class UploadedScan:
    """A scan of an upload and where its measurements stand."""

    scan: Scan
    cards: tuple[RunCard, ...]


def uploaded_scans(draft: UploadDraft) -> list[UploadedScan]:
    """Return the scans that an upload made, with the runs that were requested for them."""
    asked = VolumetryRun.objects.filter(before__isnull=True).order_by("created_at")
    runs = asked.prefetch_related("measurements", "quality", "reviews__reviewer")
    scans = draft.scans.select_related("epoch__scanner", "image").prefetch_related(
        Prefetch("image__runs", queryset=runs)
    )
    return [
        UploadedScan(scan, tuple(run_card(run) for run in scan.image.runs.all()))
        for scan in scans
    ]
