"""Profile likelihood of the correlation of the slopes: its interval, and two groups compared.

A correlation of slopes from few scans is not normal, not even on the scale of atanh: an
interval from its curvature alone is too short on the long side. Here the likelihood itself is
followed: all other parameters are fitted again at every value of the correlation.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import minimize_scalar

from monitoring.core.cohort.joint_slopes import (
    RHO,
    SAMPLE,
    JointFit,
    JointLikelihood,
    Sums,
    curvature,
    joint_design,
    search,
    whitening,
)
from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, as_floats

LIMIT = 3.5
"""atanh of a correlation of .998: beyond it an interval has no end and is open."""
STEPS = 12
FAR = 8.0
"""So many errors apart groups differ beyond doubt (p < 1e-14): nobody needs the likelihoods."""


@dataclass(frozen=True, slots=True)
class SlopeProfile:
    """How the likelihood falls on both sides of a fitted correlation.

    ``z`` is its atanh; ``se`` the width that the curvature tells (Wald), with which the search
    for the ends begins.
    """

    z: float
    se: float
    sums: Sums
    theta: FloatArray
    scale: FloatArray
    along: FloatArray
    lowest: float

    def rise(self, z: float) -> float:
        """Return how much the deviance rises when the correlation is tanh(z)."""
        design = joint_design(self.sums, None)
        start = self.theta + (z - self.z) * self.along
        theta = search(self.sums, design, start, scale=self.scale, tolerance=1e-9)
        return JointLikelihood(self.sums, design, theta).deviance() - self.lowest

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval of the correlation; an end at -1 or 1 is not reached."""
        wanted = float(np.sqrt(stats.chi2.ppf(level, 1)))
        ends = (self._end(side * wanted) for side in (-1.0, 1.0))
        low, high = (float(np.tanh(z)) if abs(z) < LIMIT else float(np.sign(z)) for z in ends)
        return low, high

    def _end(self, wanted: float) -> float:
        """Return where the signed root of the rise is ``wanted``: it is nearly a line there."""
        side = float(np.sign(wanted))
        before, at_before = self.z, 0.0
        z = self.z + wanted * self.se
        for _ in range(STEPS):
            z = float(np.clip(z, -LIMIT, LIMIT))
            root = side * max(self.rise(z), 0.0) ** 0.5
            if abs(root - wanted) < 0.001:
                return z
            if abs(z) == LIMIT and abs(root) < abs(wanted):
                return z
            slope = (root - at_before) / (z - before)
            before, at_before = z, root
            z += (wanted - root) / slope if slope > 0 else side * self.se
        raise NotAssessable("The slopes' correlation has no interval: more scans are needed.")


def slope_profile(sums: Sums, fit: JointFit) -> SlopeProfile:
    """Return the profile of a fit without covariates.

    Raises
    ------
    NotAssessable
        Where the likelihood is flat: too few scans per patient.
    """
    part, times = (sums, 1.0) if sums.size <= 2 * SAMPLE else sums.sample()
    hessian = times * curvature(part, joint_design(part, None), fit.theta)
    if np.linalg.eigvalsh(hessian)[0] <= 0:
        raise NotAssessable(
            "The slopes' correlation has no interval: too few scans per patient."
        )
    others = np.delete(np.arange(fit.theta.size), RHO)
    inner = hessian[np.ix_(others, others)]
    scale = np.zeros((fit.theta.size, others.size))
    scale[others] = whitening(inner)
    # Where the other parameters go, to first order, when the correlation is moved.
    along = np.zeros(fit.theta.size)
    along[RHO] = 1.0
    along[others] = -np.linalg.solve(inner, hessian[others, RHO])
    return SlopeProfile(
        z=float(fit.theta[RHO]),
        # The deviance is twice the negative log likelihood.
        se=float(np.sqrt(2 / (hessian[RHO] @ along))),
        sums=sums,
        theta=fit.theta,
        scale=as_floats(scale),
        along=as_floats(along),
        lowest=-2 * fit.log_likelihood,
    )


def equality_p(first: SlopeProfile, second: SlopeProfile) -> float:
    """Return the p value of the likelihood ratio test that two groups share one correlation."""
    low, high = sorted((first.z, second.z))
    if high - low < 1e-6:
        return 1.0
    apart = (high - low) / float(np.hypot(first.se, second.se))
    if apart > FAR:
        return float(2 * stats.norm.sf(apart))

    def both(z: float) -> float:
        return first.rise(z) + second.rise(z)

    found = minimize_scalar(both, bounds=(low, high), method="bounded", options={"xatol": 0.01})
    return float(stats.chi2.sf(max(float(found.fun), 0.0), 1))
