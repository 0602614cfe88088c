"""Build ``datasets/elements.csv`` and its record from the tables that matminer and pymatgen install.

Run ``python experiments/elements/build_elements.py`` from the repository; the same versions give the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import json
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nascreen.chemistry import SYMBOLS
from nascreen.elements import COLUMNS, FIELD_COLUMNS, FILE_NAME, MAGPIE_PROPERTIES, SHANNON_COLUMNS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from matminer.utils.data import MagpieData  # type: ignore[import-untyped, unused-ignore]
    from pymatgen.analysis import cost, hhi
    from pymatgen.core.periodic_table import Element

DATASETS = Path(__file__).resolve().parents[2] / "datasets"

# pymatgen's price of neon, 660,000 USD/kg, cites a page about neptunium.
WRONG_PRICES = frozenset({"Ne"})

MAGPIE_COLUMNS: dict[str, tuple[str, str]] = {
    "Number": ("", "Atomic number (empty above 112, as in Magpie)"),
    "MendeleevNumber": ("", "Mendeleev number, counted columnwise from H"),
    "AtomicWeight": ("u", "Atomic weight"),
    "MeltingT": ("K", "Melting temperature"),
    "Column": ("", "Column of the periodic table; 3 for every rare earth"),
    "Row": ("", "Row of the periodic table"),
    "CovalentRadius": ("pm", "Covalent radius"),
    "Electronegativity": ("", "Pauling electronegativity; Eu, Yb, Tb and Pm are means of their neighbours"),
    "NsValence": ("", "Filled s valence orbitals"),
    "NpValence": ("", "Filled p valence orbitals"),
    "NdValence": ("", "Filled d valence orbitals"),
    "NfValence": ("", "Filled f valence orbitals"),
    "NValence": ("", "Valence electrons"),
    "NsUnfilled": ("", "Unfilled s valence orbitals"),
    "NpUnfilled": ("", "Unfilled p valence orbitals"),
    "NdUnfilled": ("", "Unfilled d valence orbitals"),
    "NfUnfilled": ("", "Unfilled f valence orbitals"),
    "NUnfilled": ("", "Unfilled valence orbitals"),
    "GSvolume_pa": ("angstrom^3", "DFT volume per atom of the ground state at 0 K (OQMD)"),
    "GSbandgap": ("eV", "DFT band gap of the ground state at 0 K (OQMD)"),
    "GSmagmom": ("Bohr magneton", "DFT magnetic moment per atom of the ground state at 0 K (OQMD)"),
    "SpaceGroupNumber": ("", "Space group number of the ground state at 0 K"),
}
OTHER_COLUMNS: dict[str, tuple[str, str]] = {
    "atomic_mass": ("u", "Atomic mass (pymatgen); mass number of the longest-lived isotope where there is no other"),
    "pauling_electronegativity": ("", "Pauling electronegativity (pymatgen)"),
    "atomic_radius": ("angstrom", "Empirical atomic radius of Slater (pymatgen)"),
    "polarizability": ("angstrom^3", "Static dipole polarizability of the free atom (Magpie, from the CRC Handbook)"),
    "cost_usd_kg": (
        "USD/kg",
        "Price of the element, an order of magnitude (pymatgen's list of 2013; Ba of 2019; H, Ar, Kr, Tc of 2020)",
    ),
    "hhi_production": ("", "Herfindahl-Hirschman index of production, 0-10,000"),
    "hhi_reserve": ("", "Herfindahl-Hirschman index of reserves, 0-10,000"),
    "shannon_radius_vi": ("angstrom", "Effective ionic radii in coordination VI as charge:radius;..., high spin first"),
    "shannon_radius_iv": ("angstrom", "Effective ionic radii in tetrahedral coordination IV as charge:radius;..."),
}
SOURCES: dict[str, str | None] = {
    "L. Ward, A. Agrawal, A. Choudhary, C. Wolverton, A general-purpose machine learning framework for predicting "
    "properties of inorganic materials, npj Comput. Mater. 2, 16028 (2016)": "10.1038/npjcompumats.2016.28",
    "L. Ward et al., Matminer: An open source toolkit for materials data mining, "
    "Comput. Mater. Sci. 152, 60-69 (2018)": "10.1016/j.commatsci.2018.05.018",
    "S. P. Ong et al., Python Materials Genomics (pymatgen): A robust, open-source python library for materials "
    "analysis, Comput. Mater. Sci. 68, 314-319 (2013)": "10.1016/j.commatsci.2012.10.028",
    "R. D. Shannon, Revised effective ionic radii and systematic studies of interatomic distances in halides and "
    "chalcogenides, Acta Cryst. A 32, 751-767 (1976)": "10.1107/S0567739476001551",
    "M. W. Gaultois et al., Data-Driven Review of Thermoelectric Materials: Performance and Resource "
    "Considerations, Chem. Mater. 25, 2911-2920 (2013)": "10.1021/cm400893e",
    "J. C. Slater, Atomic Radii in Crystals, J. Chem. Phys. 41, 3199-3204 (1964)": "10.1063/1.1725697",
    "Prices: Wolfram Alpha and Wikipedia, September 2013, and five entries of 2019 and 2020, "
    "each cited in pymatgen/analysis/costdb_elements.csv": None,
}


def number_text(value: float | None) -> str:
    """Return a number so that it reads back to the bit; empty where it is missing."""
    return "" if value is None or value != value else repr(float(value))  # noqa: PLR0124


def radii_text(symbol: str, coordination: str) -> str:
    """Return the Shannon radii of one element as ``charge:radius`` pairs, by rising charge."""
    by_charge: Mapping[str, Mapping[str, Any]] = Element(symbol).data.get("Shannon radii") or {}
    radii = {}
    for charge, by_coordination in by_charge.items():
        by_spin = by_coordination.get(coordination, {})
        found = next((by_spin[spin] for spin in ("High Spin", "", "Low Spin") if spin in by_spin), None)
        if found is not None:
            radii[int(charge)] = float(found["ionic_radius"])
    return ";".join(f"{charge}:{radii[charge]!r}" for charge in sorted(radii))


def prices() -> dict[str, float]:
    """Return pymatgen's price of each element in USD/kg, without the ones known to be wrong."""
    with Path(cost.MODULE_DIR, "costdb_elements.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row[0], float(row[1])) for row in csv.reader(file, quotechar="|")]
    if len(dict(rows)) != len(rows):
        raise ValueError("pymatgen's price list names an element twice.")
    return {symbol: price for symbol, price in rows if symbol not in WRONG_PRICES}


def hhi_indices() -> dict[str, tuple[float, float]]:
    """Return the Herfindahl-Hirschman indices of production and reserves of each element."""
    lines = Path(hhi.HHI_CSV_PATH).read_text(encoding="utf-8").splitlines()
    rows = [line.split(",") for line in lines if not line.startswith("#")]
    return {symbol: (float(production), float(reserve)) for symbol, production, reserve in rows}


def build_rows() -> list[dict[str, str]]:
    """Return one row of texts for each element, by atomic number."""
    magpie = MagpieData(impute_nan=False).all_elemental_props
    price_of, hhi_of = prices(), hhi_indices()
    rows = []
    for symbol in SYMBOLS:
        data = Element(symbol).data
        fields = (
            data["Atomic mass"],
            data.get("X"),
            data.get("Atomic radius"),
            magpie["Polarizability"][symbol],
            price_of.get(symbol),
            *hhi_of.get(symbol, (None, None)),
        )
        row = {"symbol": symbol} | {name: number_text(magpie[name][symbol]) for name in MAGPIE_PROPERTIES}
        row |= dict(zip(FIELD_COLUMNS, map(number_text, fields), strict=True))
        row |= {SHANNON_COLUMNS[6]: radii_text(symbol, "VI"), SHANNON_COLUMNS[4]: radii_text(symbol, "IV")}
        rows.append(row)
    return rows


def build_record(content: bytes, n_rows: int) -> dict[str, object]:
    """Return the metadata record of the table."""
    described = {"symbol": ("", "Element symbol, by atomic number"), **MAGPIE_COLUMNS, **OTHER_COLUMNS}
    versions = f"matminer {version('matminer')} and pymatgen {version('pymatgen')}"
    return {
        "name": "elements",
        "title": f"Properties of the 118 elements, from {versions}",
        "file": FILE_NAME,
        "rows": n_rows,
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Compiled from matminer (modified BSD licence, LBNL) and pymatgen (MIT licence); cite the sources",
        "sources": [{"citation": citation, "doi": doi} for citation, doi in SOURCES.items()],
        "columns": [{"name": name, "unit": described[name][0], "description": described[name][1]} for name in COLUMNS],
    }


def main() -> None:
    """Write the table and its record."""
    rows = build_rows()
    path = DATASETS / FILE_NAME
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    record = build_record(path.read_bytes(), len(rows))
    text = json.dumps(record, indent=2, ensure_ascii=True) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8", newline="\n")
    print(f"{path}: {len(rows)} rows, {len(COLUMNS)} columns, sha256 {record['sha256']}")
    for name in COLUMNS[1:]:
        n_missing = sum(not row[name] for row in rows)
        print(f"  {name:<26} {n_missing:>3} empty")


if __name__ == "__main__":
    main()
