"""What a reference must hold before it is fitted, and what a fit may not claim.

Every refusal and every guard that changed a number is a sentence for the screen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from monitoring.core.errors import NotAssessable
from monitoring.core.parameter_set import Pair, Parameters, literature_defaults
from monitoring.core.series import BRAIN, CORD, Series

MINIMUM_PATIENTS = 20
"""Fewer patients cannot speak about 14 variances; the literature defaults stay."""

MINIMUM_PER_REGION = 10
"""Fewer patients with a region on two dates leave its mean slope to chance: one cord value
among 27 patients gave a mean cord slope of 0.0 %/year."""

MINIMUM_TREATED = 10
"""Fewer patients with a scan after a treatment start leave the pseudo-atrophy to its prior,
which is centred on 0 in the fit: a reference without any would say that there is none."""

NARROW_GUARD_PATIENTS = 60
"""Below this the slope SDs are never narrower than the wide literature defaults."""

LARGEST_RATIO = 3.0
"""Largest ratio of a value to the cohort's median before its unit is suspected: brains and
cords of adults lie within a factor of 2 of it; another unit is a factor of 10 or 1000."""

FLOORS = {
    "slope_sd": (0.15, 0.35),
    "error_sd": (0.20, 0.40),
}
"""Smallest SDs a fit may propose (percent per year; percent), whatever the cohort says. Too
narrow a prior is the dangerous side: cord slopes .30 and errors 1.0 % assumed where .55 and
1.5 % were true raise the false flags from 0.13 to 1.04 per 100 patient-years."""

WALK_WIDENING = 1.3
"""Factor on the fitted SD of the slope walk. The plug-in fit leaves out the error of its own
means and variances, lesion steps and the cohort's mixed correlations; with the fitted walk the
95 % intervals of D covered 93.5 to 94.7 % of simulated truths, with 1.3 times it 94.8 to 96.0 %
(development seeds, four profiles; `docs/divergence.md`)."""

FITTED_LINES: dict[str, Any] = {
    "watch_p_faster_than_1": 0.6,
    "watch_p_change": 0.35,
    "flag_p_faster_than_1": 0.9,
    "flag_p_change": 0.55,
}
"""Entry lines of a fitted set, where the clinic has none of its own. Wide defaults pull every
probability towards the prior; a fitted set speaks up sooner, most of all on precise scanners,
so its lines for P(D < -1) lie higher. Chosen on development seeds 831 to 833 for 0.7 false
flags and 2 false watches per 100 patient-years in every profile; reported on others."""

_REGIONS = ((BRAIN, "brain"), (CORD, "cord"))


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a reference holds: patients with each region on two dates, and treated patients."""

    followed: tuple[int, int]
    treated: int

    @classmethod
    def of(cls, patients: Sequence[Series]) -> Self:
        """Count."""
        brain, cord = (
            sum(np.unique(one.years[one.region == region]).size > 1 for one in patients)
            for region, _ in _REGIONS
        )
        treated = sum(
            one.therapy_years is not None and one.therapy_years < one.now for one in patients
        )
        return cls((brain, cord), treated)


def require_reference(patients: Sequence[Series], controls: Sequence[Series]) -> None:
    """Refuse people from whom nothing can be learned.

    Raises
    ------
    NotAssessable
        With too few patients, too few of them followed in one region, or values whose unit is
        in doubt.
    """
    if len(patients) < MINIMUM_PATIENTS:
        raise NotAssessable(
            f"A reference needs at least {MINIMUM_PATIENTS} patients with scans on two dates; "
            f"there are {len(patients)}."
        )
    holdings = Holdings.of(patients)
    for count, (_, name) in zip(holdings.followed, _REGIONS, strict=True):
        if count < MINIMUM_PER_REGION:
            raise NotAssessable(
                f"A reference needs at least {MINIMUM_PER_REGION} patients with {name} values "
                f"on two dates; there are {count}."
            )
    everyone = [*patients, *controls]
    for name, odd in odd_units(everyone).items():
        raise NotAssessable(
            f"The {name} values of {len(odd)} of {len(everyone)} people differ from the median "
            f"by more than a factor of {LARGEST_RATIO:g}: check units and typing."
        )


def odd_units(people: Sequence[Series]) -> dict[str, list[int]]:
    """Return whose values lie too far from the median, by region; empty where nobody's do."""
    found: dict[str, list[int]] = {}
    for region, name in _REGIONS:
        own = [one.y[one.region == region] for one in people]
        if not any(y.size for y in own):
            continue
        median, farthest = np.median(np.concatenate(own)), 100 * np.log(LARGEST_RATIO)
        odd = [index for index, y in enumerate(own) if np.any(np.abs(y - median) > farthest)]
        if odd:
            found[name] = odd
    return found


def guard_fit(
    fitted: Parameters, *, base: Parameters, holdings: Holdings
) -> tuple[Parameters, tuple[str, ...]]:
    """Widen SDs that a cohort made too narrow, set the lines of a fitted set, and say so."""
    guards: list[str] = []
    brain, cord = (
        FLOORS["slope_sd"][region]
        if holdings.followed[region] >= NARROW_GUARD_PATIENTS
        else base.slope_sd[region]
        for region, _ in _REGIONS
    )
    slope = _raised("slope SD", fitted.slope_sd, (brain, cord), guards)
    error = _raised("error SD", fitted.error_sd, FLOORS["error_sd"], guards)
    walk_b, walk_c = (WALK_WIDENING * sd for sd in fitted.slope_walk_sd)
    guards.append(f"Slope walk SDs widened by {WALK_WIDENING:g} to keep intervals honest.")
    if holdings.treated < MINIMUM_TREATED:
        guards.append(
            f"Pseudo-atrophy kept: {holdings.treated} patients have a scan after a treatment "
            f"start, {MINIMUM_TREATED} are needed."
        )
    policy = base.policy
    if policy == literature_defaults().policy:
        policy = replace(policy, **FITTED_LINES)
        guards.append(
            f"Lines of a fitted set: watch from {policy.watch_p_faster_than_1:g} or "
            f"{policy.watch_p_change:g}, flag from {policy.flag_p_faster_than_1:g} or "
            f"{policy.flag_p_change:g}."
        )
    guarded = replace(
        fitted,
        slope_sd=slope,
        error_sd=error,
        slope_walk_sd=(walk_b, walk_c),
        policy=policy,
    )
    return guarded, tuple(guards)


def _raised(name: str, fitted: Pair, floor: Pair, guards: list[str]) -> Pair:
    """Return the larger of fit and floor per region; record where the floor won."""
    result = list(fitted)
    for index, region in _REGIONS:
        if fitted[index] < floor[index]:
            result[index] = floor[index]
            guards.append(
                f"{region.capitalize()} {name} {fitted[index]:.3f} raised to "
                f"{floor[index]:.3f}: too narrow a prior raises false flags."
            )
    return (result[0], result[1])
