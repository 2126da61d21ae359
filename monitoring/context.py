"""What every page knows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, Any]:
    """Return clinic, roles and the words that stand on every page."""
    return {
        "clinic": getattr(request, "clinic", None),
        "clinics": getattr(request, "clinics", []),
        "roles": sorted(role.label for role in getattr(request, "roles", ())),
        "grants": {grant.value for grant in getattr(request, "grants", ())},
        "neuraxis_version": settings.VERSION,
        "intended_use": settings.INTENDED_USE,
        "demo_mode": settings.DEMO_MODE,
    }
