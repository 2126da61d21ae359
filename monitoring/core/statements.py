"""Numbers, level and words put together: what is said about one patient on one day."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Self

from monitoring.core.chart_lines import corrected_values, trajectory
from monitoring.core.levels import (
    Decision,
    Scanned,
    decide,
    insufficient,
    missing_data,
    not_assessable,
)
from monitoring.core.observations import (
    MergedNote,
    events_until,
    observation_series,
    unit_doubt,
    years_between,
)
from monitoring.core.parameter_set import Parameters
from monitoring.core.posterior import solve
from monitoring.core.series import Series, pack
from monitoring.core.types import (
    ClinicalEvent,
    Divergence,
    EventKind,
    Level,
    Needs,
    Observation,
    ObservationWeight,
    Posterior,
    Region,
)

RELAPSE_SHADOW_DAYS = 30
"""Scans this soon after a relapse are marked (clinical rules, section 8.6)."""

LIKELY_STEP = 0.5
"""From this probability on a sudden loss of cord area is named."""

FEW_REFERENCE_PATIENTS = 5


def without_scans(parameters: Parameters) -> Divergence:
    """Return the statement about a patient without any usable scan."""
    policy = parameters.policy
    decision = insufficient(missing_data([], policy))
    return Divergence(
        as_of=None,
        level=decision.level,
        is_held=False,
        reason=f"No usable scan. {decision.reason}",
        headline=decision.headline,
        sentence=decision.sentence,
        notes=(),
        needs=missing_data([], policy),
        n_brain=0,
        n_cord=0,
        span_years=0.0,
        epochs=(),
        parameter_set=parameters.id,
    )


@dataclass(frozen=True, slots=True)
class Known:
    """What was known about a patient on one day."""

    used: list[Observation]
    merged: tuple[MergedNote, ...]
    events: list[ClinicalEvent]
    series: Series

    @classmethod
    def on(
        cls,
        day: date | None,
        used: list[Observation],
        merged: tuple[MergedNote, ...],
        events: Iterable[ClinicalEvent],
    ) -> Self:
        """Cut canonical observations and events at a day; None cuts nothing."""
        until = day or date.max
        seen = [one for one in used if one.when <= until]
        known_events = events_until(events, until)
        notes = tuple(note for note in merged if note[0] <= until)
        return cls(seen, notes, known_events, observation_series(seen, known_events))


def statement_of(
    known: Known,
    posterior: Posterior,
    parameters: Parameters,
    *,
    previous: Level | None,
    with_curves: bool,
) -> Divergence:
    """Put numbers, level and words together."""
    policy, used, series = parameters.policy, known.used, known.series
    years = [years_between(used[0].when, one.when) for one in used]
    scans = [Scanned(t, one.region, one.epoch) for t, one in zip(years, used, strict=True)]
    needs = missing_data(scans, policy)
    decision = _decision(used, needs, posterior, parameters, previous)
    solved = solve(pack([series], parameters), parameters) if with_curves else None
    corrected = corrected_values(series, solved, parameters) if solved else None
    weights = _weights(used, posterior, corrected, limit=policy.outlier_weight)
    is_stated = decision.level is not Level.INSUFFICIENT
    said = Divergence(
        as_of=used[-1].when,
        level=decision.level,
        is_held=decision.is_held,
        reason=decision.reason,
        headline=decision.headline,
        sentence=decision.sentence,
        notes=(
            *(text for _, text in known.merged),
            *(_findings(weights, posterior) if is_stated else ()),
            *_circumstances(known, parameters),
        ),
        needs=needs,
        n_brain=len({one.when for one in used if one.region is Region.BRAIN}),
        n_cord=len({one.when for one in used if one.region is Region.CORD}),
        span_years=years[-1],
        epochs=tuple(dict.fromkeys(one.epoch for one in used)),
        parameter_set=parameters.id,
        weights=weights,
        trajectory=trajectory(used[0].when, series, solved, parameters) if solved else None,
        posterior=posterior,
    )
    if not is_stated:
        return said
    return replace(
        said,
        d_percent_per_year=posterior.divergence.value,
        d_low=posterior.divergence.low,
        d_high=posterior.divergence.high,
        p_faster_than_1=posterior.p_faster_than_1,
        p_change=posterior.p_change,
        brain_percent_per_year=posterior.brain.value,
        brain_low=posterior.brain.low,
        brain_high=posterior.brain.high,
        cord_percent_per_year=posterior.cord.value,
        cord_low=posterior.cord.low,
        cord_high=posterior.cord.high,
        gap_percent=posterior.gap.value,
        gap_low=posterior.gap.low,
        gap_high=posterior.gap.high,
    )


def _decision(
    used: Sequence[Observation],
    needs: Needs,
    posterior: Posterior,
    parameters: Parameters,
    previous: Level | None,
) -> Decision:
    """Decide the level: first whether anything may be said, then what."""
    if doubt := unit_doubt(used):
        return not_assessable(doubt)
    if not needs.is_met:
        return insufficient(needs)
    return decide(
        p_faster_than_1=posterior.p_faster_than_1,
        p_change=posterior.p_change,
        policy=parameters.policy,
        previous=previous,
    )


def _weights(
    used: Sequence[Observation],
    posterior: Posterior,
    corrected: Sequence[float] | None,
    *,
    limit: float,
) -> tuple[ObservationWeight, ...]:
    """Return how much each observation counted."""
    values: Sequence[float | None] = corrected or [None] * len(used)
    return tuple(
        ObservationWeight(one, weight, weight < limit, value)
        for one, weight, value in zip(used, posterior.weights, values, strict=True)
    )


def _findings(weights: Sequence[ObservationWeight], posterior: Posterior) -> list[str]:
    """Return what the model found beside the level; nothing of it where none is stated."""
    notes = [
        f"The {one.observation.region.value} scan on {one.observation.when.isoformat()} is a "
        f"probable outlier (weight {one.weight:.2f}): repeat the scan."
        for one in weights
        if one.is_outlier
    ]
    if posterior.p_step >= LIKELY_STEP:
        notes.insert(
            0,
            f"The cord probably lost area at once (P = {posterior.p_step:.2f}) rather than "
            "faster than before: look for a lesion, compression or another cut of the level.",
        )
    return notes


def _circumstances(known: Known, parameters: Parameters) -> list[str]:
    """Return what a reader must know of the scans: relapses before them, unknown offsets."""
    notes: list[str] = []
    relapses = sorted(e.when for e in known.events if e.kind is EventKind.RELAPSE)
    for day in sorted({one.when for one in known.used}):
        since = [(day - r).days for r in relapses if 0 <= (day - r).days <= RELAPSE_SHADOW_DAYS]
        if since:
            notes.append(
                f"A scan on {day.isoformat()} was taken {min(since)} days after a relapse."
            )
    return [*notes, *_offset_notes(known.used, parameters)]


def _offset_notes(used: Sequence[Observation], parameters: Parameters) -> list[str]:
    """Say which epoch changes rest on a poorly known offset."""
    epochs = parameters.epochs
    rows = {name: index for index, name in enumerate(epochs.names)}
    poor: dict[str, list[str]] = {}
    for column, region in enumerate(Region):
        seen = list(dict.fromkeys(one.epoch for one in used if one.region is region))
        if len(seen) < 2:
            continue
        for name in seen:
            sd = parameters.epoch_offset_prior_sd[column]
            if name in rows:
                if epochs.patients[rows[name]] >= FEW_REFERENCE_PATIENTS:
                    continue
                place = rows[name] + column * len(epochs.names)
                sd = math.sqrt(epochs.covariance[place][place])
            poor.setdefault(name, []).append(f"{region.value} +- {1.96 * sd:.1f} %")
    return [
        f"Offset of epoch {name} poorly known ({', '.join(sizes)})."
        for name, sizes in poor.items()
    ]
