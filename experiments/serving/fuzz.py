"""Ask the service everything that its OpenAPI document allows, and what it does not allow; look for broken promises.

    python experiments/serving/fuzz.py --cases 5000
    python experiments/serving/fuzz.py --cases 5000 --token

Schemathesis makes the requests from the document and applies all its checks. The service runs on loopback with an empty
store of campaigns; with ``--token`` it asks for tokens. Counts go to ``experiments/serving/fuzz.csv``.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

from run import BIN, HERE, free_port, memory_mb, serve_command, server, until_answer

SCOPES = ("read", "predict", "campaign")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000, help="about how many requests in all")
    parser.add_argument("--token", action="store_true", help="with a token, on a service that asks for one")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        environment = {"NASCREEN_HOME": str(folder)}
        command, headers = serve_command(port, folder), []
        if given.token:
            scopes = [part for scope in SCOPES for part in ("--scope", scope)]
            made = subprocess.run(
                [str(BIN / "nascreen"), "token", "new", "fuzz", *scopes], env={"PATH": "", **environment},
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            command.append("--require-token")
            headers = ["--header", f"Authorization: Bearer {made.stdout.strip()}"]
        with server(command, environment) as process:
            until_answer(port, "GET", "/v1/health", b"")
            done = subprocess.run(
                [str(BIN / "schemathesis"), "--config-file", str(HERE / "schemathesis.toml"), "run",
                 f"http://127.0.0.1:{port}/v1/openapi.json", "--max-examples", str(max(given.cases // 40, 5)),
                 "--seed", str(given.seed), "--suppress-health-check", "all", "--continue-on-failure", *headers],
                cwd=folder, check=False, capture_output=True, text=True,
            )  # fmt: skip
            print(done.stdout, done.stderr[-2000:])
            alive = process.poll() is None
            memory = memory_mb(process.pid)
    summary = [line.strip() for line in done.stdout.splitlines() if "generated" in line or "passed" in line]
    row = {
        "token": given.token,
        "exit": done.returncode,
        "alive": alive,
        "memory_mb": round(memory),
        "summary": " | ".join(summary),
    }
    with (HERE / f"fuzz{'_token' if given.token else ''}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerow(row)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
