"""How well a detector does in simulated patients: false flags, converters caught, coverage.

A *look* is one date of one patient with a usable scan, judged with what was known then. Only
the first `LOOKS` looks of a patient are scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring.core.detectors import (
    cusum_path,
    log_odds,
    naive_rate,
    ols_rate,
    theil_sen_rate,
)
from monitoring.core.estimates import DIVERGENCE, posterior_table
from monitoring.core.functionals import brain_effect
from monitoring.core.levels import Scanned, missing_data
from monitoring.core.parameter_set import Parameters
from monitoring.core.series import BRAIN, CORD, FloatArray
from monitoring.core.simulation import SimulatedPatient
from monitoring.core.types import Region

LOOKS = 21
DETECTORS = ("naive", "OLS", "Theil-Sen", "CUSUM", "model")

BoolArray = NDArray[np.bool_]
_REGION = {BRAIN: Region.BRAIN, CORD: Region.CORD}


@dataclass(frozen=True, slots=True)
class Looks:
    """Every look of a cohort, in order of patient and time; all arrays of shape (L,).

    ``years`` counts from the first usable scan, ``since_onset`` from onset.
    """

    patients: Sequence[SimulatedPatient]
    patient: NDArray[np.int64]
    years: FloatArray
    since_onset: FloatArray
    number: NDArray[np.int64]
    scores: dict[str, FloatArray]
    p_one: FloatArray
    p_half: FloatArray
    p_change: FloatArray
    d_mean: FloatArray
    d_low: FloatArray
    d_high: FloatArray
    d_true: FloatArray
    is_assessable: BoolArray

    def flagged(self, parameters: Parameters) -> BoolArray:
        """Say at which looks the level flag is entered."""
        policy = parameters.policy
        is_loud = (self.p_one >= policy.flag_p_faster_than_1) | (
            self.p_change >= policy.flag_p_change
        )
        return np.asarray(self.is_assessable & is_loud)

    def watched(self, parameters: Parameters) -> BoolArray:
        """Say at which looks the level is watch or flag."""
        policy = parameters.policy
        is_loud = (self.p_one >= policy.watch_p_faster_than_1) | (
            self.p_change >= policy.watch_p_change
        )
        return np.asarray(self.is_assessable & is_loud)


def look_at(
    patients: Sequence[SimulatedPatient],
    parameters: Parameters,
    *,
    robust: bool = True,
    with_rivals: bool = True,
) -> Looks:
    """Judge every patient at every look; the simple detectors only with ``with_rivals``."""
    cuts, owner, times, number, scores = [], [], [], [], []
    for index, patient in enumerate(patients):
        series = patient.series
        has_path = with_rivals and series.years.size
        path = cusum_path(series, parameters) if has_path else np.empty(0)
        for count, when in enumerate(series.visits()[:LOOKS]):
            cut = series.until(when)
            cuts.append(cut)
            owner.append(index)
            times.append(when)
            number.append(count)
            if with_rivals:
                rivals = (naive_rate(cut), ols_rate(cut), theil_sen_rate(cut))
                scores.append((*rivals, path[cut.years.size - 1]))
    table = posterior_table(cuts, parameters, robust=robust)
    years, of = np.array(times), np.array(owner)
    offset = np.array([patients[i].offset_years for i in owner])
    columns = np.array(scores).reshape(len(scores), len(DETECTORS) - 1)
    beta, means = brain_effect(parameters), parameters.slope_mean
    true = np.array(
        [patients[i].slopes_at(t) for i, t in zip(owner, years + offset, strict=True)]
    )
    policy = parameters.policy
    assessable = [
        missing_data(
            [
                Scanned(float(t), _REGION[int(r)], e)
                for t, r, e in zip(cut.years, cut.region, cut.epochs, strict=True)
            ],
            policy,
        ).is_met
        for cut in cuts
    ]
    return Looks(
        patients=patients,
        patient=of,
        years=years,
        since_onset=years + offset,
        number=np.array(number),
        scores={
            **(
                {name: columns[:, i] for i, name in enumerate(DETECTORS[:4])}
                if with_rivals
                else {}
            ),
            "model": log_odds(table.p_change),
        },
        p_one=table.p_one,
        p_half=table.p_half,
        p_change=table.p_change,
        d_mean=table.mean[:, DIVERGENCE],
        d_low=table.low[:, DIVERGENCE],
        d_high=table.high[:, DIVERGENCE],
        d_true=true[:, 1] - means[1] - beta * (true[:, 0] - means[0]),
        is_assessable=np.array(assessable),
    )


@dataclass(frozen=True, slots=True)
class Alarms:
    """What a yes/no rule did over whole follow-ups.

    Attributes
    ----------
    false_per_100_years : float
        First alarms of stable patients per 100 patient-years until then.
    specificity : float
        Share of stable patients never alarmed.
    sensitivity : float
        Share of converters with >= 3 looks before conversion, alarmed before it.
    lead_years : float
        Median from first alarm to conversion among the caught; NaN without any.
    share_below_minus_1 : float
        Share of first alarms, in any patient, with true D < -1 %/yr at that look.
    """

    false_per_100_years: float
    specificity: float
    sensitivity: float
    lead_years: float
    share_below_minus_1: float
    stable: int
    converters: int


def alarms(looks: Looks, is_alarm: BoolArray) -> Alarms:
    """Count what a rule did."""
    first = _first_alarm(looks, is_alarm)
    false, years, stable, converters, hits = 0, 0.0, 0, 0, 0
    leads: list[float] = []
    true_at: list[float] = []
    for index, patient in enumerate(looks.patients):
        look = first.get(index)
        if look is not None:
            true_at.append(float(looks.d_true[look]))
        if patient.is_stable:
            stable += 1
            false += look is not None
            years += float(looks.years[look]) if look is not None else patient.series.now
        if patient.is_converter and _looks_before(patient) >= 3:
            converters += 1
            if look is not None and looks.since_onset[look] < patient.conversion:
                hits += 1
                leads.append(patient.conversion - float(looks.since_onset[look]))
    return Alarms(
        false_per_100_years=100 * false / years if years else float("nan"),
        specificity=1 - false / stable if stable else float("nan"),
        sensitivity=hits / converters if converters else float("nan"),
        lead_years=float(np.median(leads)) if leads else float("nan"),
        share_below_minus_1=float(np.mean(np.array(true_at) < -1)) if true_at else float("nan"),
        stable=stable,
        converters=converters,
    )


def _first_alarm(looks: Looks, is_alarm: BoolArray) -> dict[int, int]:
    """Return the first alarmed look of each alarmed patient."""
    first: dict[int, int] = {}
    for look in np.flatnonzero(is_alarm):
        first.setdefault(int(looks.patient[look]), int(look))
    return first


def _looks_before(patient: SimulatedPatient) -> int:
    """Return how many looks a patient had before conversion."""
    times = np.array(patient.series.visits()) + patient.offset_years
    return int((times < patient.conversion).sum())


def threshold(looks: Looks, name: str, *, specificity: float = 0.95) -> float:
    """Return the score that this share of stable patients with > 2 looks never exceeds."""
    highest = []
    scores = looks.scores[name]
    for index, patient in enumerate(looks.patients):
        own = scores[looks.patient == index] if patient.is_stable else np.empty(0)
        own = own[np.isfinite(own)]
        if patient.is_stable and len(patient.series.visits()) > 2:
            highest.append(own.max() if own.size else -np.inf)
    return float(np.quantile(np.array(highest), specificity, method="higher"))


def above(looks: Looks, name: str, limit: float) -> BoolArray:
    """Say at which looks a score lies above a limit."""
    scores = np.nan_to_num(looks.scores[name], nan=-np.inf)
    return np.asarray(scores > limit)


def coverage(looks: Looks) -> float:
    """Return the share of all looks at which the 95 % interval of D holds the true D."""
    return float(np.mean((looks.d_low <= looks.d_true) & (looks.d_true <= looks.d_high)))


def acceleration_auc(looks: Looks, name: str, *, years: tuple[float, float]) -> float:
    """Return the AUC of looks some years after acceleration against looks of stable patients.

    Only looks at which OLS can be computed count, so that detectors meet on one set.
    """
    acceleration = np.array([p.acceleration for p in looks.patients])[looks.patient]
    is_stable = np.array([p.is_stable for p in looks.patients])[looks.patient]
    since = looks.since_onset - acceleration
    is_case = (since >= years[0]) & (since < years[1])
    chosen = (is_case | is_stable) & np.isfinite(looks.scores["OLS"])
    chosen &= np.isfinite(looks.scores[name])
    cases, scores = is_case[chosen], looks.scores[name][chosen]
    ranks = _ranks(scores)
    positive, negative = int(cases.sum()), int((~cases).sum())
    if not positive or not negative:
        return float("nan")
    return float((ranks[cases].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _ranks(scores: FloatArray) -> FloatArray:
    """Return average ranks."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)
