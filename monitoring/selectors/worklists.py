"""Reads of the worklist: one page of patients, most noteworthy first, and who comes next."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.utils import timezone

from monitoring.models import Attention, Clinic, Grant, Patient

if TYPE_CHECKING:
    from monitoring.models.people import Actor

ORDER = ("attention", "-attention_score", "last_scan_on", "pseudonym")
UPLOAD_ORDER = ("-runs_failed", "last_scan_on", "pseudonym")


class Show(StrEnum):
    """Which patients the list keeps."""

    ALL = "all"
    FLAG = "flag"
    WATCH = "watch"
    INSUFFICIENT = "insufficient"
    WAITING = "waiting"
    FAILED = "failed"
    OVERDUE = "overdue"


SHOW_WORDS = {
    Show.ALL: "All",
    Show.FLAG: "Flag",
    Show.WATCH: "Watch",
    Show.INSUFFICIENT: "Not yet assessable",
    Show.WAITING: "Waits for a reader",
    Show.FAILED: "Measurement failed",
    Show.OVERDUE: "Scan overdue",
}
CLINICAL = frozenset({Show.FLAG, Show.WATCH, Show.INSUFFICIENT})


@dataclass(frozen=True, slots=True)
class WorklistQuery:
    """What was typed and chosen; it lives in the address of the page."""

    search: str = ""
    show: Show = Show.ALL

    @classmethod
    def of(cls, parameters: "dict[str, str] | object", *, is_clinical: bool) -> "WorklistQuery":
        """Read the address; words that are none, or not for the role, choose nothing."""
        get = getattr(parameters, "get")  # noqa: B009 - QueryDict or dict
        try:
            show = Show(get("show", "") or Show.ALL)
        except ValueError:
            show = Show.ALL
        if show in CLINICAL and not is_clinical:
            show = Show.ALL
        return cls(search=str(get("q", "")).strip()[:40], show=show)

    @property
    def address(self) -> str:
        """Return the query string, empty where nothing is chosen."""
        chosen = {"q": self.search, "show": "" if self.show is Show.ALL else self.show.value}
        return urlencode({name: value for name, value in chosen.items() if value})

    @property
    def is_filtered(self) -> bool:
        """Say whether anything is chosen."""
        return bool(self.address)

    @property
    def words(self) -> str:
        """Name the filter, for an empty list."""
        parts = [f"“{self.search}”"] if self.search else []
        if self.show is not Show.ALL:
            parts.append(SHOW_WORDS[self.show].lower())
        return " and ".join(parts)


def worklist(
    actor: "Actor",
    clinic: Clinic,
    query: WorklistQuery,
    *,
    is_clinical: bool,
    today: date | None = None,
    grant: Grant = Grant.WORKLIST,
) -> QuerySet[Patient]:
    """Return the clinic's patients that a query keeps, most noteworthy first.

    Without the clinical columns the order says nothing about a level either.
    """
    patients = Patient.objects.visible_to(actor, grant=grant).filter(clinic=clinic)
    if query.search:
        patients = patients.filter(pseudonym__icontains=query.search)
    kept = _kept(query.show, clinic, today or timezone.localdate())
    return patients.filter(kept).order_by(*(ORDER if is_clinical else UPLOAD_ORDER))


def _kept(show: Show, clinic: Clinic, today: date) -> Q:
    """Return the condition of a filter."""
    match show:
        # By attention, which leads the list's index; controls have an attention of their own.
        case Show.FLAG:
            return Q(attention__in=[Attention.NEW_FLAG, Attention.FLAG])
        case Show.WATCH:
            return Q(attention__in=[Attention.NEW_WATCH, Attention.WATCH])
        case Show.INSUFFICIENT:
            return Q(level__in=["insufficient", "uncomputed"], attention__lt=Attention.CONTROL)
        case Show.WAITING:
            return Q(scans_waiting__gt=0)
        case Show.FAILED:
            return Q(runs_failed__gt=0)
        case Show.OVERDUE:
            due = months_before(today, clinic.scan_interval_months)
            return Q(last_scan_on__lt=due, attention__lt=Attention.CONTROL)
        case _:
            return Q()


def months_before(day: date, months: int) -> date:
    """Return the day some months earlier; the last of a shorter month.

    Examples
    --------
    >>> months_before(date(2026, 3, 31), 13)
    datetime.date(2025, 2, 28)
    """
    index = day.year * 12 + day.month - 1 - months
    year, month = divmod(index, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, min(day.day, last))
        except ValueError:
            continue
    raise ValueError(f"{months} months before {day} is no day.")


def neighbours(
    actor: "Actor", patient: Patient, query: WorklistQuery | None = None
) -> tuple[Patient | None, Patient | None]:
    """Return who stands before and after a patient on the clinical worklist.

    Both are None where the actor reads no courses in the patient's clinic.
    """
    asked = query or WorklistQuery()
    listed = worklist(actor, patient.clinic, asked, is_clinical=True, grant=Grant.PATIENT_READ)
    only = listed.only("pk", "pseudonym", "clinic_id")
    reverse = [name[1:] if name.startswith("-") else f"-{name}" for name in ORDER]
    after = _first(only, _beyond(patient, ORDER))
    before = _first(only.order_by(*reverse), _beyond(patient, reverse))
    return before, after


def _first(patients: QuerySet[Patient], branches: Iterable[Q]) -> Patient | None:
    """Return the first patient of the first branch that holds one.

    One query with all branches joined by "or" reads the whole clinic; each branch alone is a
    range of the worklist's index.
    """
    found = (patients.filter(branch).first() for branch in branches)
    return next((patient for patient in found if patient is not None), None)


def _beyond(patient: Patient, order: Iterable[str]) -> list[Q]:
    """Return the conditions "comes later in this order", the nearest patients first.

    Patients without a scan have an attention of their own, so that an empty day is only ever
    compared with an empty day.
    """
    branches: list[Q] = []
    same = Q()
    for name in order:
        column, is_falling = name.lstrip("-"), name.startswith("-")
        value = getattr(patient, column)
        if value is None:
            same &= Q(**{f"{column}__isnull": True})
            continue
        branches.append(same & Q(**{f"{column}__{'lt' if is_falling else 'gt'}": value}))
        same &= Q(**{column: value})
    return branches[::-1]
