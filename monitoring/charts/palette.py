"""Colours of the figures by what they stand for.

On the page they are CSS tokens that the browser resolves per theme; in a report plain colours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitoring.core.types import Region


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours by what they stand for."""

    ground: str = "var(--ground)"
    ink: str = "var(--ink)"
    soft: str = "var(--ink-soft)"
    grid: str = "var(--grid)"
    line: str = "var(--line-strong)"
    brain: str = "var(--brain)"
    brain_band: str = "var(--brain-band)"
    cord: str = "var(--cord)"
    cord_band: str = "var(--cord-band)"
    gap: str = "var(--gap)"
    gap_band: str = "var(--gap-band)"
    open_band: str = "var(--open-band)"
    norm_band: str = "var(--norm-band)"
    edss: str = "var(--edss)"
    edss_band: str = "var(--edss-band)"
    drugs: Mapping[str, str] = field(
        default_factory=lambda: {
            "moderate": "var(--moderate-drug)",
            "high": "var(--high-drug)",
            "other": "var(--other-drug)",
        }
    )

    def of(self, region: Region) -> str:
        """Return the colour of a region."""
        return self.brain if region is Region.BRAIN else self.cord

    def band_of(self, region: Region) -> str:
        """Return the colour of a region's band."""
        return self.brain_band if region is Region.BRAIN else self.cord_band


PAGE = Palette()
PRINT = Palette(
    ground="#ffffff",
    ink="#182023",
    soft="#4c585b",
    grid="#e6ebeb",
    line="#7b8789",
    brain="#0a68a8",
    brain_band="rgba(10,104,168,0.16)",
    cord="#b34700",
    cord_band="rgba(179,71,0,0.15)",
    gap="#6a2e74",
    gap_band="rgba(106,46,116,0.22)",
    open_band="rgba(90,102,106,0.16)",
    norm_band="rgba(90,102,106,0.09)",
    edss="#182023",
    edss_band="#eceff0",
    drugs={"moderate": "#c7d4d6", "high": "#8fa6aa", "other": "#e6eaea"},
)
