"""Doorways: the record in the order of change. Every pull is written down with its rows."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from monitoring.api import records
from monitoring.api.answers import answer, documented, token_of
from monitoring.api.pagination import Page, Pull, PullQuery, page_take
from monitoring.models import (
    ApiToken,
    Assessment,
    AuditEntry,
    Grant,
    LesionCount,
    PhenotypePeriod,
    Relapse,
    Treatment,
)
from monitoring.models.base import ClinicalFact
from monitoring.selectors import registry
from monitoring.services.access import patient_open
from monitoring.services.audit import audit_record


class PullView(APIView):
    """One resource in the order of change."""

    required_grant = Grant.REGISTRY_READ
    throttle_scope = "pull"
    name: ClassVar[str]
    patient_path: ClassVar[str]
    clock: ClassVar[str] = "updated_at"
    record: ClassVar[type[records.Json]]

    def rows(self, token: ApiToken, pull: Pull) -> QuerySet[Any]:
        """Return what the token may pull."""
        raise NotImplementedError

    def split(self, rows: Any) -> tuple[list[Any], list[Any]]:
        """Return the live records of a page's rows, and the tombstones."""
        return list(rows), []

    def get(self, request: Request) -> Response:
        """Return one page."""
        token, pull = token_of(request), Pull.read(request)
        rows = self.rows(token, pull)
        if pull.patient is not None:
            patient_open(
                token, pull.patient, grant=self.required_grant, subject=f"api {self.name}"
            )
            rows = rows.filter(**{self.patient_path: pull.patient})
        page = page_take(rows, pull, clock=self.clock)
        live, deleted = self.split(page.rows)
        if pull.updated_since is None:
            deleted = []  # who pulls for the first time has nothing to delete
        audit_record(
            actor=token,
            clinic=token.clinic,
            action=AuditEntry.Action.EXPORT,
            subject=f"api {self.name}",
            detail=f"rows={len(live)} deleted={len(deleted)}",
        )
        return answer(
            {
                "next": _next(request, page),
                "next_updated_since": pull.next_updated_since,
                "results": self.record(live, many=True).data,
                "deleted": records.Tombstone(deleted, many=True).data,
            },
            is_synthetic=token.clinic.is_synthetic,
        )


def _next(request: Request, page: Page) -> str | None:
    """Return the address of the next page."""
    if page.next_cursor is None:
        return None
    here = request.build_absolute_uri()
    address: str = replace_query_param(here, "cursor", page.next_cursor.text())
    return address


class PatientPull(PullView):
    """Patients of the clinic."""

    name, patient_path, record = "patients", "pk", records.PatientRecord

    def rows(self, token: ApiToken, pull: Pull) -> QuerySet[Any]:
        """Return patients."""
        return registry.patients_of(token)


class VisitPull(PullView):
    """Visits."""

    name, patient_path, record = "visits", "patient", records.VisitRecord

    def rows(self, token: ApiToken, pull: Pull) -> QuerySet[Any]:
        """Return visits."""
        return registry.visits_of(token)


class FactPull(PullView):
    """Clinical facts: what counts, and what was superseded since."""

    kind: ClassVar[type[ClinicalFact]]

    def rows(self, token: ApiToken, pull: Pull) -> QuerySet[Any]:
        """Return facts; superseded ones only to who asks what changed."""
        facts = registry.facts_of(token, self.kind)
        return facts if pull.updated_since else facts.filter(superseded_at__isnull=True)

    def split(self, rows: Any) -> tuple[list[Any], list[Any]]:
        """Tell what counts from what was superseded or withdrawn."""
        live = [fact for fact in rows if fact.superseded_at is None]
        gone = [
            {"id": fact.pk, "deleted_at": fact.superseded_at}
            for fact in rows
            if fact.superseded_at is not None
        ]
        return live, gone


class AssessmentPull(FactPull):
    """EDSS with functional systems."""

    name, record, kind = "assessments", records.AssessmentRecord, Assessment
    patient_path = "visit__patient"


class RelapsePull(FactPull):
    """Relapses."""

    name, record, kind = "relapses", records.RelapseRecord, Relapse
    patient_path = "patient"


class TreatmentPull(FactPull):
    """Treatment periods."""

    name, record, kind = "treatments", records.TreatmentRecord, Treatment
    patient_path = "patient"


class PhenotypePull(FactPull):
    """Courses of disease over time."""

    name, record, kind = "phenotypes", records.PhenotypeRecord, PhenotypePeriod
    patient_path = "patient"


class LesionPull(FactPull):
    """Lesion statements."""

    name, record, kind = "lesions", records.LesionRecord, LesionCount
    patient_path = "visit__patient"


class ScanPull(PullView):
    """Scans and how they were acquired."""

    name, patient_path, record = "scans", "session__visit__patient", records.ScanRecord

    def rows(self, token: ApiToken, pull: Pull) -> QuerySet[Any]:
        """Return scans."""
        return registry.scans_of(token)


class MeasurementPull(PullView):
    """Measurements; a page holds all numbers of up to ``page_size`` scans."""

    name, patient_path = "measurements", "session__visit__patient"
    record = records.MeasurementRecord

    def rows(self, token: ApiToken, pull: Pull) -> QuerySet[Any]:
        """Return the scans whose numbers are sent."""
        return registry.scans_of(token)

    def split(self, rows: Any) -> tuple[list[Any], list[Any]]:
        """Tell numbers that count from those that a newer run replaced."""
        live, gone = registry.measurements_of_scans(rows)
        return list(live), list(gone)


class DivergencePull(PullView):
    """Divergence statements, each as it was stored; the newest of a patient counts."""

    name, patient_path, clock = "divergence", "patient", "created_at"
    record = records.DivergenceRecord

    def rows(self, token: ApiToken, pull: Pull) -> QuerySet[Any]:
        """Return statements."""
        return registry.estimates_of(token)


PULLS: tuple[type[PullView], ...] = (
    PatientPull,
    VisitPull,
    AssessmentPull,
    RelapsePull,
    TreatmentPull,
    PhenotypePull,
    LesionPull,
    ScanPull,
    MeasurementPull,
    DivergencePull,
)

for _view in PULLS:
    _title = _view.record.__name__.removesuffix("Record")
    extend_schema_view(
        get=extend_schema(
            operation_id=f"{_view.name}_pull",
            parameters=[PullQuery],
            responses=documented(
                {200: records.enveloped(_view.record, name=_title)}, problems=(400, 404)
            ),
            description=_view.__doc__,
            tags=["pull"],
        )
    )(_view)
