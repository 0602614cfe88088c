"""What a campaign chooses from: a table of candidates from any source, the filters on it, and its prior mean.

A pool has numeric, categorical and formula columns, and labels that nothing is learned from. It may lack a formula:
then only the processing is optimized.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import parse_formula
from nascreen.encoding import KINDS, MAX_CATEGORIES
from nascreen.errors import InputError, TableError, shown
from nascreen.filters import FilterColumn, read_filter
from nascreen.history import Value, Values, candidate_key, checked_values
from nascreen.lattices import check_candidate as check_in_lattice
from nascreen.lattices import draw, lattice_names, load_lattice, samples_of
from nascreen.models import load_models, require_usable
from nascreen.records import Sample, sample_from_cells
from nascreen.spaces import SPACES, generate
from nascreen.spaces import check_candidate as check_in_space
from nascreen.spreadsheets import Limits, Sheet, read_sheet, with_decimal_points
from nascreen.tables import CONDITION_COLUMNS

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Filter = str | Callable[[Values], bool]

PRIOR = "prior."
"""What the name of a column begins with that holds the prior mean of a property."""

PRIOR_LOW, PRIOR_HIGH = f"{PRIOR}low.", f"{PRIOR}high."
"""What the names of columns begin with that hold the ends of the 90 % interval of a prior mean."""

POOL_KINDS = (*KINDS, "label")
DRAWN = 5000
"""Candidates that are drawn of a space too large to be listed, where nothing else is said."""

MAX_POOL = 1_000_000
MAX_COLUMNS = 250
_CHUNK = 1000
_NAME = re.compile(r"[^\x00-\x1f\[\]]{1,90}")
_FILE_LIMITS = Limits(200_000_000, MAX_POOL, 256)


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates as a table.

    Attributes:
        columns: Cells by column, all of one length; None is not known.
        kinds: What each column is: ``numeric``, ``categorical``, ``formula`` or ``label``.
        space: Name or file of the space that the candidates come from; empty where there is none.
    """

    columns: Mapping[str, Sequence[Value]]
    kinds: Mapping[str, str]
    space: str = ""

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(next(iter(self.columns.values()), ()))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that are learned from."""
        return tuple(name for name in self.columns if self.kinds.get(name, "label") != "label")

    @property
    def visible(self) -> tuple[str, ...]:
        """Columns that people see: all but prior means."""
        return tuple(name for name in self.columns if not name.startswith(PRIOR))

    @property
    def formula_column(self) -> str | None:
        """The column that holds formulas; None where the candidates have none."""
        return next((name for name, kind in self.kinds.items() if kind == "formula"), None)

    def values(self, row: int) -> dict[str, Value]:
        """Return the cells of a candidate, prior means with them."""
        return {name: cells[row] for name, cells in self.columns.items()}

    def shown_values(self, values: Values) -> dict[str, Value]:
        """Return the cells that people see, empty ones left out."""
        return {name: values[name] for name in self.visible if values.get(name) is not None}

    def words(self, values: Values) -> str:
        """Return what people see of a candidate in one line."""
        cells = self.shown_values(values).items()
        return ", ".join(f"{name} {cell:g}" if _is_number(cell) else f"{name} {cell}" for name, cell in cells)

    def sample(self, values: Values) -> Sample | None:
        """Return a candidate as a sample; None where it has no formula."""
        column = self.formula_column
        return None if column is None else sample_of({**values, "formula": values.get(column)})

    def key(self, values: Values) -> str:
        """Return what makes a candidate the same as another: its columns that are learned from."""
        return candidate_key({name: values.get(name) for name in self.inputs})

    @cached_property
    def numbers_by_key(self) -> dict[str, int]:
        """Number of the candidate of each key, the first where several share it."""
        return {self.key(self.values(row)): row for row in reversed(range(len(self)))}

    def with_rows(self, rows: Sequence[Values]) -> Pool:
        """Return the pool with further rows at its end."""
        columns = {name: [*cells, *(row.get(name) for row in rows)] for name, cells in self.columns.items()}
        return replace(self, columns=columns) if rows else self

    def matches(self, rule: Filter) -> Flags:
        """Return which candidates pass a filter, shape (n,).

        Args:
            rule: In the OPTIMADE grammar, such as ``sinter_temp_c < 1200 AND elements HAS "Mg"``, or a function of the
                values of a candidate. Names of columns are lower case there, with _ for what is no letter or digit.

        Raises:
            InputError: If the filter cannot be used.
        """
        if isinstance(rule, str):
            return self._matches_text(rule)
        if not callable(rule):
            raise InputError(f"The filter is {shown(rule)}; give a filter as text, or a function of the values.")
        return np.array([bool(rule(self.shown_values(self.values(row)))) for row in range(len(self))], dtype=bool)

    def _matches_text(self, text: str) -> Flags:
        folded = {_folded(name): name for name in self.visible}
        symbols = self._symbols if "elements" in text or "amount_" in text else ()
        listed = [FilterColumn(name, self._filter_kind(column), "", may_be_missing=True)
                  for name, column in folded.items()]  # fmt: skip
        listed += [FilterColumn(f"amount_{s.lower()}", "number", "") for s in symbols]
        listed += [FilterColumn("nelements", "number", "")] if symbols else []
        condition = read_filter(text, listed, symbols)
        used = [c.name for c in listed if f'"{c.name}"' in condition.sql]
        cells = [self._filter_cells(name, folded) for name in used]
        rows = ((row, *values) for row, values in enumerate(zip(*cells, strict=True))) if used else ()
        return self._selected(condition.sql, condition.values, used, rows)

    def _selected(self, sql: str, values: Sequence[Any], used: Sequence[str], rows: Iterable[Sequence[Any]]) -> Flags:
        out = np.zeros(len(self), dtype=bool)
        database = sqlite3.connect(":memory:")
        try:
            for name, function in _FUNCTIONS.items():
                database.create_function(name, 2, function, deterministic=True)
            if not used:
                out[:] = bool(database.execute(f"SELECT {sql}", values).fetchone()[0])
                return out
            names = ", ".join(f'"{name}"' for name in used)
            database.execute(f"CREATE TABLE pool (number INTEGER, {names})")
            marks = ", ".join("?" * (len(used) + 1))
            database.executemany(f"INSERT INTO pool VALUES ({marks})", rows)  # noqa: S608 - marks alone
            found = database.execute(f"SELECT number FROM pool WHERE {sql}", values)  # noqa: S608 - values are bound
            out[[row for (row,) in found]] = True
        finally:
            database.close()
        return out

    def _filter_kind(self, column: str) -> Any:  # noqa: ANN401 - a kind of `FilterColumn`
        cells = [cell for cell in self.columns[column] if cell is not None]
        if all(isinstance(cell, bool) for cell in cells):
            return "flag"
        return "number" if all(_is_number(cell) for cell in cells) else "text"

    def _filter_cells(self, name: str, folded: Mapping[str, str]) -> Sequence[Any]:
        if name in folded:
            cells = self.columns[folded[name]]
            is_text = self._filter_kind(folded[name]) == "text"
            return [str(cell) if is_text and cell is not None else cell for cell in cells]
        if name == "nelements":
            return [len(amounts) for amounts in self._amounts]
        return [float(amounts.get(name, 0)) for amounts in self._amounts]

    @cached_property
    def _amounts(self) -> list[dict[str, float]]:
        cells = self.columns[self.formula_column or ""]
        return [{f"amount_{s.lower()}": float(n) for s, n in parse_formula(str(c)).amounts.items()} for c in cells]

    @property
    def _symbols(self) -> tuple[str, ...]:
        if self.formula_column is None:
            return ()
        return tuple(sorted({name.removeprefix("amount_").capitalize() for name in chain(*self._amounts)}))

    def check(self, values: Values) -> str:
        """Check a candidate again against the rules of its space.

        Returns:
            What was checked, as a sentence; empty where the pool comes from no space.

        Raises:
            NascreenError: If it breaks a rule.
        """
        sample = self.sample(values) if self.space else None
        if sample is None:
            return ""
        if self.space in SPACES:
            check_in_space(SPACES[self.space], sample)
        else:
            check_in_lattice(load_lattice(self.space), sample)
        return f"keeps every rule of the space {Path(self.space).name}, charge balance with them"


_FUNCTIONS: Mapping[str, Callable[[str | None, str], bool]] = {
    "contains": lambda text, part: part in (text or ""),
    "starts_with": lambda text, part: (text or "").startswith(part),
    "suffix": lambda text, part: (text or "").endswith(part),
}


def _folded(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower(), flags=re.ASCII)


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def sample_of(values: Values) -> Sample | None:
    """Return what a row says of a sample; None where it has no formula or a cell is out of bounds."""
    cells = {name: str(values[name]) for name in CONDITION_COLUMNS if values.get(name) is not None}
    try:
        return sample_from_cells(cells) if cells.get("formula") else None
    except InputError:
        return None


# ---------------------------------------------------------------- reading


def space_names() -> tuple[str, ...]:
    """Return the names of the spaces that ship with nascreen."""
    return tuple(dict.fromkeys([*SPACES, *lattice_names()]))


def read_pool(source: object, *, kinds: Mapping[str, str] | None = None, n: int | None = None, seed: int = 0) -> Pool:
    """Read the candidates of a campaign.

    Args:
        source: A table (columns by name, or a pandas frame), a sequence of tables of one row each or of `Sample`, the
            path of a CSV or XLSX file, or the name or TOML file of a space.
        kinds: What a column is, where it is not to be told from its cells; ``label`` is nothing to learn from.
        n: How many candidates of a space; all where it can be listed, else 5000, if None.
        seed: Seed of that draw.

    Returns:
        The pool.

    Raises:
        InputError: If there is no such source, or n is given and the source is no space.
        TableError: If the table is empty, ragged, or a name or a cell cannot be used.
    """
    text = str(source) if isinstance(source, str | Path) else ""
    if text in SPACES:
        return _pool_of(_from_samples(generate(text, n, seed)), kinds, text)
    if text in lattice_names() or text.endswith(".toml"):
        lattice = load_lattice(text)
        drawn = draw(lattice, DRAWN if n is None else n, "simple", seed)
        # Routes that differ in an excess of sodium alone are the same sample, which has no column for it.
        samples = list(dict.fromkeys(chain.from_iterable(samples_of(lattice, part) for part in drawn)))
        return _pool_of(_from_samples(samples), kinds, text)
    if n is not None:
        raise InputError("A number of candidates is for spaces, which are drawn from; a table is taken whole.")
    return _pool_of(table_of(source), kinds, "")


def table_of(source: object) -> dict[str, list[Value]]:
    """Return any table as cells by column, None where a cell is empty.

    Raises:
        InputError: If it is no table.
        TableError: If it cannot be read.
    """
    if isinstance(source, str | Path):
        if Path(source).suffix.lower() not in {".csv", ".xlsx"}:
            names = ", ".join(space_names())
            raise InputError(
                f"There is no pool {shown(str(source))}; give a table, a file that ends in .csv or .xlsx, a space file "
                f"that ends in .toml, or one of {names}."
            )
        return _from_file(Path(source))
    if isinstance(source, Mapping):
        return {str(name): list(cells) for name, cells in source.items()}
    if hasattr(source, "columns") and hasattr(source, "to_dict"):
        return {str(name): [_unpandas(cell) for cell in source[name]] for name in source.columns}  # type: ignore[index]
    if not isinstance(source, Iterable):
        raise InputError(f"The pool is {shown(source)}; give a table, a list of rows, a file or the name of a space.")
    rows = list(islice(source, MAX_POOL + 1))
    if rows and all(isinstance(row, Sample) for row in rows):
        return _from_samples(rows)
    wrong = next((row for row in rows if not isinstance(row, Mapping)), None)
    if wrong is not None:
        raise InputError(f"A row of the pool is {shown(wrong)}; give a table of column names and values.")
    heads: dict[str, None] = dict.fromkeys(str(key) for row in rows for key in row)
    if len(heads) > MAX_COLUMNS:  # before a table is made of rows that share no column
        raise TableError(f"The rows have {len(heads):,} different columns; allowed are {MAX_COLUMNS}.")
    return {head: [row.get(head) for row in rows] for head in heads}


def _unpandas(cell: Any) -> Any:  # noqa: ANN401 - any cell
    return None if cell != cell else cell  # noqa: PLR0124 - only NaN differs from itself


def _from_samples(samples: Sequence[Sample]) -> dict[str, list[Value]]:
    table: dict[str, list[Value]] = {}
    for name in CONDITION_COLUMNS:
        table[name] = [None if (cell := getattr(s, name)) == "" else cell for s in samples]
    return {name: cells for name, cells in table.items() if any(cell is not None for cell in cells)}


def _from_file(path: Path) -> dict[str, list[Value]]:
    return cells_of(read_sheet(path, _FILE_LIMITS, is_known=bool))[0]


def cells_of(sheet: Sheet) -> tuple[dict[str, list[Value]], tuple[str, ...]]:
    """Return the cells of a sheet by column, None where one is empty, and what people should know of the reading.

    A column is of numbers where all of its cells are.

    Raises:
        TableError: If a decimal comma may be read in two ways.
    """
    numeric = {name for i, name in enumerate(sheet.header) if _looks_numeric([row.cells[i] for row in sheet.rows])}
    sheet = with_decimal_points(sheet, numeric.__contains__)
    table: dict[str, list[Value]] = {}
    for i, name in enumerate(sheet.header):
        cells = [row.cells[i].strip() for row in sheet.rows]
        numbers = [_as_number(cell) for cell in cells]
        is_numeric = all(number is not None or not cell for number, cell in zip(numbers, cells, strict=True))
        table[name] = list(numbers) if is_numeric and any(cells) else [cell or None for cell in cells]
    return table, sheet.notes


def _looks_numeric(cells: Sequence[str]) -> bool:
    return all(re.fullmatch(r"\s*[-+0-9.,eE]*\s*", cell, flags=re.ASCII) for cell in cells)


def _as_number(cell: str) -> int | float | None:
    try:
        value = float(cell) if cell.isascii() and "_" not in cell else math.nan
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(cell) if re.fullmatch(r"[+-]?[0-9]{1,15}", cell) else value


def _pool_of(table: Mapping[str, Sequence[Any]], kinds: Mapping[str, str] | None, space: str) -> Pool:
    _check_table(table, kinds or {})
    rows = [checked_values(dict(zip(table, cells, strict=True)), f"candidate {row}")
            for row, cells in enumerate(zip(*table.values(), strict=True))]  # fmt: skip
    columns = {name: [None if row[name] == "" else row[name] for row in rows] for name in table}
    found = {name: (kinds or {}).get(name) or _kind_of(name, cells) for name, cells in columns.items()}
    formulas = [name for name, kind in found.items() if kind == "formula"]
    if len(formulas) > 1:
        raise TableError(f"The pool has the formula columns {', '.join(map(shown, formulas))}; keep one, label others.")
    return Pool(columns, found, space)


def _check_table(table: Mapping[str, Sequence[Any]], kinds: Mapping[str, str]) -> None:
    lengths = {name: len(cells) for name, cells in table.items()}
    if not lengths or not max(lengths.values()):
        raise TableError("The pool is empty; give at least one candidate.")
    if len(set(lengths.values())) > 1:
        short, long = min(lengths, key=lambda n: lengths[n]), max(lengths, key=lambda n: lengths[n])
        raise TableError(
            f"The column {shown(long)} of the pool has {lengths[long]} rows and {shown(short)} has {lengths[short]}; "
            "all columns need one length."
        )
    if len(lengths) > MAX_COLUMNS or max(lengths.values()) > MAX_POOL:
        raise TableError(f"The pool is too large; allowed are {MAX_COLUMNS} columns and {MAX_POOL:,} candidates.")
    _check_names(list(table))
    for name, kind in kinds.items():
        if name not in table:
            raise TableError(f"There is no column {shown(name)} in the pool; it has {', '.join(map(shown, table))}.")
        if kind not in POOL_KINDS:
            raise TableError(f"The column {shown(name)} is said to be {shown(kind)}; allowed is one of "
                             f"{', '.join(POOL_KINDS)}.")  # fmt: skip


def _check_names(names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if not _NAME.fullmatch(name) or name != name.strip():
            raise TableError(f"A column of the pool is named {shown(name)}; allowed are 1 to 90 printable characters "
                             "without [ and ].")  # fmt: skip
        if (other := seen.setdefault(_folded(name), name)) != name:
            raise TableError(f"The columns {shown(other)} and {shown(name)} of the pool are too alike; rename one.")


def _kind_of(name: str, cells: Sequence[Value]) -> str:
    known = [cell for cell in cells if cell is not None]
    if name == "formula":
        return "formula"
    if name.startswith(PRIOR) or not known:
        return "label"
    if all(map(_is_number, known)):
        return "numeric"
    if len({str(cell) for cell in known}) > MAX_CATEGORIES:
        raise TableError(
            f"The column {shown(name)} has more than {MAX_CATEGORIES} different texts; say that it is a label, which "
            "is kept but not learned from, or a formula."
        )
    return "categorical"


# ---------------------------------------------------------------- the literature as prior mean


PREDICTED: Mapping[str, Callable[[Any], float]] = {
    "log_conductivity": lambda p: math.log10(p.conductivity_s_cm),
    "conductivity_s_cm": lambda p: float(p.conductivity_s_cm),
    "ea_ev": lambda p: float(p.ea_ev),
    "strength_mpa": lambda p: float(p.strength_mpa),
    "log_strength": lambda p: math.log10(p.strength_mpa),
}
"""Properties that the literature model predicts, from a `nascreen.models.Prediction`."""

INTERVALS: Mapping[str, Callable[[Any], tuple[float, float]]] = {
    "log_conductivity": lambda p: (math.log10(p.conductivity_lo), math.log10(p.conductivity_hi)),
    "conductivity_s_cm": lambda p: (float(p.conductivity_lo), float(p.conductivity_hi)),
    "ea_ev": lambda p: (float(p.ea_lo), float(p.ea_hi)),
    "strength_mpa": lambda p: (float(p.strength_lo), float(p.strength_hi)),
    "log_strength": lambda p: (math.log10(p.strength_lo), math.log10(p.strength_hi)),
}
"""The 90 % intervals of the same."""


def literature_columns(samples: Sequence[Sample | None], names: Iterable[str]) -> dict[str, list[float | None]]:
    """Return what the literature model predicts of some properties, and how surely.

    Args:
        samples: Candidates; None where one has no formula.
        names: Properties; those that it does not predict are left out.

    Returns:
        Means and the ends of 90 % intervals by the name of their column, with `PRIOR`, `PRIOR_LOW` or `PRIOR_HIGH`
        before the property, None where nothing can be predicted.
    """
    wanted = [name for name in names if name in PREDICTED]
    columns = [start + name for name in wanted for start in (PRIOR, PRIOR_LOW, PRIOR_HIGH)]
    out: dict[str, list[float | None]] = {name: [None] * len(samples) for name in columns}
    usable = [i for i, sample in enumerate(samples) if sample is not None and _is_usable(sample)] if wanted else []
    for start in range(0, len(usable), _CHUNK):
        part = usable[start : start + _CHUNK]
        chosen = [sample for i in part if (sample := samples[i]) is not None]
        for i, prediction in zip(part, load_models().predict(chosen), strict=True):
            said = [value for name in wanted for value in (PREDICTED[name](prediction), *INTERVALS[name](prediction))]
            for name, value in zip(columns, said, strict=True):
                out[name][i] = value
    return out


def _is_usable(sample: Sample) -> bool:
    try:
        require_usable(sample)
    except InputError:
        return False
    return True


def with_literature(pool: Pool, names: Iterable[str]) -> Pool:
    """Return a pool with the literature model's predictions as prior means, beside those that it has already."""
    if pool.formula_column is None:
        return pool
    missing = [name for name in names if PRIOR + name not in pool.columns]
    said = literature_columns([pool.sample(pool.values(row)) for row in range(len(pool))], missing)
    found = {name: cells for name, cells in said.items() if any(cell is not None for cell in cells)}
    kinds = {**pool.kinds, **dict.fromkeys(found, "label")}
    return replace(pool, columns={**pool.columns, **found}, kinds=kinds)
