"""How complete a clinic's record is: per field, per year, from upload to a usable number."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import ExtractYear

from monitoring.models import (
    Assessment,
    Attention,
    Clinic,
    Grant,
    Patient,
    PhenotypePeriod,
    Review,
    Scan,
    Sex,
    Treatment,
)
from monitoring.selectors.observations import CORD_LEVELS
from volumetry.models import Outcome, QualityResult, Status, VolumetryRun

if TYPE_CHECKING:
    from monitoring.models.people import Actor

# An EDSS belongs to a scan when no more than this lies between them (guide to the cohort page).
EDSS_WINDOW = timedelta(days=90)
SHOWN_YEARS = 12


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many have something; ``percent`` is None of nothing."""

    name: str
    held: int
    total: int

    @property
    def percent(self) -> float | None:
        """Return the share in percent; no record is no share, not 0 %."""
        return 100 * self.held / self.total if self.total else None

    @property
    def missing(self) -> int:
        """Return how many lack it."""
        return self.total - self.held


@dataclass(frozen=True, slots=True)
class Completeness:
    """What the page shows."""

    patients: tuple[Share, ...]
    scans: tuple[Share, ...]
    years: tuple[tuple[int, int, Share, Share, Share], ...]

    @property
    def is_empty(self) -> bool:
        """Say whether there is no patient to be complete."""
        return not self.patients[0].total


def completeness(actor: "Actor", clinic: Clinic) -> Completeness:
    """Return how complete the record of a clinic of the actor's is."""
    visible = Clinic.objects.visible_to(actor, grant=Grant.COMPLETENESS_READ)
    own = visible.filter(pk=clinic.pk)
    scans = _marked_scans(own)
    return Completeness(_patients(own), _scans(scans), _years(scans))


def _patients(clinics: QuerySet[Clinic]) -> tuple[Share, ...]:
    """Count the fields of patients; healthy controls have no disease to record."""
    me = OuterRef("pk")
    conditions = {
        "Sex": ~Q(sex=Sex.UNKNOWN),
        "Year of birth": Q(birth_year__isnull=False),
        "Onset": Q(onset_date__isnull=False),
        "Phenotype": Q(Exists(PhenotypePeriod.objects.current().filter(patient=me))),
        "EDSS, at least one": Q(Exists(Assessment.objects.current().filter(visit__patient=me))),
        "Treatment, at least one": Q(Exists(Treatment.objects.current().filter(patient=me))),
    }
    people = Patient.objects.filter(clinic__in=clinics).filter(attention__lt=Attention.CONTROL)
    counts = people.aggregate(
        total=Count("pk"),
        **{f"n{i}": Count("pk", filter=q) for i, q in enumerate(conditions.values())},
    )
    return tuple(
        Share(name, counts[f"n{index}"], counts["total"])
        for index, name in enumerate(conditions)
    )


def _marked_scans(clinics: QuerySet[Clinic]) -> QuerySet[Scan]:
    """Return scans with a mark for each step that they came through."""
    measured = VolumetryRun.objects.filter(
        image=OuterRef("image"),
        before__isnull=True,
        status=Status.SUCCEEDED,
        outcome=Outcome.OK,
    )
    latest = Review.objects.filter(run=OuterRef("pk")).order_by("-created_at", "-id")
    failed = QualityResult.objects.filter(run=OuterRef("pk"), verdict="fail")
    usable = measured.annotate(
        verdict=latest.values("verdict")[:1], has_failed=Exists(failed)
    ).filter(Q(verdict="accepted") | Q(verdict__isnull=True, has_failed=False))
    visit = "session__visit__date"
    assessed = Assessment.objects.current().filter(
        visit__patient=OuterRef("session__visit__patient"),
        visit__date__gte=OuterRef(visit) - EDSS_WINDOW,
        visit__date__lte=OuterRef(visit) + EDSS_WINDOW,
    )
    return Scan.objects.filter(clinic__in=clinics).annotate(
        is_measured=Exists(measured),
        is_usable=Exists(usable),
        has_brain=Exists(usable.filter(measurements__structure="brain_parenchyma")),
        has_cord=Exists(usable.filter(measurements__structure__in=CORD_LEVELS)),
        has_edss=Exists(assessed),
    )


def _scans(scans: QuerySet[Scan]) -> tuple[Share, ...]:
    """Count the scans that came through each step."""
    steps = {
        "Measured": Q(is_measured=True),
        "Usable: passed or accepted": Q(is_usable=True),
        "Brain volume": Q(has_brain=True),
        "Cord area at a known level": Q(has_cord=True),
        "EDSS within 90 days": Q(has_edss=True),
    }
    counts = scans.aggregate(
        total=Count("pk"),
        **{f"n{i}": Count("pk", filter=q) for i, q in enumerate(steps.values())},
    )
    return tuple(
        Share(name, counts[f"n{index}"], counts["total"]) for index, name in enumerate(steps)
    )


def _years(scans: QuerySet[Scan]) -> tuple[tuple[int, int, Share, Share, Share], ...]:
    """Count visits with a scan by year, and those with brain, cord and EDSS."""
    visit = "session__visit"
    rows = (
        scans.values(year=ExtractYear(F(f"{visit}__date")))
        .annotate(
            visits=Count(visit, distinct=True),
            brain=Count(visit, distinct=True, filter=Q(has_brain=True)),
            cord=Count(visit, distinct=True, filter=Q(has_cord=True)),
            edss=Count(visit, distinct=True, filter=Q(has_edss=True)),
        )
        .order_by("-year")[:SHOWN_YEARS]
    )
    return tuple(
        (
            row["year"],
            row["visits"],
            Share("Brain", row["brain"], row["visits"]),
            Share("Cord", row["cord"], row["visits"]),
            Share("EDSS within 90 days", row["edss"], row["visits"]),
        )
        for row in rows
    )
