"""Error on unseen papers before and after the reviewed verdicts, on the rows that both tables have.

    python experiments/verdicts/run.py

Rows before: as the sources print them. Rows after: `nascreen.verdicts.reviewed_table`. Scored are the rows that
no verdict changed or left out, so that the two columns answer for the same measurements; what a verdict changed is
scored apart, against the corrected value.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np

from nascreen.datasets import load_table, sodium_conductivity_rows, sodium_ea_rows
from nascreen.records import Sample
from nascreen.training import Rows, chalcogenide_glass_rows, cross_validate, joined, observations
from nascreen.verdicts import load_verdicts, reviewed_table

HERE = Path(__file__).resolve().parent
SEEDS = (0, 1, 2, 3, 4)


def rows_of(table: tuple[Sample, ...]) -> Rows:
    scored = observations(sodium_conductivity_rows(table), sodium_ea_rows(table), is_scored=True)
    return joined([scored, chalcogenide_glass_rows()])


def errors_by_row(table: tuple[Sample, ...]) -> dict[tuple[str, bool], tuple[float, ...]]:
    cv = cross_validate(rows_of(table), SEEDS)
    errors = cv.errors("mean of both")
    keys = [(s.sample_id, bool(is_sigma)) for s, is_sigma in zip(cv.rows.samples, cv.rows.is_conductivity, strict=True)]
    return {key: tuple(errors[:, i]) for i, key in enumerate(keys)}


def main() -> None:
    printed, reviewed = load_table("literature"), reviewed_table("literature")
    counts = Counter(v.verdict for v in load_verdicts() if v.table == "literature")
    now = {s.sample_id: s for s in reviewed}
    is_same = {s.sample_id for s in printed if now.get(s.sample_id) == s}
    before, after = errors_by_row(printed), errors_by_row(reviewed)
    lines = []
    for name, is_sigma in (("log10 σ", True), ("Ea / eV", False)):
        common = [key for key in before if key in after and key[1] == is_sigma]
        for subset, keys in {
            "same in both": [k for k in common if k[0] in is_same],
            "changed by a verdict": [k for k in common if k[0] not in is_same],
            "left out by a verdict": [k for k in before if k not in after and k[1] == is_sigma],
        }.items():
            for label, found in (("as printed", before), ("as reviewed", after)):
                kept = [found[k] for k in keys if k in found]
                if kept:
                    by_seed = np.array(kept).mean(axis=0)
                    lines.append([name, subset, label, len(kept), f"{by_seed.mean():.4f}", f"{by_seed.std():.4f}"])
    with (HERE / "results.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["quantity", "rows", "taught by", "n_rows", "error", "spread"])
        writer.writerows(lines)
    print(f"{len(printed)} rows as printed, {len(reviewed)} as reviewed; decisions: {dict(counts)}")
    print(f"{len(is_same)} rows are the same, {len(reviewed) - len(is_same)} were corrected")
    for line in lines:
        print("  ".join(map(str, line)))


if __name__ == "__main__":
    main()
