"""The people of the demo: one log-in per role, with a password that everybody may know."""

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User

from monitoring.models import Clinic, Membership, Role


@dataclass(frozen=True, slots=True)
class Account:
    """A log-in: whose clinic (position in `stories.CLINICS`), which roles."""

    username: str
    clinic: int
    roles: tuple[Role, ...]

    @property
    def role_words(self) -> str:
        """Return the roles as a person reads them."""
        return ", ".join(role.label for role in self.roles)


ACCOUNTS: tuple[Account, ...] = (
    Account("neurologist", 0, (Role.NEUROLOGIST,)),
    Account("technician", 0, (Role.TECHNICIAN,)),
    Account("radiologist", 0, (Role.RADIOLOGIST,)),
    Account("manager", 0, (Role.DATA_MANAGER,)),
    Account("researcher", 0, (Role.RESEARCHER,)),
    Account("admin", 0, (Role.ADMINISTRATOR,)),
    Account(
        "labe", 1, (Role.NEUROLOGIST, Role.TECHNICIAN, Role.RADIOLOGIST, Role.ADMINISTRATOR)
    ),
)


def accounts_create(clinics: list[Clinic]) -> dict[str, User]:
    """Create the log-ins and their roles; return them by user name."""
    # One hash for all: seven of them would take seven times as long and protect nothing.
    password = make_password(settings.DEMO_PASSWORD)
    users: dict[str, User] = {}
    for account in ACCOUNTS:
        user = User.objects.create(username=account.username, password=password)
        Membership.objects.bulk_create(
            Membership(user=user, clinic=clinics[account.clinic], role=role)
            for role in account.roles
        )
        users[account.username] = user
    return users


def reader_of(clinic: int, users: dict[str, User]) -> User:
    """Return the radiologist of a clinic."""
    return users["radiologist" if clinic == 0 else "labe"]
