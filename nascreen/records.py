"""One sample at one temperature: its columns, units and bounds, to and from the cells of a table.

A table's text is untrusted: numbers are plain ASCII decimals, every quantity has bounds that physics or
furnaces set, and what is not stated stays empty.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, make_dataclass
from functools import lru_cache
from typing import Any, Literal, cast

from nascreen.errors import RangeError, TableError, shown

Kind = Literal["text", "number", "integer", "choice"]
Value = str | float | int | None

MAX_TEXT = 500
"""Characters that a text cell may hold where its column names no other limit."""

MAX_FILLED_PCT = 105.0
"""Relative density and porosity may add up to this: both are measured, each to some 2 %."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table of samples.

    Attributes:
        name: Name of the column and of the field of `Sample`.
        kind: ``text``, ``number``, ``integer`` or ``choice``.
        unit: Unit of the numbers; empty where there is none.
        description: One sentence for people.
        lower: Smallest number allowed; None for no limit.
        upper: Largest number allowed, or the most characters of a text; None for no limit of its own.
        choices: What a ``choice`` may be, besides empty.
        is_lower_open: True where the number must be above `lower`, not equal to it.
    """

    name: str
    kind: Kind
    unit: str = ""
    description: str = ""
    lower: float | None = None
    upper: float | None = None
    choices: tuple[str, ...] = ()
    is_lower_open: bool = False

    @property
    def allowed(self) -> str:
        """What a value of this column may be, as a phrase for messages."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind == "text":
            return f"printable text of at most {self.text_limit} characters"
        noun = "a whole number" if self.kind == "integer" else "a number"
        unit = f" {self.unit}" if self.unit else ""
        if self.lower is None or self.upper is None:
            return noun + unit
        lower, upper = _number_text(self.lower), _number_text(self.upper)
        return (
            f"{noun} above {lower} and up to {upper}{unit}"
            if self.is_lower_open
            else f"{noun} from {lower} to {upper}{unit}"
        )

    @property
    def text_limit(self) -> int:
        """The most characters that a text of this column may have."""
        return MAX_TEXT if self.upper is None else int(self.upper)


def _text(name: str, description: str, limit: int | None = None) -> Column:
    return Column(name, "text", "", description, upper=limit)


def _choice(name: str, description: str, *choices: str) -> Column:
    return Column(name, "choice", "", description, choices=choices)


def _number(name: str, unit: str, description: str, lower: float, upper: float) -> Column:
    return Column(name, "number", unit, description, lower, upper)


def _above(name: str, unit: str, description: str, lower: float, upper: float) -> Column:
    return Column(name, "number", unit, description, lower, upper, is_lower_open=True)


VALUE_ORIGINS = (
    "measured", "cited", "extrapolated", "upper_bound", "lower_bound", "computed_or_interpolated",
    "tabulated_2_decimals",
)  # fmt: skip
CENSORED_ORIGINS = ("upper_bound", "lower_bound")
PHASES = ("crystalline", "glass", "glass_ceramic", "composite")
CONDUCTIVITY_KINDS = ("total", "bulk", "grain_boundary", "unspecified")

COLUMNS: tuple[Column, ...] = (
    _text("sample_id", "Identifier of the row, unique in its table"),
    _text("paper_id", "The text a value was read from: its DOI (with #ref for a reference of a survey) or a slug"),
    _text("group_id", "Texts that share a value have one group; groups stay whole in every split"),
    _choice("value_origin", "How the value came about; a bound is a censored measurement", *VALUE_ORIGINS),
    _choice("source_kind", "What part of the source was read", "fulltext", "table", "abstract", "dataset"),
    _text("doi", "DOI of the text, lower case"),
    _text("title", "Title of the text, or the full reference", 1200),
    _text("first_author", "First author"),
    _text("journal", "Journal, series or repository", 600),
    Column("year", "integer", "", "Year of publication", 1800, 2100),
    _text("source_url", "Address of the text where it has no DOI"),
    _text("formula", "Formula of the ion conductor (in a polymer composite: of the ceramic); empty if not stated"),
    _text("label", "How the text names the sample"),
    _text("family", "Family of electrolytes"),
    _choice("phase", "State of the sample", *PHASES),
    _text("structure", "Crystal structure, as far as the text says"),
    _text("synthesis", "Route of synthesis"),
    _above("sinter_temp_c", "°C", "Sintering temperature", 0, 2500),
    # A dwell of 0 h is an experiment: heated to the temperature and cooled at once.
    _number("sinter_time_h", "h", "Time at the sintering temperature; 0 means no dwell", 0, 10_000),
    _above("heat_temp_c", "°C", "Temperature of the heat treatment other than sintering", 0, 2500),
    _number("heat_time_h", "h", "Time at that temperature; 0 means no dwell", 0, 10_000),
    _above("press_mpa", "MPa", "Pressing pressure", 0, 20_000),
    _above("rel_density_pct", "%", "Relative density", 0, 100),
    _number("porosity_pct", "%", "Porosity, before filling in a pore-filled composite", 0, 95),
    _text("second_phase", "Polymer matrix, pore filler, sintering aid or impurity"),
    _number("second_phase_wt_pct", "wt%", "Mass fraction of the second phase", 0, 100),
    _text("second_phase_role", "What the second phase does"),
    _number("meas_temp_c", "°C", "Temperature of the conductivity; empty if not stated", -200, 1000),
    _above("conductivity_s_cm", "S/cm", "Ionic conductivity", 0, 100),
    _choice("conductivity_kind", "What the conductivity refers to", *CONDUCTIVITY_KINDS),
    _number("ea_ev", "eV", "Activation energy of conduction", 0, 3),
    _above("strength_mpa", "MPa", "Strength", 0, 5000),
    _text("strength_kind", "Test of strength"),
    _above("hardness_gpa", "GPa", "Hardness", 0, 200),
    _above("youngs_modulus_gpa", "GPa", "Young's modulus", 0, 1500),
    _above("fracture_toughness_mpa_m05", "MPa·m^0.5", "Fracture toughness", 0, 100),
)
"""The schema of the literature table, in order."""

OTHER_COLUMNS: tuple[Column, ...] = (
    _number("modifier_mol_pct", "mol%", "Na2O or Na2S in the batch", 0, 100),
    _number("tg_c", "°C", "Glass transition temperature", -200, 2000),
    _above("density_g_cm3", "g/cm³", "Density", 0, 25),
    _choice("arrhenius_exact", "Whether the temperatures of one glass lie on one Arrhenius line", "yes", "no"),
    _choice("quality", "Verdict of the plausibility checks", "ok", "suspect"),
    _text("quality_flags", "What the plausibility checks found, separated by semicolons"),
    _text("space_group", "Space group, as symbol or number"),
    _text("collection", "The collection that the row comes from"),
)
"""Columns that only the tables of glasses and of lithium conductors have."""

OUTCOMES = ("ok", "cracked", "melted", "second_phase", "not_dense", "other_failure")

LAB_COLUMNS: tuple[Column, ...] = (
    _text("lab", "Laboratory that made and measured the sample"),
    _text("operator", "Who made or measured it"),
    _text("instrument", "Instrument or furnace"),
    _text("made_on", "Day on which it was made, as YYYY-MM-DD"),
    _text("batch", "Batch of powder or run of the furnace; samples of one batch stay together in every split"),
    _choice("outcome", "What became of the sample; all but ok are failures", *OUTCOMES),
    _text("outcome_note", "What was seen"),
    _above("log_conductivity_sd", "decades", "Standard uncertainty of log10 of the conductivity", 0, 3),
    _above("ea_sd_ev", "eV", "Standard uncertainty of the activation energy", 0, 1),
    _above("strength_sd_mpa", "MPa", "Standard uncertainty of the strength", 0, 2000),
)
"""Columns that only a laboratory's own results have."""

COLUMN_BY_NAME: dict[str, Column] = {column.name: column for column in (*COLUMNS, *OTHER_COLUMNS, *LAB_COLUMNS)}

ALIASES: dict[str, str] = {
    "sigma_s_cm": "conductivity_s_cm",
    "sigma_kind": "conductivity_kind",
    "kic_mpa_m05": "fracture_toughness_mpa_m05",
    "composition_note": "label",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample, measured or imagined, at one temperature.

    Every field is optional: a number that is not stated is None, a text ``""``. Units are in the names;
    `COLUMN_BY_NAME` holds the meaning and the bounds of each, which `check_sample` enforces.
    """

    sample_id: str = ""
    paper_id: str = ""
    group_id: str = ""
    value_origin: str = ""
    source_kind: str = ""
    doi: str = ""
    title: str = ""
    first_author: str = ""
    journal: str = ""
    year: int | None = None
    source_url: str = ""
    formula: str = ""
    label: str = ""
    family: str = ""
    phase: str = ""
    structure: str = ""
    synthesis: str = ""
    sinter_temp_c: float | None = None
    sinter_time_h: float | None = None
    heat_temp_c: float | None = None
    heat_time_h: float | None = None
    press_mpa: float | None = None
    rel_density_pct: float | None = None
    porosity_pct: float | None = None
    second_phase: str = ""
    second_phase_wt_pct: float | None = None
    second_phase_role: str = ""
    meas_temp_c: float | None = None
    conductivity_s_cm: float | None = None
    conductivity_kind: str = ""
    ea_ev: float | None = None
    strength_mpa: float | None = None
    strength_kind: str = ""
    hardness_gpa: float | None = None
    youngs_modulus_gpa: float | None = None
    fracture_toughness_mpa_m05: float | None = None
    modifier_mol_pct: float | None = None
    tg_c: float | None = None
    density_g_cm3: float | None = None
    arrhenius_exact: str = ""
    quality: str = ""
    quality_flags: str = ""
    space_group: str = ""
    collection: str = ""
    lab: str = ""
    operator: str = ""
    instrument: str = ""
    made_on: str = ""
    batch: str = ""
    outcome: str = ""
    outcome_note: str = ""
    log_conductivity_sd: float | None = None
    ea_sd_ev: float | None = None
    strength_sd_mpa: float | None = None


FIELD_NAMES: tuple[str, ...] = tuple(field.name for field in fields(Sample))
_COLUMNS: tuple[Column, ...] = tuple(COLUMN_BY_NAME[f.name] for f in fields(Sample))
_UNSTATED: tuple[object, ...] = tuple(f.default for f in fields(Sample))
"""What is not stated, by column; it needs no check."""
_READ_AS = {**COLUMN_BY_NAME, **{alias: COLUMN_BY_NAME[name] for alias, name in ALIASES.items()}}
# A frozen class sets each of its many fields by a call. One with the same slots that is not frozen is filled in a sixth
# of the time, and then becomes a sample.
_Draft = make_dataclass("_Draft", [(f.name, f.type, f.default) for f in fields(Sample)], slots=True)
_VALUES = operator.attrgetter(*(column.name for column in _COLUMNS))

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MAX_DIGITS = 40


def _refused(column: Column, value: object, hint: str = "") -> RangeError:
    advice = hint or "Correct it, or leave it empty where it is not known."
    return RangeError(f"The column {column.name!r} has the value {shown(value)}; allowed is {column.allowed}. {advice}")


def _check_bounds(column: Column, value: float, written: object) -> None:
    lower, upper = column.lower, column.upper
    is_low = lower is not None and (value <= lower if column.is_lower_open else value < lower)
    if is_low or not math.isfinite(value) or (upper is not None and value > upper):
        raise _refused(column, written)


def _read_number(column: Column, cell: str) -> float:
    if len(cell) > _MAX_DIGITS or not _DECIMAL.fullmatch(cell):
        raise _refused(column, cell, "Write a plain decimal such as 0.5 or 1.2e-4, or leave it empty.")
    # Adding zero turns -0.0 into 0.0, so that one number has one text.
    value = float(cell) + 0.0
    _check_bounds(column, value, cell)
    return value


def _read_integer(column: Column, cell: str) -> int:
    value = _read_number(column, cell)
    if value != int(value):
        raise _refused(column, cell)
    return int(value)


def _check_text(column: Column, text: str) -> str:
    if len(text) > column.text_limit:
        raise _refused(column, text, f"It has {len(text)} characters; shorten it.")
    if not text.isprintable():
        raise _refused(column, text, "It has a line break or another character that cannot be printed; remove it.")
    return text


def _read_choice(column: Column, cell: str) -> str:
    if cell in column.choices:
        return cell
    folded = re.sub(r"[-\s]+", "_", cell.lower())
    if folded not in column.choices:
        raise _refused(column, cell)
    return folded


@lru_cache(maxsize=4096)
def _read_value(name: str, cell: str) -> Value:
    """Read a number or a choice; a column holds few of them many times."""
    column = COLUMN_BY_NAME[name]
    if column.kind == "number":
        return _read_number(column, cell)
    return _read_integer(column, cell) if column.kind == "integer" else _read_choice(column, cell)


def sample_from_cells(cells: Mapping[str, str], *, allow_unknown_columns: bool = True) -> Sample:
    """Read one row of text cells into a sample.

    Blanks around a cell do not count; an empty or missing cell is a value that is not known. Numbers are
    plain ASCII decimals. The older names in `ALIASES` are read too.

    Args:
        cells: Column name to text, as ``csv.DictReader`` yields.
        allow_unknown_columns: Whether columns that no sample has are left aside or refused.

    Returns:
        The sample, within all bounds.

    Raises:
        RangeError: If a cell cannot be read or is out of bounds; the message names column, value and bounds.
        TableError: If a column is unknown and those are refused, or one quantity is given twice.

    >>> sample_from_cells({"formula": "Na3PS4", "phase": "Glass-Ceramic", "press_mpa": "360"}).phase
    'glass_ceramic'
    """
    values: dict[str, Value] = {}
    for name, cell in cells.items():
        column = _READ_AS.get(name)
        if column is None:
            if not allow_unknown_columns:
                known = ", ".join(COLUMN_BY_NAME)
                raise TableError(f"The table has the column {shown(name)}, which is not known; allowed are {known}.")
            continue
        if cell is None:
            continue
        if not isinstance(cell, str):
            raise _refused(column, cell, "Give it as text.")
        text = cell.strip()
        if text and column.name in values:
            raise TableError(f"The table gives the column {column.name!r} twice, once as {name!r}; keep one of them.")
        if text:
            values[column.name] = _check_text(column, text) if column.kind == "text" else _read_value(column.name, text)
    _check_filling(values.get("rel_density_pct"), values.get("porosity_pct"))
    draft: Any = _Draft(**values)
    draft.__class__ = Sample
    return cast("Sample", draft)


def with_values(sample: Sample, values: Mapping[str, Value]) -> Sample:
    """Return a sample with other values, as ``dataclasses.replace`` does, in a fraction of the time."""
    draft: Any = _Draft(*_VALUES(sample))
    for name, value in values.items():
        setattr(draft, name, value)
    draft.__class__ = Sample
    return cast("Sample", draft)


def _check_filling(density: Value, porosity: Value) -> None:
    if isinstance(density, str) or isinstance(porosity, str) or density is None or porosity is None:
        return
    if density + porosity > MAX_FILLED_PCT:
        raise RangeError(
            f"A relative density of {_number_text(density)} % and a porosity of {_number_text(porosity)} % contradict "
            f"each other: they may add up to at most {_number_text(MAX_FILLED_PCT)} %. Correct one, or leave it empty."
        )


def _check_value(column: Column, value: object) -> None:
    if column.kind in ("text", "choice"):
        if not isinstance(value, str) or (column.choices and value and value not in column.choices):
            raise _refused(column, value)
        if column.kind == "text":
            _check_text(column, value)
        return
    if value is None:
        return
    # numpy numbers are taken too, hence __float__; bool has it as well but is no quantity.
    is_number = hasattr(value, "__float__") and not isinstance(value, bool)
    if not is_number or (column.kind == "integer" and not isinstance(value, int)):
        raise _refused(column, value)
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError as error:
        raise _refused(column, value) from error
    _check_bounds(column, number, value)


def check_sample(sample: Sample) -> None:
    """Check a sample made in Python against the bounds of every column.

    Args:
        sample: The sample.

    Raises:
        RangeError: If a value is of the wrong kind or out of bounds, or density and porosity contradict
            each other.
    """
    values = _VALUES(sample)
    if any(map(operator.is_not, values, _UNSTATED)):
        for column, value, unstated in zip(_COLUMNS, values, _UNSTATED, strict=True):
            if value is not unstated:
                _check_value(column, value)
    _check_filling(sample.rel_density_pct, sample.porosity_pct)


def _number_text(value: float) -> str:
    return repr(float(value) + 0.0).removesuffix(".0")


def cells_from_sample(sample: Sample, columns: Iterable[str]) -> dict[str, str]:
    """Write a sample as text cells, so that `sample_from_cells` reads the same sample back.

    Args:
        sample: The sample.
        columns: Names of the columns wanted, in order.

    Returns:
        Column name to text; numbers in their shortest form (25, not 25.0), empty where not known.

    Raises:
        TableError: If a sample has no such column.

    >>> cells_from_sample(Sample(formula="Na3PS4", meas_temp_c=25.0), ["formula", "meas_temp_c", "ea_ev"])
    {'formula': 'Na3PS4', 'meas_temp_c': '25', 'ea_ev': ''}
    """
    cells = {}
    for name in columns:
        if name not in COLUMN_BY_NAME:
            known = ", ".join(COLUMN_BY_NAME)
            raise TableError(f"A sample has no column {shown(name)}; allowed are {known}.")
        value = getattr(sample, name)
        cells[name] = value if isinstance(value, str) else "" if value is None else _number_text(value)
    return cells


def citation(sample: Sample) -> str:
    """Name the text that a value comes from, in one line for people.

    Args:
        sample: The sample.

    Returns:
        Author, journal, year and DOI as far as they are known; else what tells one unknown text from another.

    >>> citation(Sample(first_author="J. Yang", journal="Ionics", year=2019, doi="10.1/x"))
    'J. Yang et al., Ionics (2019), doi:10.1/x'
    >>> citation(Sample(paper_id="10.1016/j.jpowsour.2014.09.137#ref45"))
    'ref. 45 as compiled in doi:10.1016/j.jpowsour.2014.09.137'
    """
    survey, has_reference, reference = sample.paper_id.partition("#ref")
    if has_reference:
        return f"ref. {reference} as compiled in doi:{survey}"
    author = f"{sample.first_author} et al." if sample.first_author else ""
    # Several references to one measurement are joined by bars; the first is enough to find it.
    journal = sample.journal.partition(" | ")[0]
    where = journal or (f"“{sample.title}”" if sample.title else "")
    year = f"({sample.year})" if sample.year is not None else ""
    locator = f"doi:{sample.doi}" if sample.doi else sample.source_url
    parts = [author, f"{where} {year}".strip(), locator]
    if not (author or where or locator):
        return f"text of unknown identity ({sample.paper_id or 'no identifier'})"
    return ", ".join(filter(None, parts))


def name_of(sample: Sample) -> str:
    """Name a sample for people: its batch where the formula is a batch in percent, else its formula.

    >>> name_of(Sample(formula="Na25B25S50", label="50 Na2S + 50 B2S3 (mol%)", modifier_mol_pct=50.0))
    '50 Na2S + 50 B2S3 (mol%)'
    """
    return sample.label if sample.modifier_mol_pct is not None and sample.label else sample.formula


def _heating(verb: str, temp_c: float | None, time_h: float | None) -> str:
    if temp_c is None:
        return ""
    return f"{verb} {temp_c:.4g} °C" + ("" if time_h is None else f", {time_h:g} h")


def _pores(sample: Sample, *, is_filled: bool) -> str:
    if sample.porosity_pct is not None:
        pores = f"about {sample.porosity_pct:g} % pores"
        return f"{pores} filled with {sample.second_phase or 'a filler'}" if is_filled else pores
    if sample.second_phase:
        return f"with {sample.second_phase}"
    if sample.rel_density_pct is not None:
        return f"{sample.rel_density_pct:g} % dense"
    # Of a measured body whose density is not stated nothing is claimed.
    is_candidate = not sample.paper_id and sample.sinter_temp_c is not None
    return "dense" if is_candidate and sample.phase == "crystalline" else ""


def processing_line(sample: Sample) -> str:
    """Say in one line how a sample is made, as far as it is stated.

    >>> processing_line(Sample(sinter_temp_c=1100, sinter_time_h=10, porosity_pct=10))
    'sinter 1100 °C, 10 h; about 10 % pores'
    """
    is_filled = sample.second_phase_role == "pore_filler"
    route = {"": "", "solid_state": "solid-state synthesis", "mechanochemical+anneal": "ball mill, then anneal"}
    parts = [
        route.get(sample.synthesis, sample.synthesis.replace("_", " ")),
        "" if sample.press_mpa is None else f"press at {sample.press_mpa:g} MPa",
        _heating("sinter", sample.sinter_temp_c, sample.sinter_time_h),
        "" if is_filled else _heating("heat at", sample.heat_temp_c, sample.heat_time_h),
        _pores(sample, is_filled=is_filled),
        _heating("cure", sample.heat_temp_c, sample.heat_time_h) if is_filled else "",
        sample.phase.replace("_", " ") if sample.phase.startswith("glass") else "",
    ]
    return "; ".join(filter(None, parts))
