"""Measure how much processor time the divergence model takes, on one core.

OMP_NUM_THREADS=1 python -m benchmarks.divergence_speed --patients 20000
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from monitoring.core.assessing import AsOf, assess_table
from monitoring.core.estimates import posterior_table
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.profiles import PROFILES
from monitoring.core.reference import fit_reference
from monitoring.core.series import Series
from monitoring.core.simulation import simulate_cohort


def seconds(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def ten_visits(count: int) -> list[Series]:
    rng = np.random.default_rng(1)
    years = np.repeat(np.arange(10.0), 2)
    region = np.tile([0, 1], 10)
    trend = years * np.where(region == 1, -0.88, -0.4)
    base = Series(
        years=years,
        y=trend,
        region=region,
        quality=np.zeros(20, dtype=np.int64),
        epochs=("A",) * 20,
    )
    noise = rng.normal(size=(count, 20)) * np.where(region == 1, 1.5, 0.6)
    return [replace(base, y=trend + own) for own in noise]


def as_table(patients: list[Series]) -> str:
    lines = ["patient_id,date,region,value,epoch,quality"]
    days = [date(2005, 1, 1) + timedelta(days=round(365.25 * t)) for t in range(10)]
    for number, one in enumerate(patients):
        for row in range(20):
            word, start = (("brain", 1.1e6), ("cord", 70.0))[row % 2]
            value = start * np.exp(one.y[row] / 100)
            lines.append(f"P{number:06d},{days[row // 2]},{word},{value:.6g},A,good")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=20_000)
    count = parser.parse_args().patients
    parameters = literature_defaults()
    patients = ten_visits(count)
    one = patients[:1]
    posterior_table(one, parameters)
    single = min(seconds(lambda: posterior_table(one, parameters)) for _ in range(50))
    print(f"one patient, as of now: {1000 * single:.2f} ms")
    batched = seconds(lambda: posterior_table(patients, parameters))
    print(f"batched: {1000 * batched / count:.3f} ms a patient ({count} patients x 10 visits)")
    cuts = [one.until(t) for one in patients[: count // 10] for t in one.visits()]
    every = seconds(lambda: posterior_table(cuts, parameters))
    print(f"as of every visit: {1000 * every / len(cuts):.3f} ms each")
    text = as_table(patients)
    table = seconds(lambda: assess_table(text, parameters=parameters, as_of=AsOf.LAST))
    print(f"table of {count} patients, text to text: {table:.1f} s")
    rng = np.random.default_rng(2)
    pool = simulate_cohort(PROFILES["base"], patients=500, rng=rng)
    series = [patient.series for patient in pool]
    fitted = seconds(lambda: fit_reference(series, base=parameters, id="speed"))
    print(f"refit on 500 patients: {fitted:.1f} s")


if __name__ == "__main__":
    main()
