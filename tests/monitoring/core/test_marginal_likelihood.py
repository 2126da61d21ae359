"""The cohort objective equals its reference numbers; its gradient equals differences."""

from dataclasses import replace

import numpy as np
import pytest

from monitoring.core.errors import NotAssessable
from monitoring.core.marginal_likelihood import (
    build_cohort,
    evaluate,
    parameters_at,
    penalty,
    theta_of,
)
from monitoring.core.parameter_set import literature_defaults
from monitoring.core.priors import StepPrior
from monitoring.core.profiles import PROFILES
from monitoring.core.reference import (
    compare_parameters,
    fit_reference,
)
from monitoring.core.reference_guards import WALK_WIDENING, Holdings, guard_fit
from monitoring.core.simulation import simulate_cohort, simulate_scanners
from tests.monitoring.core.fixture import document, fixture_parameters, series_of

PRINTED = 1e-8
REFERENCE = document()["cohort_objective"]


@pytest.fixture(scope="module")
def cohort():
    series = [series_of(patient) for patient in REFERENCE["patients"]]
    return build_cohort(series, fixture_parameters())


def test_the_first_round_equals_the_reference(cohort):
    theta = theta_of(fixture_parameters())
    fit = evaluate(cohort, theta)
    first = REFERENCE["first_round"]
    assert fit.objective == pytest.approx(first["objective_without_2pi"], abs=PRINTED)
    assert fit.coefficients == pytest.approx(list(first["coefficients"].values()), abs=PRINTED)
    sd = np.sqrt(np.diag(fit.covariance))
    assert sd == pytest.approx(list(first["coefficient_posterior_sd"].values()), abs=PRINTED)
    assert penalty(theta)[0] == pytest.approx(REFERENCE["hyper_penalty"], abs=PRINTED)


def test_weights_and_second_round_equal_the_reference(cohort):
    base = fixture_parameters()
    theta = theta_of(base)
    weighted = cohort.with_weights(theta, evaluate(cohort, theta), base, 3)
    for own, expected in zip(weighted.weights(), REFERENCE["t_weights"], strict=True):
        assert own == pytest.approx([w for w in expected if w is not None], abs=PRINTED)
    fit, second = evaluate(weighted, theta), REFERENCE["second_round"]
    assert fit.objective == pytest.approx(second["objective_without_2pi"], abs=PRINTED)
    assert fit.coefficients == pytest.approx(list(second["coefficients"].values()), abs=PRINTED)


def test_the_gradient_equals_central_differences(cohort):
    theta = theta_of(fixture_parameters()) + np.linspace(-0.2, 0.2, 14)

    def value(at):
        return evaluate(cohort, at).objective + penalty(at)[0]

    gradient = evaluate(cohort, theta).gradient + penalty(theta)[1]
    for index, step in enumerate(np.eye(14) * 1e-5):
        numeric = (value(theta + step) - value(theta - step)) / 2e-5
        # Central differences of a value near 1e2 lose ten digits: 1e-16 * 1e2 / 1e-5.
        assert gradient[index] == pytest.approx(numeric, abs=1e-7)


def test_the_gradient_holds_where_patients_are_split_over_events(cohort):
    base = replace(fixture_parameters(), steps=StepPrior(-1.5, 1.0, 0.02))
    alternatives = base.alternatives()
    chances = np.zeros((cohort.patients, alternatives.onset.size))
    chances[0, 2], chances[0, 40], chances[1, 5] = 0.5, 0.3, 0.2
    split = cohort.with_events(chances, alternatives)
    theta = theta_of(base) + np.linspace(-0.2, 0.2, 14)

    shares = np.zeros(cohort.patients)
    for block in split.blocks:
        np.add.at(shares, list(block.members), block.shares)
    assert shares == pytest.approx(1.0)
    gradient = evaluate(split, theta).gradient
    for index, step in enumerate(np.eye(14) * 1e-5):
        high, low = (evaluate(split, at).objective for at in (theta + step, theta - step))
        assert gradient[index] == pytest.approx((high - low) / 2e-5, abs=1e-7)


def test_people_who_speed_up_unnoticed_do_not_widen_the_slopes_of_the_others():
    truth = replace(PROFILES["reg"], hazard=0.08, step_rate=0.0)
    patients = simulate_cohort(truth, patients=700, rng=np.random.default_rng(31))
    mixed = [one.series for one in patients if not one.is_converter][:300]
    assert 0.1 < np.mean([not o.is_stable for o in patients if not o.is_converter][:300]) < 0.5

    fit = fit_reference(mixed, base=literature_defaults(), id="mixed")

    blind = replace(literature_defaults(), steps=None)
    blind = replace(blind, change=replace(blind.change, p_from_onset=0.0, hazard_per_year=0.0))
    naive = fit_reference(mixed, base=blind, id="naive")
    # Truth: walk .15 %/yr per root year, mean cord slope -0.88 %/yr.
    assert abs(fit.fitted.slope_walk_sd[1] - 0.15) < abs(naive.fitted.slope_walk_sd[1] - 0.15)
    assert abs(fit.fitted.slope_mean[1] + 0.88) < abs(naive.fitted.slope_mean[1] + 0.88)


def test_theta_and_parameters_are_one_thing_in_two_forms():
    base = fixture_parameters()
    again = parameters_at(theta_of(base), base)
    assert again.slope_sd == pytest.approx(base.slope_sd)
    assert again.slope_correlation == pytest.approx(base.slope_correlation)
    assert np.array(again.level_cov) == pytest.approx(np.array(base.level_cov))


@pytest.fixture(scope="module")
def reference_patients():
    rng = np.random.default_rng(77)
    patients = simulate_cohort(PROFILES["base"], patients=260, rng=rng)
    return [one.series for one in patients if not one.is_converter][:200]


def test_a_fit_finds_the_simulated_truth(reference_patients):
    fit = fit_reference(reference_patients, base=literature_defaults(), id="test")
    got, truth = fit.fitted, PROFILES["base"]
    # Three standard errors at 200 patients: SD / sqrt(2 n) for SDs, more for slopes.
    assert got.error_sd == pytest.approx(truth.error_sd, rel=0.12)
    assert got.slope_mean == pytest.approx(truth.slope_mean, abs=0.15)
    assert got.slope_sd == pytest.approx(truth.slope_sd, rel=0.3)
    assert fit.gradient_norm < 0.1
    assert got.anchors_own_level


def test_other_units_and_other_starts_give_the_same_fit(reference_patients):
    base = literature_defaults()
    few = reference_patients[:80]
    here = fit_reference(few, base=base, id="a")
    litres = [replace(one, y=one.y - 100 * np.log(1000)) for one in few]
    there = fit_reference(litres, base=base, id="a")
    assert there.fitted.slope_sd == pytest.approx(here.fitted.slope_sd, rel=1e-6)
    far = fit_reference(few, base=base, id="a", start=theta_of(base) + 0.7)
    # The search stops at 1e-9 of the objective, which leaves flat directions a little loose.
    assert far.objective == pytest.approx(here.objective, abs=0.02)
    assert far.fitted.slope_sd == pytest.approx(here.fitted.slope_sd, rel=0.05)


def test_too_few_patients_are_no_reference(reference_patients):
    with pytest.raises(NotAssessable, match="at least 20 patients"):
        fit_reference(reference_patients[:10], base=literature_defaults(), id="x")


def test_a_reference_without_cord_is_none(reference_patients):
    brains = []
    for one in reference_patients[:40]:
        keep = one.region == 0
        brains.append(
            replace(
                one,
                years=one.years[keep],
                y=one.y[keep],
                region=one.region[keep],
                quality=one.quality[keep],
                epochs=tuple(e for e, k in zip(one.epochs, keep, strict=True) if k),
            )
        )
    with pytest.raises(
        NotAssessable, match="at least 10 patients with cord values on two dates; there are 0"
    ):
        fit_reference(brains, base=literature_defaults(), id="x")


def test_healthy_controls_teach_errors_and_offsets_but_never_the_patients_slopes():
    rng = np.random.default_rng(905)
    truth = PROFILES["base"]
    scanners = simulate_scanners(truth, rng=rng)
    ill = simulate_cohort(truth, patients=60, rng=rng, scanners=scanners)
    well = replace(
        truth, slope_mean=(-0.15, -0.20), slope_sd=(0.12, 0.22), slope_walk=(0.0, 0.0),
        hazard=1e-9, p_no_divergence=1.0, p_treated=0.0, step_rate=0.0,
    )  # fmt: skip
    healthy = simulate_cohort(well, patients=60, rng=rng, scanners=scanners)
    patients = [one.series for one in ill if not one.is_converter]
    controls = [one.series for one in healthy]
    base = literature_defaults()

    alone = fit_reference(patients, base=base, id="a")
    joint = fit_reference(patients, controls=controls, base=base, id="b")

    assert alone.controls == 0
    assert joint.controls >= 55  # one or two had a single date
    assert joint.patients == alone.patients
    # The controls' own slopes come out beside the patients', who keep theirs. Upgrades that all
    # share move a mean slope: offsets of 1.5 % over ten years are 0.15 %/yr.
    assert joint.control_slopes == pytest.approx((-0.15, -0.20), abs=0.3)
    assert joint.fitted.slope_mean == pytest.approx(alone.fitted.slope_mean, abs=0.15)
    assert joint.fitted.slope_sd == pytest.approx(alone.fitted.slope_sd, rel=0.15)
    # Twice as many people on the same scanners: the offsets are known better.
    names = alone.parameters.epochs.names
    known = {n: i for i, n in enumerate(joint.parameters.epochs.names)}
    before = np.diag(np.array(alone.parameters.epochs.covariance))[: len(names)]
    after = np.diag(np.array(joint.parameters.epochs.covariance))
    assert np.mean([after[known[name]] for name in names]) < 0.8 * before.mean()


def test_narrow_priors_are_widened_and_that_is_said():
    base = literature_defaults()
    narrow = replace(base, slope_sd=(0.05, 0.30), error_sd=(0.5, 0.3))
    many = Holdings(followed=(300, 300), treated=100)
    guarded, words = guard_fit(narrow, base=base, holdings=many)
    assert guarded.slope_sd == (0.15, 0.35)
    assert guarded.error_sd == (0.5, 0.40)
    assert guarded.slope_walk_sd[1] == pytest.approx(WALK_WIDENING * base.slope_walk_sd[1])
    assert sum("too narrow a prior" in word for word in words) == 3
    few, _ = guard_fit(narrow, base=base, holdings=Holdings(followed=(300, 30), treated=0))
    assert few.slope_sd == (0.15, base.slope_sd[1])


def test_what_a_reference_cannot_teach_is_kept(reference_patients):
    """Nobody is treated: the fit's own prior of the dip, 0, must not pass for a finding."""
    base = literature_defaults()
    untreated = [replace(one, therapy_years=None) for one in reference_patients[:60]]
    fit = fit_reference(untreated, base=base, id="new")
    assert fit.parameters.pseudo_atrophy_mean == base.pseudo_atrophy_mean
    assert fit.parameters.pseudo_atrophy_sd == base.pseudo_atrophy_sd
    assert any(guard.startswith("Pseudo-atrophy kept: 0 patients") for guard in fit.guards)
    treated = fit_reference(reference_patients[:60], base=base, id="new")
    assert treated.parameters.pseudo_atrophy_mean != base.pseudo_atrophy_mean


@pytest.mark.parametrize("region", ["brain", "cord"])
def test_one_patient_in_another_unit_spoils_no_fit(reference_patients, region):
    patients = list(reference_patients[:40])
    odd = patients[3]
    shift = np.where(odd.region == ("brain", "cord").index(region), 100 * np.log(10), 0)
    patients[3] = replace(odd, y=odd.y + shift)
    with pytest.raises(NotAssessable, match=f"{region} values of 1 of 40 people differ"):
        fit_reference(patients, base=literature_defaults(), id="x")


def test_old_and_new_stand_side_by_side(reference_patients):
    base = literature_defaults()
    fit = fit_reference(reference_patients[:60], base=base, id="new")
    rows = {row.name: row for row in compare_parameters(base, fit.parameters)}
    assert rows["cord mean slope"].old == -0.88
    assert rows["cord mean slope"].new == fit.parameters.slope_mean[1]
    assert "cord offset of E0" in rows
