"""Measure the Magpie features of nascreen against matminer's loop, on the same formulas in the same run.

Run ``python experiments/featurization/benchmark.py`` from the repository; it takes about a minute, prints
one table and writes ``results.csv`` beside this file. Ratios are of CPU time, the best of several repeats.
"""

from __future__ import annotations

import csv
import gzip
import io
import random
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nascreen.chemistry import parse_many
from nascreen.elements import MAGPIE_NAMES, load_elements, magpie

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from matminer.featurizers.composition import ElementProperty  # type: ignore[import-untyped, unused-ignore]
    from pymatgen.core.composition import Composition

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
RESULTS = Path(__file__).with_name("results.csv")
N_FORMULAS = 2000
SEED = 20261122

CATIONS = {"Zr": 4, "Ti": 4, "Hf": 4, "Sn": 4, "Y": 3, "Sc": 3, "Al": 3, "In": 3, "Mg": 2, "Zn": 2, "Ta": 5, "Nb": 5}
FORMERS = {"P": 5, "Si": 4, "B": 3, "Ge": 4, "Sb": 5}
ANIONS = {"O": 2, "S": 2, "Se": 2, "Cl": 1, "F": 1, "Br": 1}


class Timing(NamedTuple):
    """One line of the results; times are per formula, in microseconds."""

    step: str
    n_formulas: int
    n_repeats: int
    cpu_us: float
    wall_us: float


def read_formulas() -> list[str]:
    """Return the distinct formulas of every data table that has a ``formula`` column."""
    formulas: dict[str, None] = {}
    for path in sorted(DATASETS.glob("*.csv*")):
        unpacked = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        with io.StringIO(unpacked.decode(), newline="") as file:
            reader = csv.DictReader(file)
            if "formula" in (reader.fieldnames or ()):
                formulas.update(dict.fromkeys(row["formula"] for row in reader))
    formulas.pop("", None)
    return list(formulas)


def random_formulas(rng: random.Random) -> Iterator[str]:
    """Yield sodium formulas of three to eight elements whose charges balance on sodium."""
    while True:
        parts = {s: round(rng.uniform(0.1, 2), 2) for s in rng.sample(list(CATIONS), rng.randint(1, 3))}
        parts |= {s: round(rng.uniform(0.2, 3), 2) for s in rng.sample(list(FORMERS), rng.randint(0, 2))}
        charge = sum(n * (CATIONS | FORMERS)[s] for s, n in parts.items())
        anions = rng.sample(list(ANIONS), rng.choice((1, 1, 2)))
        sodium = rng.uniform(0.5, 4)
        for anion in anions:
            parts[anion] = round((charge + sodium) / len(anions) / ANIONS[anion], 2)
        excess = sum(parts[a] * ANIONS[a] for a in anions) - charge
        if 0.1 < excess < 9:
            yield f"Na{excess:.4g}" + "".join(f"{s}{n:g}" for s, n in parts.items())


def choose_formulas() -> tuple[list[str], str]:
    """Return 2,000 formulas and where they came from."""
    rng = random.Random(SEED)  # noqa: S311
    formulas = read_formulas()
    if len(formulas) >= N_FORMULAS:
        return rng.sample(formulas, N_FORMULAS), f"drawn from {len(formulas)} distinct formulas of datasets/"
    generator = random_formulas(rng)
    n_random = N_FORMULAS - len(formulas)
    return formulas + [next(generator) for _ in range(n_random)], f"{n_random} random, {len(formulas)} of datasets/"


def measure(step: str, work: Callable[[], object], n_formulas: int, n_repeats: int) -> Timing:
    """Return the best CPU and wall time of several repeats, after one that is not counted."""
    if n_repeats > 3:
        work()
    cpu, wall = [], []
    for _ in range(n_repeats):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        work()
        cpu.append(time.process_time() - cpu_start)
        wall.append(time.perf_counter() - wall_start)
    scale = 1e6 / n_formulas
    return Timing(step, n_formulas, n_repeats, min(cpu) * scale, min(wall) * scale)


def relative_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference, relative to the feature where that is above 1."""
    return float(np.max(np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1.0)))


def run(formulas: list[str]) -> tuple[list[Timing], float]:
    """Time every step; also return the largest relative difference to matminer."""
    featurizer = ElementProperty.from_preset("magpie")
    if tuple(featurizer.feature_labels()) != MAGPIE_NAMES:
        raise ValueError("matminer's labels are not MAGPIE_NAMES.")
    n = len(formulas)
    compositions = [Composition(formula) for formula in formulas]
    table = load_elements(DATASETS)
    arrays, single = parse_many(formulas), formulas[0]
    difference = relative_difference(magpie(table, arrays), np.array([featurizer.featurize(c) for c in compositions]))
    timings = [
        measure("matminer, objects", lambda: [featurizer.featurize(c) for c in compositions], n, 3),
        measure("matminer, strings", lambda: [featurizer.featurize(Composition(f)) for f in formulas], n, 3),
        measure("nascreen, parsing alone", lambda: parse_many(formulas), n, 30),
        measure("nascreen, arrays", lambda: magpie(table, arrays), n, 30),
        measure("nascreen, strings", lambda: magpie(table, parse_many(formulas)), n, 30),
        measure("nascreen, one formula", lambda: magpie(table, parse_many([single])), 1, 300),
        measure("nascreen, load of the table", lambda: load_elements(DATASETS), 1, 30),
    ]
    return timings, difference


def main() -> None:
    """Print the table and write it."""
    formulas, origin = choose_formulas()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        timings, difference = run(formulas)
    objects, strings = timings[0].cpu_us, timings[1].cpu_us
    print(f"{len(formulas)} formulas, {origin}; largest relative difference {difference:.1e}")
    print(f"{'step':<28} {'CPU us':>9} {'wall us':>9} {'rows/s':>9} {'x objects':>9} {'x strings':>9}")
    header = ("step", "n_formulas", "n_repeats", "cpu_us", "wall_us", "rows_s", "ratio_to_objects", "ratio_to_strings")
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for t in timings:
            rate, ratios = 1e6 / t.cpu_us, (objects / t.cpu_us, strings / t.cpu_us)
            print(f"{t.step:<28} {t.cpu_us:9.1f} {t.wall_us:9.1f} {rate:9.0f} {ratios[0]:9.1f} {ratios[1]:9.1f}")
            writer.writerow([*t[:3], *(f"{x:.4g}" for x in (t.cpu_us, t.wall_us, rate, *ratios))])


if __name__ == "__main__":
    main()
