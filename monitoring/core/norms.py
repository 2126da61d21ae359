"""Healthy norms, z-scores with their validity, and the state quadrant of one visit.

A z-score exists only for the method, contrast, level and ages that the norm was made with;
everywhere else the answer is a reason in words, never a number. State (here) and rate
(`monitoring.core.divergence`) are two outputs and are never merged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

import numpy as np
from scipy import stats

from monitoring.core.errors import NotAssessable

ABNORMAL_Z = -1.96
"""J Neurol 2021;268:4698 (abstract)."""


class Sex(StrEnum):
    """Sex as the norm was fitted."""

    FEMALE = "female"
    MALE = "male"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureFacts:
    """How a value was measured; a norm applies only to the same facts."""

    structure: str
    method: str
    contrast: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """A quadratic norm in age with a constant predictive SD.

    ``expected = intercept + male * [male] + linear * a + quadratic * a^2``, a = age - 45.
    """

    id: str
    facts: MeasureFacts
    intercept: float
    male: float
    linear: float
    quadratic: float
    predictive_sd: float
    youngest: float
    oldest: float
    people: int
    source: str

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what ``dataclasses.asdict`` wrote."""
        fields = dict(document)
        return cls(facts=MeasureFacts(**fields.pop("facts")), **fields)

    def expected(self, *, age: float, sex: Sex) -> float:
        """Return the expected value, in the unit of the norm."""
        a = age - 45
        return (
            self.intercept
            + self.male * (sex is Sex.MALE)
            + self.linear * a
            + self.quadratic * a * a
        )


_C2_T1W = MeasureFacts(structure="cord_c2_mean_csa", method="sct", contrast="t1")
_PAM50 = (
    "spinalcordtoolbox/PAM50-normalized-metrics at 61c5a21; first scan per person, six datasets"
)

C2_T1W = Norm(
    id="c2-t1w-sct-2",
    facts=_C2_T1W,
    intercept=67.299,
    male=3.638,
    linear=-0.0325,
    quadratic=-0.0027,
    predictive_sd=6.29,
    youngest=18,
    oldest=94,
    people=2297,
    source=f"{_PAM50}; healthy controls only",
)
"""C2 cord area, mm2, SCT 7 on brain T1w of 1 mm, whole C2, adults."""

C2_T1W_EARLIER = Norm(
    id="c2-t1w-sct-1",
    facts=_C2_T1W,
    intercept=67.105,
    male=3.667,
    linear=-0.0386,
    quadratic=-0.0026,
    predictive_sd=6.35,
    youngest=18,
    oldest=94,
    people=2434,
    source=f"{_PAM50}; wrongly held 137 people with a psychiatric diagnosis",
)

NORMS: tuple[Norm, ...] = (C2_T1W, C2_T1W_EARLIER)


@dataclass(frozen=True, slots=True)
class ZScore:
    """A z-score, or the reason why there is none."""

    z: float | None
    expected: float | None
    norm_id: str | None
    reason: str

    @property
    def is_abnormal(self) -> bool | None:
        """Say whether z lies below the cut; None without a z."""
        return None if self.z is None else self.z < ABNORMAL_Z


def z_score(
    value: float, *, facts: MeasureFacts, age: float, sex: Sex | None, norm: Norm = C2_T1W
) -> ZScore:
    """Compare one value with a norm, if the norm is about such values and ages."""
    reason = _misfit(norm, facts, age, sex)
    if reason or sex is None:
        return ZScore(None, None, None, reason)
    expected = norm.expected(age=age, sex=sex)
    return ZScore((value - expected) / norm.predictive_sd, expected, norm.id, _valid(norm))


def _valid(norm: Norm) -> str:
    """Return the caveat ``norms``."""
    return (
        f"Compared with {norm.people} adults aged {norm.youngest:g}-{norm.oldest:g}, "
        f"{norm.facts.contrast}, {norm.facts.method}. Not valid outside this range."
    )


def _misfit(norm: Norm, facts: MeasureFacts, age: float, sex: Sex | None) -> str:
    """Return why a norm does not apply, or an empty string."""
    for name in ("structure", "method", "contrast"):
        own, theirs = getattr(facts, name), getattr(norm.facts, name)
        if own != theirs:
            return f"No z-score: the norm holds for {name} {theirs}, not {own}."
    if not norm.youngest <= age <= norm.oldest:
        return (
            f"No z-score: the norm holds for ages {norm.youngest:g} to {norm.oldest:g}, "
            f"not {age:g}."
        )
    if sex is None:
        return "No z-score: the norm needs the sex."
    return ""


MINIMUM_CONTROLS = 40
"""Own-centre controls that a norm needs; 8 per coefficient and a usable SD."""

LARGEST_AGE_GAP = 10.0
"""Years: a control must be this near in age, or the norm is silent there."""


@dataclass(frozen=True, slots=True)
class ControlScan:
    """One healthy control, first scan."""

    value: float
    age: float
    sex: Sex


def own_norm(
    controls: Sequence[ControlScan],
    *,
    facts: MeasureFacts,
    id: str,  # noqa: A002 - the document's word
) -> Norm:
    """Fit a clinic's own norm to its healthy controls.

    Raises
    ------
    NotAssessable
        With fewer than `MINIMUM_CONTROLS` controls, one sex only, or a gap in the ages.
    """
    if len(controls) < MINIMUM_CONTROLS:
        raise NotAssessable(
            f"A norm needs {MINIMUM_CONTROLS} healthy controls; there are {len(controls)}."
        )
    if len({control.sex for control in controls}) < 2:
        raise NotAssessable("A norm needs controls of both sexes.")
    ages = np.sort([control.age for control in controls])
    if float(np.diff(ages).max()) > LARGEST_AGE_GAP:
        raise NotAssessable(f"The controls' ages leave a gap of > {LARGEST_AGE_GAP:g} years.")
    a = np.array([control.age for control in controls]) - 45
    male = np.array([float(control.sex is Sex.MALE) for control in controls])
    y = np.array([control.value for control in controls])
    # A quadratic needs a spread of ages; a narrow clinic gets a line.
    columns = [np.ones(a.size), male, a]
    if float(np.ptp(a)) >= 30:
        columns.append(a * a)
    design = np.column_stack(columns)
    beta = np.linalg.lstsq(design, y, rcond=None)[0]
    df = y.size - design.shape[1]
    residual = y - design @ beta
    sd = float(np.sqrt(residual @ residual / df))
    return Norm(
        id=id,
        facts=facts,
        intercept=float(beta[0]),
        male=float(beta[1]),
        linear=float(beta[2]),
        quadratic=float(beta[3]) if len(beta) > 3 else 0.0,
        # The norm's own mean is uncertain too: 1 + k/n is its average share.
        predictive_sd=sd * float(np.sqrt(1 + design.shape[1] / y.size)),
        youngest=float(ages[0]),
        oldest=float(ages[-1]),
        people=len(controls),
        source="own healthy controls",
    )


def own_norms(
    scans: Mapping[str, Mapping[MeasureFacts, Sequence[ControlScan]]],
) -> list[dict[str, Any]]:
    """Return one document per region: the norm, or ``{"refusal": why there is none}``.

    Parameters
    ----------
    scans
        First scan of each control by region (brain, cord) and by how it was measured; of each
        region the largest group that was measured alike counts.
    """
    documents: list[dict[str, Any]] = []
    for region, groups in scans.items():
        if not groups:
            words = f"No {region} norm: no control has an accepted value."
            documents.append({"refusal": words})
            continue
        facts = max(groups, key=lambda group: (len(groups[group]), group.method))
        try:
            norm = own_norm(groups[facts], facts=facts, id=f"own-{facts.structure}")
        except NotAssessable as error:
            documents.append({"refusal": f"No {region} norm. {error}"})
        else:
            documents.append(asdict(norm))
    return documents


class Quadrant(StrEnum):
    """State of brain and cord at one visit (cut z < -1.96 in each)."""

    NONE = "I"
    BRAIN_ONLY = "II"
    CORD_ONLY = "III"
    BOTH = "IV"


@dataclass(frozen=True, slots=True)
class State:
    """The quadrant, the probability of each, or the reason why there is none."""

    quadrant: Quadrant | None
    probabilities: dict[Quadrant, float]
    reason: str


def state_quadrant(
    *, brain: ZScore, cord: ZScore, brain_error_z: float, cord_error_z: float
) -> State:
    """Place one visit in the four quadrants.

    Parameters
    ----------
    brain_error_z, cord_error_z : float
        SD of one measurement in units of the norm's SD: near the cut the quadrant is a matter
        of chance, so each quadrant's probability is returned too (errors independent).
    """
    if brain.z is None or cord.z is None:
        reasons = [one.reason for one in (brain, cord) if one.z is None]
        return State(None, {}, " ".join(dict.fromkeys(reasons)))
    if min(brain_error_z, cord_error_z) <= 0:
        raise NotAssessable("A measurement error is positive.")
    low_brain, low_cord = brain.z < ABNORMAL_Z, cord.z < ABNORMAL_Z
    p_brain = float(stats.norm.cdf((ABNORMAL_Z - brain.z) / brain_error_z))
    p_cord = float(stats.norm.cdf((ABNORMAL_Z - cord.z) / cord_error_z))
    quadrant = {
        (False, False): Quadrant.NONE,
        (True, False): Quadrant.BRAIN_ONLY,
        (False, True): Quadrant.CORD_ONLY,
        (True, True): Quadrant.BOTH,
    }[low_brain, low_cord]
    return State(
        quadrant,
        {
            Quadrant.NONE: (1 - p_brain) * (1 - p_cord),
            Quadrant.BRAIN_ONLY: p_brain * (1 - p_cord),
            Quadrant.CORD_ONLY: (1 - p_brain) * p_cord,
            Quadrant.BOTH: p_brain * p_cord,
        },
        "",
    )


@dataclass(frozen=True, slots=True)
class _NormalisationModel:
    """Coefficients of SCT's ``normalize_csa`` model A (UK Biobank, n 804, age 48-80)."""

    brain: float = 2.3741962085478625e-05
    sex: float = -15.00753582193219
    interaction: float = 1.2389409865349374e-05
    brain_mean: float = 1156171.0708955224
    sex_mean: float = 0.43656716417910446
    interaction_mean: float = 530335.0410447761


def normalised_area(area_mm2: float, *, baseline_brain_mm3: float, sex: Sex) -> float:
    """Normalise a C2-C3 area by brain volume and sex (SCT model A).

    Only the *baseline* brain volume may be used in follow-up: with the current one, brain loss
    of 0.5 %/yr would push the normalised cord up and hide part of a divergence.
    """
    model, male = _NormalisationModel(), float(sex is Sex.MALE)
    return (
        area_mm2
        + model.brain * (model.brain_mean - baseline_brain_mm3)
        + model.sex * (model.sex_mean - male)
        + model.interaction * (model.interaction_mean - baseline_brain_mm3 * male)
    )


def smallest_detectable_change(sd_percent: float) -> float:
    """Return SDC95 of two scans, percent: 1.96 sqrt(2) SD."""
    return 1.96 * float(np.sqrt(2)) * sd_percent


BRAIN_RATE_LABELS = (
    (-0.52, "95 % specificity, 49 % sensitivity"),
    (-0.46, "90 % specificity, 56 % sensitivity"),
    (-0.40, "80 % specificity, 65 % sensitivity"),
)
"""De Stefano 2016, JNNP 87:93 (abstract): measured PBVC per year against healthy controls."""


def brain_rate_label(pbvc_percent_per_year: float) -> str | None:
    """Return the strictest published cut that a yearly brain loss passes, or None."""
    for cut, label in BRAIN_RATE_LABELS:
        if pbvc_percent_per_year <= cut:
            return label
    return None
