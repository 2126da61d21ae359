"""The clinical course as it was entered: what counts now, and every earlier word."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.db.models import Q

from monitoring.core.functional_systems import edss_from_systems
from monitoring.models import (
    FUNCTIONAL_SYSTEMS,
    Assessment,
    LesionCount,
    Patient,
    PhenotypePeriod,
    Relapse,
    Treatment,
)
from monitoring.models.base import ClinicalFact, ClinicalFactQuerySet

# Name in the address, kind, what a person calls it.
KINDS: dict[str, tuple[type[ClinicalFact], str]] = {
    "assessment": (Assessment, "EDSS"),
    "relapse": (Relapse, "Relapse"),
    "treatment": (Treatment, "Treatment"),
    "phenotype": (PhenotypePeriod, "Course"),
    "lesions": (LesionCount, "Lesions"),
}

SYSTEM_WORDS = {
    "visual": "Visual",
    "brainstem": "Brainstem",
    "pyramidal": "Pyramidal",
    "cerebellar": "Cerebellar",
    "sensory": "Sensory",
    "bowel_bladder": "Bowel and bladder",
    "cerebral": "Cerebral",
    "ambulation": "Ambulation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FactLine:
    """One entry in words, with who entered it and what became of it."""

    pk: UUID
    kind: str
    label: str
    day: date
    words: str
    beside: str
    entered_by: str
    entered_at: datetime
    ended_at: datetime | None
    was_corrected: bool

    @property
    def is_current(self) -> bool:
        """Say whether it counts."""
        return self.ended_at is None


def fact_get(patient: Patient, *, kind: str, pk: UUID) -> ClinicalFact | None:
    """Return a fact of a patient that counts, None if there is none."""
    model = KINDS[kind][0]
    return _facts(patient, model).current().filter(pk=pk).first()


def fact_lines(patient: Patient) -> list[FactLine]:
    """Return every entry of a patient, newest day first, an earlier word after the later."""
    lines = [
        _line(kind, label, fact)
        for kind, (model, label) in KINDS.items()
        for fact in _facts(patient, model).select_related("entered_by", "superseded_by")
    ]
    return sorted(lines, key=lambda line: (line.day, line.entered_at), reverse=True)


def systems_span(fact: Assessment) -> str:
    """Return the EDSS that the scored systems allow, empty unless all were scored."""
    span = edss_from_systems({name: getattr(fact, name) for name in FUNCTIONAL_SYSTEMS})
    return str(span) if span else ""


def _facts(patient: Patient, model: type[ClinicalFact]) -> ClinicalFactQuerySet:
    """Return a patient's facts of one kind, earlier words included."""
    if model in {Assessment, LesionCount}:
        facts: ClinicalFactQuerySet = model.objects.filter(
            visit__patient=patient
        ).select_related("visit")
        return facts
    return model.objects.filter(Q(patient=patient))


def _line(kind: str, label: str, fact: ClinicalFact) -> FactLine:
    """Return an entry in words."""
    day, words, beside = _words(fact)
    return FactLine(
        pk=fact.pk,
        kind=kind,
        label=label,
        day=day,
        words=words,
        beside=beside,
        entered_by=fact.entered_by.get_username() if fact.entered_by else "",
        entered_at=fact.created_at,
        ended_at=fact.superseded_at,
        was_corrected=hasattr(fact, "superseded_by"),
    )


def _words(fact: ClinicalFact) -> tuple[date, str, str]:
    """Return day, words, and what stands beside them."""
    match fact:
        case Assessment():
            return fact.visit.date, f"EDSS {fact.edss}", _systems_words(fact)
        case Relapse():
            parts = [f"{fact.get_severity_display()} relapse"]
            parts += ["spinal"] if fact.is_spinal else []
            steroids = f"steroids from {fact.steroids_on}" if fact.steroids_on else ""
            return fact.onset, ", ".join(parts), steroids
        case Treatment():
            until = f"until {fact.ends_on}" if fact.ends_on else "ongoing"
            return (
                fact.starts_on,
                f"{fact.drug}, {until}",
                _joined(
                    [fact.get_efficacy_display(), fact.interruption_words, fact.stop_reason]
                ),
            )
        case PhenotypePeriod():
            return fact.starts_on, fact.phenotype, fact.get_phenotype_display()
        case LesionCount():
            where = f"{fact.get_region_display()}, {fact.get_kind_display()}"
            if fact.pattern == LesionCount.Pattern.FOCAL:
                return fact.visit.date, f"{fact.count} focal", where
            return fact.visit.date, f"Diffuse {'' if fact.is_present else 'not '}present", where
        case _:
            raise TypeError(f"{type(fact).__name__} has no words.")


def _systems_words(fact: Assessment) -> str:
    """Return the scored systems in words, and the EDSS that they allow."""
    scored = [
        f"{SYSTEM_WORDS[name].lower()} {getattr(fact, name)}"
        for name in FUNCTIONAL_SYSTEMS
        if getattr(fact, name) is not None
    ]
    span = systems_span(fact)
    return _joined([", ".join(scored), f"the systems give {span}" if span else ""])


def _joined(parts: Sequence[str]) -> str:
    """Return the parts that say something, with a semicolon between them."""
    return "; ".join(part for part in parts if part)
