"""Training runs in MLflow: a sqlite store on this machine, telemetry off."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from nascreen import __version__
from nascreen.datasets import model_folder
from nascreen.errors import InputError, shown
from nascreen.training import PROMOTED, TAUGHT_BY, CrossValidation, ScoreRow, require
from nascreen.verdicts import reviewed_hash

EXPERIMENT = "nascreen"
DATABASE = "mlflow.db"
MODEL_CODE = Path(__file__).with_name("mlflow_model.py")


def _mlflow() -> Any:  # noqa: ANN401
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow = require("mlflow")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow


def usable_folder(folder: Path) -> None:
    """Make a folder for results and try it, before any work is done for it.

    Raises:
        InputError: If it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"Results cannot be written to {shown(str(folder))}: {error.strerror}. Give another folder with --out."
        ) from error


@contextmanager
def tracked_run(name: str, parameters: Mapping[str, Any], folder: Path) -> Iterator[Any]:
    """Open an MLflow run with the data hash and parameters logged.

    Args:
        name: Name of the run.
        parameters: What the run was called with.
        folder: Folder that holds the store ``mlflow.db`` and the artefacts; made if missing.

    Yields:
        The mlflow module, inside the run.

    Raises:
        InputError: If results cannot be written to the folder.
    """
    usable_folder(folder)
    mlflow = _mlflow()
    mlflow.set_tracking_uri(f"sqlite:///{(folder / DATABASE).resolve()}")
    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        mlflow.create_experiment(EXPERIMENT, artifact_location=(folder / "mlartifacts").resolve().as_uri())
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=name):
        mlflow.log_params({"nascreen": __version__, "data_hash": reviewed_hash(*TAUGHT_BY), **parameters})
        yield mlflow


def log_scores(mlflow: Any, scores: Sequence[ScoreRow]) -> None:  # noqa: ANN401
    """Log the overall errors as metrics and the whole table as an artefact."""
    overall = [row for row in scores if row.subset == "all"]
    mlflow.log_metrics({_metric_name(row): row.error for row in overall})
    table = [asdict(row) for row in scores]
    mlflow.log_table({key: [row[key] for row in table] for key in table[0]}, "scores.json")


def _metric_name(row: ScoreRow) -> str:
    quantity = {
        "log10 σ": "log_sigma",
        "log10 σ, 15–35 °C": "log_sigma_room",
        "log10 σ, 15–35 °C, measured": "log_sigma_room_measured",
        "Ea / eV": "ea_ev",
    }
    # MLflow allows few signs in a name.
    return f"mae_{quantity.get(row.quantity, 'log_strength')}/{re.sub('[^A-Za-z0-9]+', '_', row.model)}"


def predicted_figure(cv: CrossValidation) -> Any:  # noqa: ANN401
    """Return a plotly figure of predicted against measured log10 σ on papers left out, first shuffle."""
    objects = require("plotly.graph_objects")
    mask = cv.rows.is_conductivity
    measured, predicted = cv.rows.targets[mask], cv.predictions[PROMOTED][0][mask]
    limits = [float(min(measured.min(), predicted.min())), float(max(measured.max(), predicted.max()))]
    formulas = [s.formula for s, keep in zip(cv.rows.samples, mask, strict=True) if keep]
    figure = objects.Figure(
        [
            objects.Scatter(x=measured, y=predicted, mode="markers", text=formulas, name="samples"),
            objects.Scatter(x=limits, y=limits, mode="lines", name="equal"),
        ]
    )
    figure.update_layout(xaxis_title="measured log10(σT/298 K / S/cm)", yaxis_title="predicted, paper left out")
    return figure


def log_model(mlflow: Any) -> None:  # noqa: ANN401
    """Log the promoted models as one pyfunc whose input is what a chemist types: formula and processing."""
    models = require("mlflow.models")
    types = require("mlflow.types")
    pandas = require("pandas")
    from nascreen.mlflow_model import INPUTS, OUTPUTS

    signature = models.ModelSignature(
        types.Schema([types.ColSpec(kind, name, required=name == "formula") for name, kind in INPUTS.items()]),
        types.Schema([types.ColSpec(kind, name) for name, kind in OUTPUTS.items()]),
    )
    example = pandas.DataFrame(
        {"formula": ["Na3Zr2Si2PO12", "Na3BS3"], "phase": ["crystalline", "glass"], "sinter_temp_c": [1200.0, None]}
    )
    mlflow.pyfunc.log_model(
        name="model",
        python_model=str(MODEL_CODE),
        artifacts={"models": str(model_folder())},
        signature=signature,
        input_example=example,
        pip_requirements=[f"nascreen=={__version__}", "pandas"],
    )
