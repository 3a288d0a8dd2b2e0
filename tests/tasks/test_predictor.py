"""A saved model takes raw rows as the user has them and answers in the target's own values."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.decision import Decision
from tasks.interval import Residuals
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


def test_the_class_is_the_decision_s_and_probabilities_stay() -> None:
    rows = pd.DataFrame({"a": [0.4, 0.2], "c": "x"})
    decided = replace(predictor(("no", "yes")), decision=Decision.at(0.3)).predict(rows)
    assert decided["prediction"].tolist() == ["yes", "no"]
    assert decided["probability_yes"].tolist() == [0.4, 0.2]


def test_an_interval_is_added_on_request_and_refused_where_there_is_none() -> None:
    rows = pd.DataFrame({"a": [1, 2], "c": "x"})
    residuals = Residuals.of(np.arange(-20.0, 20.0))
    told = replace(predictor(()), residuals=residuals).predict(rows, interval=0.9)
    lower, upper = residuals.bounds(0.9)
    assert told.to_dict("list") == {"prediction": [1, 2], "lower": [1 + lower, 2 + lower],
                                    "upper": [1 + upper, 2 + upper]}  # fmt: skip
    for it, why in ((predictor(()), "keeps no residuals"), (predictor(("no", "yes")), "has classes")):
        with pytest.raises(Refusal, match=f"interval=0.9: .*{why}"):
            it.predict(rows, interval=0.9)


def test_contributions_have_the_user_s_columns_and_sum_to_the_prediction() -> None:
    schema = Schema((*SCHEMA.columns, Column("when", "time", "datetime", parts=("year", "month"))))
    rows = pd.DataFrame({"a": [0.9, 0.2], "c": "x", "when": ["2020-01-05", "2021-03-05"]}, index=[7, 3])
    it = Predictor(schema, Rule(True), Problem("binary", "y", ("no", "yes")),  # type: ignore[arg-type]
                   background=schema.apply(rows.iloc[:1]))
    shares = it.contributions(rows)
    assert list(shares) == ["contribution_a", "contribution_c", "contribution_when", "bias"]
    assert shares.sum(axis=1).tolist() == pytest.approx([0.9, 0.2])
    assert shares["contribution_when"].tolist() == [0, 0]
    together = it.predict(rows, contributions=True)
    assert list(together) == ["prediction", "probability_no", "probability_yes", *shares]
    assert together.index.tolist() == [7, 3]


def test_contributions_to_more_classes_have_a_column_for_each() -> None:
    class Three(Rule):
        def predict(self, X: pd.DataFrame) -> Any:
            a = X["a"].to_numpy()
            return np.column_stack([a, (1 - a) / 2, (1 - a) / 2])

    rows = pd.DataFrame({"a": [0.9, 0.2], "c": "x"})
    it = Predictor(SCHEMA, Three(True), Problem("multiclass", "y", ("p", "q", "r")),  # type: ignore[arg-type]
                   background=SCHEMA.apply(rows.iloc[:1]))
    shares = it.contributions(rows)
    assert list(shares)[:3] == ["contribution_p_a", "contribution_p_c", "bias_p"]
    of_p = shares["contribution_p_a"] + shares["contribution_p_c"] + shares["bias_p"]
    assert of_p.tolist() == pytest.approx([0.9, 0.2])


def test_a_model_without_an_account_of_its_own_and_without_example_rows_refuses() -> None:
    with pytest.raises(Refusal, match="no example rows"):
        predictor(("no", "yes")).contributions(pd.DataFrame({"a": [0.9], "c": "x"}))
