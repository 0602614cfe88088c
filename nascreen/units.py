"""Units as laboratories write them: read from the head of a column or from a cell, converted exactly, never guessed.

A quantity without a unit is refused, and so is a unit that could be another one by its capitals (mS and MS). Numbers
are converted as exact fractions, so that 0.45 mS/cm is the same double as 0.00045 S/cm.

Sources:
    Factors of the SI and between SI units, and the zero of the Celsius scale: BIPM, The International System of
    Units (SI Brochure), 9th edition, 2019. There the elementary charge and the Avogadro constant are exact, and so
    is kJ/mol in eV; CODATA 2018, doi:10.1103/RevModPhys.93.025010, gives the same. Vickers hardness is a number of
    kgf/mm² (ISO 6507-1) with 1 kgf = 9.80665 N exactly.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from nascreen.errors import TableError, shown
from nascreen.records import ALIASES, COLUMN_BY_NAME

ELEMENTARY_CHARGE_C = Fraction("1.602176634e-19")
AVOGADRO_MOL = Fraction("6.02214076e23")
ZERO_CELSIUS_K = Fraction("273.15")

NEAR = 0.85
"""Likeness of two names, by difflib, from which one may be a slip of the other."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit and the way to that of the column: value times `factor` plus `offset`.

    Attributes:
        symbol: As it is written, such as ``mS/cm``.
        suffix: At the end of the name of a column, such as ``ms_cm``.
        factor: Units of the column in one of this unit.
        offset: Value in the unit of the column at zero of this one.
        others: Other ways to write it.
    """

    symbol: str
    suffix: str
    factor: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)
    others: tuple[str, ...] = ()


def _per(unit: str) -> tuple[str, ...]:
    first, second = unit.split("/")
    return tuple(f"{first}{joint}{second}{power}" for joint in (" ", "") for power in ("-1", "^-1", "⁻¹"))


_KJ_MOL_EV = 1000 / (ELEMENTARY_CHARGE_C * AVOGADRO_MOL)

UNITS: Mapping[str, tuple[Unit, ...]] = {
    "S/cm": (
        Unit("S/cm", "s_cm", others=_per("S/cm")),
        Unit("mS/cm", "ms_cm", Fraction(1, 10**3), others=_per("mS/cm")),
        Unit("µS/cm", "us_cm", Fraction(1, 10**6), others=("uS/cm", *_per("µS/cm"))),
        Unit("S/m", "s_m", Fraction(1, 10**2), others=_per("S/m")),
        Unit("mS/m", "ms_m", Fraction(1, 10**5), others=_per("mS/m")),
    ),
    "eV": (
        Unit("eV", "ev"),
        Unit("meV", "mev", Fraction(1, 1000)),
        Unit("kJ/mol", "kj_mol", _KJ_MOL_EV, others=_per("kJ/mol")),
        Unit("J/mol", "j_mol", _KJ_MOL_EV / 1000, others=_per("J/mol")),
    ),
    "°C": (
        Unit("°C", "c", others=("℃", "degC", "deg C", "ºC", "˚C")),
        Unit("K", "k", offset=-ZERO_CELSIUS_K, others=("kelvin",)),
    ),
    "h": (
        Unit("h", "h", others=("hr", "hour", "hours")),
        Unit("min", "min", Fraction(1, 60), others=("minutes",)),
        Unit("s", "s", Fraction(1, 3600), others=("seconds",)),
        Unit("d", "d", Fraction(24), others=("day", "days")),
    ),
    "MPa": (
        Unit("MPa", "mpa", others=("N/mm²", "N/mm2", "N/mm^2")),
        Unit("GPa", "gpa", Fraction(1000)),
        Unit("kPa", "kpa", Fraction(1, 1000)),
        Unit("Pa", "pa", Fraction(1, 10**6)),
        Unit("bar", "bar", Fraction(1, 10)),
    ),
    "GPa": (
        Unit("GPa", "gpa"),
        Unit("MPa", "mpa", Fraction(1, 1000)),
        Unit("kgf/mm²", "kgf_mm2", Fraction("0.00980665"), others=("HV", "kgf/mm2", "kgf/mm^2")),
    ),
    "%": (Unit("%", "pct", others=("percent",)),),
    "wt%": (Unit("wt%", "wt_pct", others=("wt.%", "wt. %", "wt %")),),
    "mol%": (Unit("mol%", "mol_pct", others=("mol %",)),),
    "g/cm³": (
        Unit("g/cm³", "g_cm3", others=("g/cm3", "g/cm^3", "g/cc")),
        Unit("kg/m³", "kg_m3", Fraction(1, 1000), others=("kg/m3", "kg/m^3")),
    ),
    "MPa·m^0.5": (Unit("MPa·m^0.5", "mpa_m05", others=("MPa m^0.5", "MPa·m^1/2", "MPa m^1/2", "MPa·m½", "MPa√m")),),
    "decades": (Unit("decades", "decades", others=("decade",)),),
}
"""Units by that of the column, its own first."""

_LOG10 = "log10_conductivity_s_cm"
_OTHER_BASES = {"sigma": "conductivity", "σ": "conductivity", "activation_energy": "ea", "kic": "fracture_toughness"}
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_WITH_UNIT = re.compile(rf"({_NUMBER})\s*([^\s0-9.,+-].*)")
_BRACKETED = re.compile(r"([^()\[\]]*?)\s*(?:\[([^\[\]]*)\]|\(([^()]*)\))")
_LOG_BOUND = 300
_MAX_DIGITS = 40
_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Heading:
    """What the head of a column says.

    Attributes:
        text: The head as it was written.
        column: Name of the column of samples.
        unit: Unit of the cells; None where they are no quantities or must give it themselves.
        is_bare: Whether every cell must give its unit, since the head gives none.
        is_log10: Whether the cells are decimal logarithms.
    """

    text: str
    column: str
    unit: Unit | None = None
    is_bare: bool = False
    is_log10: bool = False


@lru_cache(maxsize=1)
def _base_names() -> dict[str, str]:
    """Return the names of quantities without their unit, such as ``conductivity``, with their columns."""
    bases = {}
    for column in COLUMN_BY_NAME.values():
        if column.unit in UNITS:
            bases[column.name.removesuffix(f"_{UNITS[column.unit][0].suffix}")] = column.name
    others = {other: bases[base] for other, base in _OTHER_BASES.items()}
    return {**bases, **others}


@lru_cache(maxsize=1)
def _names_with_units() -> dict[str, tuple[str, Unit]]:
    return {
        f"{base}_{unit.suffix}": (name, unit)
        for base, name in _base_names().items()
        for unit in UNITS[COLUMN_BY_NAME[name].unit]
    }


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", re.sub(r"\(.*?\)|\[.*?\]", "", name).casefold())


def near_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name of which a name may be a slip or a shorter form; None if there is none.

    Blanks, underscores, capitals and the unit do not count.

    >>> near_name("Sinter temp (C)", ["formula", "sinter_temp_c"])
    'sinter_temp_c'
    >>> near_name("furnace", ["formula", "sinter_temp_c"]) is None
    True
    """
    folded, letters = _folded(name), _letters(name)
    bases = {column: base for base, column in reversed(_base_names().items())}
    for one in known:
        if letters and letters in {_letters(one), _letters(bases.get(one, one))}:
            return one
    likeness = {one: difflib.SequenceMatcher(None, folded, one).ratio() for one in known}
    best = max(likeness, key=lambda one: likeness[one], default="")
    return best if likeness.get(best, 0) >= NEAR else None


def heading_text(column: str) -> str:
    """Return the head of a column as people may write it, with its unit.

    >>> heading_text("conductivity_s_cm"), heading_text("phase")
    ('conductivity [S/cm]', 'phase')
    """
    unit = COLUMN_BY_NAME[column].unit
    if unit not in UNITS or unit == "decades":
        return column
    return f"{column.removesuffix('_' + UNITS[unit][0].suffix)} [{unit}]"


def read_heading(text: str) -> Heading:
    """Read the head of a column: a name, with its unit at the end or in brackets where it is a quantity.

    A quantity may lack the unit here; then every cell must give it.

    Args:
        text: Such as ``phase``, ``conductivity_s_cm``, ``Conductivity [mS/cm]``, ``ea (kJ/mol)``, ``meas_temp_k``.

    Raises:
        TableError: If the name or the unit is not known; the message says which is meant, or what is allowed.
    """
    if len(text) > _MAX_NAME:
        raise TableError(
            f"The column {shown(text)} has a name of {len(text)} characters; at most {_MAX_NAME} are read."
        )
    name = _folded(text)
    name = ALIASES.get(name, name)
    if name == _LOG10:
        return Heading(text, "conductivity_s_cm", UNITS["S/cm"][0], is_log10=True)
    if name in COLUMN_BY_NAME:
        return Heading(text, name, next(iter(UNITS.get(COLUMN_BY_NAME[name].unit, ())), None))
    if name in _names_with_units():
        column, unit = _names_with_units()[name]
        return Heading(text, column, unit)
    if name in _base_names():
        return Heading(text, _base_names()[name], is_bare=True)
    match = _BRACKETED.fullmatch(text.strip())
    if match:
        return _bracketed(text, match[1], match[2] if match[2] is not None else match[3])
    raise TableError(_unknown(text))


def _bracketed(text: str, name: str, symbol: str) -> Heading:
    base = _base_names().get(_folded(name))
    inner = Heading(text, base, is_bare=True) if base else read_heading(name) if name else None
    if inner is None or inner.is_log10 or (inner.unit is None and not inner.is_bare):
        raise TableError(_unknown(text))
    unit = _unit_named(symbol, inner.column)
    if unit is None:
        raise TableError(f"The column {shown(text)} has the unit {shown(symbol)}, {_allowed(symbol, inner.column)}.")
    if inner.unit not in (None, unit):
        raise TableError(f"The column {shown(text)} names two units; keep one, such as {heading_text(inner.column)!r}.")
    return Heading(text, inner.column, unit)


def _unknown(text: str) -> str:
    known = [*_base_names(), *COLUMN_BY_NAME]
    near = near_name(text, known) or next(iter(difflib.get_close_matches(_folded(text), known, 1, 0.6)), None)
    if _folded(text) in {"temperature", "temp", "t"}:
        hint = "say which: 'meas_temp [°C]', 'sinter_temp [°C]' or 'heat_temp [°C]'"
    elif near:
        hint = f"did you mean {heading_text(_base_names().get(near, near))!r}?"
    else:
        hint = "rename it, delete it, or name it to be left out"
    return f"The column {shown(text)} is not known; {hint}" + ("" if hint.endswith("?") else ".")


def _spelling(symbol: str) -> str:
    text = symbol.strip().replace("μ", "µ").replace("−", "-").replace("–", "-")
    return re.sub(r"\s*[·⋅*]\s*|\s+", " ", text)


def _unit_named(symbol: str, column: str) -> Unit | None:
    wanted = _spelling(symbol)
    for unit in UNITS[COLUMN_BY_NAME[column].unit]:
        if wanted in map(_spelling, (unit.symbol, *unit.others)):
            return unit
    return None


def _allowed(symbol: str, column: str) -> str:
    units = [unit.symbol for unit in UNITS[COLUMN_BY_NAME[column].unit]]
    near = [one for one in units if one.casefold().strip("°") == symbol.strip().casefold()]
    return f"which is not known; allowed are {', '.join(units)}" + (f" (did you mean {near[0]}?)" if near else "")


def cell_in_column_unit(heading: Heading, cell: str) -> str:
    """Return a cell as a plain decimal in the unit of the column; what is no number, as it is.

    Args:
        heading: Head of the column.
        cell: Such as ``0.45``, or ``0.45 mS/cm`` where the head has the same unit or none.

    Raises:
        TableError: If the unit is missing, unknown or another one than the head's.
    """
    text = cell.strip()
    if not text or (heading.unit is None and not heading.is_bare):
        return text
    match = None if re.fullmatch(_NUMBER, text) else _WITH_UNIT.fullmatch(text)
    if match is None and not re.fullmatch(_NUMBER, text):
        return text
    number, unit = (match[1], _unit_of_cell(heading, text, match[2])) if match else (text, heading.unit)
    if unit is None:
        like = f"{text} {COLUMN_BY_NAME[heading.column].unit}"
        named = heading_text(heading.column)
        raise TableError(f"{shown(text)} has no unit; name the column {named!r}, or write {like!r} if that is it.")
    return _log10_to_plain(number) if heading.is_log10 else convert(number, unit)


def _unit_of_cell(heading: Heading, text: str, symbol: str) -> Unit:
    unit = None if heading.is_log10 else _unit_named(symbol, heading.column)
    if unit is None:
        allowed = "but logarithms have none" if heading.is_log10 else _allowed(symbol, heading.column)
        raise TableError(f"{shown(text)} has the unit {shown(symbol)}, {allowed}.")
    if heading.unit not in (None, unit):
        raise TableError(f"{shown(text)} has another unit than the head of its column; keep one of them.")
    return unit


def _log10_to_plain(number: str) -> str:
    value = float(number)
    return repr(10.0**value) if abs(value) <= _LOG_BOUND else number


def convert(number: str, unit: Unit) -> str:
    """Convert a plain decimal exactly to the unit of the column, rounded once to a double.

    >>> convert("0.45", UNITS["S/cm"][1]), convert("298.15", UNITS["°C"][1]), convert("25.0", UNITS["°C"][0])
    ('0.00045', '25', '25.0')
    >>> round(float(convert("39", UNITS["eV"][2])), 4)
    0.4042
    """
    # What is beyond any bound is handed on as it is, to be refused there.
    if (unit.factor == 1 and unit.offset == 0) or len(number) > _MAX_DIGITS:
        return number
    try:
        value = float(Fraction(number) * unit.factor + unit.offset)
    except OverflowError:
        return number
    return repr(value + 0.0).removesuffix(".0")
