"""Forms of the upload pages."""

from datetime import date

from django import forms

from monitoring.models import Sequence as SequenceClass
from monitoring.models import Sex
from monitoring.selectors.uploads import SeriesView
from monitoring.services.uploads import SeriesChoice


class DateInput(forms.DateInput):
    """A date field as browsers know it."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class NewPatientForm(forms.Form):
    """A patient who is not in the record yet."""

    pseudonym = forms.CharField(
        max_length=40,
        label="Code",
        help_text="The clinic's pseudonym; never a name or a birth number.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    sex = forms.ChoiceField(choices=Sex.choices, initial=Sex.UNKNOWN)
    birth_year = forms.IntegerField(
        required=False, min_value=1900, max_value=2100, label="Year of birth"
    )
    onset_date = forms.DateField(required=False, label="First symptoms", widget=DateInput())


class UploadForm(forms.Form):
    """The visit that the files belong to; the files themselves go past the form."""

    visit_date = forms.DateField(label="Visit date", widget=DateInput())


class ConfirmForm(forms.Form):
    """Whose date is right, when the images give another than the visit."""

    IMAGES, VISIT = "images", "visit"
    date_answer = forms.ChoiceField(
        choices=[(IMAGES, IMAGES), (VISIT, VISIT)],
        required=False,
        widget=forms.RadioSelect,
    )

    def day(self, stated: date | None) -> date | None:
        """Return the corrected visit date, or None to keep it."""
        return stated if self.cleaned_data["date_answer"] == self.IMAGES else None

    @property
    def keeps_visit_date(self) -> bool:
        """Say whether the technician confirmed the visit date against the images."""
        return bool(self.cleaned_data["date_answer"] == self.VISIT)


class SeriesForm(forms.Form):
    """The technician's word on one series."""

    keep = forms.BooleanField(required=False)
    sequence = forms.ChoiceField(choices=SequenceClass.choices)
    measure_brain = forms.BooleanField(required=False, label="Measure the brain")
    measure_cord = forms.BooleanField(required=False, label="Measure the cervical cord")
    scanner_name = forms.CharField(
        required=False,
        max_length=80,
        label="Scanner",
        help_text="The file does not say it. Scans are compared within one scanner only.",
        widget=forms.TextInput(attrs={"list": "scanner-names", "autocomplete": "off"}),
    )

    lesions = forms.FileField(
        required=False,
        label="Lesion mask",
        help_text=".nii or .nii.gz, 1 inside lesions, on the voxels of this series.",
        widget=forms.FileInput(attrs={"accept": ".nii,.gz"}),
    )

    def __init__(self, data: object, files: object = None, *, view: SeriesView) -> None:
        super().__init__(
            data,  # type: ignore[arg-type]
            files,  # type: ignore[arg-type]
            prefix=f"s{view.index}",
            initial={
                "keep": view.is_worth_keeping,
                "sequence": view.sequence,
                "measure_brain": view.measure_brain,
                "measure_cord": view.measure_cord,
            },
        )
        self.view = view
        self.fields["keep"].label = f"Keep series {view.number}"
        if view.sequence not in {SequenceClass.T1, SequenceClass.UNKNOWN}:
            del self.fields["lesions"]
        if view.names_scanner:
            del self.fields["scanner_name"]

    def choice(self, *, answers_question: bool) -> SeriesChoice | None:
        """Return the choice, or None when the series is left out."""
        given = self.cleaned_data
        if not given["keep"]:
            return None
        return SeriesChoice(
            index=self.view.index,
            sequence=given["sequence"],
            measure_brain=given["measure_brain"],
            measure_cord=given["measure_cord"],
            scanner_name=given.get("scanner_name", ""),
            answers_question=answers_question,
        )
