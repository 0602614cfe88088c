"""Promises of what is believed: honest spreads from few values, wrong priors dropped, trees where a table jumps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nascreen.beliefs import MAX_WIDENING, MIN_FOR_TREES, Array, Belief, Model, model_of, widening
from nascreen.encoding import Encoded
from nascreen.optimizer import propose
from nascreen.proposals import Objective, Problem
from nascreen.surrogate import SPREAD_KNOWN, GaussianProcess, Rows, TargetScale
from nascreen.trees import Forest


def _smooth(values: Array, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    slopes, phase = 3 * rng.standard_normal(values.shape[1]), rng.random()
    return np.asarray(50 + 20 * np.sin(values @ slopes + phase))


def _steps(values: Array, seed: int) -> Array:
    cuts = np.random.default_rng(seed).uniform(0.3, 0.7, 2)
    return np.asarray(np.where(values[:, 0] > cuts[0], 2.0, 0.0) + np.where(values[:, 1] > cuts[1], 1.0, 0.0))


def _problem(n_told: int, seed: int, truth: Array, values: Array) -> Problem:
    told = np.random.default_rng(seed + 1).permutation(len(values))[:n_told]
    names = tuple(f"x{i}" for i in range(values.shape[1]))
    return Problem(
        Encoded(values, np.arange(values.shape[1]), names), (Objective("y"),), ("y",), told, truth[told, None]
    )


def _table(seed: int, n: int = 120, d: int = 3) -> Array:
    return np.asarray(np.random.default_rng(seed).uniform(0, 1, (n, d)))


def _covered(model: Model, problem: Problem, truth: Array) -> float:
    rows = np.flatnonzero(problem.is_open)
    belief = model.belief(problem.inputs, rows)
    reach = 1.645 * belief.sd
    low, high = model.scale.inverse(belief.mean - reach), model.scale.inverse(belief.mean + reach)
    return float(np.mean((truth[rows] >= low) & (truth[rows] <= high)))


# ---------------------------------------------------------------- honest spreads


@pytest.mark.parametrize("n_told", [1, 2, 3, 5, 8, 20], ids=lambda n: f"{n} told")
def test_intervals_of_90_percent_hold_the_truth_from_the_first_value_on(n_told: int) -> None:
    shares = []
    for seed in range(16):
        values = _table(seed)
        truth = _smooth(values, seed)
        problem = _problem(n_told, seed, truth, values)
        shares.append(_covered(model_of(problem, "y"), problem, truth))
    assert np.mean(shares) > 0.8


def test_the_spread_of_one_value_follows_its_unit() -> None:
    values = _table(0)
    problem = _problem(1, 0, _smooth(values, 0), values)
    in_gpa, in_mpa = (replace(problem, values=factor * problem.values) for factor in (0.001, 1.0))
    one, other = (propose(p, 1).suggestions[0].sd["y"] for p in (in_gpa, in_mpa))
    assert other == pytest.approx(1000 * one)


def test_a_spread_is_widened_less_the_more_is_told() -> None:
    each = [widening(n) for n in (1, 2, 3, 5, 10, 50, 1000)]
    assert each == sorted(each, reverse=True)
    assert each[0] == 12.0
    assert each[-1] == pytest.approx(1.0, abs=0.01)
    assert widening(2, 2.0) < widening(2)


def test_the_first_result_leaves_a_literature_prior_within_twice_its_spread() -> None:
    assert widening(1) == MAX_WIDENING
    assert 1 < widening(1, SPREAD_KNOWN) < 2


@pytest.mark.parametrize("seed", range(3))
def test_a_common_widening_does_not_change_what_is_chosen(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = _table(seed)
    problem = _problem(6, seed, _smooth(values, seed), values)
    monkeypatch.setattr("nascreen.beliefs.widening", lambda *_: 8.0)
    wide = propose(problem, 4)
    monkeypatch.setattr("nascreen.beliefs.widening", lambda *_: 1.0)
    narrow = propose(problem, 4)
    assert [s.index for s in wide.suggestions] == [s.index for s in narrow.suggestions]
    assert all(a.sd["y"] > b.sd["y"] for a, b in zip(wide.suggestions, narrow.suggestions, strict=True))


# ---------------------------------------------------------------- priors


def test_a_wrong_prior_is_dropped_and_a_right_one_kept() -> None:
    kept = {}
    for name in ("right", "shuffled"):
        weights = []
        for seed in range(6):
            values = _table(seed)
            truth = _smooth(values, seed)
            prior = truth if name == "right" else np.random.default_rng(seed).permutation(truth)
            problem = replace(_problem(12, seed, truth, values), prior_mean=prior[:, None])
            weights.append(model_of(problem, "y").prior_weight)
        kept[name] = float(np.mean(weights))
    assert kept["right"] > 0.6
    assert abs(kept["shuffled"]) < 0.15


@pytest.mark.parametrize("n_told", [1, 2, 4], ids=lambda n: f"{n} told")
def test_a_prior_that_jumps_between_like_rows_is_hardly_followed_from_the_start(n_told: int) -> None:
    weights: dict[str, list[float]] = {"smooth": [], "shuffled": []}
    for seed in range(4):
        values = _table(seed)
        smooth = _smooth(values, seed + 100)
        for name, prior in (("smooth", smooth), ("shuffled", np.random.default_rng(seed).permutation(smooth))):
            problem = replace(_problem(n_told, seed, _smooth(values, seed), values), prior_mean=prior[:, None])
            weights[name].append(model_of(problem, "y").weights[0])
    assert np.mean(weights["shuffled"]) < 0.1
    assert np.mean(weights["smooth"]) > 0.4


def test_a_prior_that_is_the_same_everywhere_is_no_reason_to_stop() -> None:
    values = _table(0)
    problem = replace(_problem(6, 0, _smooth(values, 0), values), prior_mean=np.full((len(values), 1), 50.0))
    assert np.isfinite(model_of(problem, "y").weights).all()


def test_the_odds_of_two_processes_add_up_to_one_and_the_first_has_the_prior() -> None:
    values = _table(2)
    truth = _smooth(values, 2)
    model = model_of(replace(_problem(5, 2, truth, values), prior_mean=truth[:, None]), "y")
    assert sum(model.weights) == pytest.approx(1.0)
    assert [p.rows.prior_mean is None for p in model.processes] == [False, True]


# ---------------------------------------------------------------- the average


def _average(seed: int = 0) -> Belief:
    values = _table(seed, 40)
    targets = TargetScale.of(_smooth(values, seed)).forward(_smooth(values, seed))[:15]
    process = GaussianProcess.fit(Rows(values[:15], np.arange(3), targets, np.zeros(15)))
    forest = Forest.fit(values[:15], targets)
    asked = values[15:]
    return Belief.of((process.posterior(asked), forest.posterior(asked)), (0.6, 0.4), 0.01, 2.0)


def test_mean_and_covariance_of_an_average_are_those_of_the_mixture() -> None:
    belief = _average()
    rng = np.random.default_rng(1)
    process, forest = belief.sources
    covariance = process.covariance_with(np.arange(25))
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(25))
    smooth = process.mean + rng.standard_normal((60_000, 25)) @ root.T
    jumping = forest.each[rng.integers(0, len(forest.each), 60_000)]  # type: ignore[attr-defined]
    draws = np.where(rng.random((60_000, 1)) < 0.6, smooth, jumping)
    np.testing.assert_allclose(belief.mean, draws.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(belief.covariance_with(np.arange(25)), 2.0 * np.cov(draws.T), atol=0.05)
    np.testing.assert_allclose(belief.covariance_with(np.arange(25)).diagonal(), belief.variance, rtol=1e-9)


def test_learning_together_narrows_as_learning_one_by_one() -> None:
    belief = _average()
    together = belief.learn(np.array([3, 7]))
    by_one = belief.learn(np.array([3])).learn(np.array([7]))
    np.testing.assert_allclose(together.variance, by_one.variance, rtol=1e-6)
    assert (together.variance <= belief.variance + 1e-12).all()
    np.testing.assert_allclose(
        together.first(5).covariance_with(np.arange(5)), together.covariance_with(np.arange(5))[:5]
    )


def test_draws_have_the_mean_and_covariance_of_the_belief() -> None:
    belief = _average().first(6)
    draws = belief.draws(np.random.default_rng(0).standard_normal((100_000, 6)))
    np.testing.assert_allclose(draws.mean(axis=0), belief.mean, atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T), belief.covariance_with(np.arange(6)), atol=0.03)


# ---------------------------------------------------------------- trees


def test_a_forest_counts_where_a_table_jumps_and_not_where_it_is_smooth() -> None:
    share = {}
    for name, make in (("steps", _steps), ("smooth", _smooth)):
        found = []
        for seed in range(4):
            values = _table(seed, d=6)
            model = model_of(_problem(40, seed, make(values, seed), values), "y")
            found.append(model.weights[-1] if model.forest is not None else 0.0)
        share[name] = float(np.mean(found))
    assert share["smooth"] < 0.1
    assert share["steps"] > 2 * share["smooth"] + 0.1


def test_a_forest_is_not_asked_of_too_few() -> None:
    values = _table(0)
    truth = _steps(values, 0)
    told = np.repeat(np.arange(MIN_FOR_TREES - 1), 3)
    problem = replace(_problem(5, 0, truth, values), told=told, values=truth[told, None])
    assert model_of(problem, "y").forest is None


def test_the_same_rows_and_seed_give_the_same_forest() -> None:
    values = _table(0)
    one, other = (Forest.fit(values[:30], _steps(values, 0)[:30], seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.each(values), other.each(values))
    assert not np.array_equal(one.each(values), Forest.fit(values[:30], _steps(values, 0)[:30], seed=4).each(values))


def test_a_forest_foretells_steps_from_rows_that_it_was_not_taught() -> None:
    values = _table(0, 400)
    truth = _steps(values, 0)
    forest = Forest.fit(values[:200], truth[:200])
    error = forest.posterior(values[200:]).mean - truth[200:]
    assert np.sqrt(np.mean(error**2)) < 0.4 * truth.std()


def test_a_forest_of_one_value_everywhere_is_that_value() -> None:
    forest = Forest.fit(_table(0, 10), np.full(10, 0.7))
    np.testing.assert_allclose(forest.each(_table(1, 5)), 0.7)
    assert np.isfinite(forest.noise_variance)
