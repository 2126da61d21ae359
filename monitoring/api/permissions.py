"""What a caller may do: each view names the grant it needs, none means nobody."""

from typing import TYPE_CHECKING

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from monitoring.models import ROLE_GRANTS, ApiToken, Role

if TYPE_CHECKING:
    # Views import their permissions from the settings: importing them here would be a circle.
    from rest_framework.views import APIView


class HasGrant(BasePermission):
    """The role must hold the view's ``required_grant``; a view without one is closed."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Say whether the call may go on; a role that falls short is told what it may not."""
        token = request.auth
        if not isinstance(token, ApiToken):
            return False
        grant = getattr(view, "required_grant", None)
        if grant is None:
            return False
        role = Role(token.role)
        if grant not in ROLE_GRANTS[role]:
            raise PermissionDenied(f"A token with the role {role.label} may not {grant.label}.")
        return True
