"""Forms of the page of the model's parameters."""

from dataclasses import asdict
from typing import Any

from django import forms

from monitoring.core.priors import Policy


def _chance(label: str) -> forms.FloatField:
    """Return a field for a probability."""
    return forms.FloatField(
        label=label,
        min_value=0.01,
        max_value=1.0,
        widget=forms.NumberInput(attrs={"step": "0.01"}),
    )


class LinesForm(forms.Form):
    """The lines of the levels and the minimum of data."""

    watch_p_faster_than_1 = _chance("Watch, P(D < −1 %/yr) from")
    flag_p_faster_than_1 = _chance("Flag, P(D < −1 %/yr) from")
    watch_p_change = _chance("Watch, P(change) from")
    flag_p_change = _chance("Flag, P(change) from")
    hysteresis = forms.FloatField(
        label="Left when both are this far below",
        min_value=0.0,
        max_value=0.5,
        widget=forms.NumberInput(attrs={"step": "0.01"}),
    )
    minimum_brain_scans = forms.IntegerField(
        label="Least brain scans", min_value=2, max_value=20
    )
    minimum_cord_scans = forms.IntegerField(label="Least cord scans", min_value=2, max_value=20)
    minimum_years = forms.FloatField(
        label="Least years of both",
        min_value=0.5,
        max_value=20.0,
        widget=forms.NumberInput(attrs={"step": "0.1"}),
    )

    @classmethod
    def of(cls, policy: Policy, data: Any = None) -> "LinesForm":
        """Return the form filled with the lines in force."""
        known = {
            name: value for name, value in asdict(policy).items() if name in cls.base_fields
        }
        return cls(data, initial=known)


class AdoptForm(forms.Form):
    """Why a set is adopted or withdrawn."""

    reason = forms.CharField(
        max_length=2000, label="Why", widget=forms.Textarea(attrs={"rows": 2})
    )
