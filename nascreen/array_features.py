"""Features of many compositions at once, from whole numbers instead of formulas.

Equal to those of `nascreen.features.feature_matrix` for compositions whose elements all have one charge, as in the
spaces of `nascreen.lattices`; the few in which charges could be dealt out in another way go the long way.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import (
    ATOMIC_NUMBER,
    FAMILIES,
    MOBILE_IONS,
    OXIDATION_STATES,
    AmountArrays,
)
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

    def _fill(
        self, features: Array, family: NDArray[np.intp], counts: NDArray[np.int64], route: NDArray[np.intp]
    ) -> None:
        values = counts / self.lattice.scale
        family[:] = family_codes(values, self.symbols, self.is_glass[route])
        features[:, BLOCKS["family"]] = family[:, None] == np.arange(len(FAMILIES))
        features[:, BLOCKS["fraction"]] = self._fractions(values)
        features[:, BLOCKS["field"]] = self._field(values)
        features[:, BLOCKS["magpie"]] = magpie(element_table(), self._padded(values))
        features[:, BLOCKS["processing"]] = self.processing[route]
        unclear = np.flatnonzero(self._is_unclear(values))
        if len(unclear):
            samples = [Sample(formula=formula_of(self.lattice, counts[i])) for i in unclear]
            features[unclear, BLOCKS["field"]] = feature_matrix(samples)[:, BLOCKS["field"]]

    def _get(self, values: Array, *symbols: str) -> Array:
        return Amounts(values, self.place).get(*symbols)

    def _fractions(self, values: Array) -> Array:
        out = np.zeros((len(values), len(ELEMENTS)))
        for j, symbol in enumerate(ELEMENTS):
            if symbol in self.place:
                out[:, j] = values[:, self.place[symbol]]
        return np.asarray(out / values.sum(axis=1, keepdims=True))

    def _padded(self, values: Array) -> AmountArrays:
        present = values > 0
        width = int(present.sum(axis=1).max(initial=1))
        first = np.argsort(~present, axis=1, kind="stable")[:, :width]
        amount = np.take_along_axis(values, first, axis=1)
        return AmountArrays(np.where(amount > 0, self.numbers[first], 0).astype(np.int16), amount)

    def _is_judged(self, values: Array) -> Bools:
        """Tell where `charge_balance` judges: not in cages, nor where carbon is no carbonate."""
        hydrogen, carbon = self._get(values, "H"), self._get(values, "C")
        is_cage = (hydrogen > 0) & (self._get(values, "B", "C", "N") > 0)
        return np.asarray(
            ~is_cage & ~((carbon > 0) & (self._get(values, "O") < 3 * carbon)) & ((values > 0).sum(axis=1) > 1)
        )

    def _is_unclear(self, values: Array) -> Bools:
        """Tell where `charge_balance` might deal out charges otherwise than the space does.

        It takes the assignment with the fewest unusual charges. Where one element is unusual, another single one
        can stand for it only if the difference is exactly the same.
        """
        unusual = (values > 0) & ~self.is_usual
        unclear = (unusual.sum(axis=1) > 1) | (unusual.any(axis=1) & ~self._is_judged(values))
        for i in np.flatnonzero(unusual.any(axis=0)):
            rows = unusual[:, i]
            missing = values[rows, i] * (OXIDATION_STATES[self.symbols[i]][0] - self.states[i])
            alike = np.abs(missing) <= SMALLEST_CHARGE
            for j in np.flatnonzero(self.is_usual):
                usual, *others = OXIDATION_STATES[self.symbols[j]]
                for other in others:
                    amount = values[rows, j]
                    alike |= (amount > 0) & (np.abs(amount * (usual - other) - missing) < 1e-9)
            unclear[rows] |= alike
        return np.asarray(unclear)

    def _field(self, values: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            described = {**self._counts(values), **self._anions(values), **self._sites(values)}
        return np.column_stack([described[name] for name in FIELD_NAMES])

    def _counts(self, values: Array) -> dict[str, Array]:
        get = self._get
        total, mobile = values.sum(axis=1), get(values, *MOBILE_IONS)
        n_anions, n_cations = values[:, self.is_anion].sum(axis=1), values[:, self.is_cation].sum(axis=1)
        is_judged = self._is_judged(values)
        units = np.where(np.round(self.states) % 2 == 0, 1.0, 0.5)
        others = values[:, self.is_cation] @ units[self.is_cation]
        tetrahedra = get(values, *TETRAHEDRAL)
        bare = family_codes(values, self.symbols, np.zeros(len(values), dtype=np.bool_))
        scale = np.where((bare == FAMILY_CODE["nasicon"]) & (tetrahedra > 0), 3 / tetrahedra, math.nan)
        return {
            "sodium_fraction": get(values, "Na") / total,
            "lithium_fraction": get(values, "Li") / total,
            "mobile_ion_fraction": mobile / total,
            "mobile_ion_per_anion": ratio(mobile, n_anions),
            "mobile_ion_per_cation": ratio(mobile, n_cations),
            "modifier_fraction": np.where(is_judged & (others > 0), mobile / 2 / (mobile / 2 + others), math.nan),
            **{f"former_{s}": ratio(get(values, s), n_cations) for s in FORMERS},
            **{f"anion_{s}": ratio(get(values, s), n_anions) for s in ANIONS},
            "nasicon_sodium": mobile * scale,
            "nasicon_sodium_from_best": np.abs(mobile * scale - OPTIMAL_NASICON_SODIUM),
            "nasicon_silicon": get(values, "Si") * scale,
            "nasicon_metal": values[:, self.is_metal].sum(axis=1) * scale,
            "net_charge": np.where(is_judged, 0.0, math.nan),
            "n_elements": (values > 0).sum(axis=1).astype(np.float64),
        }

    def _anions(self, values: Array) -> dict[str, Array]:
        anions = [s for s, q in zip(self.symbols, self.states, strict=True) if q < 0]
        polarizability = np.array([ANION_POLARIZABILITY.get(s, 5.0) for s in anions])
        radius = np.array([ANION_RADIUS.get(s, 2.0) for s in anions])
        part = values[:, self.is_anion]
        n_anions = part.sum(axis=1)
        shares = part / n_anions[:, None]
        logs = np.log(np.where(shares > 0, shares, 1.0))
        return {
            "anion_polarizability": part @ polarizability / n_anions,
            "anion_radius": part @ radius / n_anions,
            "anion_mixing_entropy": np.where(n_anions > 0, -(shares * logs).sum(axis=1), math.nan),
            "anion_volume_per_mobile_ion": ratio(part @ radius**3, self._get(values, *MOBILE_IONS)),
        }

    def _sites(self, values: Array) -> dict[str, Array]:
        sites = np.flatnonzero(self.is_site)
        part = values[:, sites]
        total = part.sum(axis=1)
        radius, charge = self.radius[sites], self.states[sites]
        is_bonded = self.is_cation & ~np.isnan(self.radius)
        bonds = values[:, is_bonded] * self.states[is_bonded]
        out = {"bond_weighted_cation_radius": bonds @ self.radius[is_bonded] / bonds.sum(axis=1)}
        if not len(sites):
            missing = np.full(len(values), math.nan)
            return out | dict.fromkeys(_SITE_NAMES, missing)
        host = part.argmax(axis=1)
        mean = part @ radius / total
        dopants = part.copy()
        dopants[np.arange(len(part)), host] = 0.0
        doped = dopants.sum(axis=1)
        has_sites = total > 0

        def mismatch(of: Array) -> Array:
            # Differences first, so that what is the same differs by nought and trees take the same branches.
            found = np.where(doped > 0, (dopants * (of - of[host][:, None])).sum(axis=1) / doped, 0.0)
            return np.where(has_sites, found, math.nan)

        deviation = np.maximum((part * (radius - mean[:, None]) ** 2).sum(axis=1) / total, 0.0)
        values_of_site = (
            mean, np.sqrt(deviation), part @ charge / total, part @ self.electronegativity[sites] / total,
            1 - part[np.arange(len(part)), host] / total, mismatch(radius), mismatch(charge),
        )  # fmt: skip
        return out | dict(zip(_SITE_NAMES, values_of_site, strict=True))


_SITE_NAMES = (
    "metal_radius", "metal_radius_spread", "metal_charge", "metal_electronegativity", "dopant_fraction",
    "dopant_radius_mismatch", "dopant_charge_mismatch",
)  # fmt: skip
