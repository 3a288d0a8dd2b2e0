"""The holdout is judged whole, however large it is."""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from tasks import metric, model, parquet
from tasks.evaluate import evaluate
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


def evaluated(fitted: Fitted, folder: Path) -> Evaluation:
    (folder / "split").mkdir(parents=True)
    model.save(fitted, folder / "model")
    parquet.write_frame(folder / "split" / "holdout_features.parquet", X)
    roles = pd.DataFrame({"target": Y, "group": GROUPS})
    parquet.write_frame(folder / "split" / "holdout_labels.parquet", roles)
    parquet.write_frame(folder / "split" / "train_roles.parquet", roles)
    split = Split(str(folder / "split"), "digest", N, N, 2, 2.0, ())
    trained = Trained(str(folder / "model"), "lightgbm", fitted.n_parameters, 20)
    return evaluate.fn(split, trained, PROBLEM, CrossEntropy(), "roc_auc", 0)


def test_a_holdout_that_is_read_in_parts_is_judged_as_a_whole(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluated(fitted, tmp_path / "a")
    monkeypatch.setattr(parquet, "ROWS_IN_GROUP", 64)
    parts = evaluated(fitted, tmp_path / "b")
    assert parts.scores == whole.scores
    pd.testing.assert_frame_equal(pd.read_parquet(parts.predictions), pd.read_parquet(whole.predictions))


def test_every_metric_stands_within_its_interval_and_above_a_constant_prediction(
    fitted: Fitted, tmp_path: Path
) -> None:
    made = evaluated(fitted, tmp_path)
    prediction = fitted.predict(X)
    assert set(made.scores) == set(metric.for_problem("binary"))
    for name, score in made.scores.items():
        assert score.value == metric.value(name, Y, prediction)
        assert score.low < score.value < score.high
        assert metric.better(name, score.value, score.baseline)
    stored = pd.read_parquet(made.predictions)
    assert stored["probability_yes"].tolist() == prediction[:, 1].tolist()
