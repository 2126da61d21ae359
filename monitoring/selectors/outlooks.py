"""What another scan could tell about a patient: the planner beside the card."""

from dataclasses import dataclass
from datetime import date, timedelta

from monitoring.core.errors import MonitoringError
from monitoring.core.outlook import Outlook, first_to_change, scan_outlook
from monitoring.core.parameter_set import Parameters
from monitoring.core.types import Level
from monitoring.models import Patient
from monitoring.selectors.divergence import estimate_latest
from monitoring.selectors.observations import (
    event_list,
    observation_list,
    patient_scans,
    point_list,
)

# Days ahead that a clinic plans by: the next months, then by half-years.
MONTHS_AHEAD = (3, 6, 12, 18, 24)
DAYS_PER_MONTH = 365.25 / 12
# A smaller chance of another level is no reason for a scan (docs/divergence.md).
WORTH_A_SCAN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Outlooks by date, the first that is worth a scan, or why there is none."""

    level: str
    outlooks: tuple[Outlook, ...] = ()
    first: Outlook | None = None
    worth: float = WORTH_A_SCAN
    reason: str = ""


def patient_planner(patient: Patient, parameters: Parameters, *, today: date) -> Planner:
    """Say for each of the next dates what one more scan of brain and cord could change.

    A date that lies before the last scan is left out.
    """
    estimate = estimate_latest(patient)
    if estimate is None or patient.divergence_error:
        return Planner(level="uncomputed", reason="There is no statement to look ahead from.")
    observations = observation_list(point_list(patient_scans(patient)))
    days = [today + timedelta(days=round(m * DAYS_PER_MONTH)) for m in MONTHS_AHEAD]
    last = max((one.when for one in observations), default=today)
    try:
        outlooks = scan_outlook(
            observations,
            event_list(patient),
            parameters=parameters,
            level=Level(estimate.level),
            dates=[day for day in days if day > last],
        )
    except MonitoringError as error:
        return Planner(level=estimate.level, reason=str(error))
    return Planner(
        level=estimate.level,
        outlooks=outlooks,
        first=first_to_change(outlooks, chance=WORTH_A_SCAN),
    )
