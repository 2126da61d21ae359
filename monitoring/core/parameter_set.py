"""Parameters of the divergence model: one versioned JSON document, read into a dataclass.

Pairs are always (brain, cord). Units: percent and percent per year, since the model works on
100 ln(value). The packaged document ``literature.json`` holds the literature defaults;
`monitoring.core.reference` writes documents fitted to a clinic's own patients.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from monitoring.core.alternatives import DAY, Alternatives
from monitoring.core.errors import InvalidParameters
from monitoring.core.priors import (
    ChangePrior,
    EpochOffsets,
    Policy,
    Robustness,
    StepPrior,
    is_covariance,
)

MODEL_VERSION = "cpb-1"

OWN_LEVEL_SD = 1000.0
"""SD, percent, of a patient's level around the patient's own first value.

A patient is never compared with a cohort's mean volume: that would make the unit of the values
matter. 1000 % is flat for every purpose (it moves a level by 2e-6 of a scan's error) and still
leaves the covariance well conditioned.
"""

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """One parameter set of the model.

    Attributes
    ----------
    level_mean, level_cov : pair and 2x2, or None
        Mean level and covariance of a cohort (percent); None anchors each patient on the
        patient's own first value, which is what the product does.
    steps : StepPrior or None
        None knows no steps, as sets that were made before there were any.
    """

    id: str
    title: str
    badge: str
    level_mean: Pair | None
    level_cov: tuple[Pair, Pair] | None
    slope_mean: Pair
    slope_sd: Pair
    slope_correlation: float
    error_sd: Pair
    quality_multiplier: tuple[float, float, float]
    patient_by_epoch_sd: Pair
    slope_walk_sd: Pair
    pseudo_atrophy_mean: Pair
    pseudo_atrophy_sd: Pair
    pseudo_atrophy_years: float
    epoch_offset_prior_sd: Pair
    epochs: EpochOffsets
    robustness: Robustness
    change: ChangePrior
    policy: Policy
    steps: StepPrior | None = None
    reference: tuple[tuple[str, str], ...] = ()
    model_version: str = MODEL_VERSION

    def __post_init__(self) -> None:
        """Refuse a set that describes no distribution."""
        _check(self)

    @property
    def anchors_own_level(self) -> bool:
        """Whether each patient's level is free instead of drawn around a cohort mean."""
        return self.level_mean is None

    def slope_covariance(self) -> NDArray[np.float64]:
        """Return Psi, shape (2, 2), (percent per year) squared."""
        sd_b, sd_c = self.slope_sd
        cross = self.slope_correlation * sd_b * sd_c
        return np.array([[sd_b**2, cross], [cross, sd_c**2]])

    def level_covariance(self) -> NDArray[np.float64]:
        """Return K0, shape (2, 2), percent squared."""
        if self.level_cov is None:
            return np.diag([OWN_LEVEL_SD**2, OWN_LEVEL_SD**2])
        return np.array(self.level_cov)

    def alternatives(self, *, until: float = math.inf) -> Alternatives:
        """Return everything that may have happened to a cord until a time, with its prior."""
        if self.change.grid_end_years <= until:
            return _alternatives(self.change, self.steps, math.inf)
        # Few different ends, so that few lists are kept.
        step = self.change.grid_step_years
        last = math.floor((until + DAY) / step) * step
        return _alternatives(self.change, self.steps, last)

    def with_policy(self, policy: Policy, *, id: str) -> Self:  # noqa: A002 - the document's word
        """Return the set with other lines under another id."""
        return replace(self, policy=policy, id=id)

    def to_document(self) -> dict[str, Any]:
        """Return the JSON document of the set."""
        level: dict[str, Any] = {"anchor": "own"}
        if self.level_mean is not None and self.level_cov is not None:
            level = {
                "anchor": "cohort",
                "mean": list(self.level_mean),
                "cov": [list(row) for row in self.level_cov],
            }
        words = dict(zip(("good", "fair", "poor"), self.quality_multiplier, strict=True))
        return {
            "id": self.id,
            "title": self.title,
            "badge": self.badge,
            "model_version": self.model_version,
            "level": level,
            "slope": {
                "mean": list(self.slope_mean),
                "sd": list(self.slope_sd),
                "correlation": self.slope_correlation,
            },
            "error_sd": list(self.error_sd),
            "quality_multiplier": words,
            "patient_by_epoch_sd": list(self.patient_by_epoch_sd),
            "slope_walk_sd": list(self.slope_walk_sd),
            "pseudo_atrophy": {
                "mean": list(self.pseudo_atrophy_mean),
                "sd": list(self.pseudo_atrophy_sd),
                "time_constant_years": self.pseudo_atrophy_years,
            },
            "epoch_offset_prior_sd": list(self.epoch_offset_prior_sd),
            "epochs": {
                "names": list(self.epochs.names),
                "brain": list(self.epochs.brain),
                "cord": list(self.epochs.cord),
                "covariance": [list(row) for row in self.epochs.covariance],
                "patients": list(self.epochs.patients),
            },
            "robustness": asdict(self.robustness),
            "change": asdict(self.change),
            **({"steps": asdict(self.steps)} if self.steps else {}),
            "policy": asdict(self.policy),
            "reference": dict(self.reference),
        }

    def to_json(self) -> str:
        """Return the document as text, stable between machines."""
        return json.dumps(self.to_document(), indent=2, sort_keys=False) + "\n"

    def digest(self) -> str:
        """Return the SHA-256 of the document in canonical form."""
        text = json.dumps(self.to_document(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a document.

        Raises
        ------
        InvalidParameters
            If it is not JSON, lacks a field, or describes no distribution.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise InvalidParameters(f"The parameter file is not JSON: {error}.") from error
        if not isinstance(document, dict):
            raise InvalidParameters("The parameter file must hold one JSON object.")
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Build a set from its JSON document."""
        try:
            found = cls(**_fields(document))
        except InvalidParameters:
            raise
        except KeyError as error:
            raise InvalidParameters(f"The parameter file lacks {error.args[0]!r}.") from error
        except (TypeError, ValueError) as error:
            raise InvalidParameters(f"The parameter file cannot be read: {error}.") from error
        unknown = sorted(set(document) - set(found.to_document()))
        if unknown:
            raise InvalidParameters(f"The parameter file names unknown {', '.join(unknown)}.")
        return found


@lru_cache(maxsize=256)
def _alternatives(change: ChangePrior, steps: StepPrior | None, until: float) -> Alternatives:
    """Return the alternatives until a time."""
    onset, prior = change.grid(), change.probabilities()
    mean, sd = np.full(onset.size, change.kappa_mean), np.full(onset.size, change.kappa_sd)
    is_step = np.zeros(onset.size, dtype=np.bool_)
    if steps is not None:
        # A step at the first scan would be part of the level.
        later, rate = onset[1:], steps.rate_per_year
        onset = np.concatenate([onset, later])
        chance = rate * change.grid_step_years * np.exp(-rate * later)
        prior = np.concatenate([prior, chance])
        mean = np.concatenate([mean, np.full(later.size, steps.mean)])
        sd = np.concatenate([sd, np.full(later.size, steps.sd)])
        is_step = np.concatenate([is_step, np.ones(later.size, dtype=np.bool_)])
    return Alternatives(onset, is_step, mean, sd, prior).until(until)


@cache
def literature_defaults() -> Parameters:
    """Return the packaged literature defaults."""
    folder = resources.files("monitoring.core") / "parameters"
    return Parameters.from_json((folder / "literature.json").read_text(encoding="utf-8"))


def _pair(values: Any) -> Pair:
    """Return (brain, cord) as floats."""
    brain, cord = values
    return (float(brain), float(cord))


def _fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the document's nesting into the dataclass's fields."""
    level, slope, dip = document["level"], document["slope"], document["pseudo_atrophy"]
    is_own = level["anchor"] == "own"
    if not is_own and level["anchor"] != "cohort":
        raise InvalidParameters(f"level.anchor must be own or cohort, not {level['anchor']!r}.")
    words, epochs = document["quality_multiplier"], document["epochs"]
    return {
        "id": str(document["id"]),
        "title": str(document["title"]),
        "badge": str(document["badge"]),
        "model_version": str(document["model_version"]),
        "level_mean": None if is_own else _pair(level["mean"]),
        "level_cov": None if is_own else (_pair(level["cov"][0]), _pair(level["cov"][1])),
        "slope_mean": _pair(slope["mean"]),
        "slope_sd": _pair(slope["sd"]),
        "slope_correlation": float(slope["correlation"]),
        "error_sd": _pair(document["error_sd"]),
        "quality_multiplier": (
            float(words["good"]),
            float(words["fair"]),
            float(words["poor"]),
        ),
        "patient_by_epoch_sd": _pair(document["patient_by_epoch_sd"]),
        "slope_walk_sd": _pair(document["slope_walk_sd"]),
        "pseudo_atrophy_mean": _pair(dip["mean"]),
        "pseudo_atrophy_sd": _pair(dip["sd"]),
        "pseudo_atrophy_years": float(dip["time_constant_years"]),
        "epoch_offset_prior_sd": _pair(document["epoch_offset_prior_sd"]),
        "epochs": EpochOffsets(
            names=tuple(str(name) for name in epochs["names"]),
            brain=tuple(float(offset) for offset in epochs["brain"]),
            cord=tuple(float(offset) for offset in epochs["cord"]),
            covariance=tuple(tuple(float(c) for c in row) for row in epochs["covariance"]),
            patients=tuple(int(count) for count in epochs["patients"]),
        ),
        "robustness": Robustness(**document["robustness"]),
        "change": ChangePrior(**document["change"]),
        "steps": StepPrior(**document["steps"]) if "steps" in document else None,
        "policy": Policy(**document["policy"]),
        "reference": tuple(sorted((str(k), str(v)) for k, v in document["reference"].items())),
    }


def _check(parameters: Parameters) -> None:
    """Raise InvalidParameters where the numbers describe no distribution."""
    if parameters.model_version != MODEL_VERSION:
        raise InvalidParameters(
            f"The parameters are for model {parameters.model_version!r}, not {MODEL_VERSION!r}."
        )
    positive = {
        "slope.sd": parameters.slope_sd,
        "error_sd": parameters.error_sd,
        "quality_multiplier": parameters.quality_multiplier,
        "epoch_offset_prior_sd": parameters.epoch_offset_prior_sd,
        "time_constant_years": (parameters.pseudo_atrophy_years,),
    }
    for name, values in positive.items():
        if not all(math.isfinite(value) and value > 0 for value in values):
            raise InvalidParameters(f"{name} must be positive.")
    not_negative = {
        "patient_by_epoch_sd": parameters.patient_by_epoch_sd,
        "slope_walk_sd": parameters.slope_walk_sd,
        "pseudo_atrophy.sd": parameters.pseudo_atrophy_sd,
    }
    for name, values in not_negative.items():
        if not all(math.isfinite(value) and value >= 0 for value in values):
            raise InvalidParameters(f"{name} must not be negative.")
    means = (*parameters.slope_mean, *parameters.pseudo_atrophy_mean)
    if not all(math.isfinite(value) for value in means):
        raise InvalidParameters("The means must be finite numbers.")
    if not -1 < parameters.slope_correlation < 1:
        raise InvalidParameters("slope.correlation must lie between -1 and 1.")
    if parameters.level_cov is not None and not is_covariance(
        parameters.level_covariance(), least=1e-12
    ):
        raise InvalidParameters("level.cov must be positive definite.")
    # At the end of the grid: the chance of "nothing happened" is what the others leave.
    if parameters.alternatives().prior.sum() >= 1:
        raise InvalidParameters("The chances of a bend and a step add up to 1 or more.")
