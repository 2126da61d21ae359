"""Start a real Celery worker that offers one more method: a slow, simple one.

The method is real enough to be recorded (one measure, one check) and slow enough to be killed.
"""

import sys
import time
from pathlib import Path

from volumetry.core.methods import Availability, CordRequest
from volumetry.core.types import (
    Outcome,
    Provenance,
    QualityCheck,
    Quantity,
    ScanImage,
    Structure,
    StructureMeasure,
    Unit,
    Verdict,
    VolumetryResult,
)
from volumetry.engines.registry import METHODS


class SlowMean:
    """Takes as many seconds as the image is told to take."""

    name = "test-slow"
    version = "1"
    description = "Sleeps, then returns the mean intensity as an area."
    seconds = 0.0

    def __init__(self, name: str, seconds: float) -> None:
        self.name, self.seconds = name, seconds

    def availability(self) -> Availability:
        return Availability(is_ready=True)

    def measure(
        self, image: ScanImage, *, workdir: Path, request: CordRequest | None = None
    ) -> VolumetryResult:
        time.sleep(self.seconds)
        picture = workdir / "qc.png"
        picture.write_bytes(b"\x89PNG\r\n\x1a\n")
        return VolumetryResult(
            Outcome.OK,
            None,
            (
                StructureMeasure(
                    Structure.CORD_SEGMENT,
                    Quantity.MEAN_CSA,
                    float(abs(image.intensities.mean())) + 1.0,
                    Unit.MM2,
                    0.5,
                ),
            ),
            (QualityCheck("always", 1.0, 1.0, Verdict.PASS),),
            Provenance(self.name, self.version, {}, image.sha256),
            self.seconds,
            {"qc.png": picture},
        )


def register() -> None:
    """Offer a quick and a slow method."""
    METHODS["test-quick"] = SlowMean("test-quick", 0.05)
    METHODS["test-slow"] = SlowMean("test-slow", 4.0)


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monitoring.settings")
    django.setup()
    register()
    from monitoring.celery import app

    app.worker_main(["worker", "-B", "-Q", "default,volumetry", "-c", "2", *sys.argv[1:]])
