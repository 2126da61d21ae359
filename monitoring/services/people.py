"""Write members and tokens."""

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from monitoring.models import (
    ApiToken,
    AuditEntry,
    Clinic,
    FirstPassword,
    Grant,
    Membership,
    Role,
)
from monitoring.services.audit import audit_record
from monitoring.services.patients import require_grant

if TYPE_CHECKING:
    from monitoring.models.people import Actor

TOKEN_PREFIX = "nx_"


def clinic_key(clinic: Clinic) -> bytes:
    """Return the clinic's own key for hashes of identifiers."""
    return hmac.digest(settings.PSEUDONYM_KEY.encode(), clinic.pk.bytes, "sha256")


def token_digest(token: str) -> str:
    """Return what is stored of a token: 256 random bits need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def clinic_change(*, actor: "Actor", clinic: Clinic, scan_interval_months: int) -> None:
    """Change what a clinic goes by, and note old and new."""
    require_grant(actor, clinic, Grant.ADMINISTER)
    old = clinic.scan_interval_months
    clinic.scan_interval_months = scan_interval_months
    clinic.full_clean()
    clinic.save(update_fields=["scan_interval_months", "updated_at"])
    audit_record(
        actor=actor,
        clinic=clinic,
        action=AuditEntry.Action.CHANGE,
        subject="settings",
        object_id=clinic.pk,
        detail=f"scan interval {old} to {scan_interval_months} months",
    )


@transaction.atomic
def token_create(
    *, actor: "Actor", clinic: Clinic, name: str, role: str, days: int = 365
) -> tuple[ApiToken, str]:
    """Make a token; its text is returned once and never stored."""
    require_grant(actor, clinic, Grant.ADMINISTER)
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        clinic=clinic,
        name=name.strip(),
        role=role,
        digest=token_digest(text),
        hint=text[:8],
        expires_at=timezone.now() + timedelta(days=days),
        created_by=actor if isinstance(actor, User) else None,
    )
    token.full_clean()
    token.save()
    _audit(actor, clinic, "token", token.pk, f"created for {token.get_role_display()}")
    return token, text


@transaction.atomic
def token_revoke(*, actor: "Actor", token: ApiToken) -> None:
    """End a token at once."""
    require_grant(actor, token.clinic, Grant.ADMINISTER)
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at", "updated_at"])
        _audit(actor, token.clinic, "token", token.pk, "revoked")


@transaction.atomic
def membership_add(*, actor: "Actor", clinic: Clinic, username: str, role: str) -> Membership:
    """Give a person a role in the clinic; the person needs an account already."""
    require_grant(actor, clinic, Grant.ADMINISTER)
    user = User.objects.filter(username=username.strip(), is_active=True).first()
    if user is None:
        raise ValidationError(
            {"username": "There is no account of this name; create it first."}
        )
    if role not in Role.values:
        raise ValidationError({"role": "This is not a role."})
    membership, created = Membership.objects.get_or_create(user=user, clinic=clinic, role=role)
    if created:
        _audit(actor, clinic, "membership", membership.pk, f"{user.username}: {role}")
    return membership


@transaction.atomic
def account_create(
    *, actor: "Actor", clinic: Clinic, username: str, role: str
) -> tuple[User, str]:
    """Make an account with a role; its password is returned once and works until it is changed.

    Raises
    ------
    ValidationError
        If the name is taken or cannot be a user name.
    """
    require_grant(actor, clinic, Grant.ADMINISTER)
    user, password = _account(username)
    membership_add(actor=actor, clinic=clinic, username=user.username, role=role)
    return user, password


@transaction.atomic
def clinic_create(*, name: str, administrator: str) -> tuple[Clinic, User, str]:
    """Open a clinic with its first administrator; a new account's password is returned once.

    An account that exists keeps its password; the text is then empty.

    Raises
    ------
    ValidationError
        If the clinic exists or a name is impossible.
    """
    clinic = Clinic(name=name.strip())
    clinic.full_clean()
    clinic.save()
    user = User.objects.filter(username=administrator.strip(), is_active=True).first()
    password = ""
    if user is None:
        user, password = _account(administrator)
    membership = Membership.objects.create(user=user, clinic=clinic, role=Role.ADMINISTRATOR)
    _audit(None, clinic, "membership", membership.pk, f"{user.username}: administrator")
    return clinic, user, password


@transaction.atomic
def password_renew(*, actor: "Actor", membership: Membership) -> tuple[User, str]:
    """Give a member who forgot the password a new first one; it is returned once.

    Raises
    ------
    ValidationError
        If the person also works in a clinic that the actor does not administer: a password
        opens every clinic of its owner.
    """
    clinic, user = membership.clinic, membership.user
    require_grant(actor, clinic, Grant.ADMINISTER)
    administered = Clinic.objects.visible_to(actor, grant=Grant.ADMINISTER)
    if user.is_superuser or user.memberships.exclude(clinic__in=administered).exists():
        raise ValidationError(
            f"{user.get_username()} also works elsewhere; ask who runs the server for a new "
            "password."
        )
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.save(update_fields=["password"])
    FirstPassword.objects.get_or_create(user=user)
    _audit(actor, clinic, "account", user.pk, f"new password for {user.username}")
    return user, password


def _account(username: str) -> tuple[User, str]:
    """Return a new account and its first password."""
    user = User(username=username.strip())
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    try:
        user.full_clean()
    except ValidationError as error:
        raise ValidationError({"username": error.messages}) from error
    user.save()
    FirstPassword.objects.create(user=user)
    return user, password


@transaction.atomic
def membership_remove(*, actor: "Actor", membership: Membership) -> None:
    """Take a role away; the last administrator stays."""
    clinic = membership.clinic
    require_grant(actor, clinic, Grant.ADMINISTER)
    administrators = clinic.memberships.select_for_update().filter(role=Role.ADMINISTRATOR)
    if membership.role == Role.ADMINISTRATOR and len(administrators) == 1:
        raise ValidationError("The last administrator cannot be removed; name another first.")
    _audit(actor, clinic, "membership", membership.pk, f"{membership.user.username} removed")
    membership.delete()


def _audit(
    actor: "Actor | None", clinic: Clinic, subject: str, pk: object, detail: str
) -> None:
    """Write down an act of administration."""
    audit_record(
        actor=actor,
        clinic=clinic,
        action=AuditEntry.Action.ADMINISTER,
        subject=subject,
        object_id=str(pk),
        detail=detail,
    )
