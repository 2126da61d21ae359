"""Fitting the model's parameters to a clinic's own patients (empirical Bayes).

The result is a proposal: it carries a new id, what changed, and every guard that fired. Nothing
here is ever applied by itself; a data manager compares and decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize

from monitoring.core.errors import NotAssessable
from monitoring.core.marginal_likelihood import (
    MEANS,
    Cohort,
    Fit,
    build_cohort,
    evaluate,
    parameters_at,
    penalty,
    theta_of,
)
from monitoring.core.parameter_set import Parameters, literature_defaults
from monitoring.core.posterior import solve
from monitoring.core.priors import EpochOffsets
from monitoring.core.series import BRAIN, CORD, FloatArray, Series, pack

MINIMUM_PATIENTS = 20
"""Fewer patients cannot speak about 14 variances; the literature defaults stay."""

NARROW_GUARD_PATIENTS = 60
"""Below this the slope SDs are never narrower than the wide literature defaults."""

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

WEIGHT_ROUNDS = 3
EVENT_ROUNDS = 2
PATIENTS_AT_ONCE = 50
ITERATIONS = 80


@dataclass(frozen=True, slots=True)
class ReferenceFit:
    """A proposed parameter set and how it came about.

    Attributes
    ----------
    guards : tuple of str
        Each guard that changed a fitted number, in words.
    gradient_norm : float
        Largest absolute gradient of the objective at the end; near 0 when converged.
    control_slopes : pair or None
        Mean slopes of the healthy controls, percent per year; None without controls.
    """

    parameters: Parameters
    fitted: Parameters
    patients: int
    controls: int
    rows: int
    objective: float
    gradient_norm: float
    iterations: int
    guards: tuple[str, ...]
    control_slopes: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """One number of the old and the new set, side by side."""

    name: str
    unit: str
    old: float
    new: float


def fit_reference(
    series: Sequence[Series],
    *,
    base: Parameters,
    id: str,  # noqa: A002
    controls: Sequence[Series] = (),
    start: FloatArray | None = None,
) -> ReferenceFit:
    """Fit variances, means and epoch offsets to a reference cohort.

    Parameters
    ----------
    series : sequence of Series
        Patients without a label of progression; each needs rows on two dates to count.
    base : Parameters
        Supplies everything that is not fitted (change prior, policy, quality multipliers) and
        the wide defaults of the guard.
    controls : sequence of Series
        Healthy controls scanned and measured in the same way. They have mean levels and slopes
        of their own and inform the errors and the offsets; they are never a reference for D.
    start : array, shape (14,), or None
        Where the search begins; `monitoring.core.marginal_likelihood` names the entries.

    Raises
    ------
    NotAssessable
        With fewer than `MINIMUM_PATIENTS` patients, or without any cord or brain value.
    """
    usable = [one for one in series if one.years.size and one.now > 0]
    if len(usable) < MINIMUM_PATIENTS:
        raise NotAssessable(
            f"A reference needs at least {MINIMUM_PATIENTS} patients with scans on two dates; "
            f"there are {len(usable)}."
        )
    for region, name in ((BRAIN, "brain"), (CORD, "cord")):
        if not any(np.any(one.region == region) for one in usable):
            raise NotAssessable(f"The reference patients have no {name} value.")
    healthy = [one for one in controls if one.years.size and one.now > 0]
    everyone = [*usable, *healthy]
    cohort = build_cohort(_centred_cohort(everyone), base, controls=len(healthy))
    theta = theta_of(base) if start is None else start
    theta, _, first = _search(cohort, theta)
    cohort = cohort.with_weights(theta, evaluate(cohort, theta), base, WEIGHT_ROUNDS)
    theta, fit, second = _search(cohort, theta)
    for _ in range(EVENT_ROUNDS):
        at = _fitted_set(
            theta, fit, cohort, everyone, base=base, new_id=id, controls=len(healthy)
        )
        chances = _chances(usable, at, controls=len(healthy))
        theta, fit, more = _search(cohort.with_events(chances, base.alternatives()), theta)
        second += more
    fitted = _fitted_set(
        theta, fit, cohort, everyone, base=base, new_id=id, controls=len(healthy)
    )
    guarded, guards = guard_narrow_priors(fitted, base=base, patients=len(usable))
    slopes = fit.coefficients[-2:] if healthy else None
    return ReferenceFit(
        parameters=guarded,
        fitted=fitted,
        patients=len(usable),
        controls=len(healthy),
        rows=sum(one.years.size for one in everyone),
        objective=fit.objective + penalty(theta)[0],
        gradient_norm=float(np.abs(fit.gradient + penalty(theta)[1]).max()),
        iterations=first + second,
        guards=guards,
        control_slopes=None if slopes is None else (float(slopes[0]), float(slopes[1])),
    )


def _chances(series: Sequence[Series], at: Parameters, *, controls: int) -> FloatArray:
    """Return the posterior of each alternative; healthy controls have none."""
    every = at.alternatives()
    found = np.zeros((len(series) + controls, every.onset.size))
    order = sorted(range(len(series)), key=lambda index: series[index].years.size)
    for first in range(0, len(order), PATIENTS_AT_ONCE):
        chosen = order[first : first + PATIENTS_AT_ONCE]
        solved = solve(pack([series[index] for index in chosen], at), at)
        past = np.flatnonzero(every.is_past(solved.batch.now.max(keepdims=True))[0])
        found[np.array(chosen)[:, None], past] = solved.probability[:, 1:]
    return found


def _centred_cohort(series: Sequence[Series]) -> list[Series]:
    """Subtract the cohort's median per region, so that no unit enters the fit.

    Rounding to 1e-6 % removes the last bits in which the logarithms of two units differ: the
    search would magnify them.
    """
    shift = np.zeros(2)
    for region in (BRAIN, CORD):
        shift[region] = np.median(np.concatenate([s.y[s.region == region] for s in series]))
    return [replace(one, y=np.round(one.y - shift[one.region], 6)) for one in series]


def _search(cohort: Cohort, start: FloatArray) -> tuple[FloatArray, Fit, int]:
    """Minimise the penalised objective from a start; returns theta, its fit, the iterations."""

    def target(theta: FloatArray) -> tuple[float, FloatArray]:
        fit = evaluate(cohort, theta)
        extra, slope = penalty(theta)
        return fit.objective + extra, fit.gradient + slope

    bounds = [(-5.0, 5.0)] * start.size
    bounds[2] = bounds[5] = (-2.5, 2.5)
    found = minimize(
        target,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": ITERATIONS, "ftol": 1e-9, "gtol": 1e-3},
    )
    theta = np.asarray(found.x, dtype=np.float64)
    return theta, evaluate(cohort, theta), int(found.nit)


def _fitted_set(
    theta: FloatArray,
    fit: Fit,
    cohort: Cohort,
    series: Sequence[Series],
    *,
    base: Parameters,
    new_id: str,
    controls: int,
) -> Parameters:
    """Turn theta and the fixed effects into a parameter set."""
    beta = [float(value) for value in fit.coefficients]
    count = len(cohort.epochs)
    patients = len(series) - controls
    offsets = slice(MEANS, MEANS + 2 * count)
    covariance = fit.covariance[offsets, offsets]
    seen = dict.fromkeys(cohort.epochs, 0)
    for one in series:
        for name in set(one.epochs):
            seen[name] += 1
    at = parameters_at(theta, base)
    return replace(
        at,
        id=new_id,
        title="Fitted to own patients",
        badge=f"own reference, {patients} patients",
        level_mean=None,
        level_cov=None,
        slope_mean=(beta[2], beta[3]),
        pseudo_atrophy_mean=(beta[4], beta[5]),
        epochs=EpochOffsets(
            names=cohort.epochs,
            brain=tuple(beta[MEANS : MEANS + count]),
            cord=tuple(beta[MEANS + count : MEANS + 2 * count]),
            covariance=tuple(
                tuple(float(cell) for cell in row) for row in 0.5 * (covariance + covariance.T)
            ),
            patients=tuple(seen[name] for name in cohort.epochs),
        ),
        reference=(
            ("base", base.id),
            ("controls", str(controls)),
            ("objective", f"{fit.objective:.4f}"),
            ("patients", str(patients)),
            ("rows", str(sum(one.years.size for one in series))),
        ),
    )


def guard_narrow_priors(
    fitted: Parameters, *, base: Parameters, patients: int
) -> tuple[Parameters, tuple[str, ...]]:
    """Widen SDs that a cohort made too narrow, set the lines of a fitted set, and say so."""
    guards: list[str] = []
    wide = patients >= NARROW_GUARD_PATIENTS
    slope_floor = FLOORS["slope_sd"] if wide else base.slope_sd
    slope = _raised("slope SD", fitted.slope_sd, slope_floor, guards)
    error = _raised("error SD", fitted.error_sd, FLOORS["error_sd"], guards)
    walk_b, walk_c = (WALK_WIDENING * sd for sd in fitted.slope_walk_sd)
    guards.append(f"Slope walk SDs widened by {WALK_WIDENING:g} to keep intervals honest.")
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


def _raised(
    name: str, fitted: tuple[float, float], floor: tuple[float, float], guards: list[str]
) -> tuple[float, float]:
    """Return the larger of fit and floor per region; record where the floor won."""
    result = list(fitted)
    for index, region in enumerate(("brain", "cord")):
        if fitted[index] < floor[index]:
            result[index] = floor[index]
            guards.append(
                f"{region.capitalize()} {name} {fitted[index]:.3f} raised to "
                f"{floor[index]:.3f}: too narrow a prior raises false flags."
            )
    return (result[0], result[1])


def compare_parameters(old: Parameters, new: Parameters) -> list[ParameterChange]:
    """Return every number that a refit can change, old beside new."""
    rows: list[ParameterChange] = []
    pairs = (
        ("mean slope", "%/yr", old.slope_mean, new.slope_mean),
        ("slope SD", "%/yr", old.slope_sd, new.slope_sd),
        ("error SD", "%", old.error_sd, new.error_sd),
        ("patient-by-epoch SD", "%", old.patient_by_epoch_sd, new.patient_by_epoch_sd),
        ("slope walk SD", "%/yr per sqrt(yr)", old.slope_walk_sd, new.slope_walk_sd),
        ("pseudo-atrophy mean", "%", old.pseudo_atrophy_mean, new.pseudo_atrophy_mean),
        ("pseudo-atrophy SD", "%", old.pseudo_atrophy_sd, new.pseudo_atrophy_sd),
    )
    for name, unit, before, after in pairs:
        for region, one, other in zip(("brain", "cord"), before, after, strict=True):
            rows.append(ParameterChange(f"{region} {name}", unit, one, other))
    correlation = (old.slope_correlation, new.slope_correlation)
    rows.append(ParameterChange("slope correlation", "", *correlation))
    known = {name: i for i, name in enumerate(old.epochs.names)}
    for index, name in enumerate(new.epochs.names):
        for region in ("brain", "cord"):
            before_offsets = getattr(old.epochs, region)
            before_one = before_offsets[known[name]] if name in known else 0.0
            after_one = getattr(new.epochs, region)[index]
            rows.append(
                ParameterChange(f"{region} offset of {name}", "%", before_one, after_one)
            )
    return rows
