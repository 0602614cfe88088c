"""Error where the model knows least: a whole family left out, later papers, and fewer papers (the learning curve).

    python experiments/accuracy/shift.py

Hyperparameters are tuned on what each model learns from; those of the learning curve are kept at their defaults. Writes
``shift.csv`` and ``curve.csv`` beside this file.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nascreen.shifts import CURVE_SEEDS, QUANTITIES, gain_of_more_papers, learning_curve, shift_scores
from nascreen.training import training_rows

HERE = Path(__file__).resolve().parent


def write(name: str, lines: Sequence[Any]) -> None:
    with (HERE / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(lines[0])), lineterminator="\n")
        writer.writeheader()
        for line in lines:
            cells = {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in asdict(line).items()}
            writer.writerow(cells)


def main() -> None:
    rows = training_rows()
    write("shift.csv", shift_scores(rows, on_split=print))
    points = learning_curve(rows, CURVE_SEEDS)
    write("curve.csv", points)
    for quantity in QUANTITIES:
        gain, error = gain_of_more_papers(points, quantity)
        print(f"{quantity}: 20 more papers should lower the error by {gain:.3f} ± {error:.3f}")


if __name__ == "__main__":
    main()
