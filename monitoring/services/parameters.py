"""Propose, compare, adopt and withdraw a clinic's own parameters of the divergence model.

A proposal never changes a statement. Adopting is one act of a person with a reason; from then
on every patient's facts count as changed, and the worker recomputes them.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from monitoring.core.divergence import assess_many
from monitoring.core.errors import InvalidParameters, MonitoringError
from monitoring.core.expected_flags import (
    PEOPLE,
    expected_flags,
    profile_document,
    profile_from,
    profile_of,
)
from monitoring.core.norms import own_norms
from monitoring.core.parameter_set import Parameters, literature_defaults
from monitoring.core.priors import Policy
from monitoring.core.reference import ReferenceFit, compare_parameters, fit_reference
from monitoring.core.types import Region
from monitoring.models import (
    AuditEntry,
    Clinic,
    Grant,
    ParameterAdoption,
    ParameterProposal,
    ParameterSet,
    Patient,
)
from monitoring.selectors.parameters import SetInForce, set_in_force, stored_set
from monitoring.selectors.reference import Reference, reference_of
from monitoring.services.audit import audit_record
from monitoring.services.patients import require_grant

if TYPE_CHECKING:
    from monitoring.models.people import Actor

log = structlog.get_logger(__name__)

# The worker reports a step at least this often; silent for longer, it is gone.
SILENCE = timedelta(minutes=15)
PATIENTS_AT_ONCE = 500
Report = Callable[[str, int, int], None]


def proposal_create(
    *,
    actor: "Actor",
    clinic: Clinic,
    kind: ParameterProposal.Kind,
    lines: Mapping[str, Any] | None = None,
) -> ParameterProposal:
    """Ask the worker for a proposal; one at a time in a clinic.

    Raises
    ------
    ValidationError
        If another one is being computed, or the lines contradict each other or are those in
        force.
    """
    require_grant(actor, clinic, Grant.PARAMETERS_ACT)
    if kind == ParameterProposal.Kind.LINES:
        old = set_in_force(clinic.pk).parameters
        if policy_of(old, lines or {}) == old.policy:
            raise ValidationError("These lines are in force already; change a number.")
    try:
        with transaction.atomic():
            proposal = ParameterProposal.objects.create(
                clinic=clinic,
                kind=kind,
                lines=dict(lines or {}),
                requested_by=actor if isinstance(actor, User) else None,
            )
            audit_record(
                actor=actor,
                clinic=clinic,
                action=AuditEntry.Action.CREATE,
                subject="parameter proposal",
                object_id=proposal.pk,
                detail=proposal.get_kind_display(),
            )
    except IntegrityError as error:
        raise ValidationError(
            "A proposal is being computed; wait until it is ready."
        ) from error
    return proposal


def policy_of(base: Parameters, lines: Mapping[str, Any]) -> Policy:
    """Return the policy of a set with some lines changed.

    Raises
    ------
    ValidationError
        Where the lines contradict each other.
    """
    try:
        return replace(base.policy, **lines)
    except InvalidParameters as error:
        raise ValidationError(str(error)) from error


def proposal_compute(proposal_id: UUID) -> None:
    """Compute a proposal that waits; what fails is said in words on the proposal."""
    waiting = ParameterProposal.objects.filter(pk=proposal_id, status="queued")
    if not waiting.update(status="running", updated_at=timezone.now()):
        return
    proposal = ParameterProposal.objects.select_related("clinic", "requested_by").get(
        pk=proposal_id
    )
    try:
        _compute(proposal)
    except MonitoringError as error:
        _close(proposal, status="failed", problem=str(error))
    except Exception:
        log.exception("proposal_failed", proposal=str(proposal_id))
        words = "The computation failed; propose again, or tell your administrator."
        _close(proposal, status="failed", problem=words)
        raise


def proposals_sweep() -> list[UUID]:
    """Give up proposals whose worker is gone; return those that nobody has begun."""
    silent = ParameterProposal.objects.filter(
        status="running", updated_at__lt=timezone.now() - SILENCE
    )
    silent.update(status="failed", problem="The worker stopped; propose again.")
    return list(ParameterProposal.objects.filter(status="queued").values_list("pk", flat=True))


def _compute(proposal: ParameterProposal) -> None:
    """Make the set, compare it, and store both."""

    def report(step: str, done: int, total: int) -> None:
        if done == total or done % 20 == 0:
            ParameterProposal.objects.filter(pk=proposal.pk, status="running").update(
                step=step, done=done, total=total, updated_at=timezone.now()
            )

    old = set_in_force(proposal.clinic_id)
    found = reference_of(
        proposal.clinic,
        base=old.parameters,
        progress=lambda done, total: report("Reading measurements", done, total),
    )
    report("Fitting", 0, 1)
    row = (
        _refitted(proposal, found, old)
        if proposal.kind == ParameterProposal.Kind.REFIT
        else _relined(proposal, old)
    )
    new = Parameters.from_document(row.document)
    comparison = _comparison(old, new, found, report=report)
    report("Simulating people", 0, 1)
    profile = profile_from(row.provenance.get("people", {}))
    before, after = (
        asdict(expected_flags(one, profile=profile, people=PEOPLE))
        for one in (old.parameters, new)
    )
    comparison["expected"] = {"old": before, "new": after}
    row.expected = after
    same = ParameterSet.objects.filter(clinic=proposal.clinic_id, digest=row.digest).first()
    if same is None:
        row.save(force_insert=True)
        same = row
    _close(
        proposal,
        status="done",
        parameter_set=same,
        base_name=old.parameters.id,
        base_digest=old.parameters.digest(),
        comparison=comparison,
    )


def _close(proposal: ParameterProposal, **fields: Any) -> None:
    """Write the end, unless the sweep gave the proposal up meanwhile."""
    ParameterProposal.objects.filter(pk=proposal.pk, status="running").update(
        step="", updated_at=timezone.now(), **fields
    )


def _refitted(proposal: ParameterProposal, found: Reference, old: SetInForce) -> ParameterSet:
    """Fit to the clinic's own people, with the lines in force.

    Everything else that is not fitted stays as the literature has it.
    """
    base = replace(literature_defaults(), policy=old.parameters.policy)
    key = "".join([*sorted(found.digests), repr(base.policy)])
    name = f"own-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    fit = fit_reference(found.patients, controls=found.controls, base=base, id=name)
    return _row(
        proposal,
        fit.parameters,
        provenance={
            **_provenance(fit, found),
            "people": profile_document(profile_of(fit.fitted)),
            "epochs": found.epochs,
        },
        norms=own_norms({region: found.control_scans.get(region, {}) for region in Region}),
    )


def _provenance(fit: ReferenceFit, found: Reference) -> dict[str, Any]:
    """Return what the fit rests on."""
    return {
        "patients": fit.patients,
        "controls": fit.controls,
        "values": fit.rows,
        "left_out": [{"reason": why, "people": n} for why, n in sorted(found.left_out.items())],
        "guards": list(fit.guards),
        "control_slopes": fit.control_slopes,
        "gradient": fit.gradient_norm,
        "iterations": fit.iterations,
    }


def _relined(proposal: ParameterProposal, old: SetInForce) -> ParameterSet:
    """Return the set in force with other lines."""
    policy = replace(old.parameters.policy, **proposal.lines)
    stem = old.parameters.id.partition("+lines-")[0]
    mark = hashlib.sha256(repr(policy).encode()).hexdigest()[:8]
    new = old.parameters.with_policy(policy, id=f"{stem}+lines-{mark}")
    before = stored_set(old)
    return _row(
        proposal,
        new,
        provenance=before.provenance if before else {},
        norms=before.norms if before else [],
    )


def _row(
    proposal: ParameterProposal,
    parameters: Parameters,
    *,
    provenance: Mapping[str, Any],
    norms: list[dict[str, Any]],
) -> ParameterSet:
    """Return a set that is not stored yet."""
    return ParameterSet(
        clinic=proposal.clinic,
        name=parameters.id,
        digest=parameters.digest(),
        document=parameters.to_document(),
        provenance=dict(provenance),
        norms=norms,
        proposed_by=proposal.requested_by,
    )


def _comparison(
    old: SetInForce, new: Parameters, found: Reference, *, report: Report
) -> dict[str, Any]:
    """Return which numbers and lines change, and whose level would."""
    before, after = asdict(old.parameters.policy), asdict(new.policy)
    moved: list[dict[str, str]] = []
    counts: dict[str, int] = {}
    for first in range(0, len(found.records), PATIENTS_AT_ONCE):
        report("Comparing levels", first, len(found.records))
        chunk = found.records[first : first + PATIENTS_AT_ONCE]
        records = [record for _, record in chunk]
        said = [
            [one.level.value for one in assess_many(records, parameters=parameters)]
            for parameters in (old.parameters, new)
        ]
        for (patient, _), was, becomes in zip(chunk, *said, strict=True):
            counts[f"{was} {becomes}"] = counts.get(f"{was} {becomes}", 0) + 1
            if was != becomes:
                moved.append({"patient": str(patient), "old": was, "new": becomes})
    return {
        "parameters": [asdict(row) for row in compare_parameters(old.parameters, new)],
        "lines": [{"name": name, "old": before[name], "new": after[name]} for name in before],
        "levels": counts,
        "patients": moved,
        "assessed": len(found.records),
    }


@transaction.atomic
def parameters_adopt(
    *, actor: "Actor", proposal: ParameterProposal, reason: str
) -> ParameterAdoption:
    """Let a proposed set count from now on; all statements of the clinic are recomputed.

    Raises
    ------
    ValidationError
        Without a reason, before the comparison is ready, or when another set came into force
        since it was made.
    """
    require_grant(actor, proposal.clinic, Grant.PARAMETERS_ACT)
    Clinic.objects.select_for_update().get(pk=proposal.clinic_id)
    chosen = proposal.parameter_set
    if chosen is None or proposal.status != ParameterProposal.Status.DONE:
        raise ValidationError("This proposal is not ready to be adopted.")
    if set_in_force(proposal.clinic_id).parameters.digest() != proposal.base_digest:
        raise ValidationError(
            "Another set came into force since this comparison was made; propose again."
        )
    if Parameters.from_document(chosen.document).digest() != chosen.digest:
        raise ValidationError("The stored set does not match its digest; propose again.")
    return _adopt(actor, proposal.clinic, chosen, reason)


@transaction.atomic
def parameters_withdraw(*, actor: "Actor", clinic: Clinic, reason: str) -> ParameterAdoption:
    """Return to the literature defaults; all statements of the clinic are recomputed.

    Raises
    ------
    ValidationError
        Without a reason, or when the literature defaults are in force.
    """
    require_grant(actor, clinic, Grant.PARAMETERS_ACT)
    Clinic.objects.select_for_update().get(pk=clinic.pk)
    if set_in_force(clinic.pk).set_pk is None:
        raise ValidationError("The literature defaults are in force already.")
    return _adopt(actor, clinic, None, reason)


def _adopt(
    actor: "Actor", clinic: Clinic, chosen: ParameterSet | None, reason: str
) -> ParameterAdoption:
    """Write the adoption, its audit line, and that every patient is out of date."""
    words = reason.strip()
    if not words:
        raise ValidationError({"reason": "Say why."})
    if set_in_force(clinic.pk).set_pk == (chosen.pk if chosen else None):
        raise ValidationError("This set is in force already.")
    adoption = ParameterAdoption.objects.create(
        clinic=clinic,
        parameter_set=chosen,
        reason=words,
        adopted_by=actor if isinstance(actor, User) else None,
    )
    audit_record(
        actor=actor,
        clinic=clinic,
        action=AuditEntry.Action.CHANGE,
        subject="parameter set",
        object_id=chosen.pk if chosen else "",
        detail=f"adopted {chosen.name}" if chosen else "withdrawn, literature defaults",
    )
    Patient.objects.filter(clinic=clinic).update(facts_changed_at=timezone.now())
    return adoption
