"""The holdout is judged whole, however large it is, and says what it can't tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from judged import linear

from tasks import metric, model, parquet
from tasks.evaluate import FEWEST_UNITS, evaluate
from tasks.loss.cross_entropy import CrossEntropy
from tasks.model._encode import Levels
from tasks.model.lightgbm import Fitted
from tasks.records import Evaluation, Problem, Split, Trained

N = 500
RNG = np.random.default_rng(0)
X = pd.DataFrame({"a": RNG.normal(size=N), "b": RNG.normal(size=N)})
Y = (X["a"] + RNG.normal(size=N) > 0).to_numpy(dtype=np.float64)
GROUPS = [f"g{n % 40}" for n in range(N)]
PROBLEM = Problem("binary", "y", ("no", "yes"))


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    quiet = {"verbose": -1, "objective": "binary", "num_threads": 1}
    booster = lgb.train(quiet, lgb.Dataset(X.to_numpy(), Y), num_boost_round=20)
    return Fitted(booster, Levels(("a", "b"), {}), True)


def evaluated(
    fitted: Fitted, folder: Path, rows: slice = slice(None), y: np.ndarray = Y, *, is_grouped: bool = True,
    look: Callable[[Path], None] = lambda _: None, weight: np.ndarray | None = None,
) -> Evaluation:
    """rows: of those that were trained on, the held ones."""
    (folder / "split").mkdir(parents=True)
    model.save(fitted, folder / "model")
    roles = pd.DataFrame({"target": y, "hash": np.arange(N, dtype=np.uint64)})
    roles = roles.assign(group=GROUPS) if is_grouped else roles
    roles = roles if weight is None else roles.assign(weight=weight)
    labels = folder / "split" / "holdout_labels.parquet"
    parquet.write_frame(folder / "split" / "holdout_features.parquet", X[rows])
    parquet.write_frame(labels, roles[rows])
    parquet.write_frame(folder / "split" / "train_features.parquet", X)
    parquet.write_frame(folder / "split" / "train_roles.parquet", roles.assign(target=Y))
    split = Split(str(folder / "split"), "digest", N, N, 2, 2.0, ())
    trained = Trained(str(folder / "model"), "lightgbm", fitted.n_parameters, 20)

    def noted(holdout: str, of_model: str) -> tuple[str, ...]:
        look(labels)
        return ("earlier", "this")

    return evaluate.fn(split, trained, PROBLEM, CrossEntropy(), "roc_auc", 0, noted, linear())


def test_with_weights_the_selected_metric_is_told_without_them_too(fitted: Fitted, tmp_path: Path) -> None:
    plain = evaluated(fitted, tmp_path / "plain")
    weight = np.where(Y == 1, X["a"].abs() + 0.1, 1.0)
    weighted = evaluated(fitted, tmp_path / "weighted", weight=weight)
    assert plain.unweighted is None
    assert weighted.unweighted is not None
    assert replace(weighted.unweighted, linear=0) == replace(plain.scores["roc_auc"], linear=0)  # it learns from them
    assert weighted.scores["roc_auc"].value != plain.scores["roc_auc"].value


def test_a_holdout_that_is_read_in_parts_is_judged_as_a_whole(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluated(fitted, tmp_path / "a")
    monkeypatch.setattr(parquet, "ROWS_IN_GROUP", 64)
    parts = evaluated(fitted, tmp_path / "b")
    assert parts.scores == whole.scores
    pd.testing.assert_frame_equal(pd.read_parquet(parts.predictions), pd.read_parquet(whole.predictions))


def test_every_metric_stands_within_its_interval_and_above_a_constant_and_a_linear_model(
    fitted: Fitted, tmp_path: Path
) -> None:
    made = evaluated(fitted, tmp_path)
    prediction = fitted.predict(X)
    assert set(made.scores) == set(metric.for_problem("binary"))
    for name, score in made.scores.items():
        assert score.value == metric.value(name, Y, prediction)
        assert score.low < score.value < score.high
        assert metric.better(name, score.value, score.linear)  # on rows that the trees were trained on
        assert metric.better(name, score.linear, score.baseline)
    stored = pd.read_parquet(made.predictions)
    assert stored["probability_yes"].tolist() == prediction[:, 1].tolist()


def test_a_look_is_noted_before_a_label_is_read(fitted: Fitted, tmp_path: Path) -> None:
    def turn(labels: Path) -> None:
        roles = pd.read_parquet(labels)
        parquet.write_frame(labels, roles.assign(target=1 - roles["target"]))

    made = evaluated(fitted, tmp_path, look=turn)
    assert made.scores["roc_auc"].value < 0.5
    assert (made.looks, made.looked) == (2, ("earlier", "this"))


@pytest.mark.parametrize("is_grouped", [True, False])
def test_few_rows_or_groups_have_scores_and_no_interval(fitted: Fitted, tmp_path: Path, is_grouped: bool) -> None:
    few = evaluated(fitted, tmp_path / "few", slice(FEWEST_UNITS - 1), is_grouped=is_grouped)
    enough = evaluated(fitted, tmp_path / "enough", slice(FEWEST_UNITS), is_grouped=is_grouped)
    assert all(np.isfinite(score.value) and np.isnan([score.low, score.high]).all() for score in few.scores.values())
    assert {score.interval for score in few.scores.values()} == {"none"}
    assert all(score.low < score.high for score in enough.scores.values())


def test_of_one_class_what_is_not_defined_is_no_number_and_the_rest_is_told(fitted: Fitted, tmp_path: Path) -> None:
    made = evaluated(fitted, tmp_path, y=np.ones(N), is_grouped=False).scores
    assert np.isnan([made["roc_auc"].value, made["roc_auc"].low, made["roc_auc"].linear]).all()
    assert made["accuracy"].low < made["accuracy"].value < made["accuracy"].high
