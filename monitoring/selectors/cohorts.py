"""Reads of cohort definitions and of what was computed of them."""

import zlib
from typing import TYPE_CHECKING
from uuid import UUID

import orjson
from django.conf import settings
from django.db.models import QuerySet

from monitoring.models import Clinic, CohortAnalysis, CohortDefinition, Grant, ScannerEpoch

if TYPE_CHECKING:
    from monitoring.models.people import Actor


def definition_list(actor: "Actor", clinic: Clinic) -> QuerySet[CohortDefinition]:
    """Return the saved cohorts of a clinic, newest first."""
    readable = Clinic.objects.visible_to(actor, grant=Grant.COHORT_READ)
    return CohortDefinition.objects.filter(clinic=clinic, clinic__in=readable).select_related(
        "created_by"
    )


def epoch_choices(actor: "Actor", clinic: Clinic) -> list[tuple[str, str]]:
    """Return id and name of the epochs of a clinic that stand for themselves."""
    readable = Clinic.objects.visible_to(actor, grant=Grant.COHORT_READ)
    epochs = ScannerEpoch.objects.filter(
        scanner__clinic=clinic, scanner__clinic__in=readable, merged_into__isnull=True
    ).select_related("scanner")
    return [(str(epoch.pk), str(epoch)) for epoch in epochs]


def definition_get(actor: "Actor", pk: UUID) -> CohortDefinition | None:
    """Return a saved cohort of the actor's clinics, or None."""
    mine = Clinic.objects.visible_to(actor)
    return (
        CohortDefinition.objects.select_related("clinic").filter(pk=pk, clinic__in=mine).first()
    )


def analysis_get(actor: "Actor", pk: UUID) -> CohortAnalysis | None:
    """Return an analysis of the actor's clinics, or None; rows and inputs come when asked."""
    mine = Clinic.objects.visible_to(actor)
    found = CohortAnalysis.objects.select_related("clinic").filter(pk=pk, clinic__in=mine)
    return found.defer("rows", "inputs").first()


def analysis_inputs(analysis: CohortAnalysis) -> orjson.Fragment:
    """Return what an analysis was computed from (`monitoring.core.cohort.inputs`), written."""
    stored = bytes(analysis.inputs)
    return orjson.Fragment(zlib.decompress(stored) if stored else b"{}")


def definition_of(analysis: CohortAnalysis) -> CohortDefinition | None:
    """Return the saved cohort that an analysis is of, the oldest of several."""
    return (
        CohortDefinition.objects.filter(clinic=analysis.clinic, digest=analysis.digest)
        .order_by("created_at")
        .first()
    )


def citation_of(saved: CohortDefinition, analysis: CohortAnalysis) -> str:
    """Return how a paper names a saved cohort, so that it can be found and computed again.

    The hash is of the choices, the data's version of the facts that they were applied to.
    """
    synthetic = " Synthetic data." if analysis.result.get("is_synthetic") else ""
    data = f"data {analysis.data_version[:12]} as of {analysis.finished_at:%Y-%m-%d}"
    return (
        f"“{saved.name}”. Cohort definition, {saved.clinic.name}, "
        f"{saved.created_at:%Y-%m-%d}, SHA-256 {saved.digest}; {data}, "
        f"analysis {analysis.analysis_version}, Neuraxis {settings.VERSION}.{synthetic}"
    )
