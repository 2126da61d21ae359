"""What the design system's templates ask for."""

from dataclasses import dataclass

from django import template
from django.conf import settings
from django.template.context import RequestContext

from monitoring.models import Membership, Role

register = template.Library()


@dataclass(frozen=True, slots=True)
class DemoLogin:
    """One account of the demo: who it is and where."""

    username: str
    roles: str
    clinics: str


@register.simple_tag(takes_context=True)
def demo_logins(context: RequestContext) -> list[DemoLogin]:
    """Return the accounts of the synthetic clinics; none outside a demo."""
    if not settings.DEMO_MODE:
        return []
    context["demo_password"] = getattr(settings, "DEMO_PASSWORD", "")
    held: dict[str, list[tuple[str, str]]] = {}
    rows = Membership.objects.filter(clinic__is_synthetic=True, user__is_active=True)
    for name, clinic, role in rows.order_by("clinic__name", "role").values_list(
        "user__username", "clinic__name", "role"
    ):
        held.setdefault(name, []).append((clinic, str(Role(role).label)))
    return [
        DemoLogin(
            username=name,
            roles=", ".join(dict.fromkeys(role for _, role in places)),
            clinics=", ".join(dict.fromkeys(clinic for clinic, _ in places)),
        )
        for name, places in held.items()
    ]
