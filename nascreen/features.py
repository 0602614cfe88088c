"""Samples to named numbers: composition, field descriptors and processing.

Five blocks, always in this order: family (one-hot), element fractions, field descriptors, Magpie statistics and
processing. A value that is not known is NaN and stays NaN; nothing is imputed here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import (
    ATOMIC_NUMBER,
    FAMILIES,
    MOBILE_IONS,
    OXIDATION_STATES,
    ChargeBalance,
    Composition,
    charge_balance,
    family_of,
    modifier_fraction,
    pad_amounts,
    parse_formula,
)
from nascreen.datasets import data_folder
from nascreen.elements import MAGPIE_NAMES, ElementTable, load_elements, magpie
from nascreen.records import Sample

Array = NDArray[np.float64]

ELEMENTS: tuple[str, ...] = (
    "Li", "Na", "Zr", "Hf", "Ti", "Sn", "Ge", "Sc", "Y", "In", "Al", "Ga", "Fe", "Cr", "V", "Nb", "Ta", "Mo", "W", "Mg",
    "Zn", "Ca", "Si", "P", "As", "Sb", "B", "H", "C", "N", "O", "S", "Se", "Te", "F", "Cl", "Br", "I", "La", "Co", "K",
    "Ba", "Sr",
)  # fmt: skip

# Polarizabilities in cubic angstrom (L. Pauling, Proc. R. Soc. Lond. A 114, 181 (1927), doi:10.1098/rspa.1927.0035,
# rounded; nitride, phosphide, hydride estimated) and Shannon radii in angstrom for coordination 6.
ANION_POLARIZABILITY = {"O": 3.9, "S": 10.2, "Se": 10.5, "Te": 14.0, "F": 1.0, "Cl": 3.7, "Br": 4.8, "I": 7.1}
ANION_RADIUS = {
    "O": 1.40, "S": 1.84, "Se": 1.98, "Te": 2.21, "F": 1.33, "Cl": 1.81, "Br": 1.96, "I": 2.20, "N": 1.46, "P": 2.1,
    "H": 1.4,
}  # fmt: skip
FORMERS = ("B", "Si", "Ge", "P", "Sb", "Sn", "Al", "W", "Ga", "As")
ANIONS = ("O", "S", "Se", "F", "Cl", "Br", "I", "H")
TETRAHEDRAL = ("Si", "P", "As")
NOT_IN_FRAMEWORK_SITE = frozenset({"Si", "P", "As", "B", "H", "C", "N"})
OPTIMAL_NASICON_SODIUM = 3.35
"""Sodium per three tetrahedra near which NASICON conducts best (the survey doi:10.1016/j.jpowsour.2014.09.137)."""

FIELD_NAMES: tuple[str, ...] = (
    "sodium_fraction", "lithium_fraction", "mobile_ion_fraction", "mobile_ion_per_anion", "mobile_ion_per_cation",
    "modifier_fraction",
    *(f"former_{s}" for s in FORMERS),
    *(f"anion_{s}" for s in ANIONS),
    "anion_polarizability", "anion_radius", "anion_mixing_entropy",
    "nasicon_sodium", "nasicon_sodium_from_best", "nasicon_silicon", "nasicon_metal",
    "metal_radius", "metal_radius_spread", "metal_charge", "metal_electronegativity",
    "dopant_fraction", "dopant_radius_mismatch", "dopant_charge_mismatch",
    "bond_weighted_cation_radius", "net_charge", "anion_volume_per_mobile_ion", "n_elements",
)  # fmt: skip

PHASES = ("crystalline", "glass", "glass_ceramic", "composite")
PROCESSING_NAMES: tuple[str, ...] = (
    "sinter_temp_c", "log_sinter_time_h", "heat_temp_c", "log_heat_time_h", "press_mpa", "rel_density_pct",
    "porosity_pct", "density_pct", "highest_temp_c", "second_phase_wt_pct",
    "second_phase_any", "second_phase_polymer", "second_phase_epoxy", "second_phase_liquid", "second_phase_matrix",
    "second_phase_aid",
    "made_cold_sintered", "made_pressure_assisted", "made_milled", "made_melted", "made_from_solution",
    "cubic", "tetragonal", "monoclinic", "rhombohedral", "amorphous", "single_crystal", "bulk_conductivity",
    *(f"phase_{p}" for p in PHASES),
)  # fmt: skip
POLYMERS = ("peo", "pvdf", "pan", "peg", "pma", "polymer", "gel", "pmma", "plastic", "peoa")

FAMILY_NAMES: tuple[str, ...] = tuple(f"family_{name}" for name in FAMILIES)
FRACTION_NAMES: tuple[str, ...] = tuple(f"fraction_{symbol}" for symbol in ELEMENTS)
FEATURE_NAMES: tuple[str, ...] = FAMILY_NAMES + FRACTION_NAMES + FIELD_NAMES + MAGPIE_NAMES + PROCESSING_NAMES


def _slices() -> dict[str, slice]:
    sizes = {
        "family": len(FAMILY_NAMES),
        "fraction": len(FRACTION_NAMES),
        "field": len(FIELD_NAMES),
        "magpie": len(MAGPIE_NAMES),
        "processing": len(PROCESSING_NAMES),
    }
    out, start = {}, 0
    for name, size in sizes.items():
        out[name] = slice(start, start + size)
        start += size
    out["phase"] = slice(start - len(PHASES), start)
    return out


BLOCKS: Mapping[str, slice] = _slices()
"""Where each block stands among the columns; ``phase`` is the end of ``processing``."""


MOST_KEPT = 4_096
"""Formulas of which the chemistry is remembered, some 4 kB each."""


@dataclass(frozen=True, slots=True)
class Chemistry:
    """What is known of a formula before any model.

    Attributes:
        composition: Exact amounts.
        balance: Verdict on the charge.
        states: Oxidation states used for descriptors, the commonest ones where charge cannot be judged.
    """

    composition: Composition
    balance: ChargeBalance
    states: Mapping[str, float]


@lru_cache(maxsize=1)
def element_table() -> ElementTable:
    """Return the shipped table of the elements."""
    return load_elements(data_folder())


@lru_cache(maxsize=MOST_KEPT)
def chemistry_of(formula: str) -> Chemistry:
    """Read a formula and balance its charge.

    Raises:
        FormulaError: If the text is not a formula.
    """
    composition = parse_formula(formula)
    balance = charge_balance(composition)
    states = balance.oxidation_states or {s: float(OXIDATION_STATES.get(s, (0,))[0]) for s in composition.counts}
    return Chemistry(composition, balance, states)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def _mean(values: Sequence[tuple[float, float]]) -> float:
    """Return the weighted mean of (value, weight) pairs, NaN where there is nothing to average."""
    total = sum(w for _, w in values)
    return sum(v * w for v, w in values) / total if total else math.nan


def _metal_site(chemistry: Chemistry, table: ElementTable) -> dict[str, float]:
    """Describe the metals of the framework site: size, charge, and the dopants against the host."""
    names = ("metal_radius", "metal_radius_spread", "metal_charge", "metal_electronegativity", "dopant_fraction",
             "dopant_radius_mismatch", "dopant_charge_mismatch")  # fmt: skip
    sites = []
    for symbol, amount in chemistry.composition.floats.items():
        state = chemistry.states[symbol]
        if state <= 0 or symbol in MOBILE_IONS or symbol in NOT_IN_FRAMEWORK_SITE:
            continue
        radius = table.shannon_radius(symbol, int(state)) or table.shannon_radius(symbol, int(state), 4)
        if radius is not None:
            sites.append((symbol, amount, radius, state))
    if not sites:
        return dict.fromkeys(names, math.nan)
    host = max(sites, key=lambda site: site[1])
    dopants = [site for site in sites if site[0] != host[0]]
    radius = _mean([(r, n) for _, n, r, _ in sites])
    electronegativity = table.pauling_electronegativity
    values = (
        radius,
        math.sqrt(_mean([((r - radius) ** 2, n) for _, n, r, _ in sites])),
        _mean([(q, n) for _, n, _, q in sites]),
        _mean([(float(electronegativity[ATOMIC_NUMBER[s]]), n) for s, n, _, _ in sites]),
        1 - host[1] / sum(n for _, n, _, _ in sites),
        _mean([(r - host[2], n) for _, n, r, _ in dopants]) if dopants else 0.0,
        _mean([(q - host[3], n) for _, n, _, q in dopants]) if dopants else 0.0,
    )
    return dict(zip(names, values, strict=True))


def _field_descriptors(chemistry: Chemistry, table: ElementTable) -> dict[str, float]:
    composition, states = chemistry.composition, chemistry.states
    get = composition.get
    anions = [(s, n) for s, n in composition.floats.items() if states[s] < 0]
    cations = [(s, n) for s, n in composition.floats.items() if states[s] > 0 and s not in MOBILE_IONS]
    n_anions, n_cations = sum(n for _, n in anions), sum(n for _, n in cations)
    mobile = sum(map(get, MOBILE_IONS))
    tetrahedra = sum(map(get, TETRAHEDRAL))
    scale = 3 / tetrahedra if tetrahedra and family_of(composition) == "nasicon" else math.nan
    metals = sum(n for s, n in cations if s not in NOT_IN_FRAMEWORK_SITE)
    modifier = modifier_fraction(composition, chemistry.balance)
    bonds = [
        (radius, n * states[s])
        for s, n in cations
        if (radius := table.shannon_radius(s, int(states[s])) or table.shannon_radius(s, int(states[s]), 4))
    ]
    shares = [n / n_anions for _, n in anions if n]
    charge = chemistry.balance.charge
    return {
        "sodium_fraction": get("Na") / composition.n_atoms,
        "lithium_fraction": get("Li") / composition.n_atoms,
        "mobile_ion_fraction": mobile / composition.n_atoms,
        "mobile_ion_per_anion": _ratio(mobile, n_anions),
        "mobile_ion_per_cation": _ratio(mobile, n_cations),
        "modifier_fraction": math.nan if modifier is None else modifier,
        **{f"former_{s}": _ratio(get(s), n_cations) for s in FORMERS},
        **{f"anion_{s}": _ratio(get(s), n_anions) for s in ANIONS},
        "anion_polarizability": _mean([(ANION_POLARIZABILITY.get(s, 5.0), n) for s, n in anions]),
        "anion_radius": _mean([(ANION_RADIUS.get(s, 2.0), n) for s, n in anions]),
        "anion_mixing_entropy": -sum(x * math.log(x) for x in shares) if shares else math.nan,
        "nasicon_sodium": mobile * scale,
        "nasicon_sodium_from_best": abs(mobile * scale - OPTIMAL_NASICON_SODIUM),
        "nasicon_silicon": get("Si") * scale,
        "nasicon_metal": metals * scale,
        **_metal_site(chemistry, table),
        "bond_weighted_cation_radius": _mean(bonds),
        "net_charge": math.nan if charge is None else charge,
        "anion_volume_per_mobile_ion": _ratio(sum(ANION_RADIUS.get(s, 2.0) ** 3 * n for s, n in anions), mobile),
        "n_elements": float(len(composition.counts)),
    }


@lru_cache(maxsize=MOST_KEPT)
def _composition_row(formula: str) -> tuple[Array, Array]:
    """Return element fractions and field descriptors of one formula."""
    chemistry = chemistry_of(formula)
    composition = chemistry.composition
    described = _field_descriptors(chemistry, element_table())
    fractions = np.array([*map(composition.get, ELEMENTS)]) / composition.n_atoms
    return fractions, np.array([described[name] for name in FIELD_NAMES])


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _log_hours(value: float | None) -> float:
    return math.nan if value is None else math.log10(value + 0.05)


@lru_cache(maxsize=MOST_KEPT)
def processing_flags(
    second_phase: str, role: str, synthesis: str, structure: str, conductivity_kind: str, phase: str
) -> tuple[float, ...]:
    """Return the last entries of `PROCESSING_NAMES`, which are yes (1) or no (0)."""
    second, made, structure = second_phase.lower(), synthesis.lower(), structure.lower()
    flags = (
        bool(second),
        any(name in second for name in POLYMERS),
        "epoxy" in second,
        "liquid" in second,
        role == "matrix",
        role == "sintering_aid",
        "cold" in made,
        made in {"sps", "hot_press", "flash_sinter"},
        "mill" in made or "mechano" in made,
        "melt" in made,
        "sol" in made and "solid" not in made,
        any(word in structure for word in ("cubic", "fcc", "bcc")),
        "tetragonal" in structure,
        any(word in structure for word in ("monoclinic", "/c", "/n")),
        "r-3" in structure or "rhomb" in structure,
        "amorph" in structure,
        "single" in structure,
        conductivity_kind == "bulk",
        *(phase == name for name in PHASES),
    )
    return tuple(map(float, flags))


def _processing_numbers(sample: Sample) -> tuple[float, ...]:
    """Return the first entries of `PROCESSING_NAMES`, NaN where a value is not known."""
    density = sample.rel_density_pct
    if density is None and sample.porosity_pct is not None:
        density = 100 - sample.porosity_pct
    heated = [t for t in (sample.sinter_temp_c, sample.heat_temp_c) if t is not None]
    return (
        _nan(sample.sinter_temp_c), _log_hours(sample.sinter_time_h), _nan(sample.heat_temp_c),
        _log_hours(sample.heat_time_h), _nan(sample.press_mpa), _nan(sample.rel_density_pct),
        _nan(sample.porosity_pct), _nan(density), max(heated, default=math.nan), _nan(sample.second_phase_wt_pct),
    )  # fmt: skip


def _processing_row(s: Sample) -> tuple[float, ...]:
    flags = processing_flags(
        s.second_phase, s.second_phase_role, s.synthesis, s.structure, s.conductivity_kind, s.phase
    )
    return (*_processing_numbers(s), *flags)


def feature_matrix(samples: Sequence[Sample]) -> Array:
    """Return the features of each sample, shape (n, len(FEATURE_NAMES)).

    Temperature of measurement is not a feature: the models predict an Arrhenius line.

    Args:
        samples: Samples with a formula.

    Returns:
        Columns in the order of `FEATURE_NAMES`; NaN where a value is not known.

    Raises:
        FormulaError: If a formula cannot be read.
    """
    matrix = np.empty((len(samples), len(FEATURE_NAMES)))
    if not samples:
        return matrix
    matrix[:, BLOCKS["magpie"]] = _magpie_block([s.formula for s in samples])
    for row, sample in zip(matrix, samples, strict=True):
        fractions, described = _composition_row(sample.formula)
        family = family_of(chemistry_of(sample.formula).composition, sample.phase or None)
        row[BLOCKS["family"]] = [float(name == family) for name in FAMILIES]
        row[BLOCKS["fraction"]] = fractions
        row[BLOCKS["field"]] = described
        row[BLOCKS["processing"]] = _processing_row(sample)
    return matrix


def _magpie_block(formulas: Sequence[str]) -> Array:
    distinct = list(dict.fromkeys(formulas))
    amounts = [chemistry_of(f).composition.floats for f in distinct]
    values = magpie(element_table(), pad_amounts(amounts))
    place = {formula: i for i, formula in enumerate(distinct)}
    return np.asarray(values[[place[f] for f in formulas]])
