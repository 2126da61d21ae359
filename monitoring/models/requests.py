"""Answers that are kept so that a repeated request changes nothing."""

from django.db import models

from monitoring.models.base import Record
from monitoring.models.people import ApiToken


class AnsweredRequest(Record):
    """A request with an Idempotency-Key, and its answer once there is one.

    It holds ids and states only, no clinical value; the sweep deletes it after a day.
    """

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="answered")
    key = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, help_text="SHA-256 of what was sent")
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["token", "key"], name="one_answer_per_key")
        ]

    def __str__(self) -> str:
        """Return the key."""
        return self.key
