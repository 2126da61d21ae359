"""Reads about measurement runs: lists by state, and everything that a run's page shows."""

from dataclasses import dataclass
from datetime import date, timedelta
from math import floor, log10
from typing import TYPE_CHECKING

from django.db.models import Prefetch, Q, QuerySet
from django.utils import timezone

from monitoring.models import Clinic, Grant, Review, Scan
from volumetry.models import (
    ACTIVE,
    Measurement,
    Outcome,
    QualityResult,
    RunFile,
    Status,
    VolumetryRun,
)

if TYPE_CHECKING:
    from monitoring.models.people import Actor

BRAIN_METHOD = "neuraxis-brain"
CORD_METHOD = "neuraxis-cord"
# What measures the change between two scans of one region.
CHANGE_METHODS = {"brain": "neuraxis-change", "cord": "neuraxis-cord-change"}
# What a method measures, in words: by its name, or by what it measured.
REGION_WORDS = {"brain": "Brain", "cord": "Cervical cord"}

# Masks that a person gave a run, by the parameter that names them.
GIVEN_WORDS = {
    "mask": "mask made elsewhere",
    "correction": "outline corrected",
    "lesions": "lesions filled",
}

STRUCTURE_WORDS = {
    "brain_parenchyma": "Brain parenchyma",
    "grey_matter": "Grey matter",
    "white_matter": "White matter",
    "csf": "Cerebrospinal fluid",
    "lateral_ventricles": "Lateral ventricles",
    "intracranial": "Intracranial space",
    "thalamus": "Thalamus (experimental)",
    "corpus_callosum": "Corpus callosum (experimental)",
    "cord_c2_c3": "Cord at C2-C3",
    "cord_pmj_64mm": "Cord 64 mm below the pontomedullary junction",
    "cord_segment": "Cord, whole measured stretch",
}
QUANTITY_WORDS = {
    "volume": "volume",
    "mean_csa": "mean cross-sectional area",
    "area": "area",
    "percent_change": "change",
}
# Unit of the record -> unit that a person reads, and the factor between them: volumes are
# read in cm³ on every page; the export and the API keep mm³.
SHOWN_UNITS = {"mm3": ("cm³", 1e-3), "mm2": ("mm²", 1.0)}
# The number that stands for a run where there is room for one only.
HEADLINES = (
    ("brain_parenchyma", "volume"),
    ("cord_c2_c3", "mean_csa"),
    ("cord_pmj_64mm", "mean_csa"),
    ("cord_segment", "mean_csa"),
    ("brain_parenchyma", "percent_change"),
    ("cord_c2_c3", "percent_change"),
    ("cord_pmj_64mm", "percent_change"),
    ("cord_segment", "percent_change"),
)

# Filter of the list: name, words, condition.
RUN_STATES: dict[str, tuple[str, Q]] = {
    "active": ("Waiting and measuring", Q(status__in=ACTIVE)),
    "failed": ("Failed", Q(status=Status.FAILED)),
    "refused": ("Not measurable", Q(outcome=Outcome.REFUSED)),
    "landmark": ("Landmark needed", Q(outcome=Outcome.NEEDS_LANDMARK)),
    "measured": ("Measured", Q(outcome=Outcome.OK)),
    "cancelled": ("Cancelled", Q(status=Status.CANCELLED)),
}


@dataclass(frozen=True, slots=True)
class Number:
    """A measured number as a page shows it: value, error and unit as a person reads them."""

    structure: str
    quantity: str
    words: str
    value: float
    standard_error: float | None
    unit: str

    @property
    def value_text(self) -> str:
        """Return the value with as many digits as its error allows; a change has a sign."""
        text = rounded(self.value, decimals_for(self.value, self.standard_error))
        return f"+{text}" if self.quantity == "percent_change" and self.value > 0 else text

    @property
    def error_text(self) -> str:
        """Return the standard error with two significant digits; empty when unknown."""
        if not self.standard_error:
            return ""
        return rounded(self.standard_error, decimals_for(self.value, self.standard_error))


def number_of(measure: Measurement) -> Number:
    """Return a measurement with its words."""
    structure = STRUCTURE_WORDS.get(measure.structure, measure.structure.replace("_", " "))
    quantity = QUANTITY_WORDS.get(measure.quantity, measure.quantity.replace("_", " "))
    unit, scale = SHOWN_UNITS.get(measure.unit, (measure.unit, 1.0))
    error = measure.standard_error
    return Number(
        structure=measure.structure,
        quantity=measure.quantity,
        words=f"{structure}, {quantity}",
        value=measure.value * scale,
        standard_error=None if error is None else error * scale,
        unit=unit,
    )


def decimals_for(value: float, standard_error: float | None) -> int:
    """Return decimals that give the error two significant digits; negative before the point.

    Examples
    --------
    >>> decimals_for(71.234, 0.41), decimals_for(1_103_456.0, 4213.0)
    (2, -2)
    """
    if not standard_error:
        return 0 if abs(value) >= 1000 else 1
    return min(6, 1 - floor(log10(standard_error)))


def rounded(value: float, decimals: int) -> str:
    """Return a number rounded to decimals, thousands apart by a narrow space.

    Examples
    --------
    >>> rounded(1_103_456.0, -2), rounded(-0.4, 1)
    ('1\u202f103\u202f500', '\u22120.4')
    """
    text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    return text.replace(",", "\u202f").replace("-", "\u2212")


@dataclass(frozen=True, slots=True)
class RunCard:
    """Where a run stands, in words; the same on every page."""

    run: VolumetryRun
    subject: str
    state: str
    icon: str
    kind: str
    sentence: str
    headline: Number | None
    review: Review | None
    failed_checks: tuple[str, ...]
    # Of a change between two scans: the day of the earlier one.
    since: date | None = None

    @property
    def is_active(self) -> bool:
        """Say whether it still waits or works."""
        return self.run.is_active

    @property
    def waits_for_reader(self) -> bool:
        """Say whether a reader has to look before its numbers count."""
        return self.review is None and (
            bool(self.failed_checks) or self.run.outcome == Outcome.NEEDS_LANDMARK
        )

    @property
    def is_rejected(self) -> bool:
        """Say whether a reader took its numbers out of every statistic."""
        return self.review is not None and self.review.verdict == Review.Verdict.REJECTED


# Icon and kind of badge beside the word: never colour alone.
STATE_MARKS = {
    Status.QUEUED: ("waiting", "quiet"),
    Status.RUNNING: ("running", "info"),
    Status.FAILED: ("error", "bad"),
    Status.CANCELLED: ("none", "quiet"),
}
OUTCOME_MARKS = {
    Outcome.OK: ("success", "good"),
    Outcome.NEEDS_LANDMARK: ("warning", "warn"),
    Outcome.REFUSED: ("error", "bad"),
}
LONG_WAIT = timedelta(seconds=60)
NO_WORKER_YET = (
    "No worker has taken it yet. Nothing is lost: it is measured as soon as one is free."
)


def run_card(run: VolumetryRun) -> RunCard:
    """Put the state of a run into words."""
    if run.status == Status.SUCCEEDED:
        outcome = Outcome(run.outcome)
        state, (icon, kind) = str(outcome.label), OUTCOME_MARKS[outcome]
    else:
        status = Status(run.status)
        state, (icon, kind) = str(status.label), STATE_MARKS[status]
    sentence = run.reason
    if run.status == Status.RUNNING:
        sentence = run.step
    elif run.status == Status.QUEUED and timezone.now() - run.created_at > LONG_WAIT:
        sentence = NO_WORKER_YET
    return RunCard(
        run=run,
        subject=run_subject(run),
        state=state,
        icon=icon,
        kind=kind,
        sentence=sentence,
        headline=run_headline(run),
        review=next(reversed(list(run.reviews.all())), None),
        failed_checks=tuple(
            check.sentence or check.name
            for check in run.quality.all()
            if check.verdict == "fail"
        ),
        since=run.before.scan.session.visit.date if run.before else None,
    )


# The day of the earlier scan of a pair, fetched with the run.
EARLIER = "before__scan__session__visit"


def run_details() -> QuerySet[VolumetryRun]:
    """Return runs with scan, patient, numbers, checks, files and verdicts, in few queries."""
    return VolumetryRun.objects.select_related(
        "image__scan__session__visit__patient", "image__scan__clinic", EARLIER
    ).prefetch_related(
        Prefetch("measurements", queryset=Measurement.objects.order_by("id")),
        Prefetch("quality", queryset=QualityResult.objects.order_by("id")),
        Prefetch("files", queryset=RunFile.objects.order_by("name")),
        Prefetch("reviews", queryset=Review.objects.select_related("reviewer")),
    )


def run_list(actor: "Actor", clinic: Clinic, *, state: str = "") -> QuerySet[VolumetryRun]:
    """Return the runs of a clinic, newest first, those of one state when it is named."""
    scans = Scan.objects.filter(clinic=clinic).visible_to(actor, grant=Grant.RUN_READ)
    runs = VolumetryRun.objects.filter(image__scan__in=scans)
    if state in RUN_STATES:
        runs = runs.filter(RUN_STATES[state][1])
    return (
        runs.select_related("image__scan__session__visit__patient", EARLIER)
        .prefetch_related("measurements", "quality", "reviews__reviewer")
        .order_by("-created_at", "pk")
    )


def run_counts(actor: "Actor", clinic: Clinic) -> list[tuple[str, str, int]]:
    """Return name, words and number of runs of each state, for the filter."""
    runs = run_list(actor, clinic)
    return [
        (name, words, runs.filter(condition).count())
        for name, (words, condition) in RUN_STATES.items()
    ]


def run_headline(run: VolumetryRun) -> Number | None:
    """Return the one number that stands for a run; None when there is none."""
    held = {(m.structure, m.quantity): m for m in run.measurements.all()}
    for key in HEADLINES:
        if key in held:
            return number_of(held[key])
    return next((number_of(measure) for measure in held.values()), None)


def run_region(run: VolumetryRun) -> str:
    """Return brain or cord, by the name of the method; empty when the name tells neither."""
    of_change = {method: region for region, method in CHANGE_METHODS.items()}
    named = next((region for region in REGION_WORDS if region in run.method), "")
    return of_change.get(run.method, named)


def run_subject(run: VolumetryRun) -> str:
    """Return what a run measures, in words; a method of another name shows its own."""
    words = REGION_WORDS.get(run_region(run), run.method)
    if run.before_id:
        return f"{words}: change"
    given = [said for name, said in GIVEN_WORDS.items() if run.parameters.get(name)]
    return f"{words}, {', '.join(given)}" if given else words


def run_successor(run: VolumetryRun) -> VolumetryRun | None:
    """Return the newest run of the same image and method, when it is a later one."""
    newest = (
        VolumetryRun.objects.filter(image=run.image_id, method=run.method, before=run.before_id)
        .exclude(status=Status.CANCELLED)
        .order_by("created_at")
        .last()
    )
    return newest if newest is not None and newest.pk != run.pk else None
