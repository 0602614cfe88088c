"""Any table of candidates to numbers whose distances mean something.

A numeric column is scaled to its range, by its logarithm where it is positive and spans more than two decades; a
categorical one becomes one column per category; a formula becomes element fractions, field descriptors and Magpie
statistics. What belongs together forms a group, and a kernel has one length per group. A number that is not known
lies at the median, and a column says so; these columns form one group, since with a length for each, a table with many
gaps would say more of what its authors left out than of what they did. Columns that never vary are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from nascreen.errors import TableError, shown
from nascreen.features import BLOCKS, FIELD_NAMES, feature_matrix
from nascreen.records import Sample

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Kind = Literal["numeric", "categorical", "formula"]

KINDS: tuple[Kind, ...] = ("numeric", "categorical", "formula")
LOG_SPAN = 100.0
"""A positive column whose largest value is more than this many times its smallest is taken by its logarithm."""

MAX_CATEGORIES = 200
GAPS = "which numbers are not known"


@dataclass(frozen=True, eq=False)
class Encoded:
    """A table as numbers.

    Attributes:
        values: Encoded rows, shape (n, d).
        groups: Group of each column, shape (d,), counted from 0.
        names: Name of each group: of its column, with the block of a formula; `GAPS` for the columns that say which
            numbers are not known.
    """

    values: Array
    groups: Index
    names: tuple[str, ...]


def encode(table: Mapping[str, Sequence[object]], kinds: Mapping[str, Kind] | None = None) -> Encoded:
    """Return a table of candidates as numbers.

    Args:
        table: Cells by column, all of one length; empty text, None and NaN are not known.
        kinds: What a column is: ``numeric``, ``categorical`` or ``formula``. Where it is not given, a column named
            ``formula`` is one, a column of numbers is numeric, and every other is categorical.

    Returns:
        Encoded rows in the order of the table.

    Raises:
        TableError: If the table is empty or ragged, no column varies, or a cell is not of its column's kind.
        FormulaError: If a formula cannot be read.
    """
    _check_shape(table, kinds or {})
    blocks: list[tuple[str, Array]] = []
    for name, cells in table.items():
        kind = (kinds or {}).get(name) or _kind_of(name, cells)
        blocks += [(label, block) for label, block in _BLOCKS_OF[kind](name, cells) if block.shape[1]]
    if not blocks:
        raise TableError("No column of the candidates varies; give at least one column with two different values.")
    names: list[str] = []
    codes = []
    for label, _ in blocks:
        if label != GAPS or GAPS not in names:
            names.append(label)
        codes.append(names.index(GAPS) if label == GAPS else len(names) - 1)
    groups = np.repeat(codes, [block.shape[1] for _, block in blocks])
    values = np.hstack([block for _, block in blocks])
    if GAPS in names:
        is_gap = groups == names.index(GAPS)
        values[:, is_gap] = _spread(values[:, is_gap])
    return Encoded(values, groups, tuple(names))


def _check_shape(table: Mapping[str, Sequence[object]], kinds: Mapping[str, Kind]) -> None:
    lengths = {name: len(cells) for name, cells in table.items()}
    if not lengths or not min(lengths.values()):
        raise TableError("The table of candidates is empty; give at least one column and one row.")
    if len(set(lengths.values())) > 1:
        short, long = min(lengths, key=lambda n: lengths[n]), max(lengths, key=lambda n: lengths[n])
        raise TableError(
            f"Column {shown(long)} has {lengths[long]} rows and column {shown(short)} has {lengths[short]}; "
            "all columns need one length."
        )
    for name, kind in kinds.items():
        if name not in table:
            raise TableError(f"There is no column {shown(name)}; the table has {', '.join(map(shown, table))}.")
        if kind not in KINDS:
            raise TableError(f"Column {shown(name)} is said to be {shown(kind)}; allowed is one of {', '.join(KINDS)}.")


def _is_unknown(cell: object) -> bool:
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def _number(cell: object) -> float | None:
    """Return a cell as a number, NaN where it is not known, None where it is none."""
    if _is_unknown(cell):
        return math.nan
    if isinstance(cell, str) and not cell.isascii():
        return None
    try:
        value = float(cast("float", cell))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _kind_of(name: str, cells: Sequence[object]) -> Kind:
    if name == "formula":
        return "formula"
    if any(isinstance(cell, bool) for cell in cells):
        return "categorical"
    return "numeric" if all(_number(cell) is not None for cell in cells) else "categorical"


def _spread(block: Array) -> Array:
    """Scale a block so that two of its rows are, on average, as far apart as two even numbers from 0 to 1."""
    block = block[:, np.ptp(block, axis=0) > 0]
    total = float(block.var(axis=0).sum())
    return np.asarray((block - block.mean(axis=0)) / np.sqrt(12 * total)) if total else block


def _numeric(name: str, cells: Sequence[object]) -> Iterator[tuple[str, Array]]:
    numbers = [_number(cell) for cell in cells]
    if None in numbers:
        row = numbers.index(None)
        raise TableError(
            f"Row {row + 1} of the numeric column {shown(name)} is {shown(cells[row])}; allowed is a finite number or "
            "an empty cell. Correct it, or say that the column is categorical."
        )
    values = np.array(numbers, dtype=np.float64)
    is_missing = np.isnan(values)
    if is_missing.all():
        return
    known = values[~is_missing]
    if known.min() > 0 and known.max() / known.min() > LOG_SPAN:
        values = np.log(values)
        known = values[~is_missing]
    values[is_missing] = np.median(known)
    if np.ptp(values) > 0:
        yield name, ((values - values.min()) / np.ptp(values))[:, None]
    if is_missing.any():
        yield GAPS, is_missing[:, None].astype(np.float64)


def _categorical(name: str, cells: Sequence[object]) -> Iterator[tuple[str, Array]]:
    texts = np.array(["" if _is_unknown(cell) else str(cell) for cell in cells])
    categories, codes = np.unique(texts, return_inverse=True)
    if len(categories) > MAX_CATEGORIES:
        raise TableError(
            f"The categorical column {shown(name)} has {len(categories)} different values; allowed are "
            f"{MAX_CATEGORIES}. Leave out a column of identifiers, or say that it is a formula."
        )
    yield name, _spread(np.eye(len(categories))[codes])


def _formula(name: str, cells: Sequence[object]) -> Iterator[tuple[str, Array]]:
    """Yield element fractions as one block, and each field descriptor that varies as one of its own."""
    matrix = feature_matrix([Sample(formula=str(cell)) for cell in cells])
    yield f"{name}.fraction", _spread(np.sqrt(matrix[:, BLOCKS["fraction"]]))
    for descriptor, values in zip(FIELD_NAMES, matrix[:, BLOCKS["field"]].T, strict=True):
        is_known = ~np.isnan(values)
        if is_known.any():
            filled = np.where(is_known, values, np.mean(values[is_known]))
            yield f"{name}.{descriptor}", _spread(filled[:, None])


_BLOCKS_OF = {"numeric": _numeric, "categorical": _categorical, "formula": _formula}
