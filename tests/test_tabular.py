"""Promises of training on any table: nothing leaks, nothing is silent, and every fold is predicted by the others."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nascreen import learners, tabular
from nascreen.columns import (
    Options,
    Prepared,
    Request,
    balanced_folds,
    columns_of,
    composition_key,
    kind_of,
    prepare,
    read_columns,
)
from nascreen.descriptors import composition_blocks
from nascreen.errors import InputError, RangeError, TableError
from nascreen.gaussian import Array
from nascreen.learners import (
    LEARNERS,
    Candidate,
    Transform,
    absolute_loss,
    cross_fitted,
    ensemble_weights,
    predicted_by,
    refitted,
)
from nascreen.tabular import (
    CHOICE,
    PREDICTIONS,
    SCORES,
    TableResult,
    cross_validated,
    fit_table,
    portfolio,
    predicted_table,
    roc_auc,
    train_on_table,
    training_side,
)

# MLflow's tables use a loader that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning")

FAST = Options(minutes=1e-4, is_quick=True, n_folds=3)
"""Only the first candidate is fitted on each training side."""


def alloys(n: int = 60, seed: int = 0) -> dict[str, list[Any]]:
    """Return alloys whose strength follows composition, heat and route, with gaps."""
    random = np.random.default_rng(seed)
    nickel, heat = random.uniform(0.02, 0.4, n).round(3), random.uniform(300, 900, n).round(0)
    route = random.choice(["cast", "rolled"], n)
    strength = 500 + 900 * nickel - 0.4 * heat + 80 * (route == "cast")
    return {
        "formula": [f"Fe{1 - x:.3f}Ni{x:.3f}" for x in nickel],
        "heat_c": ["" if i % 9 == 4 else str(t) for i, t in enumerate(heat)],
        "route": route.tolist(),
        "batch": [f"b{i % 12}" for i in range(n)],
        "strength": [f"{value:.2f}" for value in strength],
    }


def ready(table: dict[str, list[Any]], target: str = "strength", options: Options = FAST, **asked: Any) -> Prepared:
    return prepare(columns_of(table), Request(target, **asked), options)


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Grow few trees, so that the promises are checked in seconds; what is promised does not hang on their number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learners, "TREES", ((1_000_000, 24),))
        patch.setattr(learners, "BOOSTING_ROUNDS", 60)
        patch.setattr(learners, "PATIENCE", 20)
        patch.setattr(tabular, "BASELINE_TREES", 12)
        yield


@pytest.fixture(scope="module")
def fitted() -> TableResult:
    return cross_validated(ready(alloys()), FAST)


# ---------------------------------------------------------------- reading


def _written(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"", "is empty"),
        (b"a,b\n", "has no rows"),
        (b"a,b\n1\n", "has 1 cells in line 2, the header 2"),
        (b"a,a\n1,2\n", "names the column 'a' twice"),
        (b"a,b\n1,\xff\n", "is not UTF-8"),
        (b"a,b\n1,\0\n", "NUL"),
        (b"PK\x03\x04", "workbook"),
        (b'a,b\n1,"2\n', "cannot be read at line"),
        (b"a,b\n1," + b"x" * 20_000 + b"\n", "cannot be read at line"),
        (b",".join(b"c%d" % i for i in range(3000)) + b"\n", "3000 columns"),
    ],
    ids=["empty", "no rows", "ragged", "twice", "encoding", "nul", "workbook", "open quote", "long cell", "wide"],
)  # fmt: skip
def test_a_file_that_is_no_table_is_refused_in_one_sentence(tmp_path: Path, text: bytes, what: str) -> None:
    with pytest.raises(TableError, match=what):
        read_columns(_written(tmp_path, text))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be opened"):
        read_columns(tmp_path / "none.csv")


def test_a_damaged_gzip_is_said(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be opened"):
        read_columns(_written(tmp_path, gzip.compress(b"a,b\n1,2\n" * 99)[:-12], "t.csv.gz"))


def test_a_gzip_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="larger than 100 MB"):
        read_columns(_written(tmp_path, gzip.compress(bytes(100_000_002)), "t.csv.gz"))


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["commas", "semicolons", "tabs"])
def test_a_table_reads_alike_plain_and_packed(tmp_path: Path, separator: str) -> None:
    text = f"formula{separator}y\nNaCl{separator} 1 \n\nKCl{separator}2\n".encode()
    plain = read_columns(_written(tmp_path, text))
    assert plain == {"formula": ["NaCl", "KCl"], "y": ["1", "2"]}
    assert read_columns(_written(tmp_path, gzip.compress(text), "t.csv.gz")) == plain


def test_frames_mappings_and_rows_are_one_table() -> None:
    pandas = pytest.importorskip("pandas")
    mapping = {"a": [1.5, None], "b": ["x", "y"]}
    rows = [{"a": 1.5, "b": "x"}, {"b": "y"}]
    assert columns_of(pandas.DataFrame(mapping)) == columns_of(mapping) == columns_of(rows)


@pytest.mark.parametrize("table", [None, "a", [1], {}, {"a": [1], "b": []}], ids=repr)
def test_what_is_no_table_is_refused(table: object) -> None:
    with pytest.raises(TableError, match=r"The (table must|columns of the table)"):
        columns_of(table)


# ---------------------------------------------------------------- columns


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", "", "4.5"], "number"),
        ([str(i) for i in range(30)], "counts the rows"),
        (["a", "b", "a", "b"], "category"),
        (["", "nan", "N/A"], "is empty"),
        ([f"mp-{i}" for i in range(40)], "names the rows"),
        ([f"sintered at {i} degrees in flowing argon" for i in range(40)], "text"),
    ],
    ids=["number", "counter", "category", "empty", "identifier", "text"],
)
def test_a_column_is_what_its_cells_are(cells: list[str], kind: str) -> None:
    assert kind_of(cells) == kind


def test_columns_that_teach_nothing_are_left_aside_and_said() -> None:
    table = {**alloys(), "id": [f"x-{i}" for i in range(60)], "lab": ["here"] * 60}
    notes = " ".join(ready(table).notes)
    assert "'id' is left aside: it names the rows" in notes
    assert "'lab' is left aside: it has one value only" in notes


@pytest.mark.parametrize("name", ["composition", "Formula", "alloy"])
def test_the_column_of_formulas_is_found(name: str) -> None:
    table = alloys()
    table[name] = table.pop("formula")
    assert ready(table).roles.formula == name


def test_an_element_of_amount_zero_is_absent_and_said() -> None:
    table = alloys()
    table["formula"][0] = "Fe0.7 Ni0.3 Al0"
    prepared = ready(table)
    assert prepared.features.composition["fraction"][0, 12] == 0
    assert "1 formulas name an element with the amount 0" in " ".join(prepared.notes)


def test_a_column_called_composition_that_holds_words_is_text() -> None:
    table = alloys()
    table["composition"] = ["rich in iron" if i % 2 else "nickel rich alloy" for i in range(60)]
    del table["formula"]
    assert not ready(table).roles.has_composition


def test_element_columns_are_a_composition() -> None:
    table = {"Fe (wt%)": ["60", "70"] * 20, "C_wt": ["", "1"] * 20, "Cr": ["40", "29"] * 20,
             "y": list(range(40)), "batch": list(range(40))}  # fmt: skip
    prepared = ready(table, "y", group="batch")
    assert list(prepared.roles.elements) == ["Fe", "C", "Cr"]
    by_weight = prepared.features.composition["fraction"][0, [25, 23]]
    assert by_weight == pytest.approx(np.array([60 / 55.845, 40 / 51.996]) / (60 / 55.845 + 40 / 51.996), rel=1e-3)


def test_columns_that_name_substances_are_described_by_their_elements() -> None:
    pairs = [(host, guest) for host in ("Ag", "Al", "Cu", "Ni", "Pd", "Mg") for guest in ("Fe", "Co", "Zn", "Ti", "V")]
    table = {"host": [a for a, _ in pairs], "solute": [b for _, b in pairs],
             "y": [float(len(a) * 3 + ord(b[0]) % 7 + i % 2) for i, (a, b) in enumerate(pairs)]}  # fmt: skip
    prepared = ready(table, "y")
    assert prepared.roles.parts == ("host", "solute")
    number_of_silver = prepared.features.numbers[0, 0]
    assert number_of_silver == 47


def test_a_table_without_compositions_is_learned_from_too() -> None:
    table = alloys()
    del table["formula"]
    result = cross_validated(ready(table), FAST)
    assert "No column holds compositions" in " ".join(result.prepared.notes)
    assert len(result.rows) == 60


def test_a_column_that_gives_the_target_away_is_refused() -> None:
    table = alloys()
    table["strength_ksi"] = [str(float(value) * 0.145) for value in table["strength"]]
    with pytest.raises(TableError, match=r"'strength_ksi' orders the rows as the target does.*--drop"):
        ready(table)
    assert "strength_ksi" not in ready(table, dropped=("strength_ksi",)).roles.numbers


@pytest.mark.parametrize("asked", [{"formula": "x"}, {"group": "x"}, {"folds": "x"}, {"dropped": ("x",)}], ids=repr)
def test_a_column_that_is_not_there_is_said(asked: dict[str, Any]) -> None:
    with pytest.raises(TableError, match="'x' is no column of the table; it has 'formula'"):
        ready(alloys(), **asked)


def test_a_misspelt_target_is_guessed_in_the_message() -> None:
    with pytest.raises(TableError, match="Did you mean 'strength'"):
        ready(alloys(), "strenght")


def test_formulas_that_cannot_be_read_are_refused_by_row_or_left_aside() -> None:
    table = alloys()
    table["formula"][6] = "Fe2Xx"
    with pytest.raises(TableError, match=r"1 row has no formula.*row 7: .*'Xx'.*--skip-bad-rows"):
        ready(table)
    prepared = ready(table, is_skipping=True)
    assert list(prepared.bad) == [6]
    assert len(prepared.targets) == 59


def test_rows_without_a_target_are_passed_over_and_counted() -> None:
    table = alloys()
    table["strength"][:3] = ["", "nan", "n/a"]
    prepared = ready(table)
    assert prepared.rows[0] == 3
    assert "3 rows have no target" in " ".join(prepared.notes)


@pytest.mark.parametrize(
    ("change", "asked", "what"),
    [
        ({"strength": ["about 5"] * 60}, {}, "'about 5' in row 1 \\(and 59 more\\)"),
        ({"strength": ["5"] * 60}, {}, "one value only"),
        ({"strength": ["0", *["5", "7"] * 30][:60]}, {"is_log": True}, "not above 0 in 1 rows"),
        ({"strength": ["", *[""] * 50, *"123456789"]}, {}, "9 rows that can be used"),
        ({"fold": ["a"] * 60}, {"folds": "fold"}, "names 1 folds"),
        ({"fold": ["a", ""] * 30}, {"folds": "fold"}, "every row needs one"),
    ],
    ids=["words", "constant", "log of zero", "few rows", "one fold", "empty fold"],
)
def test_targets_and_folds_that_cannot_be_used_are_said(
    change: dict[str, list[str]], asked: dict[str, Any], what: str
) -> None:
    with pytest.raises(TableError, match=what):
        ready({**alloys(), **change}, **asked)


@pytest.mark.parametrize(
    "options",
    [Options(minutes=0), Options(minutes=math.nan), Options(n_folds=1), Options(n_repeats=0)],
    ids=["no time", "nan", "one fold", "no shuffle"],
)
def test_work_that_cannot_be_done_is_refused(options: Options) -> None:
    with pytest.raises(RangeError, match="allowed is"):
        options.check()


# ---------------------------------------------------------------- splits


@given(st.lists(st.sampled_from("abcdefgh"), min_size=8, max_size=60), st.integers(2, 8), st.integers(0, 9))
def test_groups_stay_whole_and_folds_are_used(groups: list[str], n_folds: int, seed: int) -> None:
    if len(set(groups)) < n_folds:
        with pytest.raises(RangeError, match="allowed is 2 to"):
            balanced_folds(groups, n_folds, seed)
        return
    folds = balanced_folds(groups, n_folds, seed)
    assert set(folds) == set(range(n_folds))
    assert len({(g, f) for g, f in zip(groups, folds, strict=True)}) == len(set(groups))


@given(st.sampled_from(["NaCl", "Fe2O3", "Na3Zr2Si2PO12"]), st.integers(1, 9))
def test_a_composition_has_one_key_however_it_is_written(formula: str, times: int) -> None:
    assert composition_key(f"({formula}){times}") == composition_key(formula)


def test_rows_of_one_composition_stay_together_unless_a_group_says_otherwise() -> None:
    table = alloys()
    table["formula"][30:] = table["formula"][:30]
    for asked, key in (({}, "formula"), ({"group": "batch"}, "batch")):
        prepared = ready(table, **asked)
        fold_of: dict[str, set[str]] = {}
        for name, rows in prepared.splits:
            for i in rows:
                fold_of.setdefault(table[key][prepared.rows[i]], set()).add(name)
        assert all(len(names) == 1 for names in fold_of.values())
        assert "stay on one side of every split" in prepared.notes[-1]


def test_inner_folds_keep_groups_whole() -> None:
    prepared = ready(alloys(), group="batch")
    rows = np.arange(48)
    training, _ = training_side(prepared, rows, FAST)
    pairs = {(prepared.groups[i], int(k)) for i, k in zip(rows, training.folds, strict=True)}
    assert len(pairs) == len({group for group, _ in pairs})


def test_the_folds_column_is_used_unchanged() -> None:
    table = {**alloys(), "fold": ["x", "y", "z"] * 20}
    result = cross_validated(ready(table, folds="fold"), FAST)
    assert [row.fold for row in sorted(result.rows, key=lambda r: r.row)] == table["fold"]


def test_the_measured_values_of_a_fold_do_not_change_its_predictions() -> None:
    table = {**alloys(), "fold": ["x", "y"] * 30}
    other = {**table, "strength": [v if f == "y" else str(-7 * i) for i, (v, f) in
                                   enumerate(zip(table["strength"], table["fold"], strict=True))]}  # fmt: skip

    def predicted(of: dict[str, list[Any]]) -> list[float]:
        return [row.predicted for row in cross_validated(ready(of, folds="fold"), FAST).rows if row.fold == "x"]

    assert predicted(other) == predicted(table)


def test_what_encodes_columns_is_fitted_on_the_training_side_alone() -> None:
    table = {**alloys(), "note": [f"{'quenched' if i < 30 else 'annealed'} in water and oil {i}" for i in range(60)]}
    table["route"] = ["cast", "rolled"] * 15 + ["forged"] * 30
    prepared = ready(table)
    training, encoder = training_side(prepared, np.arange(30), FAST)
    assert "forged" not in encoder.levels[0]
    unseen = encoder.blocks(prepared.features.take(np.arange(30, 60)))
    assert unseen["table"].shape[1] == training.blocks["table"].shape[1]


# ---------------------------------------------------------------- learners


def test_no_descriptor_of_a_composition_depends_on_the_other_rows() -> None:
    one, many = composition_blocks(["Fe2O3"]), composition_blocks(["NaCl", "Fe2O3", "CuZn"])
    for name, block in one.items():
        np.testing.assert_allclose(block[0], many[name][1], rtol=1e-9, atol=1e-9)


def test_the_mixing_enthalpy_is_that_of_a_regular_solution() -> None:
    from nascreen.descriptors import mixing_enthalpies

    pair = mixing_enthalpies()[28, 13]
    assert composition_blocks(["NiAl3"])["derived"][0, -2] == pytest.approx(4 * 0.25 * 0.75 * pair)


@settings(max_examples=40)
@given(
    st.sampled_from(["identity", "log", "quantile"]),
    st.lists(st.floats(0, 1e6, allow_subnormal=False).map(lambda v: round(v, 6)), min_size=3, max_size=30),
)
def test_targets_come_back_from_every_transform(kind: str, targets: list[float]) -> None:
    values = np.array(targets)
    transform = Transform.fit(kind, values)
    np.testing.assert_allclose(
        transform.back(transform.forward(values)), values, rtol=1e-6, atol=1e-6 * values.max() + 1e-9
    )


@pytest.mark.parametrize("kind", [kind for kind in LEARNERS if kind != "median"])
def test_every_learner_learns_a_smooth_table_with_gaps(kind: str) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(120, 3))
    targets = x[:, 0] + 0.5 * x[:, 1]
    x[::11, 2] = np.nan
    blocks = {"table": x}
    done = cross_fitted(Candidate(kind, ("table",)), blocks, targets, np.arange(120) % 3, is_kept=True)
    assert done is not None
    assert absolute_loss(done.unseen[:, 0], targets) < 0.6 * np.abs(targets).mean()
    again = refitted(done, blocks, targets)
    assert np.corrcoef(predicted_by([again], blocks)[:, 0], predicted_by(done.fits, blocks)[:, 0])[0, 1] > 0.95


def test_no_fit_sees_the_rows_that_it_is_judged_on() -> None:
    random = np.random.default_rng(2)
    blocks, noise = {"table": random.normal(size=(90, 4))}, random.normal(size=90)
    for kind in ("extra trees", "xgboost", "gaussian process", "neighbours"):
        done = cross_fitted(Candidate(kind, ("table",)), blocks, noise, np.arange(90) % 5)
        assert done is not None
        assert absolute_loss(done.unseen[:, 0], noise) > 0.9 * np.abs(noise - np.median(noise)).mean()


def test_the_gradient_of_the_process_is_that_of_its_loss() -> None:
    from scipy.optimize import check_grad

    from nascreen.learners import BlockDistances, _SumProcess

    random = np.random.default_rng(0)
    blocks = {"fraction": random.dirichlet(np.ones(4), 25), "table": random.normal(size=(25, 2))}
    squares = BlockDistances.fit(blocks, ("fraction", "table")).among_training(np.arange(25))
    process, targets = _SumProcess(("fraction", "table")), random.normal(size=25)
    error = check_grad(
        lambda p: process.loss(p, squares, targets)[0], lambda p: process.loss(p, squares, targets)[1],
        process.start() + 0.1,
    )  # fmt: skip
    assert error < 1e-4


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_weights_are_a_mixture_no_worse_than_twice_the_best(seed: int) -> None:
    random = np.random.default_rng(seed)
    targets = random.normal(size=50)
    predictions = targets[:, None] + random.normal(size=(50, 6)) * random.uniform(0.1, 2, 6)
    weights = ensemble_weights(predictions, targets, absolute_loss)
    best = min(absolute_loss(column, targets) for column in predictions.T)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    assert absolute_loss(predictions @ weights, targets) <= best + 1e-9


def test_a_candidate_that_sees_the_same_columns_is_tried_once() -> None:
    found = portfolio(["table"], 300, "identity", is_quick=False)
    keys = [(c.kind, c.blocks, tuple(c.settings.items())) for c in found]
    assert len(keys) == len(set(keys))
    assert {c.blocks for c in found} == {("table",)}


def test_where_columns_say_nothing_the_mixture_is_near_the_median() -> None:
    random = np.random.default_rng(4)
    table = {**alloys(), "strength": random.normal(size=60).round(3).tolist()}
    result = cross_validated(
        ready(table, options=Options(minutes=0.5, is_quick=True, n_folds=2)), Options(0.5, is_quick=True)
    )
    errors = {score.model: score.mae for score in result.summary}
    assert errors["nascreen"] < 1.1 * errors["median"]
    assert any(choice.share < 1 for choice in result.choices.values())


def _share(mixed: Array, targets: Array, groups: Sequence[str]) -> float:
    prepared = ready({"x": np.sin(np.arange(len(targets))).tolist(), "y": targets.tolist()}, "y")
    folds = np.unique(groups, return_inverse=True)[1] % 5
    training = tabular.Training({}, targets, folds, prepared, 0, groups)
    return tabular._sure_share(training, mixed)


def test_a_mixture_that_is_ahead_by_luck_stays_near_the_center_and_a_sure_one_counts_whole() -> None:
    random = np.random.default_rng(0)
    targets = random.normal(size=60)
    groups = [f"g{i}" for i in range(60)]
    assert _share(0.9 * targets, targets, groups) == 1
    assert _share(-targets, targets, groups) == 0
    luck = [_share(0.3 * random.normal(size=60), targets, groups) for _ in range(20)]
    assert np.mean(luck) < 0.3


def test_rows_of_one_group_are_no_evidence_of_their_own() -> None:
    """Six rows of one group predicted well, all others a little worse than by the center: no proof."""
    targets = np.tile([-1.0, -1.1, 1.0, 1.1], 15)
    mixed = targets * np.where(np.arange(60) < 6, 0.8, -0.04)
    alone = _share(mixed, targets, [f"g{i:02}" for i in range(60)])
    grouped = _share(mixed, targets, [f"g{i // 6}" for i in range(60)])
    assert grouped < 0.7 < alone


# ---------------------------------------------------------------- results


def test_every_row_is_predicted_once_with_an_interval_and_beats_the_median(fitted: TableResult) -> None:
    assert sorted(row.row for row in fitted.rows) == list(range(1, 61))
    assert all(row.lo <= row.predicted <= row.hi for row in fitted.rows)
    errors = {score.model: score.mae for score in fitted.summary}
    assert errors["nascreen"] < 0.7 * errors["median"]
    assert {
        "nascreen",
        "best single learner",
        "Magpie and random forest",
        "untuned xgboost",
        "nearest neighbour",
        "median",
    } == set(errors)
    assert 0.6 <= fitted.coverage <= 1


def test_scores_are_those_of_the_predictions(fitted: TableResult) -> None:
    for fold in ("1", "2", "3"):
        rows = [row for row in fitted.rows if row.fold == fold]
        score = next(s for s in fitted.scores if s.model == "nascreen" and s.fold == fold)
        assert score.mae == pytest.approx(np.mean([abs(row.measured - row.predicted) for row in rows]))
        assert score.n_rows == len(rows)


def test_a_result_predicts_rows_without_a_target(fitted: TableResult) -> None:
    table = alloys()
    del table["strength"]
    found = fitted.predict(table)
    measured = [float(value) for value in alloys()["strength"]]
    assert np.mean(np.abs(np.array([row.predicted for row in found]) - measured)) < 40
    with pytest.raises(TableError, match="has no column 'heat_c', which the model learned from"):
        fitted.predict({"formula": ["FeNi"], "route": ["cast"], "batch": ["b1"]})
    with pytest.raises(TableError, match="row 1: "):
        fitted.predict({"formula": ["Xx"], "route": ["cast"], "heat_c": ["5"], "batch": ["b1"]})


def test_log_targets_are_scored_in_decades_and_written_in_their_unit() -> None:
    table = alloys()
    table["strength"] = [str(10 ** (float(value) / 200)) for value in table["strength"]]
    result = cross_validated(ready(table, is_log=True), FAST)
    assert result.summary[-1].mae < 1
    assert all(row.lo > 0 and row.measured > 1 for row in result.rows)


@pytest.mark.parametrize("values", [("1", "0"), ("True", "False"), ("yes", "no")], ids=repr)
def test_a_target_of_two_values_is_scored_by_roc_auc_too(values: tuple[str, str]) -> None:
    table = alloys()
    table["strength"] = [values[float(value) < 450] for value in table["strength"]]
    result = cross_validated(ready(table), FAST)
    assert result.summary[0].roc_auc > 0.8
    assert all(0 <= row.predicted <= 1 for row in result.rows)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=2, max_size=30))
def test_roc_auc_counts_pairs(pairs: Sequence[tuple[int, int]]) -> None:
    predicted, targets = np.array(pairs, dtype=np.float64).T
    upper, lower = predicted[targets == 1], predicted[targets == 0]
    if not len(upper) or not len(lower):
        assert math.isnan(roc_auc(predicted, targets))
        return
    expected = np.mean([(u > v) + 0.5 * (u == v) for u in upper for v in lower])
    assert roc_auc(predicted, targets) == pytest.approx(expected)


def test_one_seed_gives_one_result() -> None:
    first, second = (fit_table(alloys(30), "strength", options=FAST) for _ in range(2))
    assert [r.predicted for r in first.rows] == [r.predicted for r in second.rows]


def test_tuning_proposes_candidates_and_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "portfolio", lambda *args, **kind: portfolio(*args, **kind)[:1])
    monkeypatch.setattr(tabular, "MAX_TRIALS", 2)
    options = Options(minutes=1, n_folds=2, out=tmp_path)
    prepared = ready(alloys(24), options=options)
    assert [choice.n_trials for choice in cross_validated(prepared, options).choices.values()] == [2, 2]
    import optuna

    storage = f"sqlite:///{tmp_path / tabular.DATABASE}"
    names = optuna.get_all_study_names(storage)
    assert len(names) == 2
    best = optuna.load_study(study_name=names[0], storage=storage).best_params
    cross_validated(prepared, options)
    again = [trial.params for trial in optuna.load_study(study_name=names[0], storage=storage).trials]
    assert again.count(best) >= 2


def _csv(path: Path, table: dict[str, list[Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


def test_the_command_writes_predictions_scores_and_choices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = alloys(40)
    table["formula"][5] = "Qq"
    path = _csv(tmp_path / "alloys.csv", table)
    options = Options(minutes=1e-4, is_quick=True, n_folds=2, out=tmp_path / "out")
    result = train_on_table(path, Request("strength", is_skipping=True), options)
    tabular.print_report(result)
    printed = capsys.readouterr().out
    assert "Magpie and random forest" in printed
    assert "rows of one composition stay on one side" in printed
    with (tmp_path / "out" / PREDICTIONS).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["row"]) for row in rows) == [i for i in range(1, 41) if i != 6]
    with (tmp_path / "out" / SCORES).open(encoding="utf-8") as file:
        scores = {(row["model"], row["fold"]) for row in csv.DictReader(file)}
    assert {("nascreen", "1"), ("nascreen", "2"), ("nascreen", "all"), ("median", "all")} <= scores
    chosen = json.loads((tmp_path / "out" / CHOICE).read_text(encoding="utf-8"))
    assert sum(member["weight"] for member in chosen["folds"]["1"]["members"]) == pytest.approx(1, abs=0.01)
    assert "table,6," in (tmp_path / "out" / tabular.ASIDE).read_text(encoding="utf-8")
    import mlflow

    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert sorted(run.info.run_name for run in runs) == ["fold 1", "fold 2", "table alloys"]
    parent = next(run for run in runs if run.info.run_name == "table alloys")
    assert parent.data.metrics["mae/nascreen"] == pytest.approx(
        next(s.mae for s in result.summary if s.model == "nascreen")
    )


def test_another_table_is_predicted_by_a_fit_on_all_rows_and_scored_if_measured() -> None:
    prepared = ready(alloys())
    result, other = predicted_table(prepared, columns_of(alloys(15, seed=5)), FAST)
    assert other.bad == {}
    assert [row.row for row in result.rows] == list(range(1, 16))
    errors = {score.model: score.mae for score in result.summary}
    assert errors["nascreen"] < errors["median"]
    unmeasured = {**alloys(15, seed=5), "strength": [""] * 15}
    silent, _ = predicted_table(prepared, columns_of(unmeasured), FAST)
    assert silent.scores == ()
    assert [r.predicted for r in silent.rows] == [r.predicted for r in result.rows]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--target", "y"], "--target is for a table of your own"),
        (["--table", "t.csv"], "Add --target"),
        (["--table", "t.csv", "--target", "y", "--promote"], "--promote is for the built-in models"),
        (["--table", "t.csv", "--target", "y", "--folds", "f", "--test-table", "u.csv"], "leave out --folds"),
    ],
    ids=["no table", "no target", "promote", "folds and test"],
)
def test_options_that_contradict_each_other_are_refused(arguments: list[str], what: str) -> None:
    from nascreen.cli import app

    with pytest.raises(InputError, match=what):
        app(["train", *arguments], standalone_mode=False)


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "a,b\n1," + "x" * 20_000 + "\n"], ids=["read", "refused"])
def test_reading_a_table_leaves_the_limits_of_other_readers_alone(tmp_path: Path, content: str) -> None:
    before = csv.field_size_limit()
    path = tmp_path / "t.csv"
    path.write_text(content, encoding="utf-8")
    with contextlib.suppress(TableError):
        read_columns(path)
    assert csv.field_size_limit() == before
