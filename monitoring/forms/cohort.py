"""The form that defines a cohort; it lives in the address, so that a link is a cohort."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import QueryDict

from monitoring.core.cohort.definition import (
    BAND_WORDS,
    CUSTOM,
    Definition,
    InvalidDefinition,
    Representative,
    parse_bands,
)
from monitoring.core.cohort.table import BRAIN_STRUCTURES, STRUCTURE_WORDS
from monitoring.forms.uploads import DateInput
from monitoring.models import Phenotype

PATIENTS = [choice for choice in Phenotype.choices if choice[0] != Phenotype.HC]


class CohortForm(forms.Form):
    """Who is in a cohort, and how patients are grouped."""

    bands = forms.ChoiceField(choices=list(BAND_WORDS.items()), label="EDSS groups")
    custom_bands = forms.CharField(
        required=False,
        max_length=120,
        label="Own groups",
        help_text="Only with “Own groups”, as in 0-1.5, 2-2.5, 3-10.",
    )
    phenotypes = forms.MultipleChoiceField(
        choices=[(value, value) for value, _ in PATIENTS], widget=forms.CheckboxSelectMultiple
    )
    structures = forms.MultipleChoiceField(
        choices=[(name, STRUCTURE_WORDS[name]) for name in BRAIN_STRUCTURES],
        widget=forms.CheckboxSelectMultiple,
        label="Brain structures",
    )
    cord = forms.ChoiceField(
        required=False,
        label="Cord level",
        choices=[
            ("", "The one that most patients have"),
            ("cord_c2_c3", "C2–C3"),
            ("cord_pmj_64mm", "64 mm below the pontomedullary junction"),
        ],
    )
    visit = forms.ChoiceField(
        label="Visit that stands for a patient",
        choices=[
            (Representative.LATEST.value, "The latest with an EDSS nearby"),
            (Representative.FIRST.value, "The first with an EDSS nearby"),
        ],
    )
    edss_within_days = forms.IntegerField(
        min_value=0, max_value=365, label="EDSS within days of the scan"
    )
    age_from = forms.IntegerField(min_value=0, max_value=120, label="Age from")
    age_to = forms.IntegerField(min_value=0, max_value=120, label="Age to")
    since = forms.DateField(required=False, widget=DateInput(), label="Scans since")
    until = forms.DateField(required=False, widget=DateInput(), label="Scans until")
    landmark_years = forms.FloatField(
        min_value=0,
        max_value=20,
        label="Landmark, years",
        help_text="Years after a patient's first statement at which curves begin.",
    )
    epochs = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Scanner epochs (none ticked: all)",
    )

    def __init__(self, data: QueryDict | dict[str, Any], *, epochs: Sequence[Any]) -> None:
        super().__init__(data)
        self.fields["epochs"].choices = epochs  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Put the definition together; what contradicts itself is said in one sentence."""
        given = super().clean() or self.cleaned_data
        if self.errors:
            return given
        fields = {name: given[name] for name in self.fields}
        text = fields.pop("custom_bands")
        try:
            fields["custom_bands"] = parse_bands(text) if fields["bands"] == CUSTOM else ()
            chosen = {name: tuple(fields[name]) for name in ("phenotypes", "epochs")}
            chosen["structures"] = tuple(
                name for name in BRAIN_STRUCTURES if name in fields["structures"]
            )
            fields["visit"] = Representative(fields["visit"])
            given["definition"] = Definition(**{**fields, **chosen})
        except InvalidDefinition as error:
            self.add_error(None, str(error))
        return given


def form_values(definition: Definition) -> dict[str, Any]:
    """Return what the form shows for a definition."""
    values = definition.to_json()
    bands = ", ".join(f"{band.low:g}-{band.high:g}" for band in definition.custom_bands)
    return {**values, "custom_bands": bands}


class CohortNameForm(forms.Form):
    """The name under which a cohort is saved."""

    name = forms.CharField(max_length=80, label="Name of the cohort")
