"""Error where the model knows least: a whole family left out, and papers later than all it learned from.

    python experiments/accuracy/shift.py

Hyperparameters are tuned on what each model learns from. Writes ``experiments/accuracy/shift.csv``.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nascreen.training import (
    PROMOTED,
    Rows,
    _family_medians,
    _nearest_neighbours,
    borrowed_lines,
    fit_conductivity,
    line_to_observation,
    training_rows,
)

HERE = Path(__file__).resolve().parent
LEAST_PAPERS = 5
YEARS = (2015, 2018, 2020)


def splits(rows: Rows) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return what teaches and what is tested, by the name of the split."""
    families = np.array([s.family for s in rows.samples])
    groups = np.array(rows.groups)
    papers = Counter(family for family, _ in {(s.family, s.group_id) for s in rows.samples if s.family})
    out = {}
    for family, n in papers.most_common():
        test = (families == family) & rows.is_scored
        if n >= LEAST_PAPERS and test.sum() >= 15:
            out[f"without {family}"] = (~np.isin(groups, groups[test]) & (families != family), test)
    year = np.array([0 if s.year is None or "#ref" in s.paper_id else s.year for s in rows.samples])
    for limit in YEARS:
        test = (year > limit) & rows.is_scored
        out[f"learned to {limit}, tested later"] = (~np.isin(groups, groups[test]), test)
    return out


def main() -> None:
    rows = training_rows()
    lines = []
    for name, (teaches, tested) in splits(rows).items():
        train, test = rows.take(teaches), rows.take(tested)
        model = fit_conductivity(train, borrowed=borrowed_lines().unknown_to(test))
        found = {
            kind: line_to_observation(line, test.coefficients) for kind, line in model.lines(test.features).items()
        }
        known = train.take(train.is_scored)
        found["family median"] = _family_medians(known, test)
        found["nearest neighbour"] = _nearest_neighbours(known, test)
        spread = np.sqrt(model.variance(test.features, test.coefficients))
        for quantity, mask in (("log10 σ", test.is_conductivity), ("Ea / eV", ~test.is_conductivity)):
            if not mask.any():
                continue
            n_papers = len({g for g, is_in in zip(test.groups, mask, strict=True) if is_in})
            for kind, values in found.items():
                error = float(np.abs(values - test.targets)[mask].mean())
                lines.append([name, quantity, kind, f"{error:.3f}", int(mask.sum()), n_papers])
            inside = np.abs(found[PROMOTED] - test.targets)[mask] < 1.645 * spread[mask]
            print(f"{name:34} {quantity:8} {lines[-len(found)][3]}  inside ±1.645 sd: {inside.mean():.0%}")
    with (HERE / "shift.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["split", "quantity", "model", "error", "n_rows", "n_papers"])
        writer.writerows(lines)


if __name__ == "__main__":
    main()
