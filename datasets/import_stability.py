"""Make the table of computed NASICON stabilities from the collected raw table, and describe all tables anew.

Run as::

    python datasets/import_stability.py FOLDER

with ``nasicon_stability.csv`` in FOLDER.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from pathlib import Path

from nascreen.chemistry import charge_balance, parse_formula
from nascreen.schema import write_descriptors

HERE = Path(__file__).resolve().parent
NAME = "stability"
COLUMNS = {
    "formula": ("", "Formula of the computed NASICON"),
    "e_hull_mev_atom": ("meV/atom", "Computed energy above the convex hull at 1000 K, below 0 where it is stable"),
    "synthesis": ("", "Whether it was made: reported, or new (made for the source); empty where that is not known"),
}
SYNTHESES = {"": "", "reported": "reported", "new_synthesised_in_paper": "new"}


def build_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows in the project's columns; a formula that cannot be balanced stops the import."""
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if not charge_balance(parse_formula(row["formula"])).is_balanced:
                raise SystemExit(f"{path.name}: {row['formula']} is not charge balanced")
            energy = f"{float(row['e_hull_1000k_mev_atom']):.2f}"
            rows.append(
                {"formula": row["formula"], "e_hull_mev_atom": energy, "synthesis": SYNTHESES[row["exp_label"]]}
            )
    return rows


def build_record(data: bytes, n_rows: int) -> dict[str, object]:
    """Return the record that verifies and describes the table."""
    return {
        "name": NAME,
        "title": "Computed energies above the hull of NASICONs, a hint whether they can be made",
        "file": f"{NAME}.csv",
        "rows": n_rows,
        "sha256": hashlib.sha256(data).hexdigest(),
        "licence": "MIT licence; © the authors of the source",
        "sources": [
            {
                "citation": "B. Ouyang et al., Synthetic accessibility and stability rules of NASICONs, "
                "Nat. Commun. 12, 5752 (2021)",
                "doi": "10.1038/s41467-021-26006-3",
            }
        ],
        "columns": [{"name": n, "unit": unit, "description": text} for n, (unit, text) in COLUMNS.items()],
        "notes": [
            "Computed, never measured: density functional theory with an entropy of mixing at 1000 K.",
            "NASICONs reported as made lie at up to 30 meV/atom, so that a positive energy is no verdict.",
            "15 energies above 500 meV/atom are failed calculations; they are kept here and not used.",
        ],
    }


def main(folder: Path) -> None:
    """Import the table, and describe all tables anew."""
    rows = build_rows(folder / "nasicon_stability.csv")
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    data = out.getvalue().encode()
    (HERE / f"{NAME}.csv").write_bytes(data)
    text = json.dumps(build_record(data, len(rows)), ensure_ascii=False, indent=2)
    (HERE / f"{NAME}.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    print(f"{NAME}: {len(rows)} rows, {len(data) // 1024} kB")
    for path in write_descriptors(HERE):
        print(f"{path.name}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("Give the folder of raw tables: python datasets/import_stability.py FOLDER")
    main(Path(sys.argv[1]))
