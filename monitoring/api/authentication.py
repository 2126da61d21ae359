"""Who calls: a token, which belongs to one clinic and carries one role."""

from datetime import timedelta

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from monitoring.models import ApiToken
from monitoring.services.people import token_digest

KEYWORD = b"bearer"
# The time of last use is written at most this often: a pull of 100 pages is one fact.
LAST_USED_GRAIN = timedelta(minutes=5)


class ClinicTokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer nx_…``: the token is the actor, of one clinic, with one role."""

    def authenticate(self, request: Request) -> tuple[ApiToken, ApiToken] | None:
        """Return the live token of the header, None without a header."""
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != KEYWORD:
            return None
        if len(words) != 2:
            raise AuthenticationFailed("Send one token: Authorization: Bearer <token>.")
        digest = token_digest(words[1].decode("latin-1"))
        token = ApiToken.objects.live().select_related("clinic").filter(digest=digest).first()
        if token is None:
            raise AuthenticationFailed(
                "This token is unknown, expired or revoked; ask the clinic for a new one."
            )
        now = timezone.now()
        if token.last_used_at is None or now - token.last_used_at > LAST_USED_GRAIN:
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        return token, token

    def authenticate_header(self, request: Request) -> str:
        """Return what makes the answer 401, not 403."""
        return "Bearer"


class ClinicTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The token as the OpenAPI document describes it."""

    target_class = "monitoring.api.authentication.ClinicTokenAuthentication"
    name = "clinicToken"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return the OpenAPI security scheme."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of one clinic with one role, made by its administrator.",
        }
