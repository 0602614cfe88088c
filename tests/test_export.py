"""Promises of the export: the files say what the trained models say, and the shipped ones are those of the data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import onnxruntime
import pytest
from threadpoolctl import threadpool_limits

from nascreen import export, gaussian, training
from nascreen.bulk import BulkModel
from nascreen.campaign import literature_process
from nascreen.cards import CONDUCTIVITY_TEXT, STRENGTH_TEXT, calibration_svg, card_text, worse_than_lookup
from nascreen.datasets import grouped_folds, model_folder
from nascreen.errors import IntegrityError
from nascreen.export import (
    process_graph,
    promote,
    strength_graph,
    trees_graph,
    write_model,
)
from nascreen.features import BLOCKS, feature_matrix
from nascreen.gaussian import DECADES_PER_EV, REFERENCE_K, Array
from nascreen.models import (
    STRENGTH_FEATURES,
    Lines,
    Models,
    family_of_sample,
    is_oxide_glass,
    load_card,
    load_models,
    models_in,
)
from nascreen.records import Sample
from nascreen.shifts import Evidence, LearningPoint, ShiftRow
from nascreen.training import (
    N_FOLDS,
    CrossValidation,
    Rows,
    cross_validate,
    cross_validate_strength,
    fit_conductivity,
    fit_strength,
    strength_observations,
    training_rows,
)
from nascreen.verdicts import reviewed_hash

NEEDED = {"conductivity": ("process.onnx", "trees.onnx", "domain.npz"), "strength": ("law.onnx",)}
TEXTS = {"conductivity": CONDUCTIVITY_TEXT, "strength": STRENGTH_TEXT}
N_DIRECTIONS = 60
SHIPPED_DIRECTIONS = training.SPREAD_RANK
EVIDENCE = Evidence(
    [ShiftRow("without nasicon", "log10 σ", name, error, 9, 5) for name, error in
     (("mean of three", 1.9), ("family median", 1.5), ("nearest neighbour", 5.6))],
    [LearningPoint(quantity, n, 1.2 - 0.1 * np.log(n), 0.01) for quantity in ("log10 σ", "Ea / eV")
     for n in (20, 40, 60, 80, 100)],
)  # fmt: skip


@dataclass(frozen=True)
class Promoted:
    """A small training run with what was promoted from it."""

    rows: Rows
    cv: CrossValidation
    model: training.ConductivityModel
    folder: Path
    models: Models


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    # One thread: with small matrices, threads on a busy machine cost a hundred times what they save.
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setattr(training, "N_TREES", 12)
        patch.setattr(training, "N_FOREST_TREES", 3)
        patch.setattr(training, "N_GLASS_TREES", 8)
        patch.setattr(training, "N_TUNING_STEPS", 2)
        for module in (training, export):
            patch.setattr(module, "SPREAD_RANK", N_DIRECTIONS)
        yield


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory, small: None) -> Promoted:
    folder = tmp_path_factory.mktemp("models")
    rows = training_rows()
    kept = set(sorted(set(rows.groups))[::9])
    rows = rows.take(np.array([g in kept for g in rows.groups]))
    cv = cross_validate(rows, (0,), parameters=gaussian.default_parameters())
    fitted: list[training.ConductivityModel] = []

    def keep(*args: Any, **options: Any) -> training.ConductivityModel:
        fitted.append(fit_conductivity(*args, **options))
        return fitted[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "fit_conductivity", keep)
        promote(cv, rows, cross_validate_strength((0,)), folder, EVIDENCE)
    (model,) = fitted
    return Promoted(rows, cv, model, folder, models_in(folder))


def _run(graph: Any, features: Array) -> list[Array]:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(found) for found in session.run(None, {"features": features})]


def _unseen() -> Array:
    """Features of samples with all, some and none of their conditions stated."""
    return feature_matrix(
        [
            Sample(formula="Na3.3Zr1.9Sc0.1Si2.2P0.8O12"),
            Sample(formula="Na3BS3", phase="glass", press_mpa=360.0),
            Sample(formula="Na2.9Sb0.9W0.1S4", phase="crystalline", sinter_temp_c=275.0, rel_density_pct=95.0),
            Sample(formula="NaI"),
            Sample(formula="Na2Si3O7", phase="glass"),
            Sample(formula="Na3Zr2Si2PO12", phase="composite", second_phase="epoxy", second_phase_role="pore_filler"),
        ]
    )


def _of_process() -> Array:
    """Those of them whose spread is that of the process."""
    features = _unseen()
    return features[~is_oxide_glass(features)]


# ---------------------------------------------------------------- graphs


def test_the_process_graph_equals_the_process_on_every_training_row_and_beyond(promoted: Promoted) -> None:
    model = promoted.model
    for features in (promoted.rows.features, _unseen()):
        latent, _ = _run(process_graph(model), features)
        expected = model.process.predict(model.scaler.inputs(features))
        np.testing.assert_allclose(latent, expected, atol=1e-5)
        at_25 = [a[:, 0] - a[:, 1] * DECADES_PER_EV / REFERENCE_K for a in (latent, expected)]
        np.testing.assert_allclose(at_25[0], at_25[1], atol=1e-5)


def test_the_trees_graph_equals_xgboost_and_the_forest(promoted: Promoted) -> None:
    model = promoted.model
    for features in (promoted.rows.features, _unseen()):
        single = features.astype(np.float32)
        assert np.isnan(single).any()
        (found,) = _run(trees_graph(model), single)
        lines = model.lines(features)
        np.testing.assert_allclose(found[:, 0], lines["xgboost"][:, 0], atol=1e-5)
        np.testing.assert_allclose(found[:, 1:], _answered(model, features), atol=1e-5)
        np.testing.assert_allclose(found[:, 0], model.trees.inplace_predict(single), atol=1e-5)


def _answered(model: training.ConductivityModel, features: Array) -> Array:
    """Return the lines of the forest, and those of their own trees for oxide glasses."""
    lines = model.lines(features)
    return np.where(is_oxide_glass(features)[:, None], lines[training.PROMOTED], lines["extra trees"])


def test_every_glass_of_the_table_has_the_same_line_in_the_file(promoted: Promoted) -> None:
    features = training.borrowed_lines().features
    (found,) = _run(trees_graph(promoted.model), features.astype(np.float32))
    assert is_oxide_glass(features).sum() > 2500
    np.testing.assert_allclose(found[:, 1:], _answered(promoted.model, features), atol=1e-5)
    without = replace(promoted.model, glass_trees=None)
    (found,) = _run(trees_graph(without), features.astype(np.float32))
    np.testing.assert_allclose(found[:, 1:], without.lines(features)["extra trees"], atol=1e-5)


def test_screening_many_asks_the_trees_of_glasses_too(promoted: Promoted) -> None:
    features = training.borrowed_lines().features[::7]
    bulk = BulkModel(promoted.models.conductivity)
    assert not bulk.why_graphs
    (expected,) = _run(trees_graph(promoted.model), features.astype(np.float32))
    np.testing.assert_allclose(bulk._trees(features), expected, atol=2e-5)
    is_glass = is_oxide_glass(features)
    np.testing.assert_allclose(bulk._trees(features[~is_glass]), expected[~is_glass], atol=2e-5)


def _splits(trees: Any) -> list[tuple[int, float]]:
    """Return feature and threshold of every split of boosted trees."""
    found, waiting = [], [json.loads(tree) for tree in trees.get_dump(dump_format="json")]
    while waiting:
        node = waiting.pop()
        if "split" in node:
            found.append((int(node["split"].removeprefix("f")), node["split_condition"]))
            waiting += node["children"]
    return found


def test_a_glass_on_a_threshold_goes_the_same_way_in_the_file(promoted: Promoted) -> None:
    trees = promoted.model.glass_trees
    assert trees is not None
    splits = [*_splits(trees.cold), *_splits(trees.hot)]
    glass = next(row for row in _unseen() if is_oxide_glass(row[None])[0])
    features = np.repeat(glass[None], len(splits), axis=0)
    column, threshold = np.array([c for c, _ in splits]), np.array([t for _, t in splits], dtype=np.float32)
    features[np.arange(len(splits)), column] = threshold
    features = features[is_oxide_glass(features)]
    (found,) = _run(trees_graph(promoted.model), features.astype(np.float32))
    assert len(features) > 50
    np.testing.assert_allclose(found[:, 1:], trees.lines(features), atol=1e-5)


def test_a_feature_on_a_threshold_goes_the_same_way_in_the_file(promoted: Promoted) -> None:
    model = promoted.model
    tree = model.forest.estimators_[0].tree_
    split = np.flatnonzero(tree.children_left >= 0)
    features = np.repeat(_unseen()[:1], len(split), axis=0)
    features[np.arange(len(split)), tree.feature[split]] = tree.threshold[split]
    (found,) = _run(trees_graph(model), features.astype(np.float32))
    seen = features.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(found[:, 0], model.lines(seen)["xgboost"][:, 0], atol=1e-5)
    np.testing.assert_allclose(found[:, 1:], _answered(model, seen), atol=1e-5)


def test_the_strength_graph_equals_the_law() -> None:
    samples, terms, log_strength = strength_observations()
    law = fit_strength(terms, log_strength, [s.group_id for s in samples])
    mean, variance = _run(strength_graph(law), terms)
    np.testing.assert_allclose(mean[:, 0], terms @ law.coefficients, rtol=1e-12)
    np.testing.assert_allclose(variance[:, 0], [t @ law.covariance @ t for t in terms], rtol=1e-12)


def test_a_graph_answers_one_row_and_none(promoted: Promoted) -> None:
    graph = process_graph(promoted.model)
    whole = _run(graph, promoted.rows.features)
    for n in (0, 1):
        for part, all_rows in zip(_run(graph, promoted.rows.features[:n]), whole, strict=True):
            np.testing.assert_allclose(part, all_rows[:n], atol=1e-9)


# ---------------------------------------------------------------- what is promoted


def test_the_promoted_files_predict_what_the_trained_model_predicts(promoted: Promoted) -> None:
    for features in (promoted.rows.features, _unseen()):
        lines = promoted.models.conductivity.lines(features)
        expected = promoted.model.lines(features)["mean of three"]
        np.testing.assert_allclose(lines.log_sigma_25, expected[:, 0], atol=1e-5)
        np.testing.assert_allclose(lines.ea_ev, expected[:, 1], atol=1e-5)


@pytest.mark.parametrize("temp_c", [-20.0, 25.0, 300.0])
def test_the_promoted_interval_of_conductivity_is_the_factor_times_the_calibrated_spread(
    promoted: Promoted, temp_c: float
) -> None:
    model, factors = promoted.models.conductivity, promoted.models.conductivity.card["interval"]["log_sigma"]
    for features in (promoted.rows.features, _unseen()):
        lines = model.lines(features)
        _, half = model.log_sigma(lines, np.full(len(features), temp_c))
        h = gaussian.conductivity_coefficients(np.full(len(features), temp_c))
        factor = [factors["by_family"].get(f, factors["overall"]) for f in lines.family]
        np.testing.assert_allclose(half, factor * np.sqrt(promoted.model.variance(features, h)), rtol=1e-5)


def test_the_promoted_interval_of_the_energy_is_the_factor_times_the_calibrated_spread(promoted: Promoted) -> None:
    model, factors = promoted.models.conductivity, promoted.models.conductivity.card["interval"]["ea_ev"]
    for features in (promoted.rows.features, _unseen()):
        lines = model.lines(features)
        _, half = model.ea(lines)
        variance = promoted.model.variance(features, gaussian.energy_coefficients(len(features)))
        factor = [factors["by_family"].get(f, factors["overall"]) for f in lines.family]
        np.testing.assert_allclose(half, factor * np.sqrt(variance), rtol=1e-5)


def test_the_spread_is_exported_on_fewer_directions_than_rows_were_learned_from(promoted: Promoted) -> None:
    assert len(promoted.rows.samples) > N_DIRECTIONS
    features = _of_process()
    exact = promoted.model.process.joint_covariance(
        promoted.model.scaler.inputs(features), gaussian.conductivity_coefficients(np.full(len(features), 25.0))
    )
    lines = promoted.models.conductivity.lines(features)
    aa, ae, ee = lines.covariance.T
    slope = -DECADES_PER_EV / REFERENCE_K
    assert (aa + 2 * slope * ae + slope**2 * ee >= np.diag(exact) - 1e-5).all()


def test_the_factors_are_those_of_papers_left_out(promoted: Promoted) -> None:
    cv, card = promoted.cv, promoted.models.conductivity.card
    for name, kind in (("log_sigma", True), ("ea_ev", False)):
        mask = cv.rows.is_conductivity == kind
        scaled = np.sort((cv.errors("mean of three") / cv.spreads)[:, mask].ravel())
        factor = card["interval"][name]["overall"]
        assert 0.9 <= np.mean(scaled <= factor) <= 0.9 + 3 / len(scaled) + 0.01


def test_a_promoted_composition_is_at_no_distance(promoted: Promoted) -> None:
    np.testing.assert_allclose(promoted.models.conductivity.distance(promoted.rows.features), 0, atol=1e-3)


def test_the_card_describes_the_rows_that_taught(promoted: Promoted) -> None:
    card = promoted.models.conductivity.card
    assert card["data_hash"] == reviewed_hash("literature", "glasses", "lithium")
    assert promoted.models.strength.card["data_hash"] == reviewed_hash("literature")
    assert (card["n_rows"], card["n_papers"]) == (len(promoted.rows.samples), len(set(promoted.rows.groups)))
    hyperparameters = [card["hyperparameters"][name] for name in gaussian.PARAMETERS]
    np.testing.assert_allclose(np.log(hyperparameters), promoted.model.process.parameters, rtol=1e-9)
    families = [family_of_sample(s) for s in promoted.rows.samples]
    assert set(card["domain"]["papers_by_family"]) == set(families)
    temps = [s.meas_temp_c for s in promoted.rows.samples if s.meas_temp_c is not None]
    assert card["domain"]["ranges"]["meas_temp_c"] == [min(temps), max(temps)]


# ---------------------------------------------------------------- writing


def test_the_card_is_written_last_and_promises_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    for name in ("write_bytes", "write_text"):
        method = getattr(Path, name)

        def spy(path: Path, *args: Any, _method: Any = method, **options: Any) -> int:
            written.append(path.name)
            return int(_method(path, *args, **options))

        monkeypatch.setattr(Path, name, spy)
    files = {"a.onnx": b"alpha", "b.npz": b"beta"}
    write_model(tmp_path / "new" / "model", files, {"name": "model", "σ": [1.5]}, "# text\n")
    assert sorted(written[:-1]) == ["a.onnx", "b.npz", "card.md"]
    assert written[-1] == "card.json"
    card = load_card(tmp_path / "new" / "model", tuple(files))
    assert card["files"] == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert card["σ"] == [1.5]
    assert (tmp_path / "new" / "model" / "card.md").read_text(encoding="utf-8") == "# text\n"


def test_until_the_card_is_written_the_old_one_refuses_the_new_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path, {"a.onnx": b"old"}, {"name": "model"}, "old")
    write_text = Path.write_text

    def crash(path: Path, *args: Any, **options: Any) -> int:
        if path.name == "card.json":
            raise OSError(28, "No space left on device")
        return write_text(path, *args, **options)

    monkeypatch.setattr(Path, "write_text", crash)
    with pytest.raises(OSError, match="No space left"):
        write_model(tmp_path, {"a.onnx": b"new"}, {"name": "model"}, "new")
    with pytest.raises(IntegrityError, match=r"a\.onnx in .* has the sha256"):
        load_card(tmp_path, ("a.onnx",))


def test_a_changed_number_in_a_card_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, {"a.onnx": b"data"}, {"name": "model", "interval": 1.8}, "text")
    path = tmp_path / "card.json"
    path.write_text(path.read_text(encoding="utf-8").replace("1.8", "0.8"), encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"card\.json is not the one that was written"):
        load_card(tmp_path, ("a.onnx",))


def test_where_a_lookup_is_better_is_said() -> None:
    scores = [
        {"quantity": "log10 σ", "subset": subset, "model": model, "error": error}
        for subset, errors in {"halide": (1.2, 1.1, 1.3, 1.0), "nasicon": (0.5, 0.9, 1.4, 1.4)}.items()
        for model, error in zip(
            ("mean of three", "nearest neighbour", "family median", "global median"), errors, strict=True
        )
    ]
    assert worse_than_lookup(scores) == [
        "- log10 σ, halide: nearest neighbour 1.100 against 1.200",
        "- log10 σ, halide: global median 1.000 against 1.200",
    ]
    assert worse_than_lookup(scores[4:]) == ["- Nowhere in this table."]


# ---------------------------------------------------------------- what is shipped


@pytest.fixture(scope="module")
def shipped_cards() -> dict[str, dict[str, Any]]:
    return {name: load_card(model_folder() / name, files) for name, files in NEEDED.items()}


def test_the_shipped_models_were_trained_on_the_shipped_data(shipped_cards: dict[str, dict[str, Any]]) -> None:
    assert shipped_cards["conductivity"]["data_hash"] == reviewed_hash("literature", "glasses", "lithium")
    assert shipped_cards["strength"]["data_hash"] == reviewed_hash("literature")
    rows = training_rows()
    assert shipped_cards["conductivity"]["n_rows"] == len(rows.samples)
    assert shipped_cards["conductivity"]["n_papers"] == len(set(rows.groups))
    assert shipped_cards["strength"]["n_rows"] == len(strength_observations()[0])


def test_the_shipped_conductivity_equals_a_model_rebuilt_from_its_hyperparameters(
    shipped_cards: dict[str, dict[str, Any]],
) -> None:
    rows = training_rows()
    process, scaler = literature_process()
    card = shipped_cards["conductivity"]
    settings = dict(card["tree_settings"])
    mask = rows.is_conductivity
    rows = replace(rows, targets=process.targets)
    grown = training.TreeSettings(settings, settings.pop("n_trees"))
    of_forest = dict(card["forest_settings"])
    counts = np.ones(mask.sum())
    brought = training.brought_to_25(process, scaler, rows)
    trees = training.boosted(rows.features[mask], brought, counts, grown, 0)
    lines = training.own_lines(process, scaler, rows)
    grown = training.TreeSettings(of_forest, of_forest.pop("n_trees"))
    forest = training.grown_forest(lines, counts, training.borrowed_lines(), grown, 0)
    assert card["n_borrowed_lines"] == len(training.borrowed_lines().complete().groups)
    of_boosted = dict(card["glass_tree_settings"])
    grown = training.TreeSettings(of_boosted, of_boosted.pop("n_trees"))
    parts = trees, trees, forest
    glasses = rows.take(mask & is_oxide_glass(rows.features))
    of_glasses = training.boosted_lines(training.borrowed_lines(), grown, 0, glasses)
    model = training.ConductivityModel(process, scaler, *parts, glass_trees=of_glasses)
    rebuilt = model.lines(rows.features)["mean of three"]
    lines = load_models().conductivity.lines(rows.features)
    np.testing.assert_allclose(lines.log_sigma_25, rebuilt[:, 0], atol=1e-4)
    np.testing.assert_allclose(lines.ea_ev, rebuilt[:, 1], atol=1e-5)


def test_the_shipped_spread_equals_that_of_the_rebuilt_process() -> None:
    process, scaler = literature_process()
    features = _of_process()
    lines = load_models().conductivity.lines(features)
    h = gaussian.energy_coefficients(len(features))
    projection = gaussian.spread_projection(process, SHIPPED_DIRECTIONS)
    expected = gaussian.compact_variance(process, projection, scaler.inputs(features), h)
    np.testing.assert_allclose(lines.covariance[:, 2], expected, rtol=1e-4)


def test_what_the_shipped_spread_leaves_out_makes_intervals_little_wider_and_none_narrower() -> None:
    process, scaler = literature_process()
    features = training_rows().features
    features = features[~is_oxide_glass(features)][::3]
    h = gaussian.conductivity_coefficients(np.full(len(features), 25.0))
    inputs = scaler.inputs(features)
    projection = gaussian.spread_projection(process, SHIPPED_DIRECTIONS)
    paper_a, paper_e, noise, _ = np.exp(2 * process.parameters[-4:])
    own = h**2 @ np.array([paper_a, paper_e]) + noise  # what the widest interval has too
    found = gaussian.compact_variance(process, projection, inputs, h) + own
    ratio = np.sqrt(found / (np.diag(process.joint_covariance(inputs, h)) + own))
    is_known = features[:, BLOCKS["phase"]].any(axis=1)
    assert ratio[is_known].min() > 1 - 1e-6
    assert np.median(ratio) < 1.02
    assert np.quantile(ratio, 0.9) < 1.1


def test_the_shipped_spread_of_glasses_is_that_of_references_left_out(
    shipped_cards: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    card = shipped_cards["conductivity"]
    monkeypatch.setattr(training, "N_GLASS_TREES", card["glass_tree_settings"]["n_trees"])
    errors = training.glass_errors.__wrapped__()
    monkeypatch.setattr(training, "glass_errors", lambda: errors)
    spread = training.glass_spread.__wrapped__()
    shipped = card["oxide_glass"]
    np.testing.assert_allclose(shipped["covariance"], spread.covariance, rtol=1e-6)
    assert shipped["per_distance"] == pytest.approx(spread.per_distance)
    assert (shipped["n_glasses"], shipped["n_references"]) == (len(errors.groups), len(set(errors.groups)))
    assert shipped["error_log_sigma_25"] == pytest.approx(np.abs(errors.off[:, 0]).mean())
    monkeypatch.setattr(export, "glass_errors", lambda: errors)
    monkeypatch.setattr(export, "glass_spread", lambda: spread)
    for name, factor in export.glass_factors(card["noise_variance"]).items():
        assert card["interval"][name]["by_family"]["oxide_glass"] == pytest.approx(factor)


def test_intervals_of_glasses_hold_nine_of_ten_whose_reference_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The predicted interval at 25 °C, by the code that predicts, against errors with tails heavier than normal."""
    rng = np.random.default_rng(3)
    distance = rng.uniform(0, 0.3, 4000)
    off = rng.standard_t(3, (4000, 2)) * [1.0, 0.08] * (1 + 4 * distance)[:, None]
    errors = training.GlassErrors(off, distance, ["a"] * 4000)
    monkeypatch.setattr(training, "glass_errors", lambda: errors)
    spread = training.glass_spread.__wrapped__()
    monkeypatch.setattr(export, "glass_errors", lambda: errors)
    monkeypatch.setattr(export, "glass_spread", lambda: spread)
    model = load_models().conductivity
    factors = export.glass_factors(model.card["noise_variance"])
    card = {**model.card, "interval": {name: {"overall": 9.0, "by_family": {"oxide_glass": factor}}
                                       for name, factor in factors.items()}}  # fmt: skip
    monkeypatch.setattr(model, "card", card)
    lines = Lines(np.zeros(4000), np.full(4000, 0.6), spread.at(distance), ("oxide_glass",) * 4000)
    for half, errors_of in (
        (model.log_sigma(lines, np.full(4000, 25.0))[1], off[:, 0]), (model.ea(lines)[1], off[:, 1]),
    ):  # fmt: skip
        assert np.mean(np.abs(errors_of) <= half) == pytest.approx(0.9, abs=0.001)


def test_the_shipped_strength_equals_a_law_fitted_again() -> None:
    samples, terms, log_strength = strength_observations()
    law = fit_strength(terms, log_strength, [s.group_id for s in samples])
    found, _ = load_models().strength.log_strength(samples, [s.family for s in samples])
    np.testing.assert_allclose(found, terms @ law.coefficients, atol=1e-9)
    assert terms.shape[1] == len(STRENGTH_FEATURES)


def test_the_shipped_domain_is_that_of_the_shipped_data(shipped_cards: dict[str, dict[str, Any]]) -> None:
    rows = training_rows()
    scored = rows.take(rows.is_scored)
    folds = np.array([grouped_folds(scored.groups, N_FOLDS, 0)])
    empty = np.empty((1, len(folds[0])))
    cv = CrossValidation(scored, (0,), {}, empty, folds)
    found = export._domain(rows, [family_of_sample(s) for s in rows.samples], cv)
    assert shipped_cards["conductivity"]["domain"] == json.loads(json.dumps(found))


@pytest.mark.parametrize("name", NEEDED)
def test_the_shipped_card_for_people_says_every_overall_score_and_where_a_lookup_is_better(
    name: str, shipped_cards: dict[str, dict[str, Any]]
) -> None:
    text = (model_folder() / name / "card.md").read_text(encoding="utf-8")
    overall = [s for s in shipped_cards[name]["scores"] if s["subset"] == "all"]
    assert len(overall) >= 5
    for score in overall:
        assert f"| {score['quantity']} | all | {score['model']} | {score['error']:.3f} |" in text
    assert "## Where it is worse than a lookup\n\n- " in text


@pytest.mark.parametrize("name", NEEDED)
def test_the_shipped_card_for_people_is_written_from_the_card(
    name: str, shipped_cards: dict[str, dict[str, Any]]
) -> None:
    text = (model_folder() / name / "card.md").read_text(encoding="utf-8")
    assert text == card_text(shipped_cards[name], TEXTS[name])


def test_the_shipped_scores_were_earned_on_unseen_papers_and_beat_every_lookup_overall(
    shipped_cards: dict[str, dict[str, Any]],
) -> None:
    assert shipped_cards["conductivity"]["protocol"].startswith("5 folds grouped by paper")
    for card, ours in (("conductivity", "mean of three"), ("strength", "strength law")):
        overall: dict[str, dict[str, float]] = {}
        for score in shipped_cards[card]["scores"]:
            if score["subset"] == "all":
                overall.setdefault(score["quantity"], {})[score["model"]] = score["error"]
        for errors in overall.values():
            for lookup in ("nearest neighbour", "family median", "global median"):
                assert errors[ours] < errors[lookup]


def test_the_shipped_figure_of_calibration_is_drawn_from_the_card(shipped_cards: dict[str, dict[str, Any]]) -> None:
    card = shipped_cards["conductivity"]
    curve = dict(card["interval"]["curve"])
    drawn = calibration_svg(curve.pop("promised"), curve)
    path = model_folder() / "conductivity" / "calibration.svg"
    assert path.read_text(encoding="utf-8") == drawn
    assert "(calibration.svg)" in path.with_name("card.md").read_text(encoding="utf-8")
    xml = ET.fromstring(drawn)
    assert len(xml.findall(".//{*}circle")) == 2 * len(card["interval"]["curve"]["promised"])


def test_the_shipped_intervals_hold_what_they_promise_on_folds_that_did_not_calibrate_them(
    shipped_cards: dict[str, dict[str, Any]],
) -> None:
    by_property = shipped_cards["conductivity"]["interval"]["coverage_of_unseen_folds"]
    assert set(by_property) == {"log_sigma", "ea_ev"}
    for found in by_property.values():
        assert 0.88 <= found["rows"] <= 0.93
        assert min(part["rows"] for part in found["by_family"].values()) >= 0.8
        assert "nasicon" in found["by_family"]


def test_the_shipped_card_says_what_bounds_the_model_and_what_more_papers_buy(
    shipped_cards: dict[str, dict[str, Any]],
) -> None:
    text = (model_folder() / "conductivity" / "card.md").read_text(encoding="utf-8")
    card = shipped_cards["conductivity"]
    assert f"misses them by {card['reproducibility']['by_others']:.2f} decades" in " ".join(text.split())
    assert "20 more papers like those known should buy" in text
    assert {row["split"].partition(" ")[0] for row in card["shifts"]} == {"without", "learned"}
    assert len({point["n_papers"] for point in card["learning_curve"]}) >= 5


def test_a_model_with_another_feature_order_would_be_seen(promoted: Promoted) -> None:
    """Guards the comparisons above: swapped blocks do change what a graph says."""
    swapped = promoted.rows.features.copy()
    swapped[:, BLOCKS["field"]] = swapped[:, BLOCKS["field"]][:, ::-1]
    latent, _ = _run(process_graph(promoted.model), swapped)
    assert (
        np.abs(latent - promoted.model.process.predict(promoted.model.scaler.inputs(promoted.rows.features))).max()
        > 0.01
    )
    assert replace(promoted.rows, features=swapped).features is swapped
