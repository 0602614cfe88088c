"""Accuracy on papers left out: the promoted model, baselines and peers, on the same folds.

    python experiments/accuracy/run.py [--seeds 5] [--peer-seeds 5] [--out results] [--promote]

Hyperparameters are tuned inside each fold. Writes ``results.csv`` and ``predictions.csv`` (each row by models that had
not seen its paper) beside this file and the table in the README, and logs to MLflow under ``--out``. ``--promote``
replaces the models that predictions use, from the same folds. Peers run on the same folds. Also says which
form of the Arrhenius law the reported activation energies belong to.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from sklearn.ensemble import RandomForestRegressor

from nascreen.datasets import load_table, model_folder, sodium_conductivity_rows
from nascreen.export import promote
from nascreen.features import BLOCKS
from nascreen.physics import activation_energy_ev
from nascreen.tracking import log_scores, tracked_run
from nascreen.training import (
    N_FOLDS,
    PROMOTED,
    CrossValidation,
    ScoreRow,
    cross_validate,
    cross_validate_strength,
    score_table,
    training_rows,
)

HERE = Path(__file__).parent
MODEL_NAMES = {
    "mean of three": "**nascreen** (mean of process, trees and forest)",
    "strength law": "**nascreen** (strength law)",
}


def peer(cv: CrossValidation, blocks: Sequence[str], make: Callable[[], Any], n_seeds: int) -> np.ndarray:
    """Return out-of-fold predictions of a regressor on some blocks of features and 1/T, on the first same folds."""
    rows = cv.rows
    inverse_t = -rows.coefficients[:, 1:2] * rows.coefficients[:, :1]
    features = np.nan_to_num(np.hstack([*(rows.features[:, BLOCKS[name]] for name in blocks), inverse_t]), nan=-1.0)
    out = np.empty((min(n_seeds, len(cv.seeds)), len(rows.targets)))
    for i, fold in enumerate(cv.folds[:n_seeds]):
        for k in range(N_FOLDS):
            for kind in (True, False):
                mask = rows.is_conductivity == kind
                train, test = mask & (fold != k), mask & (fold == k)
                out[i, test] = make().fit(features[train], rows.targets[train]).predict(features[test])
    return out


PEERS: dict[str, tuple[tuple[str, ...], Callable[[], Any]]] = {
    "untuned boosting": (
        ("fraction", "magpie", "processing"), lambda: xgboost.XGBRegressor(n_jobs=2, random_state=0),
    ),
    "Magpie + random forest": (
        ("magpie",), lambda: RandomForestRegressor(300, n_jobs=2, random_state=0),
    ),
    "Magpie + processing + random forest": (
        ("magpie", "processing"), lambda: RandomForestRegressor(300, n_jobs=2, random_state=0),
    ),
}  # fmt: skip
"""What the field does by default, each with 1/T as a feature."""


def arrhenius_forms() -> str:
    """Compare reported activation energies with the slopes of log σ and of log σT of the same samples."""
    samples = defaultdict(list)
    for s in sodium_conductivity_rows(load_table("literature")):
        samples[s.paper_id, s.formula, s.phase, s.label, s.sinter_temp_c].append(s)
    offsets = []
    for rows in samples.values():
        energies = [s.ea_ev for s in rows if s.ea_ev is not None]
        cold, hot = min(rows, key=lambda s: s.meas_temp_c), max(rows, key=lambda s: s.meas_temp_c)
        if energies and hot.meas_temp_c - cold.meas_temp_c > 30 and cold.value_origin == "measured":
            values = (cold.conductivity_s_cm, cold.meas_temp_c, hot.conductivity_s_cm, hot.meas_temp_c)
            form = activation_energy_ev(*values)
            scaled = activation_energy_ev(
                values[0] * (values[1] + 273.15), values[1], values[2] * (values[3] + 273.15), values[3]
            )
            offsets.append((form - energies[0], scaled - energies[0]))
    median = np.median(offsets, axis=0)
    return (
        f"{len(offsets)} measured samples with two temperatures and an Ea: slope less reported Ea, median "
        f"{median[0]:+.3f} eV in the σ form, {median[1]:+.3f} eV in the σT form"
    )


def readme_table(scores: Iterable[Mapping[str, str]]) -> str:
    """Return the overall scores as a table of models against quantities."""
    overall = [row for row in scores if row["subset"] == "all"]
    quantities = list(dict.fromkeys(row["quantity"] for row in overall))
    cells = {
        (row["model"], row["quantity"]): f"{float(row['error']):.3f} ± {float(row['spread']):.3f}" for row in overall
    }
    lines = ["| model or baseline | " + " | ".join(quantities) + " |", "|---" * (len(quantities) + 1) + "|"]
    lines += [
        f"| {MODEL_NAMES.get(model, model)} | " + " | ".join(cells.get((model, q), "–") for q in quantities) + " |"
        for model in dict.fromkeys(row["model"] for row in overall)
    ]
    return "\n".join(lines)


def write_readme(table: str) -> None:
    """Put the table between its marks in the README."""
    path = HERE.parent.parent / "README.md"
    head, rest = path.read_text(encoding="utf-8").split("<!-- scores -->")
    tail = rest.split("<!-- /scores -->")[1]
    path.write_text(f"{head}<!-- scores -->\n\n{table}\n\n<!-- /scores -->{tail}", encoding="utf-8")


def write_predictions(cv: CrossValidation) -> None:
    """Write each scored row beside what models that had not seen its paper say of it, mean over shuffles."""
    names = ("sample_id", "group_id", "family", "formula", "meas_temp_c", "quantity", "reported", "predicted", "sd")
    with (HERE / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*names, "family_median", "nearest_neighbour"])
        columns = [cv.predictions[name].mean(axis=0) for name in (PROMOTED, "family median", "nearest neighbour")]
        for i, s in enumerate(cv.rows.samples):
            is_sigma = bool(cv.rows.is_conductivity[i])
            ours, *lookups = (f"{column[i]:.4f}" for column in columns)
            temp_c = "" if s.meas_temp_c is None or not is_sigma else f"{s.meas_temp_c:g}"
            writer.writerow([
                s.sample_id, s.group_id, s.family, s.formula, temp_c, "log10 σT/298 K" if is_sigma else "Ea / eV",
                f"{cv.rows.targets[i]:.4f}", ours, f"{cv.spreads[:, i].mean():.4f}", *lookups,
            ])  # fmt: skip


def publish(cv: CrossValidation, scores: Sequence[ScoreRow]) -> None:
    """Write the scores, the predictions and the table in the README, and print the overall errors."""
    with (HERE / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(scores[0])), lineterminator="\n")
        writer.writeheader()
        for row in scores:
            writer.writerow({**asdict(row), "error": f"{row.error:.4f}", "spread": f"{row.spread:.4f}"})
    with (HERE / "results.csv").open(encoding="utf-8") as file:
        write_readme(readme_table(csv.DictReader(file)))
    write_predictions(cv)
    for row in scores:
        if row.subset == "all":
            print(
                f"{row.quantity:20} {row.model:20} {row.error:.3f} ± {row.spread:.3f}  "
                f"({row.n_rows} rows, {row.n_papers} papers)"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--peer-seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--promote", action="store_true", help="replace the models that predictions use")
    options = parser.parse_args()
    started = time.perf_counter()
    print(arrhenius_forms())
    rows = training_rows()
    with tracked_run("accuracy", {"n_seeds": options.seeds}, options.out) as mlflow:
        cv = cross_validate(rows, range(options.seeds), on_fold=lambda s, k: print(f"seed {s} fold {k}"))
        strength = cross_validate_strength(range(5))
        if options.promote:
            promote(cv, rows, strength, model_folder())
        peers = {name: peer(cv, blocks, make, options.peer_seeds) for name, (blocks, make) in PEERS.items()}
        cv = CrossValidation(cv.rows, cv.seeds, {**cv.predictions, **peers}, cv.spreads, cv.folds)
        scores: list[ScoreRow] = [*score_table(cv), *strength[0]]
        log_scores(mlflow, scores)
    publish(cv, scores)
    print(f"{time.perf_counter() - started:.0f} s; table in {HERE / 'results.csv'}")


if __name__ == "__main__":
    main()
