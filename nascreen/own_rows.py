"""Candidates that people bring along: a table as pasted, shown as it was read, and split into candidates and results.

What a column is, its heading says. One named as samples are, with any of their units, such as ``Sinter temp (K)``,
becomes that column; one named as a property of the campaign holds results of samples made before. Any other is kept
under its own name.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from nascreen.chemistry import parse_formula
from nascreen.columns import FORMULA_NAMES
from nascreen.encoding import MAX_CATEGORIES
from nascreen.errors import FormulaError, NascreenError, TableError, shown
from nascreen.goals import LONGEST_UNIT, check_bounds, column_of, is_log
from nascreen.history import MAX_TEXT, Value, checked_text
from nascreen.pools import MAX_COLUMNS, PRIOR, cells_of, read_pool
from nascreen.records import COLUMN_BY_NAME
from nascreen.spreadsheets import SEPARATORS, Limits, is_workbook, sheet_of_bytes
from nascreen.units import Heading, cell_in_column_unit, heading_text, read_heading
from nascreen.wire_campaign import (
    MOST_ATTACHED,
    MOST_CANDIDATES,
    MOST_CELLS,
    MOST_TEXT,
    MOST_UNPACKED,
    MOST_UNPACKED_OTHER,
    MOST_WORKBOOK_CELLS,
)

NAME = "your rows"
FAILURE = "failure"
LOG10 = "log_conductivity"
N_SHOWN = 3
LEAST_FORMULAS = 6
"""Different formulas of compounds that make a column one of formulas, whatever its name: additives are fewer."""
_SD = "_sd"
_LIMITS = Limits(4_000_000, MOST_CANDIDATES, MAX_COLUMNS)
_WORKBOOK_LIMITS = replace(_LIMITS, n_unpacked=MOST_UNPACKED, n_other=MOST_UNPACKED_OTHER, n_cells=MOST_WORKBOOK_CELLS)
_WITH_UNIT = re.compile(r"(.*?)\s*[\[(]\s*([^\[\]()]*?)\s*[\])]", re.DOTALL)


@dataclass(frozen=True, eq=False)
class OwnColumn:
    """A column as it was read.

    Attributes:
        heading: As it stands in the table.
        name: As it is called in a campaign.
        kind: ``numeric``, ``categorical``, ``formula`` or ``label``; a label is kept and not learned from.
        cells: Its cells, None where one is empty.
        told_as: As which property its numbers are told, where they are results.
        unit: Unit of that property as the heading states it; empty where it has none, or one of its own.
        is_converted: Whether its numbers stood in another unit.
    """

    heading: str
    name: str
    kind: str
    cells: Sequence[Value]
    told_as: str
    unit: str
    is_converted: bool = False

    @property
    def known(self) -> list[Value]:
        """Return the cells that are not empty."""
        return [cell for cell in self.cells if cell is not None]

    def values(self) -> dict[str, Any]:
        """Return the column as plain values, with a few of its texts in place of all."""
        known = self.known
        numbers = [float(cell) for cell in known if isinstance(cell, int | float)] if self.kind == "numeric" else []
        texts = list(dict.fromkeys(str(cell) for cell in known))
        return {
            "heading": self.heading, "name": self.name, "kind": self.kind, "n_known": len(known),
            "n_distinct": len(texts), "low": min(numbers, default=None), "high": max(numbers, default=None),
            "examples": [] if numbers else texts[:N_SHOWN], "told_as": self.told_as, "unit": self.unit,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class OwnRows:
    """A table as it was read.

    Attributes:
        columns: Its columns.
        lines: Number of the line of each row.
        notes: What people should know of the reading, one sentence each.
    """

    columns: tuple[OwnColumn, ...]
    lines: tuple[int, ...]
    notes: tuple[str, ...]

    def values(self) -> dict[str, Any]:
        """Return what was read as plain values."""
        columns = [one.values() for one in self.columns]
        return {"n_rows": len(self.lines), "columns": columns, "notes": list(self.notes)}


@dataclass(frozen=True, eq=False)
class Parted:
    """A table as a campaign takes it.

    Attributes:
        pool: Cells of the candidates by column.
        kinds: What each of these columns is.
        past: Rows that have results, for `nascreen.campaigns.Campaign.attach`.
    """

    pool: Mapping[str, Sequence[Value]]
    kinds: Mapping[str, str]
    past: Sequence[Mapping[str, Value]]


# ---------------------------------------------------------------- reading


def read_own_rows(text: str) -> OwnRows:
    """Read a table as people paste it or save it.

    Args:
        text: Its first line names the columns; cells are separated by commas, semicolons or tabs.

    Raises:
        TableError: If it cannot be read, whole and without a guess; the message names the line.
        InputError: If a cell is no printable text of one line.
    """
    if not text.strip():
        raise TableError("There are no rows; give a table whose first line names its columns.")
    sheet = sheet_of_bytes(NAME, text.encode("utf-8", "surrogatepass"), _LIMITS, is_known=bool)
    if not sheet.rows:
        raise TableError("There is a line with names of columns and no row below it; give at least one candidate.")
    if len(sheet.rows) * len(sheet.header) > MOST_CELLS:
        raise TableError(
            f"The table has {len(sheet.rows):,} rows and {len(sheet.header):,} columns; allowed are {MOST_CELLS:,} "
            "cells, so leave out rows or columns."
        )
    table, notes = cells_of(sheet)
    lines = tuple(row.number for row in sheet.rows)
    _check_texts(table, lines)
    columns = tuple(_columns_of(table, lines))
    _refuse_doubles(columns)
    read_pool({c.name: c.cells[:1] for c in columns}, kinds={c.name: c.kind for c in columns})  # checks the names
    return OwnRows(columns, lines, (*notes, *_notes_on(columns, lines)))


def text_of_workbook(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the first visible sheet of a workbook as the text of a table, each row on the line of its number.

    Args:
        data: Bytes of the XLSX file.

    Returns:
        The text, and what people should know of the reading, one sentence each.

    Raises:
        TableError: If they are no workbook that can be read whole and without a guess, or it is too large as text.
    """
    if not is_workbook(data):
        sheet_of_bytes(f"{NAME}.xlsx", data, _WORKBOOK_LIMITS)  # says what they are instead
    sheet = sheet_of_bytes(NAME, data, _WORKBOOK_LIMITS)
    if not sheet.header:
        raise TableError("The first sheet of the workbook is empty; give a table whose first row names its columns.")
    lines = [_in_one_line(sheet.header)]
    for row in sheet.rows:
        lines += [()] * (row.number - len(lines) - 1)
        lines.append(_in_one_line(row.cells))
    text = _written(lines)
    if len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")) > MOST_TEXT:
        raise TableError(f"The table has more than {MOST_TEXT:,} characters as text; leave out rows or columns.")
    return text, sheet.notes


def _in_one_line(cells: Sequence[str]) -> tuple[str, ...]:
    """Return cells without the line breaks by which people wrap the text of a cell."""
    return tuple(re.sub(r"\s*[\r\n\t\v\f]\s*", " ", cell) for cell in cells)


def _written(lines: Sequence[Sequence[str]]) -> str:
    """Return rows as text, separated by what is taken for that when they are read again."""
    for separator in SEPARATORS:
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, delimiter=separator, lineterminator="\n")
        writer.writerow(lines[0])
        head = buffer.getvalue()
        with suppress(TableError):
            read = sheet_of_bytes(NAME, head.encode("utf-8", "surrogatepass"), _LIMITS, is_known=bool)
            if [*filter(None, read.header)] == [*filter(None, lines[0])]:
                writer.writerows(lines[1:])
                return buffer.getvalue()
    raise TableError("The names of the columns hold commas, semicolons and tabs; leave them out.")


def _check_texts(table: Mapping[str, Sequence[Value]], lines: Sequence[int]) -> None:
    for heading, cells in table.items():
        for cell, line in zip(cells, lines, strict=True):
            if isinstance(cell, str) and not (cell.isprintable() and len(cell) <= MAX_TEXT):
                checked_text(cell, f"column {shown(heading)} in line {line}")


def _columns_of(table: Mapping[str, Sequence[Value]], lines: Sequence[int]) -> Iterator[OwnColumn]:
    formula = _formula_heading(table)
    taken: set[str] = set()
    for heading, cells in table.items():
        if heading == formula:
            _check_formulas(heading, cells, lines)
            yield OwnColumn(heading, "formula", "formula", cells, "", "")
            continue
        known = _known_heading(heading, cells)
        name = known.column if known else LOG10 if _is_log10(heading) else _plain_name(heading)
        converted = {cell: _converted(known, cell) for cell in set(cells)} if known and _is_converted(known) else {}
        values = [converted.get(cell, cell) for cell in cells]
        prop = LOG10 if name == LOG10 else _property_of(known, heading)
        while prop in taken:
            prop += "_2"
        taken.add(prop)
        unit = "" if column_of(prop) else _unit_in(heading)
        kind = "label" if name.startswith(PRIOR) else _kind_of(values)
        yield OwnColumn(heading, name, kind, values, prop, unit, _is_converted(known))


def _formula_heading(table: Mapping[str, Sequence[Value]]) -> str:
    """Return the column that holds formulas: by its name, else the first whose texts all are formulas of compounds."""
    by_lower = {heading.lower(): heading for heading in table}
    if "formula" in by_lower:
        return by_lower["formula"]
    named = [by_lower[name] for name in FORMULA_NAMES if name in by_lower]
    others = [heading for heading in table if heading not in named]
    found = [heading for heading in named if _holds_compounds(table[heading], 1)]
    found += [heading for heading in others if _holds_compounds(table[heading], LEAST_FORMULAS)]
    return next(iter(found), "")


def _holds_compounds(cells: Sequence[Value], least: int) -> bool:
    known = {cell for cell in cells if cell is not None}
    try:
        sizes = [len(parse_formula(cell).amounts) if isinstance(cell, str) else 0 for cell in known]
    except FormulaError:
        return False
    return len(known) >= least and min(sizes) > 1


def _check_formulas(heading: str, cells: Sequence[Value], lines: Sequence[int]) -> None:
    first = dict(zip(reversed(cells), reversed(lines), strict=True))
    for cell, line in sorted(first.items(), key=lambda one: one[1]):
        try:
            if cell is not None:
                parse_formula(str(cell))
        except FormulaError as error:
            raise TableError(f"The column {shown(heading)} is no formula in line {line}: {error}") from error


def _known_heading(heading: str, cells: Sequence[Value]) -> Heading | None:
    """Return what a heading says where it is that of a column of samples and its cells are numbers if they must be."""
    found = _heading(heading)
    if found is None or found.is_bare or found.is_log10:
        return None
    column = column_of(found.column)
    are_numbers = all(isinstance(cell, int | float) for cell in cells if cell is not None)
    return None if column is not None and not are_numbers else found


def _heading(text: str) -> Heading | None:
    try:
        return read_heading(text)
    except TableError:
        return None


def _is_converted(heading: Heading | None) -> bool:
    unit = heading.unit if heading else None
    return unit is not None and (unit.factor != 1 or unit.offset != 0)


def _is_log10(heading: str) -> bool:
    found = _heading(heading)
    return found is not None and found.is_log10


def _converted(heading: Heading, cell: Value) -> Value:
    return None if cell is None else float(cell_in_column_unit(heading, repr(cell)))


def _plain_name(heading: str) -> str:
    """Return the name of a column as a campaign may have it.

    >>> _plain_name("Ball milling [h]")
    'Ball milling (h)'
    """
    return heading.replace("[", "(").replace("]", ")")


def _property_of(known: Heading | None, heading: str) -> str:
    """Return as what numbers of a column may be told."""
    if known is not None:
        return LOG10 if known.column == "conductivity_s_cm" else known.column
    match = _WITH_UNIT.fullmatch(heading)
    name = re.sub(r"\W+", "_", (match[1] if match else heading).lower(), flags=re.ASCII).strip("_")
    return (name if re.match(r"[a-z]", name) else f"result_{name}".rstrip("_"))[:60]


def _unit_in(heading: str) -> str:
    match = _WITH_UNIT.fullmatch(heading)
    return match[2] if match and len(match[2]) <= LONGEST_UNIT else ""


def _kind_of(cells: Sequence[Value]) -> str:
    known = [cell for cell in cells if cell is not None]
    if known and all(isinstance(cell, int | float) for cell in known):
        return "numeric"
    return "categorical" if known and len({str(cell) for cell in known}) <= MAX_CATEGORIES else "label"


def _refuse_doubles(columns: Sequence[OwnColumn]) -> None:
    first: dict[str, str] = {}
    for one in columns:
        if (other := first.setdefault(one.name, one.heading)) != one.heading:
            raise TableError(f"The columns {shown(other)} and {shown(one.heading)} both mean {one.name}; keep one.")


def _notes_on(columns: Sequence[OwnColumn], lines: Sequence[int]) -> Iterator[str]:
    for one in columns:
        if one.is_converted:
            unit = COLUMN_BY_NAME[one.name].unit
            yield f"The column {shown(one.heading)} is read as {one.name}, its numbers converted to {unit}."
        if (found := _heading(one.heading)) is not None and found.is_bare:
            yield (f"The column {shown(one.heading)} states no unit, so it is taken as a quantity of your own; headed "
                   f"{heading_text(found.column)!r} it is a known one.")  # fmt: skip
        if one.name.startswith(PRIOR):
            yield f"The column {shown(one.heading)} holds what is expected before any result, and is no input."
        elif one.kind == "label":
            why = f"has more than {MAX_CATEGORIES} different texts" if one.known else "is empty"
            yield f"The column {shown(one.heading)} {why}: it is kept, and nothing is learned from it."
        if one.kind != "numeric" and (place := _stray_text(one.cells)) is not None:
            yield (f"The column {shown(one.heading)} is read as text, because line {lines[place]} holds "
                   f"{shown(one.cells[place])}; most others are numbers.")  # fmt: skip


def _stray_text(cells: Sequence[Value]) -> int | None:
    """Return where the first text stands among cells that are numbers for the most part."""
    texts = [place for place, cell in enumerate(cells) if cell is not None and not _reads_as_number(cell)]
    n_known = sum(cell is not None for cell in cells)
    return texts[0] if texts and 2 * len(texts) < n_known else None


def _reads_as_number(cell: Value) -> bool:
    try:
        return math.isfinite(float(str(cell)))
    except ValueError:
        return False


# ---------------------------------------------------------------- candidates and results


def parted(rows: OwnRows, properties: Collection[str], kinds: Mapping[str, str]) -> Parted:
    """Part a table into candidates and the results of samples made before.

    Args:
        rows: The table.
        properties: Properties of the campaign; a column that is one of them holds results, no input.
        kinds: What columns are, where not as read.

    Raises:
        TableError: If a result is no number, out of bounds or without a candidate, there are too many of them, or a
            column cannot be of the kind said.
    """
    results = {one.name: one for one in rows.columns if _is_result(one, properties)}
    columns = [one for one in rows.columns if one.name not in results]
    if not columns:
        raise TableError("Every column holds results; candidates need at least one column that says what they are.")
    for one in columns:
        if kinds.get(one.name) == "formula":
            _check_formulas(one.heading, one.cells, rows.lines)
    _refuse_rivals(results.values(), properties)
    told = [_told(results.values(), properties, place, line) for place, line in enumerate(rows.lines)]
    pool = {one.name: one.cells for one in columns}
    past = [{**{name: cells[place] for name, cells in pool.items()}, **one} for place, one in enumerate(told) if one]
    if len(past) > MOST_ATTACHED:
        raise TableError(f"{len(past):,} rows have results; allowed are {MOST_ATTACHED:,}, so attach the others later.")
    named = [name for name in kinds if name not in pool and name not in results]
    if named:
        raise TableError(f"There is no column {shown(named[0])} in the rows; they have {', '.join(map(shown, pool))}.")
    _refuse_bare(past, [one for one in columns if kinds.get(one.name, one.kind) != "label"])
    return Parted(_without_repeats(pool), {one.name: kinds.get(one.name, one.kind) for one in columns}, past)


def _without_repeats(pool: Mapping[str, Sequence[Value]]) -> dict[str, list[Value]]:
    """Return each candidate once: a sample made twice has two results and is one candidate."""
    rows = list(dict.fromkeys(zip(*pool.values(), strict=True)))
    return {name: list(cells) for name, cells in zip(pool, zip(*rows, strict=True), strict=True)}


def _is_result(column: OwnColumn, properties: Collection[str]) -> bool:
    return bool(_targets(column, properties)) or column.name.lower() == FAILURE


def _targets(column: OwnColumn, properties: Collection[str]) -> str:
    """Return the property, or uncertainty of one, that a column holds; empty where none."""
    wanted = {*properties, *(name + _SD for name in properties)}
    return next((name for name in (column.name, column.told_as) if name in wanted), "")


def _refuse_rivals(columns: Collection[OwnColumn], properties: Collection[str]) -> None:
    first: dict[str, OwnColumn] = {}
    for one in columns:
        target = _targets(one, properties) or FAILURE
        if (other := first.setdefault(target, one)) is not one:
            raise TableError(f"The columns {shown(other.heading)} and {shown(one.heading)} both hold results of "
                             f"{target}; keep one.")  # fmt: skip


def _told(columns: Collection[OwnColumn], properties: Collection[str], place: int, line: int) -> dict[str, Value]:
    told: dict[str, Value] = {}
    for one in columns:
        cell = one.cells[place]
        target = _targets(one, properties)
        if cell is None:
            continue
        if not target:
            told[FAILURE] = str(cell)
            continue
        if not isinstance(cell, int | float):
            raise TableError(
                f"The column {shown(one.heading)} holds results, and {shown(cell)} in line {line}; write numbers, "
                f"leave the cell empty, or say in a column '{FAILURE}' why a sample failed."
            )
        told[target] = _as_told(one, target, float(cell), line)
    return told


def _as_told(column: OwnColumn, target: str, value: float, line: int) -> float:
    where = f"Line {line} of {NAME}"
    if is_log(target) and column.name != target:  # written as the quantity, kept as its logarithm
        if value <= 0:
            raise TableError(f"{where} has {value:g} as {shown(column.heading)}, which has no logarithm; leave it "
                             f"empty, or say in a column '{FAILURE}' why the sample failed.")  # fmt: skip
        value = math.log10(value)
    if target.endswith(_SD) and value < 0:
        raise TableError(f"{where} has the uncertainty {value:g} in {shown(column.heading)}; allowed is 0 or more.")
    try:
        check_bounds(target, value, where)
    except NascreenError as error:
        raise TableError(str(error)) from error
    return value


def _refuse_bare(past: Sequence[Mapping[str, Value]], inputs: Sequence[OwnColumn]) -> None:
    for row in past:
        if all(row[one.name] is None for one in inputs):
            raise TableError("A row has a result and says nothing of the sample; fill in its other columns.")
