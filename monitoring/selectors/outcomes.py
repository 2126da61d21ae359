"""Clinical outcomes of a patient, computed from the facts each time they are read.

They are not stored: the rules take less than a millisecond, and a stored copy could disagree
with an EDSS that was corrected since.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from monitoring.core.outcomes import LesionFinding, Outcomes, outcomes_of
from monitoring.core.spms import ScoredVisit
from monitoring.models import LesionCount, Patient, Relapse

if TYPE_CHECKING:
    from monitoring.selectors.timeline_points import EdssStep


def patient_outcomes(
    patient: Patient,
    edss: Sequence["EdssStep"],
    relapses: Sequence[Relapse],
    now: Mapping[str, Any],
    *,
    as_of: date | None = None,
) -> Outcomes:
    """Return CDW, PIRA, RAW, the rule of SPMS and NEDA; ``now`` is the divergence statement."""
    is_stated = now.get("level") not in {None, "insufficient"}
    return outcomes_of(
        [ScoredVisit(step.when, float(step.edss), step.systems) for step in edss],
        [relapse.onset for relapse in relapses],
        lesion_findings(patient),
        brain_percent_per_year=now.get("brain_percent_per_year") if is_stated else None,
        as_of=as_of,
    )


def lesion_findings(patient: Patient) -> list[LesionFinding]:
    """Return what readers said of new and enhancing focal lesions, by day."""
    kinds = {LesionCount.Kind.NEW_T2: "new_t2", LesionCount.Kind.GADOLINIUM: "gadolinium"}
    rows = LesionCount.objects.current().filter(
        visit__patient=patient, pattern=LesionCount.Pattern.FOCAL, kind__in=list(kinds)
    )
    days: dict[date, dict[str, bool]] = {}
    for day, kind, count in rows.values_list("visit__date", "kind", "count"):
        said, name = days.setdefault(day, {}), kinds[LesionCount.Kind(kind)]
        said[name] = said.get(name, False) or count > 0
    return [
        LesionFinding(day, said.get("new_t2"), said.get("gadolinium"))
        for day, said in sorted(days.items())
    ]
