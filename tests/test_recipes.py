"""Promises of the weigh-out sheets: balanced exactly, masses by hand, and a reason where nothing balances."""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nascreen.cli import main
from nascreen.errors import FormulaError, InputError, RangeError
from nascreen.recipes import GASES, Recipe, balance, make_recipe, molar_mass, read_precursor, recipe_rows, recipe_text

PIECE = re.compile(r"([A-Z][a-z]?)([0-9.]*)")


def atoms(formula: str) -> Counter[str]:
    """Read a flat formula, hydrate water included, without the package."""
    out: Counter[str] = Counter()
    for part in formula.split("·"):
        times, body = re.fullmatch(r"([0-9]*)(.+)", part).groups()  # type: ignore[union-attr]
        for symbol, n in PIECE.findall(body):
            out[symbol] += Fraction(times or 1) * Fraction(n or 1)  # type: ignore[assignment]
    return out


def left_over(recipe: Recipe) -> dict[str, Fraction]:
    """Return what comes in less what leaves and what is made; nothing if the sheet is balanced."""
    total: Counter[str] = Counter()
    for w in recipe.weighings:
        for symbol, n in atoms(w.precursor.formula).items():
            total[symbol] += w.moles * n  # type: ignore[assignment]
    for name, n in recipe.gases.items():
        for symbol, k in atoms(name).items():
            total[symbol] -= n * k  # type: ignore[assignment]
    for symbol, n in atoms(recipe.formula).items():
        total[symbol] -= n
    return {symbol: Fraction(n) for symbol, n in total.items() if n}


EVERY_FAMILY = [
    "Na3.4Zr2Si2.4P0.6O12", "Na3.1Zr1.9Sc0.1Si2PO12", "Na3.2Zr1.8Mg0.1Nb0.1Si2.1P0.9O12", "Na5YSi4O12", "Na3BO3",
    "Na2.5Ba0.25BO3", "Na3BS3", "Na3PS4", "Na4P2S6", "Na2.9PS3.9Cl0.1", "Na2.9Sb0.9W0.1S4", "Na10SnP2S12", "Na3PS3O",
    "Na4GeS4", "Na3SbSe4", "Na11Sn2PSe12", "Na2.25Y0.25Zr0.75Cl6", "Na3InCl5.5Br0.5", "NaTaOCl4", "NaAlCl2.5O0.75",
    "Na3OBr", "Na2.9Sr0.05OBr0.6I0.4", "Na3B13H16", "Na4C2B34H36", "Na2BNH6", "Na3V2P3O12",
]  # fmt: skip


@pytest.mark.parametrize("formula", EVERY_FAMILY)
def test_what_goes_in_is_what_is_made_and_what_leaves_exactly(formula: str) -> None:
    assert left_over(make_recipe(formula)) == {}


@settings(max_examples=40)
@given(
    silicon=st.fractions(0, 3, max_denominator=50), dopant=st.fractions(0, Fraction(1, 2), max_denominator=20),
)  # fmt: skip
def test_every_nasicon_of_two_substitutions_has_a_balanced_sheet(silicon: Fraction, dopant: Fraction) -> None:
    parts = {"Na": 1 + silicon + dopant, "Zr": 2 - dopant, "Sc": dopant, "Si": silicon, "P": 3 - silicon, "O": 12}
    formula = "".join(f"{s}{float(n):.9f}" for s, n in parts.items() if n)
    if all(Fraction(f"{float(n):.9f}") == n for n in parts.values()):
        assert left_over(make_recipe(formula)) == {}


def test_the_sheet_of_na3bs3_is_that_by_hand() -> None:
    found = {w.precursor.formula: (w.moles, w.weigh_g) for w in make_recipe("Na3BS3", 10.0).weighings}
    product = 3 * 22.98977 + 10.811 + 3 * 32.065
    assert found["Na2S"] == (Fraction(3, 2), pytest.approx(10 * 1.5 * (2 * 22.98977 + 32.065) / product, abs=0.001))
    assert found["B"] == (1, pytest.approx(10 * 10.811 / product, abs=0.001))
    assert found["S"] == (Fraction(3, 2), pytest.approx(10 * 1.5 * 32.065 / product, abs=0.001))


def test_purity_raises_the_mass_and_the_rest_is_taken_as_inert() -> None:
    pure, dirty = make_recipe("Na5YSi4O12", 20.0), make_recipe("Na5YSi4O12", 20.0, purity_pct={"Na2CO3": 80.0})
    masses = [{w.precursor.formula: w.exact_g for w in recipe.weighings} for recipe in (pure, dirty)]
    assert masses[1]["Na2CO3"] == pytest.approx(masses[0]["Na2CO3"] / 0.8)
    assert masses[1]["SiO2"] == masses[0]["SiO2"]
    assert float(dirty.weighed["Na"]) == pytest.approx(5, abs=0.001)


def test_a_hydrate_brings_its_water_and_loses_it() -> None:
    recipe = make_recipe("Na3Zr2Si2PO12", precursors={"P": "Na3PO4·12H2O"})
    assert recipe.gases == {"H2O": 12}
    assert [w.precursor.formula for w in recipe.weighings] == ["ZrO2", "SiO2", "Na3PO4·12H2O"]
    assert recipe.weighings[2].precursor.molar_mass == pytest.approx(380.12, abs=0.02)
    assert left_over(recipe) == {}
    assert read_precursor("Na3PO4*12H2O") == read_precursor("Na3PO4·12H2O")


def test_an_excess_is_weighed_and_reported_back_with_its_charge() -> None:
    plain, rich = make_recipe("Na3Zr2Si2PO12"), make_recipe("Na3Zr2Si2PO12", excess_pct={"Na": 10.0, "P": 5.0})
    moles = [{w.precursor.formula: w.moles for w in recipe.weighings} for recipe in (plain, rich)]
    assert moles[1]["Na2CO3"] == moles[0]["Na2CO3"] * Fraction(11, 10)
    assert moles[1]["NH4H2PO4"] == moles[0]["NH4H2PO4"] * Fraction(105, 100)
    assert float(rich.weighed["Na"]) == pytest.approx(3.3, abs=2e-4)
    assert rich.charge == pytest.approx(0.3 + 0.25, abs=2e-3)
    assert plain.charge == pytest.approx(0, abs=2e-3)


def test_a_rounded_mass_shows_in_the_weighed_composition() -> None:
    coarse = make_recipe("Na3BS3", 0.2, balance_mg=10.0)
    assert {w.weigh_g for w in coarse.weighings} == {0.13, 0.01, 0.05}
    boron = Fraction(0.01 / 10.811) / Fraction(0.2 / molar_mass(atoms("Na3BS3")))  # type: ignore[arg-type]
    assert float(coarse.weighed["B"]) == pytest.approx(float(boron), rel=1e-4)
    assert coarse.charge is not None
    assert abs(coarse.charge) > 0.1


def test_loss_on_ignition_is_what_the_gases_weigh() -> None:
    recipe = make_recipe("Na3BO3", 12.0)
    mixture = sum(w.exact_g for w in recipe.weighings)
    assert recipe.loss_pct == pytest.approx(100 * (mixture - 12.0) / mixture, abs=1e-3)
    assert make_recipe("Na3PS4").loss_pct == 0


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("Na3PS4", "H2S"), ("NaTaOCl4", "acid fumes"), ("Na3B13H16", "hydrogen"), ("Na3V2P3O12", "Oxygen has to leave"),
        ("Na3Zr2Si2PO12", "ammonia"), ("Na3SbSe4", "toxic"),
    ],
)  # fmt: skip
def test_what_is_dangerous_is_said(formula: str, words: str) -> None:
    assert any(words in sentence for sentence in make_recipe(formula).hazards)


def test_a_system_of_equations_without_one_answer_is_refused() -> None:
    one = Fraction(1)
    with pytest.raises(InputError, match="not determined; leave one of the precursors out"):
        balance([{"Na": one}, {"Na": one}], {"Na": one})
    with pytest.raises(InputError, match="nothing brings S"):
        balance([{"Na": one}], {"Na": one, "S": one})
    with pytest.raises(InputError, match="the amounts of Na, S cannot all be met at once"):
        balance([{"Na": one, "S": one}], {"Na": one, "S": 2 * one})


@pytest.mark.parametrize(
    ("formula", "options", "error", "message"),
    [
        ("Na3.8Zr2Si2.4P0.6O12", {}, InputError, r"not charge balanced .* has no recipe; give the balanced formula"),
        ("NaZr2P3O12", {"precursors": {"P": "Na3PO4"}}, InputError, r"it would need -4 Na2CO3 .*Choose others with"),
        ("Na3PS4", {"precursors": {"P": "NH4H2PO4"}}, InputError, "No combination of precursors gives 'Na3PS4'"),
        ("Na3P", {}, InputError, r"No precursors are known for 'Na3P' \(family nitride_phosphide\)"),
        ("Na3PS4", {"precursors": {"Zr": "ZrO2"}}, InputError, "precursor names 'Zr'; allowed are Na, P, S"),
        ("Na3PS4", {"precursors": {"P": "Na2S"}}, InputError, "'Na2S' was given for P, which it does not hold"),
        ("Na3PS4", {"excess_pct": {"K": 5}}, InputError, "excess names 'K'; allowed are Na, P, S"),
        ("Na3PS4", {"excess_pct": {"S": 5}}, InputError, "excess of S has no meaning here"),
        ("Na3PS4", {"excess_pct": {"Na": 80}}, RangeError, "excess of Na is 80 %; allowed is 0 to 50 %"),
        ("Na3PS4", {"purity_pct": {"NaCl": 99}}, InputError, "purity names 'NaCl'; allowed are Na2S, P2S5"),
        ("Na3PS4", {"purity_pct": {"Na2S": 5}}, RangeError, "purity of Na2S is 5 %; allowed is 50 to 100 %"),
        ("Na3PS4", {"batch_g": 0}, RangeError, "batch is 0 g; allowed is 0.001 to 100000 g"),
        ("Na3PS4", {"batch_g": float("nan")}, RangeError, "batch is nan g"),
        ("Na3PS4", {"balance_mg": 0}, RangeError, "readability of the balance is 0 mg"),
        ("Na3.01Zr1.99Sc0.01Si2PO12", {"batch_g": 0.1}, RangeError, "mg of Sc2O3, less than half of the 1 mg"),
        ("Na3PS4", {"precursors": {"P": "·"}}, FormulaError, "precursor '.*' cannot be read"),
    ],
    ids=[
        "unbalanced", "too much sodium", "water has no way out", "no family", "element not there", "not its element",
        "excess not there", "excess of an anion", "excess too high", "purity not used", "purity too low", "no batch",
        "nan", "no balance", "too little to weigh", "unreadable",
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_with_the_reason(
    formula: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_recipe(formula, **options)  # type: ignore[arg-type]


def test_the_gases_are_what_their_names_say() -> None:
    assert {name: dict(gas) for name, gas in GASES.items()} == {name: dict(atoms(name)) for name in GASES}


def test_the_sheet_prints_every_mass_and_the_sum() -> None:
    recipe = make_recipe("Na3.4Zr2Si2.4P0.6O12", excess_pct={"Na": 5.0})
    text = recipe_text(recipe)
    for w in recipe.weighings:
        assert re.search(rf"{w.precursor.formula} .* {w.weigh_g:.3f}$", text, flags=re.MULTILINE)
    assert f"{sum(w.weigh_g for w in recipe.weighings):.3f}" in text
    assert "with 5 % more Na" in text
    assert "weighed composition: Na3.57" in text
    assert [row["precursor"] for row in recipe_rows(recipe)] == [w.precursor.formula for w in recipe.weighings]


def _command(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str, str]:
    monkeypatch.setattr(sys, "argv", ["nascreen", "recipe", *arguments])
    try:
        main()
        code: object = 0
    except SystemExit as stopped:
        code = stopped.code
    return (code, *capsys.readouterr())


def test_the_command_prints_the_sheet_and_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sheet.csv"
    arguments = ["Na3Zr2Si2PO12", "--batch-g", "20", "--excess", "Na=5%", "--purity", "Na2CO3=99.5", "--out", str(out)]
    code, printed, errors = _command([*arguments, "--precursor", "P=(NH4)2HPO4"], monkeypatch, capsys)
    assert (code, errors) == (0, "")
    assert "20 g of product" in printed
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["precursor"] for row in rows] == ["Na2CO3", "ZrO2", "SiO2", "(NH4)2HPO4"]
    expected = make_recipe(
        "Na3Zr2Si2PO12", 20.0, excess_pct={"Na": 5}, purity_pct={"Na2CO3": 99.5}, precursors={"P": "(NH4)2HPO4"}
    )
    assert [float(row["weigh_g"]) for row in rows] == [w.weigh_g for w in expected.weighings]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Na3PS4", "--excess", "Na"], "--excess is 'Na'; write it such as --excess Na=5%"),
        (["Na3PS4", "--excess", "Na=much"], "--excess Na is 'much', not a number"),
        (["Na3PS4", "--precursor", "P=P", "--precursor", "P=P2S5"], "--precursor names P twice"),
        (["Na3PS"], "not charge balanced"),
    ],
    ids=["no value", "no number", "twice", "unbalanced"],
)
def test_a_slip_on_the_command_line_is_one_sentence(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, errors = _command(arguments, monkeypatch, capsys)
    assert code == 2
    assert message in errors
    assert errors.count("\n") == 1
