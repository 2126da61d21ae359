"""The longitudinal twin: how the slopes of brain and cord go together, and with lesions.

Slopes are never fitted patient by patient: the correlation of the *true* slopes comes from one
mixed model per EDSS group. A patient enters with the longest series on one scanner epoch per
region, for points of different epochs are not joined by a line.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from monitoring.core.cohort.joint_slopes import JointFit, Sums, fit_joint_slopes, sums_of
from monitoring.core.cohort.losses import edss_groups
from monitoring.core.cohort.report import (
    Cell,
    Column,
    Room,
    Table,
    Verdict,
    interval_words,
    listing,
    number,
    p_words,
)
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.slope_profile import SlopeProfile, equality_p, slope_profile
from monitoring.core.cohort.table import CORD, DAYS_PER_YEAR, column, slices
from monitoring.core.cohort_statistics import Z95
from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, IntArray, as_floats

MINIMUM_PATIENTS = 30
"""Patients with three or more scans per region that a slope correlation needs."""
MINIMUM_SCANS = 3


@dataclass(frozen=True, slots=True)
class SlopeData:
    """Rows of the longest series per patient and region, for the selected patients.

    ``place`` is the row of `Selected` that a measurement belongs to.
    """

    place: IntArray
    region: IntArray
    years: FloatArray
    y: FloatArray
    count: IntArray


def slope_data(selected: Selected) -> SlopeData:
    """Collect the longest series of every selected patient and control."""
    table = selected.occasions
    position = np.full(selected.cohort.size, -1)
    position[selected.patient] = np.arange(selected.patient.size)
    owner = position[table.patient]
    keep = owner >= 0
    definition = selected.definition
    if definition.since:
        keep &= table.day >= definition.since.toordinal()
    if definition.until:
        keep &= table.day <= definition.until.toordinal()
    parts = []
    counts = np.zeros((selected.patient.size, 2), dtype=np.int64)
    for region, (name, epoch) in enumerate(
        (("brain_parenchyma", table.brain_epoch), (CORD, table.cord_epoch))
    ):
        value = table.values[:, column(name)]
        rows = np.flatnonzero(keep & np.isfinite(value) & (epoch >= 0))
        rows = _longest(rows, owner[rows], epoch[rows])
        np.add.at(counts[:, region], owner[rows], 1)
        y = 100 * np.log(value[rows])
        parts.append((owner[rows], np.full(rows.size, region), table.day[rows], y))
    place, which, day, y = (np.concatenate(one) for one in zip(*parts, strict=True))
    first = np.full(selected.patient.size, np.iinfo(np.int64).max)
    np.minimum.at(first, place, day)
    return SlopeData(
        place, which, as_floats((day - first[place]) / DAYS_PER_YEAR), as_floats(y), counts
    )


def _longest(rows: IntArray, owner: IntArray, epoch: IntArray) -> IntArray:
    """Keep, per patient, the rows of the epoch with most scans; the first of equals."""
    key = owner.astype(np.int64) * 4096 + epoch
    names, place, size = np.unique(key, return_inverse=True, return_counts=True)
    patients = names // 4096
    order = np.lexsort((names, -size, patients))
    best = order[np.unique(patients[order], return_index=True)[1]]
    wanted = np.zeros(names.size, dtype=np.bool_)
    wanted[best] = True
    return rows[wanted[place]]


def sums_for(data: SlopeData, chosen: IntArray) -> Sums:
    """Return the sums of some rows of `Selected`, in their order."""
    position = np.full(data.count.shape[0], -1)
    position[chosen] = np.arange(chosen.size)
    own = position[data.place]
    rows = own >= 0
    return sums_of(
        own[rows], data.region[rows], data.years[rows], data.y[rows], patients=chosen.size
    )


@dataclass(frozen=True, slots=True)
class GroupSlopes:
    """The slopes of one EDSS group, and the profile interval of their correlation."""

    group: str
    fit: JointFit
    profile: SlopeProfile
    low: float
    high: float

    @property
    def words(self) -> str:
        """Return correlation, interval and group in words."""
        words = interval_words(self.fit.slope_correlation, self.low, self.high)
        return f"{words} in {self.group}"


def group_slopes(data: SlopeData, chosen: IntArray, *, name: str) -> GroupSlopes:
    """Fit one group and follow its likelihood to both ends of the interval.

    Raises
    ------
    NotAssessable
        Where the model does not converge or the interval has no end.
    """
    sums = sums_for(data, chosen)
    fit = fit_joint_slopes(sums)
    profile = slope_profile(sums, fit)
    return GroupSlopes(name, fit, profile, *profile.interval())


def slopes_room(selected: Selected) -> Room:
    """Correlation of the slopes of brain and cord by EDSS group."""
    slug, title = "slopes", "Brain and cord over time, by EDSS group"
    question = "Do brain and cord shrink together, and less so beyond mild disability?"
    data = slope_data(selected)
    is_long = np.all(data.count >= MINIMUM_SCANS, axis=1)
    found: list[GroupSlopes] = []
    notes: list[str] = []
    for name, rows in edss_groups(selected):
        chosen = np.flatnonzero(rows & is_long)
        if chosen.size < MINIMUM_PATIENTS:
            notes.append(
                f"{name}: {chosen.size} patients with {MINIMUM_SCANS} scans on one epoch; a "
                f"correlation of slopes needs {MINIMUM_PATIENTS}."
            )
            continue
        try:
            found.append(group_slopes(data, chosen, name=name))
        except NotAssessable as error:
            notes.append(f"{name}: {error}")
    if not found:
        return Room(slug, title, question, Verdict.CANNOT_SAY, " ".join(notes))
    verdict, answer = _compared(found)
    figure = [
        {
            "structure": CORD, "name": "True slopes", "group": one.group,
            "n": one.fit.patients, "value": one.fit.slope_correlation,
            "low": one.low, "high": one.high,
        }
        for one in found
    ]  # fmt: skip
    return Room(
        slug, title, question, verdict, answer, tuple(notes), (_slopes_table(found),),
        {"slopes": figure},
    )  # fmt: skip


def _compared(found: list[GroupSlopes]) -> tuple[Verdict, str]:
    """Test the mildest group against the last."""
    mild, severe = found[0], found[-1]
    if len(found) < 2:
        return Verdict.CANNOT_SAY, f"r = {mild.words}; no other group has enough patients."
    words = f"r = {mild.words}, {severe.words}"
    p = equality_p(mild.profile, severe.profile)
    # Less together is nearer to nought, whatever the sign.
    if p < 0.05 and abs(mild.profile.z) > abs(severe.profile.z):
        return Verdict.SUPPORTED, (
            f"The slopes of brain and cord go together less in {severe.group} than in "
            f"{mild.group}: {words} ({p_words(p)})."
        )
    return Verdict.NOT_SUPPORTED, (
        f"The slopes of brain and cord do not go together less in {severe.group} than in "
        f"{mild.group}: {words} ({p_words(p)})."
    )


def _slopes_table(found: list[GroupSlopes]) -> Table:
    """Return mean slopes, their spread and their correlation."""
    rows: list[tuple[Cell, ...]] = []
    for one in found:
        fit = one.fit
        error = np.sqrt(np.diag(fit.beta_covariance))
        rows.append((
            one.group, fit.patients, float(fit.beta[1]), float(error[1]), float(fit.beta[3]),
            float(error[3]), *fit.slope_sd, fit.slope_correlation, one.low, one.high,
        ))  # fmt: skip
    heads = (
        ("EDSS group", None), ("Patients", 0), ("Brain, %/yr", 2), ("SE", 2),
        ("Cord, %/yr", 2), ("SE", 2), ("SD of true brain slopes", 2),
        ("SD of true cord slopes", 2), ("r", 2), ("from", 2), ("to", 2),
    )  # fmt: skip
    return Table(
        "slopes",
        "Slopes by EDSS group",
        tuple(Column(head, digits) for head, digits in heads),
        tuple(rows),
        "Maximum likelihood, random intercepts and slopes of both regions correlated; 95 % "
        "profile likelihood intervals of r; groups compared by the likelihood ratio. EDSS "
        "group at the selected visit.",
    )


def accrual(selected: Selected) -> tuple[FloatArray, FloatArray]:
    """Return new brain and cord lesions a year of each selected patient; NaN where unknown.

    Brain: the sum of new lesions that readers stated; without such statements, and for the
    cord, the rise of the counted lesions from the first statement to the last, a year apart or
    more.
    """
    said = selected.cohort.lesions
    bounds = slices(said.patient, selected.cohort.size)
    first, stop = bounds[selected.patient], bounds[selected.patient + 1]
    known = np.isfinite(said.new)
    # Sums from the second statement on: what was new at the first happened before it.
    counted = np.append(0, np.cumsum(known))
    summed = np.append(0.0, np.cumsum(np.where(known, said.new, 0.0)))
    has_two = stop - first >= 2
    a, b = np.where(has_two, first, 0), np.where(has_two, stop, 2)
    if not has_two.any():
        nothing = np.full(selected.patient.size, np.nan)
        return nothing, nothing.copy()
    years = (said.day[b - 1] - said.day[a]) / DAYS_PER_YEAR
    is_long = has_two & (years >= 1)
    years = np.where(is_long, years, 1.0)
    looks = b - a - 1
    stated = counted[b] - counted[a + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        new = (summed[b] - summed[a + 1]) / stated * looks / years
    rise = [np.maximum(of[b - 1] - of[a], 0.0) / years for of in (said.brain, said.cord)]
    brain = np.where((stated > 0) & (2 * stated >= looks), new, rise[0])
    return (
        as_floats(np.where(is_long, brain, np.nan)),
        as_floats(np.where(is_long, rise[1], np.nan)),
    )


def lesion_room(selected: Selected) -> Room:
    """Say whether new lesions go with faster loss of brain and cord."""
    slug, title = "lesions", "New lesions and loss"
    question = "Do brain and cord shrink faster where more new lesions appear?"
    data = slope_data(selected)
    is_long = np.all(data.count >= MINIMUM_SCANS, axis=1) & ~selected.is_control
    rows: list[tuple[Cell, ...]] = []
    figure, notes, sentences = [], [], []
    found: list[str] = []
    for word, rate in zip(("brain", "cord"), accrual(selected), strict=True):
        chosen = np.flatnonzero(is_long & np.isfinite(rate))
        if chosen.size < MINIMUM_PATIENTS or np.ptp(rate[chosen]) == 0:
            notes.append(
                f"New {word} lesions: {chosen.size} patients with lesion counts and "
                f"{MINIMUM_SCANS} scans, or no difference between them; {MINIMUM_PATIENTS} "
                "are needed."
            )
            continue
        own = rate[chosen] - rate[chosen].mean()
        try:
            fit = fit_joint_slopes(sums_for(data, chosen), own[:, None])
        except NotAssessable as error:
            notes.append(f"New {word} lesions: {error}")
            continue
        for at, region in ((4, "brain"), (5, "cord")):
            effect, se = float(fit.beta[at]), float(np.sqrt(fit.beta_covariance[at, at]))
            p = float(2 * stats.norm.sf(abs(effect / se)))
            low, high = effect - Z95 * se, effect + Z95 * se
            # Four tests: two kinds of lesions, two regions (Bonferroni).
            if p < 0.05 / 4 and effect < 0:
                found.append(f"{region} with new {word} lesions")
            rows.append((word, region, int(chosen.size), effect, low, high, p, min(1.0, 4 * p)))
            figure.append({
                "structure": CORD if region == "cord" else "brain_parenchyma",
                "name": f"{region.capitalize()} slope", "group": f"New {word} lesions",
                "n": int(chosen.size), "value": effect, "low": low, "high": high,
            })  # fmt: skip
            sentences.append(
                f"{region} slope {number(effect)} %/yr per new {word} lesion a year"
            )
    if not rows:
        return Room(slug, title, question, Verdict.CANNOT_SAY, " ".join(notes))
    heads = (
        ("New lesions in", None), ("Slope of", None), ("Patients", 0),
        ("%/yr per lesion a year", 2), ("from", 2), ("to", 2), ("p", "p"),
        ("p, corrected", "p"),
    )  # fmt: skip
    lead = (
        f"Where more new lesions appear, loss is faster ({listing(found)})"
        if found
        else "Loss is not found to be faster where more new lesions appear"
    )
    return Room(
        slug,
        title,
        question,
        Verdict.SUPPORTED if found else Verdict.NOT_SUPPORTED,
        f"{lead}: {'; '.join(sentences)}.",
        tuple(notes),
        (
            Table(
                "lesion-slopes",
                "Slopes by lesion accrual",
                tuple(Column(head, digits) for head, digits in heads),
                tuple(rows),
                "Effect of a patient's new lesions per year on the slope, in the mixed model; "
                "corrected for four tests.",
            ),
        ),
        {"accrual": figure},
    )
