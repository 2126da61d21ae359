"""Clinics, their members and roles, and the tokens of registries."""

from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from monitoring.models.base import Record

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

    # Who acts: a person, nobody, or a registry's token.
    Actor: TypeAlias = "User | AnonymousUser | ApiToken"


class Role(models.TextChoices):
    """What a person does in a clinic; a person may hold several."""

    NEUROLOGIST = "neurologist", "Neurologist"
    TECHNICIAN = "technician", "MR technician"
    RADIOLOGIST = "radiologist", "Radiologist"
    DATA_MANAGER = "data_manager", "Data manager"
    RESEARCHER = "researcher", "Researcher"
    ADMINISTRATOR = "administrator", "Administrator"


class Grant(models.TextChoices):
    """What a role may do; the screens of docs/roles.md."""

    WORKLIST = "worklist", "see the worklist"
    PATIENT_READ = "patient_read", "see a patient's timeline"
    REPORT = "report", "print a patient's report"
    PATIENT_WRITE = "patient_write", "add patients and visits"
    CLINICAL_WRITE = "clinical_write", "enter EDSS, relapses, treatments"
    FLAG_ACT = "flag_act", "acknowledge a change of level"
    UPLOAD = "upload", "upload scans"
    RUN_READ = "run_read", "see measurement runs"
    RUN_ACT = "run_act", "cancel and repeat runs"
    REVIEW_READ = "review_read", "see reviews and the scan ledger"
    REVIEW_WRITE = "review_write", "accept and reject measurements"
    EPOCHS_READ = "epochs_read", "see scanners and their epochs"
    EPOCHS_ACT = "epochs_act", "merge and split scanner epochs"
    COHORT_READ = "cohort_read", "see cohort analyses"
    COHORT_WRITE = "cohort_write", "save cohort definitions"
    REGISTRY_READ = "registry_read", "pull the clinic's records over the API"
    PARAMETERS_READ = "parameters_read", "see the divergence model's parameters"
    PARAMETERS_ACT = "parameters_act", "propose and adopt parameter sets"
    COMPLETENESS_READ = "completeness_read", "see how complete the record is"
    METHODS = "methods", "measure a clinic again and switch its method version"
    ADMINISTER = "administer", "manage members, tokens and settings, read the audit trail"


ROLE_GRANTS: dict[Role, frozenset[Grant]] = {
    Role.NEUROLOGIST: frozenset(
        {
            Grant.EPOCHS_READ,
            Grant.COMPLETENESS_READ,
            Grant.WORKLIST,
            Grant.PATIENT_READ,
            Grant.REPORT,
            Grant.PATIENT_WRITE,
            Grant.CLINICAL_WRITE,
            Grant.FLAG_ACT,
            Grant.UPLOAD,
            Grant.RUN_READ,
            Grant.REVIEW_READ,
            Grant.COHORT_READ,
            Grant.REGISTRY_READ,
            Grant.PARAMETERS_READ,
        }
    ),
    Role.TECHNICIAN: frozenset(
        {
            Grant.EPOCHS_READ,
            Grant.COMPLETENESS_READ,
            Grant.WORKLIST,
            Grant.PATIENT_WRITE,
            Grant.UPLOAD,
            Grant.RUN_READ,
            Grant.RUN_ACT,
            Grant.REVIEW_READ,
        }
    ),
    Role.RADIOLOGIST: frozenset(
        {
            Grant.EPOCHS_READ,
            Grant.EPOCHS_ACT,
            Grant.WORKLIST,
            Grant.PATIENT_READ,
            Grant.REPORT,
            Grant.RUN_READ,
            Grant.REVIEW_READ,
            Grant.REVIEW_WRITE,
            Grant.COHORT_READ,
            Grant.PARAMETERS_READ,
        }
    ),
    Role.DATA_MANAGER: frozenset(
        {
            Grant.EPOCHS_READ,
            Grant.EPOCHS_ACT,
            Grant.COMPLETENESS_READ,
            Grant.RUN_READ,
            Grant.REVIEW_READ,
            Grant.COHORT_READ,
            Grant.REGISTRY_READ,
            Grant.PARAMETERS_READ,
            Grant.PARAMETERS_ACT,
            Grant.METHODS,
        }
    ),
    Role.RESEARCHER: frozenset(
        {
            Grant.COMPLETENESS_READ,
            Grant.PATIENT_READ,
            Grant.COHORT_READ,
            Grant.COHORT_WRITE,
            Grant.REGISTRY_READ,
            Grant.PARAMETERS_READ,
        }
    ),
    Role.ADMINISTRATOR: frozenset(
        {
            Grant.EPOCHS_READ,
            Grant.EPOCHS_ACT,
            Grant.COMPLETENESS_READ,
            Grant.RUN_READ,
            Grant.PARAMETERS_READ,
            Grant.METHODS,
            Grant.ADMINISTER,
        }
    ),
}


def roles_with(grant: Grant) -> list[Role]:
    """Return the roles that hold a grant."""
    return [role for role, grants in ROLE_GRANTS.items() if grant in grants]


class ClinicQuerySet(models.QuerySet["Clinic"]):
    """Clinics as an actor may see them."""

    def visible_to(self, actor: "Actor", *, grant: Grant | None = None) -> "ClinicQuerySet":
        """Keep clinics in which the actor holds a role, one with ``grant`` if it is given."""
        if not actor.is_authenticated:
            return self.none()
        roles = Role.values if grant is None else [role.value for role in roles_with(grant)]
        if isinstance(actor, ApiToken):
            return self.filter(pk=actor.clinic_id) if actor.role in roles else self.none()
        # One filter: two chained ones would let a role in one clinic open another.
        held = Membership.objects.filter(user=actor, role__in=roles)
        return self.filter(pk__in=held.values("clinic"))


class Clinic(Record):
    """A tenant: patients are seen by its members only."""

    name = models.CharField(max_length=120, unique=True)
    is_synthetic = models.BooleanField(default=False)
    scan_interval_months = models.PositiveSmallIntegerField(
        default=12, validators=[MinValueValidator(1), MaxValueValidator(60)]
    )

    objects = ClinicQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(scan_interval_months__gte=1, scan_interval_months__lte=60),
                name="scan_interval_is_one_month_to_five_years",
            )
        ]

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class Membership(Record):
    """One role of one person in one clinic."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "clinic", "role"], name="one_membership_per_role"
            ),
            models.CheckConstraint(
                condition=Q(role__in=Role.values), name="membership_role_is_known"
            ),
        ]

    def __str__(self) -> str:
        """Return user, role and clinic."""
        return f"{self.user} as {self.get_role_display()} in {self.clinic}"


class FirstPassword(models.Model):
    """A password that an administrator made; its owner chooses another at the first log-in."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="first_password"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        """Return whose it is."""
        return f"First password of {self.user}"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Tokens by state."""

    def live(self, *, now: datetime | None = None) -> "ApiTokenQuerySet":
        """Keep tokens that are neither revoked nor expired."""
        return self.filter(revoked_at__isnull=True, expires_at__gt=now or timezone.now())


class ApiToken(Record):
    """A registry's key: of one clinic, with a role, stored hashed, expiring, revocable."""

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="tokens")
    name = models.CharField(max_length=80)
    role = models.CharField(max_length=16, choices=Role.choices)
    digest = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=8, help_text="First characters, to recognise it")
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True
    )

    objects = ApiTokenQuerySet.as_manager()

    # A token is an actor like a person; what it may do is asked in the same words.
    is_authenticated = True
    is_active = True

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(role__in=Role.values), name="token_role_is_known"
            )
        ]

    def __str__(self) -> str:
        """Return name and hint."""
        return f"{self.name} ({self.hint}…)"
