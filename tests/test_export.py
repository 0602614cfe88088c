"""Exported files are the trained models, and stale ones are found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nascreen import gaussian, training
from nascreen.campaign import literature_process
from nascreen.datasets import data_hash, model_folder
from nascreen.export import card_text, process_graph, sha256_of, strength_graph, trees_graph, write_model
from nascreen.models import STRENGTH_FEATURES, load_models
from nascreen.training import (
    ConductivityModel,
    Rows,
    ScoreRow,
    fit_conductivity,
    fit_strength,
    literature_rows,
    strength_observations,
    training_rows,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:onnx.*", "ignore::DeprecationWarning:onnxmltools.*")


@pytest.fixture(scope="module")
def rows() -> Rows:
    whole = literature_rows()
    return whole.take(np.random.default_rng(0).choice(len(whole.targets), 150, replace=False))


@pytest.fixture(scope="module")
def model(rows: Rows) -> ConductivityModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "N_TREES", 40)
        return fit_conductivity(rows, parameters=gaussian.default_parameters())


def _answer(graph: object, features: np.ndarray) -> list[np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])  # type: ignore[attr-defined]
    return session.run(None, {"features": features})


def test_the_process_graph_gives_the_process_on_every_row(rows: Rows, model: ConductivityModel) -> None:
    latent, _ = _answer(process_graph(model), rows.features)
    np.testing.assert_allclose(latent, model.process.predict(model.scaler.inputs(rows.features)), atol=1e-5)


def test_the_process_graph_lowers_the_variance_as_the_model_does(rows: Rows, model: ConductivityModel) -> None:
    _, reduction = _answer(process_graph(model), rows.features)
    prefactor, energy = gaussian.amplitudes(model.process.parameters)
    h = rows.coefficients
    covariance = np.array([(prefactor**2).sum(), 0, (energy**2).sum()]) - reduction
    latent = (
        h[:, 0] ** 2 * covariance[:, 0] + 2 * h[:, 0] * h[:, 1] * covariance[:, 1] + h[:, 1] ** 2 * covariance[:, 2]
    )
    paper_a, paper_e, noise_s, noise_e = np.exp(2 * model.process.parameters[-4:])
    noise = paper_a * h[:, 0] ** 2 + paper_e * h[:, 1] ** 2 + np.where(h[:, 0] != 0, noise_s, noise_e)
    np.testing.assert_allclose(latent + noise, model.variance(rows.features, h), rtol=1e-4)


def test_the_graph_of_the_trees_gives_xgboost_on_every_row(rows: Rows, model: ConductivityModel) -> None:
    single = rows.features.astype(np.float32)
    (found,) = _answer(trees_graph(model.trees), single)
    np.testing.assert_allclose(found[:, 0], model.trees.inplace_predict(single), atol=1e-5)


def test_the_graph_of_the_strength_law_gives_the_law() -> None:
    samples, terms, targets = strength_observations()
    law = fit_strength(terms, targets, [s.group_id for s in samples])
    mean, variance = _answer(strength_graph(law), terms)
    np.testing.assert_allclose(mean[:, 0], terms @ law.coefficients, atol=1e-9)
    np.testing.assert_allclose(variance[:, 0], np.einsum("ij,jk,ik->i", terms, law.covariance, terms), atol=1e-9)


def test_the_shipped_model_is_the_one_that_its_hyperparameters_give_on_the_shipped_rows() -> None:
    every = training_rows()
    process, scaler = literature_process()
    shipped = load_models().conductivity.lines(every.features)
    latent = process.predict(scaler.inputs(every.features))
    np.testing.assert_allclose(shipped.ea_ev, latent[:, 1], atol=1e-5)
    at_25 = latent[:, 0] - latent[:, 1] * gaussian.DECADES_PER_EV / gaussian.REFERENCE_K
    trees = 2 * shipped.log_sigma_25 - at_25
    known = every.is_conductivity
    taught = training._brought_to_25(process, scaler, every)
    assert np.abs(trees[known] - taught).mean() < 0.35


def test_the_shipped_cards_are_of_the_shipped_tables() -> None:
    assert load_models().conductivity.card["data_hash"] == data_hash("literature", "glasses")
    assert load_models().strength.card["data_hash"] == data_hash("literature")
    assert load_models().strength.card["features"] == list(STRENGTH_FEATURES)


@pytest.mark.parametrize("name", ["conductivity", "strength"], ids=str)
def test_the_card_for_people_gives_every_error_of_the_card_for_machines(name: str) -> None:
    folder = model_folder() / name
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    text = (folder / "card.md").read_text(encoding="utf-8")
    for row in card["scores"]:
        assert f"| {row['quantity']} | {row['subset']} | {row['model']} | {row['error']:.3f} |" in text
    assert "## Where it is worse than a lookup" in text


def test_a_card_names_where_a_lookup_is_better() -> None:
    scores = [
        ScoreRow("Ea / eV", "all", "mean of both", 0.2, 0.0, 5, 2),
        ScoreRow("Ea / eV", "all", "nearest neighbour", 0.1, 0.0, 5, 2),
        ScoreRow("Ea / eV", "all", "family median", 0.3, 0.0, 5, 2),
        ScoreRow("Ea / eV", "all", "global median", 0.4, 0.0, 5, 2),
    ]
    card = {
        "title": "t", "n_rows": 5, "n_papers": 2, "data_hash": "x", "protocol": "p", "interval": {},
        "scores": [{name: getattr(s, name) for name in s.__dataclass_fields__} for s in scores],
    }  # fmt: skip
    text = card_text(card, "")
    assert "- Ea / eV, all: nearest neighbour 0.100 against 0.200" in text
    assert "family median 0.300 against" not in text


def test_a_written_model_has_the_hashes_of_its_files_and_its_card_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    write_bytes, write_text = Path.write_bytes, Path.write_text

    def bytes_spy(path: Path, data: bytes) -> int:
        order.append(path.name)
        return write_bytes(path, data)

    def text_spy(path: Path, data: str, **options: str) -> int:
        order.append(path.name)
        return write_text(path, data, **options)

    monkeypatch.setattr(Path, "write_bytes", bytes_spy)
    monkeypatch.setattr(Path, "write_text", text_spy)
    write_model(tmp_path / "new", {"a.onnx": b"a", "b.npz": b"b"}, {"name": "new"}, "text")
    assert order[-1] == "card.json"
    card = json.loads((tmp_path / "new" / "card.json").read_text(encoding="utf-8"))
    assert card["files"] == {name: sha256_of(tmp_path / "new" / name) for name in ("a.onnx", "b.npz")}
