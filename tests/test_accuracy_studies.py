"""Promises of the studies of accuracy: bounds by their likelihood, errors that papers share, figures that are read."""

from __future__ import annotations

import csv
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nascreen.datasets import grouped_folds, load_table
from nascreen.training import N_FOLDS, literature_rows
from tests.conftest import study

ROOT = Path(__file__).resolve().parent.parent
STUDIES = ROOT / "experiments" / "accuracy"


@pytest.fixture(scope="module")
def ablation() -> ModuleType:
    return study("accuracy", "ablation")


def _table(name: str) -> list[dict[str, str]]:
    with (STUDIES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("side", [1, -1], ids=["lower bounds", "upper bounds"])
def test_trees_of_intervals_keep_to_the_side_of_a_bound(ablation: ModuleType, side: int) -> None:
    """Half of one kind of rows is known to lie beyond a bound that is three decades off: their trees go there."""
    rng = np.random.default_rng(0)
    features = np.repeat([[0.0], [1.0]], 60, axis=0)
    decades = np.where(features[:, 0] == 0, -4.0, -6.0) + 0.1 * rng.standard_normal(120)
    sides = np.zeros(120, dtype=np.int8)
    plain = ablation.IntervalTrees(features, decades, sides, 0).inplace_predict(np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(plain, [-4, -6], atol=0.3)
    sides[60::2] = side
    bound = np.where(sides != 0, -6.0 + 3 * side, decades)
    pulled = ablation.IntervalTrees(features, bound, sides, 0).inplace_predict(np.array([[0.0], [1.0]]))
    assert pulled[0] == pytest.approx(-4, abs=0.3)
    assert side * (pulled[1] - plain[1]) > 0.5
    agreed = np.where(sides != 0, -6.0 - 3 * side, decades)
    kept = ablation.IntervalTrees(features, agreed, sides, 0).inplace_predict(np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(kept, plain, atol=0.3)


def test_the_rows_of_a_paper_are_no_evidence_of_their_own(ablation: ModuleType) -> None:
    values = np.repeat([1.0, -1.0, 0.5, -0.5], 25)
    alone = ablation.over_papers(values, np.arange(100))
    assert alone == pytest.approx(values.std() / 10)
    assert ablation.over_papers(values, np.repeat(np.arange(4), 25)) == pytest.approx(5 * alone)


def test_the_table_of_ablations_answers_every_question(ablation: ModuleType) -> None:
    found = {(row["question"], row["variant"]) for row in _table("ablation.csv")}
    assert found == {(variant.question, variant.name) for variant in ablation.VARIANTS}


def test_predictions_of_unseen_papers_are_of_the_rows_as_printed_in_the_table() -> None:
    samples = {s.sample_id for s in load_table("literature")}
    rows = _table("predictions.csv")
    assert {row["sample_id"] for row in rows} <= samples
    assert len({(row["sample_id"], row["quantity"]) for row in rows}) == len(rows) > 900


def test_what_the_readme_says_of_the_limit_is_what_the_study_found() -> None:
    found = {(row["question"], row["rows"]): row for row in _table("limit.csv")}
    repeated = found["repeated by other papers", "yes"]
    alone, known = (found["other papers on the composition", name] for name in ("none", "5 or more"))
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for said in (
        f"{repeated['n_rows']} conductivities are repeated by other papers",
        f"misses them by {float(repeated['by_others']):.2f} decades",
        f"which has not seen the paper, by {float(repeated['by_model']):.2f}",
        f"{100 * float(alone['share_of_all_error']):.0f} % of the error comes from the {alone['n_rows']} rows",
        f"({float(alone['by_model']):.2f} there, {float(known['by_model']):.2f} where five or more do)",
        f"carries {100 * float(found['worst 10% of the rows', 'they alone']['share_of_all_error']):.0f} % of it",
    ):
        assert said in text, said


def test_modnet_stood_on_the_folds_of_the_study() -> None:
    rows = literature_rows()
    names = ["sigma" if kind else "energy" for kind in rows.is_conductivity]
    folds = grouped_folds(rows.groups, N_FOLDS, 0)
    asked = {(s.sample_id, name): str(k) for s, name, k in zip(rows.samples, names, folds, strict=True)}
    said = {(row["sample_id"], row["quantity"]): row["fold"] for row in _table("modnet_predictions.csv")}
    assert said == asked


def test_the_errors_of_modnet_are_those_of_its_predictions() -> None:
    rows = literature_rows()
    said = {(row["sample_id"], row["quantity"]): float(row["predicted"]) for row in _table("modnet_predictions.csv")}
    off: dict[tuple[str, str], list[float]] = {}
    for s, is_sigma, target in zip(rows.samples, rows.is_conductivity, rows.targets, strict=True):
        error = abs(said[s.sample_id, "sigma" if is_sigma else "energy"] - target)
        for subset in ("all", s.family):
            off.setdefault(("log10 σ" if is_sigma else "Ea / eV", subset), []).append(error)
    scores = [row for row in _table("modnet.csv") if row["model"] == "MODNet" and "°C" not in row["quantity"]]
    assert len(scores) > 2
    for row in scores:
        errors = off[row["quantity"], row["subset"]]
        assert int(row["n_rows"]) == len(errors)
        assert float(row["error"]) == pytest.approx(np.mean(errors), abs=2e-4)


def test_what_the_readme_says_of_modnet_is_what_the_study_found() -> None:
    found = {(row["quantity"], row["subset"], row["model"]): float(row["error"]) for row in _table("modnet.csv")}
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    models = ("MODNet", "mean of three", "Magpie + processing + random forest")
    for title, quantity, subset in (
        ("log10 σ", "log10 σ", "all"),
        ("NASICON", "log10 σ", "nasicon"),
        ("15–35 °C, measured", "log10 σ, 15–35 °C, measured", "all"),
        ("Ea / eV", "Ea / eV", "all"),
    ):
        said = f"| {title} | " + " | ".join(f"{found[quantity, subset, model]:.3f}" for model in models) + " |"
        assert said in text, said
