"""Patients and their clinical course. Only a pseudonym stands for the person."""

from decimal import Decimal
from typing import TYPE_CHECKING

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from monitoring.models.base import ClinicalFact, Record
from monitoring.models.people import Clinic, Grant
from monitoring.models.worklist import Attention, WorklistColumns

if TYPE_CHECKING:
    from monitoring.models.people import Actor

# EDSS knows 0 and 1 to 10 in halves; 0.5 does not exist (Kurtzke, Neurology 1983;33:1444).
EDSS_STEPS: tuple[Decimal, ...] = (
    Decimal("0.0"),
    *(Decimal(half) / 2 for half in range(2, 21)),
)


WORKLIST_ORDER = (
    F("clinic"),
    F("attention"),
    F("attention_score").desc(),
    F("last_scan_on"),
    F("pseudonym"),
)


class Sex(models.TextChoices):
    """Sex as the norms of cord area use it."""

    FEMALE = "female", "Female"
    MALE = "male", "Male"
    UNKNOWN = "unknown", "Unknown"


class Phenotype(models.TextChoices):
    """Course of disease as the treating neurologist states it."""

    RIS = "RIS", "Radiologically isolated syndrome"
    CIS = "CIS", "Clinically isolated syndrome"
    RRMS = "RRMS", "Relapsing-remitting MS"
    SPMS = "SPMS", "Secondary progressive MS"
    PPMS = "PPMS", "Primary progressive MS"
    HC = "HC", "Healthy control"


class PatientQuerySet(models.QuerySet["Patient"]):
    """Patients as an actor may see them."""

    def visible_to(self, actor: "Actor", *, grant: Grant | None = None) -> "PatientQuerySet":
        """Keep patients of the actor's own clinics, where a role holds ``grant``."""
        return self.filter(clinic__in=Clinic.objects.visible_to(actor, grant=grant))


class Patient(WorklistColumns, Record):
    """A person followed by a clinic, known by a pseudonym."""

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="patients")
    pseudonym = models.CharField(max_length=40)
    sex = models.CharField(max_length=8, choices=Sex.choices, default=Sex.UNKNOWN)
    birth_year = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1900), MaxValueValidator(2100)]
    )
    onset_date = models.DateField(null=True, blank=True, help_text="First symptoms")
    is_synthetic = models.BooleanField(default=False)
    story = models.CharField(max_length=120, blank=True, help_text="What a demo patient shows")
    # Two clocks: when a fact changed that the divergence depends on, and up to when the facts
    # were looked at. The sweep recomputes who is behind.
    facts_changed_at = models.DateTimeField(null=True, blank=True)
    divergence_checked_at = models.DateTimeField(null=True, blank=True)
    divergence_error = models.TextField(blank=True, help_text="Why it could not be computed")

    objects = PatientQuerySet.as_manager()

    class Meta:
        ordering = ["pseudonym"]
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "pseudonym"], name="pseudonym_per_clinic"
            ),
            models.CheckConstraint(condition=~Q(pseudonym=""), name="pseudonym_is_not_empty"),
            models.CheckConstraint(condition=Q(sex__in=Sex.values), name="sex_is_known"),
            models.CheckConstraint(
                condition=Q(birth_year__isnull=True)
                | Q(birth_year__gte=1900, birth_year__lte=2100),
                name="birth_year_is_plausible",
            ),
        ]
        indexes = [
            # worklist: most noteworthy first, then longest without a scan
            models.Index(*WORKLIST_ORDER, name="worklist_order"),
            # its filters that keep few: the same order within them
            models.Index(
                *WORKLIST_ORDER, name="worklist_waiting", condition=Q(scans_waiting__gt=0)
            ),
            models.Index(
                *WORKLIST_ORDER, name="worklist_failed", condition=Q(runs_failed__gt=0)
            ),
            models.Index(
                *WORKLIST_ORDER,
                name="worklist_unassessed",
                condition=Q(
                    level__in=["insufficient", "uncomputed"],
                    attention__lt=Attention.CONTROL.value,
                ),
            ),
            models.Index(fields=["clinic", "last_scan_on"], name="worklist_overdue"),
            # worklist of who uploads: failed first, then longest without a scan
            models.Index(
                F("clinic"),
                F("runs_failed").desc(),
                F("last_scan_on"),
                F("pseudonym"),
                name="worklist_upload_order",
            ),
        ]

    def __str__(self) -> str:
        """Return the pseudonym."""
        return self.pseudonym


class PhenotypePeriod(ClinicalFact):
    """The course of disease from a date on."""

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="phenotypes")
    phenotype = models.CharField(max_length=4, choices=Phenotype.choices)
    starts_on = models.DateField()

    class Meta:
        ordering = ["starts_on"]
        constraints = [
            models.CheckConstraint(
                condition=Q(phenotype__in=Phenotype.values), name="phenotype_is_known"
            )
        ]

    def __str__(self) -> str:
        """Return phenotype and date."""
        return f"{self.phenotype} from {self.starts_on}"


class Visit(Record):
    """A day on which the patient was seen or scanned."""

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="visits")
    date = models.DateField()

    class Meta:
        ordering = ["date"]
        constraints = [
            models.UniqueConstraint(fields=["patient", "date"], name="one_visit_per_day")
        ]

    def __str__(self) -> str:
        """Return the date."""
        return str(self.date)


def _score(highest: int) -> "models.PositiveSmallIntegerField[int | None, int | None]":
    """Return a functional system score from 0 to ``highest``, unknown when empty."""
    return models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MaxValueValidator(highest)]
    )


# Highest score of each functional system as Neurostatus-EDSS scores them.
FUNCTIONAL_SYSTEMS: dict[str, int] = {
    "visual": 6,
    "brainstem": 5,
    "pyramidal": 6,
    "cerebellar": 5,
    "sensory": 6,
    "bowel_bladder": 6,
    "cerebral": 5,
    "ambulation": 12,
}


class Assessment(ClinicalFact):
    """EDSS of a visit, with functional systems where they were scored."""

    visit = models.ForeignKey(Visit, on_delete=models.PROTECT, related_name="assessments")
    edss = models.DecimalField(max_digits=3, decimal_places=1)
    visual = _score(6)
    brainstem = _score(5)
    pyramidal = _score(6)
    cerebellar = _score(5)
    sensory = _score(6)
    bowel_bladder = _score(6)
    cerebral = _score(5)
    ambulation = _score(12)

    class Meta:
        ordering = ["visit__date"]
        constraints = [
            models.CheckConstraint(
                condition=Q(edss__in=EDSS_STEPS),
                name="edss_is_a_step_of_the_scale",
                violation_error_message="The EDSS has the steps 0 and 1.0 to 10.0 in halves.",
            ),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__lte": highest}),
                    name=f"{name}_score_is_on_its_scale",
                )
                for name, highest in FUNCTIONAL_SYSTEMS.items()
            ),
            models.UniqueConstraint(
                fields=["visit"],
                condition=Q(superseded_at__isnull=True),
                name="one_current_assessment_per_visit",
                violation_error_message="This visit has an EDSS already; correct that one.",
            ),
        ]

    def __str__(self) -> str:
        """Return the EDSS."""
        return f"EDSS {self.edss}"


class Relapse(ClinicalFact):
    """An attack, counted from its first day."""

    class Severity(models.TextChoices):
        """How severe it was."""

        MILD = "mild", "Mild"
        MODERATE = "moderate", "Moderate"
        SEVERE = "severe", "Severe"
        UNKNOWN = "unknown", "Not stated"

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="relapses")
    onset = models.DateField()
    severity = models.CharField(
        max_length=8, choices=Severity.choices, default=Severity.UNKNOWN
    )
    is_spinal = models.BooleanField(default=False)
    steroids_on = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["onset"]
        constraints = [
            models.CheckConstraint(
                condition=Q(severity__in=["mild", "moderate", "severe", "unknown"]),
                name="severity_is_known",
            ),
            models.CheckConstraint(
                condition=Q(steroids_on__isnull=True) | Q(steroids_on__gte=F("onset")),
                name="steroids_follow_the_relapse",
                violation_error_message="The steroids begin before the relapse.",
            ),
        ]

    def __str__(self) -> str:
        """Return the day."""
        return f"Relapse of {self.onset}"


class Treatment(ClinicalFact):
    """A period on one disease-modifying drug, with one interruption at most.

    After a second one it is a treatment of its own.
    """

    class Efficacy(models.TextChoices):
        """Efficacy class, as the clinic states it."""

        MODERATE = "moderate", "Moderate efficacy"
        HIGH = "high", "High efficacy"
        OTHER = "other", "Other"

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="treatments")
    drug = models.CharField(max_length=80)
    efficacy = models.CharField(max_length=8, choices=Efficacy.choices, default=Efficacy.OTHER)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True)
    stop_reason = models.CharField(max_length=120, blank=True)
    paused_on = models.DateField(null=True, blank=True)
    resumed_on = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["starts_on"]
        constraints = [
            models.CheckConstraint(
                condition=Q(paused_on__isnull=True, resumed_on__isnull=True)
                | Q(
                    # An unknown day compares as neither true nor false, which a check lets by.
                    paused_on__isnull=False,
                    resumed_on__isnull=False,
                    paused_on__gt=F("starts_on"),
                    resumed_on__gt=F("paused_on"),
                ),
                name="interruption_has_two_days_within_the_treatment",
                violation_error_message=(
                    "An interruption needs its first day, after the treatment began, and the "
                    "later day on which it went on."
                ),
            ),
            models.CheckConstraint(
                condition=Q(resumed_on__isnull=True)
                | Q(ends_on__isnull=True)
                | Q(resumed_on__lte=F("ends_on")),
                name="interruption_ends_before_the_treatment",
                violation_error_message=(
                    "The treatment went on after its last day: leave the interruption out."
                ),
            ),
            models.CheckConstraint(
                condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
                name="treatment_ends_after_its_start",
                violation_error_message="The treatment ends before it starts.",
            ),
            models.CheckConstraint(
                condition=Q(efficacy__in=["moderate", "high", "other"]),
                name="efficacy_is_known",
            ),
        ]

    def __str__(self) -> str:
        """Return drug and start."""
        return f"{self.drug} from {self.starts_on}"

    @property
    def interruption_words(self) -> str:
        """Return the interruption in words, empty without one."""
        if self.paused_on is None:
            return ""
        return f"interrupted from {self.paused_on}, went on from {self.resumed_on}"


class LesionCount(ClinicalFact):
    """Lesions of a visit in brain or cord, as the reader stated them."""

    class Region(models.TextChoices):
        """Where."""

        BRAIN = "brain", "Brain"
        CORD = "cord", "Spinal cord"

    class Pattern(models.TextChoices):
        """Focal lesions are counted; diffuse change is present or absent."""

        FOCAL = "focal", "Focal"
        DIFFUSE = "diffuse", "Diffuse"

    class Kind(models.TextChoices):
        """Which lesions."""

        T2 = "t2", "T2"
        NEW_T2 = "new_t2", "New or enlarging T2"
        GADOLINIUM = "gd", "Gadolinium-enhancing"

    visit = models.ForeignKey(Visit, on_delete=models.PROTECT, related_name="lesions")
    region = models.CharField(max_length=5, choices=Region.choices)
    pattern = models.CharField(max_length=7, choices=Pattern.choices)
    kind = models.CharField(max_length=6, choices=Kind.choices, default=Kind.T2)
    count = models.PositiveIntegerField(null=True, blank=True)
    is_present = models.BooleanField(null=True, blank=True)

    class Meta:
        ordering = ["visit__date", "region"]
        constraints = [
            models.CheckConstraint(
                condition=Q(region__in=["brain", "cord"]), name="lesion_region_is_known"
            ),
            models.CheckConstraint(
                condition=Q(pattern="focal", count__isnull=False, is_present__isnull=True)
                | Q(pattern="diffuse", count__isnull=True, is_present__isnull=False),
                name="focal_is_counted_diffuse_is_present_or_absent",
                violation_error_message="Focal lesions need a number, diffuse change the word "
                "present or absent.",
            ),
            models.UniqueConstraint(
                fields=["visit", "region", "pattern", "kind"],
                condition=Q(superseded_at__isnull=True),
                name="one_current_lesion_statement",
                violation_error_message="This visit has this statement already; correct that "
                "one.",
            ),
        ]

    def __str__(self) -> str:
        """Return region and number."""
        return f"{self.region} {self.pattern}: {self.count}"
