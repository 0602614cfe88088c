"""Features of many samples at once, the same as those of `nascreen.features.feature_matrix` in single precision.

Text is read row by row; all that follows is arithmetic on arrays, in which a row costs a tenth of what it costs
alone. An element stands in a slot of its row, with its amount and its oxidation state.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import ATOMIC_NUMBER, FAMILIES, MOBILE_IONS, OCTAHEDRAL, SYMBOLS, pad_amounts
from nascreen.elements import magpie
from nascreen.features import (
    ANION_POLARIZABILITY,
    ANION_RADIUS,
    ANIONS,
    BLOCKS,
    ELEMENTS,
    FEATURE_NAMES,
    FIELD_NAMES,
    FORMERS,
    NOT_IN_FRAMEWORK_SITE,
    OPTIMAL_NASICON_SODIUM,
    TETRAHEDRAL,
    Chemistry,
    element_table,
    processing_flags,
)
from nascreen.records import Sample

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

HIGHEST_STATE = 8
FAMILY_CODE = {name: i for i, name in enumerate(FAMILIES)}


@dataclass(frozen=True, eq=False, slots=True)
class Amounts:
    """Amounts with named columns, shape (n, e)."""

    values: Array
    place: Mapping[str, int]

    def get(self, *symbols: str) -> Array:
        """Return the sum of some elements, shape (n,)."""
        columns = [self.values[:, self.place[s]] for s in symbols if s in self.place]
        if not columns:
            return np.zeros(len(self.values))
        return np.asarray(sum(columns[1:], columns[0]))


def family_codes(values: Array, symbols: Sequence[str], is_glass: Bools) -> NDArray[np.intp]:
    """Return the family of each composition as its place in `FAMILIES`, as `family_of` names it, shape (n,).

    Args:
        values: Amounts, shape (n, e).
        symbols: Elements of the columns.
        is_glass: Whether the phase is a glass, shape (n,).
    """
    amounts = Amounts(values, {s: i for i, s in enumerate(symbols)})
    get = amounts.get
    halogen, oxygen = get("F", "Cl", "Br", "I"), get("O")
    is_oxide = (oxygen > 0) & (oxygen >= np.maximum(np.maximum(get("S"), get("Se")), halogen * 0.999))
    conditions = [
        ((get("B") > 0) & (get("H") > 0), "hydroborate"),
        *[(is_oxide & which, name) for which, name in _oxide_conditions(amounts, halogen, is_glass)],
        (get("Se") > get("S"), "selenide"),
        *[((get("S") > halogen) & which, name) for which, name in _sulfide_conditions(amounts)],
        ((halogen > 0) & (oxygen > 0), "oxyhalide"),
        (halogen > 0, "halide"),
        ((get("P", "N", "As") > 0) & (get("Te") == 0), "nitride_phosphide"),
    ]
    which, names = zip(*conditions, strict=True)
    return np.select(which, [FAMILY_CODE[name] for name in names], default=FAMILY_CODE["other"])


def _oxide_conditions(amounts: Amounts, halogen: Array, is_glass: Bools) -> list[tuple[Bools, str]]:
    get = amounts.get
    oxygen, mobile = get("O"), get(*MOBILE_IONS)
    tetrahedral, octahedral = get("Si", "P", "As", "S"), get(*OCTAHEDRAL)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_oxygen, per_metal = oxygen / tetrahedral, octahedral / tetrahedral
    is_framework = (tetrahedral > 0) & (np.abs(per_oxygen - 4) < 0.35) & (per_metal > 0.5) & (per_metal < 0.8)
    others = amounts.values.sum(axis=1) - oxygen - mobile
    silicon = get("Si")
    return [
        ((oxygen <= mobile / 2) & ((halogen > 0) | (get("H", "S", "Se") > 0)), "antiperovskite"),
        (is_framework & ~is_glass & (get("B") == 0), "nasicon"),
        ((get("Al") > 0.8 * others) & (get("Al") > 3 * mobile), "beta_alumina"),
        (is_glass, "oxide_glass"),
        ((silicon > 0) & (silicon >= tetrahedral * 0.6), "silicate"),
        (np.ones(len(oxygen), dtype=np.bool_), "oxide_other"),
    ]


def _sulfide_conditions(amounts: Amounts) -> list[tuple[Bools, str]]:
    get = amounts.get
    tin, phosphorus, antimony = get("Sn"), get("P"), get("Sb")
    return [
        (get("B") > 0, "thioborate"),
        ((tin > 0) & (tin >= np.maximum(phosphorus, antimony)), "thiostannate"),
        (antimony > phosphorus, "thioantimonate"),
        (phosphorus > 0, "thiophosphate"),
        (get("Si", "Ge") > 0, "thiosilicate_germanate"),
        (tin > 0, "thiostannate"),
        (np.ones(len(tin), dtype=np.bool_), "sulfide_other"),
    ]


# ---------------------------------------------------------------- elements


@dataclass(frozen=True, eq=False, slots=True)
class _Elements:
    """What the descriptors ask of the elements, by atomic number, place 0 standing for an empty slot.

    Attributes:
        radius: Shannon radius by charge from 0 to `HIGHEST_STATE`, NaN where there is none, shape (119, 9).
        electronegativity: Pauling's, shape (119,).
        polarizability: Of the anion, shape (119,).
        anion_radius: Shape (119,).
        is_mobile: Whether it is a mobile ion, shape (119,).
        is_framework: Whether it may sit on a metal site of a framework, shape (119,).
    """

    radius: Array
    electronegativity: Array
    polarizability: Array
    anion_radius: Array
    is_mobile: Bools
    is_framework: Bools


@lru_cache(maxsize=1)
def _elements() -> _Elements:
    table = element_table()
    radius = np.full((len(SYMBOLS) + 1, HIGHEST_STATE + 1), math.nan)
    for symbol, z in ATOMIC_NUMBER.items():
        for state in range(1, HIGHEST_STATE + 1):
            radius[z, state] = table.shannon_radius(symbol, state) or table.shannon_radius(symbol, state, 4) or math.nan
    return _Elements(
        radius,
        table.pauling_electronegativity,
        np.array([0.0, *(ANION_POLARIZABILITY.get(s, 5.0) for s in SYMBOLS)]),
        np.array([0.0, *(ANION_RADIUS.get(s, 2.0) for s in SYMBOLS)]),
        np.array([False, *(s in MOBILE_IONS for s in SYMBOLS)]),
        np.array([False, *(s not in NOT_IN_FRAMEWORK_SITE for s in SYMBOLS)]),
    )


# ---------------------------------------------------------------- features


def many_features(samples: Sequence[Sample], chemistries: Sequence[Chemistry]) -> Array:
    """Return the features of each sample, shape (n, len(FEATURE_NAMES)).

    Args:
        samples: Samples with a formula.
        chemistries: What `nascreen.features.chemistry_of` returns for the formula of each.

    Returns:
        As `nascreen.features.feature_matrix`.
    """
    features = np.empty((len(samples), len(FEATURE_NAMES)))
    if not samples:
        return features
    arrays = pad_amounts([chemistry.composition.counts for chemistry in chemistries])
    scale = np.array([chemistry.composition.scale for chemistry in chemistries], dtype=np.float64)
    total = arrays.amount.sum(axis=1) / scale
    np.divide(arrays.amount, scale[:, None], out=arrays.amount)
    numbers, amounts = arrays.atomic_number.astype(np.intp), arrays.amount
    states = np.zeros_like(amounts)
    cells = itertools.chain.from_iterable(chemistry.states.values() for chemistry in chemistries)
    states[numbers > 0] = np.fromiter(cells, dtype=np.float64, count=int((numbers > 0).sum()))
    dense = np.zeros((len(samples), len(SYMBOLS) + 1))
    np.put_along_axis(dense, numbers, amounts, axis=1)
    dense = dense[:, 1:]
    is_glass = np.array([sample.phase == "glass" for sample in samples])
    by_symbol = Amounts(dense, _PLACE)
    bare = family_codes(dense, SYMBOLS, np.zeros(len(samples), dtype=np.bool_))
    family = family_codes(dense, SYMBOLS, is_glass) if is_glass.any() else bare
    features[:, BLOCKS["family"]] = family[:, None] == np.arange(len(FAMILIES))
    features[:, BLOCKS["fraction"]] = dense[:, _FRACTION_COLUMNS] / total[:, None]
    features[:, BLOCKS["magpie"]] = magpie(element_table(), arrays)
    features[:, BLOCKS["processing"]] = _processing(samples)
    slots = _Slots(numbers, amounts, states, total)
    with np.errstate(divide="ignore", invalid="ignore"):
        described = {
            **_counts(slots, by_symbol, bare), **_anions(slots), **_sites(slots),
            "modifier_fraction": _modifier_fraction(slots, chemistries),
            "net_charge": np.array([_nan(chemistry.balance.charge) for chemistry in chemistries]),
        }  # fmt: skip
    features[:, BLOCKS["field"]] = np.column_stack([described[name] for name in FIELD_NAMES])
    return features


_PLACE = {symbol: i for i, symbol in enumerate(SYMBOLS)}
_NUMBERS = operator.attrgetter(
    "sinter_temp_c", "sinter_time_h", "heat_temp_c", "heat_time_h", "press_mpa", "rel_density_pct", "porosity_pct",
    "second_phase_wt_pct",
)  # fmt: skip
_WORDS = operator.attrgetter(
    "second_phase", "second_phase_role", "synthesis", "structure", "conductivity_kind", "phase"
)
_FRACTION_COLUMNS = [_PLACE[symbol] for symbol in ELEMENTS]


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _processing(samples: Sequence[Sample]) -> Array:
    words = list(map(_WORDS, samples))
    kinds = {kind: i for i, kind in enumerate(dict.fromkeys(words))}
    flags = np.array([processing_flags(*kind) for kind in kinds])[[kinds[kind] for kind in words]]
    sintered, sintered_h, heated, heated_h, pressed, filled, porosity, added = np.array(
        [_NUMBERS(sample) for sample in samples], dtype=np.float64
    ).T
    density = np.where(np.isnan(filled), 100 - porosity, filled)
    numbers = (
        sintered, np.log10(sintered_h + 0.05), heated, np.log10(heated_h + 0.05), pressed, filled, porosity, density,
        np.fmax(sintered, heated), added,
    )  # fmt: skip
    return np.hstack([np.column_stack(numbers), flags])


@dataclass(frozen=True, eq=False, slots=True)
class _Slots:
    """The elements of each row, slot by slot.

    Attributes:
        numbers: Atomic numbers, 0 in an empty slot, shape (n, k).
        amounts: Atoms per formula unit, shape (n, k).
        states: Oxidation states, shape (n, k).
        total: Atoms per formula unit, shape (n,).
    """

    numbers: NDArray[np.intp]
    amounts: Array
    states: Array
    total: Array

    @property
    def mobile(self) -> Bools:
        """Where a mobile ion stands."""
        return _elements().is_mobile[self.numbers]

    @property
    def cations(self) -> Bools:
        """Where a cation stands that is not mobile."""
        return (self.states > 0) & ~self.mobile

    @property
    def metals(self) -> Bools:
        """Where a metal of the framework stands."""
        return self.cations & _elements().is_framework[self.numbers]

    @property
    def radii(self) -> Array:
        """Radii of the cations, NaN where there is none."""
        charge = np.clip(np.trunc(self.states), 0, HIGHEST_STATE).astype(np.intp)
        return _elements().radius[self.numbers, charge]

    def where(self, which: Bools) -> Array:
        """Return the amounts in some slots, nought elsewhere, shape (n, k)."""
        return np.where(which, self.amounts, 0.0)


def _counts(slots: _Slots, by_symbol: Amounts, family: NDArray[np.intp]) -> dict[str, Array]:
    get, total = by_symbol.get, slots.total
    mobile = slots.where(slots.mobile).sum(axis=1)
    n_anions, n_cations = (slots.where(which).sum(axis=1) for which in (slots.states < 0, slots.cations))
    tetrahedra = get(*TETRAHEDRAL)
    scale = np.where((family == FAMILY_CODE["nasicon"]) & (tetrahedra > 0), 3 / tetrahedra, math.nan)
    return {
        "sodium_fraction": get("Na") / total,
        "lithium_fraction": get("Li") / total,
        "mobile_ion_fraction": mobile / total,
        "mobile_ion_per_anion": ratio(mobile, n_anions),
        "mobile_ion_per_cation": ratio(mobile, n_cations),
        **{f"former_{s}": ratio(get(s), n_cations) for s in FORMERS},
        **{f"anion_{s}": ratio(get(s), n_anions) for s in ANIONS},
        "nasicon_sodium": mobile * scale,
        "nasicon_sodium_from_best": np.abs(mobile * scale - OPTIMAL_NASICON_SODIUM),
        "nasicon_silicon": get("Si") * scale,
        "nasicon_metal": slots.where(slots.metals).sum(axis=1) * scale,
        "n_elements": (slots.numbers > 0).sum(axis=1).astype(np.float64),
    }


def _modifier_fraction(slots: _Slots, chemistries: Sequence[Chemistry]) -> Array:
    is_judged = np.array([bool(chemistry.balance.oxidation_states) for chemistry in chemistries])
    modifier = slots.where(slots.mobile).sum(axis=1) / 2
    units = np.where(np.round(slots.states) % 2 == 1, 0.5, 1.0)
    others = (slots.where(slots.cations) * units).sum(axis=1)
    return np.where(is_judged & (others > 0), modifier / (modifier + others), math.nan)


def _anions(slots: _Slots) -> dict[str, Array]:
    anions, known = slots.where(slots.states < 0), _elements()
    n_anions, mobile = anions.sum(axis=1), slots.where(slots.mobile).sum(axis=1)
    shares = anions / n_anions[:, None]
    logs = np.log(np.where(shares > 0, shares, 1.0))
    radius = known.anion_radius[slots.numbers]
    return {
        "anion_polarizability": (anions * known.polarizability[slots.numbers]).sum(axis=1) / n_anions,
        "anion_radius": (anions * radius).sum(axis=1) / n_anions,
        "anion_mixing_entropy": np.where(n_anions > 0, -(shares * logs).sum(axis=1), math.nan),
        "anion_volume_per_mobile_ion": ratio((anions * radius**3).sum(axis=1), mobile),
    }


def _sites(slots: _Slots) -> dict[str, Array]:
    radii, states = slots.radii, slots.states
    is_known = ~np.isnan(radii)
    radii = np.where(is_known, radii, 0.0)
    bonds = slots.where(slots.cations & is_known) * states
    part = slots.where(slots.metals & is_known)
    total, host = part.sum(axis=1), part.argmax(axis=1)[:, None]
    mean = (part * radii).sum(axis=1) / total
    deviation = (part * (radii - mean[:, None]) ** 2).sum(axis=1) / total
    dopants = part.copy()
    np.put_along_axis(dopants, host, 0.0, axis=1)
    doped = dopants.sum(axis=1)

    def mismatch(of: Array) -> Array:
        # Differences first, so that what is the same differs by nought and trees take the same branches.
        off = (dopants * (of - np.take_along_axis(of, host, axis=1))).sum(axis=1)
        return np.where(total > 0, np.where(doped > 0, off / doped, 0.0), math.nan)

    electronegativity = _elements().electronegativity[slots.numbers]
    return {
        "bond_weighted_cation_radius": (bonds * radii).sum(axis=1) / bonds.sum(axis=1),
        "metal_radius": mean,
        "metal_radius_spread": np.sqrt(deviation),
        "metal_charge": (part * states).sum(axis=1) / total,
        "metal_electronegativity": np.where(part > 0, part * electronegativity, 0.0).sum(axis=1) / total,
        "dopant_fraction": 1 - np.take_along_axis(part, host, axis=1)[:, 0] / total,
        "dopant_radius_mismatch": mismatch(radii),
        "dopant_charge_mismatch": mismatch(states),
    }


def ratio(numerator: Array, denominator: Array) -> Array:
    """Return a quotient, NaN where nothing is divided by."""
    return np.where(denominator > 0, numerator / denominator, math.nan)
