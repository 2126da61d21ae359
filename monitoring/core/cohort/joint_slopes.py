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

_LOWER = np.tril_indices(Q)


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
    slope_correlation, se_atanh : float
        Correlation of the random slopes and the standard error of its atanh (Wald, from the
        observed information).
    """

    log_likelihood: float
    beta: FloatArray
    beta_covariance: FloatArray
    G: FloatArray
    sigma: FloatArray
    slope_correlation: float
    se_atanh: float
    patients: int

    @property
    def slope_sd(self) -> tuple[float, float]:
        """Return the SD of the true slopes of brain and cord, %/yr."""
        return float(np.sqrt(self.G[1, 1])), float(np.sqrt(self.G[3, 3]))


def fit_joint_slopes(
    sums: Sums, covariates: FloatArray | None = None, *, with_error: bool = True
) -> JointFit:
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
    design = _design(sums, covariates)
    # Many patients start from the answer of some of them; evenly spaced, so not random.
    few = np.linspace(0, sums.size - 1, SAMPLE).astype(np.int64)
    is_large = sums.size > 2 * SAMPLE
    theta = _search(sums.take(few), design[few], _start(sums)) if is_large else _start(sums)
    theta = _search(sums, design, theta)
    state = _Likelihood(sums, design, theta)
    deviance, gradient = state.both()
    if float(np.abs(gradient).max()) > 2e-4 * max(sums.size, 250):
        raise NotAssessable(
            "The mixed model of the slopes did not converge; no number is shown."
        )
    sd = np.sqrt(np.diag(state.G))
    if min(sd[1], sd[3]) < 1e-3:
        raise NotAssessable("The slopes differ too little between patients to be correlated.")
    rho = float(state.G[1, 3] / (sd[1] * sd[3]))
    if abs(rho) > 0.995:
        raise NotAssessable(
            "The correlation of the slopes lies at its limit; more scans needed."
        )
    se = float("nan")
    if with_error and is_large:
        # Information grows with the patients: that of a sample, scaled.
        se = _se_atanh(sums.take(few), design[few], theta, rho) * (SAMPLE / sums.size) ** 0.5
    elif with_error:
        se = _se_atanh(sums, design, theta, rho)
    return JointFit(
        log_likelihood=-0.5 * deviance,
        beta=_unshift(state.beta, sums.shift),
        beta_covariance=state.covariance,
        G=state.G,
        sigma=state.sigma,
        slope_correlation=rho,
        se_atanh=se,
        patients=sums.size,
    )


def _search(sums: Sums, design: FloatArray, start: FloatArray) -> FloatArray:
    """Return theta at the largest likelihood."""

    def target(x: FloatArray) -> tuple[float, FloatArray]:
        return _Likelihood(sums, design, x).both()

    found = minimize(
        target,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 400, "ftol": 1e-13, "gtol": 1e-6, "maxcor": 25},
    )
    return as_floats(found.x)


def _design(sums: Sums, covariates: FloatArray | None) -> FloatArray:
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
    factor = np.diag([level[0], 0.3, level[1], 0.6])
    return np.concatenate([factor[_LOWER], np.log([0.7, 1.5])])


def _unshift(beta: FloatArray, shift: FloatArray) -> FloatArray:
    """Return beta with the centring of y taken back."""
    out = beta.copy()
    out[0] += shift[0]
    out[2] += shift[1]
    return out


class _Likelihood:
    """Deviance and gradient at one theta: the Cholesky factor of G, then log error SDs."""

    def __init__(self, sums: Sums, design: FloatArray, theta: FloatArray) -> None:
        self.sums, self.design = sums, design
        factor = np.zeros((Q, Q))
        factor[_LOWER] = theta[: _LOWER[0].size]
        self.factor, self.G = factor, factor @ factor.T
        self.sigma = np.exp(theta[_LOWER[0].size :])
        precision = 1 / self.sigma**2
        A = np.zeros((sums.size, Q, Q))
        A[:, :2, :2] = sums.zz[:, 0] * precision[0]
        A[:, 2:, 2:] = sums.zz[:, 1] * precision[1]
        r = np.concatenate([sums.zy[:, 0] * precision[0], sums.zy[:, 1] * precision[1]], 1)
        self.A = A
        # V^-1 through the four effects: Z'V^-1 Z = A (I + G A)^-1, never the rows themselves.
        inner = np.linalg.inv(np.eye(Q) + self.G @ A)
        self.H = inner @ self.G
        self.M = A @ inner
        v = r - (A @ (self.H @ r[:, :, None]))[:, :, 0]
        CM = np.swapaxes(design, 1, 2) @ self.M
        self.information = (CM @ design).sum(axis=0)
        projection = np.einsum("pqk,pq->k", design, v)
        self.covariance = as_floats(np.linalg.inv(self.information))
        self.beta = as_floats(self.covariance @ projection)
        self.log_det = float(
            -np.linalg.slogdet(inner)[1].sum() + (sums.n * 2 * np.log(self.sigma)).sum()
        )
        self.quadratic = float(
            (sums.yy * precision).sum()
            - np.einsum("pi,pij,pj->", r, self.H, r)
            - projection @ self.beta
        )
        self.pull = v - np.einsum("pij,pjk,k->pi", self.M, design, self.beta)

    def both(self) -> tuple[float, FloatArray]:
        """Return deviance and its gradient."""
        rows = float(self.sums.n.sum())
        deviance = self.log_det + self.quadratic + rows * float(np.log(2 * np.pi))
        return deviance, self.gradient()

    def gradient(self) -> FloatArray:
        """Return the gradient of the deviance in theta."""
        slope_G = self.M.sum(axis=0) - self.pull.T @ self.pull
        slope_factor = 2 * slope_G @ self.factor
        mean = np.einsum("pqk,k->pq", self.design, self.beta)
        sums, out = self.sums, []
        for k, part in ((0, slice(0, 2)), (1, slice(2, 4))):
            s2 = self.sigma[k] ** 2
            zz, zy = sums.zz[:, k], sums.zy[:, k]
            own = mean[:, part]
            # Residuals of the fixed part: Z'e and e'e.
            ze = zy - np.einsum("pij,pj->pi", zz, own)
            ee = sums.yy[:, k] - 2 * (own * zy).sum(1) + np.einsum("pi,pij,pj->p", own, zz, own)
            effect = np.einsum("ij,pj->pi", self.G, self.pull)[:, part]
            rest = ee - 2 * (effect * ze).sum(1)
            rest = rest + np.einsum("pi,pij,pj->p", effect, zz, effect)
            trace = sums.n[:, k] - np.einsum("pij,pji->p", self.H[:, part, part], zz / s2)
            out.append(2 * float((trace - rest / s2).sum()))
        return np.concatenate([slope_factor[_LOWER], out])


def _correlation_of(theta: FloatArray) -> float:
    """Return the correlation of the slopes at theta."""
    factor = np.zeros((Q, Q))
    factor[_LOWER] = theta[: _LOWER[0].size]
    G = factor @ factor.T
    return float(G[1, 3] / np.sqrt(G[1, 1] * G[3, 3]))


def _se_atanh(sums: Sums, design: FloatArray, theta: FloatArray, rho: float) -> float:
    """Return the Wald standard error of atanh(rho) from the observed information."""
    size = theta.size
    hessian, tilt = np.zeros((size, size)), np.zeros(size)
    for i in range(size):
        step = np.zeros(size)
        step[i] = 1e-4 * max(1.0, abs(theta[i]))
        up = _Likelihood(sums, design, theta + step).gradient()
        down = _Likelihood(sums, design, theta - step).gradient()
        hessian[i] = (up - down) / (2 * step[i])
        tilt[i] = (_correlation_of(theta + step) - _correlation_of(theta - step)) / (
            2 * step[i]
        )
    # Deviance is twice the negative log likelihood.
    information = (hessian + hessian.T) / 4
    values = np.linalg.eigvalsh(information)
    if values[0] <= 0:
        raise NotAssessable(
            "The slopes' correlation has no interval: too few scans per patient."
        )
    variance = float(tilt @ np.linalg.solve(information, tilt))
    return float(np.sqrt(variance)) / (1 - rho * rho)
