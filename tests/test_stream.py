"""Promises of the screen: array features and scores are those of single candidates, and what is kept is complete."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from nascreen import stream
from nascreen.array_features import ArrayFeatures
from nascreen.chemistry import ATOMIC_NUMBER, FAMILIES, family_of, parse_formula
from nascreen.cli import main
from nascreen.datasets import data_folder
from nascreen.elements import load_elements
from nascreen.errors import InputError, MissingExtraError, NascreenError, TableError
from nascreen.features import feature_matrix
from nascreen.lattices import draw, lattice_names, load_lattice, samples_of
from nascreen.models import load_models
from nascreen.screening import score
from nascreen.stream import DOUBTS, RECORD, Scorer, _systems, default_prices, read_prices, screen

every_space = pytest.mark.parametrize("name", lattice_names())

# The charges could be dealt out in other ways here: V3+ with a metal that could be reduced by as much, S6+.
UNCLEAR = """
name = "unclear"
title = "Vanadium and its rivals"
families = ["nasicon"]
mobile = "Na"
mobile_range = [0, 4]
[[site]]
name = "M"
occupancy = 2
step = 0.25
[site.species]
V = { range = [0, 2], charge = 3 }
Sn = [0, 2]
Fe = [0, 2]
Cr = [0, 2]
[[site]]
name = "T"
occupancy = 3
step = 0.5
[site.species]
Si = [0, 3]
P = [0, 3]
S = { range = [0, 1], charge = 6 }
[[site]]
name = "O"
occupancy = 12
step = 12
[site.species]
O = [12, 12]
[[route]]
phase = "crystalline"
"""


# What a single prediction says for each of `DOUBTS`, in order.
DOUBT_WORDS = ("never seen in the data", " only", "composition far from all data", "is outside the", "interval spans")


def assert_same_features(lattice: object, n: int) -> None:
    drawn = next(draw(lattice, n, seed=5))  # type: ignore[arg-type]
    found, family = ArrayFeatures(lattice)(drawn)  # type: ignore[arg-type]
    samples = samples_of(lattice, drawn)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, feature_matrix(samples), rtol=1e-9, atol=1e-9)
    assert [FAMILIES[i] for i in family] == [family_of(parse_formula(s.formula), s.phase or None) for s in samples]


@every_space
def test_features_of_arrays_are_those_of_formulas(name: str) -> None:
    assert_same_features(load_lattice(name), 100)


def test_features_are_the_same_where_charges_could_be_dealt_out_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "unclear.toml"
    path.write_text(UNCLEAR, encoding="utf-8")
    assert_same_features(load_lattice(str(path)), 300)


@every_space
def test_scores_are_those_of_single_predictions(name: str) -> None:
    lattice = load_lattice(name)
    drawn = next(draw(lattice, 40, seed=2))
    found = Scorer(lattice, load_models(), default_prices()).score(drawn)
    for i, single in enumerate(score(samples_of(lattice, drawn))):
        p = single.prediction
        assert found["log_sigma"][i] == pytest.approx(np.log10(p.conductivity_s_cm), abs=1e-6)
        half = np.log10(p.conductivity_s_cm / p.conductivity_lo)
        assert found["log_sigma_half"][i] == pytest.approx(half, rel=1e-6)
        assert found["ea_ev"][i] == pytest.approx(p.ea_ev, rel=1e-6)
        assert found["ea_ev"][i] + found["ea_half"][i] == pytest.approx(p.ea_hi, rel=1e-6)
        assert 10 ** found["log_strength"][i] == pytest.approx(p.strength_mpa, rel=1e-6)
        assert 10 ** (found["log_strength"][i] + found["strength_half"][i]) == pytest.approx(p.strength_hi, rel=1e-6)
        assert found["novelty"][i] == pytest.approx(p.distance, abs=1e-6)
        resistance = single.thinnest_um * 1e-4 / 10 ** found["log_sigma"][i]
        assert found["resistance_ohm_cm2"][i] == pytest.approx(resistance, rel=1e-6)
        assert (found["doubts"][i] == 0) == p.in_domain, p.domain_note
        for bit, words in enumerate(DOUBT_WORDS):
            assert bool(found["doubts"][i] >> bit & 1) == (words in p.domain_note), p.domain_note


def test_elements_that_oxide_glasses_alone_hold_are_unknown_to_other_families(monkeypatch: pytest.MonkeyPatch) -> None:
    models = load_models()
    domain = {**models.conductivity.card["domain"], "elements": ["Na", "O"]}
    monkeypatch.setattr(models.conductivity, "card", {**models.conductivity.card, "domain": domain})
    found = Scorer(load_lattice("oxide-glasses"), models, default_prices()).score(
        next(draw(load_lattice("oxide-glasses"), 40, seed=2))
    )
    is_glass = found["family"] == FAMILIES.index("oxide_glass")
    assert 0 < is_glass.sum() < len(is_glass)
    np.testing.assert_array_equal(found["doubts"] & 1, ~is_glass)


def test_cost_and_supply_risk_are_means_by_mass() -> None:
    lattice = load_lattice("nasicon-wide")
    drawn = next(draw(lattice, 20))
    scorer = Scorer(lattice, load_models(), default_prices())
    found = scorer.score(drawn)
    table = load_elements(data_folder())
    for i, sample in enumerate(samples_of(lattice, drawn)):
        amounts = parse_formula(sample.formula).amounts
        mass = {s: float(n) * table.atomic_mass[ATOMIC_NUMBER[s]] for s, n in amounts.items()}
        for column, values in (("cost_usd_kg", table.cost_usd_kg), ("hhi_production", table.hhi_production)):
            mean = sum(m * values[ATOMIC_NUMBER[s]] for s, m in mass.items()) / sum(mass.values())
            assert found[column][i] == pytest.approx(mean)


@pytest.mark.parametrize(
    ("name", "flag", "expected"),
    [("sulfides", "gives_h2s", True), ("composites", "gives_h2s", False), ("halides", "is_hygroscopic", True),
     ("composites", "is_hygroscopic", False), ("composites", "is_toxic", False)],
)  # fmt: skip
def test_hazards_are_flagged(name: str, flag: str, *, expected: bool) -> None:
    lattice = load_lattice(name)
    found = Scorer(lattice, load_models(), default_prices()).score(next(draw(lattice, 10)))
    assert set(found[flag]) == {expected}


def test_a_family_that_a_space_does_not_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(UNCLEAR.replace('["nasicon"]', '["silicate"]'), encoding="utf-8")
    lattice = load_lattice(str(path))
    with pytest.raises(NascreenError, match="The space unclear drew a candidate of the family nasicon; its families"):
        Scorer(lattice, load_models(), default_prices()).score(next(draw(lattice, 5)))


# ---------------------------------------------------------------- what is kept


def test_a_screen_keeps_every_candidate_once_with_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PART_ROWS", 100)
    seen: list[int] = []
    done = screen("oxide-glasses", 500, tmp_path / "s", "sobol", 3, on_progress=seen.append)
    table = pq.read_table(sorted((tmp_path / "s").glob("*.parquet")))
    assert done.n == len(table) == seen[-1] == 500
    assert table["candidate"].to_pylist() == list(range(500))
    record = json.loads((tmp_path / "s" / RECORD).read_text(encoding="utf-8"))
    assert (record["n"], record["sampling"], record["seed"], record["space"]) == (500, "sobol", 3, "oxide-glasses")
    assert record["prices"]["date"] == "2013-09"
    assert record["doubts"] == list(DOUBTS)
    lattice = load_lattice("oxide-glasses")
    counts = np.column_stack([table[f"n_{s}"].to_numpy() for s in lattice.order])
    assert (counts @ np.array([lattice.states[s] for s in lattice.order]) == 0).all()
    assert not table["log_sigma"].null_count
    assert set(table["phase"].to_pylist()) == {"glass", "glass_ceramic"}


def test_a_folder_in_use_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"The folder .* is there and not empty; give another"):
        screen("oxide-glasses", 5, tmp_path)
    with pytest.raises(InputError, match=r"The folder .* cannot be made \(.*\); give another"):
        screen("oxide-glasses", 5, tmp_path / "x.txt" / "deeper")


def test_a_screen_without_its_packages_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install nascreen[screen]")):
        screen("oxide-glasses", 5, tmp_path / "s")


# ---------------------------------------------------------------- prices


def test_own_prices_replace_the_shipped_ones_and_carry_their_date(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("element,usd_kg,date\nSc,3500,2026-10-01\nNa,3.2,2026-09-15\n", encoding="utf-8")
    own, shipped = read_prices(path), default_prices()
    assert (own.usd_kg[21], own.usd_kg[11], own.usd_kg[40]) == (3500, 3.2, shipped.usd_kg[40])
    assert own.date == "2026-09-15 to 2026-10-01"
    lattice = load_lattice("composites")
    drawn = next(draw(lattice, 30))
    scandium = drawn.counts[:, lattice.order.index("Sc")] > 0
    costs = [Scorer(lattice, load_models(), p).score(drawn)["cost_usd_kg"] for p in (own, shipped)]
    assert (costs[0] < costs[1]).all()
    assert scandium.any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("symbol,price\nNa,3\n", "prices.csv needs the columns element and usd_kg"),
        ("element,usd_kg\n", "prices.csv needs the columns element and usd_kg, and a row"),
        ("element,usd_kg\nNaa,3\n", "Line 2 of the price list prices.csv names 'Naa', which is no element"),
        (
            "element,usd_kg\nNa,3\nZr,-1\n",
            "Line 3 of the price list prices.csv has the price '-1'; allowed is a number",
        ),
        ("element,usd_kg,date\nNa,3,May\n", "has the date 'May'; write it as YYYY-MM-DD"),
    ],
    ids=["columns", "empty", "element", "price", "date"],
)
def test_a_slip_in_a_price_list_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TableError, match=message):
        read_prices(path)


def test_a_price_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"The price list .* cannot be read \(FileNotFoundError\)"):
        read_prices(tmp_path / "none.csv")


# ---------------------------------------------------------------- the command


def test_the_command_says_the_count_first_and_where_it_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "s"
    monkeypatch.setattr(sys, "argv", ["nascreen", "screen", "--space", "hydroborates", "--n", "60", "--out", str(out)])
    main()
    printed, said = capsys.readouterr()
    assert re.search(r"holds [0-9,]+ charge-balanced compositions on [0-9]+ routes, .* drawing 60 \(random", said)
    assert "60 candidates scored to" in printed
    assert "of 2013-09" in printed
    assert len(pq.read_table(sorted(out.glob("*.parquet")))) == 60


def test_a_system_tells_which_of_up_to_64_elements_a_candidate_holds() -> None:
    counts = np.random.default_rng(0).integers(0, 3, size=(200, 64))
    expected = [sum(1 << i for i, n in enumerate(row) if n) for row in counts.tolist()]
    assert _systems(counts).tolist() == expected
    assert _systems(counts[:, :40]).tolist() == [system % 2**40 for system in expected]
