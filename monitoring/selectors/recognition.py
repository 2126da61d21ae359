"""Compare what was recognised with the record: the patient, the date, scans held already."""

from dataclasses import asdict
from datetime import date
from typing import Any

from monitoring.models import Clinic, Patient, Scan, Sex
from monitoring.models import Sequence as SequenceClass
from volumetry.intake.types import IntakeRefused, RecognisedSeries, SubjectClaims


def claims_check(patient: Patient, claims: SubjectClaims | None) -> None:
    """Refuse images whose header describes another person; the claims are then forgotten."""
    if claims is None:
        return
    sexes = {"F": Sex.FEMALE, "M": Sex.MALE}
    stated = sexes.get(claims.sex or "")
    if stated and patient.sex not in (Sex.UNKNOWN, stated):
        raise IntakeRefused(
            "The images are of a person of the other sex than this patient's record; choose "
            "the right patient or correct the record."
        )
    # An age in years leaves the birth year open by one.
    if (
        claims.birth_year
        and patient.birth_year
        and abs(claims.birth_year - patient.birth_year) > 1
    ):
        raise IntakeRefused(
            "The images are of a person with another year of birth than this patient's record; "
            "choose the right patient or correct the record."
        )


def series_row(
    index: int, series: RecognisedSeries, clinic: Clinic, visit_date: date
) -> dict[str, Any]:
    """Return what the draft keeps of a series: JSON values, nothing that names a person."""
    held = scan_find_duplicate(clinic, sha256=series.sha256, series_hash=series.series_hash)
    may_be_t1 = series.sequence.value in {SequenceClass.T1, SequenceClass.UNKNOWN}
    days_off = _days_off(series.subject, visit_date)
    return {
        "index": index,
        "file": series.path.name,
        "sha256": series.sha256,
        "shape": list(series.shape),
        "spacing_mm": list(series.spacing_mm),
        "axcodes": "".join(series.axcodes),
        "field_of_view_mm": list(series.field_of_view_mm),
        "sequence": series.sequence.value,
        "sequence_basis": series.sequence_basis,
        "coverage": series.coverage.why,
        "measure_brain": series.may_hold_brain and may_be_t1,
        "measure_cord": series.may_hold_cord,
        "acquisition": asdict(series.acquisition),
        "series_hash": series.series_hash or "",
        "sentences": list(series.sentences),
        "days_off": days_off,
        "question": _date_question(days_off),
        "duplicate_of": str(held.pk) if held else "",
    }


def _days_off(claims: SubjectClaims | None, visit_date: date) -> int:
    """Return by how many days the header's date lies after the visit date; 0 if unknown."""
    if claims is None or claims.study_date is None:
        return 0
    return (claims.study_date - visit_date).days


def _date_question(days_off: int) -> str:
    """Return what the technician must answer when the header gives another day."""
    if not days_off:
        return ""
    side = "after" if days_off > 0 else "before"
    days = "1 day" if abs(days_off) == 1 else f"{abs(days_off)} days"
    return (
        f"The images say that they were taken {days} {side} the visit date. "
        "Correct the visit date, or confirm that it is right."
    )


def scan_find_duplicate(clinic: Clinic, *, sha256: str, series_hash: str | None) -> Scan | None:
    """Return the scan of the clinic that holds the same series, if any."""
    own = Scan.objects.filter(clinic=clinic)
    held = own.filter(content_sha256=sha256).first()
    if held is None and series_hash:
        held = own.filter(series_hash=series_hash).first()
    return held
