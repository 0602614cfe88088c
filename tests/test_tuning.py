"""Promises of the search: it never sees the outer fold, keeps what was done, and needs a reason to change anything."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from typer.testing import CliRunner

from nascreen import gaussian, training, tuning
from nascreen.cli import app
from nascreen.errors import InputError, RangeError
from nascreen.features import BLOCKS
from nascreen.training import N_FOLDS, Array, Rows, TreeSettings, borrowed_lines, training_rows
from nascreen.tuning import (
    EQUAL,
    FEATURE_SETS,
    KINDS,
    N_INNER,
    SEARCHED,
    Budget,
    FoldResult,
    Search,
    Side,
    mixed_line,
    mixture_weights,
    search,
    search_trees,
    suggested,
)
from tests.conftest import few_trees

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
TINY = Budget(minutes=10, n_seeds=1, n_trials=3, is_quick=True)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with few_trees(4, 2):
        yield


@pytest.fixture(scope="module")
def rows() -> Rows:
    every = training_rows()
    kept = set(sorted(set(every.groups))[::8])
    return every.take(np.array([g in kept for g in every.groups]))


@pytest.fixture(scope="module")
def side(rows: Rows) -> Side:
    return Side.of(rows, gaussian.default_parameters(), borrowed_lines().unknown_to(rows), 0)


# ---------------------------------------------------------------- what trees may see


@pytest.mark.parametrize("features", FEATURE_SETS)
@pytest.mark.parametrize("kind", KINDS)
def test_trees_answer_by_the_blocks_they_see_alone(side: Side, kind: str, features: str) -> None:
    settings = TreeSettings(training.usual_settings()[kind].settings, 4, FEATURE_SETS[features])
    hidden = [name for name in training.ALL_BLOCKS if name not in settings.blocks]
    before = side.unseen(kind, settings, 0)
    changed = side.rows.features.copy()
    outside = np.flatnonzero(side.folds == 0)
    for name in hidden:
        changed[outside, BLOCKS[name]] = changed[outside[::-1], BLOCKS[name]] + 1
    other = replace(side, rows=replace(side.rows, features=changed))
    np.testing.assert_array_equal(other.unseen(kind, settings, 0), before)
    shown = side.rows.features.copy()
    shown[outside] = shown[outside[::-1]]
    assert (replace(side, rows=replace(side.rows, features=shown)).unseen(kind, settings, 0) != before).any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_trial_is_the_usual_choice(kind: str) -> None:
    usual = training.usual_settings()[kind]
    found = suggested(optuna.trial.FixedTrial(tuning._usual_trial(kind)), kind)
    assert found.blocks == usual.blocks
    assert found.n_trees == usual.n_trees
    assert {name: found.settings[name] for name in usual.settings} == dict(usual.settings)


# ---------------------------------------------------------------- nothing of the outer fold


def test_inner_folds_keep_papers_whole_and_borrow_nothing_of_what_they_judge(side: Side) -> None:
    groups = np.array(side.rows.groups)
    assert set(side.folds) == set(range(N_INNER))
    for k in range(N_INNER):
        judged = set(groups[side.folds == k])
        assert not judged & set(groups[side.folds != k])
        assert not judged & set(side.taught[k].borrowed.groups)
        assert len(side.taught[k].at_25) == (side.folds != k).sum()


def _with_answers_changed(rows: Rows, tested: Array) -> Rows:
    targets = rows.targets.copy()
    targets[tested] = np.random.default_rng(1).permutation(targets[tested]) + 1
    return replace(rows, targets=targets)


@pytest.mark.parametrize("is_quick", [True, False], ids=["quick", "process tuned"])
def test_the_answers_of_an_outer_fold_reach_neither_its_choice_nor_its_predictions(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_quick: bool
) -> None:
    monkeypatch.setattr(training, "N_TUNING_STEPS", 1)
    budget = replace(TINY, is_quick=is_quick)
    scored = np.flatnonzero(rows.is_scored)
    folds = training.fold_of_each(rows, scored, np.array(tuning.grouped_folds(rows.take(scored).groups, N_FOLDS, 0)))
    tested = np.flatnonzero((folds == 2) & rows.is_scored)
    results = []
    for name, given in (("before", rows), ("after", _with_answers_changed(rows, tested))):
        (tmp_path / name).mkdir()
        results.append(Search(given, budget, tmp_path / name).run_fold(0, 2, folds, 1))
    before, after = results
    assert before.record == after.record
    for name, values in before.predictions.items():
        np.testing.assert_array_equal(after.predictions[name], values, err_msg=name)


# ---------------------------------------------------------------- what is kept


def _side_of(errors: dict[float, list[float]], side: Side, monkeypatch: pytest.MonkeyPatch) -> Side:
    """Return a side on which the settings of a given `max_features` miss every row of fold k by errors[k]."""

    def unseen(self: Side, kind: str, settings: TreeSettings, k: int) -> Array:
        slope = self.rows.coefficients[:, 1] + gaussian.DECADES_PER_EV / gaussian.REFERENCE_K
        at_25 = (self.rows.targets - slope * self.by_process[:, 1])[self.folds == k]
        return at_25 + errors[round(float(settings.settings["max_features"]), 6)][k]

    monkeypatch.setattr(Side, "unseen", unseen)
    return side


def _study(*max_features: float) -> Any:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(pruner=optuna.pruners.NopPruner())
    for value in max_features:
        study.enqueue_trial({"features": "everything", "max_features": value, "min_samples_leaf": 2})
    return study


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        pytest.param([0.5, 0.5, 0.5, 0.49], 0.7, id="better on every fold"),
        pytest.param([0.1, 1.3, 1.1, 1.2], 0.3, id="better by luck on one fold"),
        pytest.param([1.1, 1.1, 1.1, 1.1], 0.3, id="worse"),
    ],
)
def test_the_usual_choice_stays_unless_another_is_ahead_by_a_standard_error(
    side: Side, monkeypatch: pytest.MonkeyPatch, other: list[float], kept: float
) -> None:
    planted = _side_of({0.3: [1.0] * 4, 0.7: other}, side, monkeypatch)
    study = _study()
    study.enqueue_trial(tuning._usual_trial("forest"))
    study.enqueue_trial({"features": "everything", "max_features": 0.7, "min_samples_leaf": 2})
    found = search_trees(planted, "forest", study, n_trials=2)
    assert found.parameters["max_features"] == kept
    assert found.settings.settings["max_features"] == kept
    assert found.n_trials == 2
    assert found.usual_error == pytest.approx(1.0)


def test_trials_that_fall_behind_are_stopped_early(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [0.3, 0.31, 0.32, 0.9]
    planted = _side_of({0.3: [1.0] * 4, 0.31: [1.0] * 4, 0.32: [1.0] * 4, 0.9: [5.0] * 4}, side, monkeypatch)
    study = _study(*values)
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=0)
    found = search_trees(planted, "forest", study, n_trials=4)
    assert (found.n_trials, found.n_pruned) == (3, 1)
    assert len(study.trials[3].intermediate_values) == 1


def test_a_resumed_study_runs_only_what_is_missing(side: Side) -> None:
    study = _study()
    first = search_trees(side, "forest", study, n_trials=3)
    seen = [t.params for t in study.trials]
    again = search_trees(side, "forest", study, n_trials=3)
    assert [t.params for t in study.trials] == seen
    assert again.parameters == first.parameters
    np.testing.assert_array_equal(again.unseen, first.unseen)
    search_trees(side, "forest", study, n_trials=4)
    assert len(study.trials) == 4


def test_a_search_that_was_stopped_in_its_first_trial_judges_the_usual_choice_again(side: Side) -> None:
    study = _study()
    study.ask(fixed_distributions={})  # left behind, never told
    found = search_trees(side, "forest", study, n_trials=2)
    assert found.parameters == tuning._usual_trial("forest") or found.error < found.usual_error
    assert study.trials[1].params == tuning._usual_trial("forest")
    assert found.n_trials == 2


def test_when_time_is_up_the_usual_choice_is_all_that_runs(side: Side) -> None:
    study = _study()
    found = search_trees(side, "forest", study, n_trials=50, deadline=0.0)
    assert len(study.trials) == 1
    assert found.error == found.usual_error


def test_process_and_trees_are_judged_without_the_whole_inner_fold(rows: Rows, side: Side) -> None:
    judged = set(np.array(side.rows.groups)[side.folds == 1])
    rest = rows.take(np.array([g not in judged for g in rows.groups]))
    scaler = training.Scaler.fit(rest.features)
    process = training.process_of(rest, scaler, gaussian.default_parameters())
    prefactor, energy = process.predict(scaler.inputs(side.rows.features[side.folds == 1])).T
    np.testing.assert_allclose(side.by_process[side.folds == 1, 1], energy)
    found = side.measured(side.by_process[:, 0])[side.folds == 1]
    coefficients = side.rows.coefficients[side.folds == 1]
    np.testing.assert_allclose(found, coefficients[:, 0] * prefactor + coefficients[:, 1] * energy)
    rest = replace(rest, targets=process.targets)
    np.testing.assert_allclose(side.taught[1].at_25, training.brought_to_25(process, scaler, rest))
    np.testing.assert_allclose(side.taught[1].lines, training.own_lines(process, scaler, rest)[1])


def test_an_error_is_that_of_what_was_measured_at_its_temperature(side: Side) -> None:
    """Right at 25 °C, but with an energy that is off, a level misses rows that were measured hot."""
    off = 0.1
    wrong = replace(side, by_process=side.by_process + np.array([0.0, off]))
    right = side.measured(side.by_process[:, 0])
    inverse_t = -side.rows.coefficients[:, 1] / gaussian.DECADES_PER_EV
    expected = off * gaussian.DECADES_PER_EV * (1 / gaussian.REFERENCE_K - inverse_t)
    np.testing.assert_allclose(wrong.measured(side.by_process[:, 0]) - right, expected, atol=1e-9)
    planted = replace(side, rows=replace(side.rows, targets=right))
    every = np.ones(len(right), dtype=bool)
    assert planted.error(side.by_process[:, 0], every) == pytest.approx(0)
    assert planted.error(side.by_process[:, 0] + 0.3, every) == pytest.approx(0.3)


# ---------------------------------------------------------------- the mixture


def test_a_mixture_finds_the_part_that_is_right_and_keeps_equal_weights_for_luck() -> None:
    rng = np.random.default_rng(0)
    targets, folds = rng.standard_normal(400), np.arange(400) % 4
    right = np.column_stack([targets + rng.standard_normal(400), targets, targets + rng.standard_normal(400)])
    assert mixture_weights(right, targets, folds) == (0.0, 1.0, 0.0)
    alike = targets[:, None] + rng.standard_normal((400, 3))
    assert mixture_weights(alike, targets, folds) == EQUAL


@pytest.mark.parametrize("seed", range(4))
def test_weights_are_none_below_zero_and_sum_to_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.standard_normal(80)
    parts = targets[:, None] * rng.uniform(0, 2, 3) + rng.standard_normal((80, 3))
    weights = mixture_weights(parts, targets, np.arange(80) % 4)
    assert min(weights) >= 0
    assert sum(weights) == pytest.approx(1)


def test_with_equal_weights_and_usual_settings_the_searched_model_is_the_promoted_one(rows: Rows) -> None:
    model = training.fit_conductivity(rows, parameters=gaussian.default_parameters())
    np.testing.assert_allclose(
        mixed_line(model, rows.features, EQUAL), model.lines(rows.features)[training.PROMOTED], atol=1e-9
    )


# ---------------------------------------------------------------- every fold, kept and tracked


def test_a_stopped_search_goes_on_where_it_was_and_gives_the_same(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    expected = Search(rows, TINY, whole).run()
    seen: list[int] = []

    def stop(result: FoldResult) -> None:
        seen.append(result.fold)
        if result.fold == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Search(rows, TINY, parts).run(stop)
    run_fold, ran = Search.run_fold, []

    def spy(self: Search, seed: int, fold: int, *rest: Any) -> FoldResult:
        ran.append(fold)
        return run_fold(self, seed, fold, *rest)

    monkeypatch.setattr(Search, "run_fold", spy)
    found = Search(rows, TINY, parts).run()
    assert ran == [2, 3, 4]
    for name, values in expected.predictions.items():
        np.testing.assert_allclose(found.predictions[name], values, rtol=1e-12, err_msg=name)
    assert set(found.predictions) == {SEARCHED, *training.MODEL_NAMES}


def test_other_data_are_not_taken_for_those_of_an_earlier_search(rows: Rows, tmp_path: Path) -> None:
    here = Search(rows, TINY, tmp_path).name(0, 0)
    assert here == Search(rows, replace(TINY, n_trials=9), tmp_path).name(0, 0)
    assert here != Search(replace(rows, targets=rows.targets + 1), TINY, tmp_path).name(0, 0)
    assert here != Search(rows, replace(TINY, is_quick=False), tmp_path).name(0, 0)


def test_every_fold_and_study_is_a_child_of_the_run_in_mlflow(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "training_rows", lambda: rows)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    scores = search(tmp_path, replace(TINY, n_trials=1))
    assert {SEARCHED, training.PROMOTED} <= {row.model for row in scores}
    import mlflow

    runs = mlflow.search_runs(experiment_names=["nascreen"], output_format="list")
    parent_of = {run.info.run_id: run.data.tags.get("mlflow.parentRunId") for run in runs}
    by_name = {run.info.run_name: run for run in runs}
    (top,) = [run for run in runs if parent_of[run.info.run_id] is None]
    assert top.info.run_name == "search"
    folds = [run for run in runs if parent_of[run.info.run_id] == top.info.run_id]
    assert sorted(run.info.run_name for run in folds) == [f"seed 0 fold {k}" for k in range(N_FOLDS)]
    for fold, kind in itertools.product(folds, KINDS):
        assert fold.info.run_id in {parent_of[r.info.run_id] for r in runs if r.info.run_name == f"study {kind}"}
    assert by_name["study boosted"].data.params["features"] in FEATURE_SETS
    assert (tmp_path / "optuna.db").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minutes": 0.0}, "The time in minutes is 0; allowed is more than 0"),
        ({"n_seeds": 0}, "The number of shuffles is 0; allowed is more than 0 and up to 100"),
        ({"n_trials": -1}, "The number of trials is -1; allowed"),
    ],
    ids=["time", "shuffles", "trials"],
)
def test_a_budget_that_allows_nothing_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RangeError, match=message):
        search(tmp_path, replace(TINY, **changes))


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Results cannot be written to"):
        search(tmp_path / "file" / "results", TINY)


@pytest.mark.parametrize("other", [["--table", "x.csv"], ["--promote"]], ids=["table", "promote"])
def test_a_search_goes_with_neither_a_table_nor_promotion(tmp_path: Path, other: list[str]) -> None:
    found = CliRunner().invoke(app, ["train", "--search", "--out", str(tmp_path), *other])
    assert isinstance(found.exception, InputError)
    assert str(found.exception).startswith("--search is of the built-in models, and promotes nothing")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], Budget(minutes=60.0, n_seeds=5)),
        (["--quick"], Budget(minutes=3.0, n_seeds=1, n_trials=3, is_quick=True)),
        (["--seeds", "2", "--minutes", "7.5"], Budget(minutes=7.5, n_seeds=2)),
    ],
    ids=["full", "quick", "as asked"],
)
def test_the_command_searches_within_its_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], expected: Budget
) -> None:
    asked: list[tuple[Path, Budget]] = []
    monkeypatch.setattr(tuning, "search", lambda out, budget: asked.append((out, budget)) or [])
    found = CliRunner().invoke(app, ["train", "--search", "--out", str(tmp_path), *given])
    assert found.exit_code == 0, found.output
    assert asked == [(tmp_path, expected)]


def test_time_without_a_table_or_a_search_is_refused(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["train", "--minutes", "5", "--out", str(tmp_path)])
    assert isinstance(found.exception, InputError)
