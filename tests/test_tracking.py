"""Promises of the tracking: all that made a run is in it, in sqlite, and the logged model is the promoted one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from nascreen import __version__, tracking
from nascreen.errors import InputError
from nascreen.models import load_models
from nascreen.records import Sample
from nascreen.tables import CONDITION_COLUMNS, RESULT_COLUMNS, predict_cells
from nascreen.tracking import log_model, log_scores, tracked_run, usable_folder
from nascreen.training import ScoreRow
from nascreen.verdicts import reviewed_hash

# Both are MLflow's own, each said once, on first use. Its tables use a loader that SQLAlchemy 2.1 deprecates; its
# chat schemas, imported with `mlflow.pyfunc`, hold fields of type Any.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

SCORES = [
    ScoreRow("log10 σ", "all", "mean of three", 0.68, 0.01, 681, 146),
    ScoreRow("log10 σ", "nasicon", "mean of three", 0.52, 0.01, 507, 84),
    ScoreRow("log10 σ, 15–35 °C", "all", "family median", 1.24, 0.0, 378, 101),
    ScoreRow("Ea / eV", "all", "gaussian process", 0.09, 0.0, 365, 93),
    ScoreRow("log10 strength", "all", "strength law", 0.22, 0.0, 46, 17),
]
FOUNDING = [
    Sample(formula="Na3BS3", phase="glass", synthesis="ball_mill", press_mpa=360.0, meas_temp_c=25.0),
    Sample(
        formula="Na3Zr2Si2PO12", phase="composite", sinter_temp_c=1100.0, sinter_time_h=10.0, porosity_pct=10.0,
        second_phase="epoxy", second_phase_role="pore_filler", heat_temp_c=150.0, heat_time_h=24.0, meas_temp_c=25.0,
    ),
]  # fmt: skip
NUMBERS = RESULT_COLUMNS[:9]


@dataclass(frozen=True)
class Tracked:
    """A finished run."""

    mlflow: Any
    run: Any
    model_uri: str
    folder: Path
    cwd: Path


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    """MLflow hands its store on to subprocesses through the environment; that ends with this module."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID", "MLFLOW_REGISTRY_URI"):
            patch.setenv(name, "")
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, environment: None) -> Tracked:
    cwd, folder = tmp_path_factory.mktemp("cwd"), tmp_path_factory.mktemp("out") / "made"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        with tracked_run("train", {"n_seeds": 3, "promote": False}, folder) as mlflow:
            log_scores(mlflow, SCORES)
            log_model(mlflow)
            run_id = mlflow.active_run().info.run_id
        run = mlflow.get_run(run_id)
        (model,) = [m for m in mlflow.search_logged_models(output_format="list") if m.source_run_id == run_id]
    return Tracked(mlflow, run, model.model_uri, folder, cwd)


@pytest.fixture(scope="module")
def loaded(tracked: Tracked) -> Any:
    return tracked.mlflow.pyfunc.load_model(tracked.model_uri)


def _frame(samples: list[Sample]) -> pd.DataFrame:
    return pd.DataFrame([{name: getattr(s, name) or None for name in CONDITION_COLUMNS} for s in samples])


# ---------------------------------------------------------------- the run


def test_a_run_says_on_which_data_with_which_code_and_how_it_was_called(tracked: Tracked) -> None:
    assert tracked.run.data.params == {
        "nascreen": __version__,
        "data_hash": reviewed_hash("literature", "glasses", "lithium"),
        "n_seeds": "3",
        "promote": "False",
    }
    assert tracked.run.info.status == "FINISHED"
    assert tracked.run.info.run_name == "train"


def test_the_overall_errors_are_metrics_and_the_whole_table_an_artefact(tracked: Tracked) -> None:
    assert tracked.run.data.metrics == {
        "mae_log_sigma/mean_of_three": 0.68,
        "mae_log_sigma_room/family_median": 1.24,
        "mae_ea_ev/gaussian_process": 0.09,
        "mae_log_strength/strength_law": 0.22,
    }
    table = tracked.mlflow.load_table("scores.json", run_ids=[tracked.run.info.run_id])
    rows = [ScoreRow(**{str(k): v for k, v in row.items()}) for row in table.to_dict("records")]
    assert rows == SCORES


def test_the_store_is_sqlite_in_the_folder_and_nothing_is_left_elsewhere(tracked: Tracked) -> None:
    assert (tracked.folder / "mlflow.db").read_bytes().startswith(b"SQLite format 3")
    assert tracked.mlflow.get_tracking_uri() == f"sqlite:///{tracked.folder / 'mlflow.db'}"
    assert tracked.run.info.artifact_uri.startswith((tracked.folder / "mlartifacts").as_uri())
    assert sorted(p.name for p in tracked.folder.iterdir()) == ["mlartifacts", "mlflow.db"]
    assert list(tracked.cwd.iterdir()) == []


def test_a_run_that_breaks_is_kept_as_failed(tracked: Tracked) -> None:
    def broken() -> None:
        with tracked_run("broken", {}, tracked.folder):
            raise RuntimeError("the furnace went out")

    with pytest.raises(RuntimeError, match="the furnace went out"):
        broken()
    runs = tracked.mlflow.search_runs(experiment_names=[tracking.EXPERIMENT], output_format="list")
    assert {run.info.run_name: run.info.status for run in runs}["broken"] == "FAILED"
    assert tracked.mlflow.active_run() is None


def test_telemetry_is_off_before_mlflow_is_imported() -> None:
    code = (
        "import os, sys\n"
        "from nascreen import training, tracking\n"
        "def require(module):\n"
        "    assert module == 'mlflow' and 'mlflow' not in sys.modules\n"
        "    assert os.environ['MLFLOW_DISABLE_TELEMETRY'] == 'true' and os.environ['DO_NOT_TRACK'] == 'true'\n"
        "    print('off')\n"
        "tracking.require = require\n"
        "tracking._mlflow()\n"
    )
    clean = {k: v for k, v in os.environ.items() if k not in {"MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"}}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=False)
    assert done.stdout == "off\n", done.stderr


# ---------------------------------------------------------------- the model


def test_the_logged_model_predicts_the_founding_samples_as_the_promoted_models_do(loaded: Any) -> None:
    found = loaded.predict(_frame(FOUNDING))
    expected = load_models().predict(FOUNDING)
    assert list(found.columns) == list(RESULT_COLUMNS)
    for (_, row), prediction in zip(found.iterrows(), expected, strict=True):
        assert row["error"] == ""
        assert row["in_domain"] == str(prediction.in_domain).lower()
        assert row["domain_note"] == prediction.domain_note
        for name in NUMBERS:
            assert row[name] == pytest.approx(getattr(prediction, name), rel=1e-5)


def test_the_logged_model_writes_the_cells_of_the_command_line(loaded: Any) -> None:
    frame = _frame(FOUNDING)
    cells = [{n: "" if pd.isna(v) else str(v) for n, v in row.items()} for row in frame.to_dict("records")]
    for (_, row), written in zip(loaded.predict(frame).iterrows(), predict_cells(cells, load_models()), strict=True):
        assert {n: float(written[n]) for n in NUMBERS} == {n: row[n] for n in NUMBERS}
        assert {n: written[n] for n in RESULT_COLUMNS[9:]} == {n: row[n] for n in RESULT_COLUMNS[9:]}


def test_the_formula_alone_is_enough(loaded: Any) -> None:
    found = loaded.predict(pd.DataFrame({"formula": ["Na3PS4"]}, index=[7]))
    assert found.index.tolist() == [7]
    (expected,) = load_models().predict([Sample(formula="Na3PS4")])
    assert found["conductivity_s_cm"][7] == pytest.approx(expected.conductivity_s_cm, rel=1e-5)


def test_a_row_that_cannot_be_used_keeps_its_place_with_its_reason(loaded: Any) -> None:
    found = loaded.predict(pd.DataFrame({"formula": ["Na3BS3", "Li3PS4", ""], "porosity_pct": [None, 5.0, None]}))
    assert found["error"][0] == ""
    assert "holds no sodium" in found["error"][1]
    assert "formula is empty" in found["error"][2]
    assert found["conductivity_s_cm"].notna().tolist() == [True, False, False]


def test_a_column_of_the_wrong_kind_is_refused_by_the_signature(loaded: Any, tracked: Tracked) -> None:
    with pytest.raises(tracked.mlflow.exceptions.MlflowException, match=r"(?s)schema.*formula"):
        loaded.predict(pd.DataFrame({"phase": ["glass"]}))


def test_the_model_is_logged_with_signature_and_input_example(tracked: Tracked) -> None:
    info = tracked.mlflow.models.get_model_info(tracked.model_uri)
    inputs = info.signature.inputs
    assert tuple(inputs.input_names()) == CONDITION_COLUMNS
    assert inputs.required_input_names() == ["formula"]
    assert tuple(info.signature.outputs.input_names()) == RESULT_COLUMNS
    assert info.saved_input_example_info["type"] == "dataframe"


def test_the_input_example_can_be_predicted(loaded: Any) -> None:
    example = loaded.input_example
    assert "formula" in example.columns
    assert (loaded.predict(example)["error"] == "").all()


def test_results_that_cannot_be_written_are_said_before_any_work(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"Results cannot be written to .*File exists.*Give another folder with --out"):
        usable_folder(taken)
    assert taken.read_text(encoding="utf-8") == "mine"
    usable_folder(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []


# ---------------------------------------------------------------- served by MLflow


def test_mlflow_serves_the_same_answers_as_the_service(tracked: Tracked, service: httpx.Client) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    uri = f"sqlite:///{tracked.folder / 'mlflow.db'}"
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", tracked.model_uri, "-p", str(port), "--env-manager",
        "local",
    ]  # fmt: skip
    environment = {
        **os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    given = [{name: getattr(s, name) for name in CONDITION_COLUMNS} for s in FOUNDING]
    samples = [{name: value for name, value in one.items() if value not in {None, ""}} for one in given]
    try:
        rows = _first_answer(f"http://127.0.0.1:{port}/invocations", {"dataframe_records": samples})
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for row, sample in zip(rows, samples, strict=True):
        own = service.post("/v1/predict", json=sample).json()
        assert {name: row[name] for name in NUMBERS} == {name: own[name] for name in NUMBERS}


def _first_answer(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask until there is an answer, for up to two minutes."""
    for _ in range(480):
        try:
            answer = httpx.post(url, json=body, timeout=60, trust_env=False)
            answer.raise_for_status()
            return list(answer.json()["predictions"])
        except httpx.TransportError:
            time.sleep(0.25)
    raise TimeoutError(url)
