"""Reads about clinics and their members."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.db.models import QuerySet

from monitoring.models import ROLE_GRANTS, ApiToken, Clinic, Grant, Membership, Role
from monitoring.models.people import ApiTokenQuerySet

if TYPE_CHECKING:
    from monitoring.models.people import Actor


def roles_by_clinic(user: User) -> dict[Clinic, frozenset[Role]]:
    """Return the clinics in which a person holds a role, by name, with the roles held there."""
    held: dict[Clinic, frozenset[Role]] = {}
    memberships = Membership.objects.filter(user=user).select_related("clinic")
    for membership in memberships.order_by("clinic__name"):
        roles = held.get(membership.clinic, frozenset())
        held[membership.clinic] = roles | {Role(membership.role)}
    return held


def roles_in(actor: "Actor", clinic: Clinic) -> frozenset[Role]:
    """Return the roles that the actor holds in a clinic."""
    if isinstance(actor, ApiToken):
        return frozenset({Role(actor.role)} if actor.clinic_id == clinic.pk else ())
    if not actor.is_authenticated:
        return frozenset()
    held = Membership.objects.filter(user=actor, clinic=clinic).values_list("role", flat=True)
    return frozenset(Role(role) for role in held)


def grants_in(actor: "Actor", clinic: Clinic) -> frozenset[Grant]:
    """Return what the actor may do in a clinic: the union over the roles held there."""
    return grants_of(roles_in(actor, clinic))


def grants_of(roles: Iterable[Role]) -> frozenset[Grant]:
    """Return what somebody with these roles may do."""
    return frozenset[Grant]().union(*(ROLE_GRANTS[role] for role in roles))


def membership_list(actor: "Actor", clinic: Clinic) -> QuerySet[Membership]:
    """Return the members of a clinic, for its administrators."""
    administered = Clinic.objects.visible_to(actor, grant=Grant.ADMINISTER)
    return (
        Membership.objects.filter(clinic=clinic, clinic__in=administered)
        .select_related("user")
        .order_by("user__username", "role")
    )


def members_by_person(actor: "Actor", clinic: Clinic) -> list[tuple[User, list[Membership]]]:
    """Return each member of a clinic with the roles held there, for its administrators."""
    people: dict[User, list[Membership]] = {}
    for membership in membership_list(actor, clinic):
        people.setdefault(membership.user, []).append(membership)
    return list(people.items())


def token_list(actor: "Actor", clinic: Clinic) -> ApiTokenQuerySet:
    """Return the tokens of a clinic, for its administrators."""
    administered = Clinic.objects.visible_to(actor, grant=Grant.ADMINISTER)
    return ApiToken.objects.filter(clinic=clinic, clinic__in=administered)
