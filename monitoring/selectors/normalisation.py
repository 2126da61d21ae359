"""One intracranial volume per patient, that of the baseline, for normalised brain volumes.

The skull does not shrink: a new intracranial volume at every visit only adds its error, and a
measured one follows the brain, so that the normalised loss would read too small
(docs/brain.md).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from monitoring.selectors.observations import Point
from volumetry.core.types import Quantity, Structure


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineIntracranial:
    """The intracranial volume that all brain volumes of a patient are divided by.

    ``is_confirmed`` says that a reader accepted its scan; until then it stands provisionally,
    as every number that no check failed does.
    """

    value_mm3: float
    standard_error_mm3: float | None
    when: date
    scan_id: UUID
    run_id: UUID
    method: str
    version: str
    is_confirmed: bool

    @property
    def value_cm3(self) -> float:
        """Return the volume in cm³."""
        return self.value_mm3 / 1000

    @property
    def standard_error_cm3(self) -> float | None:
        """Return the standard error in cm³."""
        error = self.standard_error_mm3
        return None if error is None else error / 1000

    def percent_of(self, *, value_mm3: float, method: str, version: str) -> float | None:
        """Return a brain volume in percent of it; None for another method or version."""
        if (method, version) != (self.method, self.version):
            return None
        return 100 * value_mm3 / self.value_mm3


def baseline_intracranial(points: Iterable[Point]) -> BaselineIntracranial | None:
    """Return the first intracranial volume that counts, oldest scan first; None without one.

    Parameters
    ----------
    points : iterable of Point
        As `point_list` gives them, oldest first. What a reader rejected or what waits for one
        is passed over; a later rejection therefore moves the baseline to the next scan.
    """
    for point in points:
        if (
            point.structure == Structure.INTRACRANIAL
            and point.quantity == Quantity.VOLUME
            and point.quality is not None
            and not point.is_rejected
        ):
            return BaselineIntracranial(
                value_mm3=point.value,
                standard_error_mm3=point.standard_error,
                when=point.when,
                scan_id=point.scan_id,
                run_id=point.run_id,
                method=point.method,
                version=point.version,
                is_confirmed=point.verdict == "accepted",
            )
    return None
