"""Export a campaign as an Optuna study and read it back through optuna-dashboard, over HTTP.

    python experiments/optimization/dashboard.py            # where optuna-dashboard is installed beside nascreen
    python experiments/optimization/dashboard.py --command /other/venv/bin/optuna-dashboard

Compared are names, states, values and parameters of every trial, of one objective and of two with a constraint.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nascreen import Campaign, Objective

POOL = {
    "sinter_temp_c": [t for t in range(1100, 1300, 25) for _ in range(4)],
    "time_h": [h for _ in range(8) for h in (2, 6, 12, 24)],
    "route": [r for _ in range(8) for r in ("solid state", "sol-gel", "spray", "solid state")],
}


def exported(folder: Path) -> list[Campaign]:
    """Return two campaigns with results, failures and pending suggestions, exported to one storage."""
    made = []
    for name, wanted, rules in (
        ("one", [Objective("rel_density_pct")], []),
        ("two", [Objective("rel_density_pct"), Objective("grain_um", "min")], ["strength_mpa >= 40"]),
    ):
        campaign = Campaign.create(f"sqlite:///{folder}/lab.db", name, POOL, wanted, constraints=rules)
        for i, one in enumerate(campaign.ask(6)):
            values = {"rel_density_pct": 88.0 + i, "grain_um": 1.5 + 0.1 * i, "strength_mpa": 35.0 + 3 * i}
            if i < 4:
                campaign.tell(one.id, {p: values[p] for p in campaign.settings.properties})
            elif i == 4:
                campaign.fail(one.id, "cracked")
        campaign.export_optuna(f"sqlite:///{folder}/optuna.db")
        made.append(campaign)
    return made


@contextmanager
def dashboard(command: str, storage: str) -> Iterator[str]:
    """Yield the address of a running dashboard."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [command, storage, "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:  # noqa: S603 - a known command
        try:
            for _ in range(120):
                try:
                    got(f"http://127.0.0.1:{port}/api/studies")
                    break
                except urllib.error.URLError:
                    time.sleep(1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def got(url: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON of a page."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - on this machine
        return json.loads(answer.read())


def compared(campaign: Campaign, shown: dict[str, Any]) -> int:
    """Return how many trials agree with a campaign; the first that does not ends the run."""
    objectives = [o.name for o in campaign.settings.objectives]
    states = {"told": "Complete", "failed": "Fail", "pending": "Running"}
    for one, trial in zip(campaign.experiments(), shown["trials"], strict=True):
        told = [one.results[name] for name in objectives if name in one.results]
        parameters = {p["name"]: p["param_external_value"] for p in trial["params"]}
        wanted = (states[one.status], told, {name: _text(cell) for name, cell in one.values.items()})
        found = (trial["state"], [float(v) for v in trial.get("values") or []], parameters)
        if wanted != found:
            raise SystemExit(f"study {campaign.name}, suggestion {one.id}: told {wanted}, shown {found}")
    return len(shown["trials"])


def _text(cell: object) -> str:
    return str(float(cell)) if isinstance(cell, int | float) else str(cell)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", default="optuna-dashboard")
    command = parser.parse_args().command
    with tempfile.TemporaryDirectory() as folder:
        campaigns = exported(Path(folder))
        with dashboard(command, f"sqlite:///{folder}/optuna.db") as url:
            studies = {s["study_name"]: s["study_id"] for s in got(f"{url}/api/studies")["study_summaries"]}
            for campaign in campaigns:
                n = compared(campaign, got(f"{url}/api/studies/{studies[campaign.name]}"))
                print(f"study {campaign.name}: {n} trials shown as told")


if __name__ == "__main__":
    main()
