"""A model that takes raw rows as the user has them: schema, fitted model and classes in one folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks import model as models
from tasks.metric import label_predictions
from tasks.records import Problem
from tasks.refusal import Refusal
from tasks.schema import Schema


@dataclass(frozen=True)
class Predictor:
    """Types the rows, predicts, and names the classes."""

    schema: Schema
    fitted: models.Fitted
    problem: Problem

    def predict(self, raw: pd.DataFrame) -> pd.DataFrame:
        """(n_rows, 1) column `prediction` in the target's own values, and for classes `probability_<class>` each.

        Raises:
            Refusal: when columns are missing, or there are two of one name; names them.
        """
        prediction = self.fitted.predict(self.schema.apply(raw))
        if not self.problem.is_classification:
            return pd.DataFrame({"prediction": prediction}, index=raw.index)
        labels = np.array(self.problem.classes)[label_predictions(prediction)]
        columns = {f"probability_{label}": prediction[:, code] for code, label in enumerate(self.problem.classes)}
        return pd.DataFrame({"prediction": labels, **columns}, index=raw.index)

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """What `save` wrote.

        Raises:
            Refusal: when there is no model in the folder.
        """
        try:
            problem = json.loads((folder / "problem.json").read_text(encoding="utf-8"))
            schema = Schema.from_json((folder / "schema.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise Refusal(f"{folder} holds no model that can be read: {error}") from error
        return cls(
            schema,
            models.load(folder),
            Problem(problem["kind"], problem["target"], tuple(problem["classes"])),
        )


def save(fitted: models.Fitted, prepared: Path, folder: Path) -> None:
    """Writes the model beside the schema and the problem of the prepared table."""
    models.save(fitted, folder)
    for name in ("schema.json", "problem.json", "example.json"):
        shutil.copyfile(prepared / name, folder / name)
