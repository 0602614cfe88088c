"""Any table, read into targets, groups, folds and features: what the columns are is found out, and said.

Cells are untrusted text. A column is a formula, an amount of an element, a number, a category, a text, or left aside
with the reason; nothing is imputed here.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import ATOMIC_NUMBER, format_formula
from nascreen.descriptors import composition_blocks, element_fractions
from nascreen.errors import FormulaError, RangeError, TableError, shown
from nascreen.features import chemistry_of, element_table
from nascreen.gaussian import Array
from nascreen.learners import Loss, absolute_loss, rows_of, squared_loss

Columns = Mapping[str, Sequence[str]]
"""Name of a column to its cells as text; an empty cell is a value that is not known."""

MAX_BYTES = 100_000_000
MAX_ROWS = 200_000
MAX_COLUMNS = 2000
MAX_CELL = 10_000
LEAST_ROWS = 20
MISSING = frozenset({"", "nan", "na", "n/a", "none", "null", "-", "--", "?", "<na>"})
TRUTH = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
FORMULA_NAMES = ("formula", "composition", "chemical_formula", "chemical formula", "reduced_formula", "pretty_formula")
MAX_LEVELS = 30
MAX_TEXT_DIMENSIONS = 12
LEAK = 0.999
N_SHOWN = 5


# ---------------------------------------------------------------- reading


def read_columns(path: Path) -> dict[str, list[str]]:
    """Read a CSV, plain or gzipped, whole and without a guess.

    Args:
        path: UTF-8 text with a header; cells separated by commas, semicolons or tabs, whichever the header has most of.

    Returns:
        Name of each column to its cells, outer blanks removed.

    Raises:
        TableError: If the file cannot be read as such; the message names the line.
    """
    data = _bytes_of(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"is not UTF-8 (byte {error.start}); save it as 'CSV UTF-8'") from error
    if "\0" in text:
        raise _unreadable(path, "holds a NUL character, so it is no text; export it as CSV")
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    # The limit is one for the whole process; other readers have their own.
    usual_limit = csv.field_size_limit(MAX_CELL)
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = _header(path, next(reader, []))
        for row in reader:
            if any(cell.strip() for cell in row):
                _check_row(path, header, row, reader.line_num, len(rows))
                rows.append([cell.strip() for cell in row])
    except csv.Error as error:
        raise _unreadable(path, f"cannot be read at line {reader.line_num} ({error})") from error
    finally:
        csv.field_size_limit(usual_limit)
    if not rows:
        raise _unreadable(path, "has no rows below its header")
    return {name: [row[j] for row in rows] for j, name in enumerate(header)}


def _unreadable(path: Path, what: str) -> TableError:
    return TableError(f"The table {shown(path.name)} {what}.")


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file, gzip.open(file) if path.suffix == ".gz" else file as plain:
            data = plain.read(MAX_BYTES + 1)
    except (OSError, EOFError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise _unreadable(path, f"cannot be opened: {reason}; give a CSV file, or one packed as .csv.gz") from error
    if len(data) > MAX_BYTES:
        raise _unreadable(path, f"is larger than {MAX_BYTES // 1_000_000} MB; give a smaller part of it")
    if not data.strip():
        raise _unreadable(path, "is empty; its first line must name the columns")
    if data.startswith(b"PK"):
        raise _unreadable(path, "is a workbook or archive; save the sheet as CSV")
    return data


def _header(path: Path, cells: Sequence[str]) -> list[str]:
    names = [cell.strip() or f"unnamed_{j + 1}" for j, cell in enumerate(cells)]
    if len(names) > MAX_COLUMNS:
        raise _unreadable(path, f"has {len(names)} columns; at most {MAX_COLUMNS} are allowed")
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise _unreadable(path, f"names the column {shown(twice[0])} twice; rename one of them")
    return names


def _check_row(path: Path, header: Sequence[str], row: Sequence[str], line: int, n_before: int) -> None:
    if len(row) != len(header):
        raise _unreadable(path, f"has {len(row)} cells in line {line}, the header {len(header)}; make them equal")
    if n_before >= MAX_ROWS:
        raise _unreadable(path, f"has more than {MAX_ROWS:,} rows; give a smaller part of it")


def columns_of(table: Any) -> dict[str, list[str]]:  # noqa: ANN401
    """Return a pandas frame, a mapping of columns or a sequence of row mappings as columns of text.

    Raises:
        TableError: If it is none of these, or columns differ in length.
    """
    if hasattr(table, "to_dict") and hasattr(table, "columns"):
        table = {str(name): table[name].tolist() for name in table.columns}
    if isinstance(table, Sequence) and not isinstance(table, str) and all(isinstance(row, Mapping) for row in table):
        names = list(dict.fromkeys(str(name) for row in table for name in row))
        table = {name: [row.get(name) for row in table] for name in names}
    if not isinstance(table, Mapping) or not table:
        raise TableError("The table must be a pandas frame, a mapping of columns, or a sequence of row mappings.")
    columns = {str(name): [_cell_text(value) for value in values] for name, values in table.items()}
    if len({len(values) for values in columns.values()}) > 1:
        raise TableError("The columns of the table differ in length; give every row a cell in every column.")
    return columns


def _cell_text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).strip()


def is_missing(cell: str) -> bool:
    """Return whether a cell stands for a value that is not known."""
    return cell.lower() in MISSING


_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def number_in(cell: str) -> float:
    """Return the number that a cell holds; NaN if it holds none.

    >>> number_in("1.5e-3"), number_in("about 2")
    (0.0015, nan)
    """
    value = float(cell) if len(cell) <= 40 and _NUMBER.fullmatch(cell) else math.nan
    return value if math.isfinite(value) else math.nan


# ---------------------------------------------------------------- what the columns are


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be learned from a table.

    Attributes:
        target: Column to predict.
        formula: Column of formulas; found by itself if empty.
        group: Column whose values stay together in every split.
        folds: Column whose values are the outer folds.
        is_log: Learn and score log10 of the target.
        dropped: Columns to leave aside.
        is_skipping: Leave rows aside whose formula cannot be read, instead of refusing the table.
    """

    target: str
    formula: str = ""
    group: str = ""
    folds: str = ""
    is_log: bool = False
    dropped: tuple[str, ...] = ()
    is_skipping: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """How much work is done.

    Attributes:
        minutes: Time for everything.
        is_quick: A small search without tuning, a minute at most.
        n_folds: Outer folds, where the table names none.
        n_repeats: Shuffles of the outer folds.
        seed: Seed of everything random.
        out: Folder for the results; none are written if None.
    """

    minutes: float = 10.0
    is_quick: bool = False
    n_folds: int = 5
    n_repeats: int = 1
    seed: int = 0
    out: Path | None = None

    def check(self) -> None:
        """Refuse what cannot be done.

        Raises:
            RangeError: If a number is out of bounds.
        """
        if not 0 < self.minutes <= 10_000:
            raise RangeError(f"The time is {self.minutes:g} minutes; allowed is more than 0 and up to 10,000.")
        if not 2 <= self.n_folds <= 100:
            raise RangeError(f"The number of folds is {self.n_folds}; allowed is 2 to 100.")
        if not 1 <= self.n_repeats <= 100:
            raise RangeError(f"The number of shuffles is {self.n_repeats}; allowed is 1 to 100.")

    @property
    def seconds(self) -> float:
        """Time for everything in seconds."""
        return min(self.minutes * 60, 50.0) if self.is_quick else self.minutes * 60


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column serves as what.

    Attributes:
        formula: Column of formulas, or empty.
        elements: Columns of amounts of an element, by symbol; used where there are no formulas.
        is_weight: Whether those amounts are by weight.
        numbers: Columns of numbers.
        categories: Columns of few distinct texts.
        texts: Columns of many distinct texts.
        parts: Columns that name an element or compound besides the formula, such as host and dopant.
    """

    formula: str
    elements: Mapping[str, str]
    is_weight: bool
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    texts: tuple[str, ...]
    parts: tuple[str, ...] = ()

    @property
    def has_composition(self) -> bool:
        """Whether the table says what its rows are made of."""
        return bool(self.formula or self.elements)


def _need(columns: Columns, name: str, what: str) -> None:
    if name and name not in columns:
        import difflib

        near = difflib.get_close_matches(name, list(columns), 1)
        hint = f" Did you mean {shown(near[0])}?" if near else ""
        names = ", ".join(shown(column) for column in list(columns)[:12])
        raise TableError(f"The {what} {shown(name)} is no column of the table; it has {names}.{hint}")


def _need_all(columns: Columns, request: Request) -> None:
    for name, what in (
        (request.target, "target"), (request.formula, "formula column"), (request.group, "group column"),
        (request.folds, "folds column"), *((name, "column to drop") for name in request.dropped),
    ):  # fmt: skip
        _need(columns, name, what)


_UNIT = re.compile(r"[\s_]*[(\[]?(?:wt|at|mol|mass|w|a)?\.?[\s_]*(?:%|pct|percent|frac|fraction)?[)\]]?", re.IGNORECASE)


def element_of(header: str) -> str:
    """Return the element whose amount a column holds, by its header, or nothing.

    >>> element_of("Fe"), element_of("C (wt%)"), element_of("Tc_K")
    ('Fe', 'C', '')
    """
    match = re.match(r"[A-Z][a-z]?", header)
    if match and match.group() in ATOMIC_NUMBER and _UNIT.fullmatch(header[match.end() :]):
        return match.group()
    return ""


def find_roles(columns: Columns, request: Request, rows: Sequence[int], targets: Array) -> tuple[Roles, list[str]]:
    """Decide which column serves as what.

    Args:
        columns: The table.
        request: Names given by the user.
        rows: Rows with a target.
        targets: Their targets.

    Returns:
        The roles, and sentences on what was found and left aside.

    Raises:
        TableError: If a named column is not there, or one gives the target away.
    """
    _need_all(columns, request)
    taken = {request.target, request.group, request.folds, *request.dropped}
    cells = {name: [values[i] for i in rows] for name, values in columns.items() if name not in taken}
    formula = request.formula or _formula_column(cells)
    elements = {} if formula else _element_columns(cells)
    notes = []
    if formula:
        notes.append(f"Compositions are read from the column {shown(formula)}.")
        n_absent = sum(bool(_ABSENT.search(re.sub(r"\s+", "", cell))) for cell in cells.get(formula, []))
        if n_absent:
            notes.append(f"{n_absent} formulas name an element with the amount 0, which is read as absent.")
    elif elements:
        notes.append(f"Compositions are read from {len(elements)} element columns ({', '.join(elements)}).")
    else:
        notes.append("No column holds compositions; only the other columns are used.")
    is_weight = any(re.search(r"w(?:t|eight)|mass", name[2:], re.IGNORECASE) for name in elements.values())
    parts: list[str] = []
    sorted_out: dict[str, list[str]] = {"number": [], "category": [], "text": []}
    for name, values in cells.items():
        if name == formula or (name in elements.values() and _is_constant_sum(cells, elements)):
            continue
        kind = kind_of(values)
        if kind not in {"number", "counts the rows"} and _names_substances(values):
            parts.append(name)
            notes.append(f"The column {shown(name)} names substances; their mean elemental properties are used too.")
            if kind != "category":
                continue
        if kind in sorted_out:
            sorted_out[kind].append(name)
        else:
            notes.append(f"The column {shown(name)} is left aside: it {kind}.")
    _refuse_leaks(cells, sorted_out["number"], targets)
    numbers, categories, texts = (tuple(found) for found in sorted_out.values())
    if not (formula or elements or numbers or categories or texts or parts):
        raise TableError("No column of the table can be learned from; give formulas, element amounts or other columns.")
    return Roles(formula, elements, is_weight, numbers, categories, texts, tuple(parts)), notes


def _reads_as_formula(cell: str) -> bool:
    try:
        chemistry_of(_plain_formula(cell))
    except FormulaError:
        return False
    return True


_ABSENT = re.compile(r"[A-Z][a-z]?0+(?:\.0*)?(?![0-9.])")


def _plain_formula(cell: str) -> str:
    """Return a formula without blanks and without elements written with the amount 0.

    >>> _plain_formula("Al0 Co1.0 Fe10 Ni0.05")
    'Co1.0Fe10Ni0.05'
    """
    return _ABSENT.sub("", re.sub(r"\s+", "", cell))


def _formula_column(cells: Columns) -> str:
    """Return the column named as formulas are, else the first that reads as formulas of several elements."""
    by_lower = {name.lower(): name for name in cells}
    for name in FORMULA_NAMES:
        if name in by_lower:
            known = [cell for cell in cells[by_lower[name]] if not is_missing(cell)]
            if sum(map(_reads_as_formula, known)) >= 0.5 * len(known):
                return by_lower[name]
    for name, values in cells.items():
        known = [cell for cell in values[:300] if not is_missing(cell)]
        distinct = set(known)
        if len(known) >= 0.8 * min(len(values), 300) and len(distinct) > max(5, 0.05 * len(known)):
            read = [cell for cell in known if _reads_as_formula(cell)]
            several = [cell for cell in read if len(chemistry_of(_plain_formula(cell)).composition.amounts) > 1]
            if len(read) >= 0.95 * len(known) and len(several) >= 0.5 * len(known):
                return name
    return ""


def _names_substances(cells: Sequence[str]) -> bool:
    """Return whether a column holds elements or compounds, more than a few of them."""
    distinct = {cell for cell in cells if not is_missing(cell)}
    return len(distinct) >= 4 and all(map(_reads_as_formula, distinct))


def _mean_properties(cells: Sequence[str]) -> Array:
    """Return the mean Magpie properties of the substance in each cell, shape (n, 22); NaN where it is not known."""
    properties = element_table().magpie
    out = np.full((len(cells), properties.shape[1]), np.nan)
    for row, cell in zip(out, cells, strict=True):
        if not is_missing(cell) and _reads_as_formula(cell):
            row[:] = element_fractions([_plain_formula(cell)])[0] @ properties
    return out


def _element_columns(cells: Columns) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, values in cells.items():
        symbol = element_of(name)
        numbers = [number_in(cell) for cell in values if not is_missing(cell)]
        if symbol and symbol not in found and numbers and min(numbers) >= 0 and not any(map(math.isnan, numbers)):
            found[symbol] = name
    return found if len(found) >= 3 else {}


def _amounts(cells: Columns, elements: Mapping[str, str]) -> Array:
    values = [[0.0 if is_missing(cell) else number_in(cell) for cell in cells[name]] for name in elements.values()]
    return np.nan_to_num(np.array(values, dtype=np.float64).T)


def _is_constant_sum(cells: Columns, elements: Mapping[str, str]) -> bool:
    total = _amounts(cells, elements).sum(axis=1)
    return bool(total.max(initial=0) <= 1.01 * total.min(initial=math.inf))


def kind_of(cells: Sequence[str]) -> str:
    """Return ``number``, ``category`` or ``text``, or why a column cannot be learned from.

    >>> kind_of(["1", "2.5", "", "3"]), kind_of(["glass", "crystal", "glass"]), kind_of(["5", "5", "5"])
    ('number', 'category', 'has one value only')
    """
    known = [cell for cell in cells if not is_missing(cell)]
    distinct = set(known)
    if len(known) < 3 or not distinct:
        return "is empty"
    if len(distinct) == 1 and len(known) == len(cells):
        return "has one value only"
    numbers = [number_in(cell) for cell in known]
    n_numbers = sum(not math.isnan(value) for value in numbers)
    if n_numbers >= 0.9 * len(known):
        return "counts the rows" if _is_counter(numbers) else "number"
    if len(distinct) <= max(2, min(MAX_LEVELS, len(known) // 3)):
        return "category"
    words = [len(re.findall(r"[A-Za-z]{2,}", cell)) for cell in known]
    if len(distinct) > 0.9 * len(known) and np.mean(words) < 2:
        return "names the rows"
    return "text"


def _is_counter(numbers: Sequence[float]) -> bool:
    return len(numbers) >= 10 and all(b - a == 1 for a, b in pairwise(numbers))


def _refuse_leaks(cells: Columns, names: Sequence[str], targets: Array) -> None:
    from scipy.stats import rankdata

    for name in names:
        values = np.array([number_in(cell) for cell in cells[name]])
        known = ~np.isnan(values)
        if known.sum() < max(10, len(values) // 2) or len(np.unique(values[known])) < 2:
            continue
        ranks = rankdata(values[known]), rankdata(targets[known])
        if ranks[0].std() and ranks[1].std() and abs(float(np.corrcoef(*ranks)[0, 1])) > LEAK:
            raise TableError(
                f"The column {shown(name)} orders the rows as the target does, so it gives the target away; "
                f"leave it out with --drop {shown(name)}."
            )


# ---------------------------------------------------------------- rows


@dataclass(frozen=True, eq=False)
class Features:
    """What is known of the rows before anything is fitted.

    Attributes:
        composition: Blocks of `nascreen.descriptors`; empty without compositions.
        numbers: Numeric columns and properties of named substances, shape (n, k), NaN where not known.
        categories: Cells of each column of categories.
        texts: Cells of each column of texts.
    """

    composition: Mapping[str, Array]
    numbers: Array
    categories: Sequence[Sequence[str]]
    texts: Sequence[Sequence[str]]

    def take(self, rows: NDArray[np.intp]) -> Features:
        """Return the chosen rows."""
        return Features(
            rows_of(self.composition, rows),
            self.numbers[rows],
            [[cells[i] for i in rows] for cells in self.categories],
            [[cells[i] for i in rows] for cells in self.texts],
        )


def formulas_of(columns: Columns, roles: Roles, rows: Sequence[int]) -> dict[int, str]:
    """Return the formula of each row as text that is not checked yet; empty where there is none."""
    if roles.formula:
        return {i: _plain_formula(columns[roles.formula][i]) for i in rows}
    held = {name: [columns[name][i] for i in rows] if name in columns else [""] * len(rows)
            for name in roles.elements.values()}  # fmt: skip
    amounts = _amounts(held, roles.elements)
    if roles.is_weight:
        amounts = amounts / np.array([element_table().atomic_mass[ATOMIC_NUMBER[s]] for s in roles.elements])
    total = amounts.sum(axis=1, keepdims=True)
    fractions = np.divide(100 * amounts, total, out=np.zeros_like(amounts), where=total > 0)
    return {
        i: format_formula(dict(zip(roles.elements, map(float, row), strict=True)), 4)
        for i, row in zip(rows, fractions, strict=True)
    }


def unreadable_formulas(formulas: Mapping[int, str]) -> dict[int, str]:
    """Return the rows whose formula cannot be read, with the reason."""
    bad = {}
    for i, formula in formulas.items():
        try:
            chemistry_of(formula)
        except FormulaError as error:
            bad[i] = str(error)
    return bad


def refuse_bad_rows(bad: Mapping[int, str]) -> None:
    """Refuse a table with formulas that cannot be read, naming the first of them.

    Raises:
        TableError: If there is one.
    """
    if bad:
        first = "; ".join(f"row {i + 1}: {why.rstrip('.')}" for i, why in list(bad.items())[:N_SHOWN])
        raise TableError(
            f"{len(bad)} row{'s have' if len(bad) > 1 else ' has'} no formula that can be read ({first}); "
            "correct them, or leave them aside with --skip-bad-rows."
        )


def features_of(columns: Columns, roles: Roles, formulas: Mapping[int, str]) -> Features:
    """Return the features of the rows that `formulas` names, in its order."""
    rows = list(formulas)

    def cells(name: str) -> list[str]:
        return ["" if is_missing(columns[name][i]) else columns[name][i] for i in rows]

    numbers = np.array([[number_in(cell) for cell in cells(name)] for name in roles.numbers], dtype=np.float64)
    return Features(
        composition_blocks(list(formulas.values())) if roles.has_composition else {},
        np.hstack(
            [numbers.reshape(len(roles.numbers), len(rows)).T, *(_mean_properties(cells(name)) for name in roles.parts)]
        ),
        [cells(name) for name in roles.categories],
        [cells(name) for name in roles.texts],
    )


@dataclass(frozen=True, eq=False)
class Prepared:
    """A table ready to be learned from.

    Attributes:
        columns: The whole table.
        request: What was asked.
        roles: Which column serves as what.
        rows: Positions in the table of the rows used.
        features: Their features.
        targets: Their targets, log10 of them if asked; shape (n,).
        groups: What stays together in every split.
        splits: Name of each outer fold and the rows it predicts, as positions among the rows used.
        bad: Rows left aside, with the reason.
        notes: What people should know.
    """

    columns: Columns
    request: Request
    roles: Roles
    rows: tuple[int, ...]
    features: Features
    targets: Array
    groups: tuple[str, ...]
    splits: tuple[tuple[str, NDArray[np.intp]], ...]
    bad: Mapping[int, str]
    notes: tuple[str, ...]

    @property
    def is_binary(self) -> bool:
        """Whether the target takes two values only."""
        return len(np.unique(self.targets)) == 2

    @property
    def loss(self) -> Loss:
        """What chooses among candidates."""
        return squared_loss if self.is_binary else absolute_loss

    def measured(self, values: Array) -> Array:
        """Return values of the target's scale in the unit of the table."""
        return np.asarray(10.0**values if self.request.is_log else values)


def targets_of(cells: Sequence[str], name: str) -> Array:
    """Return a column as numbers, NaN where it is empty; true and false are 1 and 0.

    Raises:
        TableError: If a cell is neither a number nor missing.
    """
    values = np.array([math.nan if is_missing(c) else TRUTH.get(c.lower(), number_in(c)) for c in cells])
    wrong = [i for i, cell in enumerate(cells) if not is_missing(cell) and math.isnan(values[i])]
    if wrong:
        raise TableError(
            f"The target {shown(name)} is {shown(cells[wrong[0]])} in row {wrong[0] + 1} (and {len(wrong) - 1} more); "
            "allowed are numbers, true and false, and empty cells, which are passed over."
        )
    return values


def prepare(columns: Columns, request: Request, options: Options) -> Prepared:
    """Read roles, targets, groups and outer folds from a table.

    Raises:
        TableError: If the table cannot be learned from as asked.
        RangeError: If the options cannot be met.
    """
    options.check()
    _need(columns, request.target, "target")
    values = targets_of(columns[request.target], request.target)
    rows = [i for i in range(len(values)) if not math.isnan(values[i])]
    notes = []
    if len(rows) < len(values):
        notes.append(f"{len(values) - len(rows)} rows have no target and are passed over.")
    roles, found = find_roles(columns, request, rows, values[rows])
    formulas = formulas_of(columns, roles, rows) if roles.has_composition else dict.fromkeys(rows, "")
    bad = unreadable_formulas(formulas) if roles.has_composition else {}
    if bad and not request.is_skipping:
        refuse_bad_rows(bad)
    if bad:
        notes.append(f"{len(bad)} rows whose formula cannot be read are left aside.")
    kept = {i: formula for i, formula in formulas.items() if i not in bad}
    targets = _checked_targets(values[list(kept)], request)
    groups, how = _groups_of(columns, request, kept)
    splits = _outer_splits(columns, request, options, list(kept), groups)
    return Prepared(
        columns, request, roles, tuple(kept), features_of(columns, roles, kept), targets, groups, splits, bad,
        (*found, *notes, how),
    )  # fmt: skip


def _checked_targets(targets: Array, request: Request) -> Array:
    if len(targets) < LEAST_ROWS:
        raise TableError(f"The table has {len(targets)} rows that can be used; at least {LEAST_ROWS} are needed.")
    if len(np.unique(targets)) < 2:
        raise TableError(f"The target {shown(request.target)} has one value only; there is nothing to learn.")
    if not request.is_log:
        return targets
    if targets.min() <= 0:
        n_wrong = int((targets <= 0).sum())
        raise TableError(
            f"The target {shown(request.target)} is not above 0 in {n_wrong} rows, so it has no logarithm there; "
            "leave --log out, or those rows."
        )
    return np.log10(targets)


def _groups_of(columns: Columns, request: Request, kept: Mapping[int, str]) -> tuple[tuple[str, ...], str]:
    if request.group:
        cells = columns[request.group]
        groups = tuple(f"row {i}" if is_missing(cells[i]) else f"group {cells[i]}" for i in kept)
        return groups, f"Rows of one {shown(request.group)} stay on one side of every split."
    if not any(kept.values()):
        return tuple(
            f"row {i}" for i in kept
        ), "Every row may go to any fold, as there are neither groups nor compositions."
    return (
        tuple(composition_key(formula) for formula in kept.values()),
        "No group is given, so rows of one composition stay on one side of every split"
        + (", except where the folds column says otherwise." if request.folds else "."),
    )


def composition_key(formula: str) -> str:
    """Return the same text for formulas of the same composition.

    >>> composition_key("NaCl") == composition_key("Cl2Na2")
    True
    """
    composition = chemistry_of(formula).composition
    return " ".join(f"{s}{float(n) / composition.n_atoms:.5f}" for s, n in sorted(composition.amounts.items()))


def balanced_folds(groups: Sequence[str], n_folds: int, seed: int) -> NDArray[np.intp]:
    """Deal rows into folds of nearly equal size such that no group is on both sides of a split.

    Args:
        groups: Group of each row.
        n_folds: Number of folds, from 2 to the number of groups.
        seed: Seed of the shuffle.

    Raises:
        RangeError: If there are fewer groups than folds.
    """
    sizes = Counter(groups)
    if not 2 <= n_folds <= len(sizes):
        raise RangeError(
            f"The number of folds is {n_folds}; allowed is 2 to {len(sizes)}, the number of groups. Give fewer folds."
        )
    names = sorted(sizes)
    random.Random(seed).shuffle(names)  # noqa: S311 - a reproducible split, no secret
    names.sort(key=lambda name: -sizes[name])
    filled = [0] * n_folds
    fold = {}
    for name in names:
        fold[name] = filled.index(min(filled))
        filled[fold[name]] += sizes[name]
    return np.array([fold[group] for group in groups], dtype=np.intp)


def _outer_splits(
    columns: Columns, request: Request, options: Options, kept: Sequence[int], groups: Sequence[str]
) -> tuple[tuple[str, NDArray[np.intp]], ...]:
    if request.folds:
        labels = [columns[request.folds][i] for i in kept]
        names = list(dict.fromkeys(labels))
        if not 2 <= len(names) <= 100 or any(map(is_missing, names)):
            raise TableError(
                f"The folds column {shown(request.folds)} names {len(names)} folds; allowed are 2 to 100, "
                "and every row needs one."
            )
        return tuple((name, np.flatnonzero([label == name for label in labels])) for name in sorted(names))
    n_folds = min(options.n_folds, len(set(groups)))
    splits = []
    for repeat in range(options.n_repeats):
        folds = balanced_folds(groups, n_folds, options.seed + repeat)
        prefix = f"{repeat + 1}." if options.n_repeats > 1 else ""
        splits += [(f"{prefix}{k + 1}", np.flatnonzero(folds == k)) for k in range(n_folds)]
    return tuple(splits)
