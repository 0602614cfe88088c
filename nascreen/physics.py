"""Every equation that nascreen uses, as pure functions.

Each argument may be a number or a numpy array; numbers give a number, and any array gives an array by
numpy's broadcasting rules. The suffix of a name is its unit (`temp_c` in degrees Celsius). Input that is
not physically possible, not finite or missing (NaN) raises `RangeError`; nothing is clipped.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nascreen.errors import RangeError

if TYPE_CHECKING:
    from collections.abc import Callable

Quantity: TypeAlias = float | NDArray[np.float64]

# CODATA 2018: Tiesinga et al., Rev. Mod. Phys. 93, 025010 (2021), doi:10.1103/RevModPhys.93.025010
BOLTZMANN_EV_K = 8.617333262e-5
KJ_MOL_PER_EV = 96.485332
ZERO_CELSIUS_K = 273.15

# A double holds about 308 decades either way; beyond these a conductivity would turn into 0 or infinity.
MAX_DECADES = 300.0


def _require(
    allowed: str, is_allowed: Callable[[NDArray[np.float64]], NDArray[np.bool_]], values: dict[str, Quantity]
) -> None:
    """Raise `RangeError` for the first of ``values`` that is not finite or not allowed."""
    for name, value in values.items():
        numbers = np.asarray(value, dtype=np.float64)
        refused = numbers[~(np.isfinite(numbers) & is_allowed(numbers))]
        if refused.size:
            message = f"{name} is {refused[0]} but must be {allowed}."
            raise RangeError(message)


def _require_positive(**values: Quantity) -> None:
    _require("finite and above 0", lambda value: value > 0, values)


def _require_not_negative(**values: Quantity) -> None:
    _require("finite and at least 0", lambda value: value >= 0, values)


def _require_fraction(**values: Quantity) -> None:
    _require("between 0 and 1", lambda value: (value >= 0) & (value <= 1), values)


def _require_temperature(**values: Quantity) -> None:
    _require(f"finite and above -{ZERO_CELSIUS_K}", lambda value: value > -ZERO_CELSIUS_K, values)


# Plain operators and `math` where numpy would do, because numpy turns a float into a numpy.float64.
def _log10(value: Quantity) -> Quantity:
    return math.log10(value) if isinstance(value, float | int) else np.log10(value)


def kelvin(temp_c: Quantity) -> Quantity:
    """Convert a temperature from degrees Celsius to kelvin.

    T = t + 273.15, with T in K and t in °C.

    Args:
        temp_c: Temperature in °C, above -273.15.

    Returns:
        Absolute temperature in K.

    Raises:
        RangeError: The temperature is not above absolute zero.

    Source:
        BIPM, The International System of Units (SI Brochure), 9th edition, 2019.

    Example:
        >>> kelvin(25.0)
        298.15
    """
    _require_temperature(temp_c=temp_c)
    return temp_c + ZERO_CELSIUS_K


def ea_ev_from_kj_mol(ea_kj_mol: Quantity) -> Quantity:
    """Convert an activation energy from kJ/mol to eV.

    E(eV) = E(kJ/mol) / 96.485332.

    Args:
        ea_kj_mol: Activation energy in kJ/mol, at least 0.

    Returns:
        Activation energy in eV.

    Raises:
        RangeError: The energy is negative or not finite.

    Source:
        CODATA 2018, doi:10.1103/RevModPhys.93.025010; 39 kJ/mol of Na3BS3 glass, doi:10.1039/d0ma00777c.

    Example:
        >>> round(ea_ev_from_kj_mol(39.0), 4)
        0.4042
    """
    _require_not_negative(ea_kj_mol=ea_kj_mol)
    return ea_kj_mol / KJ_MOL_PER_EV


def arrhenius_slope(temp_c: Quantity, ref_temp_c: Quantity = 25.0) -> Quantity:
    """Return how many decades the conductivity moves per eV of activation energy between two temperatures.

    d(log10 σ)/dEa = -(1/T - 1/Tref) / (k ln 10), with T in K and k in eV/K; positive above the reference.

    Args:
        temp_c: Temperature in °C.
        ref_temp_c: Reference temperature in °C.

    Returns:
        Slope in decades per eV.

    Raises:
        RangeError: A temperature is not above absolute zero.

    Source:
        Arrhenius law in the σ form; Famprikis et al., Nat. Mater. 18, 1278 (2019), doi:10.1038/s41563-019-0431-3.

    Example:
        By hand: (1/298.15 - 1/333.15) / (8.617333e-5 × 2.302585).

        >>> round(arrhenius_slope(60.0), 4)
        1.7758
    """
    _require_temperature(temp_c=temp_c, ref_temp_c=ref_temp_c)
    return (1.0 / kelvin(ref_temp_c) - 1.0 / kelvin(temp_c)) / (BOLTZMANN_EV_K * math.log(10.0))


def log_conductivity_at(
    log_sigma_ref: Quantity, ea_ev: Quantity, temp_c: Quantity, ref_temp_c: Quantity = 25.0
) -> Quantity:
    """Move log10 of a conductivity from the reference temperature to another one.

    log10 σ(T) = log10 σ(Tref) - Ea (1/T - 1/Tref) / (k ln 10), from σ = σ0 exp(-Ea/kT).

    Args:
        log_sigma_ref: log10 of the conductivity in S/cm at the reference temperature.
        ea_ev: Activation energy in eV, at least 0.
        temp_c: Temperature in °C.
        ref_temp_c: Reference temperature in °C.

    Returns:
        log10 of the conductivity in S/cm at ``temp_c``.

    Raises:
        RangeError: A value is not finite, the energy negative, or a temperature not above absolute zero.

    Source:
        Famprikis et al., doi:10.1038/s41563-019-0431-3; Na3BS3 glass (1.1e-5 S/cm at 25 °C, 39 kJ/mol; 5.8e-5
        S/cm measured at 60 °C, which is log10 = -4.24), doi:10.1039/d0ma00777c.

    Example:
        >>> round(log_conductivity_at(-4.9586, ea_ev=0.4042, temp_c=60.0), 2)
        -4.24
    """
    _require("finite", np.isfinite, {"log_sigma_ref": log_sigma_ref})
    _require_not_negative(ea_ev=ea_ev)
    return log_sigma_ref + ea_ev * arrhenius_slope(temp_c, ref_temp_c)


def conductivity_at(
    sigma_ref_s_cm: Quantity, ea_ev: Quantity, temp_c: Quantity, ref_temp_c: Quantity = 25.0
) -> Quantity:
    """Move a conductivity from the reference temperature to another one.

    σ(T) = σ(Tref) exp(-(Ea/k) (1/T - 1/Tref)), from σ = σ0 exp(-Ea/kT).

    Args:
        sigma_ref_s_cm: Conductivity in S/cm at the reference temperature, above 0.
        ea_ev: Activation energy in eV of the σ form, at least 0.
        temp_c: Temperature in °C.
        ref_temp_c: Reference temperature in °C.

    Returns:
        Conductivity in S/cm at ``temp_c``.

    Raises:
        RangeError: A value is not physical, or the conductivity would change by more than 300 decades.

    Source:
        Famprikis et al., doi:10.1038/s41563-019-0431-3; Na3BS3 glass, doi:10.1039/d0ma00777c, where
        5.8e-5 S/cm were measured at 60 °C.

    Example:
        >>> sigma = conductivity_at(1.1e-5, ea_ev=ea_ev_from_kj_mol(39.0), temp_c=60.0)
        >>> f"{sigma:.2e}"
        '5.74e-05'
    """
    _require_positive(sigma_ref_s_cm=sigma_ref_s_cm)
    decades = log_conductivity_at(0.0, ea_ev, temp_c, ref_temp_c)
    _require(
        f"within ±{MAX_DECADES:g}",
        lambda value: np.abs(value) <= MAX_DECADES,
        {"log10(sigma / sigma_ref)": decades},
    )
    factor: Quantity = 10.0**decades
    return sigma_ref_s_cm * factor


def conductivity_at_sigma_t(
    sigma_ref_s_cm: Quantity, ea_ev: Quantity, temp_c: Quantity, ref_temp_c: Quantity = 25.0
) -> Quantity:
    """Move a conductivity to another temperature when the activation energy comes from a plot of σT.

    σ(T) = σ(Tref) (Tref/T) exp(-(Ea/k) (1/T - 1/Tref)), from σ = (A/T) exp(-Ea/kT).

    Args:
        sigma_ref_s_cm: Conductivity in S/cm at the reference temperature, above 0.
        ea_ev: Activation energy in eV of the σT form, at least 0.
        temp_c: Temperature in °C.
        ref_temp_c: Reference temperature in °C.

    Returns:
        Conductivity in S/cm at ``temp_c``.

    Raises:
        RangeError: A value is not physical, or the conductivity would change by more than 300 decades.

    Source:
        Famprikis et al., Nat. Mater. 18, 1278 (2019), doi:10.1038/s41563-019-0431-3.

    Example:
        Without activation, σT stays constant: doubling T from 298.15 K halves σ.

        >>> round(conductivity_at_sigma_t(1e-3, ea_ev=0.0, temp_c=323.15), 9)
        0.0005
    """
    sigma = conductivity_at(sigma_ref_s_cm, ea_ev, temp_c, ref_temp_c)
    return sigma * (kelvin(ref_temp_c) / kelvin(temp_c))


def activation_energy_ev(
    sigma_1_s_cm: Quantity, temp_1_c: Quantity, sigma_2_s_cm: Quantity, temp_2_c: Quantity
) -> Quantity:
    """Return the activation energy between two conductivities measured at two temperatures.

    Ea = -k ln(σ2/σ1) / (1/T2 - 1/T1), the σ form. Negative when the conductivity falls on heating, which
    for a solid electrolyte points to a change of the sample between the two measurements.

    Args:
        sigma_1_s_cm: First conductivity in S/cm, above 0.
        temp_1_c: Temperature of the first conductivity in °C.
        sigma_2_s_cm: Second conductivity in S/cm, above 0.
        temp_2_c: Temperature of the second conductivity in °C, different from the first.

    Returns:
        Activation energy in eV.

    Raises:
        RangeError: A conductivity or temperature is not physical, or the temperatures are equal.

    Source:
        Famprikis et al., doi:10.1038/s41563-019-0431-3; both conductivities of Na3BS3 glass and the 39 kJ/mol
        (0.404 eV) of the whole plot, doi:10.1039/d0ma00777c.

    Example:
        >>> round(activation_energy_ev(1.1e-5, 25.0, 5.8e-5, 60.0), 2)
        0.41
    """
    _require_positive(sigma_1_s_cm=sigma_1_s_cm, sigma_2_s_cm=sigma_2_s_cm)
    _require_temperature(temp_1_c=temp_1_c, temp_2_c=temp_2_c)
    slope = arrhenius_slope(temp_2_c, ref_temp_c=temp_1_c)
    # The slope decides, not the difference: temperatures a rounding step apart still divide by zero.
    _require("different from 0", lambda _: np.not_equal(slope, 0), {"temp_2_c - temp_1_c": temp_2_c - temp_1_c})
    return (_log10(sigma_2_s_cm) - _log10(sigma_1_s_cm)) / slope


def conductivity_from_resistance(thickness_cm: Quantity, area_cm2: Quantity, resistance_ohm: Quantity) -> Quantity:
    """Return the conductivity of a disc from its resistance.

    σ = l / (A R), with l the thickness in cm, A the electrode area in cm² and R the resistance in Ω.

    Args:
        thickness_cm: Thickness in cm, above 0.
        area_cm2: Area of one electrode in cm², above 0.
        resistance_ohm: Resistance in Ω, above 0.

    Returns:
        Conductivity in S/cm.

    Raises:
        RangeError: A value is not above 0.

    Source:
        Irvine, Sinclair, West, Adv. Mater. 2, 132 (1990), doi:10.1002/adma.19900020304.

    Example:
        By hand: 0.1 cm / (0.5 cm² × 200 Ω) = 0.001 S/cm.

        >>> conductivity_from_resistance(0.1, 0.5, 200.0)
        0.001
    """
    _require_positive(thickness_cm=thickness_cm, area_cm2=area_cm2, resistance_ohm=resistance_ohm)
    return thickness_cm / (area_cm2 * resistance_ohm)


def archimedes_porosity(dry_g: Quantity, suspended_g: Quantity, saturated_g: Quantity) -> Quantity:
    """Return the open porosity from three weighings.

    P = (W3 - W1) / (W3 - W2), with W1 dry, W2 suspended in the liquid and W3 saturated with it, all in g.

    Args:
        dry_g: Mass of the dry sample in g.
        suspended_g: Apparent mass of the saturated sample hanging in the liquid in g, at least 0, below the dry mass.
        saturated_g: Mass of the saturated sample in air in g, at least the dry mass.

    Returns:
        Open porosity as a fraction of the bulk volume, 0 to 1.

    Raises:
        RangeError: A mass is negative or the three are not in the order suspended < dry <= saturated.

    Source:
        ASTM C20, Standard Test Methods for Apparent Porosity by Boiling Water.

    Example:
        By hand: (2.2 - 2.0) / (2.2 - 1.4) = 0.25.

        >>> round(archimedes_porosity(dry_g=2.0, suspended_g=1.4, saturated_g=2.2), 9)
        0.25
    """
    _require_not_negative(suspended_g=suspended_g)
    _require_positive(dry_g=dry_g, saturated_g=saturated_g)
    _require_positive(**{"dry_g - suspended_g": dry_g - suspended_g})
    _require_not_negative(**{"saturated_g - dry_g": saturated_g - dry_g})
    return (saturated_g - dry_g) / (saturated_g - suspended_g)


def relative_density(bulk_g_cm3: Quantity, theoretical_g_cm3: Quantity) -> Quantity:
    """Return the bulk density as a fraction of the theoretical one.

    D = ρ / ρth, both in g/cm³; 1 - D is the total porosity.

    Args:
        bulk_g_cm3: Bulk density in g/cm³, above 0, at most the theoretical one.
        theoretical_g_cm3: Density of the pore-free material in g/cm³, above 0.

    Returns:
        Relative density, above 0 and at most 1.

    Raises:
        RangeError: A density is not above 0, or the bulk density exceeds the theoretical one.

    Source:
        Kingery, Bowen, Uhlmann, Introduction to Ceramics, 2nd edition, Wiley, 1976.

    Example:
        By hand: 3.0 / 3.2 = 0.9375.

        >>> relative_density(3.0, 3.2)
        0.9375
    """
    _require_positive(bulk_g_cm3=bulk_g_cm3, theoretical_g_cm3=theoretical_g_cm3)
    ratio = bulk_g_cm3 / theoretical_g_cm3
    _require_fraction(**{"bulk_g_cm3 / theoretical_g_cm3": ratio})
    return ratio


def three_point_bending_strength_mpa(
    force_n: Quantity, span_mm: Quantity, width_mm: Quantity, thickness_mm: Quantity
) -> Quantity:
    """Return the strength of a bar that breaks in three-point bending.

    S = 3 F L / (2 b d²), with F the force in N, L the span, b the width and d the thickness in mm.

    Args:
        force_n: Force at fracture in N, above 0.
        span_mm: Distance between the supports in mm, above 0.
        width_mm: Width of the bar in mm, above 0.
        thickness_mm: Thickness of the bar in mm, above 0.

    Returns:
        Strength in MPa (N/mm²).

    Raises:
        RangeError: A value is not above 0.

    Source:
        ASTM C1161, Standard Test Method for Flexural Strength of Advanced Ceramics at Ambient Temperature.

    Example:
        By hand: 3 × 8 × 10 / (2 × 6 × 1²) = 20 MPa.

        >>> three_point_bending_strength_mpa(force_n=8.0, span_mm=10.0, width_mm=6.0, thickness_mm=1.0)
        20.0
    """
    _require_positive(force_n=force_n, span_mm=span_mm, width_mm=width_mm, thickness_mm=thickness_mm)
    area_mm2: Quantity = thickness_mm**2.0
    return 3.0 * force_n * span_mm / (2.0 * width_mm * area_mm2)


def voigt_bound(value_a: Quantity, value_b: Quantity, fraction_b: Quantity) -> Quantity:
    """Return the upper rule-of-mixtures bound of a two-phase material.

    X = (1 - f) Xa + f Xb, with f the volume fraction of b; X in the unit of the inputs.

    Args:
        value_a: Property of phase a (the ceramic), at least 0.
        value_b: Property of phase b (the pore filling), at least 0, in the same unit.
        fraction_b: Volume fraction of phase b, 0 to 1.

    Returns:
        Upper bound in the unit of the inputs.

    Raises:
        RangeError: A property is negative or the fraction outside 0 to 1.

    Source:
        Voigt, Ann. Phys. 274, 573 (1889), doi:10.1002/andp.18892741206.

    Example:
        By hand: 0.75 × 100 + 0.25 × 20 = 80.

        >>> voigt_bound(100.0, 20.0, fraction_b=0.25)
        80.0
    """
    _require_not_negative(value_a=value_a, value_b=value_b)
    _require_fraction(fraction_b=fraction_b)
    return (1.0 - fraction_b) * value_a + fraction_b * value_b


def reuss_bound(value_a: Quantity, value_b: Quantity, fraction_b: Quantity) -> Quantity:
    """Return the lower rule-of-mixtures bound of a two-phase material.

    1/X = (1 - f)/Xa + f/Xb, with f the volume fraction of b; X in the unit of the inputs.

    Args:
        value_a: Property of phase a (the ceramic), above 0.
        value_b: Property of phase b (the pore filling), above 0, in the same unit.
        fraction_b: Volume fraction of phase b, 0 to 1.

    Returns:
        Lower bound in the unit of the inputs.

    Raises:
        RangeError: A property is not above 0 or the fraction outside 0 to 1.

    Source:
        Reuss, Z. Angew. Math. Mech. 9, 49 (1929), doi:10.1002/zamm.19290090104.

    Example:
        By hand: 1 / (0.75/100 + 0.25/20) = 50.

        >>> round(reuss_bound(100.0, 20.0, fraction_b=0.25), 9)
        50.0
    """
    _require_positive(value_a=value_a, value_b=value_b)
    _require_fraction(fraction_b=fraction_b)
    return 1.0 / ((1.0 - fraction_b) / value_a + fraction_b / value_b)


def strength_at_porosity(strength_dense_mpa: Quantity, porosity: Quantity, b: Quantity) -> Quantity:
    """Return the strength of a porous ceramic.

    S = S0 exp(-b P), with S0 the strength of the dense ceramic in MPa and P the porosity.

    Args:
        strength_dense_mpa: Strength without pores in MPa, above 0.
        porosity: Pore volume fraction, 0 to 1.
        b: Empirical exponent of the material, at least 0; 4 to 7 for many ceramics. It has no default, because no
            single value is established for sodium electrolytes.

    Returns:
        Strength in MPa.

    Raises:
        RangeError: The strength is not above 0, the porosity outside 0 to 1 or the exponent negative.

    Source:
        Ryshkewitch, J. Am. Ceram. Soc. 36, 65 (1953); Duckworth, J. Am. Ceram. Soc. 36, 68 (1953); range of b and
        "about half at 10 % porosity": Kingery, Bowen, Uhlmann, Introduction to Ceramics, 2nd edition, Wiley, 1976.

    Example:
        >>> round(strength_at_porosity(100.0, 0.10, b=7.0), 1)
        49.7
    """
    _require_positive(strength_dense_mpa=strength_dense_mpa)
    _require_fraction(porosity=porosity)
    _require_not_negative(b=b)
    factor: Quantity = math.e ** (-b * porosity)
    return strength_dense_mpa * factor


def conductivity_at_porosity(sigma_dense: Quantity, porosity: Quantity, exponent: Quantity = 1.5) -> Quantity:
    """Return the conductivity of a ceramic with insulating pores.

    σ = σ0 (1 - P)^m, with P the porosity; m = 1.5 for spherical pores.

    Args:
        sigma_dense: Conductivity without pores, above 0, in any unit.
        porosity: Pore volume fraction, 0 to 1.
        exponent: Exponent m, above 0.

    Returns:
        Conductivity in the unit of ``sigma_dense``.

    Raises:
        RangeError: The conductivity or exponent is not above 0, or the porosity outside 0 to 1.

    Source:
        Bruggeman, Ann. Phys. 416, 636 (1935), doi:10.1002/andp.19354160705.

    Example:
        By hand: 0.81^1.5 = 0.9³ = 0.729.

        >>> round(conductivity_at_porosity(1.0, 0.19), 9)
        0.729
    """
    _require_positive(sigma_dense=sigma_dense, exponent=exponent)
    _require_fraction(porosity=porosity)
    factor: Quantity = (1.0 - porosity) ** exponent
    return sigma_dense * factor


def transference_number(sigma_ionic: Quantity, sigma_electronic: Quantity) -> Quantity:
    """Return the share of the current that ions carry.

    t = σion / (σion + σel), both conductivities in the same unit.

    Args:
        sigma_ionic: Ionic conductivity, above 0.
        sigma_electronic: Electronic conductivity, at least 0, in the same unit.

    Returns:
        Ionic transference number, above 0 and at most 1.

    Raises:
        RangeError: The ionic conductivity is not above 0 or the electronic one negative.

    Source:
        Kingery, Bowen, Uhlmann, Introduction to Ceramics, 2nd edition, Wiley, 1976.

    Example:
        By hand: 9 / (9 + 1) = 0.9.

        >>> transference_number(9.0, 1.0)
        0.9
    """
    _require_positive(sigma_ionic=sigma_ionic)
    _require_not_negative(sigma_electronic=sigma_electronic)
    return sigma_ionic / (sigma_ionic + sigma_electronic)


def mean_atomic_volume(molar_mass_g_mol: Quantity, density_g_cm3: Quantity, n_atoms: Quantity) -> Quantity:
    """Return the volume of one mole of atoms.

    V = M / (ρ n), with M the molar mass of the formula in g/mol, ρ the density in g/cm³ and n its atoms.

    Args:
        molar_mass_g_mol: Molar mass of the formula unit in g/mol, above 0.
        density_g_cm3: Density in g/cm³, above 0.
        n_atoms: Atoms in the formula unit, above 0; may be fractional.

    Returns:
        Mean atomic volume in cm³ per mole of atoms.

    Raises:
        RangeError: A value is not above 0.

    Source:
        Definition; molar mass and density of NaCl from the CRC Handbook of Chemistry and Physics.

    Example:
        By hand for NaCl: 58.44 / (2.17 × 2) = 13.47 cm³/mol.

        >>> round(mean_atomic_volume(58.44, 2.17, n_atoms=2), 2)
        13.47
    """
    _require_positive(molar_mass_g_mol=molar_mass_g_mol, density_g_cm3=density_g_cm3, n_atoms=n_atoms)
    return molar_mass_g_mol / (density_g_cm3 * n_atoms)


def thinnest_thickness_um(
    reference_thickness_um: Quantity, reference_strength_mpa: Quantity, strength_mpa: Quantity
) -> Quantity:
    """Return the thickness that carries the same load as a reference sheet of another strength.

    d2 = d1 sqrt(S1/S2), from S = 3 F L / (2 b d²) at equal force, span and width.

    Args:
        reference_thickness_um: Thickness of the reference sheet in µm, above 0.
        reference_strength_mpa: Bending strength of the reference in MPa, above 0.
        strength_mpa: Bending strength of the new material in MPa, above 0.

    Returns:
        Thickness of the new sheet in µm.

    Raises:
        RangeError: A value is not above 0.

    Source:
        From ASTM C1161; numbers of NASICON (15 MPa at 850 µm) and epoxy-filled NASICON (35 MPa) from the
        epoxy-filled NASICON study.

    Example:
        >>> round(thinnest_thickness_um(850.0, 15.0, 35.0))
        556
    """
    _require_positive(
        reference_thickness_um=reference_thickness_um,
        reference_strength_mpa=reference_strength_mpa,
        strength_mpa=strength_mpa,
    )
    factor: Quantity = (reference_strength_mpa / strength_mpa) ** 0.5
    return reference_thickness_um * factor


def thinnest_thickness_for_load_um(
    force_n: Quantity, span_mm: Quantity, width_mm: Quantity, strength_mpa: Quantity
) -> Quantity:
    """Return the smallest thickness that carries a force in three-point bending.

    d = sqrt(3 F L / (2 b S)), with F in N, L and b in mm and S in MPa; without any safety factor.

    Args:
        force_n: Force in N, above 0 (0.8 kgf are 7.845 N).
        span_mm: Distance between the supports in mm, above 0.
        width_mm: Width in mm, above 0.
        strength_mpa: Bending strength in MPa, above 0.

    Returns:
        Thickness in µm.

    Raises:
        RangeError: A value is not above 0.

    Source:
        ASTM C1161, Standard Test Method for Flexural Strength of Advanced Ceramics at Ambient Temperature.

    Example:
        By hand: sqrt(3 × 8 × 10 / (2 × 6 × 20)) = 1 mm.

        >>> thinnest_thickness_for_load_um(force_n=8.0, span_mm=10.0, width_mm=6.0, strength_mpa=20.0)
        1000.0
    """
    _require_positive(force_n=force_n, span_mm=span_mm, width_mm=width_mm, strength_mpa=strength_mpa)
    thickness_mm: Quantity = (3.0 * force_n * span_mm / (2.0 * width_mm * strength_mpa)) ** 0.5
    return 1000.0 * thickness_mm


def area_specific_resistance_ohm_cm2(thickness_um: Quantity, sigma_s_cm: Quantity) -> Quantity:
    """Return the area-specific resistance of an electrolyte layer.

    R A = l / σ, with l the thickness in cm (1 µm = 1e-4 cm) and σ in S/cm; without the interfaces.

    Args:
        thickness_um: Thickness in µm, above 0.
        sigma_s_cm: Conductivity in S/cm at the temperature of use, above 0.

    Returns:
        Area-specific resistance in Ω cm².

    Raises:
        RangeError: A value is not above 0.

    Source:
        Irvine, Sinclair, West, Adv. Mater. 2, 132 (1990), doi:10.1002/adma.19900020304; 1.45e-4 S/cm from the
        epoxy-filled NASICON study.

    Example:
        By hand: 0.0556 cm / 1.45e-4 S/cm = 383 Ω cm².

        >>> round(area_specific_resistance_ohm_cm2(556.0, 1.45e-4))
        383
    """
    _require_positive(thickness_um=thickness_um, sigma_s_cm=sigma_s_cm)
    return thickness_um * 1e-4 / sigma_s_cm
