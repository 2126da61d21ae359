"""Which parameters count in a clinic, and what was proposed and adopted before."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet

from monitoring.core.expected_flags import ExpectedFlags, literature_expected
from monitoring.core.norms import Norm
from monitoring.core.parameter_set import Parameters, literature_defaults
from monitoring.models import (
    Clinic,
    Grant,
    ParameterAdoption,
    ParameterProposal,
    ParameterSet,
    Patient,
)

if TYPE_CHECKING:
    from monitoring.models.people import Actor


@dataclass(frozen=True, slots=True)
class SetInForce:
    """Parameters with what belongs to them: expected flags, norms, and the stored row.

    ``set_pk`` is None for the literature defaults; ``norm_refusals`` says per region why the
    clinic has no norm of its own.
    """

    parameters: Parameters
    expected: ExpectedFlags | None
    norms: tuple[Norm, ...]
    norm_refusals: tuple[str, ...]
    set_pk: int | None


NO_OWN_SET = (
    "No own norm: it comes with a parameter set that was fitted to this centre's own patients "
    "and controls, and none is adopted."
)


def set_in_force(clinic_id: UUID) -> SetInForce:
    """Return what the clinic adopted last; the literature defaults without any adoption."""
    chosen = (
        ParameterAdoption.objects.filter(clinic=clinic_id)
        .values_list("parameter_set_id", "parameter_set__digest")
        .first()
    )
    return _defaults() if chosen is None or chosen[0] is None else _stored(*chosen)


def _defaults() -> SetInForce:
    return SetInForce(literature_defaults(), literature_expected(), (), (NO_OWN_SET,), None)


@lru_cache(maxsize=32)
def _stored(pk: int, digest: str) -> SetInForce:
    """Read a set once per process: it is append-only, and its digest names its content."""
    return as_set(ParameterSet.objects.get(pk=pk, digest=digest))


def as_set(row: ParameterSet) -> SetInForce:
    """Return a stored set as the model takes it."""
    return SetInForce(
        parameters=Parameters.from_document(row.document),
        expected=ExpectedFlags.from_document(row.expected) if row.expected else None,
        norms=tuple(Norm.from_document(norm) for norm in row.norms if "refusal" not in norm),
        norm_refusals=tuple(norm["refusal"] for norm in row.norms if "refusal" in norm),
        set_pk=row.pk,
    )


def stored_set(chosen: SetInForce) -> ParameterSet | None:
    """Return the row of a set, None for the literature defaults."""
    return None if chosen.set_pk is None else ParameterSet.objects.get(pk=chosen.set_pk)


def adoption_list(actor: "Actor", clinic: Clinic) -> QuerySet[ParameterAdoption]:
    """Return what was adopted when, by whom and why, newest first."""
    visible = Clinic.objects.visible_to(actor, grant=Grant.PARAMETERS_READ)
    return ParameterAdoption.objects.filter(clinic=clinic, clinic__in=visible).select_related(
        "parameter_set", "adopted_by"
    )


def proposal_list(actor: "Actor", clinic: Clinic) -> QuerySet[ParameterProposal]:
    """Return the proposals of a clinic, newest first."""
    visible = Clinic.objects.visible_to(actor, grant=Grant.PARAMETERS_READ)
    return ParameterProposal.objects.filter(clinic=clinic, clinic__in=visible).select_related(
        "parameter_set", "requested_by"
    )


@dataclass(frozen=True, slots=True)
class Recomputing:
    """How many patients of a clinic still wait for a new statement."""

    waiting: int
    patients: int

    @property
    def done(self) -> int:
        """Return how many are up to date."""
        return self.patients - self.waiting


def recomputing(clinic: Clinic) -> Recomputing:
    """Return how far the statements of a clinic follow its facts and its parameters."""
    behind = Q(facts_changed_at__isnull=False) & (
        Q(divergence_checked_at__isnull=True)
        | Q(divergence_checked_at__lt=F("facts_changed_at"))
    )
    counts = Patient.objects.filter(clinic=clinic).aggregate(
        waiting=Count("pk", filter=behind), patients=Count("pk")
    )
    return Recomputing(**counts)


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A patient whose level another set would change."""

    patient: Patient
    old: str
    new: str


def level_changes(actor: "Actor", proposal: ParameterProposal) -> Sequence[LevelChange]:
    """Return the patients whose level would change, as far as the actor may see them."""
    rows = {row["patient"]: row for row in proposal.comparison.get("patients", ())}
    visible = Patient.objects.filter(clinic=proposal.clinic_id, pk__in=list(rows)).visible_to(
        actor, grant=Grant.REGISTRY_READ
    )
    return [
        LevelChange(patient, rows[str(patient.pk)]["old"], rows[str(patient.pk)]["new"])
        for patient in visible
    ]
