"""Doorway for files that arrive piece by piece: the server side of tus 1.0 (docs/adr/0009).

The protocol is https://tus.io/protocols/resumable-upload, with the extensions creation,
creation-with-upload, expiration and termination. Sign-in, grant and CSRF are those of every
page; one entry of the audit trail is made when the delivery begins.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.urls import path, reverse
from django.utils import timezone
from django.utils.http import http_date
from django.views.decorators.http import require_http_methods

from monitoring.folders import delivery_place
from monitoring.models import Delivery, Grant
from monitoring.parts import Part, PartMoved, part_append, part_open, part_remove
from monitoring.requests import ClinicRequest
from monitoring.selectors.deliveries import delivery_parts
from monitoring.services.access import delivery_open
from monitoring.services.deliveries import delivery_file_begin, delivery_file_refused
from volumetry.intake.types import IntakeRefused, Limits

P = ParamSpec("P")
VERSION = "1.0.0"
PIECE = "application/offset+octet-stream"
EXTENSIONS = "creation,creation-with-upload,expiration,termination"
LONGEST_METADATA = 8192


def tus(
    view: Callable[Concatenate[ClinicRequest, P], HttpResponse],
) -> Callable[Concatenate[ClinicRequest, P], HttpResponse]:
    """Name the protocol's version in every answer."""

    @wraps(view)
    def spoken(request: ClinicRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        answer = view(request, *args, **kwargs)
        answer["Tus-Resumable"] = VERSION
        return answer

    return cast("Callable[Concatenate[ClinicRequest, P], HttpResponse]", spoken)


def _other_version(request: ClinicRequest) -> HttpResponse | None:
    """Return the refusal of a client that speaks another version, or None."""
    if request.headers.get("Tus-Resumable") == VERSION:
        return None
    answer = HttpResponse("This address speaks tus 1.0.0.", status=412)
    answer["Tus-Version"] = VERSION
    return answer


@require_http_methods(["GET", "POST", "OPTIONS"])
@login_required
@tus
def delivery_files(request: ClinicRequest, pk: UUID) -> HttpResponse:
    """List what arrived, so that a page can continue it; or begin one more file."""
    delivery = delivery_open(request.user, pk, grant=Grant.UPLOAD)
    if request.method == "OPTIONS":
        answer = HttpResponse(status=204)
        answer["Tus-Version"], answer["Tus-Extension"] = VERSION, EXTENSIONS
        answer["Tus-Max-Size"] = str(Limits().max_upload_bytes)
        return answer
    if request.method == "POST":
        return _other_version(request) or _begin(request, delivery)
    files = [
        {
            "name": part.name,
            "size": part.size,
            "modified": part.modified,
            "offset": part.offset,
            "url": _address(delivery, part),
        }
        for part in delivery_parts(delivery)
    ]
    return JsonResponse({"files": files})


def _begin(request: ClinicRequest, delivery: Delivery) -> HttpResponse:
    """Make room for a file; its first bytes may come along."""
    size = _whole(request.headers.get("Upload-Length"))
    said = _metadata(request.headers.get("Upload-Metadata", ""))
    if size is None or said is None:
        return HttpResponse("Say the file's length and name.", status=400)
    name = said.get("filename", "file")
    try:
        part = delivery_file_begin(
            delivery, name=name, size=size, modified=_whole(said.get("modified")) or 0
        )
    except IntakeRefused as refusal:
        if delivery.is_day and delivery.sorted_at is None:
            delivery_file_refused(delivery, name=name, sentence=str(refusal))
        return HttpResponse(str(refusal), status=413, content_type="text/plain")
    answer = (
        _taken(request, delivery, part, offset=0) if request.content_type == PIECE else None
    )
    if answer is not None and answer.status_code != 204:
        return answer
    answer = _says(HttpResponse(status=201), delivery, part)
    answer["Location"] = _address(delivery, part)
    return answer


@require_http_methods(["HEAD", "PATCH", "DELETE"])
@login_required
@tus
def delivery_file(request: ClinicRequest, pk: UUID, part_pk: UUID) -> HttpResponse:
    """Say how far a file is, take its next piece, or forget it."""
    delivery = delivery_open(request.user, pk, grant=Grant.UPLOAD)
    refusal = _other_version(request)
    if refusal is not None:
        return refusal
    try:
        part = part_open(delivery_place(delivery.folder), part_pk)
    except FileNotFoundError:
        raise Http404("No such file in this upload.") from None
    if request.method == "HEAD":
        answer = _says(HttpResponse(status=200), delivery, part)
        answer["Upload-Length"] = str(part.size)
        return answer
    if request.method == "DELETE":
        part_remove(part)
        return HttpResponse(status=204)
    if request.content_type != PIECE:
        return HttpResponse(f"A piece is sent as {PIECE}.", status=415)
    offset = _whole(request.headers.get("Upload-Offset"))
    if offset is None:
        return HttpResponse("Say where the piece begins.", status=400)
    return _taken(request, delivery, part, offset=offset)


def _taken(
    request: ClinicRequest, delivery: Delivery, part: Part, *, offset: int
) -> HttpResponse:
    """Write a piece to its file; what arrived before the connection broke stays."""
    length = _whole(request.headers.get("Content-Length"))
    if length is not None and offset + length > part.size:
        return HttpResponse("The piece reaches beyond the end of its file.", status=413)
    try:
        part_append(part, offset=offset, read=request.read)
    except PartMoved:
        return HttpResponse("The file does not end there.", status=409)
    except (UnreadablePostError, RequestDataTooBig):
        return HttpResponse("The connection broke; send the rest.", status=400)
    return _says(HttpResponse(status=204), delivery, part)


def _says(answer: HttpResponse, delivery: Delivery, part: Part) -> HttpResponse:
    """Say how much there is and until when it is kept."""
    answer["Upload-Offset"] = str(part.offset)
    until = timezone.now() + timedelta(hours=settings.UPLOAD_DRAFT_HOURS)
    answer["Upload-Expires"] = http_date(until.timestamp())
    return answer


def _address(delivery: Delivery, part: Part) -> str:
    return reverse("delivery_file", args=[delivery.pk, part.pk])


def _whole(text: str | None) -> int | None:
    """Return a number of bytes or milliseconds, or None."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


def _metadata(text: str) -> dict[str, str] | None:
    """Return the metadata of a file: "key base64, key base64"; None when it is broken."""
    if len(text) > LONGEST_METADATA:
        return None
    found = {}
    for pair in filter(None, (one.strip() for one in text.split(","))):
        key, _, value = pair.partition(" ")
        try:
            found[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
    return found


urlpatterns = [
    path("deliveries/<uuid:pk>/files/", delivery_files, name="delivery_files"),
    path("deliveries/<uuid:pk>/files/<uuid:part_pk>/", delivery_file, name="delivery_file"),
]
