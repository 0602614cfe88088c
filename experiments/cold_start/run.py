"""Cold start of `nascreen predict` against ``import xgboost``, both with compiled bytecode, in turn.

python experiments/cold_start/run.py [--pairs 10]
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import io
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import nascreen

COMMANDS = {
    "nascreen predict": [sys.executable, "-m", "nascreen.cli", "predict", "Na3Zr2Si2PO12"],
    "import xgboost": [sys.executable, "-c", "import xgboost"],
}


def wall_seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own commands
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    pairs = parser.parse_args().pairs
    with contextlib.redirect_stdout(io.StringIO()):
        compileall.compile_dir(sysconfig.get_paths()["purelib"], quiet=2)
        compileall.compile_dir(Path(nascreen.__file__).parent, quiet=2)
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(pairs + 1):
        for name, command in COMMANDS.items():
            seconds[name].append(wall_seconds(command))
    for name, values in seconds.items():
        print(f"{name:18} median {statistics.median(values[1:]):.3f} s of {pairs} runs after a warm-up")
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)][1:]
    print(f"ratio pair by pair: median {statistics.median(ratios):.2f}, worst {max(ratios):.2f}")


if __name__ == "__main__":
    main()
