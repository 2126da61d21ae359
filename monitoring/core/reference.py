"""Fitting the model's parameters to a clinic's own patients (empirical Bayes).

The result is a proposal: it carries a new id, what changed, and every guard that fired. Nothing
here is ever applied by itself; a data manager compares and decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

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
from monitoring.core.parameter_set import Parameters
from monitoring.core.posterior import solve
from monitoring.core.priors import EpochOffsets
from monitoring.core.reference_guards import (
    MINIMUM_TREATED,
    Holdings,
    guard_fit,
    require_reference,
)
from monitoring.core.series import BRAIN, CORD, FloatArray, Series, pack

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
    id: str,  # noqa: A002 - the document's word
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
        As `monitoring.core.reference_guards.require_reference`.
    """
    usable = [one for one in series if one.years.size and one.now > 0]
    healthy = [one for one in controls if one.years.size and one.now > 0]
    require_reference(usable, healthy)
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
    guarded, guards = guard_fit(fitted, base=base, holdings=Holdings.of(usable))
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
    is_dip_known = Holdings.of(series[:patients]).treated >= MINIMUM_TREATED
    return replace(
        at,
        id=new_id,
        title="Fitted to own patients",
        badge=f"own reference, {patients} patients",
        level_mean=None,
        level_cov=None,
        slope_mean=(beta[2], beta[3]),
        pseudo_atrophy_mean=(beta[4], beta[5]) if is_dip_known else base.pseudo_atrophy_mean,
        pseudo_atrophy_sd=at.pseudo_atrophy_sd if is_dip_known else base.pseudo_atrophy_sd,
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
