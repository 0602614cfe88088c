"""What the field would serve: matminer's Magpie features and a random forest for each property, as an MLflow model.

MLflow runs this file when it loads the model; `run.py` trains and logs it. An interval is the spread of the trees.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import mlflow
import numpy as np
import pandas as pd

FORESTS = "forests.joblib"
N_TREES = 100


def featurizer() -> Any:  # noqa: ANN401
    from matminer.featurizers.composition import ElementProperty

    return ElementProperty.from_preset("magpie", impute_nan=True)


def features(formulas: list[str], magpie: Any) -> np.ndarray:  # noqa: ANN401
    from pymatgen.core import Composition

    return np.array([magpie.featurize(Composition(formula)) for formula in formulas])


class FieldDefault(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Predict each property from the formula alone, with its spread over trees."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401
        """Load the forests that were logged."""
        self.forests = joblib.load(Path(context.artifacts[FORESTS]))
        self.magpie = featurizer()

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ANN401, ARG002
        """Return mean and spread of each property."""
        found = {}
        x = features(model_input["formula"].tolist(), self.magpie)
        for name, forest in self.forests.items():
            by_tree = np.array([tree.predict(x) for tree in forest.estimators_])
            found[name], found[f"{name}_sd"] = by_tree.mean(axis=0), by_tree.std(axis=0)
        return pd.DataFrame(found)


mlflow.models.set_model(FieldDefault())
