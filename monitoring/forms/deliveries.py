"""Forms of a clinic day: whose visit it is, and when it was."""

from django import forms

from monitoring.forms.uploads import DateInput
from monitoring.selectors.deliveries import VisitCard


class DayVisitForm(forms.Form):
    """The technician's word on one visit of a clinic day."""

    # One form for the whole day: a visit without a patient must not hold the others back.
    use_required_attribute = False
    patient = forms.CharField(
        max_length=40,
        label="Patient’s code",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    visit_date = forms.DateField(label="Visit date", widget=DateInput())
    scanner_name = forms.CharField(
        required=False,
        max_length=80,
        label="Scanner",
        help_text="The files do not say it. Scans are compared within one scanner only.",
        widget=forms.TextInput(attrs={"list": "scanner-names", "autocomplete": "off"}),
    )

    def __init__(self, data: object, *, card: VisitCard) -> None:
        number = card.visit.number
        super().__init__(
            data,  # type: ignore[arg-type]
            prefix=f"v{number}",
            initial={
                "patient": card.suggested.pseudonym if card.suggested else "",
                "visit_date": card.day,
            },
        )
        self.card = card
        self.refusal = ""
        self.fields["patient"].widget.attrs |= {"list": f"v{number}-codes"}
        if not card.needs_scanner:
            del self.fields["scanner_name"]
