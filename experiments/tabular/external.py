"""The table trainer beside MODNet on a table from elsewhere: melting points of inorganic compounds.

    python -m pip install --no-deps --target results/external chemicals==1.5.2
    python experiments/tabular/external.py write
    python experiments/tabular/external.py train
    python -m venv modnet && modnet/bin/pip install modnet==0.4.5 'matminer<0.10' 'scipy<1.15' 'scikit-learn<1.6'
    modnet/bin/python experiments/tabular/external.py modnet
    python experiments/tabular/external.py score

The values are those of the Handbook of Chemistry and Physics (table "Physical Constants of Inorganic Compounds", 95th
edition, CRC Press, 2014) as the package ``chemicals`` carries them; formulas come from its identifiers, one row for
each that can be read, dealt to five folds. The table itself stays in ``--folder``. ``train`` is what
``nascreen train --table`` does, with its usual ten minutes. MODNet gets its composition-only features; its genetic
search (``--population`` 8, ``--generations`` 3, the best fitted five times) and its own choice of features see the
training side alone; see ``experiments/accuracy/modnet_peer.py``. ``score`` writes ``external.csv`` beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
TARGET = "melting_point_k"
N_FOLDS = 5
IDENTIFIERS = (
    "Inorganic db.tsv", "chemical identifiers pubchem small.tsv", "chemical identifiers pubchem large.tsv",
    "Anion db.tsv", "Cation db.tsv",
)  # fmt: skip


def melting_points(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield formula and melting point in K of every compound that has both, each formula once.

    Args:
        folder: That of the package ``chemicals``.
    """
    from nascreen.chemistry import parse_formula
    from nascreen.errors import FormulaError

    formulas: dict[str, str] = {}
    for name in IDENTIFIERS:
        with (folder / "Identifiers" / name).open(encoding="utf-8") as file:
            for line in file:
                _, cas, formula, *_ = line.split("\t")
                formulas.setdefault(cas, formula)
    seen = set()
    with (folder / "Misc" / "Physical Constants of Inorganic Compounds.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            formula = formulas.get(row["CAS"], "")
            if formula and row["Tm"] and formula not in seen:
                seen.add(formula)
                with contextlib.suppress(FormulaError):
                    parse_formula(formula)
                    yield formula, float(row["Tm"])


def write(options: argparse.Namespace) -> None:
    """Write the table with its folds."""
    rows = list(melting_points(options.folder / "chemicals"))
    random.Random(1).shuffle(rows)  # noqa: S311 - the deal of folds
    with (options.folder / "melting.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["formula", TARGET, "fold"])
        writer.writerows((formula, value, i % N_FOLDS) for i, (formula, value) in enumerate(rows))
    print(f"{len(rows)} rows in {options.folder / 'melting.csv'}")


def train(options: argparse.Namespace) -> None:
    """Predict every fold by the table trainer, as a user would."""
    from nascreen.cli import main as command

    table = str(options.folder / "melting.csv")
    given = ["--target", TARGET, "--formula", "formula", "--folds", "fold"]
    sys.argv = ["nascreen", "train", "--table", table, *given, "--out", str(options.folder / "ours")]
    command()


def modnet(options: argparse.Namespace) -> None:
    """Predict every fold by MODNet fitted on the others."""
    sys.path.insert(0, str(HERE.parent / "accuracy"))
    import modnet_peer as peer
    import pandas as pd

    table = pd.read_csv(options.folder / "melting.csv", keep_default_na=False)
    table.index = pd.Index([f"row-{i}" for i in range(len(table))])
    features = peer.described(sorted(set(table["formula"])), options.folder / "features.csv")
    inputs = features.loc[table["formula"]].set_axis(table.index).replace([np.inf, -np.inf], np.nan)
    inputs = inputs.dropna(axis=1, how="all")
    redundancy = peer.redundancies(inputs, options.folder / "redundancy.csv")
    rows = pd.DataFrame({"target": table[TARGET], "group_id": table["formula"]})
    said = pd.Series(np.nan, index=table.index)
    for k in range(N_FOLDS):
        test = table["fold"] == k
        said[test] = peer.predicted(inputs[~test], inputs[test], rows, redundancy, options)
        print(f"fold {k}: {(said - table[TARGET]).abs()[test].mean():.1f} K", flush=True)
        table.assign(predicted=said)[said.notna()].to_csv(options.folder / "modnet.csv", index=False)


def score(options: argparse.Namespace) -> None:
    """Write the errors of all, on the folds that MODNet has predicted."""
    off: dict[str, list[float]] = {}
    with (options.folder / "modnet.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            off.setdefault(row["fold"], []).append(abs(float(row["predicted"]) - float(row[TARGET])))
    found = {"MODNet": [float(np.mean(errors)) for errors in off.values()]}
    with (options.folder / "ours" / "scores.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["fold"] in off:
                found.setdefault(row["model"], []).append(float(row["mae"]))
    default = next(float(np.mean(errors)) for model, errors in found.items() if "random forest" in model)
    with (HERE / "external.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["table", "model", "mae_k", "spread", "ratio", "n_folds", "n_rows"])
        n_rows = sum(map(len, off.values()))
        for model, errors in sorted(found.items(), key=lambda item: np.mean(item[1])):
            mae, spread = float(np.mean(errors)), float(np.std(errors))
            line = [f"{mae:.1f}", f"{spread:.1f}", f"{mae / default:.3f}", len(errors), n_rows]
            writer.writerow(["melting points", model, *line])
            print(f"{model:26} {mae:8.1f} ± {spread:.1f} K  {mae / default:.3f}")


def main() -> None:
    steps: dict[str, Callable[[argparse.Namespace], None]] = {
        "write": write, "train": train, "modnet": modnet, "score": score,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=list(steps))
    parser.add_argument("--folder", type=Path, default=Path("results/external"))
    parser.add_argument("--population", type=int, default=8)
    parser.add_argument("--generations", type=int, default=3)
    parser.add_argument("--inner", type=int, default=3)
    parser.add_argument("--refit", type=int, default=5)
    options = parser.parse_args()
    steps[options.step](options)


if __name__ == "__main__":
    main()
