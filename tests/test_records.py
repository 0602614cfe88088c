"""Promises of samples: columns, units, bounds, and the way to cells and back."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nascreen.errors import InputError, RangeError, TableError
from nascreen.records import (
    ALIASES,
    COLUMN_BY_NAME,
    COLUMNS,
    FIELD_NAMES,
    Column,
    Sample,
    cells_from_sample,
    check_sample,
    citation,
    sample_from_cells,
    with_values,
)

NUMBER_NAMES = [column.name for column in COLUMN_BY_NAME.values() if column.kind in ("number", "integer")]
CHOICE_NAMES = [column.name for column in COLUMN_BY_NAME.values() if column.kind == "choice"]


def _values(column: Column) -> st.SearchStrategy[object]:
    if column.kind == "choice":
        return st.sampled_from(("", *column.choices))
    if column.kind == "integer":
        return st.none() | st.integers(int(column.lower or 0), int(column.upper or 0))
    if column.kind == "number":
        bounds = {"min_value": column.lower, "max_value": column.upper, "exclude_min": column.is_lower_open}
        return st.none() | st.floats(**bounds).map(lambda value: value + 0.0)  # type: ignore[arg-type]
    alphabet = st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"))
    return st.text(alphabet, max_size=40).map(str.strip).filter(str.isprintable)


SAMPLES = st.builds(Sample, **{name: _values(COLUMN_BY_NAME[name]) for name in FIELD_NAMES}).filter(
    lambda sample: (sample.rel_density_pct or 0) + (sample.porosity_pct or 0) <= 105
)


@given(sample=SAMPLES)
def test_a_sample_survives_the_way_to_cells_and_back(sample: Sample) -> None:
    check_sample(sample)
    assert sample_from_cells(cells_from_sample(sample, FIELD_NAMES)) == sample


@given(sample=SAMPLES)
def test_cells_survive_the_way_to_a_sample_and_back(sample: Sample) -> None:
    cells = cells_from_sample(sample, FIELD_NAMES)
    assert cells_from_sample(sample_from_cells(cells), FIELD_NAMES) == cells


@given(cells=st.dictionaries(st.sampled_from((*FIELD_NAMES, *ALIASES, "odd")), st.text(max_size=60)))
def test_any_text_gives_a_sound_sample_or_an_input_error(cells: dict[str, str]) -> None:
    try:
        sample = sample_from_cells(cells)
    except InputError:
        return
    check_sample(sample)


def test_columns_and_fields_are_the_same() -> None:
    assert set(FIELD_NAMES) == set(COLUMN_BY_NAME) == {field.name for field in fields(Sample)}
    assert len(FIELD_NAMES) == len(COLUMN_BY_NAME)
    assert tuple(name for name in FIELD_NAMES if name in {c.name for c in COLUMNS}) == tuple(c.name for c in COLUMNS)


@pytest.mark.parametrize("column", COLUMN_BY_NAME.values(), ids=lambda column: column.name)
def test_every_column_says_what_it_is_and_every_number_is_bounded(column: Column) -> None:
    assert column.description
    assert (column.kind == "choice") == bool(column.choices)
    if column.kind in ("number", "integer"):
        assert column.lower is not None
        assert column.upper is not None
        assert column.lower < column.upper


def test_the_unit_of_a_number_is_in_its_name() -> None:
    suffixes = {
        "°C": "_temp_c", "h": "_time_h", "MPa": "_mpa", "%": "_pct", "wt%": "_wt_pct", "mol%": "_mol_pct",
        "S/cm": "_s_cm", "eV": "_ev", "GPa": "_gpa", "g/cm³": "_g_cm3",
    }  # fmt: skip
    named = {name: COLUMN_BY_NAME[name].unit for name in NUMBER_NAMES if COLUMN_BY_NAME[name].unit in suffixes}
    assert all(name.endswith(suffixes[unit]) or name == "tg_c" for name, unit in named.items())


def test_a_sample_of_nothing_is_allowed_and_empty() -> None:
    assert sample_from_cells({}) == Sample()
    assert set(cells_from_sample(Sample(), FIELD_NAMES).values()) == {""}
    check_sample(Sample())


def test_a_sample_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError, match="formula"):
        Sample().formula = "Na3PS4"  # type: ignore[misc]


@pytest.mark.parametrize("cell", ["", "   ", None], ids=["empty", "blank", "missing"])
def test_what_is_not_stated_stays_unknown(cell: str) -> None:
    sample = sample_from_cells({"porosity_pct": cell, "meas_temp_c": cell, "phase": cell, "formula": cell})
    assert sample == Sample()


@pytest.mark.parametrize(
    ("cell", "value"),
    [("25", 25.0), ("25.0", 25.0), (" 1.45e-4 ", 1.45e-4), ("+.5", 0.5), ("1.", 1.0), ("1E2", 100.0), ("1e-02", 0.01)],
)
def test_plain_decimals_are_read(cell: str, value: float) -> None:
    assert sample_from_cells({"conductivity_s_cm": cell}).conductivity_s_cm == value


@pytest.mark.parametrize(
    "cell",
    ["nan", "inf", "-Infinity", "1_000", "1,5", "١٢", "²", "0x10", "1e", "e5", "--1", "1 2", "1e9999", "12%", "1" * 41],
)
def test_anything_but_a_plain_decimal_is_refused(cell: str) -> None:
    with pytest.raises(RangeError, match=r"column 'porosity_pct' has the value .*; allowed is a number from 0 to"):
        sample_from_cells({"porosity_pct": cell})


@pytest.mark.parametrize(
    ("name", "cell", "allowed"),
    [
        ("sinter_temp_c", "0", "a number above 0 and up to 2500 °C"),
        ("sinter_temp_c", "-300", "a number above 0 and up to 2500 °C"),
        ("heat_temp_c", "2501", "a number above 0 and up to 2500 °C"),
        ("sinter_time_h", "-1", "a number from 0 to 10000 h"),
        ("heat_time_h", "10001", "a number from 0 to 10000 h"),
        ("press_mpa", "0", "a number above 0 and up to 20000 MPa"),
        ("rel_density_pct", "100.1", "a number above 0 and up to 100 %"),
        ("rel_density_pct", "0", "a number above 0 and up to 100 %"),
        ("porosity_pct", "-0.1", "a number from 0 to 95 %"),
        ("porosity_pct", "96", "a number from 0 to 95 %"),
        ("second_phase_wt_pct", "101", "a number from 0 to 100 wt%"),
        ("meas_temp_c", "-273.15", "a number from -200 to 1000 °C"),
        ("meas_temp_c", "1e3000", "a number from -200 to 1000 °C"),
        ("conductivity_s_cm", "0", "a number above 0 and up to 100 S/cm"),
        ("conductivity_s_cm", "1e-999", "a number above 0 and up to 100 S/cm"),
        ("ea_ev", "3.01", "a number from 0 to 3 eV"),
        ("strength_mpa", "5001", "a number above 0 and up to 5000 MPa"),
        ("year", "1799", "a whole number from 1800 to 2100"),
        ("year", "2020.5", "a whole number from 1800 to 2100"),
    ],
)  # fmt: skip
def test_impossible_quantities_are_refused_with_the_allowed_range(name: str, cell: str, allowed: str) -> None:
    with pytest.raises(RangeError, match=rf"column '{name}' has the value '{cell}'; allowed is {allowed}\."):
        sample_from_cells({name: cell})


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("sinter_time_h", "0"),
        ("porosity_pct", "0"),
        ("rel_density_pct", "100"),
        ("meas_temp_c", "-200"),
        ("ea_ev", "3"),
    ],
)
def test_the_bounds_themselves_are_allowed_where_they_can_be_met(name: str, cell: str) -> None:
    assert cells_from_sample(sample_from_cells({name: cell}), [name]) == {name: cell}


@pytest.mark.parametrize("cell", ["glass_ceramic", "glass-ceramic", "Glass Ceramic", " GLASS-CERAMIC "])
def test_phases_are_read_as_people_write_them(cell: str) -> None:
    assert sample_from_cells({"phase": cell}).phase == "glass_ceramic"


@pytest.mark.parametrize("name", CHOICE_NAMES)
def test_an_unknown_choice_is_refused_with_the_allowed_ones(name: str) -> None:
    allowed = ", ".join(COLUMN_BY_NAME[name].choices)
    with pytest.raises(RangeError, match=f"column '{name}' has the value 'odd'; allowed is one of {allowed}"):
        sample_from_cells({name: "odd"})


@pytest.mark.parametrize(("alias", "name"), ALIASES.items(), ids=ALIASES)
def test_older_names_are_read(alias: str, name: str) -> None:
    cell = "total" if name == "conductivity_kind" else "1"
    assert sample_from_cells({alias: cell}) == sample_from_cells({name: cell}) != Sample()


def test_one_quantity_given_twice_is_refused() -> None:
    with pytest.raises(TableError, match="gives the column 'conductivity_s_cm' twice, once as 'sigma_s_cm'"):
        sample_from_cells({"conductivity_s_cm": "1e-3", "sigma_s_cm": "1e-4"})


def test_unknown_columns_are_left_aside_or_refused_as_asked() -> None:
    assert sample_from_cells({"furnace": "A. N. Other"}) == Sample()
    with pytest.raises(TableError, match="column 'furnace', which is not known; allowed are sample_id, paper_id"):
        sample_from_cells({"furnace": "A. N. Other"}, allow_unknown_columns=False)


@pytest.mark.parametrize(
    ("name", "limit"), [("label", 500), ("formula", 500), ("title", 1200), ("journal", 600)], ids=str
)
def test_long_text_is_refused_not_cut(name: str, limit: int) -> None:
    assert getattr(sample_from_cells({name: "x" * limit}), name) == "x" * limit
    with pytest.raises(RangeError, match=rf"at most {limit} characters. It has {limit + 1} characters; shorten it"):
        sample_from_cells({name: "x" * (limit + 1)})


@pytest.mark.parametrize("text", ["two\nlines", "a\x00b", "\ud800"], ids=["line break", "nul", "surrogate"])
def test_text_that_cannot_be_printed_is_refused(text: str) -> None:
    with pytest.raises(RangeError, match=r"column 'label' has the value .* cannot be printed; remove it"):
        sample_from_cells({"label": text})


def test_a_cell_that_is_no_text_is_refused() -> None:
    with pytest.raises(RangeError, match=r"column 'year' has the value '\[2020\]'.* Give it as text"):
        sample_from_cells({"year": [2020]})  # type: ignore[dict-item]


def test_density_and_porosity_may_not_contradict_each_other() -> None:
    message = "relative density of 90 % and a porosity of 20 % contradict each other: they may add up to at most 105 %"
    with pytest.raises(RangeError, match=message):
        sample_from_cells({"rel_density_pct": "90", "porosity_pct": "20"})
    with pytest.raises(RangeError, match=message):
        check_sample(Sample(rel_density_pct=90, porosity_pct=20))
    check_sample(Sample(rel_density_pct=90, porosity_pct=15))


@pytest.mark.parametrize("name", NUMBER_NAMES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1", 1e9], ids=repr)
def test_check_sample_refuses_what_is_no_sound_number(name: str, value: float | str) -> None:
    with pytest.raises(RangeError, match=f"column '{name}' has the value"):
        check_sample(replace(Sample(), **{name: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [{"formula": None}, {"phase": "odd"}, {"phase": None}, {"label": 3}, {"label": "x" * 501}, {"year": 2020.0}],
    ids=str,
)
def test_check_sample_refuses_what_is_no_sound_text_choice_or_year(change: dict[str, Any]) -> None:
    with pytest.raises(RangeError, match=f"column '{next(iter(change))}' has the value"):
        check_sample(replace(Sample(), **change))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (25, "25"),
        (25.0, "25"),
        (0.000145, "0.000145"),
        (3.7e-10, "3.7e-10"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (400.5, "400.5"),
    ],
)
def test_numbers_are_written_in_their_shortest_form(value: float, text: str) -> None:
    assert cells_from_sample(Sample(meas_temp_c=value), ["meas_temp_c"]) == {"meas_temp_c": text}


def test_an_unknown_column_cannot_be_written() -> None:
    with pytest.raises(TableError, match="A sample has no column 'note'; allowed are sample_id"):
        cells_from_sample(Sample(), ["note"])


@pytest.mark.parametrize(
    ("sample", "text"),
    [
        (
            Sample(first_author="Jing Yang", journal="Ionics", year=2019, doi="10.1007/x", title="T"),
            "Jing Yang et al., Ionics (2019), doi:10.1007/x",
        ),
        (Sample(doi="10.1007/x", title="A title"), "“A title”, doi:10.1007/x"),
        (Sample(title="A title", year=1998), "“A title” (1998)"),
        (Sample(source_url="https://osti.gov/biblio/1", paper_id="text-1"), "https://osti.gov/biblio/1"),
        (
            Sample(paper_id="10.1016/j.jpowsour.2014.09.137#ref45", doi="10.1016/j.jpowsour.2014.09.137"),
            "ref. 45 as compiled in doi:10.1016/j.jpowsour.2014.09.137",
        ),
        (Sample(paper_id="text-6a6a12cd"), "text of unknown identity (text-6a6a12cd)"),
        (Sample(paper_id="text-6a6a12cd", year=2020), "text of unknown identity (text-6a6a12cd)"),
        (Sample(), "text of unknown identity (no identifier)"),
    ],
    ids=["full", "title and doi", "title", "address", "reference of a survey", "slug", "slug and year", "nothing"],
)
def test_a_citation_says_what_is_known(sample: Sample, text: str) -> None:
    assert citation(sample) == text


def test_records_load_without_numpy_or_pandas() -> None:
    code = "import sys, nascreen.records; sys.exit(bool({'numpy', 'pandas'} & sys.modules.keys()))"
    folder = __file__.rpartition("tests")[0]
    assert subprocess.run([sys.executable, "-c", code], cwd=folder, check=False).returncode == 0


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(sample_from_cells({"formula": "Na3PS4", "press_mpa": "360"}), id="read"),
        pytest.param(with_values(Sample(formula="Na3PS4", press_mpa=10.0), {"press_mpa": 360.0}), id="changed"),
    ],
)
def test_a_sample_made_quickly_is_one_like_any_other(made: Sample) -> None:
    expected = Sample(formula="Na3PS4", press_mpa=360.0)
    assert type(made) is Sample
    assert (made, hash(made), repr(made)) == (expected, hash(expected), repr(expected))
    assert pickle.loads(pickle.dumps(made)) == replace(made) == expected
    with pytest.raises(FrozenInstanceError):
        made.formula = "NaCl"  # type: ignore[misc]
