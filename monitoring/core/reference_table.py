"""Fitting a reference to tables: patients, and healthy controls where there are any."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.core.divergence import inputs_digest
from monitoring.core.errors import InvalidTable
from monitoring.core.norms import ControlScan, MeasureFacts, own_norms
from monitoring.core.observations import observation_series, usable_observations
from monitoring.core.parameter_set import Parameters
from monitoring.core.reference import ReferenceFit, fit_reference
from monitoring.core.reference_guards import LARGEST_RATIO, odd_units
from monitoring.core.series import Series
from monitoring.core.tables import Control, read_controls, read_events, read_observations
from monitoring.core.types import ClinicalEvent, Observation, Region

NAMED = 3
"""People whom a refusal names; more would bury the reason."""


@dataclass(frozen=True, slots=True)
class TableFit:
    """A proposed parameter set, and the norms of the controls (see `norms.own_norms`)."""

    fit: ReferenceFit
    norms: list[dict[str, Any]]


def fit_table(
    observations: str,
    *,
    events: str | None = None,
    controls: str | None = None,
    base: Parameters,
) -> TableFit:
    """Fit the parameters to the people of tables (see `monitoring.core.reference`).

    The id of the proposal is a hash of everything that entered the fit, so that the same tables
    give the same id.

    Parameters
    ----------
    observations, events, controls : str
        CSV texts (see `monitoring.core.tables`). Controls inform errors and scanner offsets,
        never the patients' slopes; without them there are no norms.

    Raises
    ------
    InvalidTable
        Naming table and line.
    NotAssessable
        With too few patients.
    """
    known = read_events(events) if events is not None else {}
    patients, digests = _series(read_observations(observations), known, base)
    people = read_controls(controls) if controls is not None else {}
    healthy, others = _series(
        {name: [one.observation for one in own] for name, own in people.items()}, {}, base
    )
    _check_units(patients, healthy)
    marks = sorted([*digests, *(f"control {digest}" for digest in others)])
    name = hashlib.sha256("".join(marks).encode()).hexdigest()[:12]
    fit = fit_reference(
        list(patients.values()), controls=list(healthy.values()), base=base, id=f"own-{name}"
    )
    return TableFit(fit, own_norms(_first_scans(people)) if people else [])


def _series(
    people: Mapping[str, Sequence[Observation]],
    events: Mapping[str, Sequence[ClinicalEvent]],
    base: Parameters,
) -> tuple[dict[str, Series], list[str]]:
    """Return the usable series, sorted by name, and the digest of each."""
    series: dict[str, Series] = {}
    digests: list[str] = []
    for name in sorted(people):
        own = events.get(name, [])
        used, _ = usable_observations(people[name])
        if used:
            series[name] = observation_series(used, own)
            digests.append(inputs_digest(used, own, parameters=base))
    return series, digests


def _check_units(*groups: Mapping[str, Series]) -> None:
    """Refuse values whose unit is in doubt, naming the people."""
    names = [name for group in groups for name in group]
    series = [one for group in groups for one in group.values()]
    for region, odd in odd_units(series).items():
        who = ", ".join(names[index] for index in odd[:NAMED])
        more = f" and {len(odd) - NAMED} others" if len(odd) > NAMED else ""
        raise InvalidTable(
            f"The {region} values of {who}{more} differ from the median of all by more than a "
            f"factor of {LARGEST_RATIO:g}: check units and typing."
        )


def _first_scans(
    people: Mapping[str, Sequence[Control]],
) -> dict[str, dict[MeasureFacts, list[ControlScan]]]:
    """Return the first usable scan of each control, by region and by how it was measured."""
    found: dict[str, dict[MeasureFacts, list[ControlScan]]] = {
        region.value: {} for region in Region
    }
    for name in sorted(people):
        for region in Region:
            own = [
                one
                for one in people[name]
                if one.observation.is_usable and one.observation.region is region
            ]
            if not own:
                continue
            first = min(own, key=lambda one: (one.observation.when, one.observation.value))
            age = first.observation.when.year - first.birth_year
            scan = ControlScan(value=first.observation.value, age=age, sex=first.sex)
            found[region.value].setdefault(first.facts, []).append(scan)
    return found
