"""The reviewed tables, open for questions: filtered and sorted rows, counts, the points of the plots, one row's card.

Every table is kept in a database in memory that can reach no file; filters come in as SQL with bound values from
`nascreen.filters`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

from nascreen.bibliography import bibtex, card_lines
from nascreen.chemistry import ATOMIC_NUMBER
from nascreen.datasets import TABLE_NAMES, load_table, table_record
from nascreen.errors import InputError, RangeError, UnknownNameError, shown
from nascreen.filters import Condition, FilterColumn, read_filter
from nascreen.founding import EPOXY_PAPER, THIOBORATE_PAPER
from nascreen.overview import (
    density_pct,
    na2s_fraction,
    near_room,
    record_timeline,
    reviewed_samples,
    sodium_pct,
    summary,
    year_of,
)
from nascreen.quality import composition_of
from nascreen.records import (
    COLUMN_BY_NAME,
    COLUMNS,
    OTHER_COLUMNS,
    Column,
    Sample,
    Value,
    citation,
    name_of,
    processing_line,
)
from nascreen.schema import record_from_sample
from nascreen.verdicts import Verdict, load_verdicts, reviewed_table

TABLE_COLUMNS: tuple[Column, ...] = (*COLUMNS, *OTHER_COLUMNS)
"""What the rows of the shipped tables state."""

MOST_ROWS = 1000
MOST_OFFSET = 1_000_000
_N_ELEMENTS = "nelements"
_DECIDED = ("verdict", "check", "column", "value", "reason")


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the rows that a question finds.

    Attributes:
        samples: The rows, in order.
        n_matching: How many rows there are in all.
        next_offset: Where the next page begins; None on the last.
    """

    samples: tuple[Sample, ...]
    n_matching: int
    next_offset: int | None


class Rows:
    """Named columns in a database in memory, which can reach no file.

    >>> Rows(["ea_ev"], [(0.3,), (None,), (0.2,)]).places(Condition("TRUE", ()), [("ea_ev", False)])
    [2, 0, 1]
    """

    def __init__(self, names: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
        """Keep rows of named columns; a list of values is given as JSON."""
        self._lock = Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        named = ", ".join(f'"{name}"' for name in names)
        marks = ", ".join("?" * len(names))
        with self._database:
            self._database.execute(f"CREATE TABLE rows (place INTEGER PRIMARY KEY, {named})")
            self._database.executemany(
                f"INSERT INTO rows ({named}) VALUES ({marks})",  # noqa: S608 - names are the program's own
                rows,
            )
        for name, n_given, function in _FUNCTIONS:
            self._database.create_function(name, n_given, function, deterministic=True)
        self._database.execute("PRAGMA query_only = ON")
        self._database.set_authorizer(_only_reading)

    def places(self, condition: Condition, order: Sequence[tuple[str, bool]] = ()) -> list[int]:
        """Return the places, from 0, of the rows that meet a condition.

        Args:
            condition: As `nascreen.filters.read_filter` gives it for these columns.
            order: Columns to sort by, and whether each goes downwards; rows without a value come last.
        """
        keys = [f'"{name}" {"DESC" if is_down else "ASC"} NULLS LAST' for name, is_down in order]
        sql = f"SELECT place - 1 FROM rows WHERE {condition.sql} ORDER BY {', '.join([*keys, 'place'])}"  # noqa: S608
        with self._lock:
            return [place for (place,) in self._database.execute(sql, condition.values)]


def _only_reading(action: int, *_about: str | None) -> int:
    allowed = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}
    return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY


def _list_contains(values: str | None, wanted: object) -> bool | None:
    return None if values is None else wanted in json.loads(values)


_FUNCTIONS: tuple[tuple[str, int, Callable[..., bool | int | None]], ...] = (
    ("contains", 2, lambda text, part: None if text is None else part in text),
    ("starts_with", 2, lambda text, part: None if text is None else text.startswith(part)),
    ("suffix", 2, lambda text, part: None if text is None else text.endswith(part)),
    ("list_contains", 2, _list_contains),
    ("len", 1, lambda values: None if values is None else len(json.loads(values))),
)
"""What filters call, and DuckDB has by itself."""


class Catalogue:
    """One reviewed table, open for questions.

    >>> page = Catalogue("literature").ask('family = "thioborate" AND phase = "glass"', "conductivity_s_cm:desc", 1)
    >>> page.samples[0].formula
    'Na3BS3'
    """

    def __init__(self, table: str) -> None:
        """Read a table into a database in memory.

        Raises:
            TableError: If there is no such table.
        """
        self.samples = reviewed_table(table)
        self.elements = elements_of(self.samples)
        self.columns = (
            *map(_filter_column, TABLE_COLUMNS),
            FilterColumn(_N_ELEMENTS, "number", "Number of elements of the formula", may_be_missing=True),
            *(
                FilterColumn(name, "number", f"{symbol} in the formula", may_be_missing=True)
                for name, symbol in zip(amount_names(self.elements), self.elements, strict=True)
            ),
        )
        self._rows = Rows([column.name for column in self.columns], map(self._cells, self.samples))

    def _cells(self, s: Sample) -> list[Value]:
        stated = (getattr(s, column.name) for column in TABLE_COLUMNS)
        values = [None if value == "" else value for value in stated]
        n_elements = len(composition_of(s.formula).amounts) if s.formula else None
        return [*values, n_elements, *amounts_of(s.formula, self.elements)]

    def ask(self, text: str = "", sort: str = "sample_id", limit: int = 50, offset: int = 0) -> Page:
        """Return the rows that pass a filter.

        Args:
            text: Filter in the OPTIMADE grammar on the columns of a row, ``elements`` and ``nelements``; nothing
                for all rows.
            sort: A column, upwards; ``column:desc`` for downwards. Rows that do not state it come last.
            limit: Most rows returned.
            offset: How many are passed over.

        Raises:
            FilterError: If the filter cannot be used; a caret stands under the place.
            InputError: If the sort names no column.
            RangeError: If a number is out of range.
        """
        if not 1 <= limit <= MOST_ROWS:
            raise RangeError(f"The number of rows is {limit}; allowed is 1 to {MOST_ROWS:,}.")
        if not 0 <= offset <= MOST_OFFSET:
            raise RangeError(f"The offset is {offset}; allowed is 0 to {MOST_OFFSET:,}.")
        condition = read_filter(text, self.columns, self.elements)
        places = self._rows.places(condition, [self._order(sort)])
        last = offset + limit
        return Page(
            tuple(self.samples[place] for place in places[offset:last]),
            len(places),
            last if last < len(places) else None,
        )

    def passing(self, text: str) -> frozenset[str]:
        """Return the identifiers of the rows that pass a filter.

        Raises:
            FilterError: If the filter cannot be used.
        """
        condition = read_filter(text, self.columns, self.elements)
        return frozenset(self.samples[place].sample_id for place in self._rows.places(condition))

    def _order(self, sort: str) -> tuple[str, bool]:
        name, _, way = sort.removeprefix("_nascreen_").partition(":")
        known = [column.name for column in self.columns]
        if name not in known or way not in {"", "asc", "desc"}:
            named = ", ".join(n for n in known if not n.startswith("amount_"))
            raise InputError(
                f"The sort is {shown(sort)}; allowed are {named}, and amount_ with an element in lower case, each "
                "with :asc or :desc if wanted."
            )
        return name, way == "desc"


def elements_of(samples: Iterable[Sample]) -> tuple[str, ...]:
    """Return the symbols of all elements that the formulas of some rows name."""
    found: set[str] = set()
    for formula in {s.formula for s in samples if s.formula}:
        found |= composition_of(formula).amounts.keys()
    return tuple(sorted(found, key=ATOMIC_NUMBER.__getitem__))


def amount_names(elements: Iterable[str]) -> list[str]:
    """Return the names of the columns with the amounts of elements."""
    return [f"amount_{symbol.lower()}" for symbol in elements]


def amounts_of(formula: str, elements: tuple[str, ...]) -> Sequence[float | None]:
    """Return the amount of each element in a formula; of none where there is no formula."""
    return _amounts_of(formula, elements) if formula else [None] * len(elements)


@lru_cache(maxsize=20_000)
def _amounts_of(formula: str, elements: tuple[str, ...]) -> tuple[float, ...]:
    amounts = composition_of(formula).amounts
    return tuple(float(amounts[symbol]) if symbol in amounts else 0.0 for symbol in elements)


def _filter_column(column: Column) -> FilterColumn:
    unit = f" in {column.unit}" if column.unit else ""
    kind = "number" if column.kind in {"number", "integer"} else "text"
    return FilterColumn(column.name, kind, f"{column.description}{unit}", may_be_missing=True)  # type: ignore[arg-type]


_reading = Lock()


def catalogue(table: str) -> Catalogue:
    """Return a table open for questions, read once per process however many ask for it first."""
    with _reading:
        return _catalogue(table)


@lru_cache(maxsize=len(TABLE_NAMES))
def _catalogue(table: str) -> Catalogue:
    return Catalogue(table)


def record_values(sample: Sample) -> dict[str, Any]:
    """Return what a row states, with its name, its processing in words and its citation."""
    return {
        **record_from_sample(sample), "name": name_of(sample) or sample.label, "processing": processing_line(sample),
        "citation": citation(sample),
    }  # fmt: skip


# ---------------------------------------------------------------- counts and points


@lru_cache(maxsize=1)
def statistics() -> dict[str, Any]:
    """Return the counts of every reviewed table, and of all of them together."""
    tables = []
    for name in TABLE_NAMES:
        record, samples = table_record(name), reviewed_table(name)
        counts = summary(samples)
        tables.append(
            {
                "name": name, "title": record["title"], "licence": record["licence"], "sha256": record["sha256"],
                "n_rows": counts.pop("rows"), "n_printed": record["rows"], "n_texts": counts.pop("texts"),
                "n_groups": counts.pop("groups"), **counts,
            }
        )  # fmt: skip
    together = summary([s for name in TABLE_NAMES for s in reviewed_table(name)])
    return {"tables": tables, **{name: together[name] for name in ("properties", "families", "decades")}}


@lru_cache(maxsize=1)
def _chart_samples() -> tuple[Sample, ...]:
    return tuple(near_room(reviewed_samples()))


def chart_values(family: str = "", text: str = "") -> dict[str, Any]:
    """Return the points of the linked plots: measured conductivities of sodium conductors at 15 to 35 °C.

    Args:
        family: Only this family.
        text: Filter as for `Catalogue.ask`.

    Returns:
        ``points``, one a row; ``record``, how the best of their crystalline ones rose over the years; ``families``,
        the number of points by family, whatever is asked.

    Raises:
        InputError: If no point is of that family.
        FilterError: If the filter cannot be used.
    """
    samples = _chart_samples()
    counts = {name: sum(s.family == name for s in samples) for name in dict.fromkeys(s.family for s in samples)}
    families = dict(sorted(counts.items(), key=lambda item: -item[1]))
    if family and family not in families:
        raise InputError(f"No point is of the family {shown(family)}; allowed are {', '.join(sorted(families))}.")
    ids = frozenset[str]().union(*(catalogue(t).passing(text) for t in ("literature", "glasses"))) if text else None
    chosen = [s for s in samples if (not family or s.family == family) and (ids is None or s.sample_id in ids)]
    steps = [
        {"year": step.year, "conductivity_s_cm": step.sample.conductivity_s_cm, "name": step.name,
         "sample_id": step.sample.sample_id, "citation": step.source}
        for step in record_timeline(chosen)
    ]  # fmt: skip
    return {"points": [_point(s) for s in chosen], "record": steps, "families": families}


def _point(s: Sample) -> dict[str, Any]:
    return {
        "sample_id": s.sample_id, "name": name_of(s), "formula": s.formula, "family": s.family, "phase": s.phase,
        "processing": processing_line(s), "citation": citation(s), "conductivity_s_cm": s.conductivity_s_cm,
        "meas_temp_c": s.meas_temp_c, "ea_ev": s.ea_ev, "sinter_temp_c": s.sinter_temp_c,
        "porosity_pct": s.porosity_pct, "rel_density_pct": s.rel_density_pct, "density_pct": density_pct(s),
        "na2s_fraction": na2s_fraction(s), "sodium_pct": sodium_pct(s), "year": year_of(s),
        "is_founding": s.paper_id in {EPOXY_PAPER, THIOBORATE_PAPER},
    }  # fmt: skip


# ---------------------------------------------------------------- one row


@lru_cache(maxsize=1)
def _by_id() -> dict[str, str]:
    """Return the table of every row, those that were excluded among them."""
    return {s.sample_id: table for table in TABLE_NAMES for s in load_table(table)}


def decisions_on(table: str, sample_id: str) -> list[Verdict]:
    """Return the decisions about a row."""
    return [v for v in load_verdicts() if v.table == table and v.subject == sample_id]


def decision_lines(decisions: Iterable[Verdict]) -> list[str]:
    """Return decisions as lines of a card."""
    changes = ((v, f" {v.column} to {v.value!r}" if v.column else "") for v in decisions)
    return [f"decided            {v.verdict}{change}: {v.reason}" for v, change in changes]


def card_values(sample_id: str) -> dict[str, Any]:
    """Return a row with where it comes from, what was decided about it, and its card.

    Args:
        sample_id: Identifier, such as lit-0001.

    Raises:
        UnknownNameError: If there is no such row.
    """
    table = _by_id().get(sample_id)
    if table is None:
        raise UnknownNameError(f"No row has the identifier {shown(sample_id)}; they look like lit-0001, sciglass-…, "
                               "li-0001.")  # fmt: skip
    printed = load_table(table)
    original = next(s for s in printed if s.sample_id == sample_id)
    reviewed = next((s for s in reviewed_table(table) if s.sample_id == sample_id), None)
    sample = reviewed or original
    decisions = decisions_on(table, sample_id)
    licence = str(table_record(table)["licence"])
    return {
        "record": record_values(sample), "table": table, "licence": licence, "is_excluded": reviewed is None,
        "name": name_of(sample) or sample.label, "processing": processing_line(sample), "citation": citation(sample),
        "doi_links": [f"https://doi.org/{doi}" for doi in sample.doi.split(" | ") if doi],
        "decisions": [{name: getattr(v, name) for name in _DECIDED} for v in decisions],
        "card": card_lines(original, table, licence, printed, decision_lines(decisions)), "bibtex": bibtex([sample]),
    }  # fmt: skip


def column_values() -> list[dict[str, Any]]:
    """Return every column of the tables: what it means, its unit, what it may be, and which tables have it."""
    held = {name: {column["name"] for column in table_record(name)["columns"]} for name in TABLE_NAMES}
    return [
        {
            "name": c.name, "kind": c.kind, "unit": c.unit, "description": c.description,
            "lower": c.lower if c.kind != "text" else None, "upper": c.upper if c.kind != "text" else None,
            "choices": list(c.choices), "tables": [name for name in TABLE_NAMES if c.name in held[name]],
        }
        for c in map(COLUMN_BY_NAME.__getitem__, (column.name for column in TABLE_COLUMNS))
    ]  # fmt: skip
