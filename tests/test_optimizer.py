"""Promises of the optimizer: exact numbers, every rule kept, and what is believed told honestly."""

from __future__ import annotations

import itertools
import math
import resource
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from nascreen import surrogate
from nascreen.acquisition import log_expected_improvement, non_dominated, top_threshold, volume_points
from nascreen.encoding import GAPS, Encoded, encode
from nascreen.errors import RangeError, TableError
from nascreen.optimizer import outlook, propose
from nascreen.proposals import Constraint, Objective, Problem, forbid_all_but
from nascreen.surrogate import (
    CONSTANT_VARIANCE,
    JITTER,
    MAX_ITERATIONS,
    WEIGHT_MEAN,
    Array,
    GaussianProcess,
    Rows,
    TargetScale,
    default_parameters,
    descend,
    fit_parameters,
    loss,
    success_probability,
)

ACQUISITIONS = ("top_probability", "expected_improvement", "upper_bound", "thompson")


def _rows(n: int = 30, d: int = 3, seed: int = 0, *, has_prior: bool = False) -> Rows:
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 1, (n, d))
    targets = np.sin(4 * values[:, 0]) + values[:, -1] + 0.1 * rng.standard_normal(n)
    prior = rng.standard_normal(n) if has_prior else None
    return Rows(values, np.arange(d), targets, rng.uniform(0, 0.1, n), prior)


def _inputs(n: int = 80, d: int = 3, seed: int = 0) -> Encoded:
    values = np.random.default_rng(seed).uniform(0, 1, (n, d))
    return Encoded(values, np.arange(d), tuple(f"x{i}" for i in range(d)))


def _truth(inputs: Encoded) -> Array:
    return np.asarray(np.sin(3 * inputs.values[:, 0]) + inputs.values[:, 1])


def _problem(n_told: int = 15, n: int = 80, seed: int = 0) -> Problem:
    inputs = _inputs(n, seed=seed)
    told = np.random.default_rng(seed + 1).permutation(n)[:n_told]
    return Problem(inputs, (Objective("y"),), ("y",), told, _truth(inputs)[told][:, None])


def _indices(problem: Problem, n: int = 4, **options: object) -> list[int]:
    return [s.index for s in propose(problem, n, **options).suggestions]  # type: ignore[arg-type]


# ---------------------------------------------------------------- the Gaussian process


def test_mean_and_spread_equal_those_of_scikit_learn() -> None:
    rows = _rows()
    parameters = np.log([0.3, 0.9, 2.0, 1.4, 0.2])
    asked = np.random.default_rng(5).uniform(0, 1, (40, 3))
    ours = GaussianProcess(rows, parameters).posterior(asked)
    kernel = ConstantKernel(CONSTANT_VARIANCE) + ConstantKernel(1.4**2) * Matern([0.3, 0.9, 2.0], nu=1.5)
    noise = rows.noise_variance + 0.2**2 + JITTER
    theirs = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(rows.values, rows.targets)
    mean, sd = theirs.predict(asked, return_std=True)
    np.testing.assert_allclose(ours.mean, mean, atol=1e-6)
    np.testing.assert_allclose(ours.sd, sd, atol=1e-6)


@pytest.mark.parametrize("has_prior", [False, True], ids=["plain", "prior mean"])
def test_the_gradient_is_that_of_the_loss(has_prior: bool) -> None:  # noqa: FBT001
    rows = _rows(has_prior=has_prior)
    for seed in range(3):
        at = default_parameters(3) + 0.5 * np.random.default_rng(seed).standard_normal(5)
        error = check_grad(lambda p: loss(rows, p)[0], lambda p: loss(rows, p)[1], at, epsilon=1e-6)
        assert error < 1e-4 * np.linalg.norm(loss(rows, at)[1]) + 1e-4


def test_columns_of_one_group_share_a_length() -> None:
    rows = _rows()
    joined = replace(rows, groups=np.array([0, 0, 1]))
    one, two = (
        GaussianProcess(joined, np.log([0.5, 0.9, 1.0, 0.1])),
        GaussianProcess(rows, np.log([0.5, 0.5, 0.9, 1.0, 0.1])),
    )
    np.testing.assert_allclose(one.posterior(rows.values).mean, two.posterior(rows.values).mean, rtol=1e-10)


def test_the_fit_is_no_worse_than_any_of_many_other_starts() -> None:
    rows = _rows()
    best = loss(rows, fit_parameters(rows))[0]
    rng = np.random.default_rng(0)
    others = [descend(rows, default_parameters(3) + rng.standard_normal(5), MAX_ITERATIONS)[0] for _ in range(8)]
    assert best <= min(loss(rows, other)[0] for other in others) + 0.05


def test_a_precise_value_holds_the_mean_closer_than_a_vague_one() -> None:
    rows = _rows(20)
    parameters = np.log([0.5, 0.5, 0.5, 1.0, 0.02])
    gaps = []
    for variance in (1e-6, 4.0):
        noise = np.r_[variance, rows.noise_variance[1:]]
        process = GaussianProcess(replace(rows, targets=np.r_[5.0, rows.targets[1:]], noise_variance=noise), parameters)
        gaps.append(abs(process.posterior(rows.values[:1]).mean[0] - 5.0))
    assert gaps[0] < 0.1
    assert gaps[1] > 1.0


def test_replicates_narrow_the_spread_as_their_mean_with_less_noise_would() -> None:
    rows, parameters = _rows(10), np.log([0.5, 0.5, 0.5, 1.0, 0.3])
    thrice = Rows(np.repeat(rows.values, 3, axis=0), rows.groups, np.repeat(rows.targets, 3), np.zeros(30))
    once = Rows(rows.values, rows.groups, rows.targets, np.full(10, -(0.3**2) * 2 / 3))
    asked = np.random.default_rng(3).uniform(0, 1, (20, 3))
    np.testing.assert_allclose(
        GaussianProcess(thrice, parameters).posterior(asked).sd,
        GaussianProcess(once, parameters).posterior(asked).sd,
        rtol=1e-5,
    )


def test_the_weight_of_a_wrong_prior_goes_to_nothing_and_that_of_a_right_one_stays() -> None:
    right, wrong = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        values = rng.uniform(0, 1, (60, 3))
        truth = np.sin(8 * values[:, 0]) + rng.standard_normal(60)
        truth = (truth - truth.mean()) / truth.std()
        for prior, found in ((truth, right), (rng.permutation(truth), wrong)):
            rows = Rows(values, np.arange(3), truth, np.zeros(60), prior)
            found.append(GaussianProcess.fit(rows).prior_weight[0])
    np.testing.assert_allclose(right, 1.0, atol=0.01)
    assert np.abs(wrong).mean() < 0.3 * WEIGHT_MEAN


def test_what_is_learned_at_its_own_mean_narrows_the_spread_as_a_new_process_does() -> None:
    rows = _rows(has_prior=True)
    process = GaussianProcess.fit(rows)
    asked, prior = np.random.default_rng(2).uniform(0, 1, (25, 3)), np.random.default_rng(3).standard_normal(25)
    stepped = process.posterior(asked, prior).learn(4).learn(9)
    fresh = process.with_rows(asked[[4, 9]], prior[[4, 9]], np.zeros(2)).posterior(asked, prior)
    np.testing.assert_allclose(stepped.variance, fresh.variance, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(stepped.mean, fresh.mean, atol=1e-8)


def test_joint_draws_have_the_posterior_mean_and_covariance() -> None:
    posterior = GaussianProcess.fit(_rows()).posterior(_inputs(6).values)
    every = np.arange(6)
    draws = posterior.draws(every, np.random.default_rng(0).standard_normal((40_000, 6)))
    np.testing.assert_allclose(draws.mean(axis=0), posterior.mean, atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T), posterior.covariance_with(every), atol=0.02)


@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=30),
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=10),
)
@example([1.1e-308, 1.1e-308], [2.0])
def test_the_scale_of_a_target_increases_and_has_an_inverse(told: list[float], asked: list[float]) -> None:
    scale = TargetScale.of(np.array(told))
    values = np.sort(np.array(asked))
    back = scale.inverse(scale.forward(values))
    np.testing.assert_allclose(back, values, rtol=1e-6, atol=1e-6 * scale.spread)
    assert (np.diff(scale.forward(values)) >= 0).all()


def test_a_skewed_target_becomes_less_skewed_and_its_slope_is_the_derivative() -> None:
    values = np.exp(np.random.default_rng(0).standard_normal(200))
    scale = TargetScale.of(values)
    scaled = scale.forward(values)
    assert abs(np.mean(scaled**3)) < 0.3 * abs(np.mean(((values - values.mean()) / values.std()) ** 3))
    step = 1e-6
    slope = (scale.forward(values + step) - scale.forward(values - step)) / (2 * step)
    np.testing.assert_allclose(scale.slope(values), slope, rtol=1e-5)


@pytest.mark.parametrize(("told", "off", "spread"), [
    ([], 0.4, 0.5), ([-3.0], 0.4, 0.5), ([-3.0, -3.0], 0.4, 0.5 * math.sqrt(5 / 7)),
    ([-3.2, -2.8], 0.0, math.sqrt(0.53 / 7)),
])  # fmt: skip
def test_results_that_happen_to_be_alike_do_not_say_that_all_others_are(
    told: list[float], off: float, spread: float
) -> None:
    expected = np.array([-3.3, -2.7])  # of a standard deviation of 0.3
    scale = TargetScale.of(np.array(told), expected, off)
    assert scale.spread == pytest.approx(spread)
    assert scale.forward(np.array([scale.location + spread]))[0] == pytest.approx(1.0, abs=0.1)


def test_moments_in_the_unit_of_the_property_are_those_of_draws() -> None:
    scale = TargetScale.of(np.exp(np.random.default_rng(0).standard_normal(200)))
    draws = scale.inverse(0.3 + 0.5 * np.random.default_rng(1).standard_normal(400_000))
    mean, sd = scale.moments(np.array([0.3]), np.array([0.5]))
    assert mean[0] == pytest.approx(draws.mean(), rel=0.01)
    assert sd[0] == pytest.approx(draws.std(), rel=0.02)


# ---------------------------------------------------------------- acquisition functions


@pytest.mark.parametrize("z", [-300.0, -40.0, -8.0, -1.5, -0.5, 0.0, 0.7, 3.0, 30.0], ids=str)
def test_log_expected_improvement_equals_the_exact_value(z: float) -> None:
    with mpmath.workdps(60):
        x = mpmath.mpf(z)
        exact = mpmath.log(2 * (mpmath.npdf(x) + x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2))
    ours = log_expected_improvement(np.array([2 * z + 1]), np.array([2.0]), 1.0)[0]
    assert ours == pytest.approx(float(exact), rel=1e-9, abs=1e-9)


def test_log_expected_improvement_never_ends_however_far_below() -> None:
    values = log_expected_improvement(-np.logspace(0, 12, 60), np.ones(60), 0.0)
    assert np.isfinite(values).all()
    assert (np.diff(values) < 0).all()


def test_the_threshold_of_the_top_leaves_its_share_above() -> None:
    mean = np.arange(100.0)
    assert 94 < top_threshold(mean, np.full(100, 1e-6), np.ones(100), 0.05) < 95


def test_the_volume_that_nothing_dominates_equals_the_exact_one() -> None:
    front = np.array([[0.2, 0.8], [0.6, 0.5], [0.9, 0.1]])
    dominated = 0.2 * 0.8 + 0.4 * 0.5 + 0.3 * 0.1
    points, each = volume_points(front, np.zeros(2), np.ones(2), 20_000)
    assert len(points) * each == pytest.approx(1 - dominated, abs=2e-3)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_a_row_is_dominated_exactly_where_another_is_nowhere_worse(rows: list[tuple[int, int]]) -> None:
    wanted = [not any(o != r and o[0] >= r[0] and o[1] >= r[1] for o in rows) for r in rows]
    assert non_dominated(np.array(rows, dtype=float)).tolist() == wanted


# ---------------------------------------------------------------- the rules


def _ruled(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    problem = _problem(n_told=12, seed=seed)
    n = problem.n_rows
    open_rows = np.flatnonzero(problem.is_open)
    return replace(
        problem,
        failed=np.arange(12) < 3,
        values=np.where(np.arange(12)[:, None] < 3, np.nan, problem.values),
        pending=rng.choice(open_rows, 6, replace=False),
        forbidden=rng.random(n) < 0.4,
        shared=rng.integers(0, 4, n),
        distinct=rng.integers(0, 30, n),
        costs=rng.uniform(1, 3, n),
    )


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(ACQUISITIONS), st.integers(1, 6))
def test_a_batch_keeps_every_rule(seed: int, acquisition: str, n: int) -> None:
    problem = _ruled(seed)
    assert problem.forbidden is not None
    assert problem.shared is not None
    assert problem.distinct is not None
    proposal = propose(problem, n, acquisition=acquisition, seed=seed)  # type: ignore[arg-type]
    rows = [s.index for s in proposal.suggestions]
    assert len(set(rows)) == len(rows) <= n
    assert not {*rows} & {*problem.told.tolist(), *problem.pending.tolist(), *np.flatnonzero(problem.forbidden)}
    assert {int(problem.shared[row]) for row in rows} == {proposal.setting}
    assert len({int(problem.distinct[row]) for row in rows}) == len(rows)
    assert len(proposal.rules) == 7


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_the_same_history_and_seed_give_the_same_batch(acquisition: str) -> None:
    first, again = (propose(_problem(), 4, acquisition=acquisition, seed=3) for _ in range(2))  # type: ignore[arg-type]
    assert first == again


def test_no_more_is_proposed_than_is_left() -> None:
    problem = _problem(n_told=77)
    assert sorted(_indices(problem, 10)) == np.flatnonzero(problem.is_open).tolist()
    assert propose(replace(problem, forbidden=np.ones(80, dtype=bool)), 3).suggestions == ()


@pytest.mark.parametrize("goal", ["top", "best"])
def test_a_campaign_finds_most_of_the_best_rows_of_a_smooth_pool(goal: str) -> None:
    problem = _problem(n_told=5, n=120)
    truth = _truth(problem.inputs)
    for _ in range(15):
        told = np.r_[problem.told, _indices(problem, 1, goal=goal)]
        problem = replace(problem, told=told, values=truth[told][:, None])
    top = set(np.argsort(-truth)[:6].tolist())
    assert len(top & set(problem.told.tolist())) >= (5 if goal == "top" else 2)
    assert int(np.argmax(truth)) in problem.told


def test_a_pending_row_draws_the_next_one_away() -> None:
    problem = _problem(n_told=6)
    first = _indices(problem, 1, goal="best")[0]
    twin = np.vstack([problem.inputs.values, problem.inputs.values[first] + 1e-9])
    doubled = replace(problem, inputs=replace(problem.inputs, values=twin), pending=np.array([first]))
    assert len(twin) - 1 not in _indices(doubled, 1, goal="best")


@pytest.mark.parametrize("told", [15, 0], ids=["later", "first"])
def test_what_is_pending_told_failed_or_forbidden_is_never_proposed_even_if_nothing_else_is_left(told: int) -> None:
    problem = _problem(told)
    pending = np.flatnonzero(problem.is_open)[:10]
    failed = np.arange(told) < 3
    values = np.where(failed[:, None], np.nan, problem.values)
    forbidden = np.ones(80, dtype=bool)
    forbidden[[*problem.told, *pending]] = False
    left = replace(problem, values=values, failed=failed, pending=pending, forbidden=forbidden)
    assert propose(left, 5).suggestions == ()
    forbidden[79 if 79 not in {*problem.told, *pending} else 78] = False
    assert len(_indices(left, 5)) == 1


def test_results_may_be_partial_and_an_unmeasured_property_is_learned_from_the_others() -> None:
    problem = _problem()
    values = np.column_stack([problem.values[:, 0], -problem.values[:, 0]])
    values[5:, 1] = np.nan
    both = replace(problem, objectives=(Objective("a"), Objective("b")), properties=("a", "b"), values=values)
    proposal = propose(both, 3)
    assert proposal.acquisition == "volume_improvement"
    assert all({"a", "b"} == s.mean.keys() for s in proposal.suggestions)
    assert not set(_indices(both, 3)) & set(problem.told.tolist())


def test_minimising_is_maximising_the_opposite() -> None:
    problem = _problem()
    opposite = replace(problem, objectives=(Objective("y", "min"),), values=-problem.values)
    ours, theirs = propose(problem, 3).suggestions, propose(opposite, 3).suggestions
    assert [s.index for s in ours] == [s.index for s in theirs]
    assert [s.mean["y"] for s in ours] == pytest.approx([-s.mean["y"] for s in theirs])


def test_a_target_draws_towards_its_value() -> None:
    problem = replace(_problem(25), objectives=(Objective("y", "target", 0.9),))
    truth = _truth(problem.inputs)
    for goal in ("top", "best"):
        chosen = _indices(problem, 3, goal=goal)
        assert np.abs(truth[chosen] - 0.9).max() < 0.15


def test_failures_lower_the_feasibility_near_them() -> None:
    problem = _problem(n_told=30)
    failed = problem.inputs.values[problem.told, 2] > 0.5
    taught = replace(problem, failed=failed, values=np.where(failed[:, None], np.nan, problem.values))
    asked = problem.inputs.values
    chance = success_probability(asked[problem.told], problem.inputs.groups, ~failed, asked)
    assert chance[asked[:, 2] > 0.8].mean() < 0.3
    assert chance[asked[:, 2] < 0.2].mean() > 0.7
    assert all(problem.inputs.values[row, 2] < 0.6 for row in _indices(taught, 2))
    assert all(s.feasibility == 1.0 for s in propose(problem, 2).suggestions)


@pytest.mark.parametrize(
    ("lower", "upper"), [(0.6, None), (None, 0.4), (0.4, 0.6)], ids=["at least", "at most", "both"]
)
@pytest.mark.parametrize("mode", ["max", "min"])
def test_constraints_are_held_by_what_is_proposed(lower: float | None, upper: float | None, mode: str) -> None:
    problem = _problem(n_told=40)
    strength = problem.inputs.values[:, 2]
    values = np.column_stack([problem.values, strength[problem.told]])
    bound = replace(
        problem, objectives=(Objective("y", mode),), properties=("y", "s"), values=values,  # type: ignore[arg-type]
        constraints=(Constraint("s", lower, upper),),
    )  # fmt: skip
    proposal = propose(bound, 3)
    chosen = strength[[s.index for s in proposal.suggestions]]
    assert ((chosen > (lower or 0) - 0.05) & (chosen < (upper or 1) + 0.05)).all()
    assert all(s.feasibility > 0.5 for s in proposal.suggestions)


def test_a_constraint_on_a_minimised_objective_keeps_its_side() -> None:
    problem = _problem(n_told=40)
    bound = replace(problem, objectives=(Objective("y", "min"),), constraints=(Constraint("y", 1.0, None),))
    assert _truth(problem.inputs)[_indices(bound, 2)].min() > 0.9


def test_a_cheap_candidate_is_preferred_to_its_costly_twin() -> None:
    problem = _problem()
    first = _indices(problem, 1)[0]
    twins = replace(
        problem,
        inputs=replace(problem.inputs, values=np.vstack([problem.inputs.values, problem.inputs.values[first]])),
        costs=np.r_[np.where(np.arange(80) == first, 2.0, 50.0), 1.0],
    )
    assert _indices(twins, 1) == [80]


def test_a_shared_setting_is_the_one_of_most_use_together() -> None:
    problem = _problem()
    order = np.argsort(-_truth(problem.inputs))
    told = order[6::2]
    shared = np.full(80, 1)
    shared[order[0]], shared[order[1:4]] = 2, 3
    proposal = propose(replace(problem, told=told, values=_truth(problem.inputs)[told][:, None], shared=shared), 3)
    assert proposal.setting == 3


def test_values_may_be_fixed_by_forbidding_all_others() -> None:
    table = {"t": [900, 950, 900, 1000], "aid": ["a", "a", "b", "b"]}
    np.testing.assert_array_equal(forbid_all_but(table, {"t": 900, "aid": "b"}), [True, True, False, True])
    with pytest.raises(TableError, match=r"No candidate has 't = 1', fix|No candidate has 't = 1'; fix values"):
        forbid_all_but(table, {"t": 1})
    with pytest.raises(TableError, match="There is no column 'x'; the table has 't', 'aid'"):
        forbid_all_but(table, {"x": 1})


# ---------------------------------------------------------------- the first rows and the prior


def test_with_nothing_told_the_rows_fill_the_space() -> None:
    problem = replace(_problem(), told=np.empty(0, dtype=np.intp), values=np.empty((0, 1)))
    proposal = propose(problem, 8)
    assert proposal.acquisition == "space_filling"
    values = problem.inputs.values
    gaps = lambda rows: min(math.dist(values[a], values[b]) for a, b in itertools.combinations(rows, 2))  # noqa: E731
    rng = np.random.default_rng(0)
    at_random = np.mean([gaps(rng.permutation(80)[:8].tolist()) for _ in range(50)])
    assert gaps([s.index for s in proposal.suggestions]) > 2 * at_random


def test_with_nothing_told_the_prior_mean_is_followed() -> None:
    problem = replace(_problem(), told=np.empty(0, dtype=np.intp), values=np.empty((0, 1)))
    truth = _truth(problem.inputs)
    guided = replace(problem, prior_mean=truth[:, None])
    assert _indices(guided, 1) == [int(np.argmax(truth))]
    assert np.median(truth[_indices(guided, 4)]) > np.quantile(truth, 0.8)


def test_the_learned_weight_of_the_prior_is_told() -> None:
    problem = _problem(30)
    prior = _truth(problem.inputs)[:, None]
    assert propose(replace(problem, prior_mean=prior), 1).prior_weight["y"] > 0.6
    shuffled = np.random.default_rng(0).permutation(prior)
    assert abs(propose(replace(problem, prior_mean=shuffled), 1).prior_weight["y"]) < 0.2
    assert propose(problem, 1).prior_weight == {}


# ---------------------------------------------------------------- what is said of a suggestion


def test_exploration_is_none_where_all_is_known_and_all_where_nothing_is_gained_for_sure() -> None:
    problem = _problem()
    order = np.argsort(_truth(problem.inputs))
    told = np.r_[order[:70:2], order[70::4]]
    known = replace(problem, told=told, values=_truth(problem.inputs)[told][:, None])
    shares = [s.exploration_share for s in propose(known, 5).suggestions]
    assert all(0 <= share <= 1 for share in shares)
    assert shares[0] < 0.2
    few = _problem(n_told=4)
    assert max(s.exploration_share for s in propose(few, 3, goal="best").suggestions) > 0.5


def test_the_nearest_results_are_named_nearest_first() -> None:
    problem = _problem()
    (suggested,) = propose(problem, 1).suggestions
    assert len(suggested.nearest) == 3
    assert set(suggested.nearest) <= set(range(15))


def test_the_outlook_falls_as_the_pool_is_measured() -> None:
    early, late = outlook(_problem(6), 2, gain=0.1), outlook(_problem(70), 2, gain=0.1)
    assert early.expected_gain > late.expected_gain >= 0
    assert early.probability_of_gain >= late.probability_of_gain
    assert outlook(_problem(6), 4).expected_gain >= early.expected_gain


def test_the_outlook_of_a_minimum_is_that_of_the_opposite_maximum() -> None:
    problem = _problem(8)
    opposite = replace(problem, objectives=(Objective("y", "min"),), values=-problem.values)
    assert outlook(opposite, 2).best == -outlook(problem, 2).best
    assert outlook(opposite, 2).expected_gain == pytest.approx(outlook(problem, 2).expected_gain)


def test_the_probability_of_any_gain_is_calibrated_over_campaigns() -> None:
    said, came = [], []
    for seed in range(24):
        problem = _problem(8, n=40, seed=seed)
        told_best = problem.values.max()
        said.append(outlook(problem, 1, gain=0.1).probability_of_gain)
        came.append(_truth(problem.inputs).max() >= told_best + 0.1)
    assert abs(np.mean(said) - np.mean(came)) < 0.2


# ---------------------------------------------------------------- refusals


def _bad(**changes: object) -> Callable[[], Problem]:
    return lambda: replace(_problem(), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "n", "error", "message"),
    [
        (_bad(), 0, RangeError, "A batch holds 1 to 1000 experiments; got 0"),
        (_bad(objectives=()), 1, TableError, "needs at least one objective"),
        (_bad(objectives=(Objective("z"),)), 1, TableError, "There is no property 'z'; choose one of 'y'"),
        (_bad(objectives=(Objective("y", "up"),)), 1, RangeError, "is 'up'; allowed is max, min or target"),  # type: ignore[arg-type]
        (_bad(objectives=(Objective("y", "target"),)), 1, RangeError, "has a target if, and only if"),
        (_bad(constraints=(Constraint("y"),)), 1, RangeError, "constraint on 'y' has no limit"),
        (_bad(values=np.zeros((3, 1))), 1, TableError, r"'values' has the shape \(3, 1\); it must be \(15, 1\)"),
        (_bad(values=np.full((15, 1), np.inf)), 1, RangeError, "A told value is infinite"),
        (_bad(costs=np.zeros(80)), 1, RangeError, "A cost is not above 0"),
        (_bad(pending=np.array([80])), 1, RangeError, "A pending row is outside the table; allowed is 0 to 79"),
        (_bad(told=np.full(15, -1)), 1, RangeError, "A told row is outside the table"),
    ],
    ids=["n", "no objective", "property", "mode", "target", "limit", "shape", "infinite", "cost", "pending", "told"],
)
def test_what_cannot_be_answered_is_refused_in_one_sentence(
    make: Callable[[], Problem], n: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        propose(make(), n)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "The seed is -1"),
        ({"goal": "most"}, "The goal is 'most'; allowed is one of top, best"),
        ({"acquisition": "magic"}, "The acquisition is 'magic'; allowed is one of auto, top_probability"),
    ],
    ids=["seed", "goal", "acquisition"],
)
def test_options_that_do_not_exist_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(RangeError, match=message):
        propose(_problem(), 1, **options)  # type: ignore[arg-type]


def test_an_outlook_without_a_result_or_of_two_objectives_is_refused() -> None:
    problem = _problem()
    with pytest.raises(TableError, match="Nothing is told of 'y'; tell at least one result first"):
        outlook(replace(problem, values=np.full((15, 1), np.nan)), 1)
    with pytest.raises(RangeError, match="An outlook is of one objective; got 2"):
        outlook(replace(problem, objectives=(Objective("y"), Objective("y", "min"))), 1)
    with pytest.raises(RangeError, match="The gain is -1; allowed is a number from 0"):
        outlook(problem, 1, gain=-1)


# ---------------------------------------------------------------- tables


def test_any_table_becomes_numbers() -> None:
    encoded = encode(
        {
            "time": [1, 10, 1000, 1e4],
            "temp": [900, "950", None, 1000],
            "aid": ["a", "b", "a", ""],
            "same": [1, 1, 1, 1],
        }
    )
    assert encoded.names == ("time", "temp", GAPS, "aid")
    np.testing.assert_allclose(encoded.values[:, 0], [0, 0.25, 0.75, 1.0])
    np.testing.assert_allclose(encoded.values[:, 1], [0, 0.5, 0.5, 1.0])
    assert encoded.groups.tolist() == [0, 1, 2, 3, 3, 3]


def test_columns_of_unknown_numbers_count_together_as_much_as_one_column() -> None:
    encoded = encode({"a": [1, None, 3, 4], "aid": list("xyxy"), "b": [None, 2, 1, 4], "c": [None, 5, 6, 7]})
    assert encoded.names == ("a", GAPS, "aid", "b", "c")
    assert encoded.groups.tolist() == [0, 1, 2, 2, 3, 1, 4, 1]
    flags = encoded.values[:, encoded.groups == 1]
    np.testing.assert_allclose(flags.var(axis=0).sum(), 1 / 12)
    np.testing.assert_allclose(flags[0, 1], flags[0, 2])
    assert flags[1, 0] > flags[0, 0] == flags[2, 0]


def test_categories_are_equally_far_apart() -> None:
    encoded = encode({"aid": list("aabbcc")})
    gaps = {round(math.dist(a, b), 9) for a, b in itertools.combinations(encoded.values, 2)}
    assert len(gaps) == 2
    assert min(gaps) == 0


def test_a_formula_becomes_fractions_and_descriptors_each_of_unit_spread() -> None:
    encoded = encode({"formula": ["Na3Zr2Si2PO12", "Na3.4Sc0.4Zr1.6Si2PO12", "NaZr2P3O12", "Na3PS4"]})
    assert encoded.names[0] == "formula.fraction"
    assert "formula.sodium_fraction" in encoded.names
    for group in range(len(encoded.names)):
        assert encoded.values[:, encoded.groups == group].var(axis=0).sum() == pytest.approx(1 / 12)


@pytest.mark.parametrize(
    ("table", "kinds", "message"),
    [
        ({}, {}, "The table of candidates is empty"),
        ({"a": [1, 2], "b": [1]}, {}, "Column 'a' has 2 rows and column 'b' has 1"),
        ({"a": [1, 1]}, {}, "No column of the candidates varies"),
        ({"a": ["x", 1]}, {"a": "numeric"}, "Row 1 of the numeric column 'a' is 'x'; allowed is a finite number"),
        ({"a": [1, 2]}, {"b": "numeric"}, "There is no column 'b'; the table has 'a'"),
        ({"a": [1, 2]}, {"a": "date"}, "Column 'a' is said to be 'date'; allowed is one of numeric"),
        ({"a": [f"id{i}" for i in range(201)]}, {}, "has 201 different values; allowed are 200"),
    ],
    ids=["empty", "ragged", "constant", "text", "no column", "kind", "identifiers"],
)
def test_a_table_that_cannot_be_used_is_refused(
    table: dict[str, list[object]], kinds: dict[str, object], message: str
) -> None:
    with pytest.raises(TableError, match=message):
        encode(table, kinds)  # type: ignore[arg-type]


# ---------------------------------------------------------------- speed and size


def test_a_hundred_thousand_candidates_are_valued_in_pieces() -> None:
    inputs = _inputs(100_000, 6)
    told = np.arange(0, 100_000, 2500)
    truth = np.column_stack([_truth(inputs), -_truth(inputs) + inputs.values[:, 2]])
    problem = Problem(inputs, (Objective("a"), Objective("b")), ("a", "b"), told, truth[told])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(set(_indices(problem, 8))) == 8
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 300


def test_one_suggestion_among_600_after_100_results_costs_few_factorisations(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    monkeypatch.setattr(surrogate, "loss", lambda *a: counted.append(len(a[0].targets)) or loss(*a))
    propose(_problem(n_told=100, n=600), 1)
    assert 5 < len(counted) < 40
    assert set(counted) == {100}


def test_what_is_foretold_of_a_candidate_is_that_of_a_process_without_it() -> None:
    rng = np.random.default_rng(0)
    codes = np.array([0, 1, 2, 2, 3, 4, 2, 5, 5])
    values = rng.uniform(0, 1, (6, 2))[codes]
    noise = rng.uniform(0, 0.1, 9)
    rows = Rows(values, np.arange(2), rng.normal(size=9), noise, rng.normal(size=6)[codes])
    process = GaussianProcess.fit(rows)
    mean, variance = process.left_out(codes)
    for code in range(6):
        asked, rest = np.flatnonzero(codes == code), np.flatnonzero(codes != code)
        prior = rows.prior_mean[asked] if rows.prior_mean is not None else None
        without = GaussianProcess(rows.part(rest), process.parameters).posterior(values[asked], prior)
        np.testing.assert_allclose(mean[asked], without.mean, atol=1e-6)
        expected = without.variance + process.learned_noise_variance + noise[asked]
        np.testing.assert_allclose(variance[asked], expected, atol=1e-6)


def test_what_the_prior_says_is_worst_is_not_asked_first() -> None:
    rng = np.random.default_rng(0)
    inputs = encode({"x": rng.normal(size=60), "y": rng.normal(size=60)}, {"x": "numeric", "y": "numeric"})
    prior = np.linspace(-9.0, -3.0, 60)[:, None]
    nothing: dict[str, Any] = {"told": np.empty(0, dtype=np.intp), "values": np.empty((0, 1))}
    problem = Problem(inputs, (Objective("log_conductivity"),), ("log_conductivity",), prior_mean=prior, **nothing)
    chosen = propose(problem, 4, seed=0).suggestions
    assert all(prior[one.index, 0] > np.median(prior) for one in chosen)
    assert all(one.sd["log_conductivity"] < 2.0 for one in chosen)
