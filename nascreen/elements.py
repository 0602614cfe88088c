"""The table of the elements, and the Magpie features computed from it.

The table ships as ``datasets/elements.csv`` (built by ``experiments/elements/build_elements.py``), so that
neither matminer nor pymatgen is imported to predict. The features are those of matminer's
``ElementProperty.from_preset("magpie")``: L. Ward et al., npj Comput. Mater. 2, 16028 (2016),
doi:10.1038/npjcompumats.2016.28.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import ATOMIC_NUMBER, SYMBOLS, AmountArrays
from nascreen.errors import InputError, IntegrityError, shown

FILE_NAME = "elements.csv"

MAGPIE_PROPERTIES: tuple[str, ...] = (
    "Number", "MendeleevNumber", "AtomicWeight", "MeltingT", "Column", "Row", "CovalentRadius", "Electronegativity",
    "NsValence", "NpValence", "NdValence", "NfValence", "NValence", "NsUnfilled", "NpUnfilled", "NdUnfilled",
    "NfUnfilled", "NUnfilled", "GSvolume_pa", "GSbandgap", "GSmagmom", "SpaceGroupNumber",
)  # fmt: skip
MAGPIE_STATISTICS: tuple[str, ...] = ("minimum", "maximum", "range", "mean", "avg_dev", "mode")
MAGPIE_NAMES: tuple[str, ...] = tuple(
    f"MagpieData {statistic} {name}" for name in MAGPIE_PROPERTIES for statistic in MAGPIE_STATISTICS
)

FIELD_COLUMNS: tuple[str, ...] = (
    "atomic_mass", "pauling_electronegativity", "atomic_radius", "polarizability", "cost_usd_kg", "hhi_production",
    "hhi_reserve",
)  # fmt: skip
SHANNON_COLUMNS: dict[int, str] = {6: "shannon_radius_vi", 4: "shannon_radius_iv"}
COLUMNS: tuple[str, ...] = ("symbol", *MAGPIE_PROPERTIES, *FIELD_COLUMNS, *SHANNON_COLUMNS.values())

TRACE_AMOUNT = 1e-8
"""Amounts below this are no atoms at all, as in pymatgen's ``Composition.amount_tolerance``."""

CHUNK_ROWS = 1024
"""Rows computed at once: the working arrays of one chunk stay in a 1 MB cache."""


@dataclass(frozen=True, eq=False, slots=True)
class ElementTable:
    """Properties of the 118 elements, indexed by atomic number; row 0 is no element.

    Attributes:
        magpie: The 22 Magpie properties in the order of `MAGPIE_PROPERTIES`, shape (119, 22), missing
            cells imputed as matminer does; row 0 is zero.
        atomic_mass: Unified atomic mass units, shape (119,), as all that follow; NaN where missing.
        pauling_electronegativity: Pauling scale.
        atomic_radius: Slater's empirical radius in angstrom.
        polarizability: Static dipole polarizability of the free atom in cubic angstrom.
        cost_usd_kg: Price of the element in US dollars per kg; a price list of 2013.
        hhi_production: Herfindahl-Hirschman index of production, 0 to 10,000.
        hhi_reserve: Herfindahl-Hirschman index of reserves, 0 to 10,000.
        shannon: Ionic radii in angstrom by coordination number, then by symbol and charge.
    """

    magpie: NDArray[np.float64]
    atomic_mass: NDArray[np.float64]
    pauling_electronegativity: NDArray[np.float64]
    atomic_radius: NDArray[np.float64]
    polarizability: NDArray[np.float64]
    cost_usd_kg: NDArray[np.float64]
    hhi_production: NDArray[np.float64]
    hhi_reserve: NDArray[np.float64]
    shannon: Mapping[int, Mapping[tuple[str, int], float]]

    def shannon_radius(self, symbol: str, charge: int, coordination: int = 6) -> float | None:
        """Return Shannon's effective ionic radius in angstrom, the high-spin one where there are two.

        R. D. Shannon, Acta Cryst. A 32, 751 (1976), doi:10.1107/S0567739476001551.

        Args:
            symbol: Element symbol.
            charge: Charge of the ion, e.g. ``4`` or ``-2``.
            coordination: Coordination number, 4 (tetrahedral) or 6.

        Returns:
            The radius; None where Shannon lists none for this ion in this coordination.

        Raises:
            InputError: If the symbol is no element or the coordination is not held.
        """
        if symbol not in ATOMIC_NUMBER:
            raise InputError(f"A radius was asked for {shown(symbol)}, which is not an element symbol.")
        if coordination not in self.shannon:
            raise InputError(f"A radius was asked for coordination {shown(coordination)}; radii are kept for 4 and 6.")
        return self.shannon[coordination].get((symbol, charge))


def load_elements(folder: Path) -> ElementTable:
    """Read the table of the elements.

    Args:
        folder: The folder that holds ``elements.csv``.

    Returns:
        The table; its arrays cannot be written to.

    Raises:
        IntegrityError: If the file cannot be read, or its columns, rows or cells are not as expected.
    """
    path = Path(folder) / FILE_NAME
    columns = dict(zip(COLUMNS, zip(*_read_rows(path), strict=True), strict=True))
    numbers = {name: _numbers(name, columns[name], path) for name in (*MAGPIE_PROPERTIES, *FIELD_COLUMNS)}
    magpie_values = np.zeros((len(SYMBOLS) + 1, len(MAGPIE_PROPERTIES)))
    for j, name in enumerate(MAGPIE_PROPERTIES):
        magpie_values[1:, j] = _imputed(numbers[name])
    magpie_values.setflags(write=False)
    fields = {name: _from_zero(numbers[name]) for name in FIELD_COLUMNS}
    shannon = {number: _radii(columns[name], path) for number, name in SHANNON_COLUMNS.items()}
    return ElementTable(magpie=magpie_values, shannon=shannon, **fields)


def _damaged(path: Path, what: str) -> IntegrityError:
    where = f"The element table {path.name} in {shown(str(path.parent))}"
    return IntegrityError(f"{where} {what}; restore the file that came with nascreen.")


def _read_rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file, strict=True)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, f"cannot be read ({type(error).__name__})") from error
    if tuple(header) != COLUMNS:
        names = sorted(set(header) ^ set(COLUMNS)) or ["their order"]
        raise _damaged(path, f"has other columns than the {len(COLUMNS)} expected (differing: {shown(names[0])})")
    if any(len(row) != len(COLUMNS) for row in rows):
        raise _damaged(path, f"has a row that does not have {len(COLUMNS)} cells")
    if tuple(row[0] for row in rows) != SYMBOLS:
        raise _damaged(path, f"has {len(rows)} rows that are not the {len(SYMBOLS)} elements in order")
    return rows


def _numbers(name: str, cells: Sequence[str], path: Path) -> NDArray[np.float64]:
    try:
        values = [float(cell) if cell else None for cell in cells]
    except ValueError as error:
        raise _damaged(path, f"has a cell in column {name!r} that is not a number") from error
    if not all(value is None or math.isfinite(value) for value in values):
        raise _damaged(path, f"has a cell in column {name!r} that is not a finite number")
    return np.array(values, dtype=np.float64)


def _imputed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fill missing cells by the mean over the 118 elements, as matminer's ``MagpieData(impute_nan=True)``."""
    return np.where(np.isnan(values), np.nanmean(values), values)


def _from_zero(values: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.concatenate(([np.nan], values))
    shifted.setflags(write=False)
    return shifted


def _radii(cells: Sequence[str], path: Path) -> dict[tuple[str, int], float]:
    radii = {}
    for symbol, cell in zip(SYMBOLS, cells, strict=True):
        for part in filter(None, cell.split(";")):
            charge, _, radius = part.partition(":")
            try:
                radii[symbol, int(charge)] = float(radius)
            except ValueError as error:
                raise _damaged(path, f"has a radius of {symbol} that cannot be read ({shown(part)})") from error
    return radii


def magpie(table: ElementTable, arrays: AmountArrays) -> NDArray[np.float64]:
    """Return the 132 Magpie features of each composition, equal to matminer's.

    Six statistics of 22 elemental properties, weighted by amount. The mode is the smallest property
    value among the elements whose amount is close to the largest (``np.isclose``).

    Args:
        table: What `load_elements` returns.
        arrays: Compositions padded to shape (n, k), each element once per row. Amounts need not
            sum to 1; one below 1e-8 counts as absent, as in pymatgen.

    Returns:
        Features of shape (n, 132), columns in the order of `MAGPIE_NAMES`.

    Raises:
        InputError: If a row has no element, an amount that is negative or not finite, or an unknown element.
    """
    numbers, amounts = _checked(arrays)
    if len(amounts) == 1:
        return _magpie_of_one(table.magpie, numbers[0], amounts[0])
    features = np.empty((len(amounts), len(MAGPIE_NAMES)))
    fill_magpie(table, numbers.T, amounts.T, features)
    return features


def fill_magpie(
    table: ElementTable, numbers: NDArray[np.int16], amounts: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Write the features that `magpie` returns for compositions that are known to be sound.

    Args:
        table: What `load_elements` returns.
        numbers: Atomic numbers, shape (k, n); an empty slot repeats an element of its composition.
        amounts: Their amounts, nought in an empty slot, shape (k, n).
        out: Filled with the features, shape (n, 132).
    """
    for start in range(0, len(out), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        _fill_magpie(table.magpie, numbers[:, rows], amounts[:, rows], out[rows])


def _checked(arrays: AmountArrays) -> AmountArrays:
    """Refuse what has no features, and let every empty slot repeat the row's commonest element at amount 0."""
    numbers, amounts = arrays
    if numbers.shape != amounts.shape or amounts.ndim != 2:
        raise InputError(f"Amounts of shape {amounts.shape} came with elements of shape {numbers.shape}; give (n, k).")
    present = amounts >= TRACE_AMOUNT
    is_sound = (amounts >= 0) & (amounts < np.inf) & (numbers >= 0) & (numbers <= len(SYMBOLS))
    is_usable = (is_sound & ((numbers > 0) | ~present)).all(axis=1) & present.any(axis=1)
    if not is_usable.all():
        raise InputError(
            f"Row {int(is_usable.argmin())} is not a composition: it needs an element of amount above 0, "
            f"atomic numbers up to {len(SYMBOLS)} and finite amounts."
        )
    if present.all():
        return arrays
    top = np.take_along_axis(numbers, amounts.argmax(axis=1)[:, None], axis=1)
    return AmountArrays(np.where(present, numbers, top), np.where(present, amounts, 0.0))


def _fill_magpie(
    properties: NDArray[np.float64],
    numbers: NDArray[np.int16],
    amounts: NDArray[np.float64],
    features: NDArray[np.float64],
) -> None:
    """Write the features of one chunk, slot by slot, given slots of shape (k, n).

    Sums run over the slots in order and are divided by the sum of the amounts last, as in ``np.average``,
    so that up to seven elements the last bit agrees with matminer's.
    """
    slots = np.ascontiguousarray(numbers, dtype=np.intp)
    weights = np.ascontiguousarray(amounts)
    total = weights.sum(axis=0)[:, None]
    # Each weight once for every property, so that products run over whole arrays.
    spread = np.repeat(weights, properties.shape[1], axis=1).reshape(*weights.shape, -1)
    low, high, mean = _extremes_and_sum(properties, slots, spread)
    mean /= total
    deviation = _sum_of_deviations(properties, slots, spread, mean)
    deviation /= total
    by_statistic = features.reshape(len(features), len(MAGPIE_PROPERTIES), len(MAGPIE_STATISTICS))
    statistics = (low, high, high - low, mean, deviation, _mode(properties, slots, weights))
    for j, statistic in enumerate(statistics):
        by_statistic[:, :, j] = statistic


def _magpie_of_one(
    properties: NDArray[np.float64], numbers: NDArray[np.int16], amounts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the features of one composition, shape (1, 132), by the same sums as those of many."""
    values, weights = properties[numbers], amounts[:, None]
    total = np.add.reduce(weights)
    low, high = np.minimum.reduce(values), np.maximum.reduce(values)
    mean = np.add.reduce(values * weights)
    mean /= total
    deviation = np.add.reduce(np.abs(values - mean) * weights)
    deviation /= total
    largest = amounts.max()
    is_near = (largest - amounts <= 1e-8 + 1e-5 * largest) & (amounts > 0)
    mode = np.minimum.reduce(values[is_near])
    return np.stack([low, high, high - low, mean, deviation, mode], axis=1).reshape(1, -1)


def _extremes_and_sum(
    properties: NDArray[np.float64], slots: NDArray[np.intp], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return smallest, largest and weighted sum over slots (k, n) with weights (k, n, 22), each of shape (n, 22)."""
    low = properties[slots[0]]
    high, weighted, values = low.copy(), low * weights[0], np.empty_like(low)
    for slot, weight in zip(slots[1:], weights[1:], strict=True):
        # Clipping spares numpy a buffered copy; the numbers were checked before.
        properties.take(slot, axis=0, out=values, mode="clip")
        np.minimum(low, values, out=low)
        np.maximum(high, values, out=high)
        values *= weight
        weighted += values
    return low, high, weighted


def _sum_of_deviations(
    properties: NDArray[np.float64],
    slots: NDArray[np.intp],
    weights: NDArray[np.float64],
    mean: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the weighted sum of absolute deviations from the mean, shape (n, 22)."""
    deviation, values = np.zeros_like(mean), np.empty_like(mean)
    for slot, weight in zip(slots, weights, strict=True):
        properties.take(slot, axis=0, out=values, mode="clip")
        values -= mean
        np.abs(values, out=values)
        values *= weight
        deviation += values
    return deviation


def _mode(
    properties: NDArray[np.float64], slots: NDArray[np.intp], amounts: NDArray[np.float64]
) -> NDArray[np.float64]:
    largest, place = amounts.max(axis=0), amounts.argmax(axis=0)
    # The comparison of np.isclose, with its default tolerances; an empty slot is never a mode.
    is_near = (largest - amounts <= 1e-8 + 1e-5 * largest) & (amounts > 0)
    top = slots[place, np.arange(len(place))]
    mode = np.asarray(properties[top])
    tied = np.flatnonzero(is_near.sum(axis=0) > 1)
    if len(tied):
        candidates = np.where(is_near[:, tied], slots[:, tied], top[tied])
        mode[tied] = properties[candidates].min(axis=0)
    return mode
