"""What a base could do on its own source, and a model that goes on from it can't any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judged import CLASSES, NUMBER, Net, Sums, case, write_source

from tasks import decision as decisions
from tasks import model as models
from tasks.check import Case
from tasks.check.forgetting import Forgetting, forgotten
from tasks.decision import Decision
from tasks.model import Floats
from tasks.records import Problem
from tasks.strategy.pooled import DOMAIN

CHECK = Forgetting(most_lost=0.1, resamples=300)
N = 60


def source(part: str = "holdout", n: int = N) -> pd.DataFrame:
    """x is right but for an error of 1; the constant's mean error is 4."""
    y = np.tile([-4.0, 4.0], n // 2)
    return pd.DataFrame({"x": y + np.repeat([1.0, -1.0], n // 2), "target": y, "part": part})


def numbers(root: Path, model: Sums, base: Sums, problem: Problem = NUMBER, metric: str = "mae") -> Case:
    y = np.tile([0.0, 1.0] if problem.is_classification else [-4.0, 4.0], 20)
    table = pd.DataFrame({"x": y, "y": y})
    return case(root, problem, metric, table, table, model, out_of_fold=y, base=base)


def test_scores_loss_and_churn_on_the_same_rows_are_those_by_hand(tmp_path: Path) -> None:
    it = numbers(tmp_path, Sums(2.0), Sums(0.0))
    assert it.base is not None
    write_source(it.base, pd.concat([source("train").assign(x=9.0), source()], ignore_index=True))
    found = CHECK.measure(it)
    value = {name: number.value for name, number in found.numbers.items()}
    assert value == pytest.approx({
        "base": 1.0, "fine_tuned": 2.0,  # half of the rows are off by 3, half by 1
        "worse": 1.0, "lost": 1 - (4 - 2) / (4 - 1), "churn": 2 / 4, "churn_on_holdout": 2 / 4,
    })  # fmt: skip
    assert found.state == "failed"
    assert "33% of what the base gains on its own source is gone" in found.reason
    assert replace(CHECK, most_lost=0.5).measure(it).state == "passed"
    assert replace(CHECK, most_lost=None).measure(it).state == "passed"


def test_the_unchanged_base_forgets_nothing(tmp_path: Path) -> None:
    it = numbers(tmp_path, Sums(), Sums())
    assert it.base is not None
    write_source(it.base, source())
    found = CHECK.measure(it)
    assert found.state == "passed"
    assert [found.numbers[name].value for name in ("worse", "lost", "churn", "churn_on_holdout")] == [0, 0, 0, 0]
    assert (found.numbers["worse"].low, found.numbers["worse"].high) == (0, 0)


def test_a_loss_that_may_be_luck_fails_nothing(tmp_path: Path) -> None:
    it = numbers(tmp_path, Sums(0.5), Sums())
    assert it.base is not None
    write_source(it.base, source(n=6).assign(x=lambda rows: rows["target"] + [3.0, 3.0, 3.0, 3.0, -3.0, -3.0]))
    found = CHECK.measure(it)
    assert found.numbers["lost"].value == pytest.approx(1 / 6)
    assert found.numbers["worse"].low < 0
    assert found.state == "passed"


def test_churn_of_classes_is_the_share_of_rows_that_change_theirs(tmp_path: Path) -> None:
    it = numbers(tmp_path, Sums(0.3, is_classes=True), Sums(is_classes=True), CLASSES, "accuracy")
    assert it.base is not None
    y = np.tile([0.0, 1.0], 30)
    x = np.where(y == 1, 0.6, 0.1)
    x[:12:2] = 0.25  # six of the 60 rows change from no to yes
    write_source(it.base, pd.DataFrame({"x": x, "target": y, "part": "holdout"}))
    value = {name: number.value for name, number in CHECK.measure(it).numbers.items()}
    assert (value["base"], value["fine_tuned"]) == (1.0, 0.9)
    assert value["churn"] == pytest.approx(0.1)
    assert value["worse"] == pytest.approx(0.1)


def test_rows_are_labelled_by_each_models_own_decision(tmp_path: Path) -> None:
    it = numbers(tmp_path, Sums(-0.2, is_classes=True), Sums(is_classes=True), CLASSES, "f1")
    assert it.base is not None
    y = np.tile([0.0, 1.0], 30)
    write_source(it.base, pd.DataFrame({"x": np.where(y == 1, 0.4, 0.25), "target": y, "part": "holdout"}))
    assert CHECK.measure(it).numbers["base"].value == 0  # nobody is above a half
    for folder, threshold in ((it.base, 0.3), (it.trained, 0.15)):
        (folder / decisions.FILE).write_text(Decision.at(threshold).as_json())
    value = {name: number.value for name, number in CHECK.measure(replace(it)).numbers.items()}
    assert (value["base"], value["fine_tuned"], value["churn"]) == (1.0, 1.0, 0.0)


def test_without_rows_of_the_source_churn_and_distance_are_told_with_the_remedy(tmp_path: Path) -> None:
    found = CHECK.measure(numbers(tmp_path, Net(1.0), Net()))
    assert found.state == "not_measurable"
    assert "source_data=FILE" in found.reason
    value = {name: number.value for name, number in found.numbers.items()}
    assert value == {"churn_on_holdout": 0.25, "distance": 0.2}


def test_rungs_are_judged_on_the_part_for_choices_and_the_holdout_stays_closed(tmp_path: Path) -> None:
    it = numbers(tmp_path, Sums(2.0), Sums())
    assert it.base is not None
    write_source(it.base, pd.concat([source("valid"), source().assign(x=np.nan)], ignore_index=True))
    assert forgotten(it.experiment, it.base, it.fitted, "valid", 100)["worse"].value == pytest.approx(1.0)
    assert forgotten(it.experiment, it.base, it.fitted, "train", 100) == {}


def test_a_model_that_knows_source_from_target_is_asked_as_for_the_source(tmp_path: Path) -> None:
    class Told(Sums):
        def predict_source(self, X: pd.DataFrame) -> Floats:
            return super().predict(X) - 2

    it = numbers(tmp_path, Sums(2.0), Sums())
    assert it.base is not None
    assert DOMAIN not in source()
    write_source(it.base, source("valid"))
    pooling: Any = SimpleNamespace(pools=True)
    pooled = replace(it.experiment, families={"sums": pooling})
    assert forgotten(pooled, it.base, Told(2.0), "valid", 100)["worse"].value == pytest.approx(0.0)
    # The same of an earlier run, that this one left as it was, or went on from with the target alone.
    assert forgotten(it.experiment, it.base, Told(2.0), "valid", 100)["worse"].value == pytest.approx(1.0)


def test_a_base_that_does_not_predict_the_target_has_nothing_to_forget(tmp_path: Path) -> None:
    it = numbers(tmp_path, Sums(), Sums())
    assert it.base is not None
    (it.base / "family.json").unlink()
    found = CHECK.measure(it)
    assert (found.state, found.numbers) == ("not_measurable", {})


def test_a_base_with_fewer_classes_is_judged_on_those_that_it_knows(tmp_path: Path) -> None:
    three = Problem("multiclass", "y", ("maybe", "no", "yes"))
    y = np.tile([1.0, 2.0], 20)
    table = pd.DataFrame({"x": y - 1, "y": y})
    it = case(tmp_path, three, "accuracy", table, table, Sums(), base=Sums(is_classes=True))
    assert it.base is not None
    (it.base / "problem.json").write_text('{"kind": "binary", "classes": ["no", "yes"]}')
    prediction = it.base_on_holdout
    assert prediction is not None
    assert prediction.tolist() == [[0, 1, 0], [0, 0, 1]] * 20
    assert models.load(it.base).predict(table).shape == (40, 2)
