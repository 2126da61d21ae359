"""Write the clinical course. A correction is a new row that supersedes the old one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from monitoring.models import (
    Assessment,
    AuditEntry,
    Grant,
    LesionCount,
    Patient,
    PhenotypePeriod,
    Relapse,
    Scan,
    Treatment,
)
from monitoring.models.base import ClinicalFact
from monitoring.services.audit import audit_record
from monitoring.services.patients import require_grant, visit_check, visit_ensure

if TYPE_CHECKING:
    from monitoring.models.people import Actor

Fact = TypeVar("Fact", bound=ClinicalFact)

# Where each kind of fact keeps its day, for the check against birth and today.
DAY_OF: dict[type[ClinicalFact], str] = {
    Relapse: "onset",
    Treatment: "starts_on",
    PhenotypePeriod: "starts_on",
}


def patient_of(fact: ClinicalFact) -> Patient:
    """Return the patient whom a fact is about."""
    if isinstance(fact, Assessment | LesionCount):
        return fact.visit.patient
    if isinstance(fact, Relapse | Treatment | PhenotypePeriod):
        return fact.patient
    raise TypeError(f"{type(fact).__name__} belongs to nobody.")


@transaction.atomic
def fact_record(*, actor: "Actor", fact: Fact, supersedes: Fact | None = None) -> Fact:
    """Record a clinical fact, in place of an older one when ``supersedes`` is given.

    Raises
    ------
    ValidationError
        If a value is impossible, with the reason per field; nothing is stored then.
    """
    patient = patient_of(fact)
    require_grant(actor, patient.clinic, Grant.CLINICAL_WRITE)
    day_field = DAY_OF.get(type(fact))
    if day_field:
        try:
            visit_check(patient, getattr(fact, day_field))
        except ValidationError as error:
            raise ValidationError({day_field: error.message_dict["date"]}) from error
    if supersedes is not None:
        _supersede(supersedes)
        fact.supersedes = supersedes
    fact.entered_by = actor if isinstance(actor, User) else None
    fact.full_clean(exclude=["supersedes", "entered_by"])
    fact.save()
    patient_touch(patient)
    audit_record(
        actor=actor,
        clinic=patient.clinic,
        action=AuditEntry.Action.CHANGE if supersedes else AuditEntry.Action.CREATE,
        subject=type(fact).__name__.lower(),
        object_id=fact.pk,
        pseudonym=patient.pseudonym,
    )
    return fact


@transaction.atomic
def fact_enter(
    *,
    actor: "Actor",
    patient: Patient,
    kind: type[Fact],
    values: Mapping[str, Any],
    supersedes: Fact | None = None,
) -> Fact:
    """Record what a form says about a patient; a visit that is new is added with the fact.

    ``values`` holds the fields of the fact, and ``date`` for a fact of a visit. A fact that is
    refused leaves no visit behind.
    """
    stated = dict(values)
    if "date" in stated:
        stated["visit"] = visit_ensure(actor=actor, patient=patient, day=stated.pop("date"))
    else:
        stated["patient"] = patient
    return fact_record(actor=actor, fact=kind(**stated), supersedes=supersedes)


@transaction.atomic
def fact_withdraw(*, actor: "Actor", fact: ClinicalFact) -> None:
    """Withdraw a fact that was entered by mistake; it stays in the history."""
    patient = patient_of(fact)
    require_grant(actor, patient.clinic, Grant.CLINICAL_WRITE)
    _supersede(fact)
    patient_touch(patient)
    audit_record(
        actor=actor,
        clinic=patient.clinic,
        action=AuditEntry.Action.CHANGE,
        subject=type(fact).__name__.lower(),
        object_id=fact.pk,
        pseudonym=patient.pseudonym,
        detail="withdrawn",
    )


def _supersede(fact: ClinicalFact) -> None:
    """Mark a fact as no longer current, unless somebody else just did."""
    changed = type(fact).objects.current().filter(pk=fact.pk)
    if not changed.update(superseded_at=timezone.now(), updated_at=timezone.now()):
        raise ValidationError("Somebody corrected this entry meanwhile; reload the page.")


def patient_touch(patient: Patient) -> None:
    """Note that a fact changed on which the patient's divergence depends."""
    patient.facts_changed_at = timezone.now()
    patient.save(update_fields=["facts_changed_at", "updated_at"])


def scan_touch(scan: Scan) -> None:
    """Note that the numbers of a scan, or what is said of them, changed: registries pull it."""
    scan.save(update_fields=["updated_at"])
    patient_touch(scan.session.visit.patient)
