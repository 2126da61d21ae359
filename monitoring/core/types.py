"""The words of the record's side: observations over years, and what they may mean.

Every dataclass is frozen and knows no database. A *region* is brain or cord, an *epoch* a
period of comparable scans (scanner, its software, protocol, method version), a *level* the
statement of `docs/divergence.md`. Slopes are percent per year; minus is loss.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Region(StrEnum):
    """What the model follows: one brain volume and one cord area per usable scan."""

    BRAIN = "brain"
    CORD = "cord"


class Quality(StrEnum):
    """How far an observation may be trusted; a rejected one enters nothing."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    REJECTED = "rejected"


class PersonVerdict(StrEnum):
    """What a reader said of a measurement."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


class EventKind(StrEnum):
    """Clinical events that the model or its caveats know."""

    THERAPY_START = "therapy_start"
    RELAPSE = "relapse"


class Level(StrEnum):
    """The four statements about divergence, from silent to loud."""

    INSUFFICIENT = "insufficient"
    NONE = "none"
    WATCH = "watch"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Observation:
    """One measured value of one region on one day.

    Attributes
    ----------
    value : float
        Brain volume or mean cord area in any unit that is the same for all values of the
        region; must be finite and positive.
    epoch : str
        Name of the period of comparable scans.
    key : str or None
        Whatever the caller needs to find the scan again; never read here.
    """

    when: date
    region: Region
    value: float
    epoch: str
    quality: Quality
    key: str | None = None

    @property
    def is_usable(self) -> bool:
        """Whether the value may enter a fit."""
        return self.quality is not Quality.REJECTED


@dataclass(frozen=True, slots=True)
class ClinicalEvent:
    """A relapse or the start of a treatment."""

    when: date
    kind: EventKind


@dataclass(frozen=True, slots=True)
class Estimate:
    """A posterior mean with its 95 % credible interval, in the unit the field's name says."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ObservationWeight:
    """How much one used observation counted.

    Attributes
    ----------
    weight : float
        Student-t weight, 1.2 at most; below 0.4 the scan is a probable outlier.
    is_outlier : bool
        "Probable outlier, repeat the scan".
    value_corrected : float or None
        The value as the scanner of the region's first epoch would have read it, in the
        value's own unit, comparable with the fitted line; None where no curves were asked for.
    """

    observation: Observation
    weight: float
    is_outlier: bool
    value_corrected: float | None


@dataclass(frozen=True, slots=True)
class Needs:
    """What is missing before a statement can be made; all zero and False when nothing is."""

    brain_scans: int = 0
    cord_scans: int = 0
    years: float = 0.0
    cord_pair_on_one_epoch: bool = False

    @property
    def is_met(self) -> bool:
        """Whether nothing is missing."""
        return self == Needs()


@dataclass(frozen=True, slots=True)
class Curve:
    """A fitted line with its pointwise 95 % band on a common time grid.

    ``years`` counts from the first usable scan; ``mean``, ``low`` and ``high`` have one
    number per grid point, in the unit that the field holding the curve names.
    """

    years: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What the chart draws beside the points.

    Attributes
    ----------
    origin : date
        Day of the first usable scan, where ``years`` is 0.
    brain_value, cord_value : Curve or None
        Latent path as the region's first epoch reads it, in the unit of the region's values;
        None where the region was never measured.
    gap_percent : Curve
        G(t), the integral of D from the first scan on, in percent.
    """

    origin: date
    brain_value: Curve | None
    cord_value: Curve | None
    gap_percent: Curve


@dataclass(frozen=True, slots=True)
class Posterior:
    """Everything the model says of one patient at one date, whether or not it may be shown.

    Attributes
    ----------
    divergence, brain, cord : Estimate
        D and the present slopes, percent per year.
    gap : Estimate
        Integral of D since the first scan, percent.
    p_faster_than_half, p_faster_than_1 : float
        P(D < -0.5) and P(D < -1 percent per year).
    p_change : float
        Probability that a cord-selective acceleration has begun.
    p_change_prior : float
        The same before any scan was seen.
    p_step : float
        Probability that the cord lost area at once, without a change of rate.
    weights : tuple of float
        One Student-t weight per row, in row order.
    """

    divergence: Estimate
    brain: Estimate
    cord: Estimate
    gap: Estimate
    p_faster_than_half: float
    p_faster_than_1: float
    p_change: float
    p_change_prior: float
    p_step: float
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The statement about one patient as of one date.

    Every number of the model is None where the level is ``insufficient``: a posterior that
    only echoes its prior is not shown. ``posterior`` keeps it for tests and method pages.

    Attributes
    ----------
    as_of : date or None
        Day of the last usable scan that was used; None without any scan.
    is_held : bool
        The level was kept although the probabilities have fallen below its line.
    reason : str
        Why this level, or what is missing, in words.
    headline, sentence : str
        The first words in bold and the whole statement for the screen.
    notes : tuple of str
        Facts a reader must know: outliers, duplicate values, relapses before a scan,
        epochs whose offset is poorly known.
    first_raised : date or None
        Since when the level has been watch or flag without a break.
    """

    as_of: date | None
    level: Level
    is_held: bool
    reason: str
    headline: str
    sentence: str
    notes: tuple[str, ...]
    needs: Needs
    n_brain: int
    n_cord: int
    span_years: float
    epochs: tuple[str, ...]
    parameter_set: str
    d_percent_per_year: float | None = None
    d_low: float | None = None
    d_high: float | None = None
    p_faster_than_1: float | None = None
    p_change: float | None = None
    brain_percent_per_year: float | None = None
    brain_low: float | None = None
    brain_high: float | None = None
    cord_percent_per_year: float | None = None
    cord_low: float | None = None
    cord_high: float | None = None
    gap_percent: float | None = None
    gap_low: float | None = None
    gap_high: float | None = None
    weights: tuple[ObservationWeight, ...] = ()
    trajectory: Trajectory | None = None
    posterior: Posterior | None = None
    first_raised: date | None = None

    @property
    def context(self) -> str:
        """The words that always follow the sentence on screen."""
        raised = (
            f"First raised on {self.first_raised.isoformat()}. " if self.first_raised else ""
        )
        return (
            f"{raised}{self.n_cord} cord and {self.n_brain} brain scans over "
            f"{self.span_years:.1f} years. Research use, not a diagnosis."
        )
