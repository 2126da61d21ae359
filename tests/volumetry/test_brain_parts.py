"""The parts of the brain engine, each against a truth of its own."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tests.volumetry.phantoms.heads import (
    GREY,
    WHITE,
    LabelledHead,
    Pose,
    atrophy_field,
    head_draw,
    truth_of,
)
from volumetry.core.brain.change import (
    HalfwayPair,
    _band,
    _intensity_step,
    _percent,
    _shift,
    _white_core,
)
from volumetry.core.brain.grid import work_image
from volumetry.core.brain.halfway import HalfwayMap, HalfwayVisit, _mean_map
from volumetry.core.brain.pair_gates import contrast_change_check
from volumetry.core.brain.partial_volume import tissue_fractions
from volumetry.core.brain.skull import eroded, grown
from volumetry.core.brain.tissue import TissueModel, bias_field, tissue_fit
from volumetry.core.errors import NotMeasurable
from volumetry.core.types import ScanImage, Verdict


def ball(side: int, radius: float, centre: tuple[float, float, float] | None = None):
    """Return a soft ball: 1 inside, 0 outside, with a 1 mm rim."""
    middle = np.full(3, (side - 1) / 2) if centre is None else np.array(centre)
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1)
    distance = np.linalg.norm(grid - middle, axis=-1)
    return np.clip(radius - distance + 0.5, 0.0, 1.0).astype(np.float32)


def nested_brain(rng: np.random.Generator, *, side: int = 64, noise: float = 3.0):
    """Return intensities, true fractions and priors of white in grey in fluid."""
    outer, middle, inner = (ball(side, r) for r in (29.0, 22.0, 16.0))
    true = np.stack([inner, middle - inner, outer - middle])
    means = np.array([110.0, 75.0, 28.0])
    clean = np.einsum("k,kijl->ijl", means, true)
    seen = np.abs(clean + rng.normal(scale=noise, size=clean.shape)).astype(np.float32)
    priors = np.stack([ndimage.gaussian_filter(t, 2.0) for t in true]).astype(np.float32)
    return seen, true, priors, outer > 0.99


def test_tissue_means_and_bias_are_recovered_together():
    rng = np.random.default_rng(3)
    seen, _, priors, inside = nested_brain(rng)
    slope = np.linspace(-0.2, 0.2, 64, dtype=np.float32)
    biased = seen * np.exp(slope)[:, None, None]
    model = tissue_fit(biased, priors=priors, inside=inside)
    flat = biased / bias_field(model.weights, biased.shape)
    ratio = model.means / model.means[0]
    assert ratio[1] == pytest.approx(75 / 110, abs=0.02)
    assert ratio[2] == pytest.approx(28 / 110, abs=0.03)
    white = priors[0] > 0.9
    before = float(biased[white].std() / biased[white].mean())
    after = float(flat[white].std() / flat[white].mean())
    # noise alone is 3/110 = 2.7 %; the slope over the white ball adds 4 %
    assert before > 0.04
    assert after < 0.033


def test_an_image_without_tissue_contrast_is_refused_in_words():
    rng = np.random.default_rng(4)
    _, _, priors, inside = nested_brain(rng)
    grey_fog = (100 + rng.normal(scale=2.0, size=inside.shape)).astype(np.float32)
    with pytest.raises(NotMeasurable, match="T1-weighted"):
        tissue_fit(grey_fog, priors=priors, inside=inside)


def test_fractions_sum_to_one_and_volumes_survive_partial_volume():
    rng = np.random.default_rng(5)
    seen, true, priors, inside = nested_brain(rng)
    model = TissueModel(np.array([110.0, 75.0, 28.0]), np.array([3.0, 3.0, 3.0]), np.zeros(1))
    found = tissue_fractions(seen, inside=inside, priors=priors, model=model)
    assert np.allclose(found[:, inside].sum(axis=0), 1.0, atol=1e-5)
    assert np.all(found[:, ~inside] == 0)
    # a rim of one voxel holds 16 % of the inner ball: hard labels would err by several percent
    for tissue, tolerance in ((0, 0.015), (1, 0.02)):
        truth = float(true[tissue].sum())
        assert float(found[tissue].sum()) == pytest.approx(truth, rel=tolerance)


def test_growing_and_eroding_are_duals():
    rng = np.random.default_rng(6)
    mask = ndimage.gaussian_filter(rng.normal(size=(24, 24, 24)), 2) > 0.02
    assert np.array_equal(eroded(mask, 2), ~grown(~mask, 2))
    assert np.all(grown(mask, 1)[mask])


def pair_of(radius_before: float, radius_after: float) -> HalfwayPair:
    """Return a matched pair: a grey ball in fluid, of two sizes."""
    visits = []
    for radius in (radius_before, radius_after):
        part = ball(64, radius)
        values = (28 + 47 * ndimage.gaussian_filter(part, 0.6)).astype(np.float32)
        none = part * 0
        visits.append(HalfwayVisit(values, part, none, none, none, np.ones_like(part)))
    return HalfwayPair(visits[0], visits[1], fluid=(28.0, 28.0), grey=(75.0, 75.0))


def shift_percent(pair: HalfwayPair, window: tuple[float, float] = (0.05, 0.95)) -> float:
    """Return the percent change of a pair by boundary shift."""
    mask = (pair.before.parenchyma + pair.after.parenchyma) / 2 > 0.5
    moved = _shift(pair, band=_band(pair, mask), levels=(28.0, 75.0), window=window)
    size = float(pair.before.parenchyma.sum() + pair.after.parenchyma.sum()) / 2
    return _percent(moved, size)


@pytest.mark.parametrize("true_percent", [-2.0, -1.0, -0.5, 1.0])
def test_boundary_shift_reads_the_true_change_of_a_ball(true_percent):
    after = 24.0 * (1 + true_percent / 100) ** (1 / 3)
    read = shift_percent(pair_of(24.0, after))
    # the window is cut at 5 and 95 %: up to a tenth of the shift is lost by construction
    assert read == pytest.approx(true_percent, rel=0.1)


def test_swapping_the_visits_negates_the_shift():
    forward = shift_percent(pair_of(24.0, 23.9))
    backward = shift_percent(pair_of(23.9, 24.0))
    assert (1 + forward / 100) * (1 + backward / 100) == pytest.approx(1.0, abs=1e-9)


def test_intensities_are_matched_where_the_tissue_stays_the_same():
    """White matter shrinks within grey, and the scanner is 3 % brighter: 3 % is found."""
    values = [
        (75 + 25 * ndimage.gaussian_filter(ball(64, radius), 0.6)).astype(np.float32) * gain
        for radius, gain in ((20.0, np.float32(1)), (19.6, np.float32(1.03)))
    ]
    brain = ball(64, 26.0) > 0.5
    core = _white_core(brain, values, level=87.5)
    step, middle = _intensity_step(values, core)
    assert middle == pytest.approx(np.log(1.03), abs=1e-5)
    assert np.abs(step[brain] - np.log(1.03)).max() < 1e-3
    # with the border in, its move would be taken for a darker scanner
    blurred, _ = _intensity_step(values, brain)
    assert blurred[brain].mean() < np.log(1.03) - 3e-3


def test_another_contrast_at_the_second_visit_is_said_in_words():
    pair = pair_of(24.0, 24.0)
    assert contrast_change_check(pair).verdict is Verdict.PASS
    other = replace(pair, grey=(75.0, 80.0))
    check = contrast_change_check(other)
    assert check.verdict is Verdict.WARN
    assert check.value == pytest.approx(5.0)
    assert "differs by 5.0 points" in check.sentence
    assert "Another sequence" in check.sentence
    assert contrast_change_check(replace(pair, fluid=(28.0, 60.0))).verdict is Verdict.FAIL


def test_no_change_is_exactly_no_change():
    assert shift_percent(pair_of(24.0, 24.0)) == 0.0


def test_half_a_map_done_twice_is_the_whole_map():
    whole = np.eye(4)
    whole[:3, :3] = Pose(degrees=(4.0, -3.0, 5.0)).matrix()
    whole[:3, 3] = (3.0, -6.0, 2.0)
    half = HalfwayMap(whole, gap_mm=0.0, skull_scale=1.0).half()
    assert np.allclose(half @ half, whole, atol=1e-8)


def test_the_mean_of_both_directions_does_not_depend_on_their_order():
    one, other = np.eye(4), np.eye(4)
    one[:3, :3] = Pose(degrees=(4.0, -3.0, 5.0)).matrix()
    other[:3, :3] = Pose(degrees=(4.1, -3.1, 4.9)).matrix()
    other[:3, 3] = (0.1, 0.0, -0.1)
    forward = _mean_map(one, other)
    backward = _mean_map(np.linalg.inv(other), np.linalg.inv(one))
    assert np.allclose(forward @ backward, np.eye(4), atol=1e-8)


def test_flipped_axes_give_the_same_working_image():
    rng = np.random.default_rng(7)
    values = rng.uniform(1, 2, size=(12, 14, 16)).astype(np.float32)
    straight = work_image(ScanImage(values, np.diag([1.0, 1.0, 1.0, 1.0])))
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    affine[0, 3] = 11.0
    flipped = work_image(ScanImage(values[::-1], affine))
    assert np.array_equal(straight.values, flipped.values)
    assert np.allclose(straight.to_world, flipped.to_world)


def test_resampling_keeps_the_volume_of_the_field_of_view():
    values = np.ones((30, 30, 20), dtype=np.float32)
    work = work_image(ScanImage(values, np.diag([0.7, 0.7, 3.0, 1.0])))
    assert work.spacing_mm == (1.0, 1.0, 1.0)
    assert work.values.shape == (21, 21, 58)


def toy_head() -> LabelledHead:
    """Return a ball of brain (white in grey, brainstem below) in fluid inside a skull."""
    side = 72
    labels = np.zeros((side, side, side), dtype=np.int16)
    for radius, label in ((34, 515), (30, 24), (25, 3), (18, 2)):
        labels[ball(side, radius) > 0.5] = label
    labels[33:39, 33:39, 8:14] = 16
    return LabelledHead(labels)


def test_simulated_atrophy_reaches_what_was_asked_and_leaves_the_skull():
    head = toy_head()
    moved, achieved = atrophy_field(head, percent=-1.0, seed=1)
    assert achieved == pytest.approx(-1.0, abs=0.02)
    skull = head.labels == 515
    assert float(np.abs(moved[:, skull]).max()) < 0.2
    brain = np.isin(head.labels, GREY + WHITE)
    assert float(np.linalg.norm(moved[:, brain], axis=0).max()) > 0.05


def test_the_phantom_counts_what_it_draws():
    head = toy_head()
    truth = truth_of(head.labels)
    assert truth.brain_parenchyma == truth.grey_matter + truth.white_matter
    scan = head_draw(head, seed=1, pose=Pose(), noise=0.0, bias=0.0, means={
        0: 0.0, 2: 110.0, 3: 78.0, 16: 100.0, 24: 30.0, 515: 10.0})  # fmt: skip
    drawn_white = float((scan.intensities > 94).sum())
    white = float(np.isin(head.labels, (2, 16)).sum())
    assert drawn_white == pytest.approx(white, rel=0.06)
