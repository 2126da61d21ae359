"""The bivariate mixed model of brain and cord over many patients at once.

y_kij = (b_k + u_ki0) + (c_k(x_i) + u_ki1) t_ij + e_kij for k = brain, cord: intercepts and
slopes random and correlated over both regions, one error SD per region, slopes shifted by
patient-level covariates x (EDSS group, lesion accrual). It is the model of
`monitoring.core.mixed_model` (equal to nlme); here a patient enters through sums only, so that
20,000 patients take seconds.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, IntArray, as_floats

Q = 4
"""Random effects: brain intercept, brain slope, cord intercept, cord slope."""
SAMPLE = 1500
"""Patients who give the start of a large fit."""

RHO = 2
"""Coordinate of theta that is atanh of the correlation of the slopes."""

_SLOPES_FIRST = np.array([1, 3, 0, 2])
_FREE = (np.array([2, 2, 2, 3, 3, 3, 3]), np.array([0, 1, 2, 0, 1, 2, 3]))


@dataclass(frozen=True, slots=True)
class Sums:
    """What the likelihood needs of each patient: Z'Z, Z'y, y'y and n per region.

    Shapes (P, 2, 2, 2), (P, 2, 2), (P, 2) and (P, 2); y is centred on ``shift`` per region.
    """

    zz: FloatArray
    zy: FloatArray
    yy: FloatArray
    n: FloatArray
    shift: FloatArray

    @property
    def size(self) -> int:
        """Return the number of patients."""
        return int(self.n.shape[0])

    def take(self, rows: IntArray) -> "Sums":
        """Return some patients."""
        return Sums(self.zz[rows], self.zy[rows], self.yy[rows], self.n[rows], self.shift)

    def sample(self) -> tuple["Sums", float]:
        """Return `SAMPLE` evenly spaced patients, and how many times as many there are."""
        return self.take(sample_of(self.size)), self.size / SAMPLE


def sample_of(size: int) -> IntArray:
    """Return the places of `SAMPLE` of so many patients, evenly spaced and so not random."""
    return np.linspace(0, size - 1, SAMPLE).astype(np.int64)


def sums_of(
    patient: IntArray, region: IntArray, years: FloatArray, y: FloatArray, *, patients: int
) -> Sums:
    """Collect the sums from rows; ``region`` 0 brain, 1 cord; y in 100 ln(value)."""
    shift = np.array([y[region == k].mean() if np.any(region == k) else 0.0 for k in (0, 1)])
    rest = y - shift[region]
    at = (patient, region)

    def total(values: FloatArray) -> FloatArray:
        out = np.zeros((patients, 2))
        np.add.at(out, at, values)
        return out

    n, t, tt = total(np.ones(y.size)), total(years), total(years**2)
    zz = np.stack([np.stack([n, t], -1), np.stack([t, tt], -1)], -2)
    zy = np.stack([total(rest), total(rest * years)], -1)
    return Sums(zz, zy, total(rest**2), n, as_floats(shift))


@dataclass(frozen=True, slots=True)
class JointFit:
    """A fitted model.

    Attributes
    ----------
    beta, beta_covariance : arrays, shape (4 + 2k,), (4 + 2k, 4 + 2k)
        Intercept and slope of brain, then of cord, then each covariate's effect on the brain's
        and on the cord's slope.
    G : array, shape (4, 4)
    theta : array, shape (12,)
        Where the maximum lies, in the coordinates of `_factor`.
    """

    log_likelihood: float
    beta: FloatArray
    beta_covariance: FloatArray
    G: FloatArray
    sigma: FloatArray
    theta: FloatArray
    slope_correlation: float
    patients: int

    @property
    def slope_sd(self) -> tuple[float, float]:
        """Return the SD of the true slopes of brain and cord, %/yr."""
        return float(np.sqrt(self.G[1, 1])), float(np.sqrt(self.G[3, 3]))


def fit_joint_slopes(sums: Sums, covariates: FloatArray | None = None) -> JointFit:
    """Fit by maximum likelihood.

    Parameters
    ----------
    covariates : array, shape (P, k), or None
        Patient-level covariates of both slopes.

    Raises
    ------
    NotAssessable
        Where the slopes have no spread of their own or the search does not converge.
    """
    design = joint_design(sums, covariates)
    theta = _start(sums)
    if sums.size > 2 * SAMPLE:
        # Many patients start from the answer of some of them and measure their steps by its
        # curvature: a handful of looks at everybody is then enough.
        part, times = sums.sample()
        own = design[sample_of(sums.size)]
        theta = search(part, own, theta)
        scale = whitening(curvature(part, own, theta) * times)
        theta = search(sums, design, theta, scale=scale)
    else:
        theta = search(sums, design, theta)
    state = JointLikelihood(sums, design, theta)
    sd = np.sqrt(np.diag(state.G))
    if min(sd[1], sd[3]) < 1e-3:
        raise NotAssessable("The slopes differ too little between patients to be correlated.")
    rho = float(state.G[1, 3] / (sd[1] * sd[3]))
    if abs(rho) > 0.995:
        raise NotAssessable(
            "The correlation of the slopes lies at its limit; more scans needed."
        )
    if float(np.abs(state.gradient()).max()) > 2e-4 * max(sums.size, 250):
        raise NotAssessable(
            "The mixed model of the slopes did not converge; no number is shown."
        )
    return JointFit(
        log_likelihood=-0.5 * state.deviance(),
        beta=_unshift(state.beta, sums.shift),
        beta_covariance=state.covariance,
        G=state.G,
        sigma=state.sigma,
        theta=theta,
        slope_correlation=rho,
        patients=sums.size,
    )


def search(
    sums: Sums,
    design: FloatArray,
    start: FloatArray,
    *,
    scale: FloatArray | None = None,
    tolerance: float = 1e-13,
) -> FloatArray:
    """Return theta at the largest likelihood.

    Parameters
    ----------
    scale : array, shape (12, k), or None
        The search moves in start + scale x only: a square one measures the steps, one with
        fewer columns holds a direction fixed.
    """
    scale = np.eye(start.size) if scale is None else scale

    def target(x: FloatArray) -> tuple[float, FloatArray]:
        state = JointLikelihood(sums, design, start + scale @ x)
        return state.deviance(), scale.T @ state.gradient()

    found = minimize(
        target,
        np.zeros(scale.shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 400, "ftol": tolerance, "gtol": 1e-6, "maxcor": 25},
    )
    return as_floats(start + scale @ found.x)


def curvature(sums: Sums, design: FloatArray, theta: FloatArray) -> FloatArray:
    """Return the second derivatives of the deviance at theta, by differences of gradients."""
    size = theta.size
    hessian = np.zeros((size, size))
    for i in range(size):
        step = np.zeros(size)
        step[i] = 1e-4 * max(1.0, abs(theta[i]))
        up = JointLikelihood(sums, design, theta + step).gradient()
        down = JointLikelihood(sums, design, theta - step).gradient()
        hessian[i] = (up - down) / (2 * step[i])
    return as_floats((hessian + hessian.T) / 2)


def whitening(hessian: FloatArray) -> FloatArray:
    """Return the steps along which the deviance is a unit bowl, as columns."""
    values, vectors = np.linalg.eigh(hessian)
    return as_floats(vectors / np.sqrt(np.maximum(values, 1e-6 * values[-1])))


def joint_design(sums: Sums, covariates: FloatArray | None) -> FloatArray:
    """Return C, shape (P, 4, p): the mean of each patient's four effects is C beta."""
    k = 0 if covariates is None else covariates.shape[1]
    design = np.zeros((sums.size, Q, Q + 2 * k))
    design[:, np.arange(Q), np.arange(Q)] = 1.0
    for i in range(k):
        assert covariates is not None
        design[:, 1, Q + 2 * i] = covariates[:, i]
        design[:, 3, Q + 2 * i + 1] = covariates[:, i]
    return design


def _start(sums: Sums) -> FloatArray:
    """Return theta from rough spreads: levels by their means, slopes small."""
    level = [
        max(float((sums.zy[:, k, 0] / np.maximum(sums.n[:, k], 1)).std()), 0.5) for k in (0, 1)
    ]
    free = np.zeros((Q, Q))
    free[2, 2], free[3, 3] = level
    return np.concatenate([np.log([0.3, 0.6]), [0.0], free[_FREE], np.log([0.7, 1.5])])


def _factor(theta: FloatArray) -> FloatArray:
    """Return the Cholesky factor of G with the slopes first: brain, cord, then intercepts.

    theta holds ln SD of both slopes, atanh of their correlation, the seven free entries of the
    intercepts' rows, and ln of both error SDs: the correlation that is asked for is a
    coordinate of its own, so that it can be held fixed.
    """
    first, second = np.exp(theta[:2])
    rho = np.tanh(theta[RHO])
    factor = np.zeros((Q, Q))
    factor[0, 0] = first
    factor[1, :2] = second * rho, second * np.sqrt(1 - rho**2)
    factor[_FREE] = theta[3:10]
    return factor


def _unshift(beta: FloatArray, shift: FloatArray) -> FloatArray:
    """Return beta with the centring of y taken back."""
    out = beta.copy()
    out[0] += shift[0]
    out[2] += shift[1]
    return out


class JointLikelihood:
    """Deviance and gradient at one theta (see `_factor`)."""

    def __init__(self, sums: Sums, design: FloatArray, theta: FloatArray) -> None:
        self.sums, self.design, self.theta = sums, design, theta
        self.factor = _factor(theta)
        self.G = np.empty((Q, Q))
        self.G[np.ix_(_SLOPES_FIRST, _SLOPES_FIRST)] = self.factor @ self.factor.T
        self.sigma = np.exp(theta[10:])
        precision = 1 / self.sigma**2
        A = np.zeros((sums.size, Q, Q))
        A[:, :2, :2] = sums.zz[:, 0] * precision[0]
        A[:, 2:, 2:] = sums.zz[:, 1] * precision[1]
        r = np.concatenate([sums.zy[:, 0] * precision[0], sums.zy[:, 1] * precision[1]], 1)
        # V^-1 through the four effects: Z'V^-1 Z = A (I + G A)^-1, never the rows themselves.
        inner = np.linalg.inv(np.eye(Q) + self.G @ A)
        self.H = inner @ self.G
        self.M = A @ inner
        Hr = (self.H @ r[:, :, None])[:, :, 0]
        v = r - (A @ Hr[:, :, None])[:, :, 0]
        MC = self.M @ design
        flat = design.reshape(-1, design.shape[2])
        self.information = flat.T @ MC.reshape(flat.shape)
        projection = v.ravel() @ flat
        self.covariance = as_floats(np.linalg.inv(self.information))
        self.beta = as_floats(self.covariance @ projection)
        self.log_det = float(
            -np.log(np.linalg.det(inner)).sum() + (sums.n * 2 * np.log(self.sigma)).sum()
        )
        self.quadratic = float(
            (sums.yy * precision).sum() - r.ravel() @ Hr.ravel() - projection @ self.beta
        )
        self.pull = v - MC @ self.beta

    def deviance(self) -> float:
        """Return -2 log likelihood."""
        rows = float(self.sums.n.sum())
        return float(self.log_det + self.quadratic + rows * np.log(2 * np.pi))

    def gradient(self) -> FloatArray:
        """Return the gradient of the deviance in theta."""
        slope_G = self.M.sum(axis=0) - self.pull.T @ self.pull
        ordered = slope_G[np.ix_(_SLOPES_FIRST, _SLOPES_FIRST)]
        by_factor = 2 * ordered @ self.factor
        rho = np.tanh(self.theta[RHO])
        height = self.factor[1, 1]
        turn = by_factor[1, 0] * np.sqrt(1 - rho**2) - by_factor[1, 1] * rho
        return np.concatenate([
            [by_factor[0, 0] * self.factor[0, 0], by_factor[1, :2] @ self.factor[1, :2]],
            [height * turn],
            by_factor[_FREE],
            [self._by_error(0), self._by_error(1)],
        ])  # fmt: skip

    def _by_error(self, region: int) -> float:
        """Return the derivative in ln of a region's error SD."""
        part = slice(2 * region, 2 * region + 2)
        s2 = self.sigma[region] ** 2
        zz, zy = self.sums.zz[:, region], self.sums.zy[:, region]
        # Fixed part and posterior effect together: rest = |y - Z own|^2.
        own = (self.design[:, part] @ self.beta) + self.pull @ self.G[:, part]
        fitted = (zz @ own[:, :, None])[:, :, 0]
        yy, n = self.sums.yy[:, region].sum(), self.sums.n[:, region].sum()
        rest = yy - 2 * (own * zy).sum() + (own * fitted).sum()
        trace = n - (self.H[:, part, part] * zz).sum() / s2
        return float(2 * (trace - rest / s2))
