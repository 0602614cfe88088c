"""Promises of the charge balance against what textbooks know: own table of states, own reading, exact sums."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

import pytest

from nascreen.chemistry import charge_balance, parse_formula
from nascreen.datasets import distinct_formulas, has_sodium, load_table
from nascreen.spaces import SPACES, generate

# The states of these elements beside oxygen, sulfur, selenium or a halogen as anion (N. N. Greenwood and A. Earnshaw,
# Chemistry of the Elements, 2nd ed. (Butterworth-Heinemann, 1997)): written down here, not taken from the package.
TEXTBOOK = {
    "Li": 1, "Na": 1, "K": 1, "Ag": 1, "Mg": 2, "Ca": 2, "Sr": 2, "Ba": 2, "Zn": 2, "Al": 3, "Ga": 3, "In": 3, "Sc": 3,
    "Y": 3, "La": 3, "Nd": 3, "Gd": 3, "Dy": 3, "Er": 3, "Yb": 3, "Lu": 3, "Zr": 4, "Hf": 4, "Ti": 4, "Si": 4, "Ge": 4,
    "Sn": 4, "P": 5, "As": 5, "Sb": 5, "Nb": 5, "Ta": 5, "W": 6, "Mo": 6, "B": 3,
    "O": -2, "S": -2, "Se": -2, "F": -1, "Cl": -1, "Br": -1, "I": -1,
}  # fmt: skip

LARGEST_ROUNDING = Fraction(1, 20)
"""More than a twentieth of a charge is another compound, however coarsely the amounts are printed."""

# What texts say of compounds whose elements are in another state: hexathiohypodiphosphate with P4+, phosphides,
# glasses batched with SnO, Sb2O3 and Ti2O3, and NASICONs printed with more charge than their metals carry, which
# balance with a reduced metal alone.
EXCEPTIONS = {
    "Na4P2S6": {"P": 4}, "Na2SiP2": {"P": -3}, "Na8SnP4": {"P": -3},
    "NaNbZr(PO4)3": {"Nb": 4}, "NaNbTi(PO4)3": {"Ti": 3}, "NaMoZr(PO4)3": {"Mo": 4}, "NaMoTi(PO4)3": {"Mo": 4},
    "Na3.5Hf0.2Ti1.8(SiO4)1.5(PO4)1.5": {"Ti": Fraction(31, 9)},
    "Na3.5Hf0.6Ti1.4(SiO4)1.5(PO4)1.5": {"Ti": Fraction(23, 7)}, "Na3.5HfTi(SiO4)1.5(PO4)1.5": {"Ti": 3},
    "Na7.692Si19.23Sn15.38O57.69": {"Sn": 2}, "Na11.32Sn1.887P22.64O64.15": {"Sn": 2},
    "Na7.407Ti12.94Al4.277Si15.29O60.09": {"Ti": 3}, "Na8.01Sb1.028P23.26I8.01O59.69": {"Sb": 3},
}  # fmt: skip
REDUCED = [formula for formula in EXCEPTIONS if "O4)" in formula]

PIECE = re.compile(r"([A-Z][a-z]?)([0-9.]*)|([(\[])|[)\]]([0-9.]*)")


def amounts_of(formula: str) -> Counter[str]:
    """Read a formula, with brackets, independently of the package."""
    stack: list[Counter[str]] = [Counter()]
    for symbol, number, opened, factor in PIECE.findall(formula):
        if symbol:
            stack[-1][symbol] += Fraction(number or 1)  # type: ignore[assignment]
        elif opened:
            stack.append(Counter())
        else:
            for inner, n in stack.pop().items():
                stack[-1][inner] += n * Fraction(factor or 1)  # type: ignore[assignment]
    (whole,) = stack
    return whole


def rounding_of(formula: str) -> Fraction:
    """Return by how much the charge may be off where the last printed digit of every amount is rounded."""
    half = Fraction(1, 2)
    amounts = ((s, n) for s, n, _, _ in PIECE.findall(formula) if "." in n)
    return sum((half * abs(TEXTBOOK[s]) / 10 ** len(n.partition(".")[2]) for s, n in amounts), Fraction(0))


def known_formulas() -> list[str]:
    """Return the formulas of the tables whose elements all have one state, those of the literature first."""
    formulas = [
        formula
        for name in ("literature", "glasses")
        for formula in distinct_formulas(s for s in load_table(name) if has_sodium(s))
    ]
    return [f for f in dict.fromkeys(formulas) if amounts_of(f).keys() <= TEXTBOOK.keys()]


KNOWN = known_formulas()
LITERATURE = set(distinct_formulas(load_table("literature")))
CHECKED = [f for f in KNOWN if f in LITERATURE] + [f for f in KNOWN if f not in LITERATURE][::30]


def test_at_least_300_formulas_are_checked_of_them_most_of_the_literature() -> None:
    assert len(CHECKED) >= 300
    assert len([f for f in CHECKED if f in LITERATURE]) >= 250
    assert set(EXCEPTIONS) <= set(CHECKED)


def test_the_verdict_on_every_formula_is_that_of_the_textbook() -> None:
    wrong = []
    for formula in CHECKED:
        verdict, amounts = charge_balance(parse_formula(formula)), amounts_of(formula)
        states = {symbol: EXCEPTIONS.get(formula, {}).get(symbol, TEXTBOOK[symbol]) for symbol in amounts}
        charge = sum((n * states[s] for s, n in amounts.items()), Fraction(0))
        expected = abs(charge) <= min(rounding_of(formula), LARGEST_ROUNDING)
        is_same = verdict.is_balanced is expected and verdict.charge == pytest.approx(float(charge), abs=2e-3)
        if not is_same or any(verdict.oxidation_states[s] != pytest.approx(float(q)) for s, q in states.items()):
            wrong.append((formula, float(charge), verdict))
    assert wrong == []


@pytest.mark.parametrize("formula", REDUCED)
def test_what_balances_with_a_reduced_metal_alone_says_so(formula: str) -> None:
    assert "balances only with" in charge_balance(parse_formula(formula)).note


FRACTIONAL = {
    "Na3.4Zr2Si2.4P0.6O12": 0, "Na3.5Zr2Si2.4P0.6O12": "0.1", "Na3.4Zr2Si2.3P0.7O12": "0.1",
    "Na3.4Zr2Si2.5P0.5O12": "-0.1", "Na3.4Zr1.9Si2.4P0.6O12": "-0.4", "Na3.1Zr1.95Mg0.05Si2PO12": 0,
    "Na3.05Zr1.95Mg0.05Si2PO12": "-0.05", "Na3.3Zr1.7Sc0.3Si2PO12": 0, "Na3.3Zr1.7Sc0.2Si2PO12": "-0.3",
    "Na2.88Sb0.88W0.12S4": 0, "Na2.8Sb0.88W0.12S4": "-0.08", "Na2.9375PS3.9375Cl0.0625": 0, "Na2.25Y0.25Zr0.75Cl6": 0,
    "Na2.5Y0.25Zr0.75Cl6": "0.25",
}  # fmt: skip


@pytest.mark.parametrize(("formula", "charge"), FRACTIONAL.items(), ids=FRACTIONAL)
def test_fractional_formulas_and_their_neighbours_are_told_apart(formula: str, charge: int | str) -> None:
    assert sum(n * TEXTBOOK[s] for s, n in amounts_of(formula).items()) == Fraction(charge)
    verdict = charge_balance(parse_formula(formula))
    assert verdict.is_balanced is (charge == 0)
    assert verdict.charge == pytest.approx(float(charge), abs=1e-12)


@pytest.mark.parametrize("formula", ["Na3.4Zr2Si2.4P0.6O12", "Na2.88Sb0.88W0.12S4", "Na2.25Y0.25Zr0.75Cl6"])
def test_the_peers_cannot_tell(formula: str) -> None:
    composition = pytest.importorskip("pymatgen.core").Composition(formula)
    with pytest.raises(ValueError, match="integer"):
        composition.oxi_state_guesses()
    # Amounts cut to whole numbers, as a sum over integers takes them, lose the balance that is there.
    cut = sum(int(n) * TEXTBOOK[s] for s, n in amounts_of(formula).items())
    assert cut != 0
    assert charge_balance(parse_formula(formula)).is_balanced is True


@pytest.mark.parametrize("name", SPACES)
def test_every_candidate_of_a_space_in_code_is_balanced_exactly_by_the_textbook(name: str) -> None:
    formulas = {sample.formula for sample in generate(name)}
    off = [f for f in formulas if sum(n * TEXTBOOK[s] for s, n in amounts_of(f).items()) != 0]
    assert len(formulas) > 150
    assert off == []
