"""Promises of nascreen.physics: numbers of the papers, limits, round trips, arrays, refusals."""

from __future__ import annotations

import inspect
import math
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nascreen import physics
from nascreen.errors import NascreenError, RangeError

if TYPE_CHECKING:
    from collections.abc import Callable

# One physical call of every public function: the base that the tests below vary.
VALID: dict[str, dict[str, float]] = {
    "kelvin": {"temp_c": 25.0},
    "ea_ev_from_kj_mol": {"ea_kj_mol": 39.0},
    "arrhenius_slope": {"temp_c": 60.0, "ref_temp_c": 25.0},
    "log_conductivity_at": {"log_sigma_ref": -5.0, "ea_ev": 0.4, "temp_c": 60.0, "ref_temp_c": 25.0},
    "conductivity_at": {"sigma_ref_s_cm": 1.1e-5, "ea_ev": 0.4, "temp_c": 60.0, "ref_temp_c": 25.0},
    "conductivity_at_sigma_t": {"sigma_ref_s_cm": 1.1e-5, "ea_ev": 0.4, "temp_c": 60.0, "ref_temp_c": 25.0},
    "activation_energy_ev": {"sigma_1_s_cm": 1.1e-5, "temp_1_c": 25.0, "sigma_2_s_cm": 5.8e-5, "temp_2_c": 60.0},
    "conductivity_from_resistance": {"thickness_cm": 0.1, "area_cm2": 0.5, "resistance_ohm": 200.0},
    "archimedes_porosity": {"dry_g": 2.0, "suspended_g": 1.4, "saturated_g": 2.2},
    "relative_density": {"bulk_g_cm3": 3.0, "theoretical_g_cm3": 3.2},
    "three_point_bending_strength_mpa": {"force_n": 8.0, "span_mm": 10.0, "width_mm": 6.0, "thickness_mm": 1.0},
    "voigt_bound": {"value_a": 100.0, "value_b": 20.0, "fraction_b": 0.25},
    "reuss_bound": {"value_a": 100.0, "value_b": 20.0, "fraction_b": 0.25},
    "strength_at_porosity": {"strength_dense_mpa": 100.0, "porosity": 0.1, "b": 7.0},
    "conductivity_at_porosity": {"sigma_dense": 1e-3, "porosity": 0.19, "exponent": 1.5},
    "transference_number": {"sigma_ionic": 9.0, "sigma_electronic": 1.0},
    "mean_atomic_volume": {"molar_mass_g_mol": 58.44, "density_g_cm3": 2.17, "n_atoms": 2.0},
    "thinnest_thickness_um": {
        "reference_thickness_um": 850.0,
        "reference_strength_mpa": 15.0,
        "strength_mpa": 35.0,
    },
    "thinnest_thickness_for_load_um": {"force_n": 8.0, "span_mm": 10.0, "width_mm": 6.0, "strength_mpa": 20.0},
    "area_specific_resistance_ohm_cm2": {"thickness_um": 556.0, "sigma_s_cm": 1.45e-4},
}
ARGUMENTS = [(function, name) for function, arguments in VALID.items() for name in arguments]

FRACTIONS = st.floats(0.0, 1.0)
POSITIVE = st.floats(1e-6, 1e6)
SIGMAS_S_CM = st.floats(1e-12, 1.0)
ENERGIES_EV = st.floats(0.01, 2.0)
TEMPS_C = st.floats(-100.0, 1000.0)

by_function = pytest.mark.parametrize("function", VALID, ids=str)
by_argument = pytest.mark.parametrize(("function", "name"), ARGUMENTS, ids=[f"{f}-{n}" for f, n in ARGUMENTS])


def call(function: str, **changed: object) -> physics.Quantity:
    equation: Callable[..., physics.Quantity] = getattr(physics, function)
    return equation(**{**VALID[function], **changed})


def public_functions() -> set[str]:
    members = inspect.getmembers(physics, inspect.isfunction)
    return {name for name, member in members if member.__module__ == physics.__name__ and not name.startswith("_")}


# Numbers of the papers


def test_sodium_thioborate_glass_reaches_its_measured_conductivity_at_60_c() -> None:
    sigma = physics.conductivity_at(1.1e-5, physics.ea_ev_from_kj_mol(39.0), temp_c=60.0)
    assert sigma == pytest.approx(5.8e-5, rel=0.02)


@pytest.mark.parametrize(
    ("sigma_s_cm", "ea_kj_mol", "factor"),
    [
        pytest.param(3.7e-10, 79.0, 28.4, id="crystal"),
        pytest.param(1.1e-5, 39.0, 5.22, id="glass"),
        pytest.param(1.2e-8, 55.0, 10.3, id="glass_ceramic_ht200"),
    ],
)
def test_higher_activation_energy_gains_more_from_heating_to_60_c(
    sigma_s_cm: float, ea_kj_mol: float, factor: float
) -> None:
    sigma = physics.conductivity_at(sigma_s_cm, physics.ea_ev_from_kj_mol(ea_kj_mol), temp_c=60.0)
    assert sigma / sigma_s_cm == pytest.approx(factor, rel=0.005)


def test_epoxy_filled_nasicon_carries_the_load_of_850_um_at_about_556_um() -> None:
    assert physics.thinnest_thickness_um(850.0, 15.0, 35.0) == pytest.approx(556.0, abs=0.5)


def test_boltzmann_faraday_and_gas_constant_agree() -> None:
    gas_constant_j_mol_k = physics.BOLTZMANN_EV_K * physics.KJ_MOL_PER_EV * 1000
    assert gas_constant_j_mol_k == pytest.approx(8.314462618, rel=1e-8)


# Limits


def test_reference_temperature_changes_nothing() -> None:
    assert physics.conductivity_at(1.1e-5, 0.4, temp_c=25.0) == 1.1e-5
    assert physics.log_conductivity_at(-5.0, 0.4, temp_c=25.0) == -5.0
    assert physics.conductivity_at_sigma_t(1.1e-5, 0.4, temp_c=25.0) == 1.1e-5


@pytest.mark.parametrize(
    ("temp_c", "sign"), [pytest.param(60.0, 1.0, id="hotter"), pytest.param(-20.0, -1.0, id="colder")]
)
def test_slope_is_positive_above_the_reference_and_negative_below(temp_c: float, sign: float) -> None:
    slope = physics.arrhenius_slope(temp_c)
    assert math.copysign(1.0, float(slope)) == sign


@pytest.mark.parametrize(
    ("saturated_g", "porosity"), [pytest.param(2.0, 0.0, id="dense"), pytest.param(2.6, 0.5, id="half_open")]
)
def test_archimedes_porosity_is_the_soaked_share_of_the_bulk_volume(saturated_g: float, porosity: float) -> None:
    measured = physics.archimedes_porosity(dry_g=2.0, suspended_g=1.4, saturated_g=saturated_g)
    assert measured == pytest.approx(porosity)


@pytest.mark.parametrize("bound", [physics.voigt_bound, physics.reuss_bound], ids=["voigt", "reuss"])
def test_bounds_end_at_the_pure_phases(bound: Callable[[float, float, float], float]) -> None:
    assert bound(100.0, 20.0, 0.0) == pytest.approx(100.0)
    assert bound(100.0, 20.0, 1.0) == pytest.approx(20.0)


def test_voigt_bound_accepts_an_empty_pore() -> None:
    assert physics.voigt_bound(100.0, 0.0, 0.25) == 75.0


def test_porosity_zero_is_dense_and_one_has_no_conductivity() -> None:
    assert physics.strength_at_porosity(100.0, 0.0, b=5.0) == 100.0
    assert physics.conductivity_at_porosity(1e-3, 0.0) == 1e-3
    assert physics.conductivity_at_porosity(1e-3, 1.0) == 0.0


def test_strength_exponent_has_no_default() -> None:
    assert inspect.signature(physics.strength_at_porosity).parameters["b"].default is inspect.Parameter.empty


def test_no_electronic_conductivity_means_transference_number_one() -> None:
    assert physics.transference_number(1e-4, 0.0) == 1.0


def test_full_density_is_accepted() -> None:
    assert physics.relative_density(3.27, 3.27) == 1.0


def test_falling_conductivity_shows_as_negative_activation_energy() -> None:
    assert physics.activation_energy_ev(2e-4, 25.0, 1e-4, 60.0) < 0


# Round trips and orders


@given(sigma=SIGMAS_S_CM, ea_ev=ENERGIES_EV, temp_c=TEMPS_C, ref_temp_c=TEMPS_C)
def test_activation_energy_of_a_derived_conductivity_gives_the_energy_back(
    sigma: float, ea_ev: float, temp_c: float, ref_temp_c: float
) -> None:
    apart_c = temp_c if abs(temp_c - ref_temp_c) > 1.0 else ref_temp_c + 10.0
    derived = physics.conductivity_at(sigma, ea_ev, apart_c, ref_temp_c)
    assert physics.activation_energy_ev(sigma, ref_temp_c, derived, apart_c) == pytest.approx(ea_ev, rel=1e-6)


@given(sigma=SIGMAS_S_CM, ea_ev=ENERGIES_EV, temp_c=TEMPS_C)
@pytest.mark.parametrize(
    "move", [physics.conductivity_at, physics.conductivity_at_sigma_t], ids=["sigma_form", "sigma_t_form"]
)
def test_moving_to_a_temperature_and_back_changes_nothing(
    move: Callable[[float, float, float, float], float], sigma: float, ea_ev: float, temp_c: float
) -> None:
    there = move(sigma, ea_ev, temp_c, 25.0)
    assert move(there, ea_ev, 25.0, temp_c) == pytest.approx(sigma, rel=1e-9)


@given(sigma=SIGMAS_S_CM, ea_ev=ENERGIES_EV, temp_c=TEMPS_C)
def test_logarithm_and_conductivity_never_contradict(sigma: float, ea_ev: float, temp_c: float) -> None:
    log_sigma = float(physics.log_conductivity_at(math.log10(sigma), ea_ev, temp_c))
    assert 10.0**log_sigma == pytest.approx(physics.conductivity_at(sigma, ea_ev, temp_c), rel=1e-9)


@given(sigma=SIGMAS_S_CM, ea_ev=ENERGIES_EV, temp_c=TEMPS_C)
def test_sigma_t_form_divides_the_sigma_form_by_the_temperature_ratio(
    sigma: float, ea_ev: float, temp_c: float
) -> None:
    ratio = physics.conductivity_at_sigma_t(sigma, ea_ev, temp_c) / physics.conductivity_at(sigma, ea_ev, temp_c)
    assert ratio == pytest.approx(298.15 / (temp_c + 273.15), rel=1e-9)


@given(temp_c=TEMPS_C, ref_temp_c=TEMPS_C)
def test_slope_changes_sign_when_the_temperatures_swap(temp_c: float, ref_temp_c: float) -> None:
    assert physics.arrhenius_slope(temp_c, ref_temp_c) == -physics.arrhenius_slope(ref_temp_c, temp_c)


@given(value_a=POSITIVE, value_b=POSITIVE, fraction_b=FRACTIONS)
def test_voigt_is_never_below_reuss_and_both_lie_between_the_phases(
    value_a: float, value_b: float, fraction_b: float
) -> None:
    upper = float(physics.voigt_bound(value_a, value_b, fraction_b))
    lower = float(physics.reuss_bound(value_a, value_b, fraction_b))
    slack = 1 + 1e-12
    assert min(value_a, value_b) <= lower * slack
    assert lower <= upper * slack
    assert upper <= max(value_a, value_b) * slack


@given(first=FRACTIONS, second=FRACTIONS, exponent=st.floats(0.5, 7.0))
@pytest.mark.parametrize(
    "at_porosity", [physics.strength_at_porosity, physics.conductivity_at_porosity], ids=["strength", "conductivity"]
)
def test_more_pores_never_raise_strength_or_conductivity(
    at_porosity: Callable[[float, float, float], float], first: float, second: float, exponent: float
) -> None:
    fewer, more = sorted((first, second))
    assert at_porosity(1.0, fewer, exponent) >= at_porosity(1.0, more, exponent)


@given(first=TEMPS_C, second=TEMPS_C, ea_ev=ENERGIES_EV)
def test_heating_never_lowers_the_conductivity(first: float, second: float, ea_ev: float) -> None:
    colder, hotter = sorted((first, second))
    assert physics.conductivity_at(1e-4, ea_ev, colder) <= physics.conductivity_at(1e-4, ea_ev, hotter)


@given(force_n=POSITIVE, span_mm=POSITIVE, width_mm=POSITIVE, strength_mpa=POSITIVE)
def test_bar_of_the_thinnest_thickness_breaks_at_its_strength(
    force_n: float, span_mm: float, width_mm: float, strength_mpa: float
) -> None:
    thickness_um = physics.thinnest_thickness_for_load_um(force_n, span_mm, width_mm, strength_mpa)
    breaks_at = physics.three_point_bending_strength_mpa(force_n, span_mm, width_mm, thickness_um / 1000)
    assert breaks_at == pytest.approx(strength_mpa, rel=1e-9)


@given(weak_mpa=POSITIVE, strong_mpa=POSITIVE)
def test_both_thickness_functions_agree_on_the_same_load(weak_mpa: float, strong_mpa: float) -> None:
    weak_um = physics.thinnest_thickness_for_load_um(7.845, 10.0, 5.0, weak_mpa)
    strong_um = physics.thinnest_thickness_for_load_um(7.845, 10.0, 5.0, strong_mpa)
    assert physics.thinnest_thickness_um(weak_um, weak_mpa, strong_mpa) == pytest.approx(strong_um, rel=1e-9)


@given(thickness_um=POSITIVE, sigma=SIGMAS_S_CM)
def test_area_specific_resistance_inverts_the_conductivity_of_a_disc(thickness_um: float, sigma: float) -> None:
    asr = physics.area_specific_resistance_ohm_cm2(thickness_um, sigma)
    assert physics.conductivity_from_resistance(thickness_um * 1e-4, 1.0, asr) == pytest.approx(sigma, rel=1e-9)


# Numbers and arrays


def test_every_public_function_is_covered_by_the_general_promises() -> None:
    assert set(VALID) == public_functions()


@by_function
def test_numbers_give_a_plain_float(function: str) -> None:
    assert type(call(function)) is float


@by_argument
def test_an_array_in_any_argument_gives_the_array_of_single_results(function: str, name: str) -> None:
    value = VALID[function][name]
    values = np.array([value, value * 0.98 if name == "bulk_g_cm3" else value * 1.02])
    result = call(function, **{name: values})
    assert isinstance(result, np.ndarray)
    singles = [float(call(function, **{name: float(single)})) for single in values]
    assert result.tolist() == pytest.approx(singles, rel=1e-12)


@by_function
def test_arrays_in_all_arguments_keep_their_shape_and_stay_unchanged(function: str) -> None:
    arrays = {name: np.full((2, 3), value) for name, value in VALID[function].items()}
    result = call(function, **arrays)
    assert np.shape(result) == (2, 3)
    assert all(np.all(arrays[name] == value) for name, value in VALID[function].items())


@by_function
def test_empty_arrays_give_an_empty_array(function: str) -> None:
    assert np.shape(call(function, **{name: np.array([]) for name in VALID[function]})) == (0,)


@by_function
def test_every_docstring_names_its_source_and_shows_an_example(function: str) -> None:
    doc = inspect.getdoc(getattr(physics, function)) or ""
    for section in ("Args:", "Returns:", "Raises:", "Source:", "Example:", ">>> "):
        assert section in doc, f"{function} lacks {section}"


# Refusals


@by_argument
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=["nan", "inf", "minus_inf"])
def test_a_value_that_is_not_finite_is_refused_by_name(function: str, name: str, value: float) -> None:
    with pytest.raises(RangeError, match=rf"{name} is {value} but must be .+\.$"):
        call(function, **{name: value})


@by_argument
def test_one_missing_value_in_an_array_is_refused(function: str, name: str) -> None:
    with pytest.raises(RangeError, match=f"{name} is nan but must be"):
        call(function, **{name: np.array([VALID[function][name], math.nan])})


def signed(name: str) -> bool:
    return name.endswith("temp_c") or name.startswith(("temp_", "log_"))


NOT_SIGNED = [(function, name) for function, name in ARGUMENTS if not signed(name)]


@pytest.mark.parametrize(("function", "name"), NOT_SIGNED, ids=[f"{f}-{n}" for f, n in NOT_SIGNED])
def test_a_negative_value_is_refused_where_none_is_possible(function: str, name: str) -> None:
    with pytest.raises(RangeError, match=rf"{name} is -0\.5 but must be"):
        call(function, **{name: -0.5})


ZERO_ALLOWED = {"ea_kj_mol", "ea_ev", "suspended_g", "fraction_b", "porosity", "b", "sigma_electronic"}
ABOVE_ZERO = [
    (function, name)
    for function, name in NOT_SIGNED
    if name not in ZERO_ALLOWED and (function, name) not in {("voigt_bound", "value_a"), ("voigt_bound", "value_b")}
]


@pytest.mark.parametrize(
    ("function", "name"),
    ABOVE_ZERO,
    ids=[f"{f}-{n}" for f, n in ABOVE_ZERO],
)
def test_zero_is_refused_where_only_positive_values_exist(function: str, name: str) -> None:
    with pytest.raises(RangeError, match=rf"^{name} is 0\.0 but must be finite and above 0\.$"):
        call(function, **{name: 0.0})


TEMPERATURES = [(function, name) for function, name in ARGUMENTS if "temp_" in name]


@pytest.mark.parametrize(("function", "name"), TEMPERATURES, ids=[f"{f}-{n}" for f, n in TEMPERATURES])
@pytest.mark.parametrize("temp_c", [-273.15, -300.0], ids=["absolute_zero", "below"])
def test_absolute_zero_and_below_are_refused(function: str, name: str, temp_c: float) -> None:
    with pytest.raises(RangeError, match=rf"^{name} is {temp_c} but must be finite and above -273\.15\.$"):
        call(function, **{name: temp_c})


@pytest.mark.parametrize(
    ("function", "name"),
    [
        pytest.param("voigt_bound", "fraction_b", id="voigt"),
        pytest.param("reuss_bound", "fraction_b", id="reuss"),
        pytest.param("strength_at_porosity", "porosity", id="strength"),
        pytest.param("conductivity_at_porosity", "porosity", id="conductivity"),
    ],
)
@pytest.mark.parametrize("value", [-0.01, 1.01, 19.0], ids=["negative", "above_one", "percent"])
def test_a_fraction_outside_0_to_1_is_refused(function: str, name: str, value: float) -> None:
    with pytest.raises(RangeError, match=f"^{name} is {value} but must be between 0 and 1"):
        call(function, **{name: value})


@pytest.mark.parametrize(
    ("function", "changed", "message"),
    [
        pytest.param(
            "archimedes_porosity",
            {"suspended_g": 2.0},
            "dry_g - suspended_g is 0.0 but must be finite and above 0.",
            id="sample_without_solid_volume",
        ),
        pytest.param(
            "archimedes_porosity",
            {"saturated_g": 1.5},
            "saturated_g - dry_g is -0.5 but must be finite and at least 0.",
            id="saturated_lighter_than_dry",
        ),
        pytest.param(
            "relative_density",
            {"bulk_g_cm3": 4.0},
            "bulk_g_cm3 / theoretical_g_cm3 is 1.25 but must be between 0 and 1.",
            id="denser_than_dense",
        ),
        pytest.param(
            "activation_energy_ev",
            {"temp_2_c": 25.0},
            "temp_2_c - temp_1_c is 0.0 but must be different from 0.",
            id="one_temperature_twice",
        ),
        pytest.param(
            "activation_energy_ev",
            {"temp_2_c": np.array([60.0, 25.0])},
            "temp_2_c - temp_1_c is 0.0 but must be different from 0.",
            id="one_temperature_twice_in_an_array",
        ),
        pytest.param(
            "activation_energy_ev",
            {"temp_1_c": 0.0, "temp_2_c": 1e-20},
            "temp_2_c - temp_1_c is 1e-20 but must be different from 0.",
            id="temperatures_a_rounding_step_apart",
        ),
    ],
)
def test_values_that_contradict_one_another_are_refused(
    function: str, changed: dict[str, object], message: str
) -> None:
    with pytest.raises(RangeError, match=f"^{re.escape(message)}$"):
        call(function, **changed)


@pytest.mark.parametrize(
    ("temp_c", "ref_temp_c"),
    [pytest.param(25.0, -273.0, id="overflow"), pytest.param(-273.0, 25.0, id="underflow")],
)
@pytest.mark.parametrize("function", ["conductivity_at", "conductivity_at_sigma_t"], ids=str)
def test_a_conductivity_that_would_become_zero_or_infinite_is_refused(
    function: str, temp_c: float, ref_temp_c: float
) -> None:
    with pytest.raises(RangeError, match=r"^log10\(sigma / sigma_ref\) is .+ but must be within ±300\.$"):
        call(function, temp_c=temp_c, ref_temp_c=ref_temp_c)


def test_a_refusal_is_also_a_value_error_of_nascreen() -> None:
    assert issubclass(RangeError, NascreenError)
    with pytest.raises(ValueError, match=r"^temp_c is -300\.0"):
        physics.kelvin(-300.0)
