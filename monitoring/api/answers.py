"""What every answer of the API carries, and what its errors look like in the document."""

from typing import Any, TypeAlias

from django.conf import settings
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring.models import ApiToken


class ProblemPointer(serializers.Serializer[Any]):
    """Where in the request the error lies."""

    pointer = serializers.CharField()
    detail = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """An error after RFC 9457: one sentence that says what is wrong and what to do."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    # A field of this name hides a property of the base class that only input serializers use.
    errors = ProblemPointer(many=True, required=False)  # type: ignore[assignment]


_PROBLEMS = {
    400: "The request was not accepted.",
    401: "No token, or one that is unknown, expired or revoked.",
    403: "The role of the token does not allow it.",
    404: "No such record in the clinic of the token.",
    409: "The same request is still being answered.",
    422: "The same Idempotency-Key came with another request.",
    429: "Too many requests; see Retry-After.",
}


Answers: TypeAlias = dict[int | tuple[int, str], Any]


def documented(success: Answers, *, problems: tuple[int, ...]) -> Answers:
    """Return the answers of an operation as the OpenAPI document lists them."""
    answers = dict(success)
    for status in (401, 403, 429, *problems):
        answers[status, "application/problem+json"] = OpenApiResponse(
            Problem, description=_PROBLEMS[status]
        )
    return answers


def token_of(request: Request) -> ApiToken:
    """Return the token that calls; `HasGrant` let nobody else in."""
    token = request.auth
    assert isinstance(token, ApiToken)
    return token


def said(*, is_synthetic: bool) -> dict[str, Any]:
    """Return the words that stand on every answer."""
    return {"intended_use": settings.INTENDED_USE, "is_synthetic": is_synthetic}


def answer(payload: dict[str, Any], *, is_synthetic: bool) -> Response:
    """Return a payload with the words that stand on every answer."""
    return Response({**said(is_synthetic=is_synthetic), **payload})


def described(record: type[serializers.Serializer[Any]], *, name: str) -> type:
    """Return the schema of an answer that carries one record under a name."""
    fields: dict[str, Any] = {
        "__doc__": "One record.",
        "intended_use": serializers.CharField(),
        "is_synthetic": serializers.BooleanField(),
        name: record(),
    }
    return type(f"{name.title()}Answer", (serializers.Serializer,), fields)
