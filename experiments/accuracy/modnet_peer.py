"""MODNet on the folds of the accuracy study: the field's best-known automatic pipeline for small tables of materials.

    python -m venv modnet && modnet/bin/pip install modnet==0.4.5 'matminer<0.10' 'scipy<1.15' 'scikit-learn<1.6'
    python experiments/accuracy/modnet_peer.py write
    modnet/bin/python experiments/accuracy/modnet_peer.py fit --quantity sigma
    modnet/bin/python experiments/accuracy/modnet_peer.py fit --quantity energy
    python experiments/accuracy/modnet_peer.py score

``fit`` runs in an environment of its own, since the two pin different versions; a table of rows is all that passes.
The rows, targets and outer folds are those of ``run.py``, first shuffle. MODNet (P.-P. De Breuck et al., npj Comput.
Mater. 7, 83 (2021), doi:10.1038/s41524-021-00552-2) gets the formula, by its composition-only features, and 1000/T and
the processing as numbers, gaps left to its own imputation. Relevance of features, choice of architecture by its genetic
search, and fitting see the training side alone. Its search holds out rows; here it holds out whole papers, as tuning
does elsewhere in the study. The search is a small one, eight architectures on two holdings-out by default
(``--population``, ``--generations``, ``--inner``); one of 24 and five networks in the end
(``--population 8 --generations 3 --refit 5``) brought the first fold of log10 σ from 1.01 to 0.89, where Magpie,
processing and a random forest miss by 0.75. ``fit`` goes on where it was stopped. ``score`` writes ``modnet.csv``:
MODNet beside the promoted model and the other peers on the same rows and shuffle, as far as MODNet has predicted them.

CrabNet does not install: ``pip install crabnet`` ends in ResolutionImpossible, since 1.0.0 and 1.0.1 ask for packages
named python, pytorch and cudatoolkit that do not resolve.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from modnet.hyper_opt import FitGenetic
    from modnet.preprocessing import MODData

HERE = Path(__file__).resolve().parent
PREDICTIONS = HERE / "modnet_predictions.csv"
SCORES = HERE / "modnet.csv"
QUANTITIES = {"sigma": "log10 σT/298 K", "energy": "Ea / eV"}
"""What `fit` is asked for, and the name of it in ``predictions.csv``."""
SEED = 0
NOT_INPUTS = ("sample_id", "group_id", "quantity", "formula", "target", "fold")


def write(options: argparse.Namespace) -> None:
    """Write every scored row with its fold and plain inputs; what is not known is an empty cell."""
    from nascreen.datasets import grouped_folds
    from nascreen.features import BLOCKS, PROCESSING_NAMES
    from nascreen.training import N_FOLDS, literature_rows

    rows = literature_rows()
    folds = grouped_folds(rows.groups, N_FOLDS, SEED)
    options.folder.mkdir(parents=True, exist_ok=True)
    with (options.folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*NOT_INPUTS, "kilokelvin_per_t", *PROCESSING_NAMES])
        for i, s in enumerate(rows.samples):
            kind = "sigma" if rows.is_conductivity[i] else "energy"
            inverse_t = "" if kind == "energy" or s.meas_temp_c is None else 1000 / (s.meas_temp_c + 273.15)
            known = [inverse_t, *("" if np.isnan(x) else x for x in rows.features[i, BLOCKS["processing"]].tolist())]
            writer.writerow([s.sample_id, s.group_id, kind, s.formula, float(rows.targets[i]), int(folds[i]), *known])
    print(f"{len(rows.samples)} rows in {options.folder / 'rows.csv'}")


def described(formulas: list[str], cache: Path) -> pd.DataFrame:
    """Return MODNet's composition-only features of each formula; they do not look at targets.

    Two of the preset's featurizers do not suit fractional formulas of many elements: the packing efficiency enumerates
    clusters (30 formulas take longer than three minutes) and is left out; the ionic property asks for whole numbers,
    and runs in its quick form, which does not.
    """
    import pandas as pd
    from matminer.featurizers.composition import AtomicPackingEfficiency, IonProperty
    from modnet.featurizers.presets import CompositionOnlyMatminer2023Featurizer
    from modnet.preprocessing import MODData
    from pymatgen.core import Composition

    if cache.exists():
        return pd.read_csv(cache, index_col=0, keep_default_na=False, na_values=[""])
    preset = CompositionOnlyMatminer2023Featurizer()
    preset.composition_featurizers = tuple(
        IonProperty(fast=True) if isinstance(f, IonProperty) else f
        for f in preset.composition_featurizers
        if not isinstance(f, AtomicPackingEfficiency)
    )
    data = MODData(materials=[Composition(f) for f in formulas], structure_ids=formulas, featurizer=preset)
    data.featurize(n_jobs=1)
    data.df_featurized.to_csv(cache)
    return data.df_featurized


AS_FOUND: dict[str, Any] = {}
"""Methods of Keras."""


class SameProcess:
    """Stands for the pool of processes of MODNet's search: one process does all the work, in order."""

    @staticmethod
    def imap_unordered(function: Callable[[Any], Any], tasks: Iterable[Any], **_: int) -> Iterator[Any]:
        """Do the tasks one by one."""
        return map(function, tasks)

    def close(self) -> None:
        """Do nothing."""

    join = close


def search_of(data: MODData, groups: pd.Series) -> FitGenetic:
    """Return MODNet's genetic search, validating on whole papers and in this process.

    Held out in turn are the first folds of five. Its crossover samples the keys of a dictionary, which Python 3.11
    refuses: they are made a list. Many batches are handed to TensorFlow at once, and no epoch is validated but the
    last, which change the speed alone: the search validates a network once, when it is trained.
    """
    import tensorflow as tf
    from modnet.hyper_opt import FitGenetic, fit_genetic
    from modnet.matbench import benchmark
    from sklearn.model_selection import GroupKFold

    def splits(part: MODData, n_splits: int, **_: object) -> list[tuple[np.ndarray, np.ndarray]]:
        names = groups.loc[part.df_featurized.index].to_numpy()
        order = np.random.default_rng(SEED).permutation(sorted(set(names)))
        codes = {name: i for i, name in enumerate(order)}
        return list(GroupKFold(5).split(names, groups=[codes[name] for name in names]))[:n_splits]

    class Sampler(random.Random):
        def sample(self, population: Iterable[Any], k: int) -> list[Any]:
            return super().sample(list(population), k)

    for name, setting in (("compile", {"steps_per_execution": 32}), ("fit", {"validation_freq": 10_000})):
        method = AS_FOUND.setdefault(name, getattr(tf.keras.Model, name))
        setattr(tf.keras.Model, name, partialmethod(method, **setting))
    benchmark.matbench_kfold_splits = splits
    fit_genetic.random = Sampler(SEED)
    search = FitGenetic(data)
    search._init_run = lambda **_: setattr(search, "pool", SameProcess())  # noqa: SLF001
    return search


def predicted(
    train: pd.DataFrame, test: pd.DataFrame, rows: pd.DataFrame, redundancy: pd.DataFrame, options: argparse.Namespace
) -> np.ndarray:
    """Select features, search and fit on the training side, and return predictions of the other."""
    from modnet.preprocessing import MODData

    data = MODData(
        df_featurized=train,
        targets=rows.loc[train.index, "target"].to_numpy(),
        target_names=["value"],
        structure_ids=list(train.index),
    )
    data.feature_selection(n=-1, n_jobs=1, random_state=1, cross_nmi=redundancy.copy())
    found = data.get_optimal_descriptors()
    place = found.index("kilokelvin_per_t") + 1 if "kilokelvin_per_t" in found else None
    search = search_of(data, rows["group_id"])
    model = search.run(
        size_pop=options.population,
        num_generations=options.generations,
        nested=options.inner,
        n_jobs=1,
        refit=options.refit,
    )
    print(f"{len(found)} features, 1000/T is number {place}; chosen: {search.results}", flush=True)
    said = model.predict(MODData(df_featurized=test, structure_ids=list(test.index)))["value"]
    return said.loc[test.index].to_numpy()


def redundancies(table: pd.DataFrame, cache: Path) -> pd.DataFrame:
    """Return MODNet's mutual information between inputs, which its selection uses beside that with the target.

    It is computed once, since it takes minutes and sees no target. Relevance to the target, which decides, comes from
    each training side.
    """
    import pandas as pd
    from modnet.preprocessing import get_cross_nmi

    if not cache.exists():
        get_cross_nmi(table.dropna(axis=1, how="all"), n_jobs=1, random_state=1).to_csv(cache)
    return pd.read_csv(cache, index_col=0)


def fit(options: argparse.Namespace) -> None:
    """Predict each fold by MODNet fitted on the others, and add its rows to the table of predictions."""
    import pandas as pd
    import tensorflow as tf

    rows = pd.read_csv(options.folder / "rows.csv")
    features = described(sorted(set(rows["formula"])), options.folder / "features.csv")
    rows = rows[rows["quantity"] == options.quantity].set_index("sample_id")
    inputs = rows.drop(columns=[c for c in NOT_INPUTS if c in rows]).astype(float)
    table = pd.concat([features.loc[rows["formula"]].set_axis(rows.index), inputs], axis=1)
    redundancy = redundancies(table, options.folder / f"redundancy_{options.quantity}.csv")
    done = pd.read_csv(PREDICTIONS) if PREDICTIONS.exists() else pd.DataFrame(columns=["quantity", "fold"])
    for k in sorted(set(rows["fold"])):
        if ((done["quantity"] == options.quantity) & (done["fold"] == k)).any():
            continue
        started = time.perf_counter()
        random.seed(SEED)
        tf.keras.utils.set_random_seed(SEED)
        train, test = table[rows["fold"] != k], table[rows["fold"] == k]
        train = train.dropna(axis=1, how="all")
        values = predicted(train, test[train.columns], rows, redundancy, options)
        off = np.abs(values - rows.loc[test.index, "target"]).mean()
        print(f"{options.quantity} fold {k}: {off:.4f}, {time.perf_counter() - started:.0f} s", flush=True)
        new = pd.DataFrame({"sample_id": test.index, "quantity": options.quantity, "fold": k, "predicted": values})
        new.to_csv(PREDICTIONS, mode="a", header=not PREDICTIONS.exists(), index=False, float_format="%.4f")


def score(_: argparse.Namespace) -> None:
    """Score MODNet beside the promoted model and the peers, on the rows that it predicted."""
    from run import PEERS, peer

    from nascreen.training import CrossValidation, cross_validate, score_table, training_rows

    with PREDICTIONS.open(encoding="utf-8", newline="") as file:
        said = {(row["sample_id"], row["quantity"]): float(row["predicted"]) for row in csv.DictReader(file)}
    cv = cross_validate(training_rows(), [SEED], on_fold=lambda s, k: print(f"seed {s} fold {k}", flush=True))
    names = ["sigma" if kind else "energy" for kind in cv.rows.is_conductivity]
    theirs = [said.get((s.sample_id, name), np.nan) for s, name in zip(cv.rows.samples, names, strict=True)]
    known = np.isfinite(theirs)
    peers = {name: peer(cv, blocks, make) for name, (blocks, make) in PEERS.items()}
    everyone = {**cv.predictions, **peers, "MODNet": np.array([theirs])}
    seen = {name: values[:, known] for name, values in everyone.items()}
    scores = score_table(CrossValidation(cv.rows.take(known), cv.seeds, seen, cv.spreads[:, known], cv.folds[:, known]))
    with SCORES.open("w", encoding="utf-8", newline="") as file:
        columns = [name for name in asdict(scores[0]) if name != "spread"]
        writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for row in scores:
            writer.writerow({**asdict(row), "error": f"{row.error:.4f}"})
            if row.subset in {"all", "nasicon"}:
                print(f"{row.quantity:28} {row.subset:8} {row.model:36} {row.error:.3f} ({row.n_rows} rows)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("write", "fit", "score"))
    parser.add_argument("--folder", type=Path, default=Path("results/modnet"), help="rows and features between steps")
    parser.add_argument("--quantity", choices=tuple(QUANTITIES), default="sigma")
    parser.add_argument("--population", type=int, default=4)
    parser.add_argument("--generations", type=int, default=2)
    parser.add_argument("--inner", type=int, default=2, help="fifths of the papers held out in turn")
    parser.add_argument("--refit", type=int, default=3, help="networks in the final ensemble")
    options = parser.parse_args()
    {"write": write, "fit": fit, "score": score}[options.step](options)


if __name__ == "__main__":
    main()
