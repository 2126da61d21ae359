"""Own norms of the demo: the first scans of its synthetic controls, adopted as a set.

The model's parameters stay the literature defaults. The set adds the norms, made by the code
that makes a clinic's own. Drawn values in, drawn norms out: nothing here is about people.
"""

import hashlib
import json
from dataclasses import asdict, replace

from django.contrib.auth.models import User

from monitoring.core.expected_flags import literature_expected
from monitoring.core.norms import own_norms
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.types import Region
from monitoring.models import Clinic, ParameterAdoption, ParameterSet
from monitoring.selectors.reference import reference_of


def norms_adopt(clinic: Clinic, *, proposed_by: User) -> None:
    """Let the norms of a clinic's controls count, where there are enough of them."""
    base = literature_defaults()
    found = reference_of(clinic, base=base, progress=lambda _done, _total: None)
    norms = own_norms(
        {region: found.control_scans.get(region, {}) for region in Region},
    )
    if all("refusal" in norm for norm in norms):
        return
    mark = hashlib.sha256(json.dumps(norms, sort_keys=True).encode()).hexdigest()[:8]
    parameters = replace(
        base, id=f"{base.id}+norms-{mark}", title="Literature defaults with own norms"
    )
    row = ParameterSet.objects.create(
        clinic=clinic,
        name=parameters.id,
        digest=parameters.digest(),
        document=parameters.to_document(),
        provenance={"synthetic": True},
        norms=norms,
        expected=asdict(literature_expected()),
        proposed_by=proposed_by,
    )
    ParameterAdoption.objects.create(
        clinic=clinic,
        parameter_set=row,
        reason="Demo: norms of synthetic controls. No real person.",
        adopted_by=proposed_by,
    )
