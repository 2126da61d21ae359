"""Answer the same request once: claim a key, keep the answer for a day, give it again."""

from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from monitoring.models import AnsweredRequest, ApiToken

KEPT_FOR = timedelta(hours=24)
# A server that died while it worked leaves a claim without an answer; after this long the
# client may try again. Longer than any upload takes.
CLAIM_EXPIRES = timedelta(minutes=15)


class KeyReused(Exception):
    """The same key came with another request."""


class StillRunning(Exception):
    """The first request with this key has not been answered yet."""


def request_claim(*, token: ApiToken, key: str, digest: str) -> AnsweredRequest:
    """Take a key for a request, or return the kept answer (its ``status`` is set).

    Raises
    ------
    KeyReused
        If the key stands for another request.
    StillRunning
        If the same request is being answered right now.
    """
    now = timezone.now()
    held = AnsweredRequest.objects.filter(token=token, key=key)
    held.filter(created_at__lt=now - KEPT_FOR).delete()
    held.filter(status__isnull=True, created_at__lt=now - CLAIM_EXPIRES).delete()
    try:
        with transaction.atomic():
            return AnsweredRequest.objects.create(token=token, key=key, digest=digest)
    except IntegrityError:
        earlier = held.first()
    if earlier is None:
        raise StillRunning
    if earlier.digest != digest:
        raise KeyReused
    if earlier.status is None:
        raise StillRunning
    return earlier


def request_answered(claim: AnsweredRequest, *, status: int, answer: dict[str, Any]) -> None:
    """Keep the answer of a request."""
    AnsweredRequest.objects.filter(pk=claim.pk).update(
        status=status, answer=answer, updated_at=timezone.now()
    )


def request_abandoned(claim: AnsweredRequest) -> None:
    """Forget a request that was refused: the client corrects it and may use the key again."""
    AnsweredRequest.objects.filter(pk=claim.pk).delete()


def answers_sweep() -> int:
    """Forget answers that were kept for a day."""
    old = AnsweredRequest.objects.filter(created_at__lt=timezone.now() - KEPT_FOR)
    return old.delete()[0]
