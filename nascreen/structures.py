"""The measured rows as entries of the OPTIMADE type ``structures``: compositions whose atoms have no positions.

OPTIMADE 1.2 (M. L. Evans et al., Digital Discovery 3, 1509 (2024), doi:10.1039/D4DD00039K). A row is a made and
measured sample, not a crystal structure: everything about sites and cells is unknown, and ``structure_features`` says
that the atoms are implicit. What a row states stands in properties with the prefix ``_nascreen_``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

from nascreen.catalogue import TABLE_COLUMNS, Rows, amount_names, amounts_of, elements_of
from nascreen.chemistry import Composition
from nascreen.datasets import TABLE_NAMES, table_record
from nascreen.errors import InputError, UnknownNameError, shown
from nascreen.filters import PREFIX, FilterColumn, Kind, read_filter
from nascreen.quality import composition_of
from nascreen.records import Sample, Value, citation, name_of, processing_line
from nascreen.verdicts import reviewed_table

ENTRY_TYPE = "structures"
LARGEST_PROPORTION = 1000
"""Proportion numbers of a reduced formula beyond this name a batch, not a compound; the formula is then left out."""
FEATURES = ("implicit_atoms",)
_SEE = f"/optimade/v1/info/{ENTRY_TYPE}"

UCUM: Mapping[str, str] = {
    "S/cm": "S/cm", "eV": "eV", "MPa": "MPa", "GPa": "GPa", "°C": "Cel", "%": "%", "wt%": "%", "mol%": "%", "h": "h",
    "g/cm³": "g/cm3",
}  # fmt: skip
"""Units as the Unified Code for Units of Measure writes them, where it has them."""


@dataclass(frozen=True, slots=True)
class Property:
    """A property of an entry.

    Attributes:
        name: Its name.
        type: Its OPTIMADE type.
        description: What it is.
        unit: Its unit in UCUM; empty where it has none.
        is_default: Whether it is returned where nothing else is asked for.
        is_known: Whether any row has it.
    """

    name: str
    type: str
    description: str
    unit: str = ""
    is_default: bool = True
    is_known: bool = True

    @property
    def kind(self) -> Kind:
        """What a filter makes of it."""
        kinds: dict[str, Kind] = {"string": "text", "timestamp": "text", "list": "list"}
        return kinds.get(self.type, "number")

    @property
    def is_sortable(self) -> bool:
        """Whether answers can be sorted by it."""
        return self.is_known and self.kind != "list"


def _unknown(name: str, kind: str, what: str, *, is_default: bool = True) -> Property:
    return Property(name, kind, f"{what}; not known of these rows.", is_default=is_default, is_known=False)


STANDARD: tuple[Property, ...] = (
    Property("id", "string", "Identifier of the row, unique among all tables."),
    Property("type", "string", "Type of the entry."),
    _unknown("immutable_id", "string", "Identifier of this version of the entry", is_default=False),
    _unknown("last_modified", "timestamp", "When the entry was last modified"),
    Property("elements", "list", "Symbols of the elements, in alphabetical order."),
    Property("nelements", "integer", "Number of elements."),
    Property("elements_ratios", "list", "Proportions of the elements, in the order of elements; they add up to 1."),
    Property("chemical_formula_descriptive", "string", "Formula as the table has it."),
    Property(
        "chemical_formula_reduced",
        "string",
        "Formula with the smallest whole proportions, elements in alphabetical order; left out where these are beyond "
        f"{LARGEST_PROPORTION:,}.",
    ),
    Property("chemical_formula_anonymous", "string", "The reduced formula with letters in place of elements."),
    _unknown("chemical_formula_hill", "string", "Formula of a molecule in Hill order", is_default=False),
    _unknown("dimension_types", "list", "Along which lattice vectors the structure is periodic"),
    _unknown("nperiodic_dimensions", "integer", "Number of periodic dimensions"),
    _unknown("lattice_vectors", "list", "Lattice vectors in ångström"),
    _unknown("space_group_symmetry_operations_xyz", "list", "Symmetry operations", is_default=False),
    _unknown("space_group_symbol_hall", "string", "Hall symbol", is_default=False),
    _unknown("space_group_symbol_hermann_mauguin", "string", "Hermann-Mauguin symbol", is_default=False),
    _unknown("space_group_symbol_hermann_mauguin_extended", "string", "Extended symbol", is_default=False),
    _unknown("space_group_it_number", "integer", "Number of the space group", is_default=False),
    _unknown("cartesian_site_positions", "list", "Positions of the sites in ångström"),
    _unknown("nsites", "integer", "Number of sites"),
    _unknown("species", "list", "What occupies the sites"),
    _unknown("species_at_sites", "list", "Which species occupies which site"),
    _unknown("assemblies", "list", "Sites that are occupied together", is_default=False),
    Property("structure_features", "list", "What is special: the atoms have no positions (implicit_atoms)."),
)
TOP_LEVEL = ("id", "type")

_OWN: Mapping[str, tuple[str, Callable[[Sample], str]]] = {
    "name": ("Name for people: the batch of a glass, else the formula.", lambda s: name_of(s) or s.label),
    "processing": ("How it was made, in words.", processing_line),
    "citation": ("Where it was reported.", citation),
}
_FROM_TABLE: Mapping[str, str] = {
    "table": "The table that the row stands in.",
    "licence": "The terms of that table.",
}


def _own_properties() -> tuple[Property, ...]:
    types = {"number": "float", "integer": "integer"}
    stated = [
        Property(
            f"{PREFIX}{c.name}",
            types.get(c.kind, "string"),
            f"{c.description}{f' in {c.unit}' if c.unit else ''}.",
            UCUM.get(c.unit, ""),
        )
        for c in TABLE_COLUMNS
        if c.name != "sample_id"
    ]
    more = {**{name: text for name, (text, _) in _OWN.items()}, **_FROM_TABLE}
    return (*stated, *(Property(f"{PREFIX}{name}", "string", text) for name, text in more.items()))


_STATED = tuple((f"{PREFIX}{c.name}", c.name) for c in TABLE_COLUMNS if c.name != "sample_id")
PROPERTIES: tuple[Property, ...] = (*STANDARD, *_own_properties())
BY_NAME: Mapping[str, Property] = {p.name: p for p in PROPERTIES}


# ---------------------------------------------------------------- formulas


def proportions(composition: Composition) -> dict[str, int] | None:
    """Return the smallest whole proportions of a composition by symbol, in alphabetical order.

    Returns:
        None where one of them is beyond `LARGEST_PROPORTION`.
    """
    amounts = composition.amounts
    scale = math.lcm(*(n.denominator for n in amounts.values()))
    whole = {symbol: n.numerator * (scale // n.denominator) for symbol, n in sorted(amounts.items())}
    shared = math.gcd(*whole.values())
    reduced = {symbol: n // shared for symbol, n in whole.items()}
    return reduced if max(reduced.values()) <= LARGEST_PROPORTION else None


def reduced_formula(composition: Composition) -> str | None:
    """Return the reduced formula of a composition as OPTIMADE writes it.

    >>> from nascreen.chemistry import parse_formula
    >>> reduced_formula(parse_formula("Na3.4Zr2Si2.4P0.6O12")), reduced_formula(parse_formula("Na25B25S50"))
    ('Na17O60P3Si12Zr10', 'BNaS2')
    """
    whole = proportions(composition)
    return None if whole is None else "".join(f"{s}{n if n > 1 else ''}" for s, n in whole.items())


def anonymous_formula(composition: Composition) -> str | None:
    """Return the reduced formula of a composition with letters for elements, the largest proportion first.

    >>> from nascreen.chemistry import parse_formula
    >>> anonymous_formula(parse_formula("Na3PS4"))
    'A4B3C'
    """
    whole = proportions(composition)
    if whole is None:
        return None
    ordered = sorted(whole.values(), reverse=True)
    return "".join(f"{_letters(place)}{n if n > 1 else ''}" for place, n in enumerate(ordered))


def _letters(place: int) -> str:
    """Return A, B, …, Z, Aa, Ba, …, Za, Ab, … by place."""
    rest, letter = divmod(place, 26)
    return chr(65 + letter) + (chr(96 + rest) if rest else "")


# ---------------------------------------------------------------- entries


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of entries.

    Attributes:
        entries: The entries, in order.
        n_matching: How many match in all.
        n_all: How many there are.
        foreign: Names of other providers in the filter, which are unknown here.
    """

    entries: list[dict[str, Any]]
    n_matching: int
    n_all: int
    foreign: tuple[str, ...]


class Structures:
    """All rows of all tables as entries, open for filters."""

    def __init__(self) -> None:
        """Read the reviewed tables into a database in memory."""
        self.rows = tuple((name, s) for name in TABLE_NAMES for s in reviewed_table(name))
        self.licences = {name: str(table_record(name)["licence"]) for name in TABLE_NAMES}
        self.place = {s.sample_id: i for i, (_, s) in enumerate(self.rows)}
        self.elements = elements_of(s for _, s in self.rows)
        self.columns = [
            FilterColumn(p.name, p.kind, p.description, may_be_missing=True)
            for p in PROPERTIES if p.name != "elements"
        ]  # fmt: skip
        names = [column.name for column in self.columns]
        self._database = Rows([*names, *amount_names(self.elements)], (self._cells(*row, names) for row in self.rows))

    def _cells(self, table: str, s: Sample, names: Sequence[str]) -> list[Value]:
        values = self._values(table, s)
        cells = [values.get(name) for name in names]
        listed = [json.dumps(value) if isinstance(value, list) else value for value in cells]
        return [*listed, *amounts_of(s.formula, self.elements)]

    def find(
        self, text: str = "", sort: str = "", limit: int = 100, offset: int = 0, fields: Sequence[str] | None = None
    ) -> Listing:
        """Return a page of the entries that pass a filter.

        Args:
            text: Filter, names as the specification has them.
            sort: Names separated by commas, downwards where a minus stands before.
            limit: Most entries.
            offset: How many are passed over.
            fields: Properties to be returned; None for those of every answer.

        Raises:
            FilterError: If the filter cannot be used.
            InputError: If a name cannot be sorted by, or is unknown.
        """
        condition = read_filter(text, self.columns, self.elements, is_strict=True)
        places = self._database.places(condition, _order(sort))
        check_fields(fields)
        chosen = [self._entry(*self.rows[place], fields) for place in places[offset : offset + limit]]
        return Listing(chosen, len(places), len(self.rows), condition.foreign)

    def one(self, sample_id: str, fields: Sequence[str] | None = None) -> dict[str, Any]:
        """Return one entry.

        Raises:
            UnknownNameError: If there is none of this identifier.
            InputError: If a field is unknown.
        """
        check_fields(fields)
        if sample_id not in self.place:
            raise UnknownNameError(f"No entry has the identifier {shown(sample_id)}; they look like lit-0001.")
        return self._entry(*self.rows[self.place[sample_id]], fields)

    def _entry(self, table: str, sample: Sample, fields: Sequence[str] | None) -> dict[str, Any]:
        values = self._values(table, sample)
        if fields is None:
            # What a row does not state is left out, but the standard's own properties are always there.
            wanted = [p.name for p in STANDARD if p.is_default] + [n for n in values if n.startswith(PREFIX)]
        else:
            wanted = list(dict.fromkeys(fields))
        attributes = {name: values.get(name) for name in wanted if name not in TOP_LEVEL}
        return {"id": sample.sample_id, "type": ENTRY_TYPE, "attributes": attributes}

    def _values(self, table: str, s: Sample) -> dict[str, Any]:
        own: dict[str, Any] = {name: getattr(s, column) for name, column in _STATED}
        own |= {f"{PREFIX}{name}": make(s) for name, (_, make) in _OWN.items()}
        own |= {f"{PREFIX}table": table, f"{PREFIX}licence": self.licences[table]}
        stated = {name: value for name, value in own.items() if value not in ("", None)}
        standard = {"id": s.sample_id, "type": ENTRY_TYPE, "structure_features": list(FEATURES)}
        return {**standard, **(_composition_values(s.formula) if s.formula else {}), **stated}


@lru_cache(maxsize=20_000)
def _composition_values(formula: str) -> Mapping[str, Any]:
    composition = composition_of(formula)
    symbols = sorted(composition.amounts)
    return {
        "elements": symbols, "nelements": len(symbols),
        "elements_ratios": [float(composition.amounts[s] / composition.n_atoms) for s in symbols],
        "chemical_formula_descriptive": formula, "chemical_formula_reduced": reduced_formula(composition),
        "chemical_formula_anonymous": anonymous_formula(composition),
    }  # fmt: skip


def check_fields(fields: Sequence[str] | None) -> None:
    """Refuse names that the specification or this provider would have to know.

    Raises:
        InputError: If there is one.
    """
    for name in fields or ():
        if name not in BY_NAME and (not name.startswith("_") or name.startswith(PREFIX)):
            raise InputError(f"There is no property {shown(name)}; {_SEE} lists those there are.")


def _order(sort: str) -> list[tuple[str, bool]]:
    order = []
    for written in filter(None, sort.split(",")):
        name = written.removeprefix("-")
        if name not in BY_NAME or not BY_NAME[name].is_sortable:
            raise InputError(f"The answers cannot be sorted by {shown(written)}; {_SEE} says by what they can.")
        order.append((name, written.startswith("-")))
    return order


_reading = Lock()


def structures() -> Structures:
    """Return all entries, read once per process however many ask for them first."""
    with _reading:
        return _structures()


@lru_cache(maxsize=1)
def _structures() -> Structures:
    return Structures()


def info_properties() -> dict[str, dict[str, Any]]:
    """Return what the information on the entry type says of every property."""
    return {
        p.name: {
            "title": p.name.removeprefix(PREFIX).replace("_", " "), "description": p.description, "type": p.type,
            "sortable": p.is_sortable, **({"unit": p.unit} if p.unit else {}),
        }
        for p in PROPERTIES
    }  # fmt: skip
