"""Promises of the bulk path: the numbers of the ONNX graphs within what is stated, else the graphs themselves."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nascreen import bulk
from nascreen.array_features import ArrayFeatures
from nascreen.bulk import ENERGY_WIDTH_LIMIT, LEAST_ROWS, WIDTH_LIMIT, BulkModel
from nascreen.datasets import has_sodium, model_folder
from nascreen.errors import IntegrityError
from nascreen.features import BLOCKS, feature_matrix
from nascreen.graphs import Graph, Node, read_graph
from nascreen.lattices import draw, joined, lattice_names, load_lattice
from nascreen.models import ROOM_TEMPERATURE_C, load_models, models_in
from nascreen.packed_trees import PackedTrees
from nascreen.training import SPREAD_RANK
from nascreen.verdicts import reviewed_table

FOLDER = model_folder() / "conductivity"

LIMITS = {
    "log_sigma": 1e-4, "log_sigma_half": WIDTH_LIMIT, "ea_ev": 1e-5, "ea_half": ENERGY_WIDTH_LIMIT, "novelty": 1e-4,
}  # fmt: skip
"""How far the bulk path may be from the graphs: decades, decades, eV, eV, distance."""


def by_graphs(features: np.ndarray) -> dict[str, np.ndarray]:
    model = load_models().conductivity
    found: dict[str, list[np.ndarray]] = {name: [] for name in LIMITS}
    for start in range(0, len(features), 64):
        rows = features[start : start + 64]
        lines = model.lines(rows)
        log_sigma, log_half = model.log_sigma(lines, np.full(len(rows), ROOM_TEMPERATURE_C))
        ea, ea_half = model.ea(lines)
        for name, values in zip(LIMITS, (log_sigma, log_half, ea, ea_half, model.distance(rows)), strict=True):
            found[name].append(values)
    return {name: np.concatenate(values) for name, values in found.items()}


def assert_agrees(features: np.ndarray, route: np.ndarray, model: BulkModel | None = None) -> None:
    found = (model or BulkModel(load_models().conductivity)).predict(features, route)
    assert len(features) >= LEAST_ROWS
    for name, expected in by_graphs(features).items():
        off = np.abs(found[name] - expected)
        assert off.max() <= LIMITS[name], f"{name} is off by {off.max():.2g} in row {off.argmax()}"


def candidates(name: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    lattice = load_lattice(name)
    drawn = joined(list(draw(lattice, n, seed=seed)))
    return ArrayFeatures(lattice)(drawn)[0], drawn.route


def test_ten_thousand_candidates_agree_with_the_graphs() -> None:
    assert_agrees(*candidates("nasicon-wide", 10_000, 11))


@pytest.mark.parametrize("name", [name for name in lattice_names() if name != "nasicon-wide"])
def test_candidates_of_every_space_agree_with_the_graphs(name: str) -> None:
    assert_agrees(*candidates(name, LEAST_ROWS, 3))


def test_every_row_of_the_tables_agrees_with_the_graphs() -> None:
    samples = [s for table in ("literature", "glasses") for s in reviewed_table(table) if s.formula and has_sodium(s)]
    features = feature_matrix(samples)
    _, route = np.unique(np.nan_to_num(features[:, BLOCKS["processing"]], nan=-1), axis=0, return_inverse=True)
    assert_agrees(features, route)


def test_a_later_block_unlike_the_first_is_noticed_and_agrees_too() -> None:
    model = BulkModel(load_models().conductivity)
    first, route = candidates("sulfide-glasses", LEAST_ROWS, 1)
    model.predict(first, route)
    assert model.forms is not None
    assert model.forms[0].rank < 0.8 * SPREAD_RANK
    assert_agrees(*candidates("nasicon-wide", LEAST_ROWS, 1), model)
    assert model.forms[0].rank == SPREAD_RANK


def test_a_process_that_is_wrong_is_noticed_and_the_graphs_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    features, route = candidates("nasicon-wide", LEAST_ROWS, 2)
    model = BulkModel(load_models().conductivity)
    monkeypatch.setattr(model, "weights", tuple(w * np.float32(1.1) for w in model.weights))
    assert_agrees(features, route, model)


def test_few_rows_go_through_the_graphs_themselves() -> None:
    features, route = candidates("nasicon-wide", 50, 2)
    found = BulkModel(load_models().conductivity).predict(features, route)
    for name, expected in by_graphs(features).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-9)


def test_narrower_intervals_are_held_closer(monkeypatch: pytest.MonkeyPatch) -> None:
    features, _ = candidates("nasicon-wide", LEAST_ROWS, 2)
    model = BulkModel(load_models().conductivity)
    before = model._tolerances(features)
    card = copy.deepcopy(model.model.card)
    for factors in (card["interval"]["log_sigma"], card["interval"]["ea_ev"]):
        factors["overall"] *= 2
        factors["by_family"] = {name: 2 * value for name, value in factors["by_family"].items()}
    monkeypatch.setattr(model.model, "card", card)
    np.testing.assert_allclose(model._tolerances(features), np.array(before) / 2)


# ---------------------------------------------------------------- trees


@pytest.mark.parametrize("n", [1, 63, 64, 65, 3000])
def test_packed_trees_add_up_to_those_of_the_runtime(n: int) -> None:
    features = candidates("nasicon-wide", max(n, 100), 4)[0][:n].astype(np.float32)
    graph = read_graph((FOLDER / "trees.onnx").read_bytes())
    columns = features.T.copy()
    boosted = PackedTrees(graph.nodes["boosted"])(columns)
    columns[np.isnan(columns)] = graph.constants["missing"]
    grown = PackedTrees(graph.nodes["grown"])(columns)
    session = onnxruntime.InferenceSession((FOLDER / "trees.onnx").read_bytes())
    (expected,) = session.run(None, {"features": features})
    np.testing.assert_allclose(np.hstack([boosted, grown]) @ graph.constants["shares"], expected, atol=2e-5)


def tree(rule: bytes, *, missing_is_true: bool = False) -> Node:
    """Return one tree: feature 0 below or up to 0.5 gives 1, else feature 1 below or up to 2 gives 2, else 4."""
    return Node(
        "TreeEnsembleRegressor", ("features",), "out",
        {
            "nodes_treeids": np.zeros(5, np.int64), "nodes_nodeids": np.arange(5), "n_targets": 1,
            "nodes_featureids": np.array([0, 0, 1, 0, 0]), "nodes_values": np.array([0.5, 0, 2, 0, 0], np.float32),
            "nodes_modes": np.array([rule, b"LEAF", rule, b"LEAF", b"LEAF"]),
            "nodes_truenodeids": np.array([1, 0, 3, 0, 0]), "nodes_falsenodeids": np.array([2, 0, 4, 0, 0]),
            "nodes_missing_value_tracks_true": np.array([missing_is_true, 0, missing_is_true, 0, 0], np.int64),
            "target_treeids": np.zeros(3, np.int64), "target_nodeids": np.array([1, 3, 4]),
            "target_ids": np.zeros(3, np.int64), "target_weights": np.array([1, 2, 4], np.float32),
        },
    )  # fmt: skip


value = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, float("nan")])


@given(st.lists(st.tuples(value, value), min_size=1, max_size=130), st.booleans(), st.booleans())
def test_a_tree_sends_every_row_where_its_comparisons_say(
    rows: list[tuple[float, float]],
    is_strict: bool,  # noqa: FBT001 - drawn
    missing_is_true: bool,  # noqa: FBT001 - drawn
) -> None:
    def holds(x: float, threshold: float) -> bool:
        return missing_is_true if np.isnan(x) else (x < threshold if is_strict else x <= threshold)

    rule = b"BRANCH_LT" if is_strict else b"BRANCH_LEQ"
    found = PackedTrees(tree(rule, missing_is_true=missing_is_true))(np.array(rows, dtype=np.float32).T.copy())
    assert found[:, 0].tolist() == [1 if holds(a, 0.5) else 2 if holds(b, 2) else 4 for a, b in rows]


def test_trees_of_another_kind_are_refused() -> None:
    with pytest.raises(IntegrityError, match="of another kind than those that nascreen writes"):
        PackedTrees(tree(b"BRANCH_GT"))


# ---------------------------------------------------------------- graphs


@pytest.mark.parametrize("name", ["process.onnx", "trees.onnx"])
def test_graphs_are_read_as_the_library_reads_them(name: str) -> None:
    onnx = pytest.importorskip("onnx")
    data = (FOLDER / name).read_bytes()
    expected, found = onnx.load_from_string(data).graph, read_graph(data)
    assert len(found.nodes) == sum(len(node.output) for node in expected.node)
    for tensor in expected.initializer:
        np.testing.assert_array_equal(found.constants[tensor.name], onnx.numpy_helper.to_array(tensor))
    for node in expected.node:
        here = found.nodes[node.output[0]]
        assert {found.nodes[name].operator for name in node.output} == {node.op_type}
        assert list(here.inputs) == list(node.input)
        for attribute in node.attribute:
            given = np.asarray(onnx.helper.get_attribute_value(attribute))
            np.testing.assert_array_equal(np.asarray(here.attributes[attribute.name]), given)


@pytest.mark.parametrize(
    "data", [b"", b"\x3a\x05abc", b"\xff" * 40, b"no model at all"], ids=["empty", "cut", "ff", "text"]
)
def test_bytes_that_are_no_graph_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="no ONNX file that can be read"):
        read_graph(data)


@pytest.mark.parametrize(
    ("output", "change", "message"),
    [
        ("latent", {"operator": "Max"}, "no Sum where one is expected"),
        ("reduction", {"operator": "Max"}, "no Concat where one is expected"),
        ("reduction", {"inputs": "first twice"}, "multiplies other halves than is expected"),
    ],
    ids=["mean", "form", "halves"],
)
def test_a_process_of_another_kind_is_run_as_it_is(
    output: str, change: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bulk._graph_of

    def changed(model: object, name: str) -> Graph:
        graph = real(model, name)  # type: ignore[arg-type]
        if name != "process.onnx":
            return graph
        node = graph.nodes[graph.nodes[output].inputs[0]]  # of what is transposed
        if "inputs" in change:
            first, _, last = node.inputs
            change["inputs"] = (first, first, last)
        fields = {
            "operator": node.operator,
            "inputs": node.inputs,
            "output": node.output,
            "attributes": node.attributes,
        }
        return Graph({**graph.nodes, node.output: Node(**{**fields, **change})}, graph.constants)  # type: ignore[arg-type]

    assert BulkModel(load_models().conductivity).why_graphs == ""
    monkeypatch.setattr(bulk, "_graph_of", changed)
    model = BulkModel(load_models().conductivity)
    assert message in model.why_graphs
    assert_agrees(*candidates("nasicon-wide", LEAST_ROWS, 5), model)


def test_a_graph_that_is_not_the_promised_one_is_refused(tmp_path: Path) -> None:
    for name in ("conductivity", "strength"):
        (tmp_path / name).mkdir()
        for path in (model_folder() / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    model = models_in(tmp_path).conductivity
    (tmp_path / "conductivity" / "trees.onnx").write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"trees\.onnx"):
        BulkModel(model)
