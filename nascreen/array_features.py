"""Features of many compositions at once, from whole numbers instead of formulas.

Equal to those of `nascreen.features.feature_matrix` for compositions whose elements all have one charge, as in the
spaces of `nascreen.lattices`; the few in which charges could be dealt out in another way go the long way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import (
    ATOMIC_NUMBER,
    FAMILIES,
    MOBILE_IONS,
    OXIDATION_STATES,
)
from nascreen.elements import fill_magpie
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
    element_table,
    feature_matrix,
)
from nascreen.lattices import Drawn, Lattice, formula_of
from nascreen.many_features import FAMILY_CODE, Amounts, family_codes, ratio
from nascreen.records import Sample

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

ROWS = 4096
"""Rows computed at once, so that what lies between stays in the cache."""
SMALLEST_CHARGE = 0.06
"""Charges up to this might pass for the rounding of printed amounts."""


@dataclass(frozen=True, eq=False, slots=True)
class _Rows:
    """Some compositions, as columns of elements and as the few elements that each holds.

    Attributes:
        values: Amounts, row after row, shape (n, e).
        named: The same, column after column.
        total: Atoms per formula unit, shape (n,).
        held: Elements of each row in order, as columns of `values`; a slot that is left over repeats the first,
            shape (k, n).
        amounts: Amount of each, nought in a slot that is left over, shape (k, n).
        n_held: How many each row holds, shape (n,).
        is_judged: Where `charge_balance` judges, shape (n,).
        sums: What `ArrayFeatures.sums` adds up, shape (n, sums).
        bare: Family were it no glass, shape (n,).
    """

    values: Array
    named: Amounts
    total: Array
    held: NDArray[np.intp]
    amounts: Array
    n_held: NDArray[np.intp]
    is_judged: Bools
    sums: dict[str, Array]
    bare: NDArray[np.intp]


class ArrayFeatures:
    """Computes the features of the candidates of one space.

    What does not change from row to row (radii, charges, the features of a route) is looked up once.
    """

    def __init__(self, lattice: Lattice) -> None:
        """Look up what the rows share."""
        self.lattice = lattice
        self.symbols = lattice.order
        self.place = {s: i for i, s in enumerate(self.symbols)}
        self.numbers = np.array([ATOMIC_NUMBER[s] for s in self.symbols], dtype=np.int16)
        self.states = np.array([lattice.states[s] for s in self.symbols], dtype=np.float64)
        table = element_table()
        radii = [table.shannon_radius(s, q) or table.shannon_radius(s, q, 4) for s, q in lattice.states.items()]
        by_symbol = dict(zip(lattice.states, radii, strict=True))
        self.radius = np.array([by_symbol[s] or math.nan for s in self.symbols])
        self.electronegativity = table.pauling_electronegativity[self.numbers]
        is_mobile = np.array([s in MOBILE_IONS for s in self.symbols])
        self.is_anion = self.states < 0
        self.is_cation = (self.states > 0) & ~is_mobile
        is_framework = np.array([s not in NOT_IN_FRAMEWORK_SITE for s in self.symbols])
        self.is_metal = self.is_cation & is_framework
        self.is_site = self.is_metal & ~np.isnan(self.radius)
        self.is_usual = np.array([OXIDATION_STATES[s][0] == q for s, q in zip(self.symbols, self.states, strict=True)])
        self.differences = self._charge_differences()
        self.sums = self._sums()
        present = [(j, self.place[symbol]) for j, symbol in enumerate(ELEMENTS) if symbol in self.place]
        self.fraction_columns, self.fraction_sources = (list(column) for column in zip(*present, strict=True))
        # Only the processing of these is looked at, so that the formula is of no consequence.
        route_samples = [replace(route.sample, formula="Na3PS4") for route in lattice.routes]
        self.processing = feature_matrix(route_samples)[:, BLOCKS["processing"]]
        self.is_glass = np.array([sample.phase == "glass" for sample in route_samples])

    def __call__(self, drawn: Drawn, out: Array | None = None) -> tuple[Array, NDArray[np.intp]]:
        """Return the features of each candidate, shape (n, len(FEATURE_NAMES)), and its family, shape (n,).

        Args:
            drawn: Candidates.
            out: Array of at least n rows that is filled and of which a view is returned; a new one if None.
        """
        features = np.empty((len(drawn), len(FEATURE_NAMES))) if out is None else out[: len(drawn)]
        family = np.empty(len(drawn), dtype=np.intp)
        for start in range(0, len(drawn), ROWS):
            rows = slice(start, start + ROWS)
            self._fill(features[rows], family[rows], drawn.counts[rows], drawn.route[rows])
        return features, family

    def _sums(self) -> dict[str, Array]:
        """Return weights of the elements in sums over each composition."""
        radius = np.nan_to_num(self.radius)
        bonds = np.where(self.is_cation & ~np.isnan(self.radius), self.states, 0.0)
        units = np.where(np.round(self.states) % 2 == 0, 1.0, 0.5)
        anion_radius = np.array([ANION_RADIUS.get(s, 2.0) for s in self.symbols])
        polarizability = np.array([ANION_POLARIZABILITY.get(s, 5.0) for s in self.symbols])
        return {
            "anions": self.is_anion.astype(np.float64),
            "cations": self.is_cation.astype(np.float64),
            "metals": self.is_metal.astype(np.float64),
            "units": self.is_cation * units,
            "bonds": bonds,
            "bonded_radius": bonds * radius,
            "site_charge": self.is_site * self.states,
            "site_electronegativity": np.where(self.is_site, self.electronegativity, 0.0),
            "polarizability": self.is_anion * polarizability,
            "anion_radius": self.is_anion * anion_radius,
            "anion_volume": self.is_anion * anion_radius**3,
        }

    def _charge_differences(self) -> Array:
        """Return by how much the other charges of each element are below the usual one, shape (others, e).

        NaN where there is no other, or where the element has no usual charge in this space.
        """
        others = [
            OXIDATION_STATES[s][1:] if usual else () for s, usual in zip(self.symbols, self.is_usual, strict=True)
        ]
        found = np.full((max(map(len, others), default=0), len(self.symbols)), math.nan)
        for i, (symbol, states) in enumerate(zip(self.symbols, others, strict=True)):
            found[: len(states), i] = [OXIDATION_STATES[symbol][0] - state for state in states]
        return found

    def _fill(
        self, features: Array, family: NDArray[np.intp], counts: NDArray[np.int64], route: NDArray[np.intp]
    ) -> None:
        rows, is_glass = self._rows(counts), self.is_glass[route]
        family[:] = family_codes(rows.named.values, self.symbols, is_glass) if is_glass.any() else rows.bare
        features[:, BLOCKS["family"]] = family[:, None] == np.arange(len(FAMILIES))
        fractions = features[:, BLOCKS["fraction"]]
        fractions[:] = 0.0
        fractions[:, self.fraction_columns] = rows.values[:, self.fraction_sources] / rows.total[:, None]
        self._field(rows, features[:, BLOCKS["field"]])
        fill_magpie(element_table(), self.numbers[rows.held], rows.amounts, features[:, BLOCKS["magpie"]])
        features[:, BLOCKS["processing"]] = self.processing[route]
        unclear = np.flatnonzero(self._is_unclear(rows))
        if len(unclear):
            samples = [Sample(formula=formula_of(self.lattice, counts[i])) for i in unclear]
            features[unclear, BLOCKS["field"]] = feature_matrix(samples)[:, BLOCKS["field"]]

    def _rows(self, counts: NDArray[np.int64]) -> _Rows:
        values = counts / self.lattice.scale
        named = Amounts(np.ascontiguousarray(values.T).T, self.place)
        held, amounts, n_held = _slots(values)
        sums = np.ascontiguousarray((values @ np.column_stack([*self.sums.values()])).T)
        bare = family_codes(named.values, self.symbols, np.zeros(len(values), dtype=np.bool_))
        is_judged = _is_judged(named) & (n_held > 1)
        return _Rows(
            values, named, values.sum(axis=1), held, amounts, n_held, is_judged,
            dict(zip(self.sums, sums, strict=True)), bare,
        )  # fmt: skip

    def _is_unclear(self, rows: _Rows) -> Bools:
        """Tell where `charge_balance` might deal out charges otherwise than the space does.

        It takes the assignment with the fewest unusual charges. Where one element is unusual, another single one
        can stand for it only if the difference is exactly the same.
        """
        named, unusual = rows.named.values, np.flatnonzero(~self.is_usual)
        n_unusual = (named[:, unusual] > 0).sum(axis=1)
        unclear = np.asarray((n_unusual > 1) | ((n_unusual > 0) & ~rows.is_judged))
        for i in unusual:
            here = np.flatnonzero(named[:, i])
            if not len(here):
                continue
            missing = named[here, i] * (OXIDATION_STATES[self.symbols[i]][0] - self.states[i])
            alike = np.abs(missing) <= SMALLEST_CHARGE
            held, amounts = rows.held[:, here], rows.amounts[:, here]
            for differences in self.differences:
                off = np.abs(amounts * differences[held] - missing)
                alike |= ((off < 1e-9) & (amounts > 0)).any(axis=0)
            unclear[here] |= alike
        return unclear

    def _field(self, rows: _Rows, out: Array) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            described = {**self._counts(rows), **self._anions(rows), **self._sites(rows)}
        for j, name in enumerate(FIELD_NAMES):
            out[:, j] = described[name]

    def _counts(self, rows: _Rows) -> dict[str, Array]:
        get, sums, total = rows.named.get, rows.sums, rows.total
        mobile, n_anions, n_cations, others = get(*MOBILE_IONS), sums["anions"], sums["cations"], sums["units"]
        tetrahedra = get(*TETRAHEDRAL)
        scale = np.where((rows.bare == FAMILY_CODE["nasicon"]) & (tetrahedra > 0), 3 / tetrahedra, math.nan)
        return {
            "sodium_fraction": get("Na") / total,
            "lithium_fraction": get("Li") / total,
            "mobile_ion_fraction": mobile / total,
            "mobile_ion_per_anion": ratio(mobile, n_anions),
            "mobile_ion_per_cation": ratio(mobile, n_cations),
            "modifier_fraction": np.where(rows.is_judged & (others > 0), mobile / 2 / (mobile / 2 + others), math.nan),
            **{f"former_{s}": ratio(get(s), n_cations) for s in FORMERS},
            **{f"anion_{s}": ratio(get(s), n_anions) for s in ANIONS},
            "nasicon_sodium": mobile * scale,
            "nasicon_sodium_from_best": np.abs(mobile * scale - OPTIMAL_NASICON_SODIUM),
            "nasicon_silicon": get("Si") * scale,
            "nasicon_metal": sums["metals"] * scale,
            "net_charge": np.where(rows.is_judged, 0.0, math.nan),
            "n_elements": rows.n_held.astype(np.float64),
        }

    def _anions(self, rows: _Rows) -> dict[str, Array]:
        sums = rows.sums
        n_anions = sums["anions"]
        entropy = np.zeros(len(n_anions))
        for i in np.flatnonzero(self.is_anion):
            share = rows.named.values[:, i] / n_anions
            entropy -= share * np.log(np.where(share > 0, share, 1.0))
        return {
            "anion_polarizability": sums["polarizability"] / n_anions,
            "anion_radius": sums["anion_radius"] / n_anions,
            "anion_mixing_entropy": np.where(n_anions > 0, entropy, math.nan),
            "anion_volume_per_mobile_ion": ratio(sums["anion_volume"], rows.named.get(*MOBILE_IONS)),
        }

    def _sites(self, rows: _Rows) -> dict[str, Array]:
        sums = rows.sums
        out = {"bond_weighted_cation_radius": sums["bonded_radius"] / sums["bonds"]}
        part = rows.amounts * self.is_site[rows.held]
        radius, charge = np.nan_to_num(self.radius)[rows.held], self.states[rows.held]
        total, host = part.sum(axis=0), part.argmax(axis=0)[None]
        mean = (part * radius).sum(axis=0) / total
        deviation = np.maximum((part * (radius - mean) ** 2).sum(axis=0) / total, 0.0)
        of_host = np.take_along_axis(part, host, axis=0)[0]
        dopants = part.copy()
        np.put_along_axis(dopants, host, 0.0, axis=0)
        doped = dopants.sum(axis=0)
        has_sites = total > 0

        def mismatch(of: Array) -> Array:
            # Differences first, so that what is the same differs by nought and trees take the same branches.
            off = (dopants * (of - np.take_along_axis(of, host, axis=0))).sum(axis=0)
            return np.where(has_sites, np.where(doped > 0, off / doped, 0.0), math.nan)

        values_of_site = (
            mean, np.sqrt(deviation), sums["site_charge"] / total, sums["site_electronegativity"] / total,
            1 - of_host / total, mismatch(radius), mismatch(charge),
        )  # fmt: skip
        return out | dict(zip(_SITE_NAMES, values_of_site, strict=True))


def _slots(values: Array) -> tuple[NDArray[np.intp], Array, NDArray[np.intp]]:
    """Return the columns above nought of each row and their values, shapes (k, n), and how many there are, (n,)."""
    n, width = values.shape
    flat = np.flatnonzero(values)
    bounds = np.searchsorted(flat, np.arange(n + 1) * width)
    n_held = np.diff(bounds)
    row = np.repeat(np.arange(n), n_held)
    slot = np.arange(len(flat)) - np.repeat(bounds[:-1], n_held)
    column = flat - row * width
    held = np.empty((int(n_held.max(initial=1)), n), dtype=np.intp)
    held[:] = column[bounds[:-1]]
    amounts = np.zeros(held.shape)
    place = slot * n + row
    held.reshape(-1)[place] = column
    amounts.reshape(-1)[place] = values.reshape(-1)[flat]
    return held, amounts, n_held


def _is_judged(amounts: Amounts) -> Bools:
    """Tell where `charge_balance` judges: not in cages, nor where carbon is no carbonate."""
    get = amounts.get
    hydrogen, carbon = get("H"), get("C")
    is_cage = (hydrogen > 0) & (get("B", "C", "N") > 0)
    return np.asarray(~is_cage & ~((carbon > 0) & (get("O") < 3 * carbon)))


_SITE_NAMES = (
    "metal_radius", "metal_radius_spread", "metal_charge", "metal_electronegativity", "dopant_fraction",
    "dopant_radius_mismatch", "dopant_charge_mismatch",
)  # fmt: skip
