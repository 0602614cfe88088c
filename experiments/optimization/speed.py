"""Measure what a suggestion costs: processor seconds of `propose` in one thread, best of some repeats.

    OMP_NUM_THREADS=1 python experiments/optimization/speed.py

The first line is one suggestion of 600 candidates after 100 results, the second eight of 100,000 after 300 results of
three properties.
"""

from __future__ import annotations

import time

import numpy as np

from nascreen.encoding import Encoded
from nascreen.optimizer import propose
from nascreen.proposals import Objective, Problem


def problem(n_rows: int, n_told: int, n_columns: int, n_objectives: int, seed: int = 0) -> Problem:
    """Return a campaign over a table of numbers with smooth, noisy properties."""
    rng = np.random.default_rng(seed)
    values = rng.random((n_rows, n_columns))
    names = tuple(f"y{k}" for k in range(n_objectives))
    slopes, phases = rng.standard_normal((n_columns, n_objectives)), rng.random(n_objectives)
    truth = np.sin(values @ slopes + phases) + 0.05 * rng.standard_normal((n_rows, n_objectives))
    told = rng.permutation(n_rows)[:n_told]
    inputs = Encoded(values, np.arange(n_columns), tuple(f"x{i}" for i in range(n_columns)))
    return Problem(inputs, tuple(map(Objective, names)), names, told, truth[told])


def cost(n: int, repeats: int, **size: int) -> float:
    """Return the processor seconds of one proposal, the least of some repeats."""
    each = []
    for seed in range(repeats):
        made = problem(**size, seed=seed)
        begin = time.process_time()
        propose(made, n)
        each.append(time.process_time() - begin)
    return min(each)


def main() -> None:
    small = cost(1, 15, n_rows=600, n_told=100, n_columns=6, n_objectives=1)
    print(f"ask(1), 600 candidates, 100 results, 6 columns:                  {1e3 * small:8.1f} ms")
    wide = cost(1, 7, n_rows=600, n_told=100, n_columns=12, n_objectives=1)
    print(f"ask(1), 600 candidates, 100 results, 12 columns:                 {1e3 * wide:8.1f} ms")
    large = cost(8, 1, n_rows=100_000, n_told=300, n_columns=8, n_objectives=3)
    print(f"ask(8), 100,000 candidates, 300 results, 8 columns, 3 objectives: {large:7.1f} s")


if __name__ == "__main__":
    main()
