"""What leaves the repository: the wheel, the sdist, and the main job from start to end."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    (wheel,) = distributions.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    return site


def test_an_installed_wheel_predicts_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    shown = run(
        sys.executable, "-c", "import nascreen.datasets as d; print(d.model_folder())", cwd=tmp_path,
        PYTHONPATH=str(installed),
    )  # fmt: skip
    assert shown.stdout.strip() == str(installed / "nascreen" / "_data" / "models")
    answer = run(
        sys.executable, "-m", "nascreen.cli", "predict", "Na3BS3", "--phase", "glass", cwd=tmp_path,
        PYTHONPATH=str(installed),
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "conductivity at 25 °C" in answer.stdout


def test_a_changed_model_file_of_an_installed_wheel_is_refused_by_name(installed: Path, tmp_path: Path) -> None:
    model = installed / "nascreen" / "_data" / "models" / "conductivity" / "trees.onnx"
    original = model.read_bytes()
    model.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    try:
        answer = run(sys.executable, "-m", "nascreen.cli", "predict", "Na3BS3", cwd=tmp_path, PYTHONPATH=str(installed))
    finally:
        model.write_bytes(original)
    assert answer.returncode == 1
    assert "trees.onnx" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_spaces_travel_with_the_wheel(installed: Path) -> None:
    spaces = {path.name for path in (installed / "nascreen" / "spaces").iterdir()}
    assert spaces == {path.name for path in (ROOT / "nascreen" / "spaces").glob("*.toml")}
    assert "nasicon-wide.toml" in spaces


def test_the_licence_of_the_glasses_travels_with_the_table(installed: Path) -> None:
    tables = installed / "nascreen" / "_data" / "datasets"
    assert (tables / "LICENSE-glasses.txt").is_file()
    names = {p.name for p in tables.glob("*.csv")}
    assert names == {"elements.csv", "glasses.csv", "literature.csv", "lithium.csv", "stability.csv", "verdicts.csv"}


def test_the_sdist_holds_what_the_repository_is_built_from(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", ".constraints.txt", "CHANGELOG.md", "README.md", "LICENSE", "tests/test_cli.py"} <= names
    assert {"datasets/literature.csv", "models/conductivity/card.json", "nascreen/cli.py"} <= names


def test_the_main_job_ends_with_a_report_tables_and_a_tracked_model(tmp_path: Path) -> None:
    out = tmp_path / "results"
    done = run(sys.executable, "-m", "nascreen.cli", "run", "--out", str(out), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(out / "report.html") in done.stdout.splitlines()[-1]
    for name in ("report.html", "ranking.csv", "batch.csv", "scores.csv", "mlflow.db"):
        assert (out / name).stat().st_size > 0, name
    assert not (tmp_path / "mlruns").exists()
    with (out / "batch.csv").open(encoding="utf-8-sig", newline="") as file:
        batch = list(csv.DictReader(file))
    assert {row["space"] for row in batch} == {row["space"] for row in _ranking(out)}
    assert all(row["neighbours"] and float(row["conductivity_lo"]) < float(row["conductivity_hi"]) for row in batch)


def _ranking(out: Path) -> list[dict[str, str]]:
    with (out / "ranking.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
