"""Reads of the worklist: one page of patients, most noteworthy first, and who comes next."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import F, OrderBy, Q, QuerySet
from django.utils import timezone

from monitoring.models import Attention, Clinic, Grant, Patient

if TYPE_CHECKING:
    from monitoring.models.people import Actor

ORDER = ("attention", "-attention_score", "last_scan_on", "pseudonym")
UPLOAD_ORDER = ("-runs_failed", "last_scan_on", "pseudonym")
# The column that may be empty; who has no scan stands behind who has one.
OPTIONAL = "last_scan_on"
# A list longer than this is not counted to its end.
COUNTED = 1000
# So many matches of a search are named one by one.
FEW = 300


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
    Show.FAILED: "Failed or refused",
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
    visible = Patient.objects.visible_to(actor, grant=grant)
    patients: QuerySet[Patient] = visible.filter(clinic=clinic)
    if query.search:
        patients = _found(patients, query.search)
    kept = _kept(query.show, clinic, today or timezone.localdate())
    return _sorted(patients.filter(kept), order_of(is_clinical=is_clinical))


def _found(patients: QuerySet[Patient], search: str) -> QuerySet[Patient]:
    """Keep patients by a part of their code.

    Few are named one by one: asked for in order, a database would rather walk through the
    whole list than sort a handful.
    """
    matching = patients.filter(pseudonym__icontains=search)
    few = list(matching.order_by().values_list("pk", flat=True)[: FEW + 1])
    return matching if len(few) > FEW else patients.filter(pk__in=few)


def order_of(*, is_clinical: bool) -> tuple[str, ...]:
    """Return what the list is sorted by."""
    return ORDER if is_clinical else UPLOAD_ORDER


def _sorted(patients: QuerySet[Patient], order: Iterable[str]) -> QuerySet[Patient]:
    """Sort; databases disagree where an empty day goes, so the upload list says it.

    On the clinical list patients without a scan have an attention of their own, and the plain
    column lets every database walk its index.
    """
    columns = list(order)
    if "attention" in columns or "-attention" in columns:
        return patients.order_by(*columns)
    return patients.order_by(*(_column(name) for name in columns))


def _column(name: str) -> str | OrderBy:
    if name == OPTIONAL:
        return F(OPTIONAL).asc(nulls_last=True)
    return F(OPTIONAL).desc(nulls_first=True) if name == f"-{OPTIONAL}" else name


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


@dataclass(frozen=True, slots=True)
class WorklistPage:
    """Some rows of the list, and the patients beyond which it goes on either way.

    ``count`` is of the whole list; beyond `COUNTED` nobody counts and ``is_more`` holds.
    """

    rows: list[Patient]
    count: int
    is_more: bool
    before: UUID | None
    after: UUID | None


def list_page(
    patients: QuerySet[Patient],
    order: Iterable[str],
    *,
    size: int,
    after: Patient | None = None,
    before: Patient | None = None,
) -> WorklistPage:
    """Return the rows that follow a patient of the list, or lie before one; else the first.

    A page begins at a patient and not at a number: the hundredth page then costs what the
    first does, and a patient who moved up in between is not shown twice.

    Parameters
    ----------
    patients, order
        As `worklist` and `order_of` give them.
    size : int
        Rows of a page.
    after, before : Patient or None
        Where the page begins or ends, one of the two at most.
    """
    anchor, columns = after or before, list(order)
    if before is not None:
        columns = _reversed(columns)
    branches = _beyond(anchor, columns) if anchor else [Q()]
    found = _take(_sorted(patients, columns), branches, size + 1)
    has_more, rows = len(found) > size, found[:size]
    if before is not None:
        rows.reverse()
    first, last = (rows[0].pk, rows[-1].pk) if rows else (None, None)
    count = len(rows) if anchor is None and not has_more else _counted(patients)
    return WorklistPage(
        rows=rows,
        count=min(count, COUNTED),
        is_more=count > COUNTED,
        before=first if (after is not None or (before is not None and has_more)) else None,
        after=last if (before is not None or has_more) else None,
    )


def _counted(patients: QuerySet[Patient]) -> int:
    """Count up to one more than `COUNTED`: a database reads every row that it counts.

    Asked for a column of the list's indexes it reads those alone, not the patients.
    """
    return patients.order_by().values("pseudonym")[: COUNTED + 1].count()


def listed_patient(actor: "Actor", clinic: Clinic, pk: str | None) -> Patient | None:
    """Return a patient of the clinic by the id in an address; None where it names nobody."""
    try:
        wanted = UUID(pk or "")
    except ValueError:
        return None
    return Patient.objects.visible_to(actor).filter(clinic=clinic, pk=wanted).first()


def listed_beside(
    actor: "Actor", patient: Patient, query: WorklistQuery, *, is_next: bool
) -> Patient | None:
    """Return who stands after a patient on the clinical worklist, or before; None at its end.

    None too where the actor reads no courses in the patient's clinic.
    """
    listed = worklist(actor, patient.clinic, query, is_clinical=True, grant=Grant.PATIENT_READ)
    order = list(ORDER) if is_next else _reversed(ORDER)
    found = _take(_sorted(listed, order), _beyond(patient, order), 1)
    return found[0] if found else None


def _reversed(order: Iterable[str]) -> list[str]:
    return [name[1:] if name.startswith("-") else f"-{name}" for name in order]


def _take(patients: QuerySet[Patient], branches: Iterable[Q], size: int) -> list[Patient]:
    """Return the first patients of the branches, one after the other.

    One query with all branches joined by "or" reads the whole clinic; each branch alone is a
    range of the worklist's index.
    """
    found: list[Patient] = []
    for branch in branches:
        if len(found) < size:
            found += patients.filter(branch)[: size - len(found)]
    return found


def _beyond(patient: Patient, order: Iterable[str]) -> list[Q]:
    """Return the conditions "comes later in this order", the nearest patients first.

    Who has no scan stands behind who has one; read backwards, before them.
    """
    branches: list[Q] = []
    same = Q()
    for name in order:
        column, is_falling = name.lstrip("-"), name.startswith("-")
        value = getattr(patient, column)
        empty = Q(**{f"{column}__isnull": True})
        is_optional = column == OPTIONAL
        if value is None:
            if is_falling:
                branches.append(same & ~empty)
            same &= empty
            continue
        if is_optional and not is_falling:
            branches.append(same & empty)
        branches.append(same & Q(**{f"{column}__{'lt' if is_falling else 'gt'}": value}))
        same &= Q(**{column: value})
    return branches[::-1]
