"""The stability hint of NASICONs: what was computed for the composition nearest to one.

The energies above the hull are computed, at 1000 K (B. Ouyang et al., Nat. Commun. 12, 5752 (2021),
doi:10.1038/s41467-021-26006-3), never measured: NASICONs that were made lie at up to 30 meV/atom. With each left out in
turn, how often the nearest other one within `TRUSTED_DISTANCE` agrees is held by a test.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nascreen.chemistry import family_of, parse_formula
from nascreen.datasets import data_folder
from nascreen.errors import IntegrityError

Array = NDArray[np.float64]

TRUSTED_DISTANCE = 0.15
"""Beyond this distance of compositions a hint says no more than the share of stable ones among all."""
LARGEST_ENERGY = 500.0
"""Energies beyond this, in meV/atom, are failed calculations."""
ROWS = 128
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


def nearest_computed(counts: Array | NDArray[np.int64], symbols: Sequence[str]) -> tuple[NDArray[np.intp], Array]:
    """Return the computed NASICON nearest to each composition and its distance, shapes (n,) and (n,).

    Args:
        counts: Amounts in any unit, shape (n, e).
        symbols: Elements of the columns.
    """
    computed = computed_nasicons()
    place = {symbol: j for j, symbol in enumerate(symbols)}
    shared = [s for s in computed.elements if s in place]
    # Square roots of fractions are vectors of length 1, so that the nearest has the largest product.
    known = np.ascontiguousarray(computed.roots[:, [computed.elements.index(s) for s in shared]].T, dtype=np.float32)
    columns = [place[s] for s in shared]
    nearest, distance = np.empty(len(counts), dtype=np.intp), np.empty(len(counts))
    for start in range(0, len(counts), ROWS):
        part = counts[start : start + ROWS]
        roots = np.sqrt(part / part.sum(axis=1, keepdims=True))[:, columns]
        best = (roots.astype(np.float32) @ known).argmax(axis=1)
        nearest[start : start + ROWS] = best
        product = np.einsum("ij,ji->i", roots, computed.roots.T[[computed.elements.index(s) for s in shared]][:, best])
        distance[start : start + ROWS] = np.sqrt(np.maximum(2 - 2 * product, 0))
    return nearest, distance


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
