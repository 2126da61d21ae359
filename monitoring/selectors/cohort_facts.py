"""What was seen and said of a clinic's patients, as columns for the cohort analyses."""

from datetime import date
from typing import Any

import numpy as np
import orjson
from django.db.models import F, FloatField, IntegerField, OuterRef, Q, Subquery
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from monitoring.core.cohort.table import LEVELS, PHENOTYPES, SYSTEMS, Lesions, Long, Statements
from monitoring.core.series import IntArray
from monitoring.models import (
    Assessment,
    Clinic,
    DivergenceEstimate,
    LesionCount,
    Patient,
    PhenotypePeriod,
    Relapse,
)
from monitoring.selectors.columns import (
    CHUNK,
    Largest,
    Number,
    id_text,
    number_or_nan,
    number_table,
)


def relapses_of(clinic: Clinic, index: dict[str, int]) -> Long:
    """Return the onsets of the relapses."""
    rows = Relapse.objects.current().filter(patient__clinic=clinic)
    return Long.of(
        (index[pk], day.toordinal(), 1.0)
        for pk, day in rows.values_list(id_text("patient_id"), "onset").iterator(CHUNK)
    )


def phenotypes_of(clinic: Clinic, index: dict[str, int]) -> Long:
    """Return the periods of the phenotypes."""
    rows = PhenotypePeriod.objects.current().filter(patient__clinic=clinic)
    return Long.of(
        (index[pk], day.toordinal(), float(PHENOTYPES.index(name)))
        for pk, day, name in rows.values_list(id_text("patient_id"), "starts_on", "phenotype")
    )


def edss_of(clinic: Clinic, index: dict[str, int]) -> tuple[Long, Any]:
    """Return EDSS and functional systems, sorted by patient and day."""
    rows = (
        Assessment.objects.current()
        .filter(visit__patient__clinic=clinic)
        .order_by()
        .values_list(
            id_text("visit__patient_id"),
            "visit__date",
            Number("edss", FloatField()),
            *SYSTEMS,
        )
    )
    # numpy reads None as NaN.
    table = number_table(
        ((index[row[0]], row[1].toordinal(), *row[2:]) for row in rows.iterator(CHUNK)),
        3 + len(SYSTEMS),
    )
    return (
        Long(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2]),
        table[:, 3:],
    )


def lesions_of(clinic: Clinic, index: dict[str, int]) -> Lesions:
    """Return the lesion statements, one row per visit."""
    region, pattern, kind = LesionCount.Region, LesionCount.Pattern, LesionCount.Kind

    def count(where: str, what: str) -> Largest:
        return Largest("count", filter=Q(region=where, pattern=pattern.FOCAL, kind=what))

    def diffuse(where: str) -> Largest:
        # A truth value has no largest in every database.
        said = Cast("is_present", IntegerField())
        return Largest(said, filter=Q(region=where, pattern=pattern.DIFFUSE, kind=kind.T2))

    rows = (
        LesionCount.objects.current()
        .filter(visit__patient__clinic=clinic)
        .order_by()
        .values("visit_id")
        .annotate(
            patient=id_text("visit__patient_id"),
            day=F("visit__date"),
            brain=count(region.BRAIN, kind.T2),
            cord=count(region.CORD, kind.T2),
            new=count(region.BRAIN, kind.NEW_T2),
            diffuse_brain=diffuse(region.BRAIN),
            diffuse_cord=diffuse(region.CORD),
        )
        .values_list("patient", "day", "brain", "cord", "new", "diffuse_brain", "diffuse_cord")
    )
    table = number_table(
        (
            (index[row[0]], row[1].toordinal(), *row[2:])
            for row in rows.iterator(CHUNK)
            if any(value is not None for value in row[2:])
        ),
        7,
    )
    return Lesions(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), *table[:, 2:].T)


def statements_of(clinic: Clinic, index: dict[str, int]) -> Statements:
    """Return the divergence as of each scan, from each patient's newest estimate."""
    newest = DivergenceEstimate.objects.filter(patient=OuterRef("pk")).order_by(
        "-created_at", "-id"
    )
    last = Patient.objects.filter(clinic=clinic).values(last=Subquery(newest.values("pk")[:1]))
    rows: list[tuple[float, ...]] = []
    histories = (
        DivergenceEstimate.objects.filter(pk__in=last)
        .order_by()
        .values_list(id_text("patient_id"), KeyTextTransform("history", "payload"))
    )
    for patient, text in histories.iterator(2000):
        history = orjson.loads(text) if text else ()
        rows.extend(
            (
                index[patient],
                date.fromisoformat(past["as_of"]).toordinal(),
                number_or_nan(past.get("d_percent_per_year")),
                number_or_nan(past.get("p_change")),
                number_or_nan(past.get("brain_percent_per_year")),
                number_or_nan(past.get("cord_percent_per_year")),
                LEVELS.index(past["level"]),
            )
            for past in history
            if past.get("as_of") and past.get("level") in LEVELS
        )
    table = np.array(sorted(rows, key=lambda row: row[:2]), dtype=np.float64).reshape(-1, 7)

    def whole(at: int) -> IntArray:
        return table[:, at].astype(np.int64)

    return Statements(
        whole(0), whole(1), table[:, 2], table[:, 3], table[:, 4], table[:, 5], whole(6)
    )
