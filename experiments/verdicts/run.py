"""Error on unseen papers before and after the reviewed verdicts, on the rows that all variants have.

    python experiments/verdicts/run.py

1. *as printed*: every row, groups as collected. 2. *quotes joined*: the same rows; texts in which one measurement
stands first-hand and quoted are one group, so that it is never on both sides of a split. 3. *as reviewed*: quotes
left out, formulas, temperatures, origins and groups corrected, values that were never measured left out; once with the
joined groups and the folds of 2, once with its own groups, which is what the promoted model is scored on: with the
quotes gone, texts need not be joined. Scored are the rows that no verdict touched.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from nascreen.datasets import grouped_folds, load_table, sodium_conductivity_rows, sodium_ea_rows
from nascreen.quality import find_all
from nascreen.records import Sample
from nascreen.training import PROMOTED, Rows, chalcogenide_glass_rows, cross_validate, joined, observations
from nascreen.verdicts import load_verdicts, reviewed_table

HERE = Path(__file__).resolve().parent
SEEDS = (0, 1, 2)


def joined_groups(samples: Sequence[Sample]) -> dict[str, str]:
    """Return the group of each row once texts that share a measurement are one group."""
    parent = {s.group_id: s.group_id for s in samples}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    group_of = {s.sample_id: s.group_id for s in samples}
    pairs = [(group_of[i], group_of[f.sample_ids[0]]) for f in find_all({"literature": samples}, ["quote"])
             for i in f.sample_ids]  # fmt: skip
    for verdict in load_verdicts():
        if verdict.table == "literature" and verdict.reason.startswith("the same number as "):
            twin = verdict.reason.removeprefix("the same number as ").split(" ")[0]
            pairs.append((group_of[verdict.subject], group_of[twin]))
        elif verdict.column == "group_id":
            pairs.append((group_of[verdict.subject], verdict.value))
    for a, b in pairs:
        parent[root(a)] = root(b)
    return {sample_id: root(group) for sample_id, group in group_of.items()}


def rows_of(table: Sequence[Sample]) -> Rows:
    scored = observations(sodium_conductivity_rows(table), sodium_ea_rows(table), is_scored=True)
    return joined([scored, chalcogenide_glass_rows()])


Errors = dict[tuple[str, bool], tuple[float, ...]]


def errors_by_row(table: Sequence[Sample], names: Sequence[str] | None = None) -> Errors:
    """Return the error of every scored row by seed; ``names`` fixes how groups are dealt to folds."""
    fixed = {seed: dict(zip(names, grouped_folds(names, 5, seed), strict=True)) for seed in SEEDS} if names else {}

    def dealt(groups: Sequence[str], n_folds: int, seed: int) -> list[int]:
        return [fixed[seed][group] for group in groups] if fixed else grouped_folds(groups, n_folds, seed)

    with patch("nascreen.training.grouped_folds", dealt):
        cv = cross_validate(rows_of(table), SEEDS)
    errors = cv.errors(PROMOTED)
    keys = [(s.sample_id, bool(is_sigma)) for s, is_sigma in zip(cv.rows.samples, cv.rows.is_conductivity, strict=True)]
    return {key: tuple(errors[:, i]) for i, key in enumerate(keys)}


def main() -> None:
    printed, reviewed = load_table("literature"), reviewed_table("literature")
    groups = joined_groups(printed)
    names = sorted(set(groups.values()))
    found = {
        "as printed": errors_by_row(printed),
        "quotes joined": errors_by_row([replace(s, group_id=groups[s.sample_id]) for s in printed], names),
        "as reviewed, quotes joined": errors_by_row(
            [replace(s, group_id=groups[s.sample_id]) for s in reviewed], names
        ),
        "as reviewed": errors_by_row(reviewed),
    }
    decisions = Counter(v.verdict for v in load_verdicts() if v.table == "literature")
    touched = {v.subject for v in load_verdicts() if v.verdict != "kept" and v.column != "density_g_cm3"}
    lines = []
    for quantity, is_sigma in (("log10 σ", True), ("Ea / eV", False)):
        common = set.intersection(*(set(errors) for errors in found.values()))
        keys = sorted(key for key in common if key[1] == is_sigma and key[0] not in touched)
        for variant, errors in found.items():
            by_seed = np.array([errors[key] for key in keys]).mean(axis=0)
            lines.append([quantity, variant, len(keys), f"{by_seed.mean():.4f}", f"{by_seed.std():.4f}"])
    with (HERE / "results.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["quantity", "rows and groups", "n_rows", "error", "spread"])
        writer.writerows(lines)
    n_same = sum(s.sample_id not in touched for s in reviewed)
    print(f"{len(printed)} rows as printed, {len(reviewed)} as reviewed, {len(reviewed) - n_same} of them corrected")
    print(f"{len({s.group_id for s in printed})} groups as collected, {len(names)} once quotes are joined")
    print(f"decisions: {dict(decisions)}")
    for line in lines:
        print("  ".join(map(str, line)))


if __name__ == "__main__":
    main()
