"""What a cohort of this size could have found: power, and the smallest findable effect."""

import numpy as np
from scipy import optimize, stats

from monitoring.core.cohort.associations import MINIMUM_PAIRS
from monitoring.core.cohort.discrimination import LOWER, UPPER, in_band
from monitoring.core.cohort.losses import edss_groups
from monitoring.core.cohort.report import Cell, Column, Room, Table, Verdict
from monitoring.core.cohort.selection import Selected
from monitoring.core.cohort.table import CORD

ALPHA = 0.05
WANTED = 0.80


def correlation_power(
    r1: float, n1: int, r2: float, n2: int, *, alpha: float = ALPHA, covariates: int = 0
) -> float:
    """Return the power of Fisher's test to tell two correlations apart.

    Examples
    --------
    >>> round(correlation_power(0.6, 100, 0.2, 100), 2)
    0.93
    """
    if min(n1, n2) - 3 - covariates <= 0:
        return float("nan")
    se = np.sqrt(1 / (n1 - 3 - covariates) + 1 / (n2 - 3 - covariates))
    shift = abs(np.arctanh(r1) - np.arctanh(r2)) / se
    cut = stats.norm.ppf(1 - alpha / 2)
    return float(stats.norm.sf(cut - shift) + stats.norm.cdf(-cut - shift))


def difference_power(g: float, n1: int, n2: int, *, alpha: float = ALPHA) -> float:
    """Return the power of the two-sample t test for a standardised difference.

    Examples
    --------
    >>> round(difference_power(0.4, 99, 99), 2)
    0.8
    """
    df = n1 + n2 - 2
    if min(n1, n2) < 2:
        return float("nan")
    shift = g * np.sqrt(n1 * n2 / (n1 + n2))
    cut = stats.t.ppf(1 - alpha / 2, df)
    # scipy's noncentral t is NaN far out, where the power is 1.
    above, below = stats.nct.sf(cut, df, shift), stats.nct.cdf(-cut, df, shift)
    return float(np.nan_to_num(above, nan=1.0) + np.nan_to_num(below, nan=0.0))


def findable_difference(n1: int, n2: int, *, alpha: float = ALPHA) -> float:
    """Return the smallest standardised difference found with a power of 80 %."""
    if min(n1, n2) < 2:
        return float("nan")
    return float(
        optimize.brentq(lambda g: difference_power(g, n1, n2, alpha=alpha) - WANTED, 0.0, 20.0)
    )


def findable_correlation(r1: float, n1: int, n2: int, *, alpha: float = ALPHA) -> float:
    """Return the highest correlation in the second group that is told from ``r1``; NaN: none.

    With a power of 80 %, looking below ``r1``.
    """
    if min(n1, n2) <= 3:
        return float("nan")
    z = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(WANTED))
    lower = np.arctanh(r1) - z * np.sqrt(1 / (n1 - 3) + 1 / (n2 - 3))
    found = float(np.tanh(lower))
    return found if found > -1 else float("nan")


def findable_hazard_ratio(events: int, *, sd: float = 1.0, alpha: float = ALPHA) -> float:
    """Return the smallest hazard ratio per unit found with 80 % power (Schoenfeld 1983).

    ``sd`` is the spread of the covariate.
    """
    if events < 1 or sd <= 0:
        return float("nan")
    z = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(WANTED))
    return float(np.exp(z / (sd * np.sqrt(events))))


def power_room(selected: Selected) -> Room:
    """Say what this many patients could have shown."""
    slug, title = "power", "What could have been found"
    question = "With this many patients, which effects would have been found?"
    family = len(selected.structures)
    groups = edss_groups(selected)
    cord = np.isfinite(selected.log_percent(CORD))
    sizes = [int((rows & cord).sum()) for _, rows in groups]
    mild, rest = sizes[0], sum(sizes[1:])
    lower = int((in_band(selected.edss, LOWER) & cord).sum())
    upper = int((in_band(selected.edss, UPPER) & cord).sum())
    rows: list[tuple[Cell, ...]] = [
        (
            f"Correlation 0.6 in {groups[0][0]} against 0.2 beyond",
            f"{mild} and {rest}",
            correlation_power(0.6, mild, 0.2, rest),
            correlation_power(0.6, mild, 0.2, rest, alpha=ALPHA / max(family - 1, 1)),
            findable_correlation(0.6, mild, rest),
        ),
        *(
            (
                f"EDSS 2–2.5 against 3–3.5, Hedges g {g}",
                f"{lower} and {upper}",
                difference_power(g, lower, upper),
                difference_power(g, lower, upper, alpha=ALPHA / family),
                findable_difference(lower, upper),
            )
            for g in (0.3, 0.5, 0.8)
        ),
    ]
    power = correlation_power(0.6, mild, 0.2, rest)
    is_enough = min(mild, rest) >= MINIMUM_PAIRS and np.isfinite(power)
    if not is_enough:
        answer = (
            f"{mild} patients in {groups[0][0]} and {rest} beyond are too few to tell two "
            "correlations apart."
        )
    else:
        answer = (
            f"With {mild} patients in {groups[0][0]} and {rest} beyond, a correlation that "
            f"falls from 0.6 to 0.2 would be found with a probability of {100 * power:.0f} %. "
            f"{bands_answer(lower, upper)}"
        )
    table = Table(
        "power",
        "Power of the comparisons",
        (
            Column("Effect"),
            Column("Patients"),
            Column("Power, p < 0.05", 2),
            Column("Power, corrected", 2),
            Column("Smallest effect with 80 %", 2),
        ),
        tuple(rows),
        f"Two-sided. Corrected: p < 0.05 divided by the number of structures ({family}). "
        "Smallest effect: for the correlation the highest value beyond the mildest group that "
        "would be told from 0.6; else Hedges g.",
    )
    verdict = Verdict.DESCRIBED if is_enough else Verdict.CANNOT_SAY
    return Room(slug, title, question, verdict, answer, (), (table,))


def bands_answer(lower: int, upper: int) -> str:
    """Say how likely a medium difference between the two EDSS bands would have been found."""
    power = difference_power(0.5, lower, upper)
    bands = f"Between EDSS 2–2.5 and 3–3.5 ({lower} and {upper} patients)"
    if not np.isfinite(power):
        return f"{bands} no difference could be tested."
    share = f"{100 * power:.0f} %"
    return f"{bands} a difference of 0.5 standard deviations would be found with {share}."
