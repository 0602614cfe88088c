"""How fast the service answers, beside `mlflow models serve` of the same models, in one run on one machine.

    python -m compileall -q nascreen && python experiments/serving/run.py
    python experiments/serving/run.py --soak 600

Every client sends its next request when it has the answer to the last one. Each request is a formula that the service
has not seen. The clients share the processor with what they measure. "health alone" is the limit: what the same service
answers where nothing is predicted. "field's default" is what `field_default.py` serves through MLflow. ``--soak`` keeps
50 clients at it for so many seconds and looks at memory and errors. The figures go to
``experiments/serving/results.csv`` (``soak.csv``).
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
SECONDS = 8.0
N_TABLES = 7
OURS = "nascreen: all properties, intervals, domain"
THEIRS = "mlflow models serve"
FIELD = "mlflow models serve, field's default"
LIMIT = "nascreen: health alone"
Body = Callable[[int], bytes]


# ---------------------------------------------------------------- servers


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@contextmanager
def server(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, **environment, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process and its children in MB."""
    total, waiting = 0.0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            lines = Path(f"/proc/{one}/status").read_text(encoding="ascii").splitlines()
            total += next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
            waiting += map(int, Path(f"/proc/{one}/task/{one}/children").read_text(encoding="ascii").split())
        except (OSError, StopIteration):
            continue
    return total


# ---------------------------------------------------------------- clients


@dataclass
class Load:
    """What some clients saw."""

    seconds: list[float]
    wall: float
    n_bad: int

    def row(self, case: str, n_clients: int) -> dict[str, object]:
        """Return the figures of a case."""
        times = sorted(self.seconds)
        place = min(len(times) - 1, int(0.99 * len(times)))
        return {
            "case": case, "clients": n_clients, "requests": len(times), "per_s": round(len(times) / self.wall, 1),
            "p50_ms": round(1000 * statistics.median(times), 3), "p99_ms": round(1000 * times[place], 2),
            "worst_ms": round(1000 * times[-1], 1), "not_200": self.n_bad,
        }  # fmt: skip


async def _request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, body: bytes
) -> tuple[int, bytes]:
    writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
    lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
    return int(lines[0].split()[1]), await reader.readexactly(length)


def head_of(method: str, path: str, kind: str = "application/json") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {kind}\r\n".encode()


async def load(port: int, path: str, body: Body, n_clients: int, seconds: float, method: str = "POST") -> Load:
    head, times, bad = head_of(method, path), [], 0
    number = iter(range(10**9))
    started = time.perf_counter()

    async def client() -> None:
        nonlocal bad
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() - started < seconds:
            begun = time.perf_counter()
            status, _ = await _request(reader, writer, head, body(next(number)))
            times.append(time.perf_counter() - begun)
            bad += status != 200
        writer.close()

    await asyncio.gather(*(client() for _ in range(n_clients)))
    return Load(times, time.perf_counter() - started, bad)


async def once(
    port: int, method: str, path: str, body: bytes = b"", kind: str = "application/json"
) -> tuple[int, bytes, float]:
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    status, answer = await _request(reader, writer, head_of(method, path, kind), body)
    writer.close()
    return status, answer, time.perf_counter() - begun


def until_answer(port: int, method: str, path: str, body: bytes, most: float = 180.0) -> float:
    """Ask until there is a good answer; return how long that took in s."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < most:
        try:
            if asyncio.run(once(port, method, path, body))[0] == 200:
                return time.perf_counter() - begun
        except (OSError, asyncio.IncompleteReadError):
            time.sleep(0.01)
    raise TimeoutError(path)


def formula(i: int) -> str:
    """Return a NASICON that differs from all others."""
    silicon = 1.6 + (i % 997) / 1000
    zirconium = 2 - (i // 997 % 499) / 1000
    return f"Na{1 + silicon + 4 * (2 - zirconium):.3f}Zr{zirconium:.3f}Si{silicon:.3f}P{3 - silicon:.3f}O12"


def table(i: int) -> bytes:
    """Return a table of 10,000 formulas that no other one has."""
    first = 2_000_000 + 10_000 * i
    lines = [f"{formula(j)},crystalline,1200\n" for j in range(first, first + 10_000)]
    return "".join(["formula,phase,sinter_temp_c\n", *lines]).encode()


def ours(i: int) -> bytes:
    return json.dumps({"formula": formula(i), "phase": "crystalline", "sinter_temp_c": 1200.0}).encode()


def theirs(i: int) -> bytes:
    return json.dumps({"dataframe_records": [json.loads(ours(i))]}).encode()


def shifted(body: Body, by: int) -> Body:
    """Return bodies that another case has not sent."""
    return lambda i: body(i + by)


# ---------------------------------------------------------------- the study


def logged_model(folder: Path) -> Path:
    """Log the promoted models to an MLflow store in a folder; return the path of the model."""
    from nascreen.tracking import log_model, tracked_run

    with tracked_run("serving", {}, folder) as mlflow:
        log_model(mlflow)
        run_id = mlflow.active_run().info.run_id
    (model,) = [m for m in mlflow.search_logged_models(output_format="list") if m.source_run_id == run_id]
    return Path(mlflow.artifacts.download_artifacts(model.model_uri, dst_path=str(folder / "model")))


def serve_command(port: int, folder: Path) -> list[str]:
    store = f"sqlite:///{folder}/campaigns.db"
    return [str(BIN / "nascreen"), "serve", "--port", str(port), "--store", store, "--screens", str(folder)]


def study_ours(folder: Path, seconds: float) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    starts = []
    for _ in range(5):
        port = free_port()
        with server(serve_command(port, folder), {"NASCREEN_HOME": str(folder)}):
            starts.append(until_answer(port, "POST", "/v1/predict", ours(0)))
    rows.append(
        {
            "case": "nascreen: start to first answer",
            "p50_ms": round(1000 * statistics.median(starts)),
            "worst_ms": round(1000 * max(starts)),
        }
    )
    port = free_port()
    with server(serve_command(port, folder), {"NASCREEN_HOME": str(folder)}) as process:
        until_answer(port, "POST", "/v1/predict", ours(0))
        for n_clients in (1, 8, 64):
            found = asyncio.run(load(port, "/v1/predict", shifted(ours, 10_000 * n_clients), n_clients, seconds))
            rows.append(found.row(OURS, n_clients))
            print(rows[-1], flush=True)
        rows.append({"case": "nascreen: memory after that", "memory_mb": round(memory_mb(process.pid))})
        for n_clients in (1, 64):
            found = asyncio.run(load(port, "/v1/health", lambda _: b"", n_clients, seconds / 2, "GET"))
            rows.append(found.row(LIMIT, n_clients))
        bulk = [asyncio.run(once(port, "POST", "/v1/predict/csv", table(i), "text/csv")) for i in range(N_TABLES)]
        if {status for status, _, _ in bulk} != {200}:
            raise RuntimeError(bulk[0][1][:500])
        rows.append(
            {
                "case": "nascreen: 10,000 rows as CSV",
                "requests": N_TABLES,
                "p50_ms": round(1000 * statistics.median(b[2] for b in bulk)),
                "worst_ms": round(1000 * max(b[2] for b in bulk)),
            }
        )
        rows.append(health_under_load(port, seconds))
        rows.append({"case": "nascreen: memory after all", "memory_mb": round(memory_mb(process.pid))})
    return rows


def health_under_load(port: int, seconds: float) -> dict[str, object]:
    """Return how long health takes while 64 clients predict and two explain."""

    async def study() -> list[float]:
        busy = asyncio.gather(
            load(port, "/v1/predict", lambda i: ours(i + 700_000), 64, seconds),
            load(port, "/v1/explain", lambda i: ours(i + 800_000), 2, seconds),
        )
        times = []
        while not busy.done():
            times.append((await once(port, "GET", "/v1/health"))[2])
            await asyncio.sleep(0.02)
        await busy
        return times

    return Load(asyncio.run(study()), seconds, 0).row("nascreen: health meanwhile", 66)


def field_default(folder: Path) -> Path:
    """Train and log what the field would serve; return the path of the model."""
    import joblib
    import mlflow
    from field_default import FORESTS, N_TREES, features, featurizer
    from sklearn.ensemble import RandomForestRegressor

    from nascreen.tracking import usable_folder
    from nascreen.training import literature_rows, strength_observations

    usable_folder(folder)
    rows, (samples, _, strength) = literature_rows(), strength_observations()
    near = [i for i, s in enumerate(rows.samples) if rows.is_conductivity[i] and 15 <= (s.meas_temp_c or 0) <= 35]
    energy = [i for i, is_conductivity in enumerate(rows.is_conductivity) if not is_conductivity]
    tables = {
        "log_sigma": ([rows.samples[i] for i in near], rows.targets[near]),
        "ea_ev": ([rows.samples[i] for i in energy], rows.targets[energy]),
        "log_strength": (samples, strength),
    }
    magpie, forests = featurizer(), {}
    for name, (known, targets) in tables.items():
        kept = [i for i, sample in enumerate(known) if sample.formula]
        x = features([known[i].formula for i in kept], magpie)
        forests[name] = RandomForestRegressor(N_TREES, random_state=0).fit(x, targets[kept])
    joblib.dump(forests, folder / FORESTS)
    mlflow.pyfunc.save_model(
        folder / "field", python_model=str(HERE / "field_default.py"), artifacts={FORESTS: str(folder / FORESTS)},
        pip_requirements=["mlflow"],
    )  # fmt: skip
    return folder / "field"


def study_mlflow(case: str, model: Path, seconds: float) -> list[dict[str, object]]:
    port = free_port()
    command = [str(BIN / "mlflow"), "models", "serve", "-m", str(model), "-p", str(port), "--env-manager", "local"]
    rows: list[dict[str, object]] = []
    with server(command, {"MLFLOW_DISABLE_TELEMETRY": "true"}) as process:
        start = until_answer(port, "POST", "/invocations", theirs(0))
        rows.append({"case": f"{case}: start to first answer", "p50_ms": round(1000 * start)})
        for n_clients in (1, 8):
            found = asyncio.run(load(port, "/invocations", shifted(theirs, 10_000 * n_clients), n_clients, seconds))
            rows.append(found.row(case, n_clients))
            print(rows[-1], flush=True)
        rows.append({"case": f"{case}: memory", "memory_mb": round(memory_mb(process.pid))})
    return rows


def ratios(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return by how much nascreen answers sooner than each peer, and the limit than each."""
    cases = (OURS, LIMIT, THEIRS, FIELD)
    best = {name: max(float(str(row["per_s"])) for row in rows if str(row["case"]) == name) for name in cases}
    one = {str(row["case"]): float(str(row["p50_ms"])) for row in rows if row.get("clients") == 1}
    return [
        {
            "case": f"{ours} / {theirs}",
            "per_s": round(best[ours] / best[theirs], 1),
            "p50_ms": round(one[theirs] / one[ours], 1),
        }
        for ours in (OURS, LIMIT)
        for theirs in (THEIRS, FIELD)
    ]


def soak(folder: Path, seconds: float) -> list[dict[str, object]]:
    port, rows = free_port(), []
    with server(serve_command(port, folder), {"NASCREEN_HOME": str(folder)}) as process:
        until_answer(port, "POST", "/v1/predict", ours(0))
        asyncio.run(load(port, "/v1/predict", ours, 50, min(60.0, seconds / 5)))
        before = memory_mb(process.pid)
        found = asyncio.run(load(port, "/v1/predict", lambda i: ours(i + 1_000_000), 50, seconds))
        rows.append(found.row(f"{seconds:g} s at 50 clients", 50))
        after = memory_mb(process.pid)
        rows.append({"case": "memory after warm-up", "memory_mb": round(before, 1)})
        rows.append({"case": "memory at the end", "memory_mb": round(after, 1)})
        rows.append({"case": "growth in %", "memory_mb": round(100 * (after / before - 1), 2)})
    return rows


FIELDS = ("case", "clients", "requests", "per_s", "p50_ms", "p99_ms", "worst_ms", "not_200", "memory_mb")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--soak", type=float, help="seconds at 50 clients instead of the study")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="seconds per case")
    parser.add_argument("--without-mlflow", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.soak:
            rows = soak(folder, given.soak)
        else:
            rows = study_ours(folder, given.seconds)
            if not given.without_mlflow:
                rows += study_mlflow(THEIRS, logged_model(folder), given.seconds)
                rows += study_mlflow(FIELD, field_default(folder / "field-default"), given.seconds)
                rows += ratios(rows)
    for row in rows:
        print({name: value for name, value in row.items() if value is not None})
    if given.without_mlflow:
        return
    with (HERE / ("soak.csv" if given.soak else "results.csv")).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
