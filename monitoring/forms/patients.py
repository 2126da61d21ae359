"""Forms of the patient pages: they read what was typed; services decide."""

from typing import Any

from django import forms

from monitoring.models import Patient, Sex


class PatientForm(forms.Form):
    """Who a patient is, as far as this record may know."""

    pseudonym = forms.CharField(
        max_length=40,
        help_text="The code by which your clinic knows this person. Never a name, never a "
        "date of birth.",
    )
    sex = forms.ChoiceField(choices=Sex.choices, initial=Sex.UNKNOWN)
    birth_year = forms.IntegerField(required=False, min_value=1900, max_value=2100)
    onset_date = forms.DateField(
        required=False,
        label="Onset",
        help_text="First symptoms, YYYY-MM-DD; the middle of the month or year where only that "
        "is known.",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    @classmethod
    def of(cls, patient: Patient, data: Any = None) -> "PatientForm":
        """Return the form filled with what is known."""
        known = {name: getattr(patient, name) for name in cls.base_fields}
        return cls(data, initial=known)


class AcknowledgeForm(forms.Form):
    """What somebody made of a change of level."""

    reason = forms.CharField(
        max_length=2000,
        label="What you made of it",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
