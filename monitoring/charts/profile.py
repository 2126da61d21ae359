"""The cord's area along its length as SVG coordinates, below the cord pulled straight."""

import math
from dataclasses import dataclass

from monitoring.selectors.levels import ZERO_WORDS, AreaProfile

WIDTH, HEIGHT = 800, 170
TOP, BOTTOM = 8, 24
LEAST_SPAN_MM2 = 20.0
MOST_TICKS = 10


@dataclass(frozen=True, slots=True)
class Tick:
    """A number on an axis and where it stands."""

    at: float
    word: str


@dataclass(frozen=True, slots=True)
class ProfileChart:
    """Lines and ticks in a box of `WIDTH` x `HEIGHT`; x runs over the straightened view."""

    own: str
    prior: str
    window: tuple[float, float] | None
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    first_mm: float
    last_mm: float
    straight_file: str
    words: str
    prior_left_out: str

    @property
    def window_width(self) -> float:
        """Return how wide the averaged stretch is drawn."""
        return round(self.window[1] - self.window[0], 1) if self.window else 0.0


def profile_chart(own: AreaProfile, prior: AreaProfile | None) -> ProfileChart:
    """Draw a profile over the one before; the latter only if both count from one landmark."""
    left_out = ""
    if prior is not None and prior.zero != own.zero:
        left_out = (
            "The scan before counts its levels from another landmark, so it is not drawn."
        )
        prior = None
    first, last = own.points[0][0], own.points[-1][0]
    known = [
        p for p in (*own.points, *(prior.points if prior else ())) if first <= p[0] <= last
    ]
    areas = [area for _, area in known]
    middle = (max(areas) + min(areas)) / 2
    half = max(max(areas) - min(areas), LEAST_SPAN_MM2) / 2 * 1.08
    low, high = middle - half, middle + half

    def x(position: float) -> float:
        return round((position - first) / (last - first) * WIDTH, 1)

    def y(area: float) -> float:
        return round(TOP + (high - area) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    def line(profile: AreaProfile | None) -> str:
        inside = [p for p in profile.points if first <= p[0] <= last] if profile else []
        return " ".join(f"{x(position)},{y(area)}" for position, area in inside)

    window = own.window_mm
    step = 20 if last - first > 10 * MOST_TICKS else 10
    return ProfileChart(
        own=line(own),
        prior=line(prior),
        window=(max(x(window[0]), 0.0), min(x(window[1]), float(WIDTH))) if window else None,
        x_ticks=tuple(
            Tick(x(float(p)), f"{p} mm")
            for p in range(math.ceil((first + 3) / step) * step, int(last - 3) + 1, step)
        ),
        y_ticks=tuple(
            Tick(y(float(area)), str(area))
            for area in range(math.ceil(low / 10) * 10, int(high) + 1, 10)
        ),
        first_mm=first,
        last_mm=last,
        straight_file=own.straight_file,
        words=(
            f"Cord area from {first:.0f} to {last:.0f} mm {ZERO_WORDS[own.zero]}: "
            f"{min(a for _, a in own.points):.0f} to {max(a for _, a in own.points):.0f} mm²"
        ),
        prior_left_out=left_out,
    )
