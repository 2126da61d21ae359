"""How many more scans, and when, would make a patient assessable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from monitoring.core.observations import DAYS_PER_YEAR
from monitoring.core.priors import Policy
from monitoring.core.types import Needs, Region


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """The fewest scans of brain and cord, and the earliest day of the last of them."""

    scans: int
    earliest: date


def scan_plan(
    days: Mapping[Region, Sequence[date]],
    needs: Needs,
    *,
    policy: Policy,
    interval: timedelta,
    today: date,
) -> ScanPlan | None:
    """Plan scans of brain and cord on the scanner used so far; None when nothing is missing.

    Parameters
    ----------
    days
        Days of the usable scans by region.
    interval
        Time from one scan to the next; also from the last one to the first planned.
    """
    if needs.is_met:
        return None
    known = [day for region in Region for day in days.get(region, ())]
    following = max(today, max(known) + interval) if known else today
    span = timedelta(days=policy.minimum_years * DAYS_PER_YEAR)
    starts = [min(days.get(region) or [following]) for region in Region]
    scans = max(needs.brain_scans, needs.cord_scans, 1)
    by_number = following + (scans - 1) * interval
    return ScanPlan(scans, max(by_number, max(starts) + span))
