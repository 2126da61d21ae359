"""Forms of the review pages."""

from django import forms

from monitoring.models import Review

ACCEPTED = Review.Verdict.ACCEPTED.value
REJECTED = Review.Verdict.REJECTED.value

# One button per verdict: the reason of a rejection is part of the click.
VERDICTS = [
    (ACCEPTED, "Accept"),
    *((f"{REJECTED}:{reason.value}", str(reason.label)) for reason in Review.Reason),
]


class VerdictForm(forms.Form):
    """A reader's verdict, and which verdict the reader had before the eyes."""

    verdict = forms.ChoiceField(choices=VERDICTS)
    note = forms.CharField(
        required=False,
        max_length=2000,
        label="Note",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    seen_review = forms.IntegerField(required=False, widget=forms.HiddenInput)

    @property
    def verdict_and_reason(self) -> tuple[str, str]:
        """Return verdict and reason, the latter empty for an acceptance."""
        verdict, _, reason = self.cleaned_data["verdict"].partition(":")
        return verdict, reason


class LandmarkForm(forms.Form):
    """A point on the sagittal picture, in its pixels, and what it marks."""

    KINDS = (
        ("c2c3", "C2-C3 disc, its back edge"),
        ("pmj", "Pontomedullary junction"),
        ("hint", "A point on the cord, so that it is found"),
    )
    kind = forms.ChoiceField(choices=KINDS, widget=forms.RadioSelect, label="This point is")
    px = forms.FloatField(widget=forms.HiddenInput)
    py = forms.FloatField(widget=forms.HiddenInput)
