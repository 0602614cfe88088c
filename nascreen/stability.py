"""The stability hint of NASICONs: what was computed for the composition nearest to one.

The energies above the hull are computed, at 1000 K (B. Ouyang et al., Nat. Commun. 12, 5752 (2021),
doi:10.1038/s41467-021-26006-3), never measured: NASICONs that were made lie at up to 30 meV/atom. With each left out in
turn, how often the nearest other one within `TRUSTED_DISTANCE` agrees is held by a test.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import family_of, parse_formula
from nascreen.datasets import data_folder
from nascreen.errors import IntegrityError

Array = NDArray[np.float64]
_NONE = np.empty(0, dtype=np.intp)

TRUSTED_DISTANCE = 0.15
"""Beyond this distance of compositions a hint says no more than the share of stable ones among all."""
LARGEST_ENERGY = 500.0
"""Energies beyond this, in meV/atom, are failed calculations."""
ROWS = 128
MOST_RARE = 0.3
"""Elements that a smaller share of the computed ones hold are taken as metals of the framework."""
DIGITS = 6
MARGIN = 1e-5
"""Products this much smaller than needed are still looked at, for rounding."""
SMALLEST_USELESS = 0.5
"""Looking within so far leaves nothing out."""
STABILITY_SOURCE = "B. Ouyang et al., Nat. Commun. 12, 5752 (2021), doi:10.1038/s41467-021-26006-3"


@dataclass(frozen=True, eq=False, slots=True)
class Computed:
    """The computed NASICONs.

    Attributes:
        formulas: Their formulas.
        energies_mev: Energies above the hull in meV/atom, shape (n,).
        elements: Elements of the columns of `roots`.
        roots: Square roots of the element fractions, shape (n, e).
    """

    formulas: tuple[str, ...]
    energies_mev: Array
    elements: tuple[str, ...]
    roots: Array


@dataclass(frozen=True, slots=True)
class Hint:
    """What was computed for the composition nearest to a NASICON.

    Attributes:
        formula: That composition.
        energy_mev: Its energy above the hull at 1000 K in meV/atom; below 0 it is stable.
        distance: Distance of the two, as for novelty: 0 for the same, up to 1.41.
    """

    formula: str
    energy_mev: float
    distance: float

    @property
    def sentence(self) -> str:
        """The hint, for people."""
        side = "stable" if self.energy_mev <= 0 else "above the hull"
        same = "" if self.distance < 1e-6 else f", at a distance of {self.distance:.2f}"
        return f"computed for {self.formula}{same}: {self.energy_mev:.0f} meV/atom ({side})"


@lru_cache(maxsize=1)
def computed_nasicons() -> Computed:
    """Return the shipped table, failed calculations left out.

    Raises:
        IntegrityError: If the table is missing or is not the one that its record promises.
    """
    folder = data_folder()
    try:
        data = (folder / "stability.csv").read_bytes()
        record = json.loads((folder / "stability.json").read_text(encoding="utf-8"))
        promised = str(record["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"The table stability.csv cannot be read ({type(error).__name__}); restore the file that came with "
            "nascreen."
        ) from error
    if hashlib.sha256(data).hexdigest() != promised:
        raise IntegrityError(
            "The table stability.csv is not the promised one; restore the file that came with nascreen."
        )
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))
    kept = [row for row in rows if float(row["e_hull_mev_atom"]) <= LARGEST_ENERGY]
    amounts = [parse_formula(row["formula"]).amounts for row in kept]
    elements = tuple(sorted({symbol for of in amounts for symbol in of}))
    table = np.array([[float(of.get(symbol, 0)) for symbol in elements] for of in amounts])
    energies = np.array([float(row["e_hull_mev_atom"]) for row in kept])
    roots = np.sqrt(table / table.sum(axis=1, keepdims=True))
    return Computed(tuple(row["formula"] for row in kept), energies, elements, roots)


def nearest_computed(
    counts: Array | NDArray[np.int64], symbols: Sequence[str], within: float = math.inf
) -> tuple[NDArray[np.intp], Array]:
    """Return the computed NASICON nearest to each composition and its distance, shapes (n,) and (n,).

    Args:
        counts: Amounts in any unit, shape (n, e).
        symbols: Elements of the columns.
        within: Beyond this distance none need be found, which is sooner; -1 and infinity stand there.
    """
    known = _known(tuple(symbols))
    if within < SMALLEST_USELESS:
        return known.nearest_within(counts, within)
    nearest, distance = np.empty(len(counts), dtype=np.intp), np.empty(len(counts))
    for start in range(0, len(counts), ROWS):
        part = slice(start, start + ROWS)
        roots = known.roots_of(counts[part])
        nearest[part] = (roots.astype(np.float32) @ known.single).argmax(axis=1)
        distance[part] = known.distance(roots, nearest[part])
    return nearest, distance


class _Known:
    """The computed NASICONs as seen by compositions of some elements.

    Square roots of fractions are vectors of length 1, so that the nearest has the largest product. The elements that
    few of them hold, the metals, are proportions in which there are only some hundred: a product is at most that of
    the lengths of the other elements and of the metals along such a direction, which leaves out most pairs.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        computed = computed_nasicons()
        place = {symbol: j for j, symbol in enumerate(symbols)}
        shared = [j for j, s in enumerate(computed.elements) if s in place]
        self.columns = [place[computed.elements[j]] for j in shared]
        self.roots = computed.roots[:, shared]
        self.single = np.ascontiguousarray(self.roots.T, dtype=np.float32)
        self.is_rare = (self.roots > 0).mean(axis=0) < MOST_RARE
        metals = self.roots[:, self.is_rare]
        length = np.linalg.norm(metals, axis=1, keepdims=True)
        directions, kind = np.unique(
            np.round(metals / np.where(length > 0, length, 1), DIGITS), axis=0, return_inverse=True
        )
        self.directions = np.ascontiguousarray(directions.T, dtype=np.float32)
        self.by_direction = np.split(np.argsort(kind, kind="stable"), np.cumsum(np.bincount(kind))[:-1])

    def roots_of(self, counts: Array | NDArray[np.int64]) -> Array:
        """Return the square roots of the fractions of the shared elements, shape (n, shared)."""
        return np.asarray(np.sqrt(counts[:, self.columns] / counts.sum(axis=1, keepdims=True)))

    def distance(self, roots: Array, nearest: NDArray[np.intp]) -> Array:
        """Return the distance of each composition to one of the known, shape (n,)."""
        product = np.einsum("ij,ji->i", roots, self.roots.T[:, nearest])
        return np.asarray(np.sqrt(np.maximum(2 - 2 * product, 0)))

    def nearest_within(self, counts: Array | NDArray[np.int64], within: float) -> tuple[NDArray[np.intp], Array]:
        """Return the nearest and its distance as `nearest_computed` does, for a short distance."""
        least = 1 - within**2 / 2
        # The product is at most the length of what is shared.
        shared = counts[:, self.columns].sum(axis=1)
        looked_at = np.flatnonzero(shared >= (least - MARGIN) ** 2 * counts.sum(axis=1))
        roots = self.roots_of(counts[looked_at])
        single = roots.astype(np.float32)
        best, place = np.full(len(roots), -1, dtype=np.float32), np.full(len(roots), -1)
        for members, rows in self._pairs(single, least):
            product = single[rows] @ self.single[:, members]
            top = product.argmax(axis=1)
            value, found = product[np.arange(len(rows)), top], members[top]
            is_better = (value > best[rows]) | ((value == best[rows]) & (found < place[rows]))
            best[rows[is_better]], place[rows[is_better]] = value[is_better], found[is_better]
        nearest, distance = np.full(len(counts), -1), np.full(len(counts), math.inf)
        some = np.flatnonzero(place >= 0)
        apart = self.distance(roots[some], place[some])
        kept = some[apart <= within]
        nearest[looked_at[kept]], distance[looked_at[kept]] = place[kept], apart[apart <= within]
        return nearest, distance

    def _pairs(self, roots: NDArray[np.float32], least: float) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield known ones with metals in the same proportions, and the rows whose product may reach so much."""
        places: list[NDArray[np.intp]] = []
        kinds: list[NDArray[np.intp]] = []
        for start in range(0, len(roots), ROWS):
            part = roots[start : start + ROWS]
            others = (part[:, ~self.is_rare] ** 2).sum(axis=1)
            needed = np.sqrt(np.maximum((least - MARGIN) ** 2 - others, 0))
            product = part[:, self.is_rare] @ self.directions
            some = np.flatnonzero(product.max(axis=1) >= needed)
            row, of = np.divmod(np.flatnonzero(product[some] >= needed[some, None]), len(self.by_direction))
            places.append(some[row] + start)
            kinds.append(of)
        rows, of = np.concatenate([*places, _NONE]), np.concatenate([*kinds, _NONE])
        order = np.argsort(of, kind="stable")
        bounds = np.searchsorted(of[order], np.arange(len(self.by_direction) + 1))
        for members, (first, last) in zip(self.by_direction, itertools.pairwise(bounds), strict=True):
            if last > first:
                yield members, rows[order[first:last]]


@lru_cache(maxsize=8)
def _known(symbols: tuple[str, ...]) -> _Known:
    return _Known(symbols)


def hints(formulas: Sequence[str], families: Sequence[str]) -> list[Hint | None]:
    """Return the hint of each formula; None for what is no NASICON and for NASICONs far from all computed ones.

    Args:
        formulas: Formulas.
        families: Family of each.

    >>> hints(["Na3Zr2Si2PO12", "Na3BS3"], ["nasicon", "thioborate"])
    [Hint(formula='Na3Zr2Si2PO12', energy_mev=-6.03, distance=0.0), None]
    """
    computed = computed_nasicons()
    amounts = [parse_formula(formula).amounts for formula in formulas]
    symbols = sorted({symbol for of in amounts for symbol in of})
    counts = np.array([[float(of.get(symbol, 0)) for symbol in symbols] for of in amounts]).reshape(len(amounts), -1)
    nearest, distance = nearest_computed(counts, symbols)
    return [
        Hint(computed.formulas[i], float(computed.energies_mev[i]), round(float(d), 6))
        if family == "nasicon" and d <= TRUSTED_DISTANCE
        else None
        for i, d, family in zip(nearest, distance, families, strict=True)
    ]


def why_no_hint(formula: str, phase: str = "") -> str:
    """Return why there is no hint for a formula, for people; nothing where there is one.

    >>> why_no_hint("Na3BS3")
    'no stability was computed: the table is of NASICONs'
    """
    composition = parse_formula(formula)
    if family_of(composition, phase or None) != "nasicon":
        return "no stability was computed: the table is of NASICONs"
    symbols = list(composition.amounts)
    nearest, distance = nearest_computed(np.array([[float(composition.amounts[s]) for s in symbols]]), symbols)
    if distance[0] <= TRUSTED_DISTANCE:
        return ""
    near = computed_nasicons().formulas[nearest[0]]
    apart = f"{near} is at a distance of {distance[0]:.2f}, trusted up to {TRUSTED_DISTANCE}"
    return f"no stability was computed nearby: {apart}"
