"""The promoted models as an MLflow pyfunc; MLflow runs this file when it loads the model.

The input has the columns that ``nascreen predict --csv`` reads, the output those that it adds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from nascreen.models import models_in
from nascreen.tables import CONDITION_COLUMNS, RESULT_COLUMNS, predict_cells

NUMBERS = {c for c in CONDITION_COLUMNS if c.endswith(("_c", "_h", "_mpa", "_pct"))}
INPUTS = {name: "double" if name in NUMBERS else "string" for name in CONDITION_COLUMNS}
OUTPUTS = {name: "string" if name in {"in_domain", "domain_note", "error"} else "double" for name in RESULT_COLUMNS}


class NascreenModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Predict conductivity, activation energy and strength from formula and processing."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401
        """Load the models that were logged, each file checked by hash."""
        self.models = models_in(Path(context.artifacts["models"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ANN401, ARG002
        """Return one row of results per row; a row that cannot be used has its reason in ``error``."""
        text = model_input.astype(object).where(model_input.notna(), "").astype(str)
        cells = [{str(name): str(cell) for name, cell in row.items()} for row in text.to_dict("records")]
        rows = predict_cells(cells, self.models)
        frame = pd.DataFrame(rows, columns=list(RESULT_COLUMNS), index=model_input.index)
        for name, kind in OUTPUTS.items():
            if kind == "double":
                frame[name] = pd.to_numeric(frame[name])
        return frame


mlflow.models.set_model(NascreenModel())
