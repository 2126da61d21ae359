"""Errors as RFC 9457 problem details: one sentence that says what is wrong and what to do."""

from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from volumetry.core.errors import VolumetryError

PROBLEM_TYPE = "application/problem+json"


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return a problem document for an error that a caller can act on."""
    response = exception_handler(_known(error), context)
    if response is None:
        return None
    known = _known(error)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _title(response.status_code),
        "status": response.status_code,
        "detail": _sentence(known),
        "instance": context["request"].path,
    }
    pointers = _pointers(response.data)
    if pointers:
        body["errors"] = pointers
    response.data = body
    response.content_type = PROBLEM_TYPE
    return response


def _known(error: Exception) -> Exception:
    """Return the framework's error for one of ours."""
    match error:
        case ValidationError():
            return exceptions.ValidationError(
                error.message_dict if hasattr(error, "error_dict") else error.messages
            )
        case VolumetryError():
            return exceptions.ValidationError({"files": [str(error)]})
        case _:
            return error


def _title(code: int) -> str:
    """Return the short name of a status code."""
    names = {
        status.HTTP_400_BAD_REQUEST: "Not accepted",
        status.HTTP_401_UNAUTHORIZED: "Token needed",
        status.HTTP_403_FORBIDDEN: "Not allowed",
        status.HTTP_404_NOT_FOUND: "Not found",
        status.HTTP_405_METHOD_NOT_ALLOWED: "Method not allowed",
        status.HTTP_406_NOT_ACCEPTABLE: "Not acceptable",
        status.HTTP_409_CONFLICT: "Conflict",
        status.HTTP_415_UNSUPPORTED_MEDIA_TYPE: "Unsupported media type",
        status.HTTP_422_UNPROCESSABLE_ENTITY: "Key used before",
        status.HTTP_429_TOO_MANY_REQUESTS: "Too many requests",
    }
    return names.get(code, "Error")


def _sentence(error: Exception) -> str:
    """Return one sentence for a person."""
    if isinstance(error, Http404):
        return str(error) or "There is no such record in your clinic."
    if isinstance(error, PermissionDenied):
        return str(error) or "The role of this token does not allow it."
    if isinstance(error, exceptions.ValidationError):
        first = _pointers(error.detail)
        return first[0]["detail"] if first else "The request was not accepted."
    return str(getattr(error, "detail", error))


def _pointers(data: Any, path: str = "") -> list[dict[str, str]]:
    """Return the field errors with JSON pointers."""
    if isinstance(data, dict):
        return [
            entry
            for key, value in data.items()
            if key != "detail"
            for entry in _pointers(value, f"{path}/{key}")
        ]
    if isinstance(data, list):
        return [entry for value in data for entry in _pointers(value, path)]
    return [{"pointer": path or "/", "detail": str(data)}]
