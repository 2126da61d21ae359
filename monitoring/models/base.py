"""What every record shares: opaque ids, times of change, supersession."""

import uuid
from typing import Any, Self

from django.conf import settings
from django.db import models


class Record(models.Model):
    """A row with a stable, opaque id, and the time of its last change for registries."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        abstract = True


class ClinicalFactQuerySet(models.QuerySet[Any]):
    """Facts of which only the newest word counts."""

    def current(self) -> Self:
        """Leave out what was superseded or withdrawn."""
        return self.filter(superseded_at__isnull=True)


class ClinicalFact(Record):
    """Something a clinician stated. A correction is a new row that supersedes the old one."""

    entered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, related_name="superseded_by", null=True, blank=True
    )
    superseded_at = models.DateTimeField(null=True, blank=True)

    objects = ClinicalFactQuerySet.as_manager()

    class Meta:
        abstract = True
