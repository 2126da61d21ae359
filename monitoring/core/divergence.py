"""The statement about one patient: whether the cord shrinks faster than the brain predicts.

`assess_patient` answers for one date, `assess_history` for every visit in one pass with the
hysteresis carried. Both are pure: the same observations in any order and any unit, under the
same parameters, give the same `Divergence`.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

from monitoring.core.estimates import posterior_table
from monitoring.core.levels import needs_history
from monitoring.core.observations import events_until, usable_observations
from monitoring.core.parameter_set import MODEL_VERSION, Parameters
from monitoring.core.statements import Known, statement_of, without_scans
from monitoring.core.types import (
    ClinicalEvent,
    Divergence,
    Level,
    Observation,
    Posterior,
)


def assess_patient(
    observations: Iterable[Observation],
    events: Iterable[ClinicalEvent] = (),
    *,
    parameters: Parameters,
    as_of: date | None = None,
    previous_level: Level | None = None,
    with_curves: bool = True,
) -> Divergence:
    """Assess one patient as of one date.

    Parameters
    ----------
    observations, events
        In any order; rejected observations and everything after ``as_of`` change nothing.
    as_of : date or None
        None means the day of the last usable observation.
    previous_level : Level or None
        The level before this assessment, for the hysteresis; `assess_history` carries it.
    with_curves : bool
        Also compute the lines of the chart.

    Raises
    ------
    InvalidObservation
        For a value that is zero, negative, infinite or not a number.
    """
    used, merged = usable_observations(observations, until=as_of)
    if not used:
        return without_scans(parameters)
    known = Known.on(as_of, used, merged, events)
    posterior = posterior_table([known.series], parameters).posterior(0)
    return statement_of(
        known, posterior, parameters, previous=previous_level, with_curves=with_curves
    )


def assess_history(
    observations: Iterable[Observation],
    events: Iterable[ClinicalEvent] = (),
    *,
    parameters: Parameters,
    with_curves: bool = True,
) -> list[Divergence]:
    """Assess one patient as of every day with a usable observation, oldest first.

    Each element knows only what was known on its day; levels carry over. The last one is what
    a page shows now (only it has curves). Empty without any usable observation.
    """
    observations, events = tuple(observations), tuple(events)
    (history,) = assess_histories([(observations, events)], parameters=parameters)
    if history and with_curves:
        last = history[-1]
        current = assess_patient(
            observations, events, parameters=parameters, previous_level=_before(history)
        )
        history[-1] = replace(current, first_raised=last.first_raised)
    return history


def _before(history: Sequence[Divergence]) -> Level | None:
    """Return the level before the last assessment."""
    return history[-2].level if len(history) > 1 else None


PatientRecord = tuple[Iterable[Observation], Iterable[ClinicalEvent]]


def assess_histories(
    patients: Sequence[PatientRecord], *, parameters: Parameters
) -> list[list[Divergence]]:
    """Assess many patients as of every visit in one pass, without curves."""
    known: list[list[Known]] = []
    for observations, events in patients:
        used, merged = usable_observations(observations)
        days = sorted({one.when for one in used})
        kept_events = tuple(events)
        known.append([Known.on(day, used, merged, kept_events) for day in days])
    table = posterior_table([one.series for own in known for one in own], parameters)
    histories: list[list[Divergence]] = []
    place = 0
    for own in known:
        posteriors = [table.posterior(place + index) for index in range(len(own))]
        place += len(own)
        histories.append(_history(own, posteriors, parameters))
    return histories


def _history(
    known: Sequence[Known], posteriors: Sequence[Posterior], parameters: Parameters
) -> list[Divergence]:
    """Carry the level, and since when it is raised, from visit to visit."""
    history: list[Divergence] = []
    level: Level | None = None
    raised: date | None = None
    for one, posterior in zip(known, posteriors, strict=True):
        current = statement_of(one, posterior, parameters, previous=level, with_curves=False)
        level = current.level
        is_raised = level in {Level.WATCH, Level.FLAG}
        raised = (raised or current.as_of) if is_raised else None
        history.append(replace(current, first_raised=raised))
    return history


def assess_many(
    patients: Sequence[PatientRecord], *, parameters: Parameters
) -> list[Divergence]:
    """Assess many patients as of their last visit: the last element of each history.

    Earlier visits are computed only where they can matter: where the present probabilities
    raise a level, or would hold one.
    """
    known: list[Known | None] = []
    for observations, events in patients:
        used, merged = usable_observations(observations)
        known.append(Known.on(None, used, merged, events) if used else None)
    table = posterior_table([one.series for one in known if one], parameters)
    results: list[Divergence] = []
    waiting: list[int] = []
    place = 0
    for index, one in enumerate(known):
        if one is None:
            results.append(without_scans(parameters))
            continue
        posterior = table.posterior(place)
        place += 1
        results.append(
            statement_of(one, posterior, parameters, previous=None, with_curves=False)
        )
        if needs_history(
            p_faster_than_1=posterior.p_faster_than_1,
            p_change=posterior.p_change,
            policy=parameters.policy,
        ):
            waiting.append(index)
    histories = assess_histories([patients[index] for index in waiting], parameters=parameters)
    for index, history in zip(waiting, histories, strict=True):
        results[index] = history[-1]
    return results


def inputs_digest(
    observations: Iterable[Observation],
    events: Iterable[ClinicalEvent],
    *,
    parameters: Parameters,
    as_of: date | None = None,
) -> str:
    """Return the SHA-256 of everything that can move an assessment.

    Order and rejected observations do not enter, so that re-running an assessment that cannot
    differ gives the same digest.
    """
    rows = sorted(
        (o.when.isoformat(), o.region.value, repr(float(o.value)), o.epoch, o.quality.value)
        for o in observations
        if o.is_usable and (as_of is None or o.when <= as_of)
    )
    known = sorted((e.when.isoformat(), e.kind.value) for e in events_until(events, as_of))
    document = {
        "model": MODEL_VERSION,
        "parameters": [parameters.id, parameters.digest()],
        "observations": rows,
        "events": known,
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
