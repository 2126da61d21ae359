"""The named regimes of the simulator: disease, measurement, visits."""

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Profile:
    """One regime of disease, measurement and visits; the defaults are ``base``.

    Pairs are (brain, cord); slopes percent per year, errors and levels percent.
    """

    slope_mean: tuple[float, float] = (-0.40, -0.88)
    slope_sd: tuple[float, float] = (0.25, 0.55)
    correlation_mild: float = 0.6
    correlation_moderate: float = 0.2
    p_moderate: float = 0.30
    slope_walk: tuple[float, float] = (0.06, 0.15)
    level_sd: tuple[float, float] = (4.0, 9.0)
    level_correlation: float = 0.45
    hazard: float = 0.025
    hazard_start: float = 2.0
    lead_median: float = 5.0
    lead_log_sd: float = 0.35
    lead_max: float = 9.0
    bend_mean: float = -1.45
    bend_sd: float = 0.55
    bend_brain: float = -0.10
    ramp: float = 1.0
    p_no_divergence: float = 0.15
    p_global: float = 0.0
    error_sd: tuple[float, float] = (0.60, 1.50)
    p_outlier: float = 0.04
    qc_catch: float = 0.60
    qc_false: float = 0.02
    sites: int = 4
    upgrade_years: float = 6.0
    p_switch: float = 0.10
    offset_sd: tuple[float, float] = (1.2, 1.5)
    patient_epoch_sd: tuple[float, float] = (0.25, 0.40)
    p_treated: float = 0.45
    dip_mean: tuple[float, float] = (-0.7, -0.15)
    dip_sd: tuple[float, float] = (0.4, 0.25)
    step_rate: float = 0.015
    step_mean: float = -1.5
    step_sd: float = 0.8
    visit_sd: float = 0.12
    p_sparse: float = 0.25
    p_extra: float = 0.08
    missing: tuple[float, float] = (0.03, 0.20)
    p_late_cord: float = 0.08


_BASE = Profile()
_REG = replace(
    _BASE, error_sd=(0.30, 0.80), offset_sd=(0.8, 0.8), patient_epoch_sd=(0.15, 0.25)
)

PROFILES: dict[str, Profile] = {
    "base": _BASE,
    "reg": _REG,
    "regdense": replace(_REG, p_sparse=0.0, missing=(0.03, 0.05), p_extra=0.5),
    "best": replace(
        _BASE,
        error_sd=(0.25, 0.50),
        offset_sd=(0.8, 0.8),
        patient_epoch_sd=(0.10, 0.15),
        p_sparse=0.0,
        missing=(0.03, 0.05),
        p_switch=0.03,
        p_outlier=0.02,
    ),
    "harsh": replace(
        _BASE,
        error_sd=(0.9, 2.2),
        offset_sd=(2.0, 2.5),
        p_switch=0.25,
        p_outlier=0.08,
        missing=(0.03, 0.35),
        p_sparse=0.4,
    ),
    "early": replace(_BASE, lead_median=9.0, lead_max=15.0),
    "sdc35": replace(_BASE, slope_sd=(0.25, 0.35), slope_walk=(0.06, 0.08)),
    "glob": replace(_BASE, p_global=0.15),
    "onescan": replace(_BASE, p_switch=0.0, upgrade_years=100.0),
    "tenscan": replace(_BASE, p_switch=0.3),
    "dense": replace(_BASE, p_sparse=0.0, missing=(0.03, 0.05), p_extra=0.5),
    "weakk": replace(_BASE, bend_mean=-0.9),
    "rho9": replace(_BASE, correlation_mild=0.85, correlation_moderate=0.85),
    "tail": replace(_BASE, error_sd=(0.60, 1.0)),
    "nodiv0": replace(_BASE, p_no_divergence=0.0),
}


def profile_table() -> list[tuple[str, str, str]]:
    """Return (profile, parameter, value) for everything in which a profile leaves ``base``."""
    return [
        (name, field.name, str(getattr(profile, field.name)))
        for name, profile in PROFILES.items()
        for field in fields(Profile)
        if getattr(profile, field.name) != getattr(_BASE, field.name)
    ]
