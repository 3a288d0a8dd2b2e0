"""The model as MLflow loads and serves it: raw rows as the user has them in, predictions out. Run by MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from tasks.predictor import Predictor


class Served(PythonModel):
    """Loads the folder that was logged as the artifact `model`."""

    def load_context(self, context: Any) -> None:
        self.predictor = Predictor.load(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """(n_rows, 1) `prediction`, and for classes a `probability_<class>` each; with `{"interval": 0.9}` `lower` and
        `upper`, with `{"contributions": True}` what each column adds, see `Predictor`."""
        asked = params or {}
        return self.predictor.predict(
            model_input, interval=asked.get("interval"), contributions=bool(asked.get("contributions"))
        )


set_model(Served())
