"""Promises of units: read as laboratories write them, converted exactly, refused where they would be guessed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nascreen.errors import InputError, TableError
from nascreen.physics import ea_ev_from_kj_mol, kelvin
from nascreen.records import COLUMN_BY_NAME
from nascreen.units import UNITS, cell_in_column_unit, convert, heading_text, near_name, read_heading


@pytest.mark.parametrize(
    ("head", "cell", "column", "value"),
    [
        ("conductivity_s_cm", "4.5e-4", "conductivity_s_cm", 4.5e-4),
        ("conductivity [mS/cm]", "0.45", "conductivity_s_cm", 4.5e-4),
        ("Conductivity (mS cm-1)", "0.45", "conductivity_s_cm", 4.5e-4),
        ("conductivity_ms_cm", "0.45", "conductivity_s_cm", 4.5e-4),
        ("sigma [µS·cm⁻¹]", "450", "conductivity_s_cm", 4.5e-4),
        ("conductivity [S/m]", "0.045", "conductivity_s_cm", 4.5e-4),
        ("log10_conductivity_s_cm", "-4", "conductivity_s_cm", 1e-4),
        ("ea [kJ/mol]", "96.48533212331", "ea_ev", 1.0),
        ("Ea (meV)", "290", "ea_ev", 0.29),
        ("ea_kj_mol", "0", "ea_ev", 0.0),
        ("meas_temp_k", "298.15", "meas_temp_c", 25.0),
        ("sinter_temp [K]", "1473.15", "sinter_temp_c", 1200.0),
        ("sinter temp (°C)", "1200", "sinter_temp_c", 1200.0),
        ("strength [GPa]", "0.09", "strength_mpa", 90.0),
        ("press [bar]", "3600", "press_mpa", 360.0),
        ("hardness [MPa]", "4500", "hardness_gpa", 4.5),
        ("hardness (HV)", "500", "hardness_gpa", 4.903325),
        ("sinter_time [min]", "90", "sinter_time_h", 1.5),
        ("heat_time_d", "2", "heat_time_h", 48.0),
        ("rel_density [%]", "95", "rel_density_pct", 95.0),
        ("second_phase [wt%]", "5", "second_phase_wt_pct", 5.0),
        ("density [kg/m³]", "3270", "density_g_cm3", 3.27),
        ("kic [MPa·m^0.5]", "1.6", "fracture_toughness_mpa_m05", 1.6),
        ("ea_sd [meV]", "10", "ea_sd_ev", 0.01),
        ("conductivity", "0.45 mS/cm", "conductivity_s_cm", 4.5e-4),
        ("meas_temp", "25°C", "meas_temp_c", 25.0),
        ("conductivity [mS/cm]", "0.45 mS cm^-1", "conductivity_s_cm", 4.5e-4),
    ],
)
def test_units_in_heads_and_cells_are_converted(head: str, cell: str, column: str, value: float) -> None:
    heading = read_heading(head)
    assert heading.column == column
    assert float(cell_in_column_unit(heading, cell)) == pytest.approx(value, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("temperature", r"'temperature' is not known; say which: 'meas_temp \[°C\]', 'sinter_temp \[°C\]' or"),
        (
            "conductivity [ms/cm]",
            r"has the unit 'ms/cm', which is not known; allowed are S/cm, mS/cm, .*did you mean mS",
        ),
        ("ea (kcal/mol)", r"has the unit 'kcal/mol', which is not known; allowed are eV, meV, kJ/mol, J/mol\."),
        ("sinter temp (C)", r"has the unit 'C', which is not known; allowed are °C, K \(did you mean °C\?\)"),
        ("meas_temp [°F]", r"has the unit .*F', which is not known; allowed are °C, K\."),
        ("strength [mpa]", r"has the unit 'mpa', which is not known; .*did you mean MPa"),
        ("conductivity_s_cm [mS/cm]", r"names two units; keep one, such as 'conductivity \[S/cm\]'"),
        ("phase [K]", r"The column 'phase \[K\]' is not known"),
        ("log10_conductivity_s_cm [S/cm]", r"is not known"),
        ("conductivty_s_cm", r"'conductivty_s_cm' is not known; did you mean 'conductivity \[S/cm\]'\?"),
        ("sintertemp", r"'sintertemp' is not known; did you mean 'sinter_temp \[°C\]'\?"),
        ("furnace", r"'furnace' is not known; rename it, delete it, or name it to be left out\."),
        ("[K]", r"'\[K\]' is not known"),
        ("a" + "[K]" * 3000, r"has a name of 9001 characters; at most 200 are read"),
    ],
    ids=lambda text: text[:30],
)
def test_a_head_that_would_need_a_guess_is_refused_with_what_is_allowed(head: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        read_heading(head)


@pytest.mark.parametrize(
    ("head", "cell", "message"),
    [
        ("conductivity", "0.45", r"'0.45' has no unit; name the column 'conductivity \[S/cm\]', or write '0.45 S/cm'"),
        ("conductivity", "0.45 ms/cm", r"has the unit 'ms/cm', which is not known; allowed are S/cm, mS/cm"),
        ("conductivity_s_cm", "0.45 mS/cm", r"has another unit than the head of its column; keep one of them"),
        ("log10_conductivity_s_cm", "-4 S/cm", r"has the unit 'S/cm', but logarithms have none"),
    ],
)
def test_a_cell_that_would_need_a_guess_is_refused(head: str, cell: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        cell_in_column_unit(read_heading(head), cell)


@pytest.mark.parametrize("column", COLUMN_BY_NAME)
def test_every_column_reads_back_from_its_name_and_from_the_head_with_its_unit(column: str) -> None:
    plain, headed = read_heading(column), read_heading(heading_text(column))
    assert plain.column == headed.column == column
    assert plain.unit == headed.unit
    assert not headed.is_bare


@pytest.mark.parametrize("unit", UNITS)
def test_every_number_of_the_tables_has_units_and_the_first_is_its_own(unit: str) -> None:
    own = UNITS[unit][0]
    assert (own.symbol, own.factor, own.offset) == (unit, 1, 0)
    assert {column.unit for column in COLUMN_BY_NAME.values() if column.unit} == set(UNITS)
    written = [text for one in UNITS[unit] for text in (one.symbol, *one.others)]
    assert len(set(written)) == len(written)


def test_the_energy_of_a_mole_is_that_of_the_equations() -> None:
    assert float(convert("39", UNITS["eV"][2])) == pytest.approx(ea_ev_from_kj_mol(39.0), rel=1e-8)


@given(temp_c=st.decimals(-200, 1000, places=2))
def test_kelvin_is_the_inverse_of_the_equation(temp_c: object) -> None:
    exact = str(Fraction(str(temp_c)) + Fraction("273.15"))
    text = repr(float(Fraction(exact)))
    assert float(convert(text, UNITS["°C"][1])) == pytest.approx(float(str(temp_c)), abs=1e-9)
    assert float(text) == pytest.approx(kelvin(float(str(temp_c))))


@given(digits=st.integers(1, 10**9), exponent=st.integers(-12, 3))
def test_a_conversion_is_the_nearest_double_of_the_exact_value(digits: int, exponent: int) -> None:
    for unit in UNITS["S/cm"]:
        text = f"{digits}e{exponent}"
        assert float(convert(text, unit)) == float(Fraction(text) * unit.factor)


@given(cell=st.text(max_size=60), head=st.sampled_from(["conductivity", "ea [kJ/mol]", "meas_temp_k", "phase"]))
def test_any_cell_gives_text_or_an_input_error(cell: str, head: str) -> None:
    try:
        assert isinstance(cell_in_column_unit(read_heading(head), cell), str)
    except InputError:
        return


@given(name=st.text(max_size=60))
def test_any_head_gives_a_column_or_an_input_error(name: str) -> None:
    try:
        assert read_heading(name).column in COLUMN_BY_NAME
    except InputError:
        return


@pytest.mark.parametrize("number", ["1" * 5000, "9e999", "1e-999"], ids=["digits", "large", "small"])
def test_numbers_beyond_every_bound_do_not_break_the_conversion(number: str) -> None:
    assert isinstance(convert(number, UNITS["eV"][2]), str)


@pytest.mark.parametrize(
    ("name", "near"),
    [("Meas-Temp [K]", "meas_temp_c"), ("phases", "phase"), ("press", "press_mpa"), ("", None), ("zzz", None)],
)
def test_a_near_name_is_found_or_not(name: str, near: str | None) -> None:
    assert near_name(name, ["formula", "phase", "meas_temp_c", "press_mpa"]) == near
