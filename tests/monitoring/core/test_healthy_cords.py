"""Real healthy cords must not raise the level: nobody in them is accelerating."""

import csv
import math
from collections import Counter, defaultdict
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from monitoring.core.divergence import assess_many
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.types import ClinicalEvent, Level, Observation, Quality, Region

BRAIN_NOISE_PERCENT = 0.6


def healthy_records(root: Path, *, seed: int):
    """Return DLBS adults with >= 3 sessions, each with a synthetic stable brain."""
    people = defaultdict(list)
    with (root / "tables" / "cord_csa_by_session.csv").open() as handle:
        for row in csv.DictReader(handle):
            if row["dataset"] == "DLBS" and row["csa_C2_mm2"]:
                people[row["participant_id"]].append(row)
    rng = np.random.default_rng(seed)
    records: list[tuple[list[Observation], list[ClinicalEvent]]] = []
    for rows in people.values():
        if len(rows) < 3:
            continue
        youngest = min(float(row["age"]) for row in rows)
        observations = []
        for row in rows:
            years = float(row["age"]) - youngest
            when = date(2008, 1, 1) + timedelta(days=round(365.25 * years))
            brain = 1.1e6 * math.exp(rng.normal(0, BRAIN_NOISE_PERCENT) / 100)
            area = float(row["csa_C2_mm2"])
            observations += [
                Observation(when, Region.BRAIN, brain, "DLBS", Quality.GOOD),
                Observation(when, Region.CORD, area, "DLBS", Quality.GOOD),
            ]
        records.append((observations, []))
    return records


@pytest.mark.realdata
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_healthy_cords_with_a_stable_brain_stay_quiet(realdata, seed):
    records = healthy_records(realdata, seed=seed)
    assert len(records) > 150
    results = assess_many(records, parameters=literature_defaults())
    levels = Counter(one.level for one in results)
    assert levels[Level.INSUFFICIENT] == 0
    assert levels[Level.FLAG] <= 0.01 * len(records)
    assert levels[Level.FLAG] + levels[Level.WATCH] <= 0.03 * len(records)
