"""The penalised marginal likelihood of a reference cohort and its analytic gradient.

Fixed effects (means, pseudo-atrophy, one offset per epoch and region) are integrated out under
their Gaussian priors; the 14 variance parameters theta remain:

=======  ==========================================================
0, 1, 2  log SD of the brain and cord slope, atanh of their correlation
3, 4, 5  the same for the levels
6, 7     log error SD, brain and cord
8, 9     log SD of the patient-by-epoch offsets
10, 11   log SD of the slope walk
12, 13   log SD of the pseudo-atrophy
=======  ==========================================================
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from monitoring.core.alternatives import Alternatives
from monitoring.core.parameter_set import Parameters
from monitoring.core.posterior import event_rows, robust_weights, walk_kernel
from monitoring.core.priors import EpochOffsets
from monitoring.core.series import (
    BRAIN,
    CORD,
    Batch,
    FloatArray,
    IntArray,
    Series,
    as_floats,
    pack,
)

MEANS = 6
"""Columns before the offsets: two levels, two slopes, two pseudo-atrophy means."""

MEAN_PRECISION = (1e-6, 1e-6, 1e-6, 1e-6, 1.0, 1.0)

PENALTIES = (
    # theta indices, centres (percent), SD of the logarithm
    ((8, 9), (0.3, 0.4), 0.6),
    ((10, 11), (0.08, 0.15), 0.5),
    ((12, 13), (0.4, 0.3), 0.4),
)

CONTROL_MEANS = 4
"""Columns after the offsets where healthy controls are fitted along: own levels and slopes."""

CONTROL_SLOPE_SD = (0.15, 0.25)
"""Slope SD of healthy controls, percent per year, fixed: De Stefano 2016 for the brain
(abstract), within-person cord slopes of DLBS and BLSA (.17 to .27) for the cord."""

CHUNK_CELLS = 60_000

SMALLEST_SHARE = 0.01
"""An alternative less probable than this is counted as "nothing happened"."""


@dataclass(frozen=True, slots=True)
class Block:
    """Patients of similar length and everything about them that theta does not touch.

    ``fixed`` is the slope covariance of healthy controls, 0 for patients; ``times`` and
    ``kernel`` are 0 for controls, so that nobody healthy speaks about the patients' slopes.
    """

    batch: Batch
    members: tuple[int, ...]
    design: FloatArray
    brain: FloatArray
    cord: FloatArray
    cross: FloatArray
    times: FloatArray
    kernel: FloatArray
    same_epoch: FloatArray
    dips: FloatArray
    fixed: FloatArray
    weights: FloatArray
    shares: FloatArray


@dataclass(frozen=True, slots=True)
class Fit:
    """The fixed effects at one theta."""

    objective: float
    gradient: FloatArray
    coefficients: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, slots=True)
class Cohort:
    """A reference cohort, packed in blocks; ``epochs`` names the columns of the offsets."""

    blocks: tuple[Block, ...]
    epochs: tuple[str, ...]
    prior_precision: FloatArray
    patients: int

    def with_weights(
        self, theta: FloatArray, fit: Fit, base: Parameters, rounds: int
    ) -> "Cohort":
        """Return the cohort with Student-t weights made at a fit."""
        at = parameters_at(theta, base)
        blocks = []
        for block in self.blocks:
            residual = block.batch.y - block.design @ fit.coefficients
            weights = robust_weights(
                block.batch,
                at,
                covariance=_covariance(block, theta),
                residual=np.where(block.batch.used, residual, 0.0),
                rounds=rounds,
            )
            blocks.append(replace(block, weights=weights))
        return replace(self, blocks=tuple(blocks))

    def with_events(self, chances: FloatArray, alternatives: Alternatives) -> "Cohort":
        """Return the cohort with each patient split over "nothing happened" and alternatives.

        Parameters
        ----------
        chances : array, shape (patients, K)
            Posterior probability of each alternative; small ones are left out.
        """
        kept = np.where(chances >= SMALLEST_SHARE, chances, 0.0)
        blocks: list[Block] = []
        for block in self.blocks:
            own = kept[list(block.members)]
            blocks.append(replace(block, shares=1 - own.sum(axis=1)))
            rows, which = np.nonzero(own)
            if rows.size:
                moved = _moved(block, rows, which, alternatives)
                blocks.append(replace(moved, shares=own[rows, which]))
        return replace(self, blocks=tuple(blocks))

    def weights(self) -> list[FloatArray]:
        """Return each patient's weights, in the order the cohort was built."""
        found: dict[int, FloatArray] = {}
        for block in self.blocks:
            for row, member in enumerate(block.members):
                found[member] = block.weights[row, block.batch.used[row]]
        return [found[index] for index in range(self.patients)]


def build_cohort(series: Sequence[Series], base: Parameters, *, controls: int = 0) -> Cohort:
    """Pack a reference cohort; levels are compared between patients, so y must be centred.

    The last ``controls`` series are healthy controls. They have their own mean levels and
    slopes and a fixed spread of slopes, and share errors and offsets with the patients.
    """
    names = tuple(sorted({name for one in series for name in one.epochs}))
    zero = (0.0,) * len(names)
    identity = np.eye(2 * len(names))
    packing = replace(
        base,
        level_mean=(0.0, 0.0),
        level_cov=((1.0, 0.0), (0.0, 1.0)),
        epochs=EpochOffsets(
            names,
            zero,
            zero,
            tuple(tuple(float(cell) for cell in row) for row in identity),
            (0,) * len(names),
        ),
    )
    sizes = [one.years.size for one in series]
    order = sorted(range(len(series)), key=sizes.__getitem__)
    first_control = len(series) - controls
    chunks, current = [], list[int]()
    for index in order:
        if current and (len(current) + 1) * sizes[index] ** 2 > CHUNK_CELLS:
            chunks.append(current)
            current = []
        current.append(index)
    chunks.append(current)
    blocks = tuple(_block(series, chunk, packing, first_control) for chunk in chunks)
    prior = [1 / sd**2 for sd in base.epoch_offset_prior_sd for _ in names]
    own = [MEAN_PRECISION[0]] * (CONTROL_MEANS if controls else 0)
    return Cohort(blocks, names, np.array([*MEAN_PRECISION, *prior, *own]), len(series))


def _block(
    series: Sequence[Series], members: list[int], packing: Parameters, first_control: int
) -> Block:
    """Pack some patients with the pieces of their covariance."""
    batch = pack([series[i] for i in members], packing)
    used = batch.used
    is_brain, is_cord = used & (batch.region == BRAIN), used & (batch.region == CORD)
    is_control = np.array(members)[:, None] >= first_control
    means = [is_brain, is_cord, is_brain * batch.years, is_cord * batch.years]
    columns = [column * ~is_control for column in means]
    columns += [is_brain * batch.dip, is_cord * batch.dip]
    for mask in (is_brain, is_cord):
        columns += [mask & (batch.epoch == i) for i in range(len(packing.epochs.names))]
    if first_control < len(series):
        columns += [column * is_control for column in means]
    brain = as_floats(is_brain[:, :, None] & is_brain[:, None, :])
    cord = as_floats(is_cord[:, :, None] & is_cord[:, None, :])
    both = as_floats(used[:, :, None] & used[:, None, :])
    times = batch.years[:, :, None] * batch.years[:, None, :]
    kernel = walk_kernel(batch.years[:, :, None], batch.years[:, None, :])
    of_control = as_floats(is_control)[:, :, None]
    sd_b, sd_c = CONTROL_SLOPE_SD
    return Block(
        batch=batch,
        members=tuple(members),
        design=np.stack([as_floats(column) for column in columns], axis=-1),
        brain=brain,
        cord=cord,
        cross=both - brain - cord,
        times=times * (1 - of_control),
        kernel=kernel * (1 - of_control),
        same_epoch=as_floats(batch.epoch[:, :, None] == batch.epoch[:, None, :]),
        dips=batch.dip[:, :, None] * batch.dip[:, None, :],
        fixed=of_control * times * (sd_b**2 * brain + sd_c**2 * cord),
        weights=np.ones(used.shape),
        shares=np.ones(len(members)),
    )


def _moved(block: Block, rows: IntArray, which: IntArray, alternatives: Alternatives) -> Block:
    """Return chosen patients of a block, each under one alternative."""
    batch = Batch(**{one.name: getattr(block.batch, one.name)[rows] for one in fields(Batch)})
    course = event_rows(batch, alternatives)[np.arange(rows.size), :, which]
    own = {
        one.name: getattr(block, one.name)[rows]
        for one in fields(block)
        if one.name not in {"batch", "members"}
    }
    spread = alternatives.sd[which, None, None] ** 2
    own["fixed"] = own["fixed"] + spread * course[:, :, None] * course[:, None, :]
    return Block(
        batch=replace(batch, y=batch.y - alternatives.mean[which, None] * course),
        members=tuple(block.members[row] for row in rows),
        **own,
    )


def theta_of(
    parameters: Parameters, *, level_sd: tuple[float, float] = (4.0, 9.0)
) -> FloatArray:
    """Return the variance parameters of a set as theta."""
    correlation = 0.45
    if parameters.level_cov is not None:
        cov = np.array(parameters.level_cov)
        level_sd = (float(np.sqrt(cov[0, 0])), float(np.sqrt(cov[1, 1])))
        correlation = float(cov[0, 1] / (level_sd[0] * level_sd[1]))
    pairs = (
        parameters.error_sd,
        parameters.patient_by_epoch_sd,
        parameters.slope_walk_sd,
        parameters.pseudo_atrophy_sd,
    )
    return np.array(
        [
            *np.log(parameters.slope_sd),
            np.arctanh(parameters.slope_correlation),
            *np.log(level_sd),
            np.arctanh(correlation),
            *(np.log(sd) for pair in pairs for sd in pair),
        ]
    )


def parameters_at(theta: FloatArray, base: Parameters) -> Parameters:
    """Return a parameter set with the variances of theta (levels around a cohort mean)."""
    sd = [float(value) for value in np.exp(theta)]
    cross = float(np.tanh(theta[5])) * sd[3] * sd[4]
    return replace(
        base,
        slope_sd=(sd[0], sd[1]),
        slope_correlation=float(np.tanh(theta[2])),
        level_mean=base.level_mean or (0.0, 0.0),
        level_cov=((sd[3] ** 2, cross), (cross, sd[4] ** 2)),
        error_sd=(sd[6], sd[7]),
        patient_by_epoch_sd=(sd[8], sd[9]),
        slope_walk_sd=(sd[10], sd[11]),
        pseudo_atrophy_sd=(sd[12], sd[13]),
    )


def penalty(theta: FloatArray) -> tuple[float, FloatArray]:
    """Return the weak penalty on hardly identified SDs, and its gradient."""
    value, gradient = 0.0, np.zeros(theta.size)
    for indices, centres, spread in PENALTIES:
        for index, centre in zip(indices, centres, strict=True):
            distance = (theta[index] - np.log(centre)) / spread
            value += 0.5 * distance**2
            gradient[index] = distance / spread
    return float(value), gradient


def _pair_covariance(block: Block, log_sd: FloatArray, atanh: float) -> FloatArray:
    """Return the matrix of a correlated (brain, cord) random effect of unit design."""
    sd_b, sd_c = np.exp(log_sd)
    cross = np.tanh(atanh) * sd_b * sd_c
    return as_floats(sd_b**2 * block.brain + sd_c**2 * block.cord + cross * block.cross)


def _covariance(block: Block, theta: FloatArray) -> FloatArray:
    """Return C, the covariance of the latent path at the rows, shape (P, N, N)."""
    variance = np.exp(2 * theta)
    total = _pair_covariance(block, theta[3:5], float(theta[5]))
    total = total + block.times * _pair_covariance(block, theta[0:2], float(theta[2]))
    total = total + block.fixed
    for first, shape in ((8, block.same_epoch), (10, block.kernel), (12, block.dips)):
        own = variance[first] * block.brain + variance[first + 1] * block.cord
        total = total + shape * own
    return as_floats(total)


def _error(block: Block, theta: FloatArray) -> FloatArray:
    """Return R, shape (P, N), 1 on padding."""
    sd = np.exp(theta[6:8])[block.batch.region] * block.batch.multiplier
    return np.where(block.batch.used, sd**2 / block.weights, 1.0)


def evaluate(cohort: Cohort, theta: FloatArray) -> Fit:
    """Return objective (without 2 pi and penalty), gradient and fixed effects at theta."""
    solved = []
    information = np.diag(cohort.prior_precision)
    projection = np.zeros(cohort.prior_precision.size)
    value = -float(np.log(cohort.prior_precision).sum())
    for block in cohort.blocks:
        matrix = _covariance(block, theta)
        index = np.arange(matrix.shape[1])
        matrix[:, index, index] += _error(block, theta)
        factor = np.linalg.cholesky(matrix)
        log_diagonal = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
        value += 2 * float(log_diagonal @ block.shares)
        inverse = np.linalg.inv(matrix)
        loads = inverse @ block.design
        y = np.where(block.batch.used, block.batch.y, 0.0)
        inverse_y = np.einsum("pij,pj->pi", inverse, y)
        value += float((y * inverse_y).sum(axis=1) @ block.shares)
        columns = block.design.shape[2]
        flat = (block.design * block.shares[:, None, None]).reshape(-1, columns)
        information = information + flat.T @ loads.reshape(-1, columns)
        projection = projection + flat.T @ inverse_y.ravel()
        solved.append((inverse, loads, inverse_y))
    covariance = np.linalg.inv(information)
    coefficients = covariance @ projection
    value += float(np.linalg.slogdet(information)[1]) - float(projection @ coefficients)
    gradient = np.zeros(theta.size)
    for block, (inverse, loads, inverse_y) in zip(cohort.blocks, solved, strict=True):
        rest = inverse_y - loads @ coefficients
        pull = inverse - rest[:, :, None] * rest[:, None, :]
        pull -= (loads @ covariance) @ np.swapaxes(loads, 1, 2)
        pull *= block.shares[:, None, None]
        gradient += 0.5 * _directional(block, theta, pull)
    return Fit(0.5 * value, gradient, as_floats(coefficients), as_floats(covariance))


def _directional(block: Block, theta: FloatArray, pull: FloatArray) -> FloatArray:
    """Return <pull, dV/dtheta> for each theta, shape (14,)."""
    out = np.zeros(theta.size)
    for first, weight in ((0, block.times), (3, None)):
        scaled = pull if weight is None else pull * weight
        sd_b, sd_c = np.exp(theta[first : first + 2])
        rho = np.tanh(theta[first + 2])
        on_brain = float((scaled * block.brain).sum())
        on_cord = float((scaled * block.cord).sum())
        on_cross = float((scaled * block.cross).sum())
        out[first] = 2 * sd_b**2 * on_brain + rho * sd_b * sd_c * on_cross
        out[first + 1] = 2 * sd_c**2 * on_cord + rho * sd_b * sd_c * on_cross
        out[first + 2] = (1 - rho**2) * sd_b * sd_c * on_cross
    diagonal = np.diagonal(pull, axis1=1, axis2=2) * _error(block, theta)
    for region, mask in ((BRAIN, block.brain), (CORD, block.cord)):
        rows = block.batch.used & (block.batch.region == region)
        out[6 + region] = 2 * float(diagonal[rows].sum())
        variance = np.exp(2 * theta)
        for first, shape in ((8, block.same_epoch), (10, block.kernel), (12, block.dips)):
            term = float((pull * shape * mask).sum())
            out[first + region] = 2 * variance[first + region] * term
    return out
