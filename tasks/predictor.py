"""A model that takes raw rows as the user has them: schema, fitted model and classes in one folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks import decision as decisions
from tasks import interval as intervals
from tasks import model as models
from tasks.decision import Decision, labels_of
from tasks.interval import Residuals
from tasks.records import Problem
from tasks.refusal import Refusal
from tasks.schema import Schema

EXAMPLE = "example.json"


@dataclass(frozen=True)
class Predictor:
    """Types the rows, predicts, and names the classes.

    decision: how a class is taken, None: the most probable one. residuals: of a regression out of fold, by which
    intervals are told, or None. background: typed rows that contributions start from where a family has no account of
    its own.
    """

    schema: Schema
    fitted: models.Fitted
    problem: Problem
    decision: Decision | None = None
    residuals: Residuals | None = None
    background: pd.DataFrame | None = None

    def predict(
        self, raw: pd.DataFrame, *, interval: float | None = None, contributions: bool = False
    ) -> pd.DataFrame:
        """(n_rows, 1) column `prediction` in the target's own values, and for classes `probability_<class>` each; of a
        model that writes the response to each prompt, or how each text goes on.

        interval: a level such as 0.9, which adds `lower` and `upper`. contributions: adds what `contributions` gives.

        Raises:
            Refusal: when columns are missing, or there are two of one name; names them. For an interval that can't be
                had.
        """
        if self.problem.is_generation and (interval is not None or contributions):
            key = "contributions" if interval is None else f"interval={interval:g}"
            raise Refusal(f"{key}: {self.problem.target} is text that is written; leave it out.")
        typed = self.asked.apply(raw)
        made = self.of_typed(typed, interval)
        return pd.concat([made, self._contributions(typed)], axis=1) if contributions else made

    def of_typed(self, typed: pd.DataFrame, interval: float | None = None) -> pd.DataFrame:
        """`predict` of rows that `asked` was applied to."""
        if self.problem.is_generation:
            assert isinstance(self.fitted, models.Writes)
            (prompts,) = (values for _, values in typed.items())
            return pd.DataFrame({"prediction": self.fitted.respond(prompts.fillna("").tolist())}, index=typed.index)
        prediction = self.fitted.predict(typed)
        columns = self._classes(prediction) if self.problem.is_classification else {"prediction": prediction}
        if interval is not None:
            lower, upper = self._residuals(interval).bounds(interval)
            columns |= {"lower": prediction + lower, "upper": prediction + upper}
        return pd.DataFrame(columns, index=typed.index)

    def contributions(self, raw: pd.DataFrame) -> pd.DataFrame:
        """`contribution_<column>` for each column of the table, and `bias`; of more than two classes each of these for
        every class, `contribution_<class>_<column>` and `bias_<class>`.

        A row's sum up to the score before its link function where the family tells it exactly (LightGBM, linear), and
        before any calibration; else to the prediction, of two classes to the probability of the second, see
        `tasks.model._explained`.

        Raises:
            Refusal: as in `predict`.
        """
        return self._contributions(self.schema.apply(raw))

    @property
    def asked(self) -> Schema:
        """The columns that rows must have: of pairs the prompt alone, of plain texts how they begin."""
        return Schema(self.schema.columns[:1]) if self.problem.is_generation else self.schema

    def _classes(self, prediction: models.Floats) -> dict[str, object]:
        labels = np.array(self.problem.classes)[labels_of(prediction, self.decision)]
        columns = {f"probability_{label}": prediction[:, code] for code, label in enumerate(self.problem.classes)}
        return {"prediction": labels, **columns}

    def _residuals(self, level: float) -> Residuals:
        if self.problem.is_classification:
            raise Refusal(f"interval={level:g}: {self.problem.target} has classes, of which each has a probability.")
        if self.residuals is None:
            raise Refusal(f"interval={level:g}: this model keeps no residuals to tell it by; train it anew.")
        return self.residuals

    def _contributions(self, typed: pd.DataFrame) -> pd.DataFrame:
        found = models.explained(self.fitted, typed, self.background)
        place = {feature: at for at, feature in enumerate(found.columns)}
        classes = self.problem.classes if found.values.shape[1] > 1 else ("",)
        columns: dict[str, models.Floats] = {}
        for at, label in enumerate(classes):
            of_class = f"_{label}" if len(classes) > 1 else ""
            for column in self.schema.columns:
                own = [place[feature] for feature in column.features() if feature in place]  # a time has several
                columns[f"contribution{of_class}_{column.name}"] = found.values[:, at, own].sum(axis=1)
            columns[f"bias{of_class}"] = found.bias[:, at]
        return pd.DataFrame(columns, index=typed.index)

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """What `save` wrote.

        Raises:
            Refusal: when there is no model in the folder.
        """
        try:
            problem = json.loads((folder / "problem.json").read_text(encoding="utf-8"))
            schema = Schema.from_json((folder / "schema.json").read_text(encoding="utf-8"))
            decision, residuals = decisions.read(folder), intervals.read(folder)
            background = schema.apply(read_example(folder, schema)) if (folder / EXAMPLE).exists() else None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise Refusal(f"{folder} holds no model that can be read: {error}") from error
        return cls(
            schema,
            models.load(folder),
            Problem(problem["kind"], problem["target"], tuple(problem["classes"])),
            decision,
            residuals,
            background,
        )


def save(fitted: models.Fitted, prepared: Path, folder: Path) -> None:
    """Writes the model beside the schema and the problem of the prepared table."""
    models.save(fitted, folder)
    for name in ("schema.json", "problem.json", EXAMPLE):
        shutil.copyfile(prepared / name, folder / name)


def read_example(folder: Path, schema: Schema) -> pd.DataFrame:
    """A few raw rows, in the types that a caller of the model sends."""
    stored = json.loads((folder / EXAMPLE).read_text())
    example = pd.DataFrame(stored["data"], columns=stored["columns"], dtype=object)
    example = example[[name for name in example if name in {column.name for column in schema.columns}]]
    types = {"double": "float64", "datetime": "datetime64[ns]"}
    return example.astype({column.name: types[column.raw] for column in schema.columns if column.raw in types})
