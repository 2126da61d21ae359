"""The shared reference numbers of the model, as rows and parameters of our own types."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from monitoring.core.parameter_set import Parameters, literature_defaults
from monitoring.core.priors import EpochOffsets
from monitoring.core.series import Series

DATA = Path(__file__).parent / "data"
QUALITY = {"good": 0, "fair": 1, "poor": 2}


@cache
def document() -> dict[str, Any]:
    """Return the reference document."""
    loaded: dict[str, Any] = json.loads((DATA / "cpb_fixture.json").read_text())
    return loaded


def roots(pair: list[float]) -> tuple[float, float]:
    """Return standard deviations of a pair of variances."""
    return (float(np.sqrt(pair[0])), float(np.sqrt(pair[1])))


def fixture_parameters(epochs: EpochOffsets | None = None) -> Parameters:
    """Return the input parameters of the reference, which knows no steps, on our constants."""
    given, means, offsets = (document()[k] for k in ("variance", "means", "epoch_offsets"))
    covariance = document()["epoch_offset_posterior_covariance"]["value"]
    psi, k0 = np.array(given["slope_cov"]), given["level_cov"]
    sd = roots([psi[0, 0], psi[1, 1]])
    known = EpochOffsets(
        names=("0", "1"),
        brain=tuple(offsets["brain"]),
        cord=tuple(offsets["cord"]),
        covariance=tuple(tuple(row) for row in covariance),
        patients=(50, 50),
    )
    return replace(
        literature_defaults(),
        id="reference",
        level_mean=(means["mu_b0"], means["mu_c0"]),
        level_cov=(tuple(k0[0]), tuple(k0[1])),
        slope_mean=(means["mu_b1"], means["mu_c1"]),
        slope_sd=sd,
        slope_correlation=float(psi[0, 1] / (sd[0] * sd[1])),
        error_sd=roots(given["error_variance"]),
        patient_by_epoch_sd=roots(given["patient_by_epoch_variance"]),
        slope_walk_sd=roots(given["slope_walk_variance_per_year"]),
        pseudo_atrophy_mean=(means["gamma_b"], means["gamma_c"]),
        pseudo_atrophy_sd=roots(given["pseudo_atrophy_variance"]),
        epoch_offset_prior_sd=(1.5, 1.8),
        epochs=epochs or known,
        steps=None,
    )


def series_of(patient: dict[str, Any]) -> Series:
    """Return the rows of a patient of the reference."""
    rows: list[tuple[float, float, int, int, str]] = []
    for i, years in enumerate(patient["t"]):
        for region, name in enumerate(("brain", "cord")):
            y = patient[f"y_{name}"][i]
            if y is not None:
                quality = QUALITY[patient[f"quality_{name}"][i]]
                rows.append((years, y, region, quality, str(patient["epoch"][i])))
    years, y, organ, grade, epochs = zip(*rows, strict=True)
    return Series(
        years=np.array(years, dtype=float),
        y=np.array(y, dtype=float),
        region=np.array(organ),
        quality=np.array(grade),
        epochs=tuple(epochs),
        therapy_years=patient["therapy_start"],
    )
