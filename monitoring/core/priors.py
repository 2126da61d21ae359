"""The parts of a parameter set that are not fitted: each refuses numbers that make no sense.

They are read from JSON documents that people may have edited: a word or a fraction in the place
of a count must not pass, nor may probabilities that add up to more than one.
"""

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from monitoring.core.errors import InvalidParameters

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MOST_ONSETS = 1000
"""A finer grid of onsets would only cost memory: the packaged one has 31."""


def _check_fields(part: "DataclassInstance") -> None:
    """Refuse a field that is not a finite number, or not whole where a count is meant."""
    for field in fields(part):
        value = getattr(part, field.name)
        wanted = int if field.type is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted) or not math.isfinite(value):
            kind = "a whole" if field.type is int else "a finite"
            raise InvalidParameters(f"{field.name} must be {kind} number, not {value!r}.")


@dataclass(frozen=True, slots=True)
class ChangePrior:
    """Prior of a bend kappa of the cord slope at time tau on a grid (model section 3)."""

    kappa_mean: float
    kappa_sd: float
    p_from_onset: float
    hazard_per_year: float
    grid_step_years: float
    grid_end_years: float

    def __post_init__(self) -> None:
        """Refuse a prior that is no distribution."""
        _check_fields(self)
        if self.kappa_sd <= 0 or self.grid_step_years <= 0:
            raise InvalidParameters("kappa_sd and grid_step_years must be positive.")
        if not 0 <= self.p_from_onset < 1 or self.hazard_per_year < 0:
            raise InvalidParameters("The change prior must be probabilities.")
        if not 0 <= self.grid_end_years <= MOST_ONSETS * self.grid_step_years:
            raise InvalidParameters(
                f"The grid of onsets must not end before 0 or after {MOST_ONSETS} steps."
            )

    def grid(self) -> NDArray[np.float64]:
        """Return the candidate onsets of change, years since the first scan."""
        steps = round(self.grid_end_years / self.grid_step_years)
        return np.arange(steps + 1, dtype=np.float64) * np.float64(self.grid_step_years)

    def probabilities(self) -> NDArray[np.float64]:
        """Return the prior probability of each candidate onset, before truncation at now."""
        grid = self.grid()
        later = (
            (1 - self.p_from_onset)
            * self.hazard_per_year
            * self.grid_step_years
            * np.exp(-self.hazard_per_year * grid)
        )
        return np.where(grid == 0, self.p_from_onset, later)


@dataclass(frozen=True, slots=True)
class StepPrior:
    """Prior of a sudden loss of cord area (a lesion): percent, and how many a year."""

    mean: float
    sd: float
    rate_per_year: float

    def __post_init__(self) -> None:
        """Refuse a prior that is no distribution."""
        _check_fields(self)
        if self.sd <= 0 or not 0 <= self.rate_per_year < 1:
            raise InvalidParameters("steps must be a mean, a positive SD and a yearly rate.")


@dataclass(frozen=True, slots=True)
class Robustness:
    """Student-t weighting: degrees of freedom, rounds, and slack for a real bend."""

    nu: float
    rounds: int
    extra_cord_walk_variance: float

    def __post_init__(self) -> None:
        """Refuse weights that are none."""
        _check_fields(self)
        if self.nu <= 0:
            raise InvalidParameters("nu must be positive.")
        if self.rounds < 0 or self.extra_cord_walk_variance < 0:
            raise InvalidParameters("rounds and extra_cord_walk_variance must not be negative.")


@dataclass(frozen=True, slots=True)
class Policy:
    """Minimum data, entry lines of the levels, and the margin for leaving them."""

    minimum_brain_scans: int
    minimum_cord_scans: int
    minimum_years: float
    watch_p_faster_than_1: float
    watch_p_change: float
    flag_p_faster_than_1: float
    flag_p_change: float
    hysteresis: float
    outlier_weight: float

    def __post_init__(self) -> None:
        """Refuse lines that contradict each other."""
        pairs = (
            (self.watch_p_faster_than_1, self.flag_p_faster_than_1),
            (self.watch_p_change, self.flag_p_change),
        )
        _check_fields(self)
        if not all(0 < watch <= flag <= 1 for watch, flag in pairs):
            raise InvalidParameters(
                "Each watch line must lie above 0 and not above its flag line."
            )
        if not 0 <= self.hysteresis < min(watch for watch, _ in pairs):
            raise InvalidParameters("The hysteresis must be smaller than every watch line.")
        if min(self.minimum_brain_scans, self.minimum_cord_scans) < 2:
            raise InvalidParameters(
                "Two scans never carry a statement: the minimum is at least 2."
            )
        if self.minimum_years <= 0:
            raise InvalidParameters("minimum_years must be positive.")


@dataclass(frozen=True, slots=True)
class EpochOffsets:
    """Offsets of scanner epochs estimated in a reference cohort, percent.

    ``covariance`` is the joint posterior covariance, brain offsets first, then cord offsets;
    ``patients`` counts the reference patients scanned in each epoch.
    """

    names: tuple[str, ...] = ()
    brain: tuple[float, ...] = ()
    cord: tuple[float, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    patients: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse offsets that do not fit their epochs."""
        count = len(self.names)
        if len(set(self.names)) != count:
            raise InvalidParameters("An epoch is named twice.")
        if not len(self.brain) == len(self.cord) == len(self.patients) == count:
            raise InvalidParameters("Every epoch needs a brain offset, a cord offset, a count.")
        if not all(math.isfinite(offset) for offset in (*self.brain, *self.cord)):
            raise InvalidParameters("The offsets must be finite numbers.")
        if count == 0:
            if self.covariance:
                raise InvalidParameters("There is an offset covariance without any epoch.")
            return
        if {len(row) for row in self.covariance} != {2 * count} or (
            len(self.covariance) != 2 * count
        ):
            raise InvalidParameters(f"The offset covariance must be {2 * count} x {2 * count}.")
        if not is_covariance(np.array(self.covariance), least=-1e-9):
            raise InvalidParameters(
                "The offset covariance must be symmetric and positive semi-definite."
            )


def is_covariance(matrix: NDArray[np.float64], *, least: float) -> bool:
    """Say whether a matrix is finite, symmetric, and has no eigenvalue below ``least``."""
    if not np.all(np.isfinite(matrix)) or not np.allclose(matrix, matrix.T, atol=1e-9):
        return False
    return bool(np.linalg.eigvalsh(matrix)[0] >= least)
