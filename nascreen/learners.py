"""Learners of a table of numbers, and how several of them become one prediction.

Every learner sees named blocks of columns, fits one vector of targets and predicts new rows. `cross_fitted` fits
one on every fold of the training side; the rows that each fit did not see are how learners are compared. New rows are
predicted by the mean of those fits, or by one fit on all rows. `ensemble_weights` mixes learners: greedy forward
selection with replacement, R. Caruana et al., Proc. ICML 2004, doi:10.1145/1015330.1015432.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from nascreen.gaussian import Array, squared_distances
from nascreen.training import require

Blocks = Mapping[str, Array]
"""Named columns of the same rows; NaN where a value is not known."""

Predictor = Callable[[Blocks], Array]
"""New rows to predictions of shape (n, v), one column for each variant of the learner."""

Settings = Mapping[str, float | str]

N_THREADS = min(2, os.cpu_count() or 1)
N_PARTS = 2
CLIP = 5.0
"""Standard deviations beyond which a standardised value is cut: distances must not hang on one column."""

MAX_GAUSSIAN_ROWS = 4000
TUNING_ROWS = 700
GAUSSIAN_STEPS = 40
PATIENCE = 120
BOOSTING_ROUNDS = 800

UNSCALED = frozenset({"fraction"})
"""Blocks whose square roots are distances as they stand (two mixtures of elements, Hellinger)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One learner and the blocks it sees.

    Attributes:
        kind: A key of `LEARNERS`.
        blocks: Names of the blocks; those that a table lacks are passed over.
        settings: Hyperparameters that differ from the learner's own.
        transform: What the targets are brought through first, a key of `TRANSFORMS`.
    """

    kind: str
    blocks: tuple[str, ...]
    settings: Settings = field(default_factory=dict)
    transform: str = "identity"

    @property
    def name(self) -> str:
        """What people read in score tables."""
        settings = " ".join(f"{key}={_short(value)}" for key, value in self.settings.items())
        parts = [self.kind, f"({settings})" if settings else "", f"on {'+'.join(self.blocks)}"]
        return " ".join(filter(None, [*parts, "" if self.transform == "identity" else f"of {self.transform} target"]))


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


# ---------------------------------------------------------------- columns


@dataclass(frozen=True, eq=False)
class Standard:
    """Medians, means and scales of one block, so that no value is missing and all count alike.

    Attributes:
        keep: Columns that vary.
        median: What stands in for a missing value.
        mean: Mean after filling.
        scale: Standard deviation after filling.
        flagged: Columns, among those kept, that get an indicator of missing values.
    """

    keep: NDArray[np.intp]
    median: Array
    mean: Array
    scale: Array
    flagged: NDArray[np.intp]

    @classmethod
    def fit(cls, block: Array) -> Standard:
        """Return the standard of a block of shape (n, f)."""
        known = ~np.isnan(block)
        filled = np.where(known, block, np.inf)
        counts = known.sum(axis=0)
        median = np.array(
            [np.median(column[:n]) if n else 0.0 for column, n in zip(np.sort(filled, axis=0).T, counts, strict=True)]
        )
        filled = np.where(known, block, median)
        scale = filled.std(axis=0)
        keep = np.flatnonzero(scale > 1e-12 * (1 + np.abs(filled).max(axis=0, initial=0)))
        share = (~known[:, keep]).mean(axis=0)
        flagged = np.flatnonzero((share > 0.02) & (share < 0.98))
        return cls(keep, median[keep], filled.mean(axis=0)[keep], scale[keep], flagged)

    def apply(self, block: Array) -> Array:
        """Return standardised columns, then indicators, shape (n, kept + flagged)."""
        values = block[:, self.keep]
        missing = np.isnan(values)
        z = np.clip((np.where(missing, self.median, values) - self.mean) / self.scale, -CLIP, CLIP)
        return np.hstack([z, missing[:, self.flagged].astype(np.float64)])


def _chosen(blocks: Blocks, names: Sequence[str]) -> list[str]:
    present = [name for name in names if name in blocks and blocks[name].shape[1]]
    return present or [name for name in blocks if blocks[name].shape[1]]


def _raw(blocks: Blocks, names: Sequence[str]) -> NDArray[np.float32]:
    return np.hstack([blocks[name] for name in names]).astype(np.float32)


def _dense(blocks: Blocks, names: Sequence[str]) -> tuple[Array, Callable[[Blocks], Array]]:
    standards = {name: Standard.fit(blocks[name]) for name in names}

    def apply(new: Blocks) -> Array:
        return np.hstack([standards[name].apply(new[name]) for name in names])

    return apply(blocks), apply


# ---------------------------------------------------------------- learners


@dataclass(frozen=True, eq=False)
class Task:
    """What a learner is fitted to.

    Attributes:
        blocks: Training rows.
        targets: Targets of mean 0 and standard deviation 1, shape (n,).
        names: Blocks that the learner sees.
        settings: Hyperparameters that differ from the learner's own.
        seed: Seed of everything random.
        shared: What the learner found out once for all folds.
        held: Rows and targets on which boosting records its error after every round.
    """

    blocks: Blocks
    targets: Array
    names: tuple[str, ...]
    settings: Settings
    seed: int
    shared: Any = None
    held: tuple[Blocks, Array] | None = None

    def number(self, name: str, default: float) -> float:
        """Return a numeric hyperparameter."""
        return float(self.settings.get(name, default))


def _column(values: Any) -> Array:  # noqa: ANN401
    return np.asarray(values, dtype=np.float64)[:, None]


class Boosted:
    """Boosted trees that can be asked after any number of rounds."""

    def __init__(self, task: Task) -> None:
        """Boost; with held-out rows, keep their error after every round in `curve`."""
        self._xgboost = require("xgboost")
        self._names = task.names
        self.n_rounds = 0
        columns = _raw(task.blocks, task.names)
        share = float(np.clip(40 / columns.shape[1], 0.3, 1.0))
        parameters = {
            "objective": "reg:absoluteerror", "max_depth": 5, "learning_rate": 0.05, "subsample": 0.7,
            "colsample_bytree": share, "tree_method": "hist", "nthread": N_THREADS, "seed": task.seed, "verbosity": 0,
            **{key: value for key, value in task.settings.items() if key != "rounds"},
        }  # fmt: skip
        is_squared = "squared" in str(parameters["objective"])
        history: dict[str, dict[str, list[float]]] = {}
        self._booster = self._xgboost.train(
            {**parameters, "max_depth": int(parameters["max_depth"]), "eval_metric": "rmse" if is_squared else "mae"},
            self._xgboost.DMatrix(columns, label=task.targets),
            int(task.number("rounds", BOOSTING_ROUNDS)),
            evals=[(self._xgboost.DMatrix(_raw(task.held[0], task.names), label=task.held[1]), "held")]
            if task.held
            else [],
            evals_result=history,
            verbose_eval=False,
            early_stopping_rounds=PATIENCE if task.held else None,
        )
        self.curve = np.array(next(iter(history["held"].values()))) if task.held else np.empty(0)

    def __call__(self, new: Blocks) -> Array:
        """Predict after `n_rounds` rounds, all of them if 0."""
        data = self._xgboost.DMatrix(_raw(new, self._names))
        return _column(self._booster.predict(data, iteration_range=(0, self.n_rounds)))


TREES = ((1000, 300), (3000, 200), (1_000_000, 100))
"""Rows up to which a forest has that many trees."""


def _n_trees(n_rows: int) -> int:
    return next(n_trees for most_rows, n_trees in TREES if n_rows <= most_rows)


FOREST_VARIANTS = ("mean", "middle", "median")


def _forest(kind: str, task: Task) -> Predictor:
    """Grow trees; besides their mean, offer the mean of their middle half and their median.

    Where errors have long tails, as in most collected tables, the two lie nearer to what is measured.
    """
    ensemble = require("sklearn.ensemble")
    x, apply = _dense(task.blocks, task.names)
    n_trees = int(task.number("trees", _n_trees(len(x))))
    single = x.astype(np.float32)

    def grow(part: int) -> list[Any]:
        model = getattr(ensemble, kind)(
            n_estimators=(n_trees + part) // N_PARTS,
            max_features=task.number("max_features", 0.33),
            min_samples_leaf=int(task.number("min_samples_leaf", 1)),
            random_state=N_PARTS * task.seed + part,
        )
        return list(model.fit(single, task.targets).estimators_)

    # Always in two parts, so that the trees do not depend on how many processors there are.
    with ThreadPoolExecutor(N_THREADS) as pool:
        trees = [tree for part in pool.map(grow, range(N_PARTS)) for tree in part]

    def predict(new: Blocks) -> Array:
        values = apply(new).astype(np.float32)
        by_tree = np.sort([tree.predict(values, check_input=False) for tree in trees], axis=0)
        quarter = len(by_tree) // 4
        return np.column_stack(
            [by_tree.mean(axis=0), by_tree[quarter:-quarter].mean(axis=0), np.median(by_tree, axis=0)]
        )

    return predict


def _fit_extra_trees(task: Task) -> Predictor:
    return _forest("ExtraTreesRegressor", task)


def _fit_random_forest(task: Task) -> Predictor:
    return _forest("RandomForestRegressor", task)


def _fit_support_vectors(task: Task) -> Predictor:
    svm = require("sklearn.svm")
    x, apply = _dense(task.blocks, task.names)
    gamma = task.number("gamma", 0.3) / x.shape[1]
    model = svm.SVR(C=task.number("C", 10), gamma=gamma, epsilon=task.number("epsilon", 0.05), cache_size=500)
    model.fit(x, task.targets)
    return lambda new: _column(model.predict(apply(new)))


def _fit_median(task: Task) -> Predictor:
    """Predict the median: in a mixture it draws the others back where columns say little."""
    center = float(np.median(task.targets))
    return lambda new: np.full((len(next(iter(new.values()))), 1), center)


def _fit_ridge(task: Task) -> Predictor:
    x, apply = _dense(task.blocks, task.names)
    penalty = task.number("penalty", 0.03) * len(x)
    center = task.targets.mean()
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (task.targets - center))
    return lambda new: _column(apply(new) @ weights + center)


def _fit_network(task: Task) -> Predictor:
    """Average a few small networks that differ in their start."""
    import warnings

    network = require("sklearn.neural_network")
    x, apply = _dense(task.blocks, task.names)
    models = []
    for start in range(int(task.number("starts", 3))):
        model = network.MLPRegressor(
            hidden_layer_sizes=(int(task.number("width", 128)),) * 2,
            alpha=task.number("penalty", 0.3),
            batch_size=min(64, len(x)),
            max_iter=int(task.number("epochs", 40)),
            random_state=task.seed + start,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the epochs are a budget, not a hope for convergence
            model.fit(x, task.targets)
        models.append(model)
    return lambda new: _column(np.mean([model.predict(apply(new)) for model in models], axis=0))


def _in_parts(new: Blocks, names: Sequence[str], predict: Callable[[Blocks], Array]) -> Array:
    n = len(new[names[0]])
    parts = [predict({name: new[name][i : i + 1000] for name in names}) for i in range(0, n, 1000)]
    return _column(np.concatenate([np.empty(0), *parts]))


def _fit_neighbours(task: Task) -> Predictor:
    """Average the nearest rows, weighted by the inverse of their distance."""
    distances = BlockDistances.fit(task.blocks, task.names)
    n_near = min(int(task.number("n", 5)), len(task.targets))

    def predict(part: Blocks) -> Array:
        squares = np.asarray(sum(distances.to_training(part).values()))
        near = np.argpartition(squares, n_near - 1, axis=1)[:, :n_near]
        weights = 1 / (np.sqrt(np.take_along_axis(squares, near, axis=1)) + 1e-3)
        return np.asarray((weights * task.targets[near]).sum(axis=1) / weights.sum(axis=1))

    return lambda new: _in_parts(new, task.names, predict)


@dataclass(frozen=True, eq=False)
class BlockDistances:
    """Mean squared distances to the training rows, block by block."""

    names: tuple[str, ...]
    standards: Mapping[str, Standard]
    training: Mapping[str, Array]

    @classmethod
    def fit(cls, blocks: Blocks, names: Sequence[str]) -> BlockDistances:
        """Place the training rows."""
        standards = {name: Standard.fit(blocks[name]) for name in names if name not in UNSCALED}
        new = cls(tuple(names), standards, {})
        return cls(tuple(names), standards, {name: new._place(blocks, name) for name in names})

    def _place(self, blocks: Blocks, name: str) -> Array:
        """Return coordinates in which rows of a block differ by about 1."""
        if name in UNSCALED:
            return np.sqrt(np.maximum(blocks[name], 0.0))
        values = self.standards[name].apply(blocks[name])
        return np.asarray(values / np.sqrt(2 * max(values.shape[1], 1)))

    def to_training(self, blocks: Blocks) -> dict[str, Array]:
        """Return squared distances of new rows to all training rows, each of shape (m, n)."""
        return {name: squared_distances(self._place(blocks, name), self.training[name]) for name in self.names}

    def among_training(self, rows: NDArray[np.intp]) -> dict[str, Array]:
        """Return squared distances among the chosen training rows."""
        return {name: squared_distances(self.training[name][rows], self.training[name][rows]) for name in self.names}


def _matern(squares: Array, length: float) -> tuple[Array, Array]:
    """Return the Matérn-5/2 correlation and its derivative by log length."""
    r = np.sqrt(5 * squares) / length
    decay = np.exp(-r)
    return (1 + r + r * r / 3) * decay, (r * r / 3) * (1 + r) * decay


class _SumProcess:
    """A Gaussian process whose covariance is a sum of one Matérn part per block and their product.

    Parameters are logarithms: a length per block, an amplitude per part (blocks, then the product), the noise.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.n_lengths = len(names)
        self.n_parts = len(names) + (len(names) > 1)

    def start(self) -> Array:
        return np.asarray(np.log(np.r_[np.full(self.n_lengths, 0.7), np.full(self.n_parts, 0.6), 0.4]))

    def parts(self, parameters: Array, squares: Mapping[str, Array]) -> tuple[list[Array], list[Array]]:
        pairs = [_matern(squares[name], float(np.exp(parameters[i]))) for i, name in enumerate(self.names)]
        kernels = [kernel for kernel, _ in pairs]
        if self.n_parts > self.n_lengths:
            kernels.append(np.prod(kernels, axis=0))
        return kernels, [slope for _, slope in pairs]

    def covariance(self, parameters: Array, squares: Mapping[str, Array]) -> Array:
        kernels, _ = self.parts(parameters, squares)
        amplitudes = np.exp(2 * parameters[self.n_lengths : -1])
        return np.asarray(sum(a * kernel for a, kernel in zip(amplitudes, kernels, strict=True)))

    def noise(self, parameters: Array) -> float:
        return float(np.exp(2 * parameters[-1]) + 1e-6)

    def loss(self, parameters: Array, squares: Mapping[str, Array], targets: Array) -> tuple[float, Array]:
        """Return the negative log posterior (to a constant) of the parameters and its gradient."""
        kernels, slopes = self.parts(parameters, squares)
        amplitudes = np.exp(2 * parameters[self.n_lengths : -1])
        total = sum(a * kernel for a, kernel in zip(amplitudes, kernels, strict=True))
        total = np.asarray(total)
        total[np.diag_indices_from(total)] += self.noise(parameters)
        factor = cho_factor(total, lower=True)
        dual = cho_solve(factor, targets)
        by_covariance = 0.5 * (cho_solve(factor, np.eye(len(targets))) - np.outer(dual, dual))
        prior = (parameters - self.start()) / 1.5
        value = 0.5 * float(targets @ dual) + float(np.log(np.diag(factor[0])).sum()) + 0.5 * float(prior @ prior)
        gradient = np.empty_like(parameters)
        for i, slope in enumerate(slopes):
            weight = amplitudes[i] * slope
            if self.n_parts > self.n_lengths:
                others = [kernel for j, kernel in enumerate(kernels[:-1]) if j != i]
                weight = weight + amplitudes[-1] * slope * np.prod(others, axis=0)
            gradient[i] = (by_covariance * weight).sum()
        for j, (a, kernel) in enumerate(zip(amplitudes, kernels, strict=True)):
            gradient[self.n_lengths + j] = 2 * a * (by_covariance * kernel).sum()
        gradient[-1] = 2 * np.exp(2 * parameters[-1]) * np.trace(by_covariance)
        return value, gradient + prior / 1.5


def _tune_gaussian(task: Task) -> Array:
    """Return the parameters of the process, found on at most `TUNING_ROWS` rows."""
    rows = np.random.default_rng(task.seed).permutation(len(task.targets))[:TUNING_ROWS]
    process = _SumProcess(task.names)
    squares = BlockDistances.fit(task.blocks, task.names).among_training(rows)
    bounds = [(-4.0, 4.0)] * process.n_lengths + [(-5.0, 3.0)] * process.n_parts + [(-4.5, 1.0)]
    found = minimize(
        process.loss, process.start(), args=(squares, task.targets[rows]), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": GAUSSIAN_STEPS},
    )  # fmt: skip
    return np.asarray(found.x)


def _fit_gaussian(task: Task) -> Predictor:
    process = _SumProcess(task.names)
    parameters = _tune_gaussian(task) if task.shared is None else task.shared
    distances = BlockDistances.fit(task.blocks, task.names)
    total = process.covariance(parameters, distances.among_training(np.arange(len(task.targets))))
    total[np.diag_indices_from(total)] += process.noise(parameters)
    dual = cho_solve(cho_factor(total, lower=True), task.targets)

    def predict(part: Blocks) -> Array:
        return np.asarray(process.covariance(parameters, distances.to_training(part)) @ dual)

    return lambda new: _in_parts(new, task.names, predict)


@dataclass(frozen=True, slots=True)
class Learner:
    """How one kind of learner is fitted.

    Attributes:
        fit: Task to predictor.
        variants: Names of the columns that the predictor returns.
        share: Task to what is found out once for all folds.
        most_rows: Rows beyond which it is passed over.
        least_rows: Rows below which it is passed over.
    """

    fit: Callable[[Task], Predictor]
    variants: tuple[str, ...] = ("",)
    share: Callable[[Task], Any] | None = None
    most_rows: int = 1_000_000
    least_rows: int = 0


LEARNERS: Mapping[str, Learner] = {
    "extra trees": Learner(_fit_extra_trees, FOREST_VARIANTS),
    "random forest": Learner(_fit_random_forest, FOREST_VARIANTS),
    "xgboost": Learner(Boosted),
    "gaussian process": Learner(_fit_gaussian, share=_tune_gaussian, most_rows=MAX_GAUSSIAN_ROWS),
    "support vectors": Learner(_fit_support_vectors, most_rows=6000),
    "network": Learner(_fit_network, least_rows=500, most_rows=20_000),
    "neighbours": Learner(_fit_neighbours),
    "ridge": Learner(_fit_ridge),
    "median": Learner(_fit_median),
}


# ---------------------------------------------------------------- targets


@dataclass(frozen=True, eq=False)
class Transform:
    """A monotone map of targets to mean 0 and standard deviation 1, and back.

    Attributes:
        kind: A key of `TRANSFORMS`.
        shift: What is added before the logarithm.
        center: Mean of the mapped targets.
        scale: Their standard deviation.
        knots: Sorted targets, for the map to normal quantiles.
    """

    kind: str
    shift: float
    center: float
    scale: float
    knots: Array

    @classmethod
    def fit(cls, kind: str, targets: Array) -> Transform:
        """Return the map for the targets of the training side."""
        positive = targets[targets > 0]
        shift = 0.0 if len(positive) == len(targets) else float(positive.min() if len(positive) else 1.0) / 2
        knots = np.unique(targets)
        plain = cls(kind, shift, 0.0, 1.0, knots)
        mapped = plain.forward(targets)
        return cls(kind, shift, float(mapped.mean()), float(mapped.std()) or 1.0, knots)

    def _quantiles(self) -> Array:
        from scipy.special import ndtri

        return np.asarray(ndtri((np.arange(len(self.knots)) + 0.5) / len(self.knots)))

    def forward(self, targets: Array) -> Array:
        """Return what the learner sees."""
        if self.kind == "log":
            mapped = np.log(np.maximum(targets, 0.0) + self.shift)
        elif self.kind == "quantile":
            mapped = np.interp(targets, self.knots, self._quantiles())
        else:
            mapped = targets
        return np.asarray((mapped - self.center) / self.scale)

    def back(self, values: Array) -> Array:
        """Return predictions in the unit of the targets, no farther than one range beyond them."""
        mapped = values * self.scale + self.center
        low, high = float(self.knots[0]), float(self.knots[-1])
        if self.kind == "log":
            mapped = np.exp(np.minimum(mapped, 700.0)) - self.shift
        elif self.kind == "quantile":
            mapped = np.interp(mapped, self._quantiles(), self.knots)
        return np.asarray(np.clip(mapped, low - (high - low), high + (high - low)))


TRANSFORMS = ("identity", "log", "quantile")


# ---------------------------------------------------------------- folds, and the mean of their fits


Fit = tuple[Predictor, Transform]


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """One candidate fitted on every fold of the training side.

    Attributes:
        candidate: What was fitted.
        variants: Names of the columns below.
        unseen: Prediction of each training row by the fit that did not see it, shape (n, v).
        fits: The fits with their transforms, if they were to be kept.
        shared: What the learner found out once for all folds.
        n_rounds: Rounds of boosting that all folds together found best; 0 for other learners.
    """

    candidate: Candidate
    variants: tuple[str, ...]
    unseen: Array
    fits: tuple[Fit, ...] = ()
    shared: Any = None
    n_rounds: int = 0

    def names(self) -> list[str]:
        """Return one name for each column."""
        return [f"{self.candidate.name}{f', {variant} of trees' if variant else ''}" for variant in self.variants]


def predicted_by(fits: Sequence[Fit], blocks: Blocks) -> Array:
    """Return the mean over fits in the unit of the targets, shape (m, v)."""
    return np.asarray(np.mean([transform.back(fit(blocks)) for fit, transform in fits], axis=0))


def rows_of(blocks: Blocks, rows: NDArray[Any]) -> dict[str, Array]:
    """Return the chosen rows of every block."""
    return {name: block[rows] for name, block in blocks.items()}


def cross_fitted(
    candidate: Candidate,
    blocks: Blocks,
    targets: Array,
    folds: NDArray[np.intp],
    *,
    seed: int = 0,
    is_kept: bool = False,
    stop: Callable[[int, Array], bool] = lambda _fold, _unseen: False,
) -> CrossFitted | None:
    """Fit a candidate on every fold.

    Args:
        candidate: Learner, blocks and settings.
        blocks: Training rows.
        targets: Their targets.
        folds: Fold of each training row.
        seed: Seed of everything random.
        is_kept: Whether the fits are kept to predict new rows.
        stop: Called after each fold with its number and what is predicted so far (NaN elsewhere).

    Returns:
        The fits' predictions; None if they were stopped.
    """
    learner = LEARNERS[candidate.kind]
    names = tuple(_chosen(blocks, candidate.blocks))
    whole = Transform.fit(candidate.transform, targets)
    shared = None
    if learner.share:
        shared = learner.share(Task(blocks, whole.forward(targets), names, candidate.settings, seed))
    fits: list[Fit] = []
    unseen = np.full((len(targets), len(learner.variants)), np.nan)
    numbers = np.unique(folds)
    for k in numbers:
        inside, outside = folds != k, folds == k
        transform = Transform.fit(candidate.transform, targets[inside])
        held = rows_of(blocks, outside)
        task = Task(
            rows_of(blocks, inside), transform.forward(targets[inside]), names, candidate.settings, seed + int(k),
            shared, (held, transform.forward(targets[outside])),
        )  # fmt: skip
        fit = learner.fit(task)
        fits.append((fit, transform))
        unseen[outside] = transform.back(fit(held))
        if stop(len(fits), unseen) and k != numbers[-1]:
            return None
    n_rounds = _set_rounds([fit for fit, _ in fits if isinstance(fit, Boosted)])
    if n_rounds:
        for k, (fit, transform) in zip(numbers, fits, strict=True):
            unseen[folds == k] = transform.back(fit(rows_of(blocks, folds == k)))
    return CrossFitted(candidate, learner.variants, unseen, tuple(fits) if is_kept else (), shared, n_rounds)


def _set_rounds(boosted: Sequence[Boosted]) -> int:
    """Let all folds stop after the same number of rounds, where their mean error is least; return it."""
    if not boosted:
        return 0
    longest = max(len(fit.curve) for fit in boosted)
    curves = [np.pad(fit.curve, (0, longest - len(fit.curve)), mode="edge") for fit in boosted]
    n_rounds = int(np.mean(curves, axis=0).argmin()) + 1
    for fit in boosted:
        fit.n_rounds = min(n_rounds, len(fit.curve))
    return n_rounds


def refitted(done: CrossFitted, blocks: Blocks, targets: Array, seed: int = 0) -> Fit:
    """Fit a candidate once on all rows, with what its folds found out."""
    candidate = done.candidate
    transform = Transform.fit(candidate.transform, targets)
    settings = {**candidate.settings, **({"rounds": done.n_rounds} if done.n_rounds else {})}
    names = tuple(_chosen(blocks, candidate.blocks))
    task = Task(blocks, transform.forward(targets), names, settings, seed, done.shared)
    return LEARNERS[candidate.kind].fit(task), transform


# ---------------------------------------------------------------- ensembles

Loss = Callable[[Array, Array], float]


def absolute_loss(predicted: Array, targets: Array) -> float:
    """Return the mean absolute error."""
    return float(np.abs(predicted - targets).mean())


def squared_loss(predicted: Array, targets: Array) -> float:
    """Return the mean squared error, for 0/1 targets the Brier score."""
    return float(((predicted - targets) ** 2).mean())


MOST_MEMBERS = 24
N_STEPS = 30
N_BAGS = 10


def ensemble_weights(predictions: Array, targets: Array, loss: Loss, seed: int = 0) -> Array:
    """Return non-negative weights that sum to 1, by bagged greedy selection with replacement.

    Every bag chooses among a random half of the candidates, always the best one among them, so that no single
    lucky candidate decides.

    Args:
        predictions: Of rows that the fit had not seen, shape (n, c).
        targets: Shape (n,).
        loss: What is minimised.
        seed: Seed of the bags.

    Returns:
        Weights of shape (c,).
    """
    errors = np.array([loss(column, targets) for column in predictions.T])
    order = np.argsort(errors)[:MOST_MEMBERS]
    random = np.random.default_rng(seed)
    weights = np.zeros(predictions.shape[1])
    for _ in range(N_BAGS):
        others = random.permutation(order[1:])[: max(1, len(order) // 2)]
        weights += _greedy(predictions, targets, np.r_[order[:1], others], loss) / N_BAGS
    return weights


def _greedy(predictions: Array, targets: Array, members: NDArray[np.intp], loss: Loss) -> Array:
    total = np.zeros(len(targets))
    counts = np.zeros(predictions.shape[1])
    best, best_counts = np.inf, counts
    for step in range(1, N_STEPS + 1):
        errors = [loss((total + predictions[:, j]) / step, targets) for j in members]
        chosen = members[int(np.argmin(errors))]
        counts = counts.copy()
        counts[chosen] += 1
        total += predictions[:, chosen]
        if min(errors) < best - 1e-12:
            best, best_counts = min(errors), counts
    return np.asarray(best_counts / best_counts.sum())
