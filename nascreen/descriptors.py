"""Numbers that describe compositions of any elements, for tables whose chemistry is not known beforehand.

`nascreen.features` describes sodium and lithium conductors; here every element counts alike. Besides element
fractions and the Magpie statistics there are spreads of all properties, orbital shares, ionic character, oxidation
states, size mismatch and mixing enthalpy of alloys, and shares of the groups of the periodic table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from nascreen.chemistry import ATOMIC_NUMBER, SYMBOLS, pad_amounts
from nascreen.elements import MAGPIE_PROPERTIES, magpie
from nascreen.features import BLOCKS, chemistry_of, element_table, feature_matrix
from nascreen.gaussian import Array
from nascreen.records import Sample
from nascreen.training import require

NORMS = (2, 3, 5, 7, 10)
PLACE = {name: i for i, name in enumerate(MAGPIE_PROPERTIES)}


def element_fractions(formulas: Sequence[str]) -> Array:
    """Return atomic fractions by atomic number, shape (n, 119); column 0 is empty.

    Raises:
        FormulaError: If a formula cannot be read.
    """
    fractions = np.zeros((len(formulas), len(SYMBOLS) + 1))
    for row, formula in zip(fractions, formulas, strict=True):
        composition = chemistry_of(formula).composition
        for symbol, amount in composition.amounts.items():
            row[ATOMIC_NUMBER[symbol]] = float(amount) / composition.n_atoms
    return fractions


def composition_blocks(formulas: Sequence[str]) -> dict[str, Array]:
    """Describe compositions in blocks ``fraction``, ``magpie``, ``derived`` and ``field``.

    Args:
        formulas: Formula texts.

    Returns:
        Arrays of n rows; NaN where a descriptor does not apply. All elements have a fraction, absent ones 0.

    Raises:
        FormulaError: If a formula cannot be read.
    """
    distinct = list(dict.fromkeys(formulas))
    place = {formula: i for i, formula in enumerate(distinct)}
    index = np.array([place[formula] for formula in formulas], dtype=np.intp)
    fractions = element_fractions(distinct)
    amounts = [{s: float(n) for s, n in chemistry_of(f).composition.amounts.items()} for f in distinct]
    field = feature_matrix([Sample(formula=formula) for formula in distinct])
    blocks = {
        "fraction": fractions[:, 1:],
        "magpie": magpie(element_table(), pad_amounts(amounts)),
        "derived": _derived(fractions, distinct),
        "field": np.hstack([field[:, BLOCKS["field"]], field[:, BLOCKS["family"]]]),
    }
    return {name: np.asarray(block[index], dtype=np.float64) for name, block in blocks.items()}


def _known(values: Array) -> Array:
    """Return a property by atomic number with unknown elements at the median."""
    filled = np.where(np.isnan(values), np.nanmedian(values[1:]), values)
    filled[0] = 0.0
    return np.asarray(filled)


def _derived(fractions: Array, formulas: Sequence[str]) -> Array:
    table = element_table()
    properties = np.column_stack(
        [
            _known(values)
            for values in (
                table.pauling_electronegativity, table.atomic_radius, table.polarizability, table.atomic_mass
            )
        ]
    )  # fmt: skip
    return np.hstack(
        [
            _spreads(fractions, table.magpie),
            _statistics(fractions, properties),
            _stoichiometry(fractions),
            _orbitals(fractions, table.magpie),
            _mismatch(fractions, [properties[:, 1], table.magpie[:, PLACE["CovalentRadius"]]]),
            _ionic_character(fractions, properties[:, 0]),
            np.array([_charges(f, properties[:, 0], table.magpie[:, PLACE["CovalentRadius"]]) for f in formulas]),
            fractions @ _membership(),
            _mixing(fractions),
        ]
    )


def _spreads(fractions: Array, properties: Array) -> Array:
    mean = fractions @ properties
    return np.asarray(np.sqrt(np.maximum(fractions @ properties**2 - mean**2, 0.0)))


def _statistics(fractions: Array, properties: Array) -> Array:
    present = (fractions > 0)[:, :, None]
    high = np.where(present, properties, -np.inf).max(axis=1)
    low = np.where(present, properties, np.inf).min(axis=1)
    return np.hstack([fractions @ properties, _spreads(fractions, properties), high, low, high - low])


def _stoichiometry(fractions: Array) -> Array:
    present = fractions > 0
    entropy = -(fractions * np.log(np.where(present, fractions, 1.0))).sum(axis=1)
    norms = [np.linalg.norm(fractions, p, axis=1) for p in NORMS]
    return np.column_stack([*norms, present.sum(axis=1), fractions.max(axis=1), entropy])


def _orbitals(fractions: Array, properties: Array) -> Array:
    parts = []
    for what in ("Valence", "Unfilled"):
        mean = fractions @ properties[:, [PLACE[f"N{orbital}{what}"] for orbital in "spdf"]]
        parts.append(mean / np.maximum(mean.sum(axis=1, keepdims=True), 1e-9))
    return np.hstack(parts)


def _mismatch(fractions: Array, radii: Sequence[Array]) -> Array:
    """Return the size mismatch δ of alloys for each kind of radius."""
    columns = []
    for radius in radii:
        mean = fractions @ radius
        columns.append(np.sqrt(np.maximum(fractions @ radius**2 / mean**2 - 1, 0.0)))
    return np.column_stack(columns)


def _ionic_character(fractions: Array, electronegativity: Array) -> Array:
    """Return geometric mean of the electronegativity, and largest and mean ionic character of pairs (Pauling)."""
    character = 1 - np.exp(-0.25 * (electronegativity[:, None] - electronegativity) ** 2)
    largest = [character[np.ix_(row > 0, row > 0)].max() for row in fractions]
    geometric = np.exp(fractions @ np.log(np.maximum(electronegativity, 0.3)))
    return np.column_stack([geometric, largest, ((fractions @ character) * fractions).sum(axis=1)])


def _weighted(ions: Sequence[tuple[float, float]]) -> float:
    total = sum(weight for weight, _ in ions)
    return sum(weight * value for weight, value in ions) / total if total else math.nan


def _charges(formula: str, electronegativity: Array, radius: Array) -> list[float]:
    """Describe the ions that the charge balance of a formula finds."""
    chemistry = chemistry_of(formula)
    composition, states = chemistry.composition, chemistry.states
    ions = [(float(n), ATOMIC_NUMBER[s], float(states[s])) for s, n in composition.amounts.items()]
    cations = [ion for ion in ions if ion[2] > 0]
    anions = [ion for ion in ions if ion[2] < 0]
    by_charge = [_weighted([(n, q) for n, _, q in side]) for side in (cations, anions)]
    by_electronegativity = [_weighted([(n, electronegativity[z]) for n, z, _ in side]) for side in (cations, anions)]
    by_radius = [_weighted([(n, radius[z]) for n, z, _ in side]) for side in (cations, anions)]
    cation_values = [float(electronegativity[z]) for _, z, _ in cations]
    return [
        *by_charge, *by_electronegativity, *by_radius,
        by_electronegativity[1] - by_electronegativity[0],
        max((q for _, _, q in cations), default=math.nan),
        min((q for _, _, q in anions), default=math.nan),
        sum(n for n, _, _ in anions) / composition.n_atoms,
        float(chemistry.balance.is_balanced is True),
        max((float(electronegativity[z]) for _, z, _ in anions), default=math.nan),
        max(cation_values, default=math.nan),
        min(cation_values, default=math.nan),
    ]  # fmt: skip


@lru_cache(maxsize=1)
def _membership() -> Array:
    """Return which element belongs to which group, lanthanides and period, shape (119, 26)."""
    properties = element_table().magpie
    number = np.arange(len(properties))
    column, row = properties[:, PLACE["Column"]], properties[:, PLACE["Row"]]
    hydrogen = number == 1
    groups = [hydrogen, *((column == k) & ~hydrogen & (number > 0) for k in range(1, 19))]
    lanthanides = (number >= 57) & (number <= 71)
    return np.column_stack([*groups, lanthanides, *(row == k for k in range(2, 8))]).astype(np.float64)


@lru_cache(maxsize=1)
def mixing_enthalpies() -> Array:
    """Return mixing enthalpies of equimolar liquid pairs in kJ/mol by atomic number, shape (119, 119); NaN if unknown.

    A. Takeuchi and A. Inoue, Mater. Trans. 46, 2817 (2005), doi:10.2320/matertrans.46.2817, as matminer ships them.
    """
    source = require("matminer.utils.data").MixingEnthalpy(impute_nan=False)
    values = np.full((len(SYMBOLS) + 1,) * 2, np.nan)
    for pair, value in source.mixing_data.items():
        places = [ATOMIC_NUMBER.get(str(symbol), 0) for symbol in pair]
        if len(places) == 2 and all(places):
            values[places[0], places[1]] = values[places[1], places[0]] = float(value)
    np.fill_diagonal(values, 0.0)
    return values


def _mixing(fractions: Array) -> Array:
    """Return the mixing enthalpy of a regular solution and the share of pairs that it rests on."""
    values = mixing_enthalpies()
    known = ~np.isnan(values)
    pairs = 1 - (fractions**2).sum(axis=1)
    covered = ((fractions @ known) * fractions).sum(axis=1) - (fractions**2).sum(axis=1)
    share = np.where(pairs > 1e-9, covered / np.maximum(pairs, 1e-9), 1.0)
    enthalpy = 2 * ((fractions @ np.where(known, values, 0.0)) * fractions).sum(axis=1)
    return np.column_stack([np.where(share > 0.9, enthalpy, np.nan), share])
