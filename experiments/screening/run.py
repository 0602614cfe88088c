"""What a screen costs: total against the models alone on the same matrix, by size, and against matminer.

All seconds but ``total_s``, which is of the wall, are of the processors, so that other work on the machine counts less.

Run as ``python experiments/screening/run.py [--largest 1000000]``; results go to ``results.csv`` beside it. Each size
runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPACE = "nasicon-wide"
N_PEER = 10_000
HERE = Path(__file__).resolve().parent


def run_size(n: int) -> dict[str, object]:
    """Screen n candidates in this process; up to 1e5 the models also run alone on the same matrix."""
    from nascreen.stream import screen

    with tempfile.TemporaryDirectory() as folder:
        before = time.process_time()
        done = screen(SPACE, n, Path(folder) / "screen", seed=1)
        cpu_s = time.process_time() - before
        bytes_kept = sum(path.stat().st_size for path in (Path(folder) / "screen").iterdir())
    clock, peak_kb = done.clock, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found: dict[str, object] = {
        "case": "nascreen", "n": done.n, "total_s": clock.total, "draw_s": clock.draw, "features_s": clock.features,
        "models_s": clock.predict, "rest_s": clock.rest, "write_s": clock.write,
        "ratio_to_models": cpu_s / clock.predict, "peak_mb": peak_kb / 1e3,
        "kept_mb": bytes_kept / 1e6, "cpu_s": cpu_s,
    }  # fmt: skip
    if n <= 100_000:
        alone_cpu, graphs_cpu = models_alone(n)
        found |= {"models_alone_cpu_s": alone_cpu, "graphs_alone_cpu_s": graphs_cpu}
    return found


def models_alone(n: int) -> tuple[float, float]:
    """Return the seconds of processor that the models take on the finished matrix of the same candidates.

    The first is that of the bulk path as it is, which learns its subspace once more; the second is that of the ONNX
    graphs, on up to 4,096 rows and scaled to all.
    """
    import numpy as np

    from nascreen.array_features import ArrayFeatures
    from nascreen.bulk import BulkModel, by_graphs
    from nascreen.lattices import draw, joined, load_lattice
    from nascreen.models import load_models
    from nascreen.stream import BLOCK

    lattice = load_lattice(SPACE)
    drawn = joined(list(draw(lattice, n, seed=1)))
    matrix = ArrayFeatures(lattice)(drawn)[0]
    model = load_models().conductivity
    by_graphs(model, matrix[:100])
    before = time.process_time()
    bulk = BulkModel(model)
    for start in range(0, n, BLOCK):
        bulk.predict(matrix[start : start + BLOCK], drawn.route[start : start + BLOCK])
    bulk_s, before = time.process_time() - before, time.process_time()
    by_graphs(model, np.ascontiguousarray(matrix[:4096]))
    return bulk_s, (time.process_time() - before) * n / min(n, 4096)


def run_peer(n: int) -> dict[str, object]:
    """Featurize n formulas of the same space with matminer's Magpie set; the same models follow."""
    from matminer.featurizers.composition import ElementProperty
    from pymatgen.core import Composition

    from nascreen.lattices import draw, load_lattice, samples_of

    lattice = load_lattice(SPACE)
    formulas = [s.formula for part in draw(lattice, n, seed=1) for s in samples_of(lattice, part)]
    featurizer = ElementProperty.from_preset("magpie", impute_nan=True)
    featurizer.set_n_jobs(1)
    before = time.process_time()
    featurizer.featurize_many([Composition(f) for f in formulas], pbar=False)
    features_s = time.process_time() - before
    _, models_s = models_alone(n)
    return {
        "case": "matminer features, same models by ONNX", "n": n, "features_s": features_s, "models_s": models_s,
        "cpu_s": features_s + models_s,
    }  # fmt: skip


def _child(*arguments: str) -> dict[str, object]:
    command = [sys.executable, __file__, *arguments]
    # One thread for each product of matrices, as nascreen screen sets it: the blocks are shared out among threads.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(  # noqa: S603 - this very script
        command, capture_output=True, text=True, check=True, env=environment
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    largest = int(sys.argv[sys.argv.index("--largest") + 1]) if "--largest" in sys.argv else 1_000_000
    rows = [_child("--size", str(n)) for n in (10_000, 100_000, 1_000_000, 10_000_000) if n <= largest]
    rows.append(_child("--peer", str(N_PEER)))
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (HERE / "results.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    *own, peer = rows
    for row in own:
        print(
            f"{row['n']:>10,} candidates: {row['cpu_s']:.1f} s of processor ({row['total_s']:.1f} s by the wall), "
            f"{row['ratio_to_models']:.2f} times the models, peak {row['peak_mb']:.0f} MB"
        )
    last = own[-1]
    per_candidate = last["cpu_s"] / last["n"]
    print(f"peer, {peer['n']:,} candidates: {peer['cpu_s']:.1f} s of processor")
    print(
        f"  extrapolated to 1,000,000: {1e6 * peer['cpu_s'] / peer['n']:.0f} s against {1e6 * per_candidate:.0f} s here"
    )
    print(f"  {peer['cpu_s'] / peer['n'] / per_candidate:.0f} times slower")
    print(
        f"  {peer['features_s'] / peer['n'] / (last['features_s'] / last['n']):.0f} times slower in the features alone"
    )


if __name__ == "__main__":
    if "--size" in sys.argv:
        print(json.dumps(run_size(int(sys.argv[2]))))
    elif "--peer" in sys.argv:
        print(json.dumps(run_peer(int(sys.argv[2]))))
    else:
        main()
