r"""Which candidates to measure next: from what is told to suggestions, without any state.

Each property has a Gaussian process of its own (`nascreen.surrogate`), so that a result may hold some properties and
not others. A candidate is worth the logarithm of its expected use,

    log utility = log gain + Σ log P(constraint holds) + log P(the sample succeeds) - log cost

where the gain depends on what the campaign asks for:

    top    many good ones: the probability of being among the best share of all candidates
    best   the one best: expected improvement over the best told
    several objectives: expected gain of dominated volume, ∫ Π_k P(f_k > u_k) du over the points u that nothing
           told dominates, by quasi-Monte-Carlo

A batch is chosen greedily; each choice, and whatever is pending, counts as measured at its own posterior mean
(T. Desautels, A. Krause and J. W. Burdick, J. Mach. Learn. Res. 15, 3873 (2014)). The same problem and seed give the
same proposal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from nascreen.acquisition import log_expected_improvement, non_dominated, top_threshold, volume_points
from nascreen.beliefs import Belief, Beliefs, Model, beliefs_of, model_of, pending_of
from nascreen.errors import IntegrityError, RangeError, TableError, shown
from nascreen.proposals import (
    Acquisition,
    Constraint,
    Goal,
    Objective,
    Outlook,
    Problem,
    Proposal,
    Suggested,
    check_problem,
)

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Flags = NDArray[np.bool_]

TOP_SHARE = 0.05
UPPER_BOUND_WIDTH = 1.0
CHUNK = 4096
SHORTLIST = 1024
"""Candidates among which a batch is chosen: those of largest utility alone, which a batch can only lower."""

N_DRAWS = 1024
N_SETTINGS = 12
"""Shared settings that are tried with a whole batch: those whose best candidates are worth most alone."""

N_NEAREST = 3
LOWEST_LOG = -700.0


# ---------------------------------------------------------------- what a row is worth


def _log_between(mean: Array, sd: Array, lower: float, upper: float) -> Array:
    """Return the logarithm of the probability of lying between two limits, shape (m,)."""
    if upper == np.inf:
        return np.asarray(log_ndtr((mean - lower) / sd))
    if lower == -np.inf:
        return np.asarray(log_ndtr((upper - mean) / sd))
    # In the lower tail, a difference of probabilities keeps its digits.
    flip = np.where(mean < lower, -1.0, 1.0)
    ends = ndtr(flip * (lower - mean) / sd), ndtr(flip * (upper - mean) / sd)
    return np.asarray(np.log(np.maximum(np.abs(ends[1] - ends[0]), 1e-300)))


def _heavier_tail(log_probability: Array) -> Array:
    """Return log probabilities in the same order, but falling like a logarithm below 3 standard deviations.

    Nobody can tell a chance of 1e-50 from one of 1e-90; feasibility and cost decide between two such rows.
    """
    knee = -6.6
    deep = np.sqrt(np.maximum(-2 * log_probability, 0)) - np.sqrt(-2 * knee)
    return np.asarray(np.where(log_probability < knee, knee - np.log1p(np.maximum(deep, 0)), log_probability))


def _limits(model: Model, constraint: Constraint) -> tuple[float, float]:
    lower = -np.inf if constraint.lower is None else constraint.lower
    upper = np.inf if constraint.upper is None else constraint.upper
    low, high = sorted((model.scaled(lower), model.scaled(upper)))
    return low, high


@dataclass(frozen=True, eq=False)
class _Merit:
    """An objective on the scale of its model: the higher the merit, the better.

    Attributes:
        name: The property.
        target: Where the merit is largest; None where more is better.
    """

    name: str
    target: float | None

    def of(self, values: Array) -> Array:
        return values if self.target is None else -np.abs(values - self.target)

    def log_survival(self, beliefs: Beliefs, threshold: float) -> Array:
        """Return the logarithm of the probability of a merit above a threshold, shape (m,)."""
        mean, sd = beliefs.mean[self.name], beliefs.sd[self.name]
        if self.target is None:
            return np.asarray(log_ndtr((mean - threshold) / sd))
        reach = max(-threshold, 1e-6)
        return _log_between(mean, sd, self.target - reach, self.target + reach)

    def log_excess(self, beliefs: Beliefs, threshold: float) -> Array:
        """Return the logarithm of the expected merit beyond a threshold, shape (m,)."""
        mean, sd = beliefs.mean[self.name], beliefs.sd[self.name]
        if self.target is None:
            return log_expected_improvement(mean, sd, threshold)
        nodes, weights = np.polynomial.legendre.leggauss(32)
        reach = max(-threshold, 1e-6)
        levels = -reach + 0.5 * reach * (nodes + 1)
        chances = np.stack([np.exp(self.log_survival(beliefs, level)) for level in levels])
        return np.asarray(np.log(np.maximum(0.5 * reach * weights @ chances, 1e-300)))


class _Worth:
    """Values rows by what the campaign asks for."""

    def __init__(self, problem: Problem, acquisition: str) -> None:
        """Fit every model, and set the values to beat."""
        self.problem = problem
        names = dict.fromkeys([*(o.name for o in problem.objectives), *(c.name for c in problem.constraints)])
        self.told = {name: model_of(problem, name) for name in names}
        self.wanted = frozenset(o.name for o in problem.objectives)
        # That a constraint will be measured elsewhere makes it no likelier to hold here. Spreads are widened for what
        # is told of a row, not for which is chosen: a common factor would only draw towards what is unknown.
        self.models = {
            name: replace(model, pending=pending_of(problem, name), widening=1.0) if name in self.wanted else model
            for name, model in self.told.items()
        }
        self.merits = [
            _Merit(o.name, None if o.target is None else self.told[o.name].scaled(o.target)) for o in problem.objectives
        ]
        self.acquisition = acquisition
        self.candidates = beliefs_of(problem, self.models, np.flatnonzero(problem.is_open))
        columns = [problem.properties.index(o.name) for o in problem.objectives]
        is_measured = ~np.isnan(problem.values[:, columns]).all(axis=1) & ~problem.is_failed
        self.measured = beliefs_of(problem, self.told, np.unique(problem.told[is_measured]))
        self._set_thresholds()

    def log_feasibility(self, beliefs: Beliefs) -> Array:
        """Return the logarithm of the probability that a sample succeeds and holds every constraint, shape (m,)."""
        total = np.log(np.maximum(beliefs.success, 1e-12))
        for constraint in self.problem.constraints:
            low, high = _limits(self.told[constraint.name], constraint)
            total = total + _log_between(beliefs.mean[constraint.name], beliefs.sd[constraint.name], low, high)
        return np.asarray(total)

    def _set_thresholds(self) -> None:
        """Set the best told, the threshold of the top, and the points that no told row dominates."""
        measured, candidates = self.measured, self.candidates
        holds = self.log_feasibility(replace(measured, success=np.ones(len(measured.rows)))) > np.log(0.5)
        told = np.stack([m.of(measured.mean[m.name]) for m in self.merits], axis=1)
        self.front = told[holds][non_dominated(told[holds])] if holds.any() else np.empty((0, len(self.merits)))
        self.best = float(told[holds, 0].max()) if holds.any() else None
        if len(self.merits) == 1:
            self.threshold = self._threshold_of_top(told[:, 0]) if len(candidates.rows) else 0.0
            return
        means = np.stack([m.of(candidates.mean[m.name]) for m in self.merits], axis=1)
        sds = np.stack([candidates.sd[m.name] for m in self.merits], axis=1)
        every = np.vstack([told, means])
        self.corners = every.min(axis=0) - 0.1, np.maximum(every.max(axis=0), (means + 2 * sds).max(axis=0)) + 0.1
        self._set_points()

    def _set_points(self) -> None:
        self.points, self.volume = volume_points(self.front, *self.corners)

    def _threshold_of_top(self, told: Array) -> float:
        merit, candidates = self.merits[0], self.candidates
        # A told row counts as what it is believed to be, without spread.
        mean = np.r_[merit.of(candidates.mean[merit.name]), told]
        sd = np.r_[candidates.sd[merit.name], np.full(len(told), 1e-6)]
        weights = np.exp(np.r_[self.log_feasibility(candidates), self.log_feasibility(self.measured)])
        return top_threshold(mean, sd, weights, TOP_SHARE)

    def log_utility(self, beliefs: Beliefs) -> Array:
        """Return the logarithm of the expected use of each row per cost, shape (m,)."""
        total = self._log_gain(beliefs) + self.log_feasibility(beliefs)
        if self.problem.costs is not None:
            total = total - np.log(self.problem.costs[beliefs.rows])
        return np.asarray(np.maximum(total, LOWEST_LOG * 1e3))

    def _log_gain(self, beliefs: Beliefs) -> Array:
        if len(self.merits) > 1:
            return self._log_volume_gain(beliefs)
        merit = self.merits[0]
        if self.acquisition == "upper_bound":
            return merit.of(beliefs.mean[merit.name]) + UPPER_BOUND_WIDTH * beliefs.sd[merit.name]
        if self.acquisition == "expected_improvement" and self.best is not None:
            return merit.log_excess(beliefs, self.best)
        return _heavier_tail(merit.log_survival(beliefs, self.threshold))

    def _log_volume_gain(self, beliefs: Beliefs) -> Array:
        total = np.zeros(len(beliefs.rows))
        for start in range(0, len(total), CHUNK):
            part = slice(start, start + CHUNK)
            chance = np.ones((len(total[part]), len(self.points)))
            for k, merit in enumerate(self.merits):
                chance *= self._survivals(beliefs.mean[merit.name][part], beliefs.sd[merit.name][part], merit, k)
            total[part] = chance.sum(axis=1) * self.volume
        return np.asarray(np.log(np.maximum(total, 1e-300)))

    def _survivals(self, mean: Array, sd: Array, merit: _Merit, k: int) -> Array:
        """Return the probability of a merit above that of each point, shape (m, n_points)."""
        levels = self.points[:, k][None]
        mean, sd = mean[:, None], sd[:, None]
        if merit.target is None:
            return np.asarray(ndtr((mean - levels) / sd))
        reach = np.maximum(-levels, 0)
        return np.asarray(ndtr((merit.target + reach - mean) / sd) - ndtr((merit.target - reach - mean) / sd))

    @property
    def state(self) -> tuple[float | None, Array]:
        """What `believe_measured` changes: the best and the front."""
        return self.best, self.front

    def restore(self, state: tuple[float | None, Array]) -> None:
        """Go back to an earlier state."""
        self.best, self.front = state
        if len(self.merits) > 1:
            self._set_points()

    def believe_measured(self, beliefs: Beliefs, place: int) -> None:
        """Count a chosen row as measured at its own mean, where the gain of the next one depends on it."""
        reached = np.array([float(m.of(beliefs.mean[m.name][place : place + 1])[0]) for m in self.merits])
        if len(self.merits) > 1:
            self.front = np.vstack([self.front, reached])
            self._set_points()
        elif self.best is not None:
            self.best = max(self.best, float(reached[0]))

    def exploration_share(self, beliefs: Beliefs) -> Array:
        """Return the share of the expected gain that is owed to uncertainty, shape (m,)."""
        certain = replace(beliefs, sd={name: np.full_like(sd, 1e-9) for name, sd in beliefs.sd.items()})
        if len(self.merits) > 1:
            ratio = self._log_volume_gain(certain) - self._log_volume_gain(beliefs)
            return np.asarray(np.clip(1 - np.exp(np.minimum(ratio, 0)), 0, 1))
        merit = self.merits[0]
        is_improvement = self.acquisition == "expected_improvement" and self.best is not None
        beaten = float(self.best) if is_improvement and self.best is not None else self.threshold
        sure = np.maximum(merit.of(beliefs.mean[merit.name]) - beaten, 0)
        expected = np.exp(merit.log_excess(beliefs, beaten))
        return np.asarray(np.clip(1 - sure / np.maximum(expected, 1e-300), 0, 1))


# ---------------------------------------------------------------- a batch


@dataclass(eq=False)
class _Batch:
    """A batch in the making over a shortlist: every choice narrows what is believed of the others."""

    worth: _Worth
    beliefs: Beliefs
    is_free: Flags
    chosen: list[int] = field(default_factory=list)
    utilities: list[float] = field(default_factory=list)
    n_learned: int = 0

    @classmethod
    def over(cls, worth: _Worth, places: Index) -> _Batch:
        return cls(worth, worth.candidates[places], np.ones(len(places), dtype=bool))

    @cached_property
    def posteriors(self) -> dict[str, Belief]:
        """What is believed of the shortlist together, from what is told and what was learned of those chosen."""
        inputs = self.worth.problem.inputs
        return {name: model.belief(inputs, self.beliefs.rows) for name, model in self.worth.models.items()}

    def current(self) -> Beliefs:
        """Return what is believed once those chosen are measured; one choice alone never asks."""
        if not self.chosen:
            return self.beliefs
        for place in self.chosen[self.n_learned :]:
            for name in self.worth.wanted:
                self.posteriors[name] = self.posteriors[name].learn(np.array([place]))
        self.n_learned = len(self.chosen)
        return replace(self.beliefs, sd={name: p.sd for name, p in self.posteriors.items()})

    def fill(self, n: int, value: Callable[[Beliefs], Array]) -> None:
        """Choose up to n rows, each the best of those that are left."""
        while len(self.chosen) < n and self.is_free.any():
            utility = np.where(self.is_free, value(self.current()), -np.inf)
            self.choose(int(np.argmax(utility)), float(utility.max()))

    def choose(self, place: int, utility: float) -> None:
        self.chosen.append(place)
        self.utilities.append(utility)
        self.is_free[place] = False
        distinct = self.worth.problem.distinct
        if distinct is not None:
            codes = distinct[self.beliefs.rows]
            self.is_free &= codes != codes[place]
        self.worth.believe_measured(self.beliefs, place)


def _shortlist(utility: Array, size: int) -> Index:
    """Return the places of largest utility in the order of the table; ties go to the earlier row."""
    order = np.argsort(-utility, kind="stable")[:size]
    return np.asarray(np.sort(order))


def _choose(worth: _Worth, n: int, places: Index, rng: np.random.Generator) -> _Batch:
    utility = worth.log_utility(worth.candidates[places])
    batch = _Batch.over(worth, places[_shortlist(utility, max(SHORTLIST, 4 * n))])
    if worth.acquisition == "thompson":
        feasible = worth.log_feasibility(batch.beliefs)
        for _ in range(n):
            draw = _one_draw(worth, batch, rng) + feasible
            if batch.is_free.any():
                batch.choose(int(np.argmax(np.where(batch.is_free, draw, -np.inf))), float(draw.max()))
    else:
        batch.fill(n, worth.log_utility)
    return batch


def _one_draw(worth: _Worth, batch: _Batch, rng: np.random.Generator) -> Array:
    """Return one joint draw of the merit of the shortlist, of several by random weights."""
    n = len(batch.beliefs.rows)
    batch.current()
    draws = np.stack([m.of(batch.posteriors[m.name].draws(rng.standard_normal((1, n)))[0]) for m in worth.merits])
    weights = rng.dirichlet(np.ones(len(draws)))[:, None]
    return np.asarray(draws[0] if len(draws) == 1 else (weights * draws).min(axis=0) + 0.05 * (weights * draws).sum(0))


def _best_setting(worth: _Worth, shared: Index, n: int, rng: np.random.Generator) -> tuple[_Batch, int]:
    """Return the batch of the shared setting whose members are expected to be of most use together."""
    codes = shared[worth.candidates.rows]
    utility = worth.log_utility(worth.candidates)
    alone = {int(code): np.sort(utility[codes == code])[-n:] for code in np.unique(codes)}
    order = sorted(alone, key=lambda code: (-_total(alone[code]), code))[:N_SETTINGS]
    kept = worth.state
    batches = []
    for code in order:
        batches.append(_choose(worth, n, np.flatnonzero(codes == code), rng))
        worth.restore(kept)
    totals = [_total(np.array(batch.utilities)) for batch in batches]
    best = int(np.argmax(totals))
    return batches[best], order[best]


def _total(log_utilities: Array) -> float:
    """Return the logarithm of a sum of utilities."""
    return float(np.logaddexp.reduce(log_utilities))


# ---------------------------------------------------------------- a proposal


def propose(
    problem: Problem, n: int = 1, *, goal: Goal = "top", acquisition: Acquisition = "auto", seed: int = 0
) -> Proposal:
    """Return the rows to measure next.

    Args:
        problem: The campaign.
        n: How many, 1 to 1000.
        goal: ``top`` for many good ones, ``best`` for the one best.
        acquisition: By what to choose; ``auto`` follows the goal and the number of objectives.
        seed: Seed of whatever is drawn.

    Returns:
        The proposal; empty where no row may be proposed.

    Raises:
        RangeError: If a number is out of range.
        TableError: If the arrays do not fit each other, or a name is not a property.
        IntegrityError: If a suggestion broke a rule, which would be a defect.
    """
    check_problem(problem, n, seed)
    for what, value, allowed in (("goal", goal, get_args(Goal)), ("acquisition", acquisition, get_args(Acquisition))):
        if value not in allowed:
            raise RangeError(f"The {what} is {shown(value)}; allowed is one of {', '.join(allowed)}.")
    rng = np.random.default_rng(seed)
    if not problem.is_open.any():
        return Proposal((), acquisition, None, {}, ())
    if _knows_nothing(problem):
        rows = _space_filling(problem, n)
        spread = Proposal(tuple(map(_unknown, rows)), "space_filling", _setting_of(problem, rows), {}, ())
        return _checked(problem, spread)
    worth = _Worth(problem, _acquisition(problem, goal, acquisition))
    start = worth.state
    if problem.shared is None:
        batch, setting = _choose(worth, n, np.arange(len(worth.candidates.rows)), rng), None
    else:
        batch, setting = _best_setting(worth, problem.shared, n, rng)
    worth.restore(start)
    weights = {name: model.prior_weight for name, model in worth.told.items() if model.prior is not None}
    return _checked(problem, Proposal(_described(worth, batch, rng), worth.acquisition, setting, weights, ()))


def _acquisition(problem: Problem, goal: Goal, acquisition: Acquisition) -> str:
    if acquisition == "thompson":
        return acquisition
    if len(problem.objectives) > 1:
        return "volume_improvement"
    if acquisition != "auto":
        return acquisition
    return "top_probability" if goal == "top" else "expected_improvement"


def _described(worth: _Worth, batch: _Batch, rng: np.random.Generator) -> tuple[Suggested, ...]:
    """Return the chosen rows with what is believed of them from what is told alone."""
    beliefs = beliefs_of(worth.problem, worth.told, batch.beliefs.rows[batch.chosen])
    moments = {name: model.moments(beliefs.mean[name], beliefs.sd[name]) for name, model in worth.told.items()}
    improves = _improvement_probability(worth, beliefs, rng)
    feasible = np.exp(worth.log_feasibility(beliefs))
    explores = worth.exploration_share(beliefs)
    nearest = _nearest(worth, beliefs.rows)
    return tuple(
        Suggested(
            int(row),
            {name: float(mean[i]) for name, (mean, _) in moments.items()},
            {name: float(sd[i]) for name, (_, sd) in moments.items()},
            float(improves[i]), float(feasible[i]), float(explores[i]), batch.utilities[i], nearest[i],
        )
        for i, row in enumerate(beliefs.rows)
    )  # fmt: skip


def _places(sorted_rows: Index, rows: Index) -> Index:
    return np.asarray(np.searchsorted(sorted_rows, rows))


def _improvement_probability(worth: _Worth, beliefs: Beliefs, rng: np.random.Generator) -> Array:
    if not len(worth.front):
        return np.ones(len(beliefs.rows))
    if len(worth.merits) == 1:
        return np.exp(worth.merits[0].log_survival(beliefs, float(worth.front.max())))
    normal = rng.standard_normal((N_DRAWS, len(worth.merits)))
    out = np.empty(len(beliefs.rows))
    for i in range(len(out)):
        draws = np.stack(
            [m.of(beliefs.mean[m.name][i] + beliefs.sd[m.name][i] * normal[:, k]) for k, m in enumerate(worth.merits)],
            axis=1,
        )
        out[i] = 1 - np.any(np.all(worth.front[None] >= draws[:, None], axis=2), axis=1).mean()
    return out


def _nearest(worth: _Worth, rows: Index) -> list[tuple[int, ...]]:
    """Return the results nearest to each row, by the learned lengths of the first objective."""
    problem = worth.problem
    if not len(problem.told):
        return [()] * len(rows)
    process = worth.told[problem.objectives[0].name].process
    told, asked = process.stretched(problem.inputs.values[problem.told]), process.stretched(problem.inputs.values[rows])
    squares = ((asked[:, None] - told[None]) ** 2).sum(axis=2)
    return [tuple(int(i) for i in order[:N_NEAREST]) for order in np.argsort(squares, axis=1, kind="stable")]


# ---------------------------------------------------------------- the first rows


def _knows_nothing(problem: Problem) -> bool:
    columns = [problem.properties.index(o.name) for o in problem.objectives]
    has_prior = problem.prior_mean is not None and not np.isnan(problem.prior_mean[:, columns]).all()
    return bool(np.isnan(problem.values[:, columns]).all()) and not has_prior


def _space_filling(problem: Problem, n: int) -> list[int]:
    """Return open rows, each as far as possible from those before it; the first is nearest to the middle of all."""
    is_open = problem.is_open
    if problem.shared is not None:
        codes, counts = np.unique(problem.shared[is_open], return_counts=True)
        is_open &= problem.shared == codes[int(np.argmax(counts))]
    values = problem.inputs.values
    taken = [*np.unique(np.r_[problem.told, problem.pending]).tolist()]
    gap = np.full(len(values), np.inf)
    for row in taken:
        gap = np.minimum(gap, ((values - values[row]) ** 2).sum(axis=1))
    if not taken:
        gap = -((values - values.mean(axis=0)) ** 2).sum(axis=1)
    chosen: list[int] = []
    while len(chosen) < n and is_open.any():
        row = int(np.argmax(np.where(is_open, gap, -np.inf)))
        away = ((values - values[row]) ** 2).sum(axis=1)
        gap = np.minimum(gap, away) if taken or chosen else away
        chosen.append(row)
        is_open[row] = False
        if problem.distinct is not None:
            is_open &= problem.distinct != problem.distinct[row]
    return chosen


def _unknown(row: int) -> Suggested:
    return Suggested(row, {}, {}, 1.0, 1.0, 1.0, 0.0, ())


def _setting_of(problem: Problem, rows: Sequence[int]) -> int | None:
    return None if problem.shared is None or not rows else int(problem.shared[rows[0]])


# ---------------------------------------------------------------- the check


def _checked(problem: Problem, proposal: Proposal) -> Proposal:
    """Return a proposal with the rules that it was checked against, from the problem alone."""
    rows = np.array([s.index for s in proposal.suggestions], dtype=np.intp)
    told, failed = problem.told[~problem.is_failed], problem.told[problem.is_failed]
    rules = {
        "not told before": not np.isin(rows, told).any(),
        "not failed before": not np.isin(rows, failed).any(),
        "not being made": not np.isin(rows, problem.pending).any(),
        "none twice": len(set(rows.tolist())) == len(rows),
    }
    if problem.forbidden is not None:
        rules["not forbidden"] = not problem.forbidden[rows].any()
    if problem.shared is not None:
        rules["one shared setting"] = len(np.unique(problem.shared[rows])) <= 1
    if problem.distinct is not None:
        rules["one of each"] = len(np.unique(problem.distinct[rows])) == len(rows)
    broken = [rule for rule, is_met in rules.items() if not is_met]
    if broken:
        raise IntegrityError(f"The proposal breaks the rule '{broken[0]}'; nothing was proposed. Report this defect.")
    return replace(proposal, rules=tuple(rules))


# ---------------------------------------------------------------- what may still come


def outlook(problem: Problem, n: int = 1, *, gain: float = 0.0, goal: Goal = "best", seed: int = 0) -> Outlook:
    """Return what the next batch, and all rows not yet told, promise for one objective.

    Joint draws of the posterior count, so that candidates that would all be good or all be bad together are not
    counted as many chances. A row that fails, or breaks a constraint, gains nothing.

    Args:
        problem: The campaign.
        n: Size of the next batch.
        gain: Gain in the unit of the objective, at least 0; towards the target where there is one.
        goal: What the batch is chosen for.
        seed: Seed of the draws.

    Raises:
        RangeError: If a number is out of range, or there is more than one objective.
        TableError: If nothing is told, or the arrays do not fit each other.
    """
    check_problem(problem, n, seed)
    if len(problem.objectives) > 1:
        raise RangeError(f"An outlook is of one objective; got {len(problem.objectives)}. Ask for one at a time.")
    if not 0 <= gain < np.inf:
        raise RangeError(f"The gain is {gain}; allowed is a number from 0.")
    objective = problem.objectives[0]
    if np.isnan(problem.values[~problem.is_failed, problem.properties.index(objective.name)]).all():
        raise TableError(f"Nothing is told of {shown(objective.name)}; tell at least one result first.")
    rng = np.random.default_rng(seed)
    worth = _Worth(problem, _acquisition(problem, goal, "auto"))
    model, merit = worth.told[objective.name], worth.merits[0]
    best = _best_value(worth, objective)
    if not len(worth.candidates.rows):
        return Outlook(best, 0.0, 0.0, gain)
    start = worth.state
    batch = _choose(worth, n, np.arange(len(worth.candidates.rows)), rng)
    worth.restore(start)
    excess = merit.log_excess(worth.candidates, _best_merit(model, merit, best))
    likely = worth.candidates.rows[_shortlist(excess, N_DRAWS // 2)]
    in_batch = batch.beliefs.rows[batch.chosen]
    rows = np.union1d(likely, in_batch)
    gains = _drawn_gains(worth, rows, objective, best, rng)
    of_batch = gains[:, _places(rows, in_batch)].max(axis=1)
    reached = gains.max(axis=1) >= gain if gain else gains.max(axis=1) > 0
    return Outlook(best, float(of_batch.mean()), float(reached.mean()), gain)


def _merits_of(values: Array, objective: Objective) -> Array:
    """Return values in the unit of the property so that more is better."""
    if objective.target is not None:
        return -np.abs(values - objective.target)
    return -values if objective.mode == "min" else values


def _best_merit(model: Model, merit: _Merit, best: float) -> float:
    return float(merit.of(np.array([model.scaled(best)]))[0])


def _best_value(worth: _Worth, objective: Objective) -> float:
    """Return the best told value, the mean of its replicates."""
    problem = worth.problem
    values = problem.values[:, problem.properties.index(objective.name)]
    is_told = ~np.isnan(values) & ~problem.is_failed
    rows, codes = np.unique(problem.told[is_told], return_inverse=True)
    means = np.bincount(codes, values[is_told]) / np.bincount(codes)
    feasible = worth.log_feasibility(beliefs_of(problem, worth.told, rows)) > np.log(0.5)
    usable = means[feasible] if feasible.any() else means
    return float(usable[int(np.argmax(_merits_of(usable, objective)))])


def _drawn_gains(worth: _Worth, rows: Index, objective: Objective, best: float, rng: np.random.Generator) -> Array:
    """Return joint draws of the gain of each row over the best told, shape (n_draws, n_rows)."""
    model = worth.told[objective.name]
    belief = model.belief(worth.problem.inputs, rows)
    normal = rng.standard_normal((N_DRAWS, len(rows)))
    values = model.sign * model.scale.inverse(belief.draws(normal))
    gains = _merits_of(values, objective) - float(_merits_of(np.array([best]), objective)[0])
    feasible = np.exp(worth.log_feasibility(worth.candidates[_places(worth.candidates.rows, rows)]))
    return np.asarray(np.maximum(gains, 0) * (rng.random(gains.shape) < feasible))
