"""Train on any table: a composition, other columns, one number to predict.

The protocol is that of the built-in models. Outer folds are predicted by what the other folds alone chose and fitted:
columns, learners, hyperparameters and the weights of the mixture. Rows of one group, or of one composition if no group
is given, stay on one side of every split. What chooses is the mean absolute error in the unit of the target; for a
target of two values it is the squared error, which keeps predictions probabilities.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen.columns import (
    Columns,
    Features,
    Options,
    Prepared,
    Request,
    balanced_folds,
    columns_of,
    features_of,
    formulas_of,
    is_missing,
    number_in,
    prepare,
    read_columns,
    refuse_bad_rows,
    unreadable_formulas,
)
from nascreen.errors import TableError, shown
from nascreen.gaussian import Array
from nascreen.intervals import COVERAGE, conformal_factor
from nascreen.learners import (
    LEARNERS,
    BlockDistances,
    Boosted,
    Candidate,
    CrossFitted,
    Fit,
    Task,
    cross_fitted,
    ensemble_weights,
    predicted_by,
    refitted,
)
from nascreen.tables import write_table
from nascreen.tracking import tracked_run, usable_folder
from nascreen.training import require

OURS = "nascreen"
BEST_SINGLE = "best single learner"
LEAST_LEVEL_ROWS = 3
MAX_TEXT_DIMENSIONS = 12
MAX_TRIALS = 60
LEAST_REFITTED = 1000
"""Training rows from which members are fitted once more on all; with fewer, the mean over inner folds is steadier."""
LEAST_WEIGHT = 0.02
BASELINE_TREES = 100
MANY_ROWS = 2000
"""Rows beyond which a quick search grows fewer trees."""
UNTUNED: Mapping[str, float | str] = {
    "objective": "reg:squarederror", "max_depth": 6, "learning_rate": 0.3, "subsample": 1.0, "colsample_bytree": 1.0,
    "rounds": 100,
}  # fmt: skip
"""What xgboost does if nothing is said."""
DATABASE = "optuna.db"


# ---------------------------------------------------------------- columns to numbers, fitted on the training side


@dataclass(frozen=True, eq=False)
class Encoder:
    """What turns features into blocks of numbers, fitted on the training side alone.

    Attributes:
        varying: Columns of each composition block that vary.
        levels: Levels of each column of categories that get a column of their own.
        projections: What turns each column of texts into a few numbers.
    """

    varying: Mapping[str, NDArray[np.intp]]
    levels: Sequence[Sequence[str]]
    projections: Sequence[Callable[[Sequence[str]], Array]]

    @classmethod
    def fit(cls, features: Features) -> Encoder:
        """Return the encoder of the training rows."""
        varying = {
            name: np.flatnonzero(np.nanmax(np.nan_to_num(block), axis=0) > np.nanmin(np.nan_to_num(block), axis=0))
            for name, block in features.composition.items()
        }
        levels = [_common_levels(cells) for cells in features.categories]
        return cls(varying, levels, [_text_projection(cells) for cells in features.texts])

    def blocks(self, features: Features) -> dict[str, Array]:
        """Return the blocks of rows: those of the composition, and ``table`` for all other columns."""
        blocks = {name: block[:, self.varying[name]] for name, block in features.composition.items()}
        parts = [features.numbers]
        for cells, levels in zip(features.categories, self.levels, strict=True):
            parts += [np.array([[float(cell == level) for level in levels] for cell in cells]).reshape(len(cells), -1)]
        parts += [project(cells) for cells, project in zip(features.texts, self.projections, strict=True)]
        table = np.hstack(parts)
        return {**blocks, "table": table} if table.shape[1] else blocks


def _common_levels(cells: Sequence[str]) -> list[str]:
    names, counts = np.unique(np.array(cells, dtype=object).astype(str), return_counts=True)
    return [str(name) for name, n in zip(names, counts, strict=True) if n >= min(LEAST_LEVEL_ROWS, len(cells) // 2)]


_WORD = re.compile(r"[A-Za-z]+|[0-9]+(?:\.[0-9]+)?")


def _words(cell: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(cell)]


def _text_projection(cells: Sequence[str]) -> Callable[[Sequence[str]], Array]:
    """Return what turns texts into a few numbers: words weighted by rarity, then their main directions."""
    counts: dict[str, int] = {}
    for cell in cells:
        for word in set(_words(cell)):
            counts[word] = counts.get(word, 0) + 1
    known = [(word, n) for word, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n > 2][:1000]
    if not known:
        return lambda new: np.empty((len(new), 0))
    place = {word: i for i, (word, _) in enumerate(known)}
    rarity = np.array([np.log((1 + len(cells)) / (1 + n)) + 1 for _, n in known])

    def weighted(new: Sequence[str]) -> Array:
        out = np.zeros((len(new), len(known)))
        for row, cell in zip(out, new, strict=True):
            for word in _words(cell):
                if word in place:
                    row[place[word]] += rarity[place[word]]
        return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9))

    values = weighted(cells)
    _, vectors = np.linalg.eigh(values.T @ values)
    axes = vectors[:, ::-1][:, :MAX_TEXT_DIMENSIONS]
    return lambda new: np.asarray(weighted(new) @ axes)


# ---------------------------------------------------------------- candidates

EVERYTHING = ("fraction", "magpie", "derived", "field", "table")
AMOUNTS = ("fraction", "table")
PROPERTIES = ("magpie", "derived", "table")
SQUARED = {"objective": "reg:squarederror"}


def _few_trees(n_rows: int) -> int:
    """Return how many trees a quick forest has on many rows."""
    return min(100, max(20, 100 * MANY_ROWS // n_rows))


def portfolio(names: Sequence[str], n_rows: int, transform: str, *, is_quick: bool) -> list[Candidate]:
    """Return the candidates that every table tries, the most promising first.

    Args:
        names: Blocks that the table has.
        n_rows: Training rows.
        transform: What the targets are brought through.
        is_quick: Whether only the first few are wanted.
    """
    smooth = ("fraction", "magpie", "derived", "table")
    few = {"trees": _few_trees(n_rows)} if is_quick and n_rows > MANY_ROWS else {}
    listed = [
        Candidate("extra trees", EVERYTHING, {"min_samples_leaf": 2, **few}, transform),
        Candidate("median", EVERYTHING, {}, transform),
        Candidate("extra trees", AMOUNTS, {"max_features": 0.66}, transform),
        Candidate("xgboost", EVERYTHING, SQUARED, transform),
        Candidate("gaussian process", smooth, {}, transform),
        Candidate("extra trees", PROPERTIES, {"max_features": 0.5}, transform),
        Candidate("support vectors", AMOUNTS, {"gamma": 1.0}, transform),
        Candidate("xgboost", EVERYTHING, {}, transform),
        Candidate("gaussian process", AMOUNTS, {}, transform),
        Candidate("extra trees", AMOUNTS, {"max_features": 1.0, "min_samples_leaf": 2}, transform),
        Candidate("support vectors", EVERYTHING, {}, transform),
        Candidate("random forest", EVERYTHING, {}, transform),
        Candidate("neighbours", AMOUNTS, {}, transform),
        Candidate("ridge", EVERYTHING, {}, transform),
        Candidate("extra trees", ("table",), {"max_features": 0.66}, transform),
        Candidate("extra trees", ("fraction", "magpie", "derived"), {}, transform),
        Candidate("xgboost", AMOUNTS, {"max_depth": 4, "colsample_bytree": 0.6}, transform),
        Candidate("network", EVERYTHING, {}, transform),
        Candidate("xgboost", PROPERTIES, {**SQUARED, "max_depth": 8, "min_child_weight": 3}, transform),
    ]
    chosen: dict[tuple[Any, ...], Candidate] = {}
    for candidate in listed:
        seen = tuple(name for name in candidate.blocks if name in names)
        learner = LEARNERS[candidate.kind]
        if seen and learner.least_rows <= n_rows <= learner.most_rows:
            key = (candidate.kind, seen, tuple(candidate.settings.items()))
            chosen.setdefault(key, Candidate(candidate.kind, seen, candidate.settings, transform))
    return list(chosen.values())[: 10 if is_quick else None]


def suggested(trial: Any, names: Sequence[str], n_rows: int, transform: str) -> Candidate:  # noqa: ANN401
    """Return the candidate that an Optuna trial proposes."""
    choices = {"everything": EVERYTHING, "amounts": AMOUNTS, "properties": PROPERTIES}
    kinds = ["extra trees", "xgboost"] + ["support vectors"] * (n_rows <= LEARNERS["support vectors"].most_rows)
    kind = trial.suggest_categorical("kind", kinds)
    wanted = choices[trial.suggest_categorical("blocks", list(choices))]
    if kind == "extra trees":
        settings: dict[str, float | str] = {
            "max_features": trial.suggest_float("max_features", 0.1, 1.0),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 5),
        }
    elif kind == "xgboost":
        settings = {
            "objective": trial.suggest_categorical("objective", ["reg:absoluteerror", "reg:squarederror"]),
            "max_depth": trial.suggest_int("max_depth", 2, 10),
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
            "subsample": trial.suggest_float("subsample", 0.4, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.1, 1.0),
            "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 20, log=True),
            "reg_lambda": trial.suggest_float("reg_lambda", 0.01, 30, log=True),
        }
    else:
        settings = {
            "C": trial.suggest_float("C", 0.5, 300, log=True),
            "gamma": trial.suggest_float("gamma", 0.05, 5, log=True),
            "epsilon": trial.suggest_float("epsilon", 0.003, 0.3, log=True),
        }
    present = tuple(name for name in wanted if name in names) or tuple(names)
    return Candidate(kind, present, settings, transform)


# ---------------------------------------------------------------- the search on one training side


@dataclass(frozen=True, eq=False)
class Training:
    """The training side of one split.

    Attributes:
        blocks: Its rows as numbers.
        targets: Its targets.
        folds: Inner fold of each row.
        prepared: The table that it comes from.
        seed: Seed of everything random.
        groups: What stays together, of each row.
    """

    blocks: Mapping[str, Array]
    targets: Array
    folds: NDArray[np.intp]
    prepared: Prepared
    seed: int
    groups: Sequence[str]

    @property
    def center(self) -> float:
        """What is predicted where nothing is known: the median, or the mean of targets of two values."""
        return float(self.targets.mean() if self.prepared.is_binary else np.median(self.targets))


Fits = tuple[Fit, ...]


@dataclass(frozen=True, eq=False)
class Choice:
    """What one training side chose, fitted.

    Attributes:
        members: Names of the mixture's members, largest weight first.
        weights: Their weights, which sum to 1.
        errors: Error of each member on training rows that its fits had not seen.
        n_tried: How many candidates were fitted, tuning included.
        n_trials: How many of them tuning proposed.
        transform: What the targets were brought through.
        single: The fits of the best single learner and which variant it is.
        mixture: The fits of each member with their weights by variant.
        widths: Offset and factor that turn disagreement of members into a half width.
        center: What is predicted where nothing is known.
        share: How far predictions go from there to the mixture; 1 where the mixture is surely better.
    """

    members: tuple[str, ...]
    weights: tuple[float, ...]
    errors: tuple[float, ...]
    n_tried: int
    n_trials: int
    transform: str
    single: tuple[Fits, int]
    mixture: tuple[tuple[Fits, Array], ...]
    widths: tuple[float, float]
    center: float
    share: float

    def predict(self, blocks: Mapping[str, Array]) -> tuple[Array, Array]:
        """Return the mixture's predictions and half the widths of their 90 % intervals, each of shape (m,)."""
        predictions = np.hstack([predicted_by(fits, blocks) for fits, _ in self.mixture])
        weights = np.concatenate([share for _, share in self.mixture])
        offset, factor = self.widths
        mixed = self.center + self.share * (predictions @ weights - self.center)
        return mixed, factor * (offset + _disagreement(predictions, weights))

    def predict_single(self, blocks: Mapping[str, Array]) -> Array:
        """Return the predictions of the best single learner, shape (m,)."""
        fits, column = self.single
        return predicted_by(fits, blocks)[:, column]

    def record(self) -> dict[str, Any]:
        """Return the choice as it is written to ``choice.json``."""
        return {
            "target_transform": self.transform,
            "candidates_fitted": self.n_tried,
            "of_them_by_tuning": self.n_trials,
            "share_of_mixture": round(self.share, 4),
            "members": [
                {"name": name, "weight": round(weight, 4), "error_on_unseen_training_rows": round(error, 6)}
                for name, weight, error in zip(self.members, self.weights, self.errors, strict=True)
            ],
        }


Report = Callable[[str], None]


class Clock:
    """Time that one split may take, and what candidates took in splits before."""

    def __init__(self, costs: dict[str, float]) -> None:
        """Keep the costs of candidates, in seconds, shared by all splits."""
        self.costs = costs
        self.deadline = 0.0

    @property
    def left(self) -> float:
        """Seconds left for this split."""
        return self.deadline - time.monotonic()

    def allows(self, name: str) -> bool:
        """Return whether a candidate is likely to end in time."""
        return self.left > self.costs.get(name, 0.0)


def _n_inner(n_rows: int, *, is_quick: bool) -> int:
    n_folds = 8 if n_rows < 1000 else 5 if n_rows < 4000 else 4
    return min(5 if n_rows < LEAST_REFITTED else 3, n_folds) if is_quick else n_folds


def training_side(prepared: Prepared, rows: NDArray[np.intp], options: Options) -> tuple[Training, Encoder]:
    """Return the training side of a split as numbers, with its inner folds."""
    features = prepared.features.take(rows)
    encoder = Encoder.fit(features)
    groups = [prepared.groups[i] for i in rows]
    n_folds = min(_n_inner(len(rows), is_quick=options.is_quick), len(set(groups)))
    if n_folds < 2:
        raise TableError("One training side holds a single group; give more groups, or another folds column.")
    folds = balanced_folds(groups, n_folds, options.seed + 1)
    return Training(encoder.blocks(features), prepared.targets[rows], folds, prepared, options.seed, groups), encoder


def _transforms(training: Training) -> list[str]:
    """Return the transforms that are worth trying besides none."""
    targets = training.targets
    if training.prepared.is_binary or training.prepared.request.is_log:
        return []
    centered = targets - targets.mean()
    skewness = float((centered**3).mean() / max((centered**2).mean(), 1e-300) ** 1.5)
    if abs(skewness) < 1:
        return []
    return ["log"] if targets.min() >= 0 and skewness > 0 else ["quantile"]


@dataclass(eq=False)
class Library:
    """Everything fitted on one training side."""

    training: Training
    clock: Clock
    report: Report
    fitted: list[CrossFitted] = field(default_factory=list)

    def fit(self, candidate: Candidate, stop: Callable[[int, Array], bool] | None = None) -> CrossFitted | None:
        """Fit a candidate on every inner fold and keep it, unless time runs out."""
        self.report(candidate.name)
        started = time.monotonic()
        n_folds = len(np.unique(self.training.folds))

        def is_late(n_done: int, unseen: Array) -> bool:
            projected = (time.monotonic() - started) / n_done * n_folds
            self.clock.costs[candidate.name] = projected
            is_over = bool(self.fitted) and started + projected > self.clock.deadline + 0.1 * projected
            return is_over or (stop is not None and stop(n_done, unseen))

        done = cross_fitted(
            candidate, self.training.blocks, self.training.targets, self.training.folds,
            seed=self.training.seed, is_kept=len(self.training.targets) < LEAST_REFITTED, stop=is_late,
        )  # fmt: skip
        if done is not None:
            self.fitted.append(done)
        return done

    def error(self, done: CrossFitted) -> float:
        """Return the error of the best variant on rows its fits had not seen."""
        return min(self.training.prepared.loss(column, self.training.targets) for column in done.unseen.T)


def _best_transform(library: Library, first: Candidate) -> str:
    """Fit the first candidate with and without a transform and return the better one."""
    errors = {}
    for transform in ["identity", *_transforms(library.training)]:
        candidate = Candidate(first.kind, first.blocks, first.settings, transform)
        if not library.fitted or library.clock.allows(candidate.name):
            done = library.fit(candidate)
            if done is not None:
                errors[transform] = library.error(done)
    return min(errors, key=lambda name: errors[name])


def _study(options: Options, name: str) -> Any:  # noqa: ANN401
    optuna = require("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{(options.out / DATABASE).resolve()}" if options.out else None
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
    )
    # A study that is resumed must not draw its first proposals again.
    study.sampler = optuna.samplers.TPESampler(seed=options.seed + len(study.trials), n_startup_trials=12)
    return study


def _tune(library: Library, options: Options, transform: str, name: str) -> int:
    """Let Optuna propose candidates while time is left; return how many were fitted."""
    optuna = require("optuna")
    study = _study(options, name)
    for trial in sorted((t for t in study.trials if t.value is not None), key=lambda t: t.value)[:3]:
        study.enqueue_trial(trial.params)
    names = list(library.training.blocks)
    n_before = len(library.fitted)

    def objective(trial: Any) -> float:  # noqa: ANN401
        def is_pruned(n_done: int, unseen: Array) -> bool:
            known = ~np.isnan(unseen[:, 0])
            targets = library.training.targets[known]
            trial.report(min(library.training.prepared.loss(c, targets) for c in unseen[known].T), n_done)
            return bool(trial.should_prune())

        done = library.fit(suggested(trial, names, len(library.training.targets), transform), is_pruned)
        if done is None:
            raise optuna.TrialPruned
        return library.error(done)

    longest = max(library.clock.costs.values(), default=1.0)
    while library.clock.left > 0.3 * longest and len(study.trials) < 3 * MAX_TRIALS:
        if len(library.fitted) - n_before >= MAX_TRIALS:
            break
        study.optimize(objective, n_trials=1, catch=(np.linalg.LinAlgError,))
    return len(library.fitted) - n_before


def search(
    training: Training, options: Options, clock: Clock, name: str, report: Report = lambda _what: None
) -> Choice:
    """Fit candidates on a training side until time is up, and mix them.

    Args:
        training: The training side.
        options: How much work is done.
        clock: When to end.
        name: Name of the tuning study.
        report: Called with what is being fitted.
    """
    library = Library(training, clock, report)
    names, n_rows = list(training.blocks), len(training.targets)
    if n_rows >= LEAST_REFITTED:
        clock.deadline -= clock.left / (len(np.unique(training.folds)) + 1)
    first = portfolio(names, n_rows, "identity", is_quick=options.is_quick)[0]
    transform = _best_transform(library, first)
    for candidate in portfolio(names, n_rows, transform, is_quick=options.is_quick)[1:]:
        if clock.left > 0 and clock.allows(candidate.name):
            with contextlib.suppress(np.linalg.LinAlgError):
                library.fit(candidate)
    n_trials = 0 if options.is_quick or clock.left <= 0 else _tune(library, options, transform, name)
    return _mixed(library, transform, n_trials)


def _mixed(library: Library, transform: str, n_trials: int) -> Choice:
    training, loss = library.training, library.training.prepared.loss
    unseen = np.hstack([done.unseen for done in library.fitted])
    errors = np.array([loss(column, training.targets) for column in unseen.T])
    weights = ensemble_weights(unseen, training.targets, loss, training.seed)
    weights = np.where(weights >= LEAST_WEIGHT, weights, 0.0) / weights[weights >= LEAST_WEIGHT].sum()
    share = _sure_share(training, unseen @ weights)
    mixed = training.center + share * (unseen @ weights - training.center)
    residuals = np.abs(mixed - training.targets)
    offset = float(np.median(residuals)) + 1e-12
    factor = conformal_factor(residuals / (offset + _disagreement(unseen, weights)), COVERAGE)
    names = [name for done in library.fitted for name in done.names()]
    order = [int(j) for j in np.argsort(-weights) if weights[j] > 0]
    best = int(errors.argmin())
    mixture: list[tuple[Fits, Array]] = []
    start = 0
    single: tuple[Fits, int] = ((), 0)
    for done in library.fitted:
        stop = start + len(done.variants)
        is_best = start <= best < stop
        if weights[start:stop].any() or is_best:
            library.report(f"{done.candidate.name}, all rows")
            fits = done.fits or (refitted(done, training.blocks, training.targets, training.seed),)
            if is_best:
                single = (fits, best - start)
            mixture.append((fits, weights[start:stop]))
        start = stop
    return Choice(
        tuple(names[j] for j in order), tuple(float(weights[j]) for j in order), tuple(float(errors[j]) for j in order),
        len(library.fitted), n_trials, transform, single, tuple(mixture), (offset, factor),
        training.center, share,
    )  # fmt: skip


def _sure_share(training: Training, mixed: Array) -> float:
    """Return how many standard errors a mixture is ahead of the centre alone, at least 0 and at most 1.

    On a few dozen rows a mixture may look better by luck; then predictions stay near the centre. The standard error is
    that over groups. A continuous form of the one-standard-error rule: L. Breiman et al., Classification and Regression
    Trees (Wadsworth, 1984), section 3.4.3.

    Args:
        training: The training side.
        mixed: What the mixture says of rows that its fits had not seen.
    """
    center = np.empty(len(mixed))
    for k in np.unique(training.folds):
        known = training.targets[training.folds != k]
        center[training.folds == k] = known.mean() if training.prepared.is_binary else np.median(known)
    power = 2 if training.prepared.is_binary else 1
    gain = np.abs(center - training.targets) ** power - np.abs(mixed - training.targets) ** power
    _, group = np.unique(np.array(training.groups, dtype=object).astype(str), return_inverse=True)
    by_group = np.bincount(group, gain - gain.mean())
    error = float(np.sqrt(np.square(by_group).sum())) / len(gain)
    return float(np.clip(gain.mean() / max(error, 1e-300), 0.0, 1.0))


def _disagreement(predictions: Array, weights: Array) -> Array:
    """Return the weighted standard deviation of the members for each row."""
    mean = predictions @ weights
    return np.sqrt(np.maximum((predictions - mean[:, None]) ** 2 @ weights, 0.0))


# ---------------------------------------------------------------- baselines


def baselines(training: Training, new: Mapping[str, Array], options: Options) -> dict[str, Array]:
    """Predict new rows by the median, the nearest row, untuned boosting, and the field's default, Magpie and forest."""
    targets = training.targets
    n_new = len(next(iter(new.values())))
    names = tuple(name for name in ("fraction", "table") if name in training.blocks)
    squares = BlockDistances.fit(training.blocks, names).to_training(new)
    # Among rows of one composition the other columns decide.
    distance = squares[names[0]].round(9) + 1e-4 * squares[names[-1]]
    seen = tuple(name for name in ("magpie", "table") if name in training.blocks)
    n_trees = _few_trees(len(targets)) if options.is_quick else BASELINE_TREES
    settings = {"max_features": 1.0, "trees": min(BASELINE_TREES, n_trees)}
    forest = LEARNERS["random forest"].fit(Task(training.blocks, targets, seen, settings, training.seed))
    boosted = Boosted(Task(training.blocks, targets, seen, UNTUNED, training.seed))
    title = "Magpie and random forest" if "magpie" in seen else "random forest"
    return {
        title: forest(new)[:, 0],
        "untuned xgboost": boosted(new)[:, 0],
        "nearest neighbour": targets[distance.argmin(axis=1)],
        "mean" if training.prepared.is_binary else "median": np.full(n_new, training.center),
    }


# ---------------------------------------------------------------- scores


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of one model on one fold, or their mean over folds.

    Attributes:
        model: Name of the model or baseline.
        fold: Name of the fold; ``all`` for the mean over folds.
        n_rows: Rows scored.
        mae: Mean absolute error.
        rmse: Root mean squared error.
        r2: Coefficient of determination; NaN where all rows have one value.
        roc_auc: Area under the ROC curve for targets of two values; NaN otherwise.
        mae_spread: Standard deviation of `mae` over folds.
        rmse_spread: Standard deviation of `rmse` over folds.
    """

    model: str
    fold: str
    n_rows: int
    mae: float
    rmse: float
    r2: float
    roc_auc: float
    mae_spread: float = float("nan")
    rmse_spread: float = float("nan")


def roc_auc(predicted: Array, targets: Array) -> float:
    """Return the share of pairs in the right order, ties counting half; NaN unless there are two values.

    >>> roc_auc(np.array([0.1, 0.4, 0.9]), np.array([0.0, 1.0, 1.0]))
    1.0
    """
    from scipy.stats import rankdata

    values = np.unique(targets)
    if len(values) != 2:
        return float("nan")
    is_upper = targets == values[1]
    n_upper, n_lower = int(is_upper.sum()), int((~is_upper).sum())
    total = float(rankdata(predicted)[is_upper].sum())
    return (total - n_upper * (n_upper + 1) / 2) / (n_upper * n_lower)


def _score(model: str, fold: str, predicted: Array, targets: Array) -> Score:
    error = predicted - targets
    variance = float(targets.var())
    return Score(
        model, fold, len(targets), float(np.abs(error).mean()), float(np.sqrt((error**2).mean())),
        1 - float((error**2).mean()) / variance if variance > 0 else float("nan"), roc_auc(predicted, targets),
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _overall(scores: Sequence[Score]) -> Score:
    """Return the mean over folds, which is how published tables are scored."""
    mae, rmse = [s.mae for s in scores], [s.rmse for s in scores]
    return Score(
        scores[0].model, "all", sum(s.n_rows for s in scores), _mean(mae), _mean(rmse), _mean([s.r2 for s in scores]),
        _mean([s.roc_auc for s in scores]), float(np.std(mae)), float(np.std(rmse)),
    )  # fmt: skip


# ---------------------------------------------------------------- the result


@dataclass(frozen=True, slots=True)
class PredictedRow:
    """One prediction of a row by what had not seen it, in the unit of the table.

    Attributes:
        row: Number of the row below the header, from 1.
        fold: Name of its fold.
        measured: The target; NaN where it is not known.
        predicted: The prediction.
        lo: Lower end of the 90 % interval.
        hi: Upper end.
    """

    row: int
    fold: str
    measured: float
    predicted: float
    lo: float
    hi: float


@dataclass(eq=False)
class TableResult:
    """What training on a table gave.

    Attributes:
        prepared: The table as it was read.
        options: How much work was done.
        rows: Predictions, each by fits that had not seen the row.
        scores: Every model and baseline on every fold, then the means over folds.
        choices: What each training side chose, by fold.
        coverage: Share of measured rows inside their 90 % interval; NaN if none is measured.
        seconds: How long it took.
    """

    prepared: Prepared
    options: Options
    rows: tuple[PredictedRow, ...]
    scores: tuple[Score, ...]
    choices: Mapping[str, Choice]
    coverage: float
    seconds: float
    _final: tuple[Choice, Encoder] | None = None

    @property
    def summary(self) -> list[Score]:
        """The means over folds, best first."""
        means = [score for score in self.scores if score.fold == "all"]
        return sorted(means, key=lambda s: s.rmse if self.prepared.is_binary else s.mae)

    def predict(self, table: Any) -> list[PredictedRow]:  # noqa: ANN401
        """Predict the rows of another table by a fit on all rows of this one.

        Args:
            table: Whatever `fit_table` takes, with the same columns; the target may be missing.

        Raises:
            TableError: If a column is missing or a formula cannot be read.
        """
        if self._final is None:
            self._final = self._fit_final()
        other = _other_rows(self.prepared, columns_of(table))
        choice, encoder = self._final
        predicted, spread = choice.predict(encoder.blocks(other.features))
        return _predicted_rows(self.prepared, other.rows, "new", other.measured, predicted, spread)

    def _fit_final(self) -> tuple[Choice, Encoder]:
        training, encoder = training_side(self.prepared, np.arange(len(self.prepared.targets)), self.options)
        clock = Clock({})
        clock.deadline = time.monotonic() + self.options.seconds / (len(self.prepared.splits) + 1)
        return search(training, self.options, clock, _study_name(self.prepared, "all")), encoder


@dataclass(frozen=True, eq=False)
class OtherRows:
    """Rows of another table, read by the roles of the first.

    Attributes:
        rows: Their positions.
        features: Their features.
        measured: Their targets in the unit of the table, NaN where not known.
        bad: Rows left aside, with the reason.
    """

    rows: tuple[int, ...]
    features: Features
    measured: Array
    bad: Mapping[int, str]


def _other_rows(prepared: Prepared, columns: Columns) -> OtherRows:
    roles, request = prepared.roles, prepared.request
    wanted = [*filter(None, [roles.formula]), *roles.numbers, *roles.categories, *roles.texts, *roles.parts]
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise TableError(
            f"The table to predict has no column {', '.join(map(shown, missing[:5]))}, which the model learned from; "
            "add it, empty where the value is not known."
        )
    n_rows = len(next(iter(columns.values())))
    formulas = formulas_of(columns, roles, range(n_rows)) if roles.has_composition else dict.fromkeys(range(n_rows), "")
    bad = unreadable_formulas(formulas) if roles.has_composition else {}
    if not request.is_skipping:
        refuse_bad_rows(bad)
    kept = {i: formula for i, formula in formulas.items() if i not in bad}
    if not kept:
        raise TableError("The table to predict has no row that can be used.")
    cells = columns.get(request.target, [""] * n_rows)
    measured = np.array([np.nan if is_missing(cells[i]) else number_in(cells[i]) for i in kept])
    return OtherRows(tuple(kept), features_of(columns, roles, kept), measured, bad)


def _predicted_rows(
    prepared: Prepared, rows: Sequence[int], fold: str, measured: Array, predicted: Array, spread: Array
) -> list[PredictedRow]:
    low, high = predicted - spread, predicted + spread
    if prepared.is_binary:
        ends = float(prepared.targets.min()), float(prepared.targets.max())
        predicted, low, high = (np.clip(values, *ends) for values in (predicted, low, high))
    values = (prepared.measured(part) for part in (predicted, low, high))
    return [
        PredictedRow(row + 1, fold, float(m), float(p), float(lo), float(hi))
        for row, m, p, lo, hi in zip(rows, measured, *values, strict=True)
    ]


# ---------------------------------------------------------------- training

OnStep = Callable[[str, int], None]


def _silent(_what: str, _done: int) -> None:
    """Say nothing of a step."""


def fit_table(
    table: Any,  # noqa: ANN401
    target: str,
    *,
    formula: str = "",
    group: str = "",
    folds: str = "",
    is_log: bool = False,
    options: Options | None = None,
) -> TableResult:
    """Cross-validate on a table, everything chosen inside the training side.

    Args:
        table: A pandas frame, a mapping of columns or a sequence of row mappings.
        target: Column to predict: numbers, or true and false.
        formula: Column of formulas; found by itself if empty.
        group: Column whose values stay together in every split.
        folds: Column whose values are the outer folds.
        is_log: Learn and score log10 of the target.
        options: How much work is done.

    Returns:
        Out-of-fold predictions with intervals, scores beside baselines, and what was chosen.

    Raises:
        TableError: If the table cannot be learned from as asked.
        RangeError: If the options cannot be met.
    """
    request = Request(target, formula, group, folds, is_log=is_log)
    options = options or Options()
    return cross_validated(prepare(columns_of(table), request, options), options)


def cross_validated(prepared: Prepared, options: Options, on_step: OnStep = _silent) -> TableResult:
    """Predict every outer fold by what the other folds alone chose and fitted.

    Args:
        prepared: The table.
        options: How much work is done.
        on_step: Called with what is being fitted and the number of folds done.
    """
    started = time.monotonic()
    everything = np.arange(len(prepared.targets))
    costs: dict[str, float] = {}
    rows: list[PredictedRow] = []
    scores: list[Score] = []
    choices: dict[str, Choice] = {}
    for n_done, (name, test) in enumerate(prepared.splits):
        clock = Clock(costs)
        clock.deadline = time.monotonic() + (options.seconds - (time.monotonic() - started)) / (
            len(prepared.splits) - n_done
        )
        training, encoder = training_side(prepared, np.setdiff1d(everything, test), options)
        new = encoder.blocks(prepared.features.take(test))
        on_step("baselines", n_done)
        found = baselines(training, new, options)
        choice = search(training, options, clock, _study_name(prepared, name), partial(_said, on_step, n_done))
        predicted, spread = choice.predict(new)
        choices[name] = replace(choice, single=((), 0), mixture=())
        targets = prepared.targets[test]
        for model, values in {OURS: predicted, BEST_SINGLE: choice.predict_single(new), **found}.items():
            scores.append(_score(model, name, values, targets))
        positions = [prepared.rows[i] for i in test]
        rows += _predicted_rows(prepared, positions, name, prepared.measured(targets), predicted, spread)
        on_step("", n_done + 1)
    scores += [_overall([s for s in scores if s.model == model]) for model in dict.fromkeys(s.model for s in scores)]
    return TableResult(
        prepared, options, tuple(rows), tuple(scores), choices, _coverage(rows), time.monotonic() - started
    )


def _said(on_step: OnStep, n_done: int, what: str) -> None:
    on_step(what, n_done)


def _study_name(prepared: Prepared, fold: str) -> str:
    """Return a name that changes with the rows, so that a study is only resumed on the same ones."""
    digest = hashlib.sha256(prepared.targets.tobytes())
    digest.update("\n".join(prepared.groups).encode())
    digest.update(repr([split[1].tolist() for split in prepared.splits]).encode())
    return f"{prepared.request.target}-{digest.hexdigest()[:12]}-fold-{fold}"


def _coverage(rows: Sequence[PredictedRow]) -> float:
    inside = [r.lo <= r.measured <= r.hi for r in rows if not np.isnan(r.measured)]
    return float(np.mean(inside)) if inside else float("nan")


def predicted_table(
    prepared: Prepared,
    columns: Columns,
    options: Options,
    on_step: OnStep = _silent,
) -> tuple[TableResult, OtherRows]:
    """Fit on all rows of one table and predict another, scored where its target is known.

    Raises:
        TableError: If the other table lacks a column or has a formula that cannot be read.
    """
    started = time.monotonic()
    other = _other_rows(prepared, columns)
    training, encoder = training_side(prepared, np.arange(len(prepared.targets)), options)
    new = encoder.blocks(other.features)
    clock = Clock({})
    clock.deadline = started + options.seconds
    on_step("baselines", 0)
    found = baselines(training, new, options)
    choice = search(training, options, clock, _study_name(prepared, "all"), partial(_said, on_step, 0))
    predicted, spread = choice.predict(new)
    rows = _predicted_rows(prepared, other.rows, "test", other.measured, predicted, spread)
    known = ~np.isnan(other.measured) & ((other.measured > 0) | (not prepared.request.is_log))
    scores: list[Score] = []
    if known.any():
        targets = np.log10(other.measured[known]) if prepared.request.is_log else other.measured[known]
        for model, values in {OURS: predicted, BEST_SINGLE: choice.predict_single(new), **found}.items():
            scores.append(_score(model, "test", values[known], targets))
        scores += [_overall([score]) for score in list(scores)]
    on_step("", 1)
    result = TableResult(
        prepared, options, tuple(rows), tuple(scores), {"test": choice}, _coverage(rows), time.monotonic() - started
    )
    return result, other


# ---------------------------------------------------------------- the command's job

PREDICTIONS, SCORES, CHOICE, ASIDE = "predictions.csv", "scores.csv", "choice.json", "rows_left_aside.csv"


def train_on_table(path: Path, request: Request, options: Options, test_path: Path | None = None) -> TableResult:
    """Do what ``nascreen train --table`` does: read, train, track in MLflow, write the results.

    Args:
        path: CSV to learn from, plain or gzipped.
        request: What is to be learned.
        options: How much work is done; with a folder for the results.
        test_path: CSV to predict by a fit on all rows; without it the rows are cross-validated.

    Returns:
        The result, as it was written.

    Raises:
        InputError: If a table, a name or a number cannot be used.
    """
    if test_path is not None and request.folds:
        raise TableError(
            "With a test table there are no folds to take from a column; leave out --folds or --test-table."
        )
    out = options.out or Path("results")
    options = replace(options, out=out)
    options.check()
    usable_folder(out)
    columns = read_columns(path)
    other = read_columns(test_path) if test_path else None
    prepared = prepare(columns, request, options)
    parameters = {
        "data_hash": hashlib.sha256(path.read_bytes()).hexdigest(), "table": path.name, "target": request.target,
        "is_log": request.is_log, "group": request.group, "folds": request.folds, "n_rows": len(prepared.targets),
        "minutes": options.minutes, "is_quick": options.is_quick, "seed": options.seed,
    }  # fmt: skip
    with tracked_run(f"table {path.stem}", parameters, out) as mlflow:
        result, bad = _with_progress(prepared, other, options)
        write_results(result, out, bad)
        _track(mlflow, result, out)
    return result


def _with_progress(
    prepared: Prepared, other: Columns | None, options: Options
) -> tuple[TableResult, Mapping[str, Mapping[int, str]]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(prepared.splits) if other is None else 1)

        def on_step(what: str, n_done: int) -> None:
            progress.update(task, completed=n_done, description=what)

        if other is None:
            return cross_validated(prepared, options, on_step), {"table": prepared.bad}
        result, rows = predicted_table(prepared, other, options, on_step)
        return result, {"table": prepared.bad, "test table": rows.bad}


def write_results(result: TableResult, folder: Path, bad: Mapping[str, Mapping[int, str]] | None = None) -> None:
    """Write predictions, scores and choices, and the rows left aside if there are any.

    Raises:
        TableError: If a file cannot be written.
    """
    rows = [
        {name: _cell(getattr(row, name)) for name in ("row", "fold", "measured", "predicted", "lo", "hi")}
        for row in result.rows
    ]
    write_table(folder / PREDICTIONS, list(rows[0]), rows)
    scores = [{name: _cell(getattr(score, name)) for name in score.__slots__} for score in result.scores]
    write_table(folder / SCORES, list(Score.__slots__), scores)
    record = {
        "target": result.prepared.request.target,
        "scored_as": "log10 of the target" if result.prepared.request.is_log else "the target",
        "chosen_by": "squared error" if result.prepared.is_binary else "mean absolute error",
        "notes": list(result.prepared.notes),
        "interval_coverage": None if np.isnan(result.coverage) else round(result.coverage, 4),
        "folds": {name: choice.record() for name, choice in result.choices.items()},
        "over_folds": mean_weights(result.choices),
    }
    text = json.dumps(record, ensure_ascii=False, indent=1)
    try:
        (folder / CHOICE).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise TableError(f"The file {shown(str(folder / CHOICE))} cannot be written: {error.strerror}.") from error
    aside = [
        {"table": table, "row": str(row + 1), "reason": why}
        for table, found in (bad or {}).items()
        for row, why in found.items()
    ]
    if aside:
        write_table(folder / ASIDE, ["table", "row", "reason"], aside)


def _cell(value: str | float) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.6g}"
    return str(value)


def mean_weights(choices: Mapping[str, Choice]) -> dict[str, float]:
    """Return the weight of each member averaged over folds, largest first."""
    totals: dict[str, float] = {}
    for choice in choices.values():
        for name, weight in zip(choice.members, choice.weights, strict=True):
            totals[name] = totals.get(name, 0.0) + weight / len(choices)
    return {name: round(weight, 4) for name, weight in sorted(totals.items(), key=lambda item: -item[1])}


def _track(mlflow: Any, result: TableResult, folder: Path) -> None:  # noqa: ANN401
    """Log the means to the run, one nested run for each fold, and the files."""
    for score in result.summary:
        name = score.model.replace(" ", "_")
        mlflow.log_metrics({f"{key}/{name}": value for key, value in _metrics(score).items()})
    for fold, choice in result.choices.items():
        with mlflow.start_run(run_name=f"fold {fold}", nested=True):
            mlflow.log_params({"fold": fold, "target_transform": choice.transform, "n_candidates": choice.n_tried,
                               "best_member": choice.members[0][:500]})  # fmt: skip
            for score in result.scores:
                if score.fold == fold:
                    name = score.model.replace(" ", "_")
                    mlflow.log_metrics({f"{key}/{name}": value for key, value in _metrics(score).items()})
    for name in (PREDICTIONS, SCORES, CHOICE):
        mlflow.log_artifact(str(folder / name))


def _metrics(score: Score) -> dict[str, float]:
    values = {"mae": score.mae, "rmse": score.rmse, "r2": score.r2, "roc_auc": score.roc_auc}
    return {name: value for name, value in values.items() if not np.isnan(value)}


def report_lines(result: TableResult) -> list[str]:
    """Return what people should read besides the score table."""
    prepared, folder = result.prepared, result.options.out
    known = sum(not np.isnan(row.measured) for row in result.rows)
    lines = [
        f"{len(prepared.targets)} rows were learned from, {len(result.rows)} predicted in {result.seconds:.0f} s.",
        *prepared.notes,
    ]
    if known:
        lines.append(f"{100 * result.coverage:.0f} % of {known} measured values lie inside their 90 % interval.")
    chosen = list(mean_weights(result.choices).items())[:3]
    lines.append("Most weight: " + "; ".join(f"{name} ({weight:.0%})" for name, weight in chosen) + ".")
    lines.append(f"Written to {folder}: {PREDICTIONS}, {SCORES}, {CHOICE}; tracked in {folder}/mlflow.db.")
    return lines


def print_report(result: TableResult) -> None:
    """Print the score table, best first, and what people should know."""
    import sys

    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140)
    if result.summary:
        unit = "log10 of the target" if result.prepared.request.is_log else "the target"
        table = Table(
            title=f"{result.prepared.request.target}: errors in {unit}, mean over folds", title_justify="left"
        )
        headings = ["model", "MAE", "RMSE", "R²"] + ["ROC-AUC"] * result.prepared.is_binary
        for name in headings:
            table.add_column(name)
        for score in result.summary:
            cells = [score.model, f"{score.mae:.4g} ± {score.mae_spread:.2g}",
                     f"{score.rmse:.4g} ± {score.rmse_spread:.2g}", f"{score.r2:.3f}"]  # fmt: skip
            table.add_row(*cells, *[f"{score.roc_auc:.3f}"] * result.prepared.is_binary)
        console.print(table)
    for line in report_lines(result):
        console.print(line, highlight=False, markup=False)
