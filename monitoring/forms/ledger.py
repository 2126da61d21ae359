"""Forms of the scan ledger."""

from django import forms

from monitoring.forms.uploads import DateInput
from monitoring.models import Scanner, ScannerEpoch
from monitoring.models import Sequence as SequenceClass
from monitoring.selectors.ledgers import SORTS, VERDICTS, LedgerFilter

ANY = ("", "Any")


class LedgerForm(forms.Form):
    """What the ledger is narrowed to."""

    patient = forms.CharField(required=False, max_length=40, label="Patient")
    scanner = forms.ModelChoiceField(Scanner.objects.none(), required=False, empty_label="Any")
    sequence = forms.ChoiceField(
        required=False, choices=[ANY, *((s.value, s.label) for s in SequenceClass)]
    )
    verdict = forms.ChoiceField(required=False, choices=[ANY, *VERDICTS.items()], label="State")
    since = forms.DateField(required=False, widget=DateInput())
    until = forms.DateField(required=False, widget=DateInput())
    epoch = forms.ModelChoiceField(
        ScannerEpoch.objects.none(), required=False, widget=forms.HiddenInput
    )
    sort = forms.ChoiceField(
        required=False,
        choices=[(sign + name, name) for name in SORTS for sign in ("", "-")],
        widget=forms.HiddenInput,
    )

    def __init__(self, data: object, *, scanners: object, epochs: object) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.fields["scanner"].queryset = scanners  # type: ignore[attr-defined]
        self.fields["epoch"].queryset = epochs  # type: ignore[attr-defined]

    def wanted(self) -> LedgerFilter:
        """Return the filter; a part that makes no sense is left out, and said at its field."""
        self.is_valid()
        given = self.cleaned_data
        scanner, epoch = given.get("scanner"), given.get("epoch")
        return LedgerFilter(
            patient=given.get("patient", "").strip(),
            scanner=scanner.pk if scanner else None,
            epoch=epoch.pk if epoch else None,
            sequence=given.get("sequence", ""),
            verdict=given.get("verdict", ""),
            since=given.get("since"),
            until=given.get("until"),
            sort=given.get("sort") or "-date",
        )

    @property
    def is_narrowed(self) -> bool:
        """Say whether anything but the order was asked for."""
        return any(value for key, value in self.cleaned_data.items() if key != "sort")
