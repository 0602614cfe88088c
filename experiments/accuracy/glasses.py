"""How well sodium glasses are predicted whose reference was left out.

    python experiments/accuracy/glasses.py [--seeds 2]

Scored are the rows of the glass table of which nothing is suspect, at every temperature, on 5 folds grouped by
reference. Some learners see 1/T as a feature; others learn the line of each glass (log10 σT at 25 °C and Ea), as the
promoted forest does; a glass measured at one temperature has none. "promoted model" and "its forest" are those of the
product, which learn the literature beside the other folds of the glasses, at their own weights; of oxide glasses the
promoted model asks trees that are boosted on single conductivities. Writes ``glasses.csv`` beside this file: mean
absolute errors in decades, their spread over shuffles, and what is left without the 5 % of references that all learners
miss most. The best mixture is chosen by the scored rows themselves (see `hindsight.py`): no honest mixture of these
learners can be expected to be better.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from hindsight import best_mixture
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, RandomForestRegressor
from threadpoolctl import threadpool_limits

from nascreen import gaussian
from nascreen.datasets import grouped_folds
from nascreen.features import BLOCKS
from nascreen.learners import LEARNERS, Task, Transform
from nascreen.training import (
    LITHIUM_COLUMN,
    PROMOTED,
    BorrowedLines,
    Rows,
    borrowed_lines,
    fit_conductivity,
    line_to_observation,
    observations,
    training_rows,
)
from nascreen.verdicts import reviewed_table

HERE = Path(__file__).resolve().parent
COLUMNS = ("model", "error", "spread", "without_worst_references", "n_rows", "n_references")
N_FOLDS = 5
WORST = 0.05
COMPOSITION = ("fraction",)
EVERYTHING = ("family", "fraction", "field", "magpie", "phase")
Make = Callable[[], Any]

BY_TEMPERATURE: dict[str, tuple[tuple[str, ...], Make]] = {
    "fractions + gradient boosting": (COMPOSITION, lambda: HistGradientBoostingRegressor(random_state=0)),
    "Magpie + random forest": (
        ("magpie",), lambda: RandomForestRegressor(100, max_features=0.33, random_state=0),
    ),
    "all features + extra trees": (
        EVERYTHING, lambda: ExtraTreesRegressor(200, max_features=0.33, min_samples_leaf=2, random_state=0),
    ),
    "all features + boosted trees": (
        EVERYTHING, lambda: xgboost.XGBRegressor(
            n_estimators=400, learning_rate=0.05, max_depth=6, subsample=0.8, colsample_bytree=0.3,
            objective="reg:absoluteerror", n_jobs=1, random_state=0,
        ),
    ),
}  # fmt: skip
BY_LINE = {
    "lines, Gaussian process": ("gaussian process", ("fraction", "field")),
    "lines, support vectors": ("support vectors", ("fraction", "field")),
    "lines, boosted trees": ("xgboost", ("fraction", "field", "magpie")),
}
MIXED = ("all features + boosted trees", "lines, Gaussian process", "lines, support vectors")
"""Members of the mixture: one of each kind, the best of its kind on the first shuffle."""


def glass_rows() -> Rows:
    samples = [s for s in reviewed_table("glasses") if s.quality == "ok" and s.conductivity_s_cm]
    return observations([s for s in samples if s.meas_temp_c is not None], [], is_scored=True)


def columns(features: np.ndarray, blocks: tuple[str, ...]) -> np.ndarray:
    return np.nan_to_num(np.hstack([features[:, BLOCKS[name]] for name in blocks]), nan=-1.0)


def by_line(kind: str, names: tuple[str, ...], lines: BorrowedLines, features: np.ndarray) -> np.ndarray:
    """Return the lines of some rows as a learner that saw other lines predicts them, shape (n, 2)."""
    varying = {name: np.nanstd(lines.features[:, BLOCKS[name]], axis=0) > 0 for name in names}

    def blocks(of: np.ndarray) -> dict[str, np.ndarray]:
        return {name: of[:, BLOCKS[name]][:, varying[name]] for name in names}

    out = []
    for targets in lines.lines.T:
        scaled = Transform.fit("identity", targets)
        settings = {"rounds": 400} if kind == "xgboost" else {}
        fit = LEARNERS[kind].fit(Task(blocks(lines.features), scaled.forward(targets), names, settings, 0))
        out.append(scaled.back(fit(blocks(features))[:, 0]))
    return np.column_stack(out)


def predicted(rows: Rows, fold: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each model says of every row by the other folds."""
    names = (*BY_TEMPERATURE, *BY_LINE, "promoted model", "its forest")
    found = {name: np.empty(len(fold)) for name in names}
    lent, own, groups = borrowed_lines(), training_rows(), np.array(rows.groups)
    inverse_t = rows.coefficients[:, 1:2]
    for k in range(N_FOLDS):
        test, train = fold == k, fold != k
        tested = rows.take(test)
        for name, (blocks, make) in BY_TEMPERATURE.items():
            features = np.hstack([columns(rows.features, blocks), inverse_t])
            found[name][test] = make().fit(features[train], rows.targets[train]).predict(features[test])
        free = lent.take(~np.isin(lent.groups, groups[test]))
        glasses = free.take(free.features[:, LITHIUM_COLUMN] == 0).complete()
        for name, (kind, blocks) in BY_LINE.items():
            line = by_line(kind, blocks, glasses, tested.features)
            found[name][test] = line_to_observation(line, tested.coefficients)
        model = fit_conductivity(
            own.take(~np.isin(own.groups, groups[test])), borrowed=free, parameters=gaussian.default_parameters()
        )
        lines = model.lines(tested.features)
        for name, part in (("promoted model", PROMOTED), ("its forest", "extra trees")):
            found[name][test] = line_to_observation(lines[part], tested.coefficients)
        print(f"fold {k}", flush=True)
    found["mean of three kinds"] = np.mean([found[name] for name in MIXED], axis=0)
    said = np.column_stack(list(found.values()))
    found["best mixture, in hindsight"] = said @ best_mixture(said, rows.targets)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    rows = glass_rows()
    groups = np.array(rows.groups)
    off: dict[str, list[np.ndarray]] = {}
    with threadpool_limits(1):
        for seed in range(options.seeds):
            fold = np.array(grouped_folds(rows.groups, N_FOLDS, seed))
            for name, said in predicted(rows, fold).items():
                off.setdefault(name, []).append(np.abs(said - rows.targets))
    missed = np.mean([errors for by_seed in off.values() for errors in by_seed], axis=0)
    names = np.unique(groups)
    order = np.argsort([-missed[groups == name].mean() for name in names])
    worst = np.isin(groups, names[order[: round(WORST * len(names))]])
    with (HERE / "glasses.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, errors in sorted(off.items(), key=lambda item: np.mean(item[1])):
            by_seed = np.mean(errors, axis=1)
            rest = np.mean(errors, axis=0)[~worst].mean()
            line = [name, f"{by_seed.mean():.4f}", f"{by_seed.std():.4f}", f"{rest:.4f}", len(groups), len(names)]
            writer.writerow(line)
            print("  ".join(map(str, line)))


if __name__ == "__main__":
    main()
