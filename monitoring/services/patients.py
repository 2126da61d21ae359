"""Write patients and visits."""

from datetime import date
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from monitoring.models import AuditEntry, Clinic, Grant, Patient, Sex, Visit
from monitoring.selectors.people import grants_in
from monitoring.services.audit import audit_record

if TYPE_CHECKING:
    from monitoring.models.people import Actor


TAKEN = "This pseudonym is already used in your clinic; open that patient."


def require_grant(actor: "Actor", clinic: Clinic, grant: Grant) -> None:
    """Raise PermissionDenied unless the actor holds a grant in the clinic."""
    if grant not in grants_in(actor, clinic):
        raise PermissionDenied(f"Your role may not {grant.label}.")


def patient_create(
    *,
    actor: "Actor",
    clinic: Clinic,
    pseudonym: str,
    sex: str = Sex.UNKNOWN,
    birth_year: int | None = None,
    onset_date: date | None = None,
) -> Patient:
    """Add a patient under a pseudonym that is new in the clinic.

    Raises
    ------
    ValidationError
        If the pseudonym is taken or a value is impossible.
    """
    require_grant(actor, clinic, Grant.PATIENT_WRITE)
    patient = Patient(
        clinic=clinic,
        pseudonym=pseudonym.strip(),
        sex=sex,
        birth_year=birth_year,
        onset_date=onset_date,
        is_synthetic=clinic.is_synthetic,
    )
    patient_check(patient)
    try:
        with transaction.atomic():
            patient.save()
            audit_record(
                actor=actor,
                clinic=clinic,
                action=AuditEntry.Action.CREATE,
                subject="patient",
                object_id=patient.pk,
                pseudonym=patient.pseudonym,
            )
    except IntegrityError as error:
        raise ValidationError({"pseudonym": TAKEN}) from error
    return patient


def patient_change(
    *,
    actor: "Actor",
    patient: Patient,
    pseudonym: str,
    sex: str,
    birth_year: int | None,
    onset_date: date | None,
) -> Patient:
    """Correct who a patient is.

    Raises
    ------
    ValidationError
        If the pseudonym is taken or a value is impossible; nothing is stored then.
    """
    require_grant(actor, patient.clinic, Grant.PATIENT_WRITE)
    known = {
        "pseudonym": pseudonym.strip(),
        "sex": sex,
        "birth_year": birth_year,
        "onset_date": onset_date,
    }
    changed = [name for name, value in known.items() if getattr(patient, name) != value]
    for name in changed:
        setattr(patient, name, known[name])
    patient_check(patient)
    if not changed:
        return patient
    try:
        with transaction.atomic():
            patient.save(update_fields=[*changed, "updated_at"])
            audit_record(
                actor=actor,
                clinic=patient.clinic,
                action=AuditEntry.Action.CHANGE,
                subject="patient",
                object_id=patient.pk,
                pseudonym=patient.pseudonym,
                detail=", ".join(changed),
            )
    except IntegrityError as error:
        raise ValidationError({"pseudonym": TAKEN}) from error
    return patient


def patient_check(patient: Patient) -> None:
    """Raise ValidationError, with the reason, for a patient who cannot be."""
    today = timezone.localdate()
    same = Patient.objects.filter(clinic=patient.clinic_id, pseudonym=patient.pseudonym)
    if same.exclude(pk=patient.pk).exists():
        raise ValidationError({"pseudonym": TAKEN})
    if patient.birth_year and patient.birth_year > today.year:
        raise ValidationError({"birth_year": "The birth year lies in the future."})
    if patient.onset_date and patient.onset_date > today:
        raise ValidationError({"onset_date": "The onset lies in the future."})
    if (
        patient.onset_date
        and patient.birth_year
        and patient.onset_date.year < patient.birth_year
    ):
        raise ValidationError({"onset_date": "The onset lies before the birth year."})
    patient.full_clean(validate_constraints=True)


def visit_check(patient: Patient, day: date) -> None:
    """Raise ValidationError for a visit that cannot have been."""
    if day > timezone.localdate():
        raise ValidationError({"date": "The visit lies in the future; check the date."})
    if patient.birth_year and day.year < patient.birth_year:
        raise ValidationError({"date": "The visit lies before the birth year; check the date."})


@transaction.atomic
def visit_ensure(*, actor: "Actor", patient: Patient, day: date) -> Visit:
    """Return the patient's visit of a day, adding it when it is new."""
    require_grant(actor, patient.clinic, Grant.PATIENT_WRITE)
    visit_check(patient, day)
    visit, created = Visit.objects.get_or_create(patient=patient, date=day)
    if created:
        audit_record(
            actor=actor,
            clinic=patient.clinic,
            action=AuditEntry.Action.CREATE,
            subject="visit",
            object_id=visit.pk,
            pseudonym=patient.pseudonym,
        )
    return visit
