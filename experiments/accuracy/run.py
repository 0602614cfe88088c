"""Accuracy on papers left out: the promoted model, baselines and peers, on the same folds.

    python experiments/accuracy/run.py [--seeds 5] [--out results] [--promote] [--as-collected]

Hyperparameters are tuned inside each fold. Writes ``results.csv`` and ``predictions.csv`` (each row by models that had
not seen its paper) beside this file and the table in the README, and logs to MLflow under ``--out``. ``--promote``
replaces the models that predictions use, from the same folds. Peers run on the same folds. Also says which
form of the Arrhenius law the reported activation energies belong to. ``--as-collected`` learns from and scores the
rows as printed and the groups as collected, where a value that several texts quote stands several times, and writes
``collected.csv`` alone.
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

from nascreen.datasets import load_table, model_folder, sodium_conductivity_rows, sodium_ea_rows
from nascreen.export import promote
from nascreen.features import BLOCKS, FEATURE_NAMES
from nascreen.physics import activation_energy_ev
from nascreen.tracking import log_scores, tracked_run
from nascreen.training import (
    N_FOLDS,
    PROMOTED,
    CrossValidation,
    Rows,
    ScoreRow,
    bounded_rows,
    chalcogenide_glass_rows,
    cross_validate,
    cross_validate_strength,
    joined,
    observations,
    score_table,
    training_rows,
)

HERE = Path(__file__).parent
MODEL_NAMES = {
    "mean of three": "**nascreen** (mean of process, trees and forest)",
    "strength law": "**nascreen** (strength law)",
}


SYSTEMS = ("cubic", "tetragonal", "monoclinic", "rhombohedral", "amorphous")
COLUMNS: Mapping[str, Any] = {**BLOCKS, "crystal system": [FEATURE_NAMES.index(name) for name in SYSTEMS]}


def peer(cv: CrossValidation, blocks: Sequence[str], make: Callable[[], Any]) -> np.ndarray:
    """Return out-of-fold predictions of a regressor on some blocks of features and 1/T, on the same folds."""
    rows = cv.rows
    inverse_t = -rows.coefficients[:, 1:2] * rows.coefficients[:, :1]
    features = np.nan_to_num(np.hstack([*(rows.features[:, COLUMNS[name]] for name in blocks), inverse_t]), nan=-1.0)
    out = np.empty((len(cv.seeds), len(rows.targets)))
    for i, fold in enumerate(cv.folds):
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
    "boosting, 400 rounds at 0.05": (
        ("fraction", "magpie", "processing"),
        lambda: xgboost.XGBRegressor(
            n_estimators=400, learning_rate=0.05, subsample=0.8, colsample_bytree=0.5, n_jobs=2, random_state=0
        ),
    ),
    "Magpie + random forest": (
        ("magpie",), lambda: RandomForestRegressor(300, n_jobs=2, random_state=0),
    ),
    "Magpie + processing + random forest": (
        ("magpie", "processing"), lambda: RandomForestRegressor(300, n_jobs=2, random_state=0),
    ),
    "OBELiX's random forest": (
        ("fraction", "crystal system"),
        lambda: RandomForestRegressor(
            50, max_depth=12, max_features="sqrt", min_samples_leaf=2, n_jobs=2, random_state=0
        ),
    ),
}  # fmt: skip
"""What the field does by default, each with 1/T as a feature.

OBELiX (F. Therrien et al., Digital Discovery (2026), doi:10.1039/d5dd00441a) gives its forest composition, space group
and lattice; of these, the sodium table has composition and crystal system. The settings are those from which the grid
search of its benchmark starts.
"""


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


def rows_as_collected() -> Rows:
    """Return what would be learned from and scored if the table were taken as printed."""
    table = load_table("literature")
    scored = observations(sodium_conductivity_rows(table), sodium_ea_rows(table), is_scored=True)
    return joined([scored, bounded_rows(), chalcogenide_glass_rows()])


def write_scores(scores: Sequence[ScoreRow], path: Path) -> None:
    """Write the scores and print the overall errors."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(scores[0])), lineterminator="\n")
        writer.writeheader()
        for row in scores:
            writer.writerow({**asdict(row), "error": f"{row.error:.4f}", "spread": f"{row.spread:.4f}"})
    for row in scores:
        if row.subset == "all":
            print(
                f"{row.quantity:20} {row.model:20} {row.error:.3f} ± {row.spread:.3f}  "
                f"({row.n_rows} rows, {row.n_papers} papers)"
            )


def publish(cv: CrossValidation, scores: Sequence[ScoreRow]) -> None:
    """Write the scores, the predictions and the table in the README."""
    write_scores(scores, HERE / "results.csv")
    with (HERE / "results.csv").open(encoding="utf-8") as file:
        write_readme(readme_table(csv.DictReader(file)))
    write_predictions(cv)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--promote", action="store_true", help="replace the models that predictions use")
    parser.add_argument("--as-collected", action="store_true", help="rows as printed, groups as collected")
    options = parser.parse_args()
    if options.promote and options.as_collected:
        parser.error("--promote is for the reviewed rows; leave --as-collected out.")
    started = time.perf_counter()
    print(arrhenius_forms())
    rows = rows_as_collected() if options.as_collected else training_rows()
    name = "accuracy as collected" if options.as_collected else "accuracy"
    with tracked_run(name, {"n_seeds": options.seeds}, options.out) as mlflow:
        cv = cross_validate(rows, range(options.seeds), on_fold=lambda s, k: print(f"seed {s} fold {k}"))
        strength = cross_validate_strength(range(5))
        peers = {name: peer(cv, blocks, make) for name, (blocks, make) in PEERS.items()}
        cv = CrossValidation(cv.rows, cv.seeds, {**cv.predictions, **peers}, cv.spreads, cv.folds)
        if options.promote:
            command = "python experiments/accuracy/run.py --promote"
            promote(cv, rows, strength, model_folder(), command=command)
        scores: list[ScoreRow] = [*score_table(cv), *([] if options.as_collected else strength[0])]
        log_scores(mlflow, scores)
    if options.as_collected:
        write_scores(scores, HERE / "collected.csv")
    else:
        publish(cv, scores)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
