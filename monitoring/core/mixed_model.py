"""Linear mixed models by (restricted) maximum likelihood, with one error SD per stratum.

y_i = X_i beta + Z_i b_i + e_i, b_i ~ N(0, G) unstructured, e_ij ~ N(0, sigma_stratum^2).
Used for slope correlations per group and as the witness of the divergence model's own fit;
equal to lme4 and nlme on the shared references.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, as_floats


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one patient: y (n,), X (n, p), Z (n, q), stratum (n,) counting from 0."""

    y: FloatArray
    X: FloatArray
    Z: FloatArray
    stratum: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MixedFit:
    """A fitted mixed model.

    Attributes
    ----------
    log_likelihood : float
        Restricted for REML, with all constants, as lme4 and nlme print it.
    beta, beta_covariance : arrays, shape (p,), (p, p)
    G : array, shape (q, q)
    sigma : array, shape (strata,)
    random_effects : array, shape (groups, q)
        Posterior means (BLUPs).
    """

    log_likelihood: float
    beta: FloatArray
    beta_covariance: FloatArray
    G: FloatArray
    sigma: FloatArray
    random_effects: FloatArray

    @property
    def random_sd(self) -> FloatArray:
        """Return the SDs of the random effects."""
        return np.sqrt(np.diag(self.G))

    @property
    def random_correlation(self) -> FloatArray:
        """Return the correlation matrix of the random effects."""
        return as_floats(self.G / np.outer(self.random_sd, self.random_sd))


def fit_mixed_model(
    groups: Sequence[Group], *, restricted: bool = False, iterations: int = 500
) -> MixedFit:
    """Fit by quasi-Newton steps on the Cholesky factor of G and the log error SDs.

    Raises
    ------
    NotAssessable
        If there are no rows, X is rank deficient, or the search does not converge.
    """
    if not groups:
        raise NotAssessable("A mixed model needs at least one group.")
    design = np.concatenate([group.X for group in groups])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise NotAssessable("The fixed effects of the mixed model are not identifiable.")
    start, scale = _start(groups)

    def target(theta: FloatArray) -> tuple[float, FloatArray]:
        state = _State(groups, theta, scale, is_restricted=restricted)
        return state.deviance(), state.gradient()

    found = minimize(
        target,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "ftol": 1e-14, "gtol": 1e-6, "maxcor": 30},
    )
    state = _State(groups, as_floats(found.x), scale, is_restricted=restricted)
    if float(np.abs(state.gradient()).max()) > 0.05:
        raise NotAssessable("The mixed model did not converge.")
    return state.fit()


def _start(groups: Sequence[Group]) -> tuple[FloatArray, FloatArray]:
    """Return theta for a diagonal G, and the scale of each random effect."""
    X, y = np.concatenate([g.X for g in groups]), np.concatenate([g.y for g in groups])
    rest = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    strata = np.concatenate([g.stratum for g in groups])
    count = int(strata.max()) + 1
    error = np.array([rest[strata == s].std() for s in range(count)]) / 2
    Z = np.concatenate([g.Z for g in groups])
    scale = rest.std() / np.sqrt(np.maximum((Z**2).sum(axis=0) / len(Z), 1e-12)) / 2
    q = Z.shape[1]
    factor = np.eye(q)[np.tril_indices(q)]
    return np.concatenate([factor, np.log(error)]), as_floats(scale)


class _State:
    """Likelihood, gradient and estimates at one theta."""

    def __init__(
        self,
        groups: Sequence[Group],
        theta: FloatArray,
        scale: FloatArray,
        *,
        is_restricted: bool,
    ) -> None:
        self.groups, self.scale, self.is_restricted = groups, scale, is_restricted
        q = scale.size
        self.lower = np.tril_indices(q)
        split = self.lower[0].size
        self.factor = np.zeros((q, q))
        self.factor[self.lower] = theta[:split]
        self.factor *= scale[:, None]
        self.G = self.factor @ self.factor.T
        self.sigma = np.exp(theta[split:])
        self.inverses: list[FloatArray] = []
        self.log_det = 0.0
        p = groups[0].X.shape[1]
        information, projection = np.zeros((p, p)), np.zeros(p)
        for group in groups:
            matrix = group.Z @ self.G @ group.Z.T + np.diag(self.sigma[group.stratum] ** 2)
            inverse = as_floats(np.linalg.inv(matrix))
            self.inverses.append(inverse)
            self.log_det += float(np.linalg.slogdet(matrix)[1])
            information += group.X.T @ inverse @ group.X
            projection += group.X.T @ inverse @ group.y
        self.information = information
        self.covariance = np.linalg.inv(information)
        self.beta = self.covariance @ projection

    def deviance(self) -> float:
        """Return -2 log likelihood, restricted or not."""
        rows = sum(group.y.size for group in self.groups)
        total = self.log_det
        for group, inverse in zip(self.groups, self.inverses, strict=True):
            rest = group.y - group.X @ self.beta
            total += float(rest @ inverse @ rest)
        if self.is_restricted:
            total += float(np.linalg.slogdet(self.information)[1])
            rows -= self.beta.size
        return total + rows * float(np.log(2 * np.pi))

    def gradient(self) -> FloatArray:
        """Return the gradient of the deviance with respect to theta."""
        slope_g = np.zeros_like(self.G)
        slope_error = np.zeros(self.sigma.size)
        for group, inverse in zip(self.groups, self.inverses, strict=True):
            pull_vector = inverse @ (group.y - group.X @ self.beta)
            pull = inverse - np.outer(pull_vector, pull_vector)
            if self.is_restricted:
                loads = inverse @ group.X
                pull = pull - loads @ self.covariance @ loads.T
            slope_g += group.Z.T @ pull @ group.Z
            contribution = 2 * np.diag(pull) * self.sigma[group.stratum] ** 2
            np.add.at(slope_error, group.stratum, contribution)
        slope_factor = (2 * slope_g @ self.factor) * self.scale[:, None]
        return np.concatenate([slope_factor[self.lower], slope_error])

    def fit(self) -> MixedFit:
        """Return the estimates."""
        effects = [
            self.G @ group.Z.T @ inverse @ (group.y - group.X @ self.beta)
            for group, inverse in zip(self.groups, self.inverses, strict=True)
        ]
        return MixedFit(
            log_likelihood=-0.5 * self.deviance(),
            beta=as_floats(self.beta),
            beta_covariance=as_floats(self.covariance),
            G=as_floats(self.G),
            sigma=as_floats(self.sigma),
            random_effects=np.stack(effects),
        )
