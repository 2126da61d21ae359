"""The simulator draws what its profile says: each mechanism alone, then together.

Published tables rest on these numbers. Tolerances are three standard errors of the counts or
spreads at the stated number of people.
"""

from dataclasses import replace

import numpy as np
import pytest

from monitoring.core.profiles import PROFILES, Profile
from monitoring.core.series import BRAIN, CORD
from monitoring.core.simulation import SimulatedPatient, simulate_cohort

BASE = PROFILES["base"]

STILL = replace(
    BASE,
    slope_sd=(0.0, 0.0), slope_walk=(0.0, 0.0), level_sd=(0.0, 0.0), hazard=1e-9,
    p_no_divergence=1.0, error_sd=(1e-9, 1e-9), p_outlier=0.0, qc_false=0.0,
    offset_sd=(0.0, 0.0), patient_epoch_sd=(0.0, 0.0), p_treated=0.0, step_rate=0.0,
    missing=(0.0, 0.0), p_late_cord=0.0,
)  # fmt: skip
"""Nothing but the mean slopes: what a mechanism adds is all that is left."""

# Values and changes to base as published with the tables, written out once more.
PUBLISHED = {
    "reg": {"error_sd": (0.3, 0.8), "offset_sd": (0.8, 0.8), "patient_epoch_sd": (0.15, 0.25)},
    "dense": {"p_sparse": 0, "missing": (0.03, 0.05), "p_extra": 0.5},
    "best": {
        "error_sd": (0.25, 0.5), "offset_sd": (0.8, 0.8), "patient_epoch_sd": (0.1, 0.15),
        "p_sparse": 0, "missing": (0.03, 0.05), "p_switch": 0.03, "p_outlier": 0.02,
    },
    "harsh": {
        "error_sd": (0.9, 2.2), "offset_sd": (2.0, 2.5), "p_switch": 0.25, "p_outlier": 0.08,
        "missing": (0.03, 0.35), "p_sparse": 0.4,
    },
    "early": {"lead_median": 9, "lead_max": 15},
    "weakk": {"bend_mean": -0.9},
    "nodiv0": {"p_no_divergence": 0},
    "sdc35": {"slope_sd": (0.25, 0.35), "slope_walk": (0.06, 0.08)},
    "rho9": {"correlation_mild": 0.85, "correlation_moderate": 0.85},
    "glob": {"p_global": 0.15},
    "onescan": {"p_switch": 0, "upgrade_years": 100},
    "tenscan": {"p_switch": 0.3},
    "tail": {"error_sd": (0.6, 1.0)},
}  # fmt: skip


def people(profile: Profile, count: int, *, seed: int = 5) -> list[SimulatedPatient]:
    return simulate_cohort(profile, patients=count, rng=np.random.default_rng(seed))


def residuals(cohort: list[SimulatedPatient], profile: Profile, region: int) -> np.ndarray:
    """Return what is left of a region's values beside the mean slope since onset."""
    left = []
    for one in cohort:
        rows = one.series.region == region
        since = one.series.years[rows] + one.offset_years
        left.append(one.series.y[rows] - profile.slope_mean[region] * since)
    return np.concatenate(left)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_profile_is_base_but_for_what_was_published(name):
    assert PROFILES[name] == replace(BASE, **PUBLISHED[name])
    assert PROFILES["regdense"] == replace(PROFILES["reg"], **PUBLISHED["dense"])


def test_what_is_usable_is_what_was_not_missed_caught_or_rejected():
    cohort = people(BASE, 3000)
    seen = {BRAIN: 0, CORD: 0}
    early = {True: [0, 0], False: [0, 0]}
    for one in cohort:
        when = one.series.years + one.offset_years
        for region in (BRAIN, CORD):
            seen[region] += int((one.series.region == region).sum())
        for is_early, count in early.items():
            count[0] += int(((one.series.region == CORD) & ((when < 3) == is_early)).sum())
            count[1] += int(((one.true_years < 3) == is_early).sum())
    kept = (1 - 0.04 * 0.6) * (1 - 0.02)
    visits = sum(one.true_years.size for one in cohort)
    assert seen[BRAIN] / visits == pytest.approx(0.97 * kept, abs=0.006)
    assert early[False][0] / early[False][1] == pytest.approx(0.80 * kept, abs=0.012)
    # In 8 % of patients the cord is not measured before year 3.
    assert early[True][0] / early[True][1] == pytest.approx(0.80 * kept * 0.92, abs=0.015)


@pytest.mark.parametrize("region", [BRAIN, CORD])
def test_errors_follow_the_quality_and_outliers_their_factor(region):
    noisy = replace(STILL, error_sd=BASE.error_sd)
    cohort = people(noisy, 800)
    left = residuals(cohort, noisy, region)
    quality = np.concatenate([o.series.quality[o.series.region == region] for o in cohort])
    shares = np.bincount(quality) / quality.size
    assert shares == pytest.approx([0.70, 0.22, 0.08], abs=0.02)
    for grade, multiplier in enumerate((0.9, 1.25, 1.9)):
        expected = BASE.error_sd[region] * multiplier
        assert left[quality == grade].std() == pytest.approx(expected, rel=0.11)

    wild = replace(noisy, p_outlier=1.0, qc_catch=0.0)
    factor = (4.0, 5.0)[region]
    assert residuals(people(wild, 800), wild, region).std() == pytest.approx(
        factor * left.std(), rel=0.06
    )


def test_an_epoch_shifts_all_of_its_scans_and_a_patient_part_of_them():
    shared = replace(STILL, offset_sd=BASE.offset_sd)
    offsets: dict[tuple[int, str], set[float]] = {}
    for one in people(shared, 300):
        left = one.series.y - np.array(shared.slope_mean)[one.series.region] * (
            one.series.years + one.offset_years
        )
        for region, epoch, value in zip(
            one.series.region, one.series.epochs, left, strict=True
        ):
            offsets.setdefault((int(region), epoch), set()).add(round(value, 2))
    spread = [max(values) - min(values) for values in offsets.values()]
    assert len(offsets) >= 8
    # The path is cut to a grid of 1/24 year: up to 0.88 %/yr x 1/48 yr on either side.
    assert max(spread) < 0.06
    middle = [np.mean(list(values)) for values in offsets.values()]
    assert np.std(middle) == pytest.approx(1.35, rel=0.5)

    own = replace(STILL, patient_epoch_sd=BASE.patient_epoch_sd)
    for region in (BRAIN, CORD):
        left = residuals(people(own, 800), own, region)
        assert left.std() == pytest.approx(BASE.patient_epoch_sd[region], rel=0.07)


def test_a_cord_bends_a_year_after_it_began_and_from_onset_at_once():
    cohort = people(replace(BASE, slope_walk=(0.0, 0.0)), 6000)
    bent = [one for one in cohort if 0 < one.acceleration < 10]
    start, half, end = (
        np.array([one.slopes_at(one.acceleration * (years > 0) + years) for one in bent])
        for years in (0.0, 0.5, 1.1)
    )
    # N(-1.45, .55) cut at -0.2 has mean -1.46.
    assert np.mean(end - start, axis=0) == pytest.approx([-0.10, -1.46], abs=0.06)
    assert np.mean(half - start, axis=0) == pytest.approx([-0.05, -0.73], abs=0.06)

    from_onset = [one.slopes_at(0)[CORD] for one in cohort if one.acceleration == 0]
    assert len(from_onset) > 100
    assert np.mean(from_onset) == pytest.approx(-0.88 - 1.46, abs=0.2)
    straight = [one.slopes_at(12)[CORD] for one in cohort if np.isinf(one.acceleration)]
    assert np.mean(straight) == pytest.approx(-0.88, abs=0.06)
    assert np.mean([np.isinf(one.acceleration) for one in cohort]) == pytest.approx(
        0.15, abs=0.015
    )


def test_both_organs_speed_up_where_the_change_is_global():
    cohort = people(replace(STILL, p_global=1.0), 300)
    late = np.array([one.slopes_at(10) for one in cohort])
    assert late.mean(axis=0) == pytest.approx([-0.40 - 0.7, -0.88 - 1.0])
    assert np.array([one.slopes_at(0) for one in cohort]).mean(axis=0) == pytest.approx(
        [-0.40, -0.88]
    )


def test_a_treatment_takes_its_dip_and_a_lesion_its_step():
    treated = replace(STILL, p_treated=1.0)
    for region, mean in ((BRAIN, -0.7), (CORD, -0.15)):
        drops = []
        for one in people(treated, 1500):
            start = one.series.therapy_years + one.offset_years
            rows = one.series.region == region
            since = one.series.years[rows] + one.offset_years
            left = one.series.y[rows] - treated.slope_mean[region] * since
            assert np.all(np.abs(left[since < start - 0.05]) < 0.03)
            drops += list(left[since > start + 2])
        assert np.mean(drops) == pytest.approx(mean, abs=0.04)

    hurt = replace(STILL, step_rate=0.1)
    cohort = people(hurt, 1500)
    assert np.all(np.abs(residuals(cohort, hurt, BRAIN)) < 0.03)
    lost = residuals(cohort, hurt, CORD)
    when = np.concatenate(
        [one.series.years[one.series.region == CORD] + one.offset_years for one in cohort]
    )
    # 0.1 steps a year of N(-1.5, .8) cut at 0, mean -1.51; a slope through the origin.
    assert (lost @ when) / (when @ when) == pytest.approx(-0.151, abs=0.02)
