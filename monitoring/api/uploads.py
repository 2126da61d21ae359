"""Doorway: an upload, which does what the page does, once per Idempotency-Key."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.api import records
from monitoring.api.answers import documented, said, token_of
from monitoring.api.objects import run_record
from monitoring.models import AuditEntry, Grant, Patient, Scan
from monitoring.receiving import received_files
from monitoring.services import idempotency
from monitoring.services.access import patient_open
from monitoring.services.uploads import scan_upload
from volumetry.tasks import run_enqueue

KEY_HEADER = "Idempotency-Key"
PIECE = 1 << 20


class UploadRequest(serializers.Serializer[Any]):
    """What an upload sends, as multipart/form-data."""

    patient = serializers.UUIDField(help_text="Id of the patient")
    visit_date = serializers.DateField(help_text="Day of the scan, ISO 8601")
    scanner_name = serializers.CharField(
        required=False,
        max_length=80,
        default="",
        allow_blank=True,
        help_text="What the clinic calls the scanner; needed where the images do not say",
    )
    visit_date_is_right = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Say true when the images state another day and the visit date is right",
    )
    files = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True),
        allow_empty=False,
        help_text="NIfTI files (.nii, .nii.gz), a zip of DICOM or NIfTI files, or DICOM files",
    )


class UploadedScan(records.Json):
    """A scan that the clinic now holds, and its measurements."""

    id = serializers.UUIDField()
    patient = serializers.UUIDField()
    visit = serializers.UUIDField()
    date = serializers.DateField()
    sequence = serializers.CharField()
    notes = serializers.ListField(child=serializers.CharField())
    is_duplicate = serializers.BooleanField(
        help_text="The clinic held this scan already, perhaps of another visit or patient"
    )
    runs = records.RunRecord(many=True)


class UploadAnswer(records.Json):
    """What became of an upload."""

    intended_use = serializers.CharField()
    is_synthetic = serializers.BooleanField()
    scans = UploadedScan(many=True)


class KeyConflict(exceptions.APIException):
    """The first request with this key is still being answered."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "The same request is still being answered; ask again in a moment."


class KeyMismatch(exceptions.APIException):
    """A key was used for another request."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = (
        "This Idempotency-Key stands for another request; make a new key for a new upload."
    )


class UploadList(APIView):
    """Uploads."""

    required_grant = Grant.UPLOAD
    throttle_scope = "upload"
    parser_classes = (MultiPartParser,)

    @extend_schema(
        operation_id="upload",
        tags=["upload"],
        request={"multipart/form-data": UploadRequest},
        parameters=[
            OpenApiParameter(
                KEY_HEADER,
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="A key of your own, at most 80 characters: the same request sent "
                "again within 24 hours gets the same answer and stores nothing.",
            )
        ],
        responses=documented({201: UploadAnswer}, problems=(400, 404, 409, 422)),
    )
    def post(self, request: Request) -> Response:
        """Store the images of one visit and ask for their measurement, in one step.

        What was recognised is taken as the choice. A refusal (400) stores nothing and says in
        one sentence what is wrong.
        """
        with received_files(request) as files:
            key = request.headers.get(KEY_HEADER, "")
            if not key:
                return Response(self._store(request, files), status=status.HTTP_201_CREATED)
            return self._once(request, files, key=key)

    def _once(
        self, request: Request, files: Sequence[tuple[str, Path]], *, key: str
    ) -> Response:
        """Answer the first request of a key, and give that answer again."""
        if len(key) > 80:
            raise serializers.ValidationError(
                {KEY_HEADER: ["An Idempotency-Key has at most 80 characters."]}
            )
        digest = request_digest(request.POST.dict(), files)
        try:
            claim = idempotency.request_claim(token=token_of(request), key=key, digest=digest)
        except idempotency.StillRunning as error:
            raise KeyConflict from error
        except idempotency.KeyReused as error:
            raise KeyMismatch from error
        if claim.status is not None:
            return Response(
                claim.answer, status=claim.status, headers={"Idempotent-Replayed": "true"}
            )
        try:
            stored = self._store(request, files)
        except BaseException:
            idempotency.request_abandoned(claim)
            raise
        idempotency.request_answered(claim, status=status.HTTP_201_CREATED, answer=stored)
        return Response(stored, status=status.HTTP_201_CREATED)

    def _store(self, request: Request, files: Sequence[tuple[str, Path]]) -> dict[str, Any]:
        """Store the upload and ring the worker; return what the caller reads."""
        asked = UploadRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        token, began = token_of(request), timezone.now()
        patient = patient_open(
            token,
            asked.validated_data["patient"],
            grant=self.required_grant,
            action=AuditEntry.Action.UPLOAD,
        )
        try:
            stored = scan_upload(
                actor=token,
                patient=patient,
                visit_date=asked.validated_data["visit_date"],
                files=files,
                scanner_name=asked.validated_data["scanner_name"],
                visit_date_is_right=asked.validated_data["visit_date_is_right"],
            )
        except ValidationError as error:
            raise _in_words_of_the_request(error) from error
        for _scan, runs in stored:
            for run in runs:
                run_enqueue(run.pk)
        scans = [_scan_record(request, scan, began=began) for scan, _runs in stored]
        return {**said(is_synthetic=patient.is_synthetic), "scans": scans}


def _in_words_of_the_request(error: ValidationError) -> ValidationError:
    """Return an error of the record with the name that the field has in an upload."""
    if not hasattr(error, "error_dict"):
        return error
    names = {"date": "visit_date"}
    return ValidationError({names.get(k, k): v for k, v in error.message_dict.items()})


def _scan_record(request: Request, scan: Scan, *, began: datetime) -> dict[str, Any]:
    """Return a stored scan as JSON; one that was held before the request is a duplicate."""
    patient: Patient = scan.session.visit.patient
    facts = {
        "id": scan.pk,
        "patient": patient.pk,
        "visit": scan.session.visit_id,
        "date": scan.session.visit.date,
        "sequence": scan.sequence,
        "notes": scan.notes,
        "is_duplicate": scan.created_at < began,
        "runs": [
            run_record(request, run=run, scan=scan, patient=patient)
            for run in scan.image.runs.filter(before__isnull=True).order_by("created_at")
        ],
    }
    # Plain JSON values: the answer is kept as it was sent.
    plain: dict[str, Any] = json.loads(JSONRenderer().render(UploadedScan(facts).data))
    return plain


def request_digest(fields: dict[str, Any], files: Sequence[tuple[str, Path]]) -> str:
    """Return the SHA-256 of what was sent, whatever boundary the client chose."""
    words = {name: value for name, value in fields.items() if isinstance(value, str)}
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for name, path in files:
        content = hashlib.sha256()
        with path.open("rb") as stream:
            while piece := stream.read(PIECE):
                content.update(piece)
        digest.update(f"{name}\x1f{content.hexdigest()}\x1e".encode())
    return digest.hexdigest()
