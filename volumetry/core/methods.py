"""What an engine is: the protocols that built-in and plug-in methods fulfil."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from volumetry.core.types import Contrast, Landmark, ScanImage, VolumetryResult


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a method can run here; ``missing`` says in words what it lacks."""

    is_ready: bool
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Correction:
    """A mask that a method drew and what a reader made of it, both on the image's own grid."""

    own: ScanImage
    mask: ScanImage


@dataclass(frozen=True, slots=True)
class CordRequest:
    """What a person may tell an engine beside the image.

    ``hint_mm`` is a point on the cord, world millimetres (RAS+). ``mask`` is a cord mask made
    elsewhere, binary or soft, on the image's own grid: it is measured instead of a contour.
    ``correction`` is carried over to what the engine measures itself, in cord or brain;
    ``lesions`` is a mask of lesions that the brain engine fills first.
    """

    contrast: Contrast = Contrast.AUTO
    landmark: Landmark | None = None
    hint_mm: tuple[float, float, float] | None = None
    mask: ScanImage | None = None
    correction: Correction | None = None
    lesions: ScanImage | None = None


PairRequest = tuple[CordRequest, CordRequest]
"""What a person said of the earlier and of the later scan of a pair."""

NOTHING_SAID: PairRequest = (CordRequest(), CordRequest())


class Method(Protocol):
    """One image in, measures out.

    ``measure`` never raises for an image that cannot be measured: it returns an outcome
    ``refused`` or ``needs_landmark`` with the reason. Files (masks on the image's own grid,
    profile, pictures) are written into ``workdir`` under the names of docs/command-line.md.
    """

    name: str
    version: str
    description: str

    def availability(self) -> Availability:
        """Say whether the method can run on this machine."""
        ...

    def measure(
        self, image: ScanImage, *, workdir: Path, request: CordRequest | None = None
    ) -> VolumetryResult:
        """Measure the image."""
        ...


class PairMethod(Protocol):
    """Two images of one person in, the change between them out (negative = loss)."""

    name: str
    version: str
    description: str

    def availability(self) -> Availability:
        """Say whether the method can run on this machine."""
        ...

    def measure(
        self,
        before: ScanImage,
        after: ScanImage,
        *,
        workdir: Path,
        requests: PairRequest = NOTHING_SAID,
    ) -> VolumetryResult:
        """Measure the change from ``before`` to ``after``."""
        ...
