"""Which rule for several objectives finds more of the front: gain of dominated volume, or random scalarization.

    OMP_NUM_THREADS=1 python experiments/optimization/front.py --seeds 10

Pools with two measured properties each: conductivity and relative density of ceramics (inputs are composition and
processing), and conductivity at two temperatures of the same glasses, the hot one to be low, so that both conflict.
Printed is the share of the volume that the whole pool dominates which 30 evaluations dominate, 5 of them random.
Random scalarization is Thompson sampling with random weights (B. Paria, K. Kandasamy and B. Poczos, UAI 2019,
arXiv:1805.12168).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nascreen.acquisition import non_dominated
from nascreen.datasets import load_table
from nascreen.encoding import Encoded, encode
from nascreen.optimizer import propose
from nascreen.proposals import Objective, Problem

Array = NDArray[np.float64]
Rule = Literal["auto", "thompson"]

BUDGET = 30
N_STARTS = 5
COLUMNS = ("formula", "sinter_temp_c", "sinter_time_h", "heat_temp_c", "heat_time_h", "press_mpa", "synthesis")


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates with two properties, both the higher the better, shape (n, 2)."""

    name: str
    inputs: Encoded
    targets: Array


def ceramics() -> Pool:
    """Return ceramics of the literature with conductivity near room temperature and relative density."""
    found: dict[tuple[object, ...], list[tuple[float, float]]] = {}
    for s in load_table("literature"):
        is_near = s.meas_temp_c is not None and 15 <= s.meas_temp_c <= 35
        if is_near and s.conductivity_s_cm and s.rel_density_pct and s.formula:
            key = tuple(getattr(s, name) for name in COLUMNS)
            found.setdefault(key, []).append((math.log10(s.conductivity_s_cm), s.rel_density_pct))
    cells = {name: [key[i] for key in found] for i, name in enumerate(COLUMNS)}
    return Pool("ceramics", encode(cells, {"synthesis": "categorical"}), _means(list(found.values())))


def glasses() -> Pool:
    """Return glasses with conductivity at 20 °C, and at 150 °C, where a low one is wanted."""
    found: dict[str, dict[float, list[float]]] = {}
    for s in load_table("glasses"):
        if s.conductivity_s_cm and s.meas_temp_c in {20.0, 150.0} and s.formula:
            logs = found.setdefault(s.formula, {}).setdefault(float(s.meas_temp_c), [])
            logs.append(math.log10(s.conductivity_s_cm))
    both = {formula: each for formula, each in found.items() if len(each) == 2}
    targets = np.array([[np.mean(each[20.0]), -np.mean(each[150.0])] for each in both.values()])
    return Pool("glasses", encode({"formula": list(both)}), targets)


def _means(values: Sequence[Sequence[tuple[float, float]]]) -> Array:
    return np.array([np.mean(each, axis=0) for each in values])


def volume(points: Array, corner: Array) -> float:
    """Return the area that points dominate above a corner."""
    front = points[non_dominated(points)]
    front = front[np.argsort(-front[:, 0], kind="stable")]
    heights = np.maximum.accumulate(np.r_[corner[1], front[:, 1]])
    return float(np.sum((front[:, 0] - corner[0]) * np.diff(heights)))


def share(pool: Pool, rule: Rule, seed: int) -> float:
    """Return the share of the dominated area that one run reaches."""
    told = np.random.default_rng(seed).permutation(len(pool.targets))[:N_STARTS].tolist()
    while len(told) < BUDGET:
        known = np.array(told, dtype=np.intp)
        problem = Problem(pool.inputs, (Objective("a"), Objective("b")), ("a", "b"), known, pool.targets[known])
        told.append(propose(problem, 1, acquisition=rule, seed=seed + len(told)).suggestions[0].index)
    corner = pool.targets.min(axis=0)
    return volume(pool.targets[told], corner) / volume(pool.targets, corner)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    print("pool,n_candidates,rule,share_of_volume,standard_error,difference_to_volume_gain,standard_error_of_it")
    for pool in (ceramics(), glasses()):
        each = {}
        for name, rule in (("volume gain", "auto"), ("random scalarization", "thompson")):
            each[name] = np.array([share(pool, rule, seed) for seed in range(seeds)])  # type: ignore[arg-type]
            gap = each[name] - each["volume gain"]
            error, gap_error = (x.std() / math.sqrt(seeds) for x in (each[name], gap))
            print(f"{pool.name},{len(pool.targets)},{name},{each[name].mean():.3f},{error:.3f},{gap.mean():.3f},"
                  f"{gap_error:.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
