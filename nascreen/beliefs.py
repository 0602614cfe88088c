r"""What is believed of the candidates of a campaign, property by property, from what is told.

Several models of a property are averaged, since none is right for every table:

    with prior     a Gaussian process whose mean holds the prior mean, such as that of the literature model
    without        the same without; the odds of the two are those of their evidence (R. E. Kass and A. E. Raftery,
                   J. Am. Stat. Assoc. 90, 773 (1995), doi:10.1080/01621459.1995.10476572), so that a wrong prior mean
                   is dropped; they begin in favour of it, unless it jumps at random between like rows
    trees          a forest, by the likelihood of told values that a model was not taught (Y. Yao, A. Vehtari,
                   D. Simpson and A. Gelman, Bayesian Anal. 13, 917 (2018), doi:10.1214/17-BA1091), once `MIN_FOR_TREES`
                   candidates are told

The average has the mean and the covariance of the mixture, in which models that differ count as uncertainty. Few told
values say little of their own spread, so that theirs is widened as Student's t is wider than the normal distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, stdtrit

from nascreen.encoding import Encoded
from nascreen.proposals import Problem
from nascreen.surrogate import SPREAD_KNOWN, GaussianProcess, Rows, TargetScale, success_probability
from nascreen.trees import Forest

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Flags = NDArray[np.bool_]

CHUNK = 4096
_NONE: Index = np.empty(0, dtype=np.intp)
MIN_FOR_TREES = 8
"""Different told candidates below which a forest is not asked."""

TREE_LOG_ODDS = -0.8
"""Odds of the forest where it foretells as well as the processes, which find the good ones sooner then."""

PRIOR_LOG_ODDS = 1.0
"""Odds of a process with a prior mean before anything is told."""

PRIOR_ROWS = 100
"""Rows by which it is judged whether a prior mean follows the inputs."""

SMOOTH_SHARE = 0.5
LEAST_SHARE_TOLD = 0.05
ROUGH_POWER = 3.0
"""The odds fall with this power of the share that follows the inputs, below `SMOOTH_SHARE` and down to the least."""

CALIBRATION_KNOWN = 5.0
"""How many held-out values the expected spread is worth against those that were seen."""

LEAST_SHARE = 0.01
"""Share below which the forest is left out."""

MAX_WIDENING = 12.0
NORMAL_95 = 1.6448536269514722


# ---------------------------------------------------------------- the average of models


class Source(Protocol):
    """What one model says of some rows."""

    @property
    def mean(self) -> Array:
        """Mean of each row, shape (m,)."""

    @property
    def variance(self) -> Array:
        """Variance of each, shape (m,)."""

    def covariance_with(self, chosen: Index) -> Array:
        """Return the covariance of all rows with some of them, shape (m, k)."""

    def first(self, n: int) -> Source:
        """Return the same of the first n rows alone."""


@dataclass(frozen=True, eq=False)
class Belief:
    """What the average of models says of some rows; `learn` narrows it as if some of them had been measured.

    Attributes:
        sources: What each model says.
        weights: How much each counts, adding up to 1.
        noise_variance: Variance of a value about what is believed.
        widening: Factor of every variance, at least 1.
        mean: Mean of each row, shape (m,).
        variance: Variance of each, shape (m,).
        steps: What was learned, so that the covariance is less ``steps.T @ steps``, shape (s, m).
    """

    sources: tuple[Source, ...]
    weights: tuple[float, ...]
    noise_variance: float
    widening: float
    mean: Array
    variance: Array
    steps: Array

    @classmethod
    def of(
        cls, sources: tuple[Source, ...], weights: tuple[float, ...], noise_variance: float, widening: float
    ) -> Belief:
        """Return the average of what some models say of the same rows."""
        mean = sum((w * s.mean for w, s in zip(weights, sources, strict=True)), np.zeros(len(sources[0].mean)))
        variance = sum((w * (s.variance + (s.mean - mean) ** 2) for w, s in zip(weights, sources, strict=True)),
                       np.zeros(len(mean)))  # fmt: skip
        variance = np.maximum(widening * variance, 1e-10)
        return cls(sources, weights, widening * noise_variance, widening, mean, variance, np.empty((0, len(mean))))

    @property
    def sd(self) -> Array:
        """Standard deviations, shape (m,)."""
        return np.sqrt(self.variance)

    def covariance_with(self, chosen: Index) -> Array:
        """Return the covariance of all rows with some of them, shape (m, k)."""
        total = np.zeros((len(self.mean), len(chosen)))
        for weight, source in zip(self.weights, self.sources, strict=True):
            off = source.mean - self.mean
            total += weight * (source.covariance_with(chosen) + off[:, None] * off[chosen])
        return np.asarray(self.widening * total - self.steps.T @ self.steps[:, chosen])

    def learn(self, rows: Index) -> Belief:
        """Return the belief once some rows had been measured at their own mean: the mean stays, the spread shrinks."""
        cross = self.covariance_with(rows)
        noise = (self.noise_variance + 1e-8) * np.eye(len(rows))
        factor = np.linalg.cholesky((cross[rows] + cross[rows].T) / 2 + noise)
        steps = np.linalg.solve(factor, cross.T)
        variance = np.maximum(self.variance - (steps**2).sum(axis=0), 1e-10)
        return replace(self, variance=variance, steps=np.vstack([self.steps, steps]))

    def first(self, n: int) -> Belief:
        """Return the same of the first n rows alone."""
        sources = tuple(source.first(n) for source in self.sources)
        return replace(self, sources=sources, mean=self.mean[:n], variance=self.variance[:n], steps=self.steps[:, :n])

    def draws(self, normal: Array) -> Array:
        """Return joint draws of all rows, shape (n_draws, m), from standard normal ones of that shape."""
        covariance = self.covariance_with(np.arange(len(self.mean)))
        values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        root = vectors * np.sqrt(np.maximum(values, 0))
        return np.asarray(self.mean + normal @ root.T)


def widening(n_told: int, n_known: float = 0.0) -> float:
    """Return by how much a standard deviation has to be widened that was learned from few values.

    Args:
        n_told: How many values were told.
        n_known: How many values what is known beforehand of their spread is worth.
    """
    n = n_told + n_known
    if n <= 1:
        return MAX_WIDENING
    # Half of what they say is spent on lengths, amplitude and noise.
    return float(min(stdtrit((n - 1) / 2, 0.95) / NORMAL_95 * np.sqrt(n / (n - 1)), MAX_WIDENING))


# ---------------------------------------------------------------- the models of a property


@dataclass(frozen=True, eq=False)
class Model:
    """One property as it is modelled, on a scale where higher is better unless a target is wanted.

    Attributes:
        name: The property.
        sign: -1 where the property is minimised.
        scale: From the signed property to the scale of the models.
        processes: Gaussian processes, the first of them with the prior mean where there is one.
        forest: The forest; None where too little is told.
        weights: How much each process counts, and the forest at the end where there is one.
        prior: Prior mean of every row on that scale; None for none.
        widening: Factor of every variance.
        pending: Rows that count as measured at their own mean.
    """

    name: str
    sign: float
    scale: TargetScale
    processes: tuple[GaussianProcess, ...]
    forest: Forest | None
    weights: tuple[float, ...]
    prior: Array | None
    widening: float
    pending: Index

    @property
    def process(self) -> GaussianProcess:
        """The process that counts most."""
        return self.processes[int(np.argmax(self.weights[: len(self.processes)]))]

    @property
    def prior_weight(self) -> float:
        """Learned weight of the prior mean: that within its process, times that of the process."""
        return self.processes[0].prior_weight[0] * self.weights[0]

    def belief(self, inputs: Encoded, rows: Index) -> Belief:
        """Return what is believed of some rows once the pending ones are measured."""
        every = np.r_[rows, self.pending]
        values = inputs.values[every]
        if self.prior is not None and not len(self.processes[0].rows.targets):
            said = self.processes[0].posterior(values, self.prior[every]).taken_as_said()
            return self._once_measured(Belief.of((said,), (1.0,), self.processes[0].learned_noise_variance, 1.0), rows)
        sources: list[Source] = [
            p.posterior(values, self.prior[every] if self.prior is not None and p.rows.prior_mean is not None else None)
            for p in self.processes
        ]
        noises = [p.learned_noise_variance for p in self.processes]
        if self.forest is not None:
            sources.append(self.forest.posterior(values))
            noises.append(self.forest.noise_variance)
        noise = float(np.dot(self.weights, noises))
        return self._once_measured(Belief.of(tuple(sources), self.weights, noise, self.widening), rows)

    def _once_measured(self, belief: Belief, rows: Index) -> Belief:
        """Return a belief of some rows and the pending ones as one of the rows, the pending ones measured."""
        pending = np.arange(len(rows), len(belief.mean))
        return belief.learn(pending).first(len(rows)) if len(pending) else belief

    def scaled(self, value: float) -> float:
        """Return a value of the property on the scale."""
        return float(self.scale.forward(np.array([self.sign * value]))[0]) if np.isfinite(value) else self.sign * value

    def moments(self, mean: Array, sd: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of the property from those on the scale."""
        average, spread = self.scale.moments(mean, sd)
        return self.sign * average, spread


def model_of(problem: Problem, name: str) -> Model:
    """Fit the models of one property to the results that hold it."""
    column = problem.properties.index(name)
    sign = -1.0 if any(o.name == name and o.mode == "min" for o in problem.objectives) else 1.0
    values = sign * problem.values[:, column]
    is_told = ~np.isnan(values)
    told, known = problem.told[is_told], values[is_told]
    prior = _prior_of(problem, column, sign)
    scale = TargetScale.of(known, prior, problem.prior_off(column))
    noise = np.zeros(len(known))
    if problem.variances is not None:
        noise = np.nan_to_num(problem.variances[is_told, column]) * scale.slope(known) ** 2
    prior = None if prior is None else scale.forward(prior)
    inputs = problem.inputs
    plain = Rows(inputs.values[told], inputs.groups, scale.forward(known), noise)
    rows = [plain] if prior is None else [replace(plain, prior_mean=prior[told]), plain]
    processes = tuple(GaussianProcess.fit(one) for one in rows)
    begun = [] if prior is None else [_log_odds(_told_by_inputs(inputs, prior))]
    odds = _softmax(np.array([*begun, 0.0]) + [process.log_evidence for process in processes])
    codes = np.unique(told, return_inverse=True)[1]
    n = len(set(codes.tolist()))
    wide = widening(n, 0.0 if prior is None else SPREAD_KNOWN) ** 2
    if n < MIN_FOR_TREES:
        return Model(name, sign, scale, processes, None, tuple(odds), prior, wide, _NONE)
    held_out = _held_out(processes, odds, codes)
    wide = max(wide, held_out.widening)
    forest, share = _forest(plain, codes, held_out.log_density)
    if share < LEAST_SHARE:
        return Model(name, sign, scale, processes, None, tuple(odds), prior, wide, _NONE)
    weights = (*((1 - share) * odds), share)
    return Model(name, sign, scale, processes, forest, weights, prior, wide, _NONE)


def _told_by_inputs(inputs: Encoded, prior: Array) -> float:
    """Return the share of a prior mean's variance that a process foretells of a row from other rows, at least 0.

    What jumps at random between like rows is no function of the inputs, so that no smooth property follows it.
    """
    some = np.sort(np.random.default_rng(0).permutation(len(prior))[:PRIOR_ROWS])
    targets = prior[some] - prior[some].mean()
    spread = float(targets.std())
    if spread == 0.0:
        return 1.0
    rows = Rows(inputs.values[some], inputs.groups, targets / spread, np.zeros(len(some)))
    foretold, _ = GaussianProcess.fit(rows).left_out(np.arange(len(some)))
    return float(np.clip(1 - np.mean((rows.targets - foretold) ** 2), 0.0, 1.0))


def _log_odds(share: float) -> float:
    """Return the logarithm of the odds of a process with a prior mean of which that share follows the inputs."""
    return float(PRIOR_LOG_ODDS + ROUGH_POWER * np.log(min(max(share, LEAST_SHARE_TOLD) / SMOOTH_SHARE, 1.0)))


def _softmax(logs: Array) -> Array:
    odds = np.exp(logs - logs.max())
    return np.asarray(odds / odds.sum())


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """How well the processes foretell values that they were not taught.

    Attributes:
        squares: Squared error of each told value in units of the variance that was expected, shape (n,).
        log_density: Logarithm of its density, once the variance is widened by `widening`.
        widening: Factor of every variance that makes the errors as large as they were expected.
    """

    squares: Array
    log_density: Array
    widening: float


def _held_out(processes: Sequence[GaussianProcess], odds: Array, codes: Index) -> _HeldOut:
    """Foretell each told value from those of all other candidates.

    Args:
        processes: With the prior mean or without.
        odds: How much each counts, shape (n_processes,).
        codes: Candidate of each row, so that replicates are left out together.
    """
    found = [process.left_out(codes) for process in processes]
    means, variances = np.array([mean for mean, _ in found]), np.array([variance for _, variance in found])
    mean = odds @ means
    variance = odds @ (variances + (means - mean) ** 2)
    squares = (processes[0].rows.targets - mean) ** 2 / variance
    wide = (CALIBRATION_KNOWN + squares.sum()) / (CALIBRATION_KNOWN + len(squares))
    wide = float(np.clip(wide, 1.0, MAX_WIDENING**2))
    return _HeldOut(squares, -0.5 * (np.log(2 * np.pi * wide * variance) + squares / wide), wide)


def _forest(rows: Rows, codes: Index, rival: Array) -> tuple[Forest, float]:
    """Return a forest of what is told, and its share in the average.

    Args:
        rows: What is told.
        codes: Candidate of each row.
        rival: Logarithm of the density of each row under the processes, where they were not taught it.
    """
    counts = np.bincount(codes)
    first = np.unique(codes, return_index=True)[1]
    forest = Forest.fit(rows.values[first], np.bincount(codes, rows.targets) / counts)
    gain = forest.log_density - np.bincount(codes, rival) / counts
    gain = gain[np.isfinite(gain)]
    return forest, float(expit(TREE_LOG_ODDS + gain.sum() / np.sqrt(max(1.0, gain.var() * len(gain)))))


def _prior_of(problem: Problem, column: int, sign: float) -> Array | None:
    """Return the signed prior mean of a property, its average where a row has none; None where no row has one."""
    if problem.prior_mean is None or np.isnan(problem.prior_mean[:, column]).all():
        return None
    prior = sign * problem.prior_mean[:, column]
    return np.asarray(np.where(np.isnan(prior), np.nanmean(prior), prior))


def pending_of(problem: Problem, name: str) -> Index:
    """Return the rows whose value of a property is still to come."""
    is_missing = np.isnan(problem.values[:, problem.properties.index(name)]) & ~problem.is_failed
    known = problem.told[~is_missing & ~problem.is_failed]
    return np.setdiff1d(np.r_[problem.pending, problem.told[is_missing]], known)


# ---------------------------------------------------------------- many rows


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What is believed of some rows.

    Attributes:
        rows: Rows of the table, shape (m,).
        mean: Mean of each property on its scale, shape (m,).
        sd: Standard deviation of each.
        success: Probability that each sample succeeds.
    """

    rows: Index
    mean: Mapping[str, Array]
    sd: Mapping[str, Array]
    success: Array

    def __getitem__(self, places: Index | Flags) -> Beliefs:
        """Return what is believed of some of the rows."""
        return Beliefs(
            self.rows[places],
            {name: values[places] for name, values in self.mean.items()},
            {name: values[places] for name, values in self.sd.items()},
            self.success[places],
        )


def beliefs_of(problem: Problem, models: Mapping[str, Model], rows: Index) -> Beliefs:
    """Return what is believed of some rows, worked out in pieces."""
    parts = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    mean, sd = {}, {}
    for name, model in models.items():
        found = [_moments(model, problem.inputs, part) for part in parts]
        mean[name] = np.concatenate([m for m, _ in found]) if parts else np.empty(0)
        sd[name] = np.concatenate([s for _, s in found]) if parts else np.empty(0)
    success = [_success(problem, part) for part in parts]
    return Beliefs(rows, mean, sd, np.concatenate(success) if parts else np.empty(0))


def _moments(model: Model, inputs: Encoded, rows: Index) -> tuple[Array, Array]:
    belief = model.belief(inputs, rows)
    return belief.mean, belief.sd


def _success(problem: Problem, rows: Index) -> Array:
    if not problem.is_failed.any():
        return np.ones(len(rows))
    is_known = problem.is_failed | ~np.isnan(problem.values).all(axis=1)
    told = problem.inputs.values[problem.told[is_known]]
    inputs = problem.inputs
    return success_probability(told, inputs.groups, ~problem.is_failed[is_known], inputs.values[rows])
