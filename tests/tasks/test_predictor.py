"""A saved model takes raw rows as the user has them and answers in the target's own values."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.predictor import Predictor
from tasks.records import Problem
from tasks.refusal import Refusal
from tasks.schema import Column, Schema

SCHEMA = Schema((Column("a", "numeric", "double"), Column("c", "categorical", "string")))


class Rule:
    """A family of one rule: the probability of the second class, or the value, is the column a."""

    n_parameters = 0

    def predict(self, X: pd.DataFrame) -> Any:
        a = X["a"].to_numpy()
        return np.column_stack([1 - a, a]) if self.is_classifier else a

    def __init__(self, is_classifier: bool) -> None:
        self.is_classifier = is_classifier


def predictor(classes: tuple[Any, ...]) -> Predictor:
    kind = "binary" if classes else "regression"
    return Predictor(SCHEMA, Rule(bool(classes)), Problem(kind, "y", classes))  # type: ignore[arg-type]


@pytest.mark.parametrize("classes", [("no", "yes"), (False, True), (0, 1), (0.5, 2.5)])
def test_classes_come_in_the_target_s_own_values_with_a_probability_each(classes: tuple[Any, ...]) -> None:
    rows = pd.DataFrame({"a": [0.9, "0.2"], "c": [None, "x"], "more": 1}, index=[7, 3])
    predicted = predictor(classes).predict(rows)
    assert predicted["prediction"].tolist() == [classes[1], classes[0]]
    assert list(predicted.columns[1:]) == [f"probability_{label}" for label in classes]
    assert predicted.iloc[:, 2].tolist() == pytest.approx([0.9, 0.2])
    assert predicted.index.tolist() == [7, 3]


def test_a_regression_gives_one_number_per_row() -> None:
    predicted = predictor(()).predict(pd.DataFrame({"a": [1, 2], "c": "x"}))
    assert predicted.to_dict("list") == {"prediction": [1.0, 2.0]}


def test_the_rows_are_not_written_into() -> None:
    rows = pd.DataFrame({"a": ["1", " "], "c": ["x ", None]})
    before = rows.copy()
    predictor(()).predict(rows)
    pd.testing.assert_frame_equal(rows, before)


def test_a_missing_column_is_refused_by_name() -> None:
    with pytest.raises(Refusal, match="lack 1 of the columns that the model was trained on: c"):
        predictor(()).predict(pd.DataFrame({"a": [1]}))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="holds no model"):
        Predictor.load(tmp_path)
    (tmp_path / "schema.json").write_text(SCHEMA.to_json())
    (tmp_path / "problem.json").write_text(json.dumps(asdict(Problem("regression", "y", ()))))
    with pytest.raises(Refusal, match="holds no model"):
        Predictor.load(tmp_path)
