"""Search for what the trees of the conductivity model are grown with, nested in the folds that score it.

In every outer fold Optuna searches the training side alone: hyperparameters *and* blocks of features of boosted trees
and of the forest, judged on inner folds grouped by paper; then the weights of the mixture of process, boosted trees and
forest, from the same inner predictions. What was found replaces the usual choice only if it is better by more than a
standard error over the inner folds. Each study is kept in the folder's Optuna storage and each finished fold beside it,
so that a search that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen import gaussian
from nascreen.datasets import grouped_folds
from nascreen.errors import RangeError
from nascreen.gaussian import Array
from nascreen.models import is_oxide_glass
from nascreen.tracking import log_scores, tracked_run, usable_folder
from nascreen.training import (
    ALL_BLOCKS,
    N_FOLDS,
    PROMOTED,
    TAUGHT_BY,
    BorrowedLines,
    ConductivityModel,
    CrossValidation,
    Rows,
    Scaler,
    ScoreRow,
    TreeSettings,
    boosted,
    borrowed_lines,
    brought_to_25,
    fit_conductivity,
    fold_of_each,
    grown_forest,
    line_to_observation,
    own_lines,
    process_of,
    require,
    score_table,
    training_rows,
    usual_settings,
    without_gaps,
)
from nascreen.verdicts import reviewed_hash

DATABASE = "optuna.db"
SEARCHED = "searched"
N_INNER = 4
KINDS = ("boosted", "forest")
FEATURE_SETS: Mapping[str, tuple[str, ...]] = {
    "everything": ALL_BLOCKS,
    "fractions": ("family", "fraction", "processing"),
    "field": ("family", "field", "processing"),
    "magpie": ("family", "magpie", "processing"),
    "fractions and field": ("family", "fraction", "field", "processing"),
    "field and magpie": ("family", "field", "magpie", "processing"),
}
"""What trees may see; which is best is part of the search."""
WEIGHT_STEP = 0.1
EQUAL = (1 / 3, 1 / 3, 1 / 3)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is searched.

    Attributes:
        minutes: Time for everything.
        n_seeds: Shuffles of the papers.
        n_trials: Most trials of each study.
        is_quick: One shuffle, few trials, hyperparameters of the process at their defaults: a first look.
    """

    minutes: float = 60.0
    n_seeds: int = 1
    n_trials: int = 25
    is_quick: bool = False

    def check(self) -> None:
        """Refuse what cannot be done.

        Raises:
            RangeError: If a number is out of bounds.
        """
        for name, value, low, high in (
            ("time in minutes", self.minutes, 0.0, 10_000.0),
            ("number of shuffles", self.n_seeds, 0, 100),
            ("number of trials", self.n_trials, 0, 10_000),
        ):
            if not low < value <= high:
                raise RangeError(f"The {name} is {value:g}; allowed is more than {low:g} and up to {high:,.0f}.")


QUICK_SHARE = 0.4
"""Share of the trees that the trials of a quick search grow."""
QUICK = Budget(minutes=3.0, n_seeds=1, n_trials=3, is_quick=True)


# ---------------------------------------------------------------- one training side


@dataclass(frozen=True, eq=False)
class Taught:
    """What trees learn when one inner fold is left out, along the lines of a process that has not seen it either.

    Attributes:
        features: Of every conductivity outside the inner fold, shape (m, f).
        at_25: Their log10 σ(25 °C), shape (m,).
        lines: Their lines (log10 σ(25 °C), Ea), as the forest learns them, shape (m, 2).
        borrowed: What else teaches the forest.
    """

    features: Array
    at_25: Array
    lines: Array
    borrowed: BorrowedLines


@dataclass(frozen=True, eq=False)
class Side:
    """The training side of one outer fold, ready for trials.

    Every model is judged on the conductivities as they were measured: trees say the level at 25 °C, and the line of the
    process without the inner fold carries it to the temperature of the row.

    Attributes:
        rows: Its conductivities, n of them.
        by_process: The line that the process gives each of them without its inner fold, shape (n, 2).
        taught: What trees learn, by inner fold left out.
        folds: Inner fold of each conductivity, shape (n,).
        seed: Seed of the trees.
        tree_share: Share of the trees that trials grow; what is kept is fitted with all of them.
    """

    rows: Rows
    by_process: Array
    taught: tuple[Taught, ...]
    folds: NDArray[np.intp]
    seed: int
    tree_share: float = 1.0

    @classmethod
    def of(cls, train: Rows, parameters: Array, borrowed: BorrowedLines, seed: int, tree_share: float = 1.0) -> Side:
        """Return the side of some training rows.

        Args:
            train: The training rows.
            parameters: Hyperparameters of the process, tuned on them.
            borrowed: Lines that may teach.
            seed: Seed of the inner folds and of the trees.
            tree_share: Share of the trees that trials grow.
        """
        rows = train.take(train.is_conductivity)
        folds = np.array(grouped_folds(rows.groups, N_INNER, seed))
        # Papers of energies alone, which no inner fold holds, always teach.
        fold_of = dict(zip(rows.groups, folds.tolist(), strict=True))
        of_each = np.array([fold_of.get(group, -1) for group in train.groups])
        by_process, taught = np.empty((len(folds), 2)), []
        for k in range(N_INNER):
            inside, judged = train.take(of_each != k), rows.take(folds == k)
            scaler = Scaler.fit(inside.features)
            process = process_of(inside, scaler, parameters)
            inside = replace(inside, targets=process.targets)
            features, lines = own_lines(process, scaler, inside)
            lent = borrowed.unknown_to(judged.take(judged.is_scored))
            taught.append(Taught(features, brought_to_25(process, scaler, inside), lines, lent))
            prefactor, energy = process.predict(scaler.inputs(judged.features)).T
            by_process[folds == k] = np.column_stack(
                [prefactor - energy * gaussian.DECADES_PER_EV / gaussian.REFERENCE_K, energy]
            )
        return cls(rows, by_process, tuple(taught), folds, seed, tree_share)

    def unseen(self, kind: str, settings: TreeSettings, k: int) -> Array:
        """Return what trees that did not see inner fold ``k`` say of it, at 25 °C."""
        n_trees = max(2, round(self.tree_share * settings.n_trees))
        # One thread: on a busy machine, threads of one small tree wait for each other for minutes.
        own = {"nthread": 1} if kind == "boosted" else {}
        settings = replace(settings, n_trees=n_trees, settings={**settings.settings, **own})
        taught, judged = self.taught[k], self.rows.features[self.folds == k].astype(np.float32)
        counts = np.ones(len(taught.at_25))
        if kind == "boosted":
            trees = boosted(taught.features, taught.at_25, counts, settings, self.seed)
            return np.asarray(trees.inplace_predict(judged), dtype=np.float64)
        forest = grown_forest((taught.features, taught.lines), counts, taught.borrowed, settings, self.seed)
        return np.asarray(forest.predict(without_gaps(judged))[:, 0])

    def measured(self, at_25: Array) -> Array:
        """Return what each row should have observed of levels at 25 °C, shape (n,)."""
        return line_to_observation(np.column_stack([at_25, self.by_process[:, 1]]), self.rows.coefficients)

    def error(self, at_25: Array, rows: NDArray[np.bool_]) -> float:
        """Return the mean absolute error of the scored ones among some rows, given levels at 25 °C."""
        judged = rows & self.rows.is_scored
        return float(np.abs(self.measured(at_25) - self.rows.targets)[judged].mean())


def suggested(trial: Any, kind: str) -> TreeSettings:  # noqa: ANN401
    """Return the settings that an Optuna trial proposes."""
    blocks = FEATURE_SETS[trial.suggest_categorical("features", list(FEATURE_SETS))]
    usual = usual_settings()[kind]
    if kind == "forest":
        settings = {
            "max_features": trial.suggest_float("max_features", 0.1, 1.0),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 5),
        }
        return TreeSettings({**usual.settings, **settings}, usual.n_trees, blocks)
    settings = {
        "max_depth": trial.suggest_int("max_depth", 3, 9),
        "learning_rate": trial.suggest_float("learning_rate", 0.015, 0.1, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.1, 1.0),
        "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 10.0, log=True),
    }
    return TreeSettings({**usual.settings, **settings}, usual.n_trees, blocks)


USUAL_TRIAL: Mapping[str, Mapping[str, Any]] = {
    "boosted": {"features": "everything", "min_child_weight": 1.0},
    "forest": {"features": "everything"},
}
"""What the usual settings leave to the library."""


def _usual_trial(kind: str) -> dict[str, Any]:
    """Return the usual settings as parameters of a trial, which every study starts with."""
    names = {
        "boosted": ("max_depth", "learning_rate", "subsample", "colsample_bytree"),
        "forest": ("max_features", "min_samples_leaf"),
    }[kind]
    settings = usual_settings()[kind].settings
    return {**USUAL_TRIAL[kind], **{name: settings[name] for name in names}}


@dataclass(frozen=True, eq=False)
class Found:
    """What the search of one kind of trees found.

    Attributes:
        settings: What is kept.
        parameters: The same as parameters of a trial.
        error: Its error on inner folds.
        usual_error: That of the usual settings.
        n_trials: How many trials were judged on every inner fold.
        n_pruned: How many were stopped early.
        unseen: What it says of each row without its inner fold, shape (n,).
    """

    settings: TreeSettings
    parameters: Mapping[str, Any]
    error: float
    usual_error: float
    n_trials: int
    n_pruned: int
    unseen: Array


def _fixed(parameters: Mapping[str, Any], kind: str) -> TreeSettings:
    return suggested(require("optuna").trial.FixedTrial(dict(parameters)), kind)


def search_trees(
    side: Side,
    kind: str,
    study: Any,  # noqa: ANN401
    n_trials: int,
    deadline: float = float("inf"),
    on_trial: Callable[[], None] = lambda: None,
) -> Found:
    """Search one kind of trees on a training side; trials that the study holds already count.

    Args:
        side: The training side.
        kind: ``boosted`` or ``forest``.
        study: An Optuna study, new or resumed.
        n_trials: Most trials, stopped ones included.
        deadline: Time of `time.monotonic` after which no trial begins; the first, of the usual settings, always runs.
        on_trial: Called after each trial.
    """
    optuna = require("optuna")

    unseen: dict[int, Array] = {}
    usual = _usual_trial(kind)

    def objective(trial: Any) -> float:  # noqa: ANN401
        settings = suggested(trial, kind)
        predicted, errors = np.full(len(side.folds), np.nan), []
        for k in range(N_INNER):
            predicted[side.folds == k] = side.unseen(kind, settings, k)
            errors.append(side.error(predicted, side.folds == k))
            trial.report(side.error(predicted, ~np.isnan(predicted)), k)
            if k < N_INNER - 1 and trial.params != usual and trial.should_prune():
                raise optuna.TrialPruned
        trial.set_user_attr("errors", errors)
        unseen[trial.number] = predicted
        return side.error(predicted, np.ones(len(predicted), dtype=bool))

    # Also where an earlier run was stopped in the middle of that trial.
    if not _complete(study, usual):
        study.enqueue_trial(usual)
    while not _complete(study, usual) or (_n_finished(study) < n_trials and time.monotonic() < deadline):
        study.optimize(objective, n_trials=1)
        on_trial()
    return _found(side, kind, study, unseen)


def _n_finished(study: Any) -> int:  # noqa: ANN401
    return sum(t.state.is_finished() for t in study.trials)


def _complete(study: Any, parameters: Mapping[str, Any] | None = None) -> list[Any]:  # noqa: ANN401
    """Return the trials judged on every inner fold, all of them or those of some parameters."""
    done = [t for t in study.trials if t.state.name == "COMPLETE"]
    return done if parameters is None else [t for t in done if t.params == parameters]


def _found(side: Side, kind: str, study: Any, known: Mapping[int, Array]) -> Found:  # noqa: ANN401
    """Return the best trial if it is ahead of the usual one by more than a standard error."""
    complete = _complete(study)
    usual, best = _complete(study, _usual_trial(kind))[0], min(complete, key=lambda t: t.value)
    gain = np.array(usual.user_attrs["errors"]) - np.array(best.user_attrs["errors"])
    is_better = gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)) > 0
    kept = best if is_better else usual
    settings = _fixed(kept.params, kind)
    unseen = known.get(kept.number)
    if unseen is None:  # a trial of an earlier run
        unseen = np.empty(len(side.folds))
        for k in range(N_INNER):
            unseen[side.folds == k] = side.unseen(kind, settings, k)
    n_pruned = sum(t.state.name == "PRUNED" for t in study.trials)
    return Found(settings, kept.params, kept.value, usual.value, len(complete), n_pruned, unseen)


def mixture_weights(parts: Array, targets: Array, folds: NDArray[np.intp]) -> tuple[float, float, float]:
    """Return non-negative weights of process, boosted trees and forest that sum to 1.

    All mixtures in steps of a tenth are tried; equal weights are kept unless the best is ahead of them by more than a
    standard error over the inner folds.

    Args:
        parts: What each says of rows that it had not seen, shape (n, 3).
        targets: Shape (n,).
        folds: Inner fold of each row.
    """
    n_steps = round(1 / WEIGHT_STEP)
    grid = [(i / n_steps, j / n_steps, (n_steps - i - j) / n_steps) for i, j in product(range(n_steps + 1), repeat=2)
            if i + j <= n_steps]  # fmt: skip

    def by_fold(weights: Sequence[float]) -> Array:
        off = np.abs(parts @ np.array(weights) - targets)
        return np.array([off[folds == k].mean() for k in np.unique(folds)])

    best = min(grid, key=lambda weights: float(np.abs(parts @ np.array(weights) - targets).mean()))
    gain = by_fold(EQUAL) - by_fold(best)
    return best if gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)) else EQUAL


# ---------------------------------------------------------------- outer folds


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What the search of one outer fold chose, and what it says of the papers left out.

    Attributes:
        seed: Shuffle of the papers.
        fold: Outer fold.
        predictions: By model, what each tested row should have observed.
        spreads: Standard deviations of the process.
        record: What was chosen, as it is logged.
    """

    seed: int
    fold: int
    predictions: Mapping[str, Array]
    spreads: Array
    record: Mapping[str, Any]


@dataclass(eq=False)
class Search:
    """A nested search with its storage.

    Attributes:
        rows: What `nascreen.training.training_rows` returns.
        budget: How much is searched.
        out: Folder of the storage.
        report: Called with what is being done, and how many outer folds are done.
        started: When the search began.
    """

    rows: Rows
    budget: Budget
    out: Path
    report: Callable[[str, int], None] = lambda _what, _done: None
    started: float = field(default_factory=time.monotonic)

    def name(self, seed: int, fold: int) -> str:
        """Return a name that changes with the data, the search space and the budget's kind."""
        text = repr((reviewed_hash(*TAUGHT_BY), sorted(self.rows.groups), self.rows.targets.tolist(), FEATURE_SETS))
        kind = "quick" if self.budget.is_quick else "full"
        return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}-seed-{seed}-fold-{fold}"

    def _study(self, kind: str, seed: int, fold: int) -> Any:  # noqa: ANN401
        optuna = require("optuna")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            study_name=f"{kind}-{self.name(seed, fold)}",
            storage=f"sqlite:///{(self.out / DATABASE).resolve()}",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=0),
        )
        # A study that is resumed must not draw its first proposals again.
        study.sampler = optuna.samplers.TPESampler(seed=97 * seed + fold + len(study.trials), n_startup_trials=6)
        return study

    def _parameters(self, train: Rows, seed: int, fold: int) -> Array:
        if self.budget.is_quick:
            return gaussian.default_parameters()
        path = self.out / f"process-{self.name(seed, fold)}.json"
        if path.exists():
            return np.array(json.loads(path.read_text(encoding="utf-8")))
        found = process_of(train, Scaler.fit(train.features)).parameters
        path.write_text(json.dumps(found.tolist()), encoding="utf-8")
        return found

    def run_fold(self, seed: int, fold: int, folds: NDArray[np.intp], n_left: int) -> FoldResult:
        """Search the training side of one outer fold and predict its papers.

        Args:
            seed: Shuffle of the papers.
            fold: Number of the fold.
            folds: Outer fold of each row.
            n_left: Outer folds that are not done, this one included.
        """
        tested = np.flatnonzero((folds == fold) & self.rows.is_scored)
        train, test = self.rows.take(folds != fold), self.rows.take(tested)
        left = self.budget.minutes * 60 - (time.monotonic() - self.started)
        deadline = time.monotonic() + left / n_left
        n_done = self.budget.n_seeds * N_FOLDS - n_left
        self.report("process", n_done)
        parameters = self._parameters(train, seed, fold)
        borrowed = borrowed_lines().unknown_to(test)
        side = Side.of(train, parameters, borrowed, seed, QUICK_SHARE if self.budget.is_quick else 1.0)
        found = {}
        for i, kind in enumerate(KINDS):
            share = deadline - (deadline - time.monotonic()) * (len(KINDS) - 1 - i) / len(KINDS)
            self.report(f"{kind} trees" if kind == "boosted" else kind, n_done)
            found[kind] = search_trees(side, kind, self._study(kind, seed, fold), self.budget.n_trials, share)
        levels = (side.by_process[:, 0], found["boosted"].unseen, found["forest"].unseen)
        parts, judged = np.column_stack([side.measured(level) for level in levels]), side.rows.is_scored
        weights = mixture_weights(parts[judged], side.rows.targets[judged], side.folds[judged])
        model = fit_conductivity(train, borrowed=borrowed, parameters=parameters, seed=seed)
        settings = {kind: one.settings for kind, one in found.items() if one.parameters != _usual_trial(kind)}
        chosen = model
        if settings:
            chosen = fit_conductivity(train, borrowed=borrowed, parameters=parameters, settings=settings, seed=seed)
        lines = {SEARCHED: mixed_line(chosen, test.features, weights), **model.lines(test.features)}
        return FoldResult(
            seed, fold,
            {name: line_to_observation(line, test.coefficients) for name, line in lines.items()},
            np.sqrt(model.variance(test.features, test.coefficients)),
            {
                "weights": dict(zip(("process", *KINDS), weights, strict=True)),
                **{kind: {"parameters": dict(one.parameters), "inner_error": one.error,
                          "inner_error_of_usual": one.usual_error, "n_trials": one.n_trials, "n_pruned": one.n_pruned}
                   for kind, one in found.items()},
            },
        )  # fmt: skip

    def _kept(self, seed: int, fold: int) -> FoldResult | None:
        path = self.out / f"fold-{self.name(seed, fold)}.json"
        if not path.exists():
            return None
        known = json.loads(path.read_text(encoding="utf-8"))
        predictions = {name: np.array(values) for name, values in known["predictions"].items()}
        return FoldResult(seed, fold, predictions, np.array(known["spreads"]), known["record"])

    def _keep(self, result: FoldResult) -> None:
        text = json.dumps({
            "predictions": {name: values.tolist() for name, values in result.predictions.items()},
            "spreads": result.spreads.tolist(), "record": result.record,
        })  # fmt: skip
        path = self.out / f"fold-{self.name(result.seed, result.fold)}.json"
        path.with_suffix(".part").write_text(text, encoding="utf-8")
        path.with_suffix(".part").replace(path)

    def run(self, on_fold: Callable[[FoldResult], None] = lambda _result: None) -> CrossValidation:
        """Search every outer fold of every shuffle; finished ones of an earlier run are taken as they are.

        Args:
            on_fold: Called with each fold's result.
        """
        self.budget.check()
        scored = np.flatnonzero(self.rows.is_scored)
        place = np.full(len(self.rows.samples), -1)
        place[scored] = np.arange(len(scored))
        groups = [self.rows.samples[int(j)].group_id for j in scored]
        seeds = tuple(range(self.budget.n_seeds))
        deal = np.array([grouped_folds(groups, N_FOLDS, seed) for seed in seeds], dtype=np.intp)
        predictions: dict[str, Array] = {}
        spreads = np.empty(deal.shape)
        for n_done, (i, fold) in enumerate(product(range(len(seeds)), range(N_FOLDS))):
            folds = fold_of_each(self.rows, scored, deal[i])
            result = self._kept(seeds[i], fold)
            if result is None:
                result = self.run_fold(seeds[i], fold, folds, len(seeds) * N_FOLDS - n_done)
                self._keep(result)
            at = place[np.flatnonzero((folds == fold) & self.rows.is_scored)]
            for name, values in result.predictions.items():
                predictions.setdefault(name, np.empty(deal.shape))[i, at] = values
            spreads[i, at] = result.spreads
            on_fold(result)
            self.report("", n_done + 1)
        return CrossValidation(self.rows.take(scored), seeds, predictions, spreads, deal)


def mixed_line(model: ConductivityModel, features: Array, weights: Sequence[float]) -> Array:
    """Return lines whose level at 25 °C is a weighted mean of process, boosted trees and forest, shape (n, 2).

    The activation energy is that of the promoted model, the mean of process and forest; so is the whole line of oxide
    glasses.
    """
    lines = model.lines(features)
    promoted, *parts = (lines[name] for name in (PROMOTED, "gaussian process", "xgboost", "extra trees"))
    level = np.column_stack([part[:, 0] for part in parts]) @ np.array(weights)
    return np.column_stack([np.where(is_oxide_glass(features), promoted[:, 0], level), promoted[:, 1]])


# ---------------------------------------------------------------- the command's job


def search(out: Path, budget: Budget) -> list[ScoreRow]:
    """Do what ``nascreen train --search`` does: search every fold, track it in MLflow, show progress.

    The run in MLflow has one child for each outer fold, and each of those one for each study.

    Args:
        out: Folder of the Optuna storage and of the MLflow store.
        budget: How much is searched.

    Returns:
        The score table: the searched model beside the usual one and its parts, on the same folds.

    Raises:
        InputError: If results cannot be written to the folder.
        RangeError: If the budget cannot be met.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    budget.check()
    usable_folder(out)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with tracked_run("search", asdict(budget), out) as mlflow, Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=budget.n_seeds * N_FOLDS)

        def report(what: str, n_done: int) -> None:
            bar.update(task, completed=n_done, description=what)

        rows = training_rows()
        # With small matrices, two threads of linear algebra wait for each other more than they save.
        with require("threadpoolctl").threadpool_limits(1, user_api="blas"):
            cv = Search(rows, budget, out, report).run(lambda result: _track(mlflow, result))
        scores = score_table(cv)
        log_scores(mlflow, scores)
    return scores


def _track(mlflow: Any, result: FoldResult) -> None:  # noqa: ANN401
    with mlflow.start_run(run_name=f"seed {result.seed} fold {result.fold}", nested=True):
        mlflow.log_params({"seed": result.seed, "fold": result.fold})
        mlflow.log_metrics({f"weight/{name}": value for name, value in result.record["weights"].items()})
        for kind in KINDS:
            one = result.record[kind]
            with mlflow.start_run(run_name=f"study {kind}", nested=True):
                mlflow.log_params(one["parameters"])
                mlflow.log_metrics({name: one[name] for name in
                                    ("inner_error", "inner_error_of_usual", "n_trials", "n_pruned")})  # fmt: skip
