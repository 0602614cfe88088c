"""Promises of the features: named columns, the founding samples by hand, and nothing imputed or leaked."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nascreen.chemistry import FAMILIES, pad_amounts, parse_formula
from nascreen.datasets import distinct_formulas, load_table
from nascreen.elements import MAGPIE_NAMES, magpie
from nascreen.errors import FormulaError
from nascreen.features import (
    BLOCKS,
    ELEMENTS,
    FAMILY_NAMES,
    FEATURE_NAMES,
    FIELD_NAMES,
    FRACTION_NAMES,
    PHASES,
    PROCESSING_NAMES,
    chemistry_of,
    element_table,
    feature_matrix,
)
from nascreen.records import Sample

BLOCK_NAMES = {
    "family": FAMILY_NAMES, "fraction": FRACTION_NAMES, "field": FIELD_NAMES, "magpie": MAGPIE_NAMES,
    "processing": PROCESSING_NAMES,
}  # fmt: skip
LITERATURE = [sample for sample in load_table("literature") if sample.formula]
PROCESSING_NUMBERS = PROCESSING_NAMES[:10]
PROCESSING_FLAGS = PROCESSING_NAMES[10:]


def _described(sample: Sample) -> dict[str, float]:
    (row,) = feature_matrix([sample])
    return dict(zip(FEATURE_NAMES, map(float, row), strict=True))


def test_columns_are_those_that_are_named_each_once() -> None:
    matrix = feature_matrix(LITERATURE[:3])
    assert matrix.shape == (3, len(FEATURE_NAMES))
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)


def test_blocks_cover_all_columns_in_order_and_do_not_overlap() -> None:
    covered = [i for name in BLOCK_NAMES for i in range(*BLOCKS[name].indices(len(FEATURE_NAMES)))]
    assert covered == list(range(len(FEATURE_NAMES)))


@pytest.mark.parametrize("name", BLOCK_NAMES)
def test_each_block_stands_where_its_names_stand(name: str) -> None:
    assert FEATURE_NAMES[BLOCKS[name]] == BLOCK_NAMES[name]


def test_the_phases_are_the_end_of_the_processing_block() -> None:
    assert FEATURE_NAMES[BLOCKS["phase"]] == tuple(f"phase_{phase}" for phase in PHASES)
    assert BLOCKS["phase"].stop == len(FEATURE_NAMES)


def test_no_samples_give_no_rows() -> None:
    assert feature_matrix([]).shape == (0, len(FEATURE_NAMES))


def test_the_magpie_block_is_that_of_the_elements() -> None:
    formulas = distinct_formulas(LITERATURE)[:200]
    amounts = [{s: float(n) for s, n in parse_formula(f).amounts.items()} for f in formulas]
    block = feature_matrix([Sample(formula=f) for f in formulas])[:, BLOCKS["magpie"]]
    np.testing.assert_array_equal(block, magpie(element_table(), pad_amounts(amounts)))


def test_na3bs3_is_described_as_by_hand() -> None:
    found = _described(Sample(formula="Na3BS3", phase="glass"))
    expected = {
        "family_thioborate": 1, "fraction_Na": 3 / 7, "fraction_B": 1 / 7, "fraction_S": 3 / 7, "fraction_O": 0,
        "sodium_fraction": 3 / 7, "lithium_fraction": 0, "mobile_ion_fraction": 3 / 7, "mobile_ion_per_anion": 1,
        "mobile_ion_per_cation": 3, "modifier_fraction": 0.75, "former_B": 1, "former_Si": 0, "anion_S": 1,
        "anion_polarizability": 10.2, "anion_radius": 1.84, "anion_mixing_entropy": 0, "net_charge": 0,
        "anion_volume_per_mobile_ion": 1.84**3, "n_elements": 3, "phase_glass": 1, "phase_crystalline": 0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_the_undoped_nasicon_is_described_as_by_hand() -> None:
    found = _described(Sample(formula="Na3Zr2Si2PO12", phase="crystalline"))
    expected = {
        "family_nasicon": 1, "sodium_fraction": 3 / 20, "fraction_Zr": 0.1, "mobile_ion_per_anion": 0.25,
        "mobile_ion_per_cation": 3 / 5, "former_Si": 2 / 5, "former_P": 1 / 5, "anion_O": 1, "nasicon_sodium": 3,
        "nasicon_sodium_from_best": 0.35, "nasicon_silicon": 2, "nasicon_metal": 2, "metal_radius": 0.72,
        "metal_radius_spread": 0, "metal_charge": 4, "metal_electronegativity": 1.33, "dopant_fraction": 0,
        "dopant_radius_mismatch": 0, "dopant_charge_mismatch": 0, "net_charge": 0, "n_elements": 5,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_scandium_in_nasicon_is_seen_as_a_larger_dopant_of_lower_charge() -> None:
    found = _described(Sample(formula="Na3.1Zr1.9Sc0.1Si2PO12", phase="crystalline"))
    expected = {
        "nasicon_sodium": 3.1, "nasicon_sodium_from_best": 0.25, "nasicon_silicon": 2, "nasicon_metal": 2,
        "dopant_fraction": 0.05, "dopant_charge_mismatch": -1, "dopant_radius_mismatch": 0.745 - 0.72,
        "metal_charge": 3.95, "metal_radius": 0.72 * 0.95 + 0.745 * 0.05, "net_charge": 0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_sodium_of_nasicon_is_counted_per_three_tetrahedra() -> None:
    small, large = _described(Sample(formula="Na3Zr2Si2PO12")), _described(Sample(formula="Na6Zr4Si4P2O24"))
    assert small["nasicon_sodium"] == large["nasicon_sodium"] == 3


def test_what_is_not_nasicon_has_no_nasicon_descriptors() -> None:
    found = _described(Sample(formula="Na3PS4"))
    assert all(math.isnan(value) for name, value in found.items() if name.startswith("nasicon_"))


def test_two_anions_in_equal_parts_mix_with_the_entropy_ln_2() -> None:
    assert _described(Sample(formula="Na3OBr"))["anion_mixing_entropy"] == pytest.approx(math.log(2))


def test_an_unbalanced_charge_is_a_number_and_an_unknown_one_is_missing() -> None:
    assert _described(Sample(formula="Na3.8Zr2Si2.4P0.6O12"))["net_charge"] == pytest.approx(0.4)
    assert math.isnan(_described(Sample(formula="Na2B12H12"))["net_charge"])


def test_processing_that_is_not_stated_stays_missing() -> None:
    found = _described(Sample(formula="Na3Zr2Si2PO12"))
    assert all(math.isnan(found[name]) for name in PROCESSING_NUMBERS)
    assert all(found[name] == 0 for name in PROCESSING_FLAGS)


@pytest.mark.parametrize(
    ("stated", "feature", "value"),
    [
        ({"sinter_temp_c": 1200.0}, "sinter_temp_c", 1200.0),
        ({"sinter_time_h": 0.95}, "log_sinter_time_h", 0.0),
        ({"heat_temp_c": 300.0}, "heat_temp_c", 300.0),
        ({"heat_time_h": 9.95}, "log_heat_time_h", 1.0),
        ({"press_mpa": 360.0}, "press_mpa", 360.0),
        ({"rel_density_pct": 95.0}, "rel_density_pct", 95.0),
        ({"porosity_pct": 10.0}, "porosity_pct", 10.0),
        ({"second_phase_wt_pct": 5.0}, "second_phase_wt_pct", 5.0),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_what_is_stated_fills_its_own_column_alone(stated: dict[str, float], feature: str, value: float) -> None:
    found = _described(Sample(formula="Na3Zr2Si2PO12", **stated))  # type: ignore[arg-type]
    assert found[feature] == pytest.approx(value)
    derived = {"density_pct", "highest_temp_c"}
    assert all(math.isnan(found[name]) for name in PROCESSING_NUMBERS if name != feature and name not in derived)


def test_density_follows_from_porosity_and_the_highest_temperature_from_both_treatments() -> None:
    found = _described(Sample(formula="Na3PS4", porosity_pct=10.0, sinter_temp_c=500.0, heat_temp_c=270.0))
    assert (found["density_pct"], found["highest_temp_c"]) == (90.0, 500.0)
    assert math.isnan(found["rel_density_pct"])
    assert _described(Sample(formula="Na3PS4", rel_density_pct=88.0, porosity_pct=10.0))["density_pct"] == 88.0


@pytest.mark.parametrize(
    ("stated", "features"),
    [
        ({"second_phase": "epoxy"}, {"second_phase_any", "second_phase_epoxy"}),
        ({"second_phase": "PVDF-HFP"}, {"second_phase_any", "second_phase_polymer"}),
        ({"second_phase": "ionic liquid"}, {"second_phase_any", "second_phase_liquid"}),
        ({"second_phase_role": "matrix"}, {"second_phase_matrix"}),
        ({"second_phase_role": "sintering_aid"}, {"second_phase_aid"}),
        ({"synthesis": "cold_sintering"}, {"made_cold_sintered"}),
        ({"synthesis": "SPS"}, {"made_pressure_assisted"}),
        ({"synthesis": "ball_mill"}, {"made_milled"}),
        ({"synthesis": "melt_quench"}, {"made_melted"}),
        ({"synthesis": "sol_gel"}, {"made_from_solution"}),
        ({"synthesis": "solid_state"}, set()),
        ({"structure": "tetragonal"}, {"tetragonal"}),
        ({"structure": "rhombohedral R-3c"}, {"rhombohedral"}),
        ({"structure": "monoclinic"}, {"monoclinic"}),
        ({"structure": "amorphous"}, {"amorphous"}),
        ({"structure": "single crystal"}, {"single_crystal"}),
        ({"conductivity_kind": "bulk"}, {"bulk_conductivity"}),
        ({"phase": "glass_ceramic"}, {"phase_glass_ceramic"}),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_words_raise_their_flags_and_no_others(stated: dict[str, str], features: set[str]) -> None:
    found = _described(Sample(formula="Na3PS4", **stated))  # type: ignore[arg-type]
    assert {name for name in PROCESSING_FLAGS if found[name] == 1} == features


@given(
    sample=st.sampled_from(LITERATURE),
    temp_c=st.none() | st.floats(-200, 1000),
    sigma=st.none() | st.floats(1e-12, 1),
    ea=st.none() | st.floats(0, 3),
)
def test_no_measured_value_nor_its_temperature_is_a_feature(
    sample: Sample, temp_c: float | None, sigma: float | None, ea: float | None
) -> None:
    other = replace(sample, meas_temp_c=temp_c, conductivity_s_cm=sigma, ea_ev=ea, strength_mpa=12.0, tg_c=150.0)
    np.testing.assert_array_equal(feature_matrix([other]), feature_matrix([sample]))


@given(sample=st.sampled_from(LITERATURE), text=st.sampled_from(["lit-9999", "10.1/x", "A. N. Other"]))
def test_where_a_sample_was_reported_is_no_feature(sample: Sample, text: str) -> None:
    other = replace(
        sample, sample_id=text, paper_id=text, group_id=text, doi=text, first_author=text, year=1999, label=text
    )
    np.testing.assert_array_equal(feature_matrix([other]), feature_matrix([sample]))


@given(rows=st.lists(st.sampled_from(LITERATURE), min_size=1, max_size=12), data=st.data())
def test_each_row_depends_on_its_sample_alone(rows: list[Sample], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(rows))))
    matrix = feature_matrix(rows)
    np.testing.assert_array_equal(feature_matrix([rows[i] for i in order]), matrix[list(order)])
    np.testing.assert_array_equal(feature_matrix(rows[-1:])[0], matrix[-1])


@pytest.mark.parametrize(
    ("formula", "same"),
    [
        ("Na3BS3", "S3BNa3"),
        ("Na3Zr2Si2PO12", "O12PSi2Zr2Na3"),
        ("Na3Zr2Si2PO12", "Na3Zr2(SiO4)2PO4"),
        ("Na3.1Zr1.9Sc0.1Si2PO12", "Sc0.1Zr1.9Na3.1PSi2O12"),
        ("Na3PS4", "Na6P2S8"),
    ],
    ids=["thioborate reversed", "nasicon reversed", "brackets", "doped", "doubled"],
)
def test_a_compound_has_one_description_however_it_is_written(formula: str, same: str) -> None:
    matrix = feature_matrix([Sample(formula=formula), Sample(formula=same)])
    np.testing.assert_allclose(matrix[0], matrix[1], rtol=1e-12, atol=1e-12)


def test_every_formula_of_the_tables_has_a_family_and_finite_fractions() -> None:
    formulas = distinct_formulas([*LITERATURE, *load_table("glasses")])
    matrix = feature_matrix([Sample(formula=f) for f in formulas])
    fractions = matrix[:, BLOCKS["fraction"]]
    assert len(formulas) > 3000
    assert np.isfinite(fractions).all()
    assert fractions.min() >= 0
    assert fractions.sum(axis=1).max() <= 1 + 1e-12
    assert np.isfinite(matrix[:, BLOCKS["magpie"]]).all()
    np.testing.assert_array_equal(matrix[:, BLOCKS["family"]].sum(axis=1), 1)
    assert not np.isinf(matrix).any()


def test_fractions_of_sodium_conductors_that_were_measured_add_up_to_one_or_name_a_rare_element() -> None:
    for formula in distinct_formulas(s for s in LITERATURE if "Na" in s.formula):
        composition = chemistry_of(formula).composition
        total = feature_matrix([Sample(formula=formula)])[0, BLOCKS["fraction"]].sum()
        assert total == pytest.approx(1) or set(composition.amounts) - set(ELEMENTS)


def test_the_family_of_a_glass_is_not_that_of_its_crystal() -> None:
    crystal = _described(Sample(formula="Na3Zr2Si2PO12", phase="crystalline"))
    glass = _described(Sample(formula="Na3Zr2Si2PO12", phase="glass"))
    assert crystal["family_nasicon"] == 1
    assert glass["family_oxide_glass"] == 1
    assert sum(glass[f"family_{name}"] for name in FAMILIES) == 1


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("Na3(", "bracket that is never closed"),
        ("NaN", "missing value"),
        ("Na3Qq", "not an element symbol"),
        ("", "empty"),
    ],
    ids=["bracket", "nan", "symbol", "empty"],
)
def test_a_formula_that_cannot_be_read_is_refused_not_filled(formula: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        feature_matrix([Sample(formula="Na3PS4"), Sample(formula=formula)])
