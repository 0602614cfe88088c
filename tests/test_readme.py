"""The figures that people read are those that a command wrote."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from nascreen.datasets import model_folder

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "experiments" / "accuracy" / "results.csv"


@pytest.fixture(scope="module")
def accuracy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("accuracy_run", RESULTS.with_name("run.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scores() -> list[dict[str, str]]:
    with RESULTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_in_the_readme_is_the_one_of_the_accuracy_study(
    accuracy: ModuleType, scores: list[dict[str, str]]
) -> None:
    assert accuracy.readme_table(scores) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_cards_give_the_errors_of_the_accuracy_study(scores: list[dict[str, str]]) -> None:
    studied = {(s["quantity"], s["subset"], s["model"]): float(s["error"]) for s in scores}
    n_compared = 0
    for name in ("conductivity", "strength"):
        card = json.loads((model_folder() / name / "card.json").read_text(encoding="utf-8"))
        for row in card["scores"]:
            assert row["error"] == pytest.approx(studied[row["quantity"], row["subset"], row["model"]], abs=0.002)
            n_compared += 1
    assert n_compared > 50


def test_the_promoted_model_is_ahead_of_every_baseline_by_more_than_the_spread(scores: list[dict[str, str]]) -> None:
    promoted = {"log10 σ": "mean of three", "log10 σ, 15–35 °C": "mean of three", "Ea / eV": "mean of three"}
    for quantity, model in promoted.items():
        rows = {s["model"]: s for s in scores if s["quantity"] == quantity and s["subset"] == "all"}
        ours = float(rows[model]["error"])
        for baseline in ("nearest neighbour", "family median", "global median", "untuned boosting"):
            margin = float(rows[baseline]["error"]) - ours
            assert margin > float(rows[model]["spread"]), (quantity, baseline)


def test_no_note_or_code_names_a_place_outside_the_repository() -> None:
    hosts = ("p" + "ypi.org", "p" + "ythonhosted", "n" + "pmjs.", "../" + "shared")
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("nascreen/*.py"),
        *ROOT.glob("experiments/*/*.py"),
        ROOT / ".ci" / "run",
    ]:
        text = path.read_text(encoding="utf-8")
        assert not [host for host in hosts if host in text], path
