"""Forms of the administration pages."""

from typing import Any

from django import forms

from monitoring.models import ROLE_GRANTS, AuditEntry, Role


def role_field() -> forms.ChoiceField:
    """Return the choice of a role."""
    return forms.ChoiceField(choices=Role.choices, help_text="A person may hold several.")


class MemberForm(forms.Form):
    """A role for a person who has an account."""

    username = forms.CharField(
        label="User name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    role = role_field()


class AccountForm(MemberForm):
    """An account for a new colleague."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].help_text = "Letters, digits and . _ - + @"


class TokenForm(forms.Form):
    """A key for a program."""

    name = forms.CharField(
        max_length=80, help_text="What will use it: the registry, the script."
    )
    role = forms.ChoiceField(
        choices=[(role, role.label) for role in ROLE_GRANTS if role != Role.ADMINISTRATOR],
        initial=Role.DATA_MANAGER,
        help_text="It may do what this role may do over the API; a data manager's pulls the "
        "record, a technician's uploads.",
    )
    days = forms.IntegerField(
        label="Days until it expires", min_value=1, max_value=730, initial=365
    )


class ClinicForm(forms.Form):
    """What a clinic goes by."""

    scan_interval_months = forms.IntegerField(
        label="Months from scan to scan",
        min_value=1,
        max_value=60,
        help_text="A patient whose last scan is older stands on the worklist as overdue.",
    )


class AuditForm(forms.Form):
    """What to look for in the trail."""

    q = forms.CharField(
        label="Search",
        required=False,
        max_length=60,
        help_text="A code, a person, a token, a kind of object.",
    )
    action = forms.ChoiceField(
        required=False, choices=[("", "Everything"), *AuditEntry.Action.choices]
    )
    since = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
