"""What each decision and each kind of information costs or brings: one changed at a time, the same folds for all.

    python experiments/accuracy/ablation.py [--seeds 3] [--only NAME] [--out results]

Hyperparameters are tuned inside each fold once, on the promoted choice, and kept in ``--out`` for all variants. The
same rows are scored for all. Writes ``experiments/accuracy/ablation.csv``: the error of each variant, how much it is
above that of the promoted choice, and the standard error of that difference over papers.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from threadpoolctl import threadpool_limits

from nascreen import gaussian, training
from nascreen.datasets import USABLE_ORIGINS, grouped_folds, has_sodium
from nascreen.features import BLOCKS, FEATURE_NAMES
from nascreen.records import Sample
from nascreen.stability import hints
from nascreen.training import (
    N_FOLDS,
    N_TREES,
    PROMOTED,
    TREE_SETTINGS,
    BorrowedLines,
    ConductivityModel,
    Rows,
    Scaler,
    borrowed_lines,
    fit_conductivity,
    in_six_digits,
    joined,
    line_to_observation,
    observations,
    process_of,
    training_rows,
)
from nascreen.verdicts import reviewed_hash, reviewed_table

HERE = Path(__file__).resolve().parent
BULK = FEATURE_NAMES.index("bulk_conductivity")
Fit = Callable[..., ConductivityModel]


def grain_boundary_rows() -> Rows:
    """Return conductivities of grain boundaries alone, which no promoted model learns from."""
    rows = [
        s
        for s in reviewed_table("literature")
        if has_sodium(s) and s.conductivity_s_cm and s.meas_temp_c is not None and s.value_origin in USABLE_ORIGINS
        and s.conductivity_kind == "grain_boundary"
    ]  # fmt: skip
    return observations(rows, [], is_scored=False)


# ---------------------------------------------------------------- the likelihood of bounds in boosted trees


class IntervalTrees:
    """Boosted trees under the likelihood of an accelerated failure time model, which takes bounds as they are.

    A. Barnwal, H. Cho, T. Hocking, J. Comput. Graph. Stat. 31, 1292 (2022), doi:10.1080/10618600.2022.2067548. The
    objective models the natural logarithm of a positive label, so the labels are exponentials of decades.
    """

    def __init__(self, features: np.ndarray, decades: np.ndarray, sides: np.ndarray, seed: int) -> None:
        """Grow the trees; where ``sides`` is not 0, ``decades`` is a bound."""
        data = xgboost.DMatrix(in_six_digits(features).astype(np.float32))
        label = np.exp(decades)
        data.set_float_info("label_lower_bound", np.where(sides < 0, 0.0, label))
        data.set_float_info("label_upper_bound", np.where(sides > 0, np.inf, label))
        settings = {
            **TREE_SETTINGS, "objective": "survival:aft", "aft_loss_distribution": "logistic",
            "aft_loss_distribution_scale": 0.5, "seed": seed, "base_score": float(np.exp(np.median(decades))),
        }  # fmt: skip
        self._booster = xgboost.train(settings, data, N_TREES)

    def inplace_predict(self, features: np.ndarray) -> np.ndarray:
        """Return decades, as boosted trees of plain values do."""
        return np.log(self._booster.predict(xgboost.DMatrix(features)))


def fit_with_intervals(rows: Rows, *, seed: int, **options: Any) -> ConductivityModel:  # noqa: ANN401
    """Fit the promoted model with boosted trees that take bounds by their likelihood."""
    model = fit_conductivity(rows, seed=seed, **options)
    mask = rows.is_conductivity
    at_25 = training.brought_to_25(model.process, model.scaler, rows)
    return replace(model, trees=IntervalTrees(rows.features[mask], at_25, rows.sides[mask], seed))


# ---------------------------------------------------------------- variants


@dataclass(frozen=True)
class Variant:
    """One decision made differently.

    Attributes:
        question: What it is about.
        name: What is done.
        teaches: Which rows teach, of the promoted rows and those of grain boundaries.
        counts: What each row counts.
        fit: What fits the model.
        hidden: Columns that are set to 0, in learning and in testing.
        borrows: Which of the borrowed lines teach.
        added: What the trees see beside the features: one value of each sample, NaN where there is none.
    """

    question: str
    name: str
    teaches: Callable[[Rows], np.ndarray] = lambda rows: kind_of(rows) != "grain_boundary"
    counts: Callable[[Rows], np.ndarray] | None = None
    fit: Fit = fit_conductivity
    hidden: tuple[int, ...] = ()
    borrows: Callable[[BorrowedLines], np.ndarray] = lambda lines: np.ones(len(lines.groups), dtype=bool)
    added: Callable[[Sample], float] | None = None


def kind_of(rows: Rows) -> np.ndarray:
    return np.array([s.conductivity_kind for s in rows.samples])


def origin_of(rows: Rows) -> np.ndarray:
    return np.array([s.value_origin for s in rows.samples])


def usual(rows: Rows) -> np.ndarray:
    return kind_of(rows) != "grain_boundary"


def is_own(rows: Rows) -> np.ndarray:
    """Return which rows are of the literature table, scored ones and bounds."""
    return np.array(rows.is_scored) | (rows.sides != 0)


def weighing(origins: tuple[str, ...], share: float) -> Callable[[Rows], np.ndarray]:
    return lambda rows: np.where(np.isin(origin_of(rows), origins), share, 1.0)


def without_sides(rows: Rows, **options: Any) -> ConductivityModel:  # noqa: ANN401
    """Fit as if bounds were values."""
    return fit_conductivity(replace(rows, sides=np.zeros_like(rows.sides)), **options)


def without_passes(rows: Rows, **options: Any) -> ConductivityModel:  # noqa: ANN401
    """Fit with a single step of the weights against outliers."""
    whole = gaussian.with_robust_weights
    gaussian.with_robust_weights = partial(whole, n_passes=1)
    try:
        return fit_conductivity(rows, **options)
    finally:
        gaussian.with_robust_weights = whole


def of_lithium(lines: BorrowedLines) -> np.ndarray:
    return np.array(lines.features[:, FEATURE_NAMES.index("lithium_fraction")] > 0)


def columns(*patterns: str) -> tuple[int, ...]:
    """Return the columns whose names match one of some patterns."""
    return tuple(i for i, name in enumerate(FEATURE_NAMES) if any(fnmatch(name, pattern) for pattern in patterns))


def block(name: str) -> tuple[int, ...]:
    return tuple(np.arange(len(FEATURE_NAMES))[BLOCKS[name]].tolist())


def computed_energy(sample: Sample) -> float:
    """Return the computed energy above the hull of the NASICON nearest in composition, NaN for other families."""
    return stability_of(sample.formula) if sample.family == "nasicon" else np.nan


@cache
def stability_of(formula: str) -> float:
    hint = hints([formula], ["nasicon"])[0]
    return np.nan if hint is None else hint.energy_mev


PHASE = columns("phase_*", "amorphous")
BULK_ALONE = (BULK,)
PROCESSING = tuple(sorted(set(block("processing")) - set(PHASE) - set(BULK_ALONE)))
KINDS_OF_INFORMATION = {
    "processing and microstructure": PROCESSING,
    "glass, glass-ceramic or crystal": PHASE,
    "sites of the NASICON framework": columns("nasicon_*", "metal_*", "dopant_*"),
    "mobile ions per anion, cation and atom": columns("mobile_ion_*", "sodium_fraction"),
    "radii and room for the mobile ion": columns("*_radius", "*_radius_*", "anion_volume_*"),
    "polarizability and mixing of anions": columns("anion_polarizability", "anion_mixing_entropy"),
    "modifier and formers of glasses": columns("modifier_fraction", "former_*"),
    "all of the field's own features": block("field"),
    "Magpie": block("magpie"),
    "fractions of the elements": block("fraction"),
    "family": block("family"),
}
"""Columns that are hidden together."""

CITED, EXTRAPOLATED = ("cited",), ("extrapolated",)
VARIANTS = (
    Variant("promoted", "promoted"),
    Variant("bounds", "left out", lambda rows: usual(rows) & (rows.sides == 0)),
    Variant("bounds", "as if measured", fit=without_sides),
    Variant("bounds", "interval likelihood in boosted trees", fit=fit_with_intervals),
    Variant("outliers", "weights of a single step", fit=without_passes),
    Variant("bulk", "not told apart", hidden=(BULK,)),
    Variant("bulk", "left out", lambda rows: usual(rows) & (kind_of(rows) != "bulk")),
    Variant("grain boundaries", "teach like others", lambda rows: np.ones(len(rows.samples), dtype=bool)),
    Variant("cited", "half weight", counts=weighing(CITED, 0.5)),
    Variant("cited", "left out", lambda rows: usual(rows) & ~np.isin(origin_of(rows), CITED)),
    Variant("extrapolated", "half weight", counts=weighing(EXTRAPOLATED, 0.5)),
    Variant("extrapolated", "left out", lambda rows: usual(rows) & ~np.isin(origin_of(rows), EXTRAPOLATED)),
    Variant("glasses and lithium", "no sulfide glasses in the process", lambda rows: usual(rows) & is_own(rows)),
    Variant("glasses and lithium", "forest without glasses", borrows=of_lithium),
    Variant("glasses and lithium", "forest without lithium", borrows=lambda lines: ~of_lithium(lines)),
    Variant("glasses and lithium", "none of them", lambda rows: usual(rows) & is_own(rows),
            borrows=lambda lines: np.zeros(len(lines.groups), dtype=bool)),
    Variant("computed stability", "seen by the trees", added=computed_energy),
    *(Variant("information hidden", name, hidden=hidden) for name, hidden in KINDS_OF_INFORMATION.items()),
)  # fmt: skip


# ---------------------------------------------------------------- the folds that all variants share


@dataclass(frozen=True)
class Shared:
    """Rows and folds of every variant, and the hyperparameters of each fold."""

    rows: Rows
    folds: Mapping[int, np.ndarray]
    parameters: Mapping[tuple[int, int], np.ndarray]


def shared_folds(n_seeds: int, out: Path) -> Shared:
    """Deal the folds and tune the hyperparameters of each, or read those of an earlier run on the same data."""
    rows = joined([training_rows(), grain_boundary_rows()])
    scored = np.flatnonzero(rows.is_scored)
    groups = [rows.samples[int(j)].group_id for j in scored]
    folds = {
        seed: training.fold_of_each(rows, scored, np.array(grouped_folds(groups, N_FOLDS, seed)))
        for seed in range(n_seeds)
    }
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"ablation-{reviewed_hash('literature', 'glasses', 'lithium')}.npz"
    known = dict(np.load(path)) if path.exists() else {}
    for seed, fold in folds.items():
        for k in range(N_FOLDS):
            if f"{seed}-{k}" not in known:
                train = rows.take((fold != k) & usual(rows))
                known[f"{seed}-{k}"] = process_of(train, Scaler.fit(train.features)).parameters
                np.savez(path, **known)
                print(f"tuned seed {seed} fold {k}", flush=True)
    return Shared(rows, folds, {(s, k): known[f"{s}-{k}"] for s in folds for k in range(N_FOLDS)})


def lent(variant: Variant, tested: Rows) -> BorrowedLines:
    """Return the borrowed lines that teach a variant, with the columns that it has; tested rows come as they are."""
    lines = borrowed_lines().unknown_to(tested)
    lines = lines.take(variant.borrows(lines))
    features = lines.features.copy()
    features[:, list(variant.hidden)] = 0
    if variant.added:
        features = np.column_stack([features, np.full(len(features), np.nan)])
    return replace(lines, features=features)


def errors(variant: Variant, given: Shared) -> np.ndarray:
    """Return the absolute errors of a variant on every scored row, shape (n_seeds, n)."""
    rows = given.rows
    if variant.hidden:
        features = rows.features.copy()
        features[:, list(variant.hidden)] = 0
        rows = replace(rows, features=features)
    if variant.added:
        rows = replace(rows, features=np.column_stack([rows.features, [variant.added(s) for s in rows.samples]]))
    found = np.full((len(given.folds), len(rows.samples)), np.nan)
    for i, (seed, fold) in enumerate(given.folds.items()):
        for k in range(N_FOLDS):
            train, tested = rows.take((fold != k) & variant.teaches(rows)), np.flatnonzero((fold == k) & rows.is_scored)
            test = rows.take(tested)
            model = variant.fit(
                train,
                borrowed=lent(variant, given.rows.take(tested)),
                parameters=given.parameters[seed, k],
                weights=variant.counts(train) if variant.counts else None,
                seed=seed,
            )
            line = model.lines(test.features)[PROMOTED]
            found[i, tested] = np.abs(line_to_observation(line, test.coefficients) - test.targets)
    return found[:, rows.is_scored]


def quantities(rows: Rows) -> dict[str, np.ndarray]:
    """Return which scored rows belong to each quantity."""
    temp_c = np.array([np.nan if s.meas_temp_c is None else s.meas_temp_c for s in rows.samples])
    near = rows.is_conductivity & (temp_c >= 15) & (temp_c <= 35)
    return {
        "log10 σ": rows.is_conductivity,
        "log10 σ, 15–35 °C, measured": near & (origin_of(rows) == "measured"),
        "log10 σ, 15–35 °C, bulk": near & (kind_of(rows) == "bulk"),
        "Ea / eV": ~rows.is_conductivity,
    }


COLUMNS = ("question", "variant", "quantity", "error", "above_promoted", "standard_error", "n_seeds", "n_rows")


def over_papers(values: np.ndarray, groups: np.ndarray) -> float:
    """Return the standard error of a mean whose rows of one paper go together."""
    sums = [(values[groups == group] - values.mean()).sum() for group in np.unique(groups)]
    return float(np.sqrt(np.square(sums).sum()) / len(values))


def lines_of(variant: Variant, found: np.ndarray, promoted: np.ndarray, rows: Rows) -> list[list[str]]:
    """Return the lines of the table for one variant."""
    out = []
    for quantity, mask in quantities(rows).items():
        above = (found - promoted)[:, mask].mean(axis=0)
        out.append([
            variant.question, variant.name, quantity, f"{found[:, mask].mean():.4f}", f"{above.mean():+.4f}",
            f"{over_papers(above, np.array(rows.groups)[mask]):.4f}", str(len(found)), str(int(mask.sum())),
        ])  # fmt: skip
    return out


def write(table: list[list[str]]) -> None:
    """Write what is known so far; the whole takes an hour."""
    with (HERE / "ablation.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="question to answer, beside the promoted choice")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    with threadpool_limits(1):
        given = shared_folds(options.seeds, options.out)
        scored = given.rows.take(given.rows.is_scored)
        promoted, table = np.empty(0), []
        for variant in VARIANTS:
            if options.only in {"", variant.question} or variant.question == "promoted":
                found = errors(variant, given)
                promoted = found if variant.question == "promoted" else promoted
                table += lines_of(variant, found, promoted, scored)
                for line in table[-4:]:
                    print("  ".join(line), flush=True)
                if not options.only:
                    write(table)


if __name__ == "__main__":
    main()
