"""Settings that are unsafe become errors with a hint, before a patient is stored."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured


@register(Tags.security, deploy=True)
def demo_is_no_production(**_kwargs: Any) -> list[CheckMessage]:
    """Refuse a deployment in demo mode."""
    if not settings.DEMO_MODE:
        return []
    return [
        Error(
            "Demo mode is on: log-ins are public and secrets are known.",
            hint="Unset NEURAXIS_DEMO.",
            id="neuraxis.E002",
        )
    ]


@register(Tags.security)
def media_is_not_public(**_kwargs: Any) -> list[CheckMessage]:
    """Refuse to keep images under a folder that is served as static files."""
    media, static = Path(settings.MEDIA_ROOT).resolve(), Path(settings.STATIC_ROOT).resolve()
    if media == static or static in media.parents:
        return [
            Error(
                "MEDIA_ROOT lies inside the folder of static files, which anybody may read.",
                hint="Choose another MEDIA_ROOT.",
                id="neuraxis.E003",
            )
        ]
    return []


SECRETS = ("SECRET_KEY", "PSEUDONYM_KEY")
MAKE_ONE = "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


def secrets_missing() -> list[str]:
    """Return what is wrong with the secrets, one sentence each."""
    wrong = []
    for name in SECRETS:
        try:
            length = len(getattr(settings, name))
        except ImproperlyConfigured:  # Django does not hand out an empty SECRET_KEY
            length = 0
        if length == 0:
            wrong.append(f"Set {name} (or {name}_FILE): it has no default outside a demo.")
        elif length < 32:
            wrong.append(f"{name} is shorter than 32 characters.")
    return wrong


def secrets_require() -> None:
    """Stop a process that serves or stores before it begins without its secrets."""
    wrong = secrets_missing()
    if wrong:
        raise ImproperlyConfigured(" ".join([*wrong, MAKE_ONE]))


@register(Tags.security)
def secrets_are_there(**_kwargs: Any) -> list[CheckMessage]:
    """Refuse missing and short secrets."""
    return [
        Error(sentence, hint=MAKE_ONE, id="neuraxis.E004") for sentence in secrets_missing()
    ]
