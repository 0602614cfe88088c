"""The gate for formula text, and the exact charge balance of fractional formulas.

Formula text is untrusted: it is read by a linear parser with hard limits and nothing else in the
package ever sees it. Amounts are kept as exact fractions, so that a charge of zero means zero.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nascreen.errors import FormulaError, shown

SYMBOLS: tuple[str, ...] = (
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca",
    "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y",
    "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce",
    "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir",
    "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm",
    "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc",
    "Lv", "Ts", "Og",
)  # fmt: skip
ATOMIC_NUMBER: dict[str, int] = {symbol: z for z, symbol in enumerate(SYMBOLS, start=1)}

MAX_LENGTH = 200
MAX_DEPTH = 4
MAX_DIGITS = 20
MAX_AMOUNT = 1000
MIN_AMOUNT = Fraction(1, 10**9)
MAX_ASSIGNMENTS = 20_000

_NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
_TOKEN = re.compile(rf"([A-Z][a-z]?)({_NUMBER})?|([(\[])|([)\]])({_NUMBER})?")
_CLOSES = {"(": ")", "[": "]"}
# Floats are trusted well inside the limits only; what is near one of them is judged exactly.
_LOW, _HIGH = 1e-7, 999.0
_FOUR_DIGITS = re.compile(r"[1-9][0-9]{2}\.[0-9]|[1-9][0-9]\.[0-9]{2}|[1-9]\.[0-9]{3}|0\.0*[1-9][0-9]{3}")


@dataclass(frozen=True)
class Composition:
    """What a formula says, exactly.

    Attributes:
        text: The formula as it was given, outer blanks removed.
        counts: Whole numbers of parts of an atom per formula unit, in the order of first appearance.
        halves: Half a unit in the last printed digit of each amount, in halves of a part; zero where the amount
            is a whole number or has one decimal, which are taken as exact.
        scale: How many parts make an atom.
    """

    text: str
    counts: Mapping[str, int]
    halves: Mapping[str, int]
    scale: int

    @cached_property
    def amounts(self) -> Mapping[str, Fraction]:
        """Atoms per formula unit of each element."""
        return {symbol: Fraction(n, self.scale) for symbol, n in self.counts.items()}

    @cached_property
    def slack(self) -> Mapping[str, Fraction]:
        """By how much each amount may be off for having been rounded.

        That is half a unit in its last printed digit. Where an amount of the formula shows four significant digits,
        every decimal amount is taken as rounded to four, and every amount where they add up to 100, as tables of
        glasses print them.
        """
        slack = {symbol: Fraction(n, 2 * self.scale) for symbol, n in self.halves.items()}
        if _FOUR_DIGITS.search(self.text):
            is_percent = abs(sum(self.amounts.values(), Fraction(0)) - 100) <= Fraction(1, 10)
            for symbol, amount in self.amounts.items():
                if is_percent or amount.denominator != 1:
                    slack[symbol] = max(slack[symbol], _half_of_fourth_digit(math.floor(math.log10(amount))))
        return slack

    @cached_property
    def n_atoms(self) -> float:
        """Atoms per formula unit."""
        return sum(self.counts.values()) / self.scale

    @cached_property
    def floats(self) -> Mapping[str, float]:
        """The amounts as plain numbers."""
        scale = self.scale
        return {symbol: n / scale for symbol, n in self.counts.items()}

    def get(self, symbol: str) -> float:
        """Return the atoms of one element per formula unit, 0 where it is absent."""
        return self.floats.get(symbol, 0.0)


class _Decimal(NamedTuple):
    """A decimal number ``n / 10**digits`` that may be off by ``halves / (2 * 10**digits)``."""

    n: int
    halves: int
    digits: int


_ONE = _Decimal(1, 0, 0)


def _read_amount(text: str | None, formula: str) -> _Decimal:
    text = text or ""
    amount = _plain_decimal(text)
    if amount is not None:
        return amount
    if len(text) > MAX_DIGITS:
        raise FormulaError(
            f"The formula {shown(formula)} has an amount of {len(text)} digits; at most {MAX_DIGITS} are read."
        )
    raise FormulaError(
        f"The formula {shown(formula)} has the amount {shown(text)}; "
        f"amounts must be 0.000000001 to {MAX_AMOUNT}. Leave an absent element out."
    )


@lru_cache(maxsize=20_000)
def _plain_decimal(text: str) -> _Decimal | None:
    """Read a plain decimal exactly, with half a unit in its last digit where it has two decimals or more.

    No text stands for one; None is returned for what no formula may have.
    """
    if not text:
        return _ONE
    if len(text) > MAX_DIGITS:
        return None
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0")
    digits = len(decimals)
    n = int(whole + decimals or "0")
    return _Decimal(n, int(digits >= 2), digits) if _is_within(n, 10**digits) else None


def _is_within(n: int, scale: int) -> bool:
    """Return whether an amount is one that formulas may have; floats judge what is well inside."""
    return _LOW < n / scale < _HIGH or MIN_AMOUNT <= Fraction(n, scale) <= MAX_AMOUNT


def _check_text(text: object) -> str:
    if not isinstance(text, str):
        raise FormulaError(f"A formula must be text such as 'Na3PS4'; got {shown(text)}.")
    formula = text.strip(" ")
    if not formula:
        raise FormulaError("The formula is empty; give one such as 'Na3Zr2Si2PO12'.")
    if len(formula) > MAX_LENGTH:
        raise FormulaError(f"The formula has {len(formula)} characters; at most {MAX_LENGTH} are read.")
    if not formula.isascii():
        raise FormulaError(
            f"The formula {shown(formula)} has a character that is not plain ASCII; write amounts with the digits 0-9."
        )
    if formula.upper() == "NAN":
        raise FormulaError("The formula 'NaN' is a missing value, not a compound; leave the row out or give a formula.")
    return formula


def parse_formula(text: object) -> Composition:
    """Read a chemical formula, strictly and in linear time.

    Element symbols with optional decimal amounts, and round or square brackets up to four deep.

    Args:
        text: Formula, ASCII, at most 200 characters, e.g. ``"Na3.4Zr2(SiO4)2.4(PO4)0.6"``.

    Returns:
        The composition with exact amounts.

    Raises:
        FormulaError: If the text is anything else; the message says where.

    >>> dict(parse_formula("Na2(SiO3)0.5").amounts) == {"Na": 2, "Si": Fraction(1, 2), "O": Fraction(3, 2)}
    True
    """
    formula = _check_text(text)
    return _merged(formula, _flat_parts(formula) or _nested_parts(formula))


def _flat_parts(formula: str) -> list[tuple[str, _Decimal]] | None:
    """Read a formula without brackets; None where it is anything else, or not in order."""
    found = _FLAT.findall(formula)
    if "".join(itertools.chain.from_iterable(found)) != formula:
        return None
    if not ATOMIC_NUMBER.keys() >= {symbol for symbol, _ in found}:
        return None
    return [(symbol, _plain_decimal(number) or _read_amount(number, formula)) for symbol, number in found]


def _nested_parts(formula: str) -> list[tuple[str, _Decimal]]:
    levels: list[list[tuple[str, _Decimal]]] = [[]]
    brackets: list[str] = []
    position = 0
    while position < len(formula):
        match = _TOKEN.match(formula, position)
        if match is None:
            raise FormulaError(
                f"The formula {shown(formula)} cannot be read at character {position + 1} "
                f"({shown(formula[position])}); allowed are element symbols, amounts and brackets."
            )
        symbol, amount_text, opened, closed, times_text = match.groups()
        if symbol:
            if symbol not in ATOMIC_NUMBER:
                raise FormulaError(
                    f"The formula {shown(formula)} names {shown(symbol)} at character {position + 1}, "
                    "which is not an element symbol."
                )
            levels[-1].append((symbol, _read_amount(amount_text, formula)))
        elif opened:
            if len(brackets) == MAX_DEPTH:
                raise FormulaError(f"The formula {shown(formula)} nests brackets deeper than {MAX_DEPTH}.")
            brackets.append(_CLOSES[opened])
            levels.append([])
        else:
            if not brackets or brackets.pop() != closed:
                raise FormulaError(f"The formula {shown(formula)} has a stray {shown(closed)}.")
            times = _read_amount(times_text, formula)
            inner = levels.pop()
            if not inner:
                raise FormulaError(f"The formula {shown(formula)} has an empty pair of brackets.")
            levels[-1] += [(s, _times(amount, times)) for s, amount in inner]
        position = match.end()
    if brackets:
        raise FormulaError(f"The formula {shown(formula)} has a bracket that is never closed.")
    return levels[0]


def _times(amount: _Decimal, times: _Decimal) -> _Decimal:
    halves = amount.halves * times.n + amount.n * times.halves
    return _Decimal(amount.n * times.n, halves, amount.digits + times.digits)


def _merged(formula: str, parts: Sequence[tuple[str, _Decimal]]) -> Composition:
    digits = max([amount[2] for _, amount in parts])
    scale = 10**digits
    counts: dict[str, int] = {}
    halves: dict[str, int] = {}
    for symbol, (n, half, own_digits) in parts:
        unit = 1 if own_digits == digits else 10 ** (digits - own_digits)
        if symbol in counts:
            counts[symbol] += n * unit
            halves[symbol] += half * unit
        else:
            counts[symbol], halves[symbol] = n * unit, half * unit
    least, most = min(counts.values()), max(counts.values())
    # Floats judge what is well inside the limits; see `_is_within`.
    if not _LOW < least / scale <= most / scale < _HIGH and not (_is_within(least, scale) and _is_within(most, scale)):
        raise FormulaError(
            f"The formula {shown(formula)} multiplies out to an amount outside 0.000000001 to {MAX_AMOUNT} atoms; "
            "scale the formula or leave an absent element out."
        )
    return Composition(formula, counts, halves, scale)


@lru_cache(maxsize=64)
def _half_of_fourth_digit(magnitude: int) -> Fraction:
    return Fraction(1, 2) * Fraction(10) ** (magnitude - 3)


class AmountArrays(NamedTuple):
    """Compositions as padded arrays, the form in which they are computed with.

    Attributes:
        atomic_number: Integers of shape (n, k); 0 where a row has fewer than k elements.
        amount: Atoms per formula unit, shape (n, k); 0 where padded.
    """

    atomic_number: NDArray[np.int16]
    amount: NDArray[np.float64]


_FLAT = re.compile(rf"([A-Z][a-z]?)({_NUMBER})?")
_PIECE = re.compile(rf"([A-Z][a-z]?|[()\[\]])({_NUMBER})?")
_OPENS = {")": "(", "]": "["}


def parse_many(formulas: Sequence[str]) -> AmountArrays:
    """Read many formulas into padded arrays, repeated elements merged.

    Args:
        formulas: Formula texts, each as `parse_formula` takes it.

    Returns:
        Arrays of shape (n, k) with k the largest number of elements in one formula.

    Raises:
        FormulaError: For the first formula that cannot be read.
    """
    return pad_amounts([_float_amounts(text) for text in formulas])


def pad_amounts(rows: Sequence[Mapping[str, float]]) -> AmountArrays:
    """Return mappings of element to amount as padded arrays of shape (n, k)."""
    if len(rows) == 1 and rows[0]:
        (row,) = rows
        numbers = [ATOMIC_NUMBER[symbol] for symbol in row]
        return AmountArrays(np.array([numbers], dtype=np.int16), np.array([[*row.values()]], dtype=np.float64))
    counts = np.fromiter(map(len, rows), dtype=np.intp, count=len(rows))
    width = int(counts.max(initial=1))
    mask = np.arange(width) < counts[:, None]
    atomic_number = np.zeros(mask.shape, dtype=np.int16)
    amount = np.zeros(mask.shape, dtype=np.float64)
    n_cells = int(counts.sum())
    keys = map(ATOMIC_NUMBER.__getitem__, itertools.chain.from_iterable(rows))
    values = itertools.chain.from_iterable(row.values() for row in rows)
    atomic_number[mask] = np.fromiter(keys, dtype=np.int16, count=n_cells)
    amount[mask] = np.fromiter(values, dtype=np.float64, count=n_cells)
    return AmountArrays(atomic_number, amount)


def _float_amounts(text: object) -> dict[str, float]:
    """Read a formula in floats; whatever is not plainly in order goes to `parse_formula`, which says why."""
    amounts = None
    if isinstance(text, str) and len(text) <= MAX_LENGTH and text.isascii() and text != "NaN":
        amounts = _bracketed_amounts(text) if "(" in text or "[" in text else _flat_amounts(text)
    if amounts is None:
        return {symbol: float(amount) for symbol, amount in parse_formula(text).amounts.items()}
    return amounts


def _flat_amounts(text: str) -> dict[str, float] | None:
    parts = _FLAT.findall(text)
    if not parts or sum(map(len, itertools.chain.from_iterable(parts))) != len(text):
        return None
    amounts: dict[str, float] = {}
    for symbol, number in parts:
        value = float(number) if number else 1.0
        if symbol not in ATOMIC_NUMBER or not _LOW < value < _HIGH or len(number) > 20:
            return None
        amounts[symbol] = amounts.get(symbol, 0.0) + value
    return amounts if max(amounts.values()) < _HIGH else None


def _bracketed_amounts(text: str) -> dict[str, float] | None:
    """Read from the right, so that the number behind a bracket is known before what it multiplies."""
    pieces = _PIECE.findall(text)
    if "()" in text or "[]" in text or sum(map(len, itertools.chain.from_iterable(pieces))) != len(text):
        return None
    amounts = {piece: 0.0 for piece, _ in pieces if piece in ATOMIC_NUMBER}
    waiting: list[tuple[str, float]] = []
    factor = 1.0
    for piece, number in reversed(pieces):
        value = float(number) if number else 1.0
        if len(number) > 20 or not _LOW < value < _HIGH:
            return None
        if piece in ATOMIC_NUMBER:
            amounts[piece] += value * factor
        elif piece in _OPENS and len(waiting) < MAX_DEPTH:
            waiting.append((_OPENS[piece], factor))
            factor *= value
        elif waiting and not number and piece == waiting[-1][0]:
            factor = waiting.pop()[1]
        else:
            return None
    is_inside = not waiting and min(amounts.values()) > _LOW and max(amounts.values()) < _HIGH
    return amounts if is_inside else None


def format_formula(amounts: Mapping[str, Fraction] | Mapping[str, float], decimals: int = 4) -> str:
    """Write amounts as a flat formula, without trailing zeros; an amount that rounds to nothing is left out.

    >>> format_formula({"Na": Fraction(17, 5), "Zr": Fraction(2), "O": Fraction(12)})
    'Na3.4Zr2O12'
    """
    parts = []
    for symbol, amount in amounts.items():
        number = f"{float(amount):.{decimals}f}"
        if "." in number:
            number = number.rstrip("0").rstrip(".")
        if number != "0":
            parts.append(symbol if number == "1" else symbol + number)
    return "".join(parts)


# Oxidation states met in solid electrolytes, commonest first (N. N. Greenwood and A. Earnshaw, Chemistry of
# the Elements, 2nd ed., 1997). Anions come under the negative entries. `_is_allowed` narrows them.
OXIDATION_STATES: dict[str, tuple[int, ...]] = {
    "H": (1, -1), "Li": (1,), "Be": (2,), "B": (3,), "C": (4,), "N": (-3, 5), "O": (-2,), "F": (-1,),
    "Na": (1,), "Mg": (2,), "Al": (3,), "Si": (4,), "P": (5, 4, -3), "S": (-2, 6, 4), "Cl": (-1, 7, 5), "K": (1,),
    "Ca": (2,), "Sc": (3,), "Ti": (4, 3), "V": (5, 4, 3, 2), "Cr": (3, 6, 2), "Mn": (2, 3, 4, 7), "Fe": (3, 2),
    "Co": (2, 3), "Ni": (2, 3), "Cu": (2, 1), "Zn": (2,), "Ga": (3,), "Ge": (4, 2), "As": (5, 3, -3),
    "Se": (-2, 6, 4), "Br": (-1, 5, 7), "Rb": (1,), "Sr": (2,), "Y": (3,), "Zr": (4,), "Nb": (5, 4), "Mo": (6, 5, 4),
    "Ru": (4,), "Rh": (3,), "Pd": (2,), "Ag": (1,), "Cd": (2,), "In": (3,), "Sn": (4, 2), "Sb": (5, 3, -3),
    "Te": (6, 4, -2), "I": (-1, 5, 7), "Cs": (1,), "Ba": (2,), "La": (3,), "Ce": (3, 4), "Pr": (3,), "Nd": (3,),
    "Sm": (3,), "Eu": (3, 2), "Gd": (3,), "Tb": (3, 4), "Dy": (3,), "Ho": (3,), "Er": (3,), "Tm": (3,),
    "Yb": (3, 2), "Lu": (3,), "Hf": (4,), "Ta": (5,), "W": (6, 5, 4), "Re": (7,), "Pt": (4, 2), "Au": (3,),
    "Hg": (2,), "Tl": (1, 3), "Pb": (2, 4), "Bi": (3, 5), "Th": (4,), "U": (6, 4),
}  # fmt: skip

# Lowest and highest mean valence of an element that one sample may hold in two states at once; the price is
# electronic conduction, so a note says it.
_MIXED_VALENCE: dict[str, tuple[float, float]] = {
    "Ti": (3, 4), "V": (3, 5), "Cr": (2, 3), "Mn": (2, 4), "Fe": (2, 3.5), "Co": (2, 4), "Ni": (2, 4), "Cu": (1, 2),
    "Nb": (4, 5), "Mo": (4, 6), "W": (4, 6), "Ce": (3, 4), "Eu": (2, 3), "U": (4, 6),
}  # fmt: skip

# Ions whose states below the first in `OXIDATION_STATES` need a reducing atmosphere and carry electrons.
_REDUCIBLE = frozenset({"Ti", "Nb", "Mo", "W"})

# An element is no anion beside one that takes electrons more strongly.
_STRONGER_ANIONS = {
    "H": frozenset({"O"}), "P": frozenset({"O", "F", "Cl", "S", "Se"}), "As": frozenset({"O", "F", "Cl", "S", "Se"}),
    "Sb": frozenset({"O", "F", "Cl", "S", "Se"}), "Te": frozenset({"O", "F", "Cl", "S"}),
}  # fmt: skip
_OXYANIONS = frozenset({"N", "S", "Cl", "Br", "I"})
_ALKALIS = frozenset({"Li", "Na", "K", "Rb", "Cs"})

MOBILE_IONS = ("Na", "Li", "K", "Ag")
_ION_NAMES = {"Na": "sodium", "Li": "lithium", "K": "potassium", "Ag": "silver"}


@dataclass(frozen=True, slots=True)
class ChargeBalance:
    """The verdict on the charge of one formula unit.

    Attributes:
        is_balanced: True, False, or None where it cannot be judged.
        charge: Net charge per formula unit with the states used; None where it cannot be judged.
        oxidation_states: The assignment used.
        note: One sentence for a person; empty where all is plain.
        repair: A balanced formula that differs in the content of the mobile ion alone, where there is one.
    """

    is_balanced: bool | None
    charge: float | None
    oxidation_states: Mapping[str, float]
    note: str
    repair: str | None = None


class _Scaled(NamedTuple):
    """Amounts and slacks as whole numbers, in units of one part in `scale` of an atom."""

    scale: int
    counts: list[int]
    slacks: list[int]


def _scaled(composition: Composition) -> _Scaled:
    amounts, slacks = composition.amounts.values(), composition.slack.values()
    scale = math.lcm(*{v.denominator for v in amounts}, *{v.denominator for v in slacks})
    whole = [[v.numerator * (scale // v.denominator) for v in values] for values in (amounts, slacks)]
    return _Scaled(scale, *whole)


def _is_allowed(symbol: str, state: int, amounts: Mapping[str, int]) -> bool:
    """Tell whether the other elements of the formula leave room for a state."""
    if state < 0:
        return amounts.keys().isdisjoint(_STRONGER_ANIONS.get(symbol, ()))
    if symbol in _OXYANIONS:
        is_oxyanion = amounts.get("O", 0) >= 3 * amounts[symbol]
        return is_oxyanion or (symbol == "S" and not amounts.keys().isdisjoint(("F", "Cl")))
    if symbol in {"Se", "Te"}:
        return not amounts.keys().isdisjoint(("O", "F", "Cl", "Br", *("S" if symbol == "Te" else "")))
    if symbol == "P" and state == 4:
        # P4+ is that of P-P pairs such as P2S6: at most three chalcogens for each phosphorus.
        return 0 < amounts.get("S", 0) + amounts.get("Se", 0) <= 3 * amounts["P"]
    return not (symbol in {"V", "Cr"} and state == 2 and "O" in amounts)


def _options(amounts: Mapping[str, int]) -> list[tuple[int, ...]]:
    options = []
    for symbol in amounts:
        states = OXIDATION_STATES[symbol]
        if len(states) > 1:
            states = tuple(state for state in states if _is_allowed(symbol, state, amounts))
        options.append(states)
    return options


def _why_not_judged(amounts: Mapping[str, int]) -> str | None:
    unknown = amounts.keys() - OXIDATION_STATES.keys()
    if unknown:
        return f"no oxidation state is kept for {', '.join(sorted(unknown))}"
    if len(amounts) == 1:
        return "one element alone has no ions"
    if "H" in amounts and not amounts.keys().isdisjoint(("B", "C", "N")):
        return "hydrogen in cages or molecular ions (B-H, C-H, N-H) has no single valence"
    if "C" in amounts and amounts.get("O", 0) < 3 * amounts["C"]:
        return "carbon outside carbonate has no single valence"
    return None


def _not_judged(reason: str) -> ChargeBalance:
    return ChargeBalance(None, None, {}, f"charge balance cannot be judged: {reason}")


def charge_balance(composition: Composition) -> ChargeBalance:
    """Balance a fractional formula exactly over the oxidation states of its elements.

    One state per element is tried first, the assignment with the fewest unusual states winning; then one
    element of mixed valence. A charge within the rounding of amounts printed with two or more decimals
    counts as zero.

    Args:
        composition: What `parse_formula` returns.

    Returns:
        The verdict, with the assignment and, where unbalanced, the sodium content that balances.

    >>> charge_balance(parse_formula("Na3.4Zr2Si2.4P0.6O12")).is_balanced
    True
    >>> verdict = charge_balance(parse_formula("Na3.8Zr2Si2.4P0.6O12"))
    >>> verdict.charge, verdict.repair
    (0.4, 'Na3.4Zr2Si2.4P0.6O12')
    """
    counts = composition.counts
    usual = _usual_states(tuple(counts))
    if usual and _total(counts.values(), usual) == 0:
        return ChargeBalance(
            is_balanced=True, charge=0.0, oxidation_states=dict(zip(counts, usual, strict=True)), note=""
        )
    reason = _why_not_judged(counts)
    if reason:
        return _not_judged(reason)
    options = _options(counts)
    if math.prod(map(len, options)) > MAX_ASSIGNMENTS:
        return _not_judged("too many elements of variable valence")
    if all(min(states) > 0 for states in options):
        return _not_judged("none of the elements forms an anion")
    found = _single_valence(composition, options) or _mixed_valence(composition, options)
    return found or _unbalanced(composition, options)


@lru_cache(maxsize=4096)
def _usual_states(symbols: tuple[str, ...]) -> tuple[int, ...] | None:
    """Return the commonest state of each element; None where the amounts may forbid it or nothing can be judged."""
    equal = dict.fromkeys(symbols, 1)
    if _why_not_judged(equal) or "C" in equal:
        return None
    if math.prod(len(OXIDATION_STATES[symbol]) for symbol in symbols) > MAX_ASSIGNMENTS:
        return None
    # Amounts decide on none of the commonest states but that of carbon.
    usual = tuple(OXIDATION_STATES[symbol][0] for symbol in symbols)
    is_allowed = all(
        len(OXIDATION_STATES[symbol]) == 1 or _is_allowed(symbol, state, equal)
        for symbol, state in zip(symbols, usual, strict=True)
    )
    return usual if is_allowed and min(usual) < 0 else None


def _total(counts: Iterable[int], assignment: Sequence[int]) -> int:
    return sum(map(operator.mul, counts, assignment))


def _single_valence(composition: Composition, options: Sequence[tuple[int, ...]]) -> ChargeBalance | None:
    amounts = composition.counts
    scale, counts, slacks = _scaled(composition)
    usual = tuple(states[0] for states in options)
    if _total(counts, usual) == 0:
        return ChargeBalance(
            is_balanced=True, charge=0.0, oxidation_states=dict(zip(amounts, usual, strict=True)), note=""
        )
    hits = []
    for assignment in itertools.product(*options):
        total = _total(counts, assignment)
        # However many digits were rounded, more than a twentieth of a charge is a different compound.
        if 20 * abs(total) <= scale and abs(total) <= _total(slacks, [abs(q) for q in assignment]):
            ranks = [states.index(q) for states, q in zip(options, assignment, strict=True)]
            hits.append((sum(map(bool, ranks)), total != 0, sum(ranks), ranks, assignment, total))
    if not hits:
        return None
    *_, assignment, total = min(hits)
    charge = float(Fraction(total, scale))
    note = _reduced_note(amounts, assignment)
    if total:
        rounding = f"balanced within the rounding of the printed amounts ({charge:+.3g})"
        note = f"{rounding}; {note}" if note else rounding
    states = dict(zip(amounts, assignment, strict=True))
    return ChargeBalance(is_balanced=True, charge=charge, oxidation_states=states, note=note)


def _reduced_note(amounts: Iterable[str], assignment: Sequence[int]) -> str:
    reduced = [f"{s}{q}+" for s, q in zip(amounts, assignment, strict=True) if _is_reduced(s, q)]
    return f"balances only with {' and '.join(reduced)} (electronic conduction likely)" if reduced else ""


def _is_reduced(symbol: str, state: float) -> bool:
    return symbol in _REDUCIBLE and state < OXIDATION_STATES[symbol][0]


def _usual_assignments(options: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Take the commonest state of each element, and of an element that may be cation or anion one of each."""
    choices = []
    for states in options:
        opposite = next((q for q in states if q * states[0] < 0), None)
        choices.append(states[:1] if opposite is None else (states[0], opposite))
    return [assignment for assignment in itertools.product(*choices) if min(assignment) < 0]


def _mixed_valence(composition: Composition, options: Sequence[tuple[int, ...]]) -> ChargeBalance | None:
    amounts = composition.amounts
    for assignment in _usual_assignments(options):
        total = Fraction(_total(composition.counts.values(), assignment), composition.scale)
        for symbol, state in zip(amounts, assignment, strict=True):
            if symbol not in _MIXED_VALENCE:
                continue
            needed = state - total / amounts[symbol]
            lowest, highest = _MIXED_VALENCE[symbol]
            if not lowest < needed < highest:
                continue
            states = {**dict(zip(amounts, assignment, strict=True)), symbol: float(needed)}
            note = (
                f"balances only with {symbol} at a mean valence of {float(needed):.2f} (electronic conduction likely)"
            )
            repair = _repair(amounts, assignment, total) if symbol in _REDUCIBLE else None
            if repair:
                note += f"; with {symbol}{state}+ it is {repair}"
            return ChargeBalance(is_balanced=True, charge=0.0, oxidation_states=states, note=note, repair=repair)
    return None


def _mobile_ion(amounts: Mapping[str, Fraction]) -> str | None:
    return next((ion for ion in MOBILE_IONS if ion in amounts), None)


def _repair(amounts: Mapping[str, Fraction], assignment: Sequence[int], total: Fraction) -> str | None:
    ion = _mobile_ion(amounts)
    if ion is None or not Fraction(1, 10**6) <= amounts[ion] - total <= MAX_AMOUNT:
        return None
    charges = dict(zip(amounts, assignment, strict=True))
    anions_last = sorted(amounts, key=lambda symbol: charges[symbol] < 0)
    return format_formula({**{s: amounts[s] for s in anions_last}, ion: amounts[ion] - total}, decimals=6)


def _unbalanced(composition: Composition, options: Sequence[tuple[int, ...]]) -> ChargeBalance:
    amounts, counts = composition.amounts, composition.counts.values()
    assignment = min(_usual_assignments(options), key=lambda a: abs(_total(counts, a)))
    total = Fraction(_total(counts, assignment), composition.scale)
    n_others = len(amounts.keys() - _ALKALIS)
    if total < 0 and n_others == 1 and not amounts.keys().isdisjoint(("O", "S", "Se", "Te", "N", "I")):
        return _not_judged("the anions of peroxides, polysulfides, azides and polyiodides are bonded to each other")
    repair, ion = _repair(amounts, assignment, total), _mobile_ion(amounts)
    advice = f"no {_ION_NAMES[ion]} content balances it, check the amounts" if ion else "check the amounts"
    note = f"charge {float(total):+.3g}; {repair} balances" if repair else f"charge {float(total):+.3g}; {advice}"
    states = {s: float(q) for s, q in zip(amounts, assignment, strict=True)}
    return ChargeBalance(is_balanced=False, charge=float(total), oxidation_states=states, note=note, repair=repair)


def modifier_fraction(composition: Composition, balance: ChargeBalance | None = None) -> float | None:
    """Return the mole fraction of the modifier, A2X of the mobile ions A, as a glass batch is written.

    The other cations are counted as their binary compounds with the anion X: half a unit a cation where the
    valence is odd (B2S3, P2S5, Al2O3), one unit where it is even (SiO2, GeS2).

    Args:
        composition: What `parse_formula` returns.
        balance: What `charge_balance` returns for it; worked out where not given.

    Returns:
        n(A2X) / (n(A2X) + n(other units)), from 0 to 1; None where there is no other cation, or where
        oxidation states cannot be told.

    >>> modifier_fraction(parse_formula("Na3BS3")), modifier_fraction(parse_formula("Na2SiO3"))
    (0.75, 0.5)
    """
    modifier = others = 0.0
    for symbol, state in (balance or charge_balance(composition)).oxidation_states.items():
        if symbol in MOBILE_IONS:
            modifier += composition.get(symbol) / 2
        elif state > 0:
            others += composition.get(symbol) / (2 if round(state) % 2 else 1)
    return modifier / (modifier + others) if others else None


FAMILIES = (
    "nasicon", "beta_alumina", "silicate", "oxide_glass", "oxide_other", "thioborate", "thiophosphate",
    "thioantimonate", "thiostannate", "thiosilicate_germanate", "sulfide_other", "selenide", "halide", "oxyhalide",
    "antiperovskite", "hydroborate", "nitride_phosphide", "other",
)  # fmt: skip

_HALOGENS = ("F", "Cl", "Br", "I")
OCTAHEDRAL = (
    "Zr", "Hf", "Ti", "Sn", "Ge", "Sc", "Y", "In", "Al", "Ga", "Fe", "Cr", "V", "Nb", "Ta", "Mo", "W", "Mg", "Zn",
    "Ca", "Sr", "Co", "Ni", "Cu", "Mn", "La", "Ce", "Pr", "Nd", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb",
    "Lu", "Te", "Sb",
)  # fmt: skip


def family_of(composition: Composition, phase: str | None = None) -> str:
    """Name the family of electrolytes that a composition belongs to, from the amounts alone.

    Args:
        composition: What `parse_formula` returns.
        phase: ``crystalline``, ``glass``, ``glass_ceramic`` or ``composite`` where it is known.

    Returns:
        One of `FAMILIES`.

    >>> family_of(parse_formula("Na3Zr2Si2PO12")), family_of(parse_formula("Na3BS3"))
    ('nasicon', 'thioborate')
    """
    n = composition.get
    halogen = sum(map(n, _HALOGENS))
    if n("B") and n("H"):
        return "hydroborate"
    if n("O") and n("O") >= max(n("S"), n("Se"), halogen * 0.999):
        return _oxide_family(composition, phase, halogen)
    if n("Se") > n("S"):
        return "selenide"
    if n("S") > halogen:
        return _sulfide_family(composition)
    return _family_without_chalcogen(composition, halogen)


def _family_without_chalcogen(composition: Composition, halogen: float) -> str:
    n = composition.get
    if halogen:
        return "oxyhalide" if n("O") else "halide"
    if (n("P") or n("N") or n("As")) and not n("Te"):
        return "nitride_phosphide"
    return "other"


def _sulfide_family(composition: Composition) -> str:
    n = composition.get
    if n("B"):
        return "thioborate"
    if n("Sn") and n("Sn") >= max(n("P"), n("Sb")):
        return "thiostannate"
    if n("Sb") > n("P"):
        return "thioantimonate"
    if n("P"):
        return "thiophosphate"
    if n("Si") or n("Ge"):
        return "thiosilicate_germanate"
    return "thiostannate" if n("Sn") else "sulfide_other"


def _oxide_family(composition: Composition, phase: str | None, halogen: float) -> str:
    n = composition.get
    tetrahedral = n("Si") + n("P") + n("As") + n("S")
    octahedral = sum(map(n, OCTAHEDRAL))
    mobile = sum(map(n, MOBILE_IONS))
    if n("O") <= mobile / 2 and (halogen or n("H") or n("S") or n("Se")):
        return "antiperovskite"
    is_framework = tetrahedral > 0 and abs(n("O") / tetrahedral - 4) < 0.35 and 0.5 < octahedral / tetrahedral < 0.8
    if is_framework and phase != "glass" and not n("B"):
        return "nasicon"
    if n("Al") > 0.8 * (composition.n_atoms - n("O") - mobile) and n("Al") > 3 * mobile:
        return "beta_alumina"
    if phase == "glass":
        return "oxide_glass"
    if n("Si") and n("Si") >= tetrahedral * 0.6:
        return "silicate"
    return "oxide_other"
