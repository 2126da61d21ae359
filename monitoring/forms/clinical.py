"""Forms of the clinical course: they read what was typed; services decide."""

from decimal import Decimal
from typing import Any

from django import forms

from monitoring.models import (
    EDSS_STEPS,
    FUNCTIONAL_SYSTEMS,
    LesionCount,
    Phenotype,
    Relapse,
    Treatment,
)
from monitoring.models.base import ClinicalFact
from monitoring.selectors.clinical import SYSTEM_WORDS

# Drugs by efficacy class are a suggestion to pick from; any other word may be typed.
DRUGS = (
    "alemtuzumab",
    "cladribine",
    "dimethyl fumarate",
    "diroximel fumarate",
    "fingolimod",
    "glatiramer acetate",
    "interferon beta-1a",
    "interferon beta-1b",
    "mitoxantrone",
    "natalizumab",
    "ocrelizumab",
    "ofatumumab",
    "ozanimod",
    "peginterferon beta-1a",
    "ponesimod",
    "rituximab",
    "siponimod",
    "teriflunomide",
    "ublituximab",
)


def day_field(label: str, *, required: bool = True, help_text: str = "") -> forms.DateField:
    """Return a field for one day."""
    return forms.DateField(
        label=label,
        required=required,
        help_text=help_text,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


class FactForm(forms.Form):
    """What all clinical facts share."""

    @classmethod
    def filled(cls, fact: ClinicalFact) -> dict[str, Any]:
        """Return what the form shows of a fact that is corrected."""
        known = {name: getattr(fact, name) for name in cls.base_fields if hasattr(fact, name)}
        visit = getattr(fact, "visit", None)
        return known | ({"date": visit.date} if visit else {})


class AssessmentForm(FactForm):
    """EDSS of a visit."""

    date = day_field("Day of the visit")
    edss = forms.TypedChoiceField(
        label="EDSS",
        coerce=Decimal,
        choices=[("", "Choose"), *((f"{step:.1f}",) * 2 for step in EDSS_STEPS)],
        help_text="0, or 1.0 to 10.0 in halves; type the number to choose it.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, highest in FUNCTIONAL_SYSTEMS.items():
            self.fields[name] = forms.TypedChoiceField(
                label=SYSTEM_WORDS[name],
                required=False,
                coerce=int,
                empty_value=None,
                choices=[("", "–"), *((str(n), str(n)) for n in range(highest + 1))],
            )

    @property
    def scale_fields(self) -> list[forms.BoundField]:
        """Return the fields that every EDSS needs."""
        return [self["date"], self["edss"]]

    @property
    def system_fields(self) -> list[forms.BoundField]:
        """Return the functional systems, each with its range."""
        return [self[name] for name in FUNCTIONAL_SYSTEMS]

    @classmethod
    def filled(cls, fact: ClinicalFact) -> dict[str, Any]:
        """Return the EDSS and the systems that were scored."""
        scored = {name: getattr(fact, name) for name in FUNCTIONAL_SYSTEMS}
        return super().filled(fact) | scored


class RelapseForm(FactForm):
    """An attack."""

    onset = day_field("First day")
    severity = forms.ChoiceField(
        choices=Relapse.Severity.choices, initial=Relapse.Severity.UNKNOWN
    )
    is_spinal = forms.BooleanField(label="Spinal cord", required=False)
    steroids_on = day_field("First day of steroids", required=False)


class TreatmentForm(FactForm):
    """A period on one drug."""

    drug = forms.CharField(
        max_length=80, widget=forms.TextInput(attrs={"list": "drugs", "autocomplete": "off"})
    )
    efficacy = forms.ChoiceField(
        label="Efficacy class",
        choices=Treatment.Efficacy.choices,
        initial=Treatment.Efficacy.OTHER,
    )
    starts_on = day_field("First day")
    ends_on = day_field("Last day", required=False, help_text="Empty while it goes on.")
    stop_reason = forms.CharField(label="Why it ended", max_length=120, required=False)
    paused_on = day_field(
        "Interrupted from", required=False, help_text="Only if it went on afterwards."
    )
    resumed_on = day_field("Went on from", required=False)


class PhenotypeForm(FactForm):
    """The course from a day on."""

    phenotype = forms.ChoiceField(label="Course", choices=Phenotype.choices)
    starts_on = day_field("From")


class LesionForm(FactForm):
    """Lesions of a visit."""

    date = day_field("Day of the scan or visit")
    region = forms.ChoiceField(choices=LesionCount.Region.choices)
    kind = forms.ChoiceField(label="Which", choices=LesionCount.Kind.choices)
    pattern = forms.ChoiceField(choices=LesionCount.Pattern.choices)
    count = forms.IntegerField(
        label="How many", min_value=0, required=False, help_text="For focal lesions."
    )
    is_present = forms.TypedChoiceField(
        label="Diffuse change",
        required=False,
        choices=[("", "–"), ("yes", "Present"), ("no", "Not present")],
        coerce=lambda word: word == "yes",
        empty_value=None,
    )

    @classmethod
    def filled(cls, fact: ClinicalFact) -> dict[str, Any]:
        """Return the statement with present and absent in words."""
        known = super().filled(fact)
        words = {True: "yes", False: "no", None: ""}
        return known | {"is_present": words[known["is_present"]]}


FORMS: dict[str, type[FactForm]] = {
    "assessment": AssessmentForm,
    "relapse": RelapseForm,
    "treatment": TreatmentForm,
    "phenotype": PhenotypeForm,
    "lesions": LesionForm,
}
