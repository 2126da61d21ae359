"""Longitudinal verification: whether divergence comes before worsening, PIRA and SPMS.

Cox models with divergence as a time-varying covariate, as-of values only, against the simple
baseline of age and EDSS; Kaplan-Meier curves from a landmark on (`landmark`); lead time of the
first watch or flag. Three endpoints are asked: p values are corrected by Holm.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from monitoring.core.cohort.courses import (
    ENDPOINTS,
    Courses,
    Rows,
    counting_rows,
    courses_of,
)
from monitoring.core.cohort.landmark import WATCH, landmark_curves
from monitoring.core.cohort.power import findable_hazard_ratio
from monitoring.core.cohort.report import Cell, Column, Room, Table, Verdict, number, p_words
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import DAYS_PER_YEAR, LEVELS
from monitoring.core.cohort_statistics import holm
from monitoring.core.errors import NotAssessable
from monitoring.core.grouped_hazard import grouped_fit
from monitoring.core.series import FloatArray
from monitoring.core.survival import CoxFit, HazardFit, cox_fit

MINIMUM_EVENTS = 10


@dataclass(frozen=True, slots=True)
class Hazard:
    """One endpoint: the baseline, the model with divergence, and the gain."""

    endpoint: str
    rows: Rows
    baseline: CoxFit
    full: CoxFit
    grouped: HazardFit | None
    p_gain: float

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Return the hazard ratio per 1 %/yr of faster cord loss, with its interval."""
        return _faster(self.full)

    @property
    def grouped_ratio(self) -> tuple[float | None, float | None, float | None]:
        """Return the same from the grouped-time model; None where it has no maximum."""
        return _faster(self.grouped) if self.grouped else (None, None, None)


def _faster(fit: HazardFit) -> tuple[float, float, float]:
    """Return the hazard ratio of D per 1 %/yr faster: D counts loss as minus."""
    low, high = fit.interval()
    return float(1 / fit.hazard_ratios[2]), float(1 / high[2]), float(1 / low[2])


def hazard_of(selected: Selected, courses: Courses, endpoint: str) -> Hazard:
    """Fit both models of an endpoint.

    Raises
    ------
    NotAssessable
        With fewer than `MINIMUM_EVENTS` events after the first statement.
    """
    rows = counting_rows(selected, courses, endpoint)
    events = int(rows.is_event.sum())
    if events < MINIMUM_EVENTS:
        raise NotAssessable(
            f"{ENDPOINTS[endpoint]}: {events} events after a first assessable statement; "
            f"{MINIMUM_EVENTS} are needed."
        )
    columns = np.column_stack([rows.age / 10, rows.edss, rows.d, rows.brain])

    def fit(count: int, *, with_concordance: bool = True) -> CoxFit:
        return cox_fit(
            start=rows.start,
            stop=rows.stop,
            is_event=rows.is_event,
            covariates=columns[:, :count],
            with_concordance=with_concordance,
        )

    baseline, full = fit(2), fit(4)
    with_d = fit(3, with_concordance=False)
    gain = 2 * (with_d.log_likelihood - baseline.log_likelihood)
    p_gain = float(stats.chi2.sf(max(gain, 0.0), 1))
    return Hazard(endpoint, rows, baseline, full, _grouped(rows, columns), p_gain)


def _grouped(rows: Rows, columns: FloatArray) -> HazardFit | None:
    """Fit the grouped-time model, one baseline hazard per year since the first statement."""
    try:
        return grouped_fit(
            length=rows.stop - rows.start,
            is_event=rows.is_event,
            covariates=columns,
            period=np.floor(rows.start + 1e-9).astype(np.int64),
        )
    except NotAssessable:
        return None


def verification_room(selected: Selected) -> Room:
    """Say whether divergence comes before worsening, beyond age and EDSS."""
    slug, title = "verification", "Divergence before worsening"
    question = "Does divergence come before worsening, beyond what age and EDSS tell?"
    courses = courses_of(selected)
    found: list[Hazard] = []
    notes: list[str] = []
    for endpoint in ENDPOINTS:
        try:
            found.append(hazard_of(selected, courses, endpoint))
        except NotAssessable as error:
            words = str(error)
            known = words if words.startswith(ENDPOINTS[endpoint]) else ""
            notes.append(known or f"{ENDPOINTS[endpoint]}: {words}")
    if not found:
        return Room(slug, title, question, Verdict.CANNOT_SAY, " ".join(notes))
    adjusted = holm([one.p_gain for one in found])
    ahead = [
        one for one, p in zip(found, adjusted, strict=True) if p < 0.05 and one.ratio[0] > 1
    ]
    sentences = "; ".join(_words(one, float(p)) for one, p in zip(found, adjusted, strict=True))
    lead = (
        f"Divergence comes before {len(ahead)} of {len(found)} endpoints, beyond age and EDSS"
        if ahead
        else "Divergence adds nothing found to age and EDSS"
    )
    figures, curve_notes = landmark_curves(selected, courses, found[0].endpoint)
    return Room(
        slug,
        title,
        question,
        Verdict.SUPPORTED if ahead else Verdict.NOT_SUPPORTED,
        f"{lead}: {sentences}.",
        (*notes, *curve_notes),
        (_cox_table(found, adjusted.tolist()), lead_table(selected, courses)),
        figures,
    )


def _words(one: Hazard, p: float) -> str:
    """Return one endpoint in words."""
    ratio, low, high = one.ratio
    return (
        f"{ENDPOINTS[one.endpoint]}: hazard ratio {number(ratio)} per 1 %/yr (95 % interval "
        f"{number(low)} to {number(high)}, {one.full.events} events, corrected {p_words(p)}), "
        f"concordance {number(one.baseline.concordance)} without and "
        f"{number(one.full.concordance)} with divergence"
    )


def _cox_table(found: list[Hazard], adjusted: list[float]) -> Table:
    """Return all models."""
    rows: list[tuple[Cell, ...]] = []
    for one, p in zip(found, adjusted, strict=True):
        people = int(np.unique(one.rows.patient).size)
        findable = findable_hazard_ratio(one.full.events, sd=float(one.rows.d.std()))
        rows.append((
            ENDPOINTS[one.endpoint], people, one.full.events, *one.ratio, one.p_gain, p,
            one.baseline.concordance, one.full.concordance,
            float(one.baseline.hazard_ratios[0]), float(one.baseline.hazard_ratios[1]),
            findable, *one.grouped_ratio,
        ))  # fmt: skip
    heads = (
        ("Endpoint", None), ("Patients", 0), ("Events", 0), ("HR per 1 %/yr faster", 2),
        ("from", 2), ("to", 2), ("p, gain", "p"), ("p, Holm", "p"),
        ("Concordance, age and EDSS", 2), ("with divergence", 2), ("HR per 10 years", 2),
        ("HR per EDSS point", 2), ("Findable HR, 80 %", 2),
        ("HR, grouped time", 2), ("from", 2), ("to", 2),
    )  # fmt: skip
    return Table(
        "verification",
        "Cox models with time-varying divergence",
        tuple(Column(head, digits) for head, digits in heads),
        tuple(rows),
        "Efron ties; as-of values: a row holds what was known at its start. The hazard ratio "
        "is adjusted for age, current EDSS and the brain's slope; the gain is the likelihood "
        "ratio of divergence over age and EDSS. Nobody is at risk after the last visit that a "
        "later one could confirm. Grouped time: the same ratio with events known to lie "
        "between two visits only (complementary log-log), as a check on the many ties.",
    )


def lead_table(selected: Selected, courses: Courses) -> Table:
    """Return how long before each endpoint the first watch or flag was raised."""
    said = selected.cohort.statements
    mine = selected.patient[~selected.is_control]
    raised = np.full(selected.cohort.size, np.inf)
    loud = said.level >= WATCH
    np.minimum.at(raised, said.patient[loud], said.day[loud].astype(np.float64))
    first = np.full(selected.cohort.size, np.inf)
    shown = said.level > LEVELS.index("insufficient")
    np.minimum.at(first, said.patient[shown], said.day[shown].astype(np.float64))
    rows: list[tuple[Cell, ...]] = []
    for endpoint, name in ENDPOINTS.items():
        event = courses.events[endpoint][mine]
        is_seen = np.isfinite(first[mine]) & ~(event <= first[mine])
        had = is_seen & np.isfinite(event)
        before = had & (raised[mine] < event)
        lead = (event - raised[mine])[before] / DAYS_PER_YEAR
        without = is_seen & ~np.isfinite(event)
        false = without & np.isfinite(raised[mine])
        quartiles = np.quantile(lead, (0.5, 0.25, 0.75)) if lead.size >= 5 else (None,) * 3
        followed = (courses.ends[endpoint][mine] - first[mine])[without] / DAYS_PER_YEAR
        watched = float(np.nansum(np.maximum(followed, 0)))
        enough = watched >= 20
        rows.append((
            name, int(had.sum()), int(before.sum()),
            *(None if q is None else float(q) for q in quartiles),
            int(without.sum()), int(false.sum()),
            100 * float(false.sum()) / watched if enough else None,
        ))  # fmt: skip
    heads = (
        ("Endpoint", None), ("Events", 0), ("raised before", 0), ("Lead, years", 1),
        ("quarter", 1), ("three quarters", 1), ("Without event", 0), ("raised", 0),
        ("raised per 100 patient-years", 1),
    )  # fmt: skip
    return Table(
        "lead-time",
        "Lead time of the first watch or flag",
        tuple(Column(head, digits) for head, digits in heads),
        tuple(rows),
        "Patients without the event before their first assessable statement. Medians need five "
        "patients.",
    )
