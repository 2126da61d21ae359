"""Statistics of the cohort page: each result carries n, and an interval where one exists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from monitoring.core.errors import NotAssessable
from monitoring.core.series import FloatArray, as_floats

Z95 = float(stats.norm.ppf(0.975))


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation of n pairs (given k covariates) with its 95 % interval and test."""

    r: float
    low: float
    high: float
    t: float
    p: float
    n: int
    covariates: int = 0


class Test(NamedTuple):
    """A test statistic, its degrees of freedom (NaN where none) and two-sided p."""

    statistic: float
    df: float
    p: float


def fisher_interval(r: float, *, n: int, covariates: int = 0) -> tuple[float, float]:
    """Return tanh(atanh r +- 1.96 / sqrt(n - 3 - k))."""
    if n - 3 - covariates <= 0:
        raise NotAssessable(f"A correlation interval needs more than {3 + covariates} pairs.")
    spread = Z95 / np.sqrt(n - 3 - covariates)
    return (float(np.tanh(np.arctanh(r) - spread)), float(np.tanh(np.arctanh(r) + spread)))


def correlation_difference(*, r1: float, n1: int, r2: float, n2: int) -> Test:
    """Compare two independent correlations by Fisher's z."""
    if min(n1, n2) <= 3:
        raise NotAssessable("Each group needs more than 3 pairs.")
    z = float((np.arctanh(r1) - np.arctanh(r2)) / np.sqrt(1 / (n1 - 3) + 1 / (n2 - 3)))
    return Test(z, float("nan"), float(2 * stats.norm.sf(abs(z))))


def correlation_heterogeneity(rs: Sequence[float], ns: Sequence[int]) -> Test:
    """Test whether several independent correlations are one: sum (n-3)(z - zbar)^2."""
    if min(ns) <= 3 or len(rs) < 2:
        raise NotAssessable("Heterogeneity needs two groups of more than 3 pairs each.")
    weight, z = np.array(ns, dtype=float) - 3, np.arctanh(np.array(rs))
    mean = (weight @ z) / weight.sum()
    q = float(weight @ (z - mean) ** 2)
    return Test(q, len(rs) - 1, float(stats.chi2.sf(q, len(rs) - 1)))


def correlation(
    x: FloatArray, y: FloatArray, *, given: FloatArray | None = None
) -> Correlation:
    """Return the (partial) Pearson correlation of complete pairs.

    Parameters
    ----------
    given : array, shape (n, k), or None
        Covariates whose linear part is removed from both.
    """
    k = 0 if given is None else given.shape[1]
    n = x.size
    if n - 3 - k <= 0:
        raise NotAssessable(
            f"A correlation given {k} covariates needs more than {3 + k} pairs."
        )
    design = np.column_stack([np.ones(n), *(given.T if given is not None else ())])
    left, right = _residuals(design, x), _residuals(design, y)
    size = float(np.sqrt((left @ left) * (right @ right)))
    if size <= 1e-12 * n:
        raise NotAssessable("A constant has no correlation.")
    r = float(np.clip(left @ right / size, -1, 1))
    df = n - 2 - k
    t = r * float(np.sqrt(df / (1 - r * r))) if abs(r) < 1 else float("inf") * r
    low, high = fisher_interval(r, n=n, covariates=k) if abs(r) < 1 else (r, r)
    return Correlation(r, low, high, t, float(2 * stats.t.sf(abs(t), df)), n, k)


def _residuals(design: FloatArray, y: FloatArray) -> FloatArray:
    """Return the residuals of a least squares fit."""
    return as_floats(y - design @ np.linalg.lstsq(design, y, rcond=None)[0])


@dataclass(frozen=True, slots=True)
class TermTest:
    """The F test of one term of a linear model."""

    name: str
    f: float
    df: int
    p: float
    partial_eta_squared: float


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A linear model with named terms.

    Attributes
    ----------
    deletions, sequential : tuple of TermTest
        Each term removed from the full model (type II without interactions); each term added
        in the order given.
    hc3_errors : array
        Heteroscedasticity-consistent (HC3) standard errors of the coefficients.
    """

    coefficients: FloatArray
    hc3_errors: FloatArray
    residual_sum_of_squares: float
    residual_df: int
    deletions: tuple[TermTest, ...]
    sequential: tuple[TermTest, ...]
    n: int


def linear_model(y: FloatArray, terms: Mapping[str, FloatArray]) -> LinearModel:
    """Fit y on an intercept and terms; a term is one column or the dummies of a factor."""
    columns = {name: as_floats(one).reshape(y.size, -1) for name, one in terms.items()}
    intercept = np.ones((y.size, 1))

    def design(names: Sequence[str]) -> FloatArray:
        return np.hstack([intercept, *(columns[name] for name in names)])

    full = design(list(columns))
    if np.linalg.matrix_rank(full) < full.shape[1] or y.size <= full.shape[1]:
        raise NotAssessable("The linear model is not identifiable with these rows.")
    rss, df = _rss(full, y), y.size - full.shape[1]

    def test(name: str, without: float) -> TermTest:
        size = columns[name].shape[1]
        f = (without - rss_full[name]) / size / (rss / df)
        gain = without - rss_full[name]
        return TermTest(name, f, size, float(stats.f.sf(f, size, df)), gain / (gain + rss))

    names = list(columns)
    rss_full = dict.fromkeys(names, rss)
    deletions = tuple(test(n, _rss(design([o for o in names if o != n]), y)) for n in names)
    before = {n: _rss(design(names[:i]), y) for i, n in enumerate(names)}
    rss_full = {n: _rss(design(names[: i + 1]), y) for i, n in enumerate(names)}
    sequential = tuple(test(n, before[n]) for n in names)
    bread = np.linalg.inv(full.T @ full)
    leverage = np.einsum("ij,jk,ik->i", full, bread, full)
    scaled = (_residuals(full, y) / (1 - leverage))[:, None] * full
    sandwich = bread @ (scaled.T @ scaled) @ bread
    return LinearModel(
        coefficients=as_floats(bread @ full.T @ y),
        hc3_errors=np.sqrt(np.diag(sandwich)),
        residual_sum_of_squares=rss,
        residual_df=df,
        deletions=deletions,
        sequential=sequential,
        n=y.size,
    )


def _rss(design: FloatArray, y: FloatArray) -> float:
    """Return the residual sum of squares."""
    rest = _residuals(design, y)
    return float(rest @ rest)


def dummies(labels: Sequence[object]) -> FloatArray:
    """Return indicator columns of every label but the first in sorted order."""
    kinds = sorted({str(label) for label in labels})
    if len(kinds) < 2:
        raise NotAssessable("A factor needs two groups.")
    words = [str(label) for label in labels]
    return np.array([[float(word == kind) for kind in kinds[1:]] for word in words])


def benjamini_hochberg(p: Sequence[float]) -> FloatArray:
    """Return false-discovery-rate adjusted p values, in the order given."""
    values = np.array(p, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    count = values.size
    factors = count / np.arange(count, 0, -1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.minimum.accumulate(values[order] * factors), 1.0)
    return adjusted


def holm(p: Sequence[float]) -> FloatArray:
    """Return Holm-adjusted p values (family-wise), in the order given."""
    values = np.array(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    factors = np.arange(values.size, 0, -1)
    adjusted = np.empty(values.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return adjusted


def theil_sen(x: FloatArray, y: FloatArray) -> float:
    """Return the median of all pairwise slopes."""
    first, second = np.triu_indices(x.size, k=1)
    gap = x[second] - x[first]
    if not np.any(gap != 0):
        raise NotAssessable("A slope needs two different times.")
    keep = gap != 0
    return float(np.median((y[second] - y[first])[keep] / gap[keep]))


@dataclass(frozen=True, slots=True)
class TwoGroups:
    """Two groups compared: Hedges g with its 95 % interval, and three tests."""

    n1: int
    n2: int
    cohen_d: float
    hedges_g: float
    g_low: float
    g_high: float
    student: Test
    welch: Test
    mann_whitney: Test


def two_groups(a: FloatArray, b: FloatArray) -> TwoGroups:
    """Compare two independent groups; the first minus the second."""
    n1, n2 = a.size, b.size
    if min(n1, n2) < 2:
        raise NotAssessable("Each group needs two values.")
    pooled = ((n1 - 1) * a.var(ddof=1) + (n2 - 1) * b.var(ddof=1)) / (n1 + n2 - 2)
    if pooled <= 0:
        raise NotAssessable("Values without spread have no effect size.")
    d = float((a.mean() - b.mean()) / np.sqrt(pooled))
    g = d * (1 - 3 / (4 * (n1 + n2) - 9))
    # Large-sample variance of g, Hedges and Olkin 1985.
    se = float(np.sqrt((n1 + n2) / (n1 * n2) + g * g / (2 * (n1 + n2))))
    student = stats.ttest_ind(a, b)
    welch = stats.ttest_ind(a, b, equal_var=False)
    has_ties = np.unique(np.concatenate([a, b])).size < n1 + n2
    rank = stats.mannwhitneyu(a, b, method="asymptotic" if has_ties else "auto")
    return TwoGroups(
        n1=n1,
        n2=n2,
        cohen_d=d,
        hedges_g=g,
        g_low=g - Z95 * se,
        g_high=g + Z95 * se,
        student=Test(float(student.statistic), float(student.df), float(student.pvalue)),
        welch=Test(float(welch.statistic), float(welch.df), float(welch.pvalue)),
        mann_whitney=Test(float(rank.statistic), float("nan"), float(rank.pvalue)),
    )
