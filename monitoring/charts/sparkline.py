"""Small figures drawn by the server as SVG coordinates: sparklines, chances by visit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT, MARGIN = 96.0, 26.0, 3.0
# Percent: a flat course is drawn flat, and brain and cord of one row share the scale.
LEAST_RANGE = 6.0


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line in a box of `WIDTH` x `HEIGHT`: SVG points, the last dot, and the words."""

    points: str
    last_x: float
    last_y: float
    words: str


def sparkline_pair(
    series: Sequence[Sequence[tuple[date, float]]], *, names: Sequence[str]
) -> list[Sparkline | None]:
    """Draw several courses in percent on one common scale; None where there is no value.

    Parameters
    ----------
    series
        Per course (day, percent of own first value), oldest first.
    names
        What each course is called in its words.
    """
    known = [point for course in series for point in course]
    if not known:
        return [None] * len(series)
    days = [day.toordinal() for day, _ in known]
    values = [value for _, value in known]
    middle = (max(values) + min(values)) / 2
    half = max(max(values) - min(values), LEAST_RANGE) / 2
    first, span = min(days), max(max(days) - min(days), 1)

    def place(day: date, value: float) -> tuple[float, float]:
        x = MARGIN + (day.toordinal() - first) / span * (WIDTH - 2 * MARGIN)
        y = MARGIN + (middle + half - value) / (2 * half) * (HEIGHT - 2 * MARGIN)
        return round(x, 1), round(y, 1)

    return [
        _line([place(day, value) for day, value in course], course, name) if course else None
        for course, name in zip(series, names, strict=True)
    ]


def _line(
    places: Sequence[tuple[float, float]], course: Sequence[tuple[date, float]], name: str
) -> Sparkline:
    """Return one line with its words."""
    (start, _), (end, value) = course[0], course[-1]
    words = f"{name}: {len(course)} values, {value:.1f} % of the first, {start} to {end}"
    return Sparkline(" ".join(f"{x},{y}" for x, y in places), *places[-1], words)


@dataclass(frozen=True, slots=True)
class Chance:
    """One probability at one visit, in a box of 100 x 40 with 1 at the top."""

    x: float
    y: float
    words: str


@dataclass(frozen=True, slots=True)
class ChanceCourse:
    """One probability over all visits, with the lines that it may reach."""

    name: str
    value: float
    watch: float
    flag: float
    dots: tuple[Chance, ...]
    points: str

    @property
    def filled(self) -> int:
        """Return how many of a hundred dots are filled."""
        return round(100 * self.value)

    @property
    def dots_on(self) -> str:
        """Return the filled dots as one path, in a box of 100 x 16."""
        return _dots(range(self.filled))

    @property
    def dots_off(self) -> str:
        """Return the others."""
        return _dots(range(self.filled, 100))

    @property
    def watch_y(self) -> float:
        """Height of the watch line in the box."""
        return round(40 * (1 - self.watch), 1)

    @property
    def flag_y(self) -> float:
        """Height of the flag line in the box."""
        return round(40 * (1 - self.flag), 1)


def _dots(numbers: Iterable[int]) -> str:
    """Return small circles in rows of 25."""
    starts = ((0.6 + 4 * (number % 25), 2 + 4 * (number // 25)) for number in numbers)
    return "".join(f"M{x:.1f} {y}a1.4 1.4 0 1 0 2.8 0a1.4 1.4 0 1 0-2.8 0" for x, y in starts)


def chance_course(
    visits: Sequence[tuple[str, float | None]], *, name: str, watch: float, flag: float
) -> ChanceCourse | None:
    """Place a probability as of every visit; None where it was never assessable."""
    known = [(date.fromisoformat(day), p) for day, p in visits if p is not None]
    if not known:
        return None
    first = known[0][0].toordinal()
    span = max(known[-1][0].toordinal() - first, 1)
    dots = tuple(
        Chance(
            round(2 + 96 * (day.toordinal() - first) / span, 1) if len(known) > 1 else 98.0,
            round(40 * (1 - p), 1),
            f"{day}: {p:.2f}",
        )
        for day, p in known
    )
    points = " ".join(f"{dot.x},{dot.y}" for dot in dots)
    return ChanceCourse(name, known[-1][1], watch, flag, dots, points)
