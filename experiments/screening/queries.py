"""What a query costs over 1e6 and 1e7 candidates.

Run as ``python experiments/screening/queries.py``; results go to ``queries.csv`` beside it. The candidates are drawn as
in a screen; their predictions are random numbers, since the time of a query depends on how many there are and not on
what they are. The 1e7 are the 1e6 ten times over. Five runs of each query, the median counts; ``cpu_s`` is the work of
all processors together, which two idle ones share.
"""

from __future__ import annotations

import csv
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nascreen.chemistry import FAMILIES
from nascreen.lattices import draw, load_lattice
from nascreen.models import load_models
from nascreen.queries import Screened
from nascreen.stream import Drawn, _table, _write_record, default_prices

SPACE = "nasicon-wide"
N = 1_000_000
REPEATS = 5
HERE = Path(__file__).resolve().parent
NARROW = 'NOT elements HAS "Sc" AND conductivity_lo > 1e-4 AND sinter_temp_c < 1150 AND is_toxic = FALSE'
QUERIES = {
    "best 20 by lower bound": {},
    "filter, cheapest first": {"text": NARROW, "sort": "cost_usd_kg"},
    "at most 2 per system": {"per_system": 2},
    "probability of two targets": {
        "targets": ["conductivity_s_cm > 1e-3", "strength_mpa > 60"], "sort": "probability",
    },
    "filter, Pareto of two": {"text": NARROW, "sort": "pareto(conductivity_lo, cost_usd_kg)"},
}  # fmt: skip


def invented(drawn: Drawn, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the columns of a score, filled with random numbers."""
    n = len(drawn)
    normal = {
        "log_sigma": (-5, 1), "log_sigma_half": (1.5, 0.2), "ea_ev": (0.35, 0.05), "ea_half": (0.15, 0.01),
        "novelty": (0.1, 0.02), "log_strength": (1.9, 0.1), "strength_half": (0.4, 0.02), "thinnest_um": (400, 50),
        "resistance_ohm_cm2": (500, 50), "cost_usd_kg": (100, 30), "hhi_production": (2000, 300),
        "hhi_reserve": (1500, 300), "radius_mismatch": (0.1, 0.02),
    }  # fmt: skip
    bits = np.uint64(1) << np.arange(drawn.counts.shape[1], dtype=np.uint64)
    return {
        **{name: np.abs(rng.normal(mean, sd, n)) * np.sign(mean) for name, (mean, sd) in normal.items()},
        "hull_row": rng.integers(-1, 3000, n).astype(np.int32),
        "hull_mev_atom": rng.normal(20, 20, n),
        "hull_distance": rng.random(n) * 0.15,
        "family": np.full(n, FAMILIES.index("nasicon")),
        "doubts": rng.integers(0, 2, n).astype(np.uint8),
        "gives_h2s": np.zeros(n, dtype=bool),
        "is_hygroscopic": np.zeros(n, dtype=bool),
        "is_toxic": rng.random(n) < 0.3,
        "system": ((drawn.counts > 0) * bits).sum(axis=1, dtype=np.uint64),
    }


def fill(folder: Path, copies: int) -> int:
    """Write N candidates so many times over; return how many rows there are."""
    import pyarrow as pa

    lattice, rng = load_lattice(SPACE), np.random.default_rng(0)
    done, tables = 0, []
    for drawn in draw(lattice, N, "simple"):
        tables.append(_table(lattice, drawn, invented(drawn, rng), done))
        done += len(drawn)
    whole = pa.concat_tables(tables)
    for copy in range(copies):
        shifted = whole.set_column(0, "candidate", pc.add(whole["candidate"], copy * done))
        pq.write_table(shifted, folder / f"part-{copy:05d}.parquet", row_group_size=131_072)
    request = {"n": done * copies, "asked": done * copies, "sampling": "simple", "seed": 0}
    _write_record(lattice, SPACE, folder, request, load_models(), default_prices())
    return done * copies


def main() -> None:
    rows = []
    for copies in (1, 10):
        with tempfile.TemporaryDirectory() as scratch:
            n = fill(Path(scratch), copies)
            screened = Screened(Path(scratch))
            for name, options in QUERIES.items():
                times, work = [], []
                for _ in range(REPEATS):
                    started, before = time.perf_counter(), time.process_time()
                    found = screened.query(top=20, **options)
                    times.append(time.perf_counter() - started)
                    work.append(time.process_time() - before)
                rows.append(
                    {
                        "n": n, "query": name, "n_matching": found.n_matching,
                        "median_s": f"{statistics.median(times):.3f}", "fastest_s": f"{min(times):.3f}",
                        "cpu_s": f"{statistics.median(work):.3f}",
                    }
                )  # fmt: skip
                print(rows[-1], flush=True)
    with (HERE / "queries.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
