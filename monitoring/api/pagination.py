"""Pages in the order of change, so that a registry can pull what is new and misses nothing.

Rows are ordered by time of change, then id, and a page begins behind the last row of the page
before (keyset): rows that are added meanwhile move nothing. Transactions commit out of order,
so a row may appear behind a cursor that has passed its time; `next_updated_since` therefore
lies a little before the pull began, and the next pull repeats a few rows instead of missing
one.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework import serializers
from rest_framework.request import Request

PAGE_SIZE = 100
MAX_PAGE_SIZE = 500
# Longer than the longest transaction that writes a record (an upload of many series).
HOLD_BACK = timedelta(minutes=2)


class PullQuery(serializers.Serializer[Any]):
    """What a pull may ask."""

    updated_since = serializers.DateTimeField(
        required=False,
        help_text="Only what changed at or after this moment; tombstones come with it.",
    )
    patient = serializers.UUIDField(required=False, help_text="Only this patient.")
    page_size = serializers.IntegerField(
        required=False,
        min_value=1,
        help_text=f"Rows per page, {PAGE_SIZE} unless told, at most {MAX_PAGE_SIZE}.",
    )
    cursor = serializers.CharField(
        required=False, help_text="Where the page begins; taken from `next`."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The row behind which a page begins, and when the pull began."""

    changed_at: datetime
    row_id: str
    began_at: datetime

    def text(self) -> str:
        """Return the cursor as it stands in an address."""
        parts = [self.changed_at.isoformat(), self.row_id, self.began_at.isoformat()]
        return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """Return the cursor of an address; one that we did not make is refused."""
        try:
            padded = text + "=" * (-len(text) % 4)
            parts = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
            changed_at, row_id, began_at = parts
            moments = [parse_datetime(changed_at), parse_datetime(began_at)]
            row = str(row_id)
            if not row.isdecimal():
                UUID(row)
        except (ValueError, TypeError, binascii.Error) as error:
            raise cls.refusal() from error
        if moments[0] is None or moments[1] is None or None in {m.tzinfo for m in moments if m}:
            raise cls.refusal()
        return cls(changed_at=moments[0], row_id=row, began_at=moments[1])

    @staticmethod
    def refusal() -> serializers.ValidationError:
        """Return what a caller with a broken cursor reads."""
        return serializers.ValidationError(
            {"cursor": ["This cursor is not one of ours; follow `next`, or begin again."]}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """A pull that was understood."""

    updated_since: datetime | None
    patient: UUID | None
    page_size: int
    cursor: Cursor | None
    began_at: datetime

    @classmethod
    def read(cls, request: Request) -> "Pull":
        """Return what was asked; an unknown parameter is refused, for a typo would pull all."""
        known = set(PullQuery().fields)
        unknown = sorted(set(request.query_params) - known)
        if unknown:
            raise serializers.ValidationError(
                {
                    name: [f"Unknown parameter; known are {', '.join(known)}."]
                    for name in unknown
                }
            )
        query = PullQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        cursor = Cursor.read(asked["cursor"]) if "cursor" in asked else None
        return cls(
            updated_since=asked.get("updated_since"),
            patient=asked.get("patient"),
            page_size=min(asked.get("page_size", PAGE_SIZE), MAX_PAGE_SIZE),
            cursor=cursor,
            began_at=cursor.began_at if cursor else timezone.now(),
        )

    @property
    def next_updated_since(self) -> datetime:
        """When the next pull should begin, so that a late commit is not missed."""
        return self.began_at - HOLD_BACK


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page, and the cursor of the next one."""

    rows: Sequence[Any]
    next_cursor: Cursor | None


def page_take(rows: QuerySet[Any], pull: Pull, *, clock: str = "updated_at") -> Page:
    """Return the page of a pull, ordered by ``clock`` and id."""
    found = rows.order_by(clock, "pk")
    if pull.updated_since is not None:
        found = found.filter(**{f"{clock}__gte": pull.updated_since})
    if pull.cursor is not None:
        at, row_id = pull.cursor.changed_at, pull.cursor.row_id
        found = found.filter(
            # The first condition alone decides the index range; the second one ties.
            Q(**{f"{clock}__gte": at})
            & (Q(**{f"{clock}__gt": at}) | Q(**{clock: at, "pk__gt": row_id}))
        )
    taken: list[Model] = list(found[: pull.page_size + 1])
    page = taken[: pull.page_size]
    if len(taken) <= pull.page_size:
        return Page(page, None)
    last = page[-1]
    cursor = Cursor(
        changed_at=getattr(last, clock), row_id=str(last.pk), began_at=pull.began_at
    )
    return Page(page, cursor)
