"""The shapes of the measured data over HTTP: rows, cards, counts, the points of the plots."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from nascreen.records import COLUMN_BY_NAME
from nascreen.wire import Answer


def _sentence(name: str) -> str:
    column = COLUMN_BY_NAME[name]
    return f"{column.description}{f' in {column.unit}' if column.unit else ''}."


def _stated(name: str) -> Any:  # noqa: ANN401 - pydantic's field information
    return Field(None, description=_sentence(name))


class RecordOut(Answer):
    """One measured sample at one temperature; what is not stated is left out."""

    sample_id: str = Field(description=_sentence("sample_id"))
    paper_id: str | None = _stated("paper_id")
    group_id: str | None = _stated("group_id")
    value_origin: str | None = _stated("value_origin")
    source_kind: str | None = _stated("source_kind")
    doi: str | None = _stated("doi")
    title: str | None = _stated("title")
    first_author: str | None = _stated("first_author")
    journal: str | None = _stated("journal")
    year: int | None = _stated("year")
    source_url: str | None = _stated("source_url")
    formula: str | None = _stated("formula")
    label: str | None = _stated("label")
    family: str | None = _stated("family")
    phase: str | None = _stated("phase")
    structure: str | None = _stated("structure")
    synthesis: str | None = _stated("synthesis")
    sinter_temp_c: float | None = _stated("sinter_temp_c")
    sinter_time_h: float | None = _stated("sinter_time_h")
    heat_temp_c: float | None = _stated("heat_temp_c")
    heat_time_h: float | None = _stated("heat_time_h")
    press_mpa: float | None = _stated("press_mpa")
    rel_density_pct: float | None = _stated("rel_density_pct")
    porosity_pct: float | None = _stated("porosity_pct")
    second_phase: str | None = _stated("second_phase")
    second_phase_wt_pct: float | None = _stated("second_phase_wt_pct")
    second_phase_role: str | None = _stated("second_phase_role")
    meas_temp_c: float | None = _stated("meas_temp_c")
    conductivity_s_cm: float | None = _stated("conductivity_s_cm")
    conductivity_kind: str | None = _stated("conductivity_kind")
    ea_ev: float | None = _stated("ea_ev")
    strength_mpa: float | None = _stated("strength_mpa")
    strength_kind: str | None = _stated("strength_kind")
    hardness_gpa: float | None = _stated("hardness_gpa")
    youngs_modulus_gpa: float | None = _stated("youngs_modulus_gpa")
    fracture_toughness_mpa_m05: float | None = _stated("fracture_toughness_mpa_m05")
    modifier_mol_pct: float | None = _stated("modifier_mol_pct")
    tg_c: float | None = _stated("tg_c")
    density_g_cm3: float | None = _stated("density_g_cm3")
    arrhenius_exact: str | None = _stated("arrhenius_exact")
    quality: str | None = _stated("quality")
    quality_flags: str | None = _stated("quality_flags")
    space_group: str | None = _stated("space_group")
    collection: str | None = _stated("collection")
    name: str = Field(description="Name for people: the batch of a glass, else the formula.")
    processing: str = Field(description="How it was made, in words.")
    citation: str = Field(description="Where it was reported.")


class RecordsOut(Answer):
    """Some of the rows that a filter finds."""

    table: str
    n_matching: int
    offset: int
    next_offset: int | None = Field(description="Where the next page begins; null on the last.")
    records: list[RecordOut]


class DecisionOut(Answer):
    """A reviewed decision about a row."""

    verdict: str = Field(description="kept, corrected or excluded.")
    check: str = Field(description="Name of the check that found it, or review.")
    column: str = Field(description="The column that a correction changes; empty otherwise.")
    value: str = Field(description="What the column became; empty for not known.")
    reason: str


class CardOfRecordOut(Answer):
    """A row with where it comes from and what was decided about it."""

    record: RecordOut
    table: str
    licence: str
    is_excluded: bool = Field(description="Whether nothing learns from it, for the reason among the decisions.")
    name: str
    processing: str
    citation: str
    doi_links: list[str]
    decisions: list[DecisionOut]
    card: list[str] = Field(description="Lines as nascreen data show prints them, with the values as printed.")
    bibtex: str


class FamilyCounts(Answer):
    """Rows, texts and stated values of a family."""

    rows: int
    texts: int
    conductivity_s_cm: int
    ea_ev: int
    strength_mpa: int
    hardness_gpa: int
    youngs_modulus_gpa: int
    fracture_toughness_mpa_m05: int
    tg_c: int
    density_g_cm3: int


class TableOut(Answer):
    """What one table holds, as reviewed."""

    name: str
    title: str
    licence: str
    sha256: str = Field(description="Hash of the table as printed.")
    n_rows: int = Field(description="Rows after review.")
    n_printed: int = Field(description="Rows of the file.")
    n_texts: int
    n_groups: int = Field(description="Groups of texts that share values.")
    properties: dict[str, int] = Field(description="Rows that state a property.")
    families: dict[str, FamilyCounts]
    value_origin: dict[str, int]
    phase: dict[str, int]
    decades: dict[str, int] = Field(description="Rows by decade of publication.")
    coverage: dict[str, dict[str, float]] = Field(
        description="By property, the share of its rows that state each processing column, 0 to 1."
    )


class StatisticsOut(Answer):
    """Counts of every table, and of all together."""

    tables: list[TableOut]
    properties: dict[str, int]
    families: dict[str, FamilyCounts]
    decades: dict[str, int]


class PointOut(Answer):
    """A measured conductivity of a sodium conductor at 15 to 35 °C, with what it is plotted against."""

    sample_id: str
    name: str
    formula: str
    family: str
    phase: str
    processing: str
    citation: str
    conductivity_s_cm: float
    meas_temp_c: float
    ea_ev: float | None
    sinter_temp_c: float | None
    porosity_pct: float | None
    rel_density_pct: float | None
    density_pct: float | None = Field(description="Relative density, or what a stated porosity leaves of 100 %.")
    na2s_fraction: float | None = Field(description="Mole fraction of Na2S in the batch of a sulfide glass, 0 to 1.")
    sodium_pct: float | None = Field(description="Sodium among all atoms in at.%.")
    year: int | None = Field(description="Year of publication; null where only a survey's is known.")
    is_founding: bool = Field(description="Whether it is of one of the two papers that nascreen began with.")


class RecordStepOut(Answer):
    """A conductivity above all that were reported in the years before it."""

    year: int
    conductivity_s_cm: float
    name: str
    sample_id: str
    citation: str


class ChartsOut(Answer):
    """The points of the linked plots, and the record over the years."""

    points: list[PointOut]
    record: list[RecordStepOut] = Field(description="How the best crystalline one of the points rose over the years.")
    families: dict[str, int] = Field(description="Number of all points by family, whatever is asked.")


class DataColumnOut(Answer):
    """A column of the tables."""

    name: str
    kind: str = Field(description="text, number, integer or choice.")
    unit: str
    description: str
    lower: float | None
    upper: float | None
    choices: list[str]
    tables: list[str] = Field(description="The tables that have it.")


class DataColumnsOut(Answer):
    """Every column that rows may state and filters may name."""

    columns: list[DataColumnOut]
