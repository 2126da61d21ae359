"""Whether the cord goes with the brain, and less so where disability is higher.

Pearson correlation of the logarithms per EDSS group with Fisher intervals, raw and partial for
age, sex, intracranial volume and disease duration; the difference between the mildest and the
other groups, corrected over structures. The spread of both measures stands beside each r,
because a narrow range alone lowers a correlation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monitoring.core.cohort.losses import designs, edss_groups
from monitoring.core.cohort.report import (
    Column,
    Room,
    Table,
    Verdict,
    interval_words,
    listing,
    p_words,
)
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import CORD, STRUCTURE_WORDS
from monitoring.core.cohort_statistics import (
    Correlation,
    correlation,
    correlation_heterogeneity,
    holm,
)
from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray

MINIMUM_PAIRS = 10
BOOTSTRAP = 2000
BOOTSTRAP_LARGEST = 1000
"""Beyond so many pairs the Fisher interval needs no witness."""


@dataclass(frozen=True, slots=True)
class GroupCorrelation:
    """r of one structure with the cord in one EDSS group, raw and partial."""

    structure: str
    group: str
    raw: Correlation
    partial: Correlation | None
    spearman: float
    sd_structure: float
    sd_cord: float
    boot_low: float
    boot_high: float


@dataclass(frozen=True, slots=True)
class GroupDifference:
    """The mildest group's correlation against the others' (pooled by Fisher's z)."""

    structure: str
    mild: float
    other: float
    z: float
    p: float
    p_holm: float
    heterogeneity_p: float


def covariates(selected: Selected) -> FloatArray:
    """Return age, sex, 100 ln(intracranial volume) and disease duration."""
    return np.column_stack([designs(selected)[:, 1:], selected.duration])


def group_correlation(
    selected: Selected,
    structure: str,
    rows: NDArray[np.bool_],
    *,
    name: str,
    rng: np.random.Generator,
) -> GroupCorrelation | None:
    """Return the correlation in one group; None below `MINIMUM_PAIRS` complete pairs."""
    x, y = selected.log_percent(structure), selected.log_percent(CORD)
    rows = rows & np.isfinite(x) & np.isfinite(y)
    if rows.sum() < MINIMUM_PAIRS:
        return None
    try:
        raw = correlation(x[rows], y[rows])
    except NotAssessable:
        return None
    given = covariates(selected)
    complete = rows & np.all(np.isfinite(given), axis=1)
    partial = None
    if complete.sum() >= MINIMUM_PAIRS + given.shape[1]:
        varied = [i for i in range(given.shape[1]) if np.ptp(given[complete, i]) > 0]
        try:
            own = given[np.ix_(complete, varied)]
            partial = correlation(x[complete], y[complete], given=own)
        except NotAssessable:
            partial = None
    low, high = _bootstrap(x[rows], y[rows], rng)
    return GroupCorrelation(
        structure,
        name,
        raw,
        partial,
        float(stats.spearmanr(x[rows], y[rows]).statistic),
        float(x[rows].std(ddof=1)),
        float(y[rows].std(ddof=1)),
        low,
        high,
    )


def _bootstrap(x: FloatArray, y: FloatArray, rng: np.random.Generator) -> tuple[float, float]:
    """Return the percentile interval over resampled patients; NaN for large groups."""
    if x.size > BOOTSTRAP_LARGEST:
        return (float("nan"), float("nan"))
    drawn = []
    for _ in range(BOOTSTRAP // 250):
        rows = rng.integers(0, x.size, (250, x.size))
        left, right = x[rows], y[rows]
        left = left - left.mean(axis=1, keepdims=True)
        right = right - right.mean(axis=1, keepdims=True)
        size = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
        drawn.append((left * right).sum(axis=1) / np.maximum(size, 1e-300))
    low, high = np.quantile(np.concatenate(drawn), (0.025, 0.975))
    return float(low), float(high)


def weight(one: Correlation) -> float:
    """Return the inverse variance of atanh r: n - 3 - k."""
    return one.n - 3 - one.covariates


def chosen(one: GroupCorrelation) -> Correlation:
    """Return the partial correlation, the raw one where covariates are missing."""
    return one.partial or one.raw


def differences(found: list[GroupCorrelation], mildest: str) -> list[GroupDifference]:
    """Test, per structure, the mildest group against the others; Holm over structures."""
    rows: list[tuple[str, float, float, float, float, float]] = []
    for structure in dict.fromkeys(one.structure for one in found):
        own = [one for one in found if one.structure == structure]
        mild = next((chosen(one) for one in own if one.group == mildest), None)
        rest = [chosen(one) for one in own if one.group != mildest]
        if mild is None or not rest:
            continue
        weights = np.array([weight(one) for one in rest])
        z_rest = float(weights @ np.arctanh([one.r for one in rest]) / weights.sum())
        se = float(np.sqrt(1 / weight(mild) + 1 / weights.sum()))
        z = (float(np.arctanh(mild.r)) - z_rest) / se
        every = [mild, *rest]
        spread = correlation_heterogeneity(
            [one.r for one in every], [one.n - one.covariates for one in every]
        ).p
        p = float(2 * stats.norm.sf(abs(z)))
        rows.append((structure, mild.r, float(np.tanh(z_rest)), z, p, spread))
    adjusted: FloatArray = holm([row[4] for row in rows]) if rows else np.zeros(0)
    return [
        GroupDifference(row[0], row[1], row[2], row[3], row[4], float(after), row[5])
        for row, after in zip(rows, adjusted, strict=True)
    ]


def correlation_room(selected: Selected, *, seed: int) -> Room:
    """Correlation of each structure with the cord by EDSS group, and its difference."""
    slug, title = "correlations", "Brain and cord by EDSS group"
    question = "Does the cord go with the brain in mild disability, and less so beyond?"
    groups = edss_groups(selected)
    found: list[GroupCorrelation] = []
    notes: list[str] = []
    for structure in selected.structures[:-1]:
        for index, (name, rows) in enumerate(groups):
            rng = np.random.default_rng([seed, index, len(found)])
            one = group_correlation(selected, structure, rows, name=name, rng=rng)
            if one is not None:
                found.append(one)
    for name, rows in groups:
        if not any(one.group == name for one in found):
            notes.append(
                f"{name}: {int(rows.sum())} patients; a correlation needs {MINIMUM_PAIRS} with "
                "spread in both measures."
            )
    if not found:
        return Room(slug, title, question, Verdict.CANNOT_SAY, " ".join(notes))
    tests = differences(found, groups[0][0])
    verdict, answer = _answer(tests, groups[0][0], found)
    return Room(
        slug,
        title,
        question,
        verdict,
        answer,
        (*notes, *_range_notes(found)),
        (_table(found), *((_difference_table(tests),) if tests else ())),
        {
            "forest": [
                {
                    "structure": one.structure,
                    "name": STRUCTURE_WORDS[one.structure],
                    "group": one.group,
                    "n": chosen(one).n,
                    "value": chosen(one).r,
                    "low": chosen(one).low,
                    "high": chosen(one).high,
                }
                for one in found
            ]
        },
    )


def _answer(
    tests: list[GroupDifference], mildest: str, found: list[GroupCorrelation]
) -> tuple[Verdict, str]:
    """Say whether the correlation is weaker (nearer to nought) beyond the mildest group."""
    if not tests:
        one = chosen(found[0])
        return Verdict.CANNOT_SAY, (
            f"Only {found[0].group} has enough patients: {STRUCTURE_WORDS[found[0].structure]} "
            f"with cord r = {interval_words(one.r, one.low, one.high)}; there is nothing to "
            "compare it with."
        )
    weaker = [t for t in tests if t.p_holm < 0.05 and abs(t.mild) > abs(t.other)]
    stronger = [t for t in tests if t.p_holm < 0.05 and abs(t.mild) <= abs(t.other)]
    first = tests[0]
    words = (
        (
            f"{STRUCTURE_WORDS[first.structure]} with cord: r = {first.mild:.2f} in {mildest}, "
            f"{first.other:.2f} beyond ({p_words(first.p)}, corrected {p_words(first.p_holm)})."
        )
        .replace("= -", "= −")
        .replace(", -", ", −")
    )
    if weaker:
        names = listing([STRUCTURE_WORDS[t.structure].lower() for t in weaker])
        return Verdict.SUPPORTED, (
            f"The correlation with the cord is weaker beyond {mildest} for {names} "
            f"({len(weaker)} of {len(tests)} structures, corrected). {words}"
        )
    turned = ""
    if stronger:
        names = listing([STRUCTURE_WORDS[t.structure].lower() for t in stronger])
        turned = f" For {names} it is stronger beyond {mildest}."
    return Verdict.NOT_SUPPORTED, (
        f"No structure's correlation with the cord is weaker beyond {mildest} "
        f"({len(tests)} tested, corrected).{turned} {words}"
    )


def _range_notes(found: list[GroupCorrelation]) -> list[str]:
    """Warn where the spread of the cord differs by more than a third between groups."""
    spread = {one.group: one.sd_cord for one in found}
    if len(spread) < 2 or max(spread.values()) < 1.33 * min(spread.values()):
        return []
    words = ", ".join(f"{name} {sd:.1f} %" for name, sd in spread.items())
    note = (
        f"The spread of the cord differs between the groups (SD {words}): a narrower range "
        "lowers a correlation by itself."
    )
    return [note]


def _table(found: list[GroupCorrelation]) -> Table:
    """Return all correlations with everything that is said beside them."""
    rows = []
    for one in found:
        part = one.partial
        rows.append((
            STRUCTURE_WORDS[one.structure], one.group, one.raw.n, one.raw.r, one.raw.low,
            one.raw.high, one.boot_low, one.boot_high, one.spearman,
            part.r if part else None, part.low if part else None, part.high if part else None,
            part.n if part else None, one.sd_structure, one.sd_cord,
        ))  # fmt: skip
    heads = (
        ("Structure", None), ("EDSS group", None), ("n", 0), ("r", 2), ("from", 2), ("to", 2),
        ("Bootstrap from", 2), ("to", 2), ("Spearman", 2), ("Partial r", 2), ("from", 2),
        ("to", 2), ("n partial", 0), ("SD structure, %", 1), ("SD cord, %", 1),
    )  # fmt: skip
    return Table(
        "correlations",
        "Correlation with the cord",
        tuple(Column(name, digits) for name, digits in heads),
        tuple(rows),
        "Pearson on logarithms; Fisher intervals of 95 %. Partial for age, sex, intracranial "
        "volume and disease duration. Bootstrap: 2,000 resamplings of patients.",
    )


def _difference_table(tests: list[GroupDifference]) -> Table:
    """Return the tests between groups."""
    heads = (
        ("Structure", None), ("r mildest", 2), ("r beyond", 2), ("z", 2), ("p", "p"),
        ("p, Holm", "p"), ("p, all groups equal", "p"),
    )  # fmt: skip
    return Table(
        "correlation-differences",
        "Mildest group against the others",
        tuple(Column(name, digits) for name, digits in heads),
        tuple(
            (STRUCTURE_WORDS[t.structure], t.mild, t.other, t.z, t.p, t.p_holm,
             t.heterogeneity_p)
            for t in tests
        ),
        "Fisher's z on the partial correlations where covariates are known, else on the raw "
        "ones; the groups beyond the mildest are pooled.",
    )  # fmt: skip
