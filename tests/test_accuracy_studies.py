"""Promises of the studies of accuracy: bounds by their likelihood, errors that papers share, figures that are read."""

from __future__ import annotations

import csv
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nascreen.datasets import grouped_folds, load_table
from nascreen.features import FEATURE_NAMES
from nascreen.records import Sample
from nascreen.training import LITHIUM_COLUMN, N_FOLDS, literature_rows
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


# ---------------------------------------------------------------- what bounds it


@pytest.fixture(scope="module")
def hindsight() -> ModuleType:
    return study("accuracy", "hindsight")


@pytest.fixture(scope="module")
def limit() -> ModuleType:
    return study("accuracy", "limit")


def test_no_other_mixture_of_learners_is_nearer_than_the_best_one(hindsight: ModuleType) -> None:
    rng = np.random.default_rng(1)
    targets = rng.standard_normal(80)
    said = targets[:, None] + rng.standard_normal((80, 4)) * [0.5, 0.7, 1.0, 3.0] + [0.4, -0.6, 0.0, 0.0]
    weights = hindsight.best_mixture(said, targets)
    assert weights.min() > -1e-9
    assert weights.sum() == pytest.approx(1)
    best = np.abs(said @ weights - targets).mean()
    others = rng.dirichlet(np.full(4, 0.5), 3000)
    assert best <= np.abs(said @ others.T - targets[:, None]).mean(axis=0).min() + 1e-9
    assert best < np.abs(said - targets[:, None]).mean(axis=0).min()


def test_choices_by_the_answers_are_never_worse_than_what_they_choose_from(hindsight: ModuleType) -> None:
    rng = np.random.default_rng(2)
    targets, families = rng.standard_normal(60), np.repeat(["a", "b", "c"], 20)
    said = {name: targets + scale * rng.standard_normal((2, 60)) for name, scale in
            (("mean of three", 0.6), ("one", 0.8), ("two", 1.0))}  # fmt: skip
    found = hindsight.chosen(said, targets, families)
    single = found["best of all learners", "the scored rows"]
    assert (single <= found["promoted model", "papers left out"] + 1e-12).all()
    assert (found["best learner of each family", "the scored rows"] <= single + 1e-12).all()
    assert (found["best mixture", "the scored rows"] <= single + 1e-9).all()


def test_a_review_that_quotes_a_value_confirms_it_only_as_a_text_by_itself(limit: ModuleType) -> None:
    """Two papers a decade apart; a review quotes the first and shares its group."""
    given = {"formula": "Na3Zr2Si2PO12", "meas_temp_c": 25.0, "phase": "crystalline"}
    samples = [
        Sample(sample_id=name, paper_id=name, group_id=group, conductivity_s_cm=sigma, **given)  # type: ignore[arg-type]
        for name, group, sigma in (("a", "a", 1e-3), ("review", "a", 1e-3), ("b", "b", 1e-4))
    ]
    by_text, texts = limit.misses_of_repeats(samples, lambda s: s.paper_id)
    by_group, groups = limit.misses_of_repeats(samples, lambda s: s.group_id)
    assert (len(texts), len(groups)) == (3, 2)
    assert sorted(by_text) == pytest.approx([0.5, 0.5, 1.0])
    assert by_group == pytest.approx([1.0, 1.0])


def test_hidden_columns_are_hidden_in_what_is_borrowed_and_nothing_else_is(ablation: ModuleType) -> None:
    tested = literature_rows().take(np.arange(20))
    promoted = ablation.lent(ablation.VARIANTS[0], tested)
    for variant in ablation.VARIANTS:
        if variant.hidden:
            found = ablation.lent(variant, tested)
            shown = np.setdiff1d(np.arange(len(FEATURE_NAMES)), variant.hidden)
            assert len(found.groups) == len(promoted.groups)
            assert not found.features[:, list(variant.hidden)].any()
            np.testing.assert_array_equal(found.features[:, shown], promoted.features[:, shown])


@pytest.mark.parametrize(
    ("name", "has_lithium", "has_glass"),
    [("forest without glasses", True, False), ("forest without lithium", False, True), ("none of them", False, False)],
)
def test_what_is_left_out_does_not_teach(
    ablation: ModuleType, name: str, *, has_lithium: bool, has_glass: bool
) -> None:
    (variant,) = [v for v in ablation.VARIANTS if v.name == name]
    found = ablation.lent(variant, literature_rows().take(np.arange(20)))
    lithium = found.features[:, LITHIUM_COLUMN] > 0
    assert (bool(lithium.any()), bool((~lithium).any())) == (has_lithium, has_glass)


def test_every_feature_of_the_field_is_hidden_in_some_ablation(ablation: ModuleType) -> None:
    hidden = {column for variant in ablation.VARIANTS for column in variant.hidden}
    assert hidden == set(range(len(FEATURE_NAMES)))
    for name, columns in ablation.KINDS_OF_INFORMATION.items():
        assert columns, name


def test_what_the_readme_says_of_melting_points_is_what_the_study_found() -> None:
    with (ROOT / "experiments" / "tabular" / "external.csv").open(encoding="utf-8", newline="") as file:
        found = {row["model"]: row for row in csv.DictReader(file)}
    ours, theirs, default = (found[name] for name in ("nascreen", "MODNet", "Magpie and random forest"))
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    a, b, c = (f"{float(row['mae_k']):.0f} K" for row in (ours, theirs, default))
    said = f"errs by {a} where MODNet errs by {b} and Magpie with a random forest by {c} ({ours['n_rows']} rows"
    assert said in text


def test_what_the_readme_says_of_hindsight_and_of_rows_as_collected_is_what_the_studies_found() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    quantities = ("log10 σ", "log10 σ, 15–35 °C, measured", "log10 σ, NASICON", "Ea / eV")
    hindsight = {(row["chosen"], row["quantity"]): float(row["error"]) for row in _table("hindsight.csv")}
    for title, chosen in (
        ("**nascreen**, which does not look", "promoted model"),
        ("best of all learners", "best of all learners"),
        ("best mixture of all", "best mixture"),
        ("best learner of each family", "best learner of each family"),
    ):
        assert f"| {title} | " + " | ".join(f"{hindsight[chosen, q]:.3f}" for q in quantities) + " |" in text
    models = ("mean of three", "boosting, 400 rounds at 0.05")
    collected = {(r["quantity"], r["subset"], r["model"]): float(r["error"]) for r in _table("collected.csv")}
    for quantity, subset in (("log10 σ", "all"), ("log10 σ", "nasicon"), ("Ea / eV", "all")):
        ours, boosted = (f"{collected[quantity, subset, model]:.3f}" for model in models)
        assert f"{ours} for log10 σ ({boosted} by" in text or f"{ours} ({boosted}) for" in text
    glasses = {row["model"]: float(row["error"]) for row in _table("glasses.csv")}
    assert f"the promoted model {glasses['promoted model']:.2f} decades" in text
    assert f"support vectors {glasses['mean of three kinds']:.2f}" in text
    assert f"{glasses['best mixture, in hindsight']:.2f} the best mixture of all ten" in text


def test_what_the_readme_says_of_ablations_is_what_the_study_found() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    found = {(r["question"], r["variant"]): r for r in _table("ablation.csv") if r["quantity"] == "log10 σ"}

    def said(question: str, variant: str) -> str:
        row = found[question, variant]
        return f"{abs(float(row['above_promoted'])):.3f} ± {float(row['standard_error']):.3f}"

    for words, key in (
        ("processing and microstructure {}", ("information hidden", "processing and microstructure")),
        ("Magpie {}", ("information hidden", "Magpie")),
        ("glass or crystal {}", ("information hidden", "glass, glass-ceramic or crystal")),
        ("the field's own features {}", ("information hidden", "all of the field's own features")),
        ("cited values {}", ("cited", "left out")),
        ("brought nothing ({})", ("computed stability", "seen by the trees")),
        ("sulfide glasses cost {}", ("glasses and lithium", "no sulfide glasses in the process")),
    ):
        assert words.format(said(*key)) in text
