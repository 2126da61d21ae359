"""Doorways: one patient, one patient's divergence, one run."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.api import records
from monitoring.api.answers import answer, described, documented, token_of
from monitoring.models import Grant, Patient, Scan
from monitoring.selectors.masks import given_hashes, lesion_facts
from monitoring.services.access import patient_open, run_open
from volumetry.models import VolumetryRun


class PatientObject(APIView):
    """One patient."""

    required_grant = Grant.REGISTRY_READ
    throttle_scope = "pull"

    @extend_schema(
        operation_id="patient",
        tags=["patient"],
        responses=documented(
            {200: described(records.PatientRecord, name="patient")}, problems=(404,)
        ),
    )
    def get(self, request: Request, pk: UUID) -> Response:
        """Return a patient of the token's clinic."""
        patient = patient_open(token_of(request), pk, grant=self.required_grant)
        return answer(
            {"patient": records.PatientRecord(patient).data},
            is_synthetic=patient.is_synthetic,
        )


class PatientDivergence(APIView):
    """What was ever stated about one patient's divergence."""

    required_grant = Grant.REGISTRY_READ
    throttle_scope = "pull"

    @extend_schema(
        operation_id="patient_divergence",
        tags=["patient"],
        responses=documented(
            {200: described(records.DivergenceHistory, name="divergence")}, problems=(404,)
        ),
    )
    def get(self, request: Request, pk: UUID) -> Response:
        """Return the statement that counts, the ones before it, and the changes of level."""
        patient = patient_open(
            token_of(request), pk, grant=self.required_grant, subject="divergence"
        )
        history = {
            "latest": patient.estimates.select_related("patient").last(),
            "history": patient.estimates.select_related("patient"),
            "flags": patient.flags.order_by("created_at"),
            "not_computed_because": patient.divergence_error or None,
        }
        return answer(
            {"divergence": records.DivergenceHistory(history).data},
            is_synthetic=patient.is_synthetic,
        )


class RunObject(APIView):
    """The state of one measurement run."""

    required_grant = Grant.RUN_READ
    throttle_scope = "pull"

    @extend_schema(
        operation_id="run",
        tags=["upload"],
        responses=documented({200: described(records.RunRecord, name="run")}, problems=(404,)),
    )
    def get(self, request: Request, pk: UUID) -> Response:
        """Return what a run does, or how it ended."""
        run, scan = run_open(token_of(request), pk, grant=self.required_grant)
        patient = scan.session.visit.patient
        return answer(
            {"run": run_record(request, run=run, scan=scan, patient=patient)},
            is_synthetic=patient.is_synthetic,
        )


def run_record(
    request: Request, *, run: VolumetryRun, scan: Scan, patient: Patient
) -> dict[str, Any]:
    """Return a run as JSON, with its address."""
    volume, count = lesion_facts(run)
    facts = {
        "id": run.pk,
        "url": request.build_absolute_uri(reverse("api_run", args=[run.pk])),
        "scan": scan.pk,
        "patient": patient.pk,
        "method": run.method,
        "method_version": run.method_version,
        "status": run.status,
        "outcome": run.outcome or None,
        "reason": run.reason or None,
        "step": run.step or None,
        "attempt": run.attempt,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "seconds": run.seconds,
        "given_masks": given_hashes(run),
        "lesion_volume_mm3": volume,
        "lesion_count": count,
        "is_synthetic": patient.is_synthetic,
    }
    return dict(records.RunRecord(facts).data)


class Nowhere(APIView):
    """An address that the API does not have: a problem document, not a page."""

    required_grant = Grant.REGISTRY_READ
    permission_classes = ()
    authentication_classes = ()

    @extend_schema(exclude=True)
    def get(self, request: Request, **_kwargs: str) -> Response:
        """Refuse."""
        raise NotFound("The API has no such address; see /api/v1/schema/. Addresses end in /.")

    post = put = patch = delete = get
