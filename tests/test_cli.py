"""Promises of the command: plain answers, one sentence for what is refused, and nothing heavy for a prediction."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nascreen
from nascreen import __version__
from nascreen.cli import main
from nascreen.datasets import TABLE_NAMES, load_table, table_record
from nascreen.models import load_models
from nascreen.records import COLUMN_BY_NAME, COLUMNS, Sample, citation
from nascreen.tables import RESULT_COLUMNS

HEAVY = ("sklearn", "xgboost", "pandas", "matminer", "mlflow", "pymatgen", "torch", "optuna", "onnx", "plotly")
UNBALANCED = "Na3.8Zr2Si2.4P0.6O12"
NASICON = "Na3Zr2Si2PO12"


def _run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "nascreen.cli", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONUTF8": "1", "COLUMNS": "200", **environment},
        capture_output=True,
        encoding=environment.get("PYTHONIOENCODING", "utf-8"),
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def _run_here(
    arguments: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str, str]:
    """Run the command in this process, which spares its start; an error that is not caught fails the test."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["nascreen", *arguments.split()])
    with pytest.raises(SystemExit) as stopped:
        main()
    return (stopped.value.code, *capsys.readouterr())


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ---------------------------------------------------------------- one formula


def test_a_formula_is_answered_with_every_property_and_its_interval(tmp_path: Path) -> None:
    done = _run("predict", NASICON, "--phase", "crystalline", "--sinter-temp-c", "1200", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        f"{NASICON}  (family nasicon)",
        "conductivity at 25 °C",
        " S/cm",
        " eV",
        " MPa",
        "domain of the models",
    ):
        assert text in done.stdout
    assert done.stdout.count("90 %:") == 3
    assert done.stdout.rstrip().endswith("inside")


def test_json_holds_the_numbers_of_the_models(tmp_path: Path) -> None:
    done = _run(
        "predict", "Na3BS3", "--phase", "glass", "--press-mpa", "360", "--meas-temp-c", "-20", "--json", cwd=tmp_path
    )
    found = json.loads(done.stdout)
    assert tuple(found) == ("formula", *RESULT_COLUMNS[:-1])
    (expected,) = load_models().predict([Sample(formula="Na3BS3", phase="glass", press_mpa=360.0, meas_temp_c=-20.0)])
    for name in RESULT_COLUMNS[:9]:
        assert isinstance(found[name], float)
        assert found[name] == pytest.approx(getattr(expected, name), rel=1e-5)
    assert found["in_domain"] is True


def test_the_temperature_asked_for_is_the_one_answered(tmp_path: Path) -> None:
    assert "conductivity at 60 °C" in _run("predict", "Na3PS4", "--meas-temp-c", "60", cwd=tmp_path).stdout


def test_an_unbalanced_formula_is_answered_with_the_repair_and_refused_when_strict(tmp_path: Path) -> None:
    loose = _run("predict", UNBALANCED, cwd=tmp_path)
    assert loose.returncode == 0
    assert "outside: not charge balanced: charge +0.4; Na3.4Zr2Si2.4P0.6O12 balances" in loose.stdout
    strict = _run("predict", UNBALANCED, "--strict", cwd=tmp_path)
    assert (strict.returncode, strict.stdout) == (2, "")
    assert "is not charge balanced: charge +0.4; Na3.4Zr2Si2.4P0.6O12 balances." in strict.stderr


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    assert _run("--version", cwd=tmp_path).stdout == f"{__version__}\n"


# ---------------------------------------------------------------- refusals


def _allowed(name: str) -> str:
    return f"allowed is {COLUMN_BY_NAME[name].allowed}."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("predict Na3(", "has a bracket that is never closed."),
        ("predict NaN", "is a missing value, not a compound"),
        ("predict Li3PS4", "The formula 'Li3PS4' holds no sodium; the models are of sodium conductors alone."),
        ("predict Na3PS4 --porosity-pct 170", _allowed("porosity_pct")),
        ("predict Na3PS4 --meas-temp-c -300", _allowed("meas_temp_c")),
        ("predict Na3PS4 --rel-density-pct 110", _allowed("rel_density_pct")),
        ("predict Na3PS4 --sinter-temp-c hot", _allowed("sinter_temp_c")),
        ("predict Na3PS4 --phase liquid", _allowed("phase")),
        ("predict Na3PS4 --nonsense", "No such option: --nonsense"),
        ("predict", "Give either one formula or --csv FILE; for example: nascreen predict Na3Zr2Si2PO12"),
        ("predict Na3PS4 --csv x.csv --out y.csv", "Give either one formula or --csv FILE"),
        ("predict --csv none.csv --out out.csv", "The table 'none.csv' cannot be opened: No such file or directory."),
        ("predict --csv none.csv", "A table of predictions needs a place: add --out FILE.csv"),
        ("predict Na3PS4 --out out.csv", "--out"),
        ("predict --csv none.csv --out out.csv --phase glass", "--phase"),
        ("rank perovskite", "There is no space 'perovskite'; allowed are nasicon, thioborate, composites"),
        ("rank thioborate --n 60 --top 0", "must be at least 1; got 0"),
        ("rank thioborate --n 60 --top 5 --per-system 0", "must be at least 1; got 5 and 0 per system"),
        ("rank thioborate --n 0", "cannot give '0' candidates; allowed is a whole number from 1 to"),
        ("rank thioborate --n many", "Invalid value for '--n'"),
        ("rank thioborate --by price", "conductivity, conductivity_lo, ea, strength, resistance; got 'price'."),
        ("suggest perovskite", "There is no candidate space 'perovskite'"),
        ("suggest thioborate --n 0", "A batch holds 1 to 24 experiments; got 0."),
        ("suggest thioborate --n 1 --objective price", "must be one of conductivity, resistance; got 'price'."),
        ("suggest thioborate --n 1 --seed -1", "seed"),
        ("data show lit-9999999", "No row has the identifier 'lit-9999999'; they look like lit-0001"),
        ("train --seeds 0", "The number of shuffles must be at least 1; got 0."),
        ("sinter", "No such command 'sinter'."),
    ],
    ids=lambda text: text if re.match("(predict|rank|suggest|data|train|screen)\\b", text) else "",
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_one_sentence_and_code_2(
    arguments: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _run_here(arguments, tmp_path, monkeypatch, capsys)
    *progress, last = err.strip().splitlines()
    assert code == 2
    assert last.startswith("nascreen: ")
    assert sentence in last
    assert not progress or arguments.startswith(("rank", "suggest"))
    assert out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    ["predict Na3(", "predict Na3PS4 --porosity-pct 170", "predict", "rank perovskite", "data show lit-9999999"],
)
def test_a_refusal_in_a_shell_is_one_line_on_standard_error(arguments: str, tmp_path: Path) -> None:
    done = _run(*arguments.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nascreen: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["data"]], ids=["nascreen", "nascreen data"])
def test_a_command_without_a_task_shows_help_and_no_half_sentence(arguments: list[str], tmp_path: Path) -> None:
    done = _run(*arguments, cwd=tmp_path)
    assert "Usage:" in done.stdout + done.stderr
    assert "nascreen:  See" not in done.stderr


@pytest.mark.parametrize(
    "command", ["", "predict", "rank", "suggest", "data", "data show", "data stats", "train", "run"]
)
def test_every_command_explains_itself(command: str, tmp_path: Path) -> None:
    done = _run(*command.split(), "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "Usage:" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize(
    "arguments", [["predict", NASICON], ["rank", "thioborate", "--n", "30", "--top", "2"]], ids=["predict", "rank"]
)
def test_a_terminal_without_unicode_gets_an_answer_all_the_same(
    arguments: list[str], encoding: str, tmp_path: Path
) -> None:
    done = _run(*arguments, cwd=tmp_path, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 0
    assert "Na" in done.stdout


# ---------------------------------------------------------------- tables


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, str]], list[dict[str, str]], str]:
    """Predict the first rows of a table with the columns of the literature table: rows in, rows out, and stdout."""
    folder = tmp_path_factory.mktemp("table")
    names = [column.name for column in COLUMNS]
    given = [
        {"sample_id": "a", "formula": "Na3BS3", "phase": "glass", "press_mpa": "360", "conductivity_s_cm": "1.1e-05",
         "ea_ev": "0.4042", "label": "Na3BS3 glass, pressed", "meas_temp_c": "25"},
        {"sample_id": "b", "formula": NASICON, "phase": "composite", "sinter_temp_c": "1100", "porosity_pct": "10",
         "second_phase": "epoxy", "second_phase_role": "pore_filler", "strength_mpa": "35"},
        {"sample_id": "c", "formula": "Li3PS4", "ea_ev": "0.3"},
        {"sample_id": "d", "formula": NASICON, "porosity_pct": "170"},
        {"sample_id": "e", "formula": UNBALANCED},
    ]  # fmt: skip
    rows = [{name: row.get(name, "") for name in names} for row in given]
    with (folder / "samples.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    done = _run("predict", "--csv", "samples.csv", "--out", "out.csv", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == ["out.csv", "samples.csv"]
    return rows, _read(folder / "out.csv"), done.stdout


Predicted = tuple[list[dict[str, str]], list[dict[str, str]], str]


def test_a_table_comes_back_with_its_own_columns_and_the_results(predicted: Predicted) -> None:
    rows, found, said = predicted
    own = [f"given_{name}" if name in RESULT_COLUMNS else name for name in rows[0]]
    assert list(found[0]) == [*own, *RESULT_COLUMNS]
    assert "5 rows predicted to out.csv; 2 could not be used, see column 'error'" in said


def test_measured_values_are_kept_beside_the_predictions(predicted: Predicted) -> None:
    rows, found, _ = predicted
    for row, result in zip(rows, found, strict=True):
        for name, cell in row.items():
            assert result[f"given_{name}" if name in RESULT_COLUMNS else name] == cell
    assert (found[0]["given_ea_ev"], found[1]["given_strength_mpa"]) == ("0.4042", "35")
    assert found[0]["ea_ev"] != "0.4042"
    assert found[1]["strength_mpa"] != "35"


def test_rows_keep_their_order_and_bad_ones_say_why(predicted: Predicted) -> None:
    _, found, _ = predicted
    assert [row["sample_id"] for row in found] == ["a", "b", "c", "d", "e"]
    assert [bool(row["error"]) for row in found] == [False, False, True, True, False]
    assert "holds no sodium" in found[2]["error"]
    assert "column 'porosity_pct' has the value '170'" in found[3]["error"]
    assert "not charge balanced" in found[4]["domain_note"]
    assert [row["in_domain"] for row in found] == ["true", "true", "", "", "false"]


def test_a_row_of_a_table_gets_what_its_formula_gets_alone(predicted: Predicted) -> None:
    (expected,) = load_models().predict(
        [Sample(formula="Na3BS3", phase="glass", press_mpa=360.0, meas_temp_c=25.0)]
    )  # fmt: skip
    assert float(predicted[1][0]["conductivity_s_cm"]) == pytest.approx(expected.conductivity_s_cm, rel=1e-5)


def test_a_strict_table_refuses_its_unbalanced_rows_alone(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(f"formula\n{UNBALANCED}\n{NASICON}\n", encoding="utf-8")
    _run("predict", "--csv", "in.csv", "--out", "out.csv", "--strict", cwd=tmp_path)
    first, second = _read(tmp_path / "out.csv")
    assert "is not charge balanced" in first["error"]
    assert second["error"] == ""


def test_predictions_of_predictions_lose_no_column(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("formula,ea_ev,given_ea_ev\nNa3PS4,0.1,0.2\n", encoding="utf-8")
    _run("predict", "--csv", "in.csv", "--out", "out.csv", cwd=tmp_path)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        header, cells = csv.reader(file)
    assert len(set(header)) == len(header)
    assert {"0.1", "0.2"} <= set(cells)


@pytest.mark.parametrize(
    "content",
    [b"formula\nNa3\0PS4\n", b"formula;phase\nNa3PS4\n", b"phase\nglass\n", b"", b'formula\n"Na3'],
    ids=["nul", "short line", "no formula", "empty", "open quote"],
)
def test_a_table_that_cannot_be_read_gives_no_output_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.csv").write_bytes(content)
    done = _run("predict", "--csv", "in.csv", "--out", "out.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("nascreen: The table 'in.csv' ")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("target", [".", "none/out.csv"], ids=["folder", "no folder"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "in.csv").write_text("formula\nNa3PS4\n", encoding="utf-8")
    done = _run("predict", "--csv", "in.csv", "--out", target, cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


# ---------------------------------------------------------------- what a prediction needs


@pytest.mark.parametrize("kind", ["formula", "table"])
def test_a_prediction_imports_no_training_library(kind: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("formula\nNa3PS4\n", encoding="utf-8")
    arguments = [NASICON, "--json"] if kind == "formula" else ["--csv", "in.csv", "--out", "out.csv"]
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sorted({m.partition('.')[0] for m in sys.modules}), file=sys.stderr))\n"
        f"sys.argv = ['nascreen', 'predict', *{arguments!r}]\n"
        "from nascreen.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    imported = set(done.stderr.split())
    assert {"nascreen", "numpy", "onnxruntime"} <= imported
    assert not imported & set(HEAVY)


def test_a_damaged_model_is_refused_with_code_1_and_no_traceback(tmp_path: Path) -> None:
    package = Path(nascreen.__file__).parent
    shutil.copytree(package, tmp_path / "nascreen", ignore=shutil.ignore_patterns("__pycache__", "_data"))
    for folder in ("datasets", "models"):
        shutil.copytree(package.parent / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    law = tmp_path / "models" / "strength" / "law.onnx"
    law.write_bytes(law.read_bytes() + b"\0")
    done = _run("predict", NASICON, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nascreen: The file law.onnx in ")
    assert done.stderr.count("\n") == 1


# ---------------------------------------------------------------- data


def test_data_stats_verifies_and_counts_every_table(tmp_path: Path) -> None:
    said = _run("data", "stats", cwd=tmp_path).stdout
    for name in TABLE_NAMES:
        record = table_record(name)
        assert f"{name}: {record['rows']} rows, sha256 {record['sha256'][:12]} verified; {record['licence']}" in said


def test_data_show_prints_the_citation_and_what_is_known(tmp_path: Path) -> None:
    said = _run("data", "show", "lit-0001", cwd=tmp_path).stdout
    sample = next(s for s in load_table("literature") if s.sample_id == "lit-0001")
    assert said.startswith("lit-0001  Na3BS3\n")
    assert citation(sample) in said
    assert "doi:10.1039/d0ma00777c" in said
    assert "3.7e-10 S/cm" in said
    assert "strength_mpa" not in said


# ---------------------------------------------------------------- candidates


def test_a_ranking_is_printed_and_written_best_first(tmp_path: Path) -> None:
    done = _run("rank", "thioborate", "--n", "60", "--top", "5", "--out", "ranking.csv", cwd=tmp_path)
    assert done.returncode == 0
    assert "5 candidates written to ranking.csv" in done.stdout
    rows = _read(tmp_path / "ranking.csv")
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert all(row["formula"] in done.stdout for row in rows)
    assert len({row["formula"] for row in rows}) == 5
    lower = [float(row["conductivity_lo"]) for row in rows if row["in_domain"] == "true"]
    assert lower == sorted(lower, reverse=True)
    assert all(0 < float(row["resistance_ohm_cm2"]) < math.inf for row in rows)


def test_a_ranking_is_the_same_again_and_another_by_another_property(tmp_path: Path) -> None:
    for name, by in (("a", "ea"), ("b", "ea"), ("c", "conductivity")):
        _run("rank", "thioborate", "--n", "40", "--top", "5", "--by", by, "--out", f"{name}.csv", cwd=tmp_path)
    a, b, c = (_read(tmp_path / f"{name}.csv") for name in "abc")
    assert a == b
    assert [float(row["ea_ev"]) for row in a] == sorted(float(row["ea_ev"]) for row in a)
    sigma = [float(row["conductivity_s_cm"]) for row in c]
    assert sigma == sorted(sigma, reverse=True)


def test_a_ranking_can_be_predicted_again(tmp_path: Path) -> None:
    _run("rank", "thioborate", "--n", "60", "--top", "3", "--out", "ranking.csv", cwd=tmp_path)
    _run("predict", "--csv", "ranking.csv", "--out", "again.csv", cwd=tmp_path)
    for row in _read(tmp_path / "again.csv"):
        assert row["error"] == ""
        assert float(row["conductivity_s_cm"]) == pytest.approx(float(row["given_conductivity_s_cm"]), rel=1e-5)


def test_a_batch_is_suggested_with_reasons_and_cited_neighbours(tmp_path: Path) -> None:
    done = _run("suggest", "thioborate", "--n", "2", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("Best reported: ")
    assert "\n1. Na" in done.stdout
    assert "\n2. Na" in done.stdout
    assert "\n3. " not in done.stdout
    assert done.stdout.count("expected gain") == 2
    assert done.stdout.count("   near: ") == 6
