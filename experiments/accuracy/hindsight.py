"""What no learner of this table reaches, though chosen by looking at the answers.

    python experiments/accuracy/hindsight.py [--seeds 2]

Learners of the usual kinds and settings, each on six sets of features (with 1/T beside them for conductivities),
predict on the folds of the study; beside them stand the promoted model and its parts. Then the scored rows themselves
choose: the best of all learners, the best for each family, the best mixture (weights of 0 or more that sum to 1 and
make the mean absolute error of the scored rows least). An honest choice among these learners does not see the
answers, so it cannot be expected to be better. Writes ``hindsight.csv`` beside this file; errors are mean absolute
ones in decades or eV, spread is over shuffles.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from scipy.optimize import linprog
from scipy.sparse import eye_array, hstack, vstack
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from threadpoolctl import threadpool_limits

from nascreen.features import BLOCKS
from nascreen.training import MODEL_NAMES, N_FOLDS, PROMOTED, CrossValidation, Rows, cross_validate, training_rows
from nascreen.tuning import FEATURE_SETS

HERE = Path(__file__).resolve().parent
COLUMNS = ("quantity", "chosen", "by", "error", "spread", "n_rows", "n_learners")
Make = Callable[[], Any]


def _boosted(**settings: float | str) -> Make:
    return lambda: xgboost.XGBRegressor(n_jobs=1, random_state=0, subsample=0.8, **settings)


def _scaled(make: Make) -> Make:
    return lambda: make_pipeline(StandardScaler(), make())


LEARNERS: dict[str, Make] = {
    "extra trees": lambda: ExtraTreesRegressor(200, max_features=0.33, random_state=0),
    "extra trees, leaves of 3": lambda: ExtraTreesRegressor(200, max_features=0.33, min_samples_leaf=3, random_state=0),
    "random forest": lambda: RandomForestRegressor(200, max_features=0.33, random_state=0),
    "boosted, depth 3": _boosted(n_estimators=500, learning_rate=0.04, max_depth=3, colsample_bytree=0.4),
    "boosted, depth 6": _boosted(n_estimators=400, learning_rate=0.04, max_depth=6, colsample_bytree=0.4),
    "boosted, absolute error": _boosted(
        n_estimators=600, learning_rate=0.04, max_depth=5, colsample_bytree=0.4, objective="reg:absoluteerror"
    ),
    "support vectors": _scaled(lambda: SVR(C=10, epsilon=0.1)),
    "support vectors, stiff": _scaled(lambda: SVR(C=1.5, epsilon=0.2)),
    "neighbours": _scaled(lambda: KNeighborsRegressor(5, weights="distance")),
    "ridge": _scaled(lambda: Ridge(30.0)),
}


def inputs(rows: Rows, blocks: tuple[str, ...]) -> np.ndarray:
    """Return the columns of some blocks and 1/T; what is not known is 0, with a column that says so."""
    columns = np.hstack([rows.features[:, BLOCKS[name]] for name in blocks])
    gaps = np.isnan(columns)
    return np.hstack([np.nan_to_num(columns), gaps[:, gaps.any(axis=0)], rows.coefficients[:, 1:2]])


def predicted(cv: CrossValidation, kept: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each learner says of the conductivities, or of the energies, shape (n_seeds, n).

    Args:
        cv: The promoted model and its parts on the folds of the study.
        kept: Which rows.
    """
    rows = cv.rows.take(kept)
    found = {name: cv.predictions[name][:, kept] for name in (*MODEL_NAMES, "nearest neighbour", "family median")}
    for set_name, blocks in FEATURE_SETS.items():
        features = inputs(rows, blocks)
        for kind, make in LEARNERS.items():
            said = np.empty((len(cv.seeds), len(features)))
            for i, folds in enumerate(cv.folds[:, kept]):
                for k in range(N_FOLDS):
                    train, test = folds != k, folds == k
                    said[i, test] = make().fit(features[train], rows.targets[train]).predict(features[test])
            found[f"{kind} on {set_name}"] = said
            print(f"{np.abs(said - rows.targets).mean():.3f}  {kind} on {set_name}", flush=True)
    return found


def best_mixture(said: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the weights, of 0 or more and with a sum of 1, of the least mean absolute error on these very targets.

    Args:
        said: Shape (n, m).
        targets: Shape (n,).
    """
    n, m = said.shape
    above = hstack([said, -eye_array(n)])
    below = hstack([-said, -eye_array(n)])
    result = linprog(
        np.r_[np.zeros(m), np.full(n, 1 / n)],
        A_ub=vstack([above, below]),
        b_ub=np.r_[targets, -targets],
        A_eq=np.r_[np.ones(m), np.zeros(n)][None],
        b_eq=[1.0],
    )
    return np.asarray(result.x[:m])


def chosen(said: dict[str, np.ndarray], targets: np.ndarray, families: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """Return the errors of each way to choose, by seed, shape (n_seeds,)."""
    every = np.array(list(said.values()))
    off = np.abs(every - targets)
    out = {("promoted model", "papers left out"): np.abs(said[PROMOTED] - targets).mean(axis=1)}
    out["best of all learners", "the scored rows"] = off.mean(axis=2).min(axis=0)
    by_family = [off[:, :, families == name].sum(axis=2).min(axis=0) for name in np.unique(families)]
    out["best learner of each family", "the scored rows"] = np.sum(by_family, axis=0) / len(targets)
    mixed = [np.abs(every[:, i].T @ best_mixture(every[:, i].T, targets) - targets).mean() for i in range(off.shape[1])]
    out["best mixture", "the scored rows"] = np.array(mixed)
    return out


def subsets(rows: Rows, *, is_sigma: bool) -> dict[str, np.ndarray]:
    """Return which rows belong to each quantity that is scored."""
    if not is_sigma:
        return {"Ea / eV": np.ones(len(rows.samples), dtype=bool)}
    temp_c = np.array([s.meas_temp_c for s in rows.samples], dtype=np.float64)
    is_measured = np.array([s.value_origin == "measured" for s in rows.samples])
    return {
        "log10 σ": np.ones(len(temp_c), dtype=bool),
        "log10 σ, 15–35 °C, measured": (temp_c >= 15) & (temp_c <= 35) & is_measured,
        "log10 σ, NASICON": np.array([s.family == "nasicon" for s in rows.samples]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    with threadpool_limits(1):
        cv = cross_validate(training_rows(), range(options.seeds), on_fold=lambda s, k: print(f"seed {s} fold {k}"))
        is_sigma = cv.rows.is_conductivity
        tables = {kind: (cv.rows.take(kept), predicted(cv, kept)) for kind, kept in ((1, is_sigma), (0, ~is_sigma))}
    with (HERE / "hindsight.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for kind, (rows, said) in tables.items():
            families = np.array([s.family for s in rows.samples])
            for quantity, mask in subsets(rows, is_sigma=bool(kind)).items():
                kept = {name: values[:, mask] for name, values in said.items()}
                for (choice, by), errors in chosen(kept, rows.targets[mask], families[mask]).items():
                    line = [quantity, choice, by, f"{errors.mean():.4f}", f"{errors.std():.4f}", mask.sum(), len(kept)]
                    writer.writerow(line)
                    print("  ".join(map(str, line)), flush=True)


if __name__ == "__main__":
    main()
