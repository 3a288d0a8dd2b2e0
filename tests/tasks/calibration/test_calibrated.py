"""A calibrated model is a model like others: around another one, which a family goes on from."""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from flows.build import build
from flows.config import compose
from tasks import model as models
from tasks.calibration._calibrated import Calibrated, curve_of, wrap
from tasks.calibration.temperature import Scaling
from tasks.loss.cross_entropy import CrossEntropy
from tasks.model import Training
from tasks.model._encode import Levels
from tasks.model.lightgbm import Fitted
from tasks.records import Problem
from tasks.strategy.as_is import AsIs
from tasks.strategy.pooled import Domain

N = 300
RNG = np.random.default_rng(0)
X = pd.DataFrame({"a": RNG.normal(size=N), "b": RNG.normal(size=N)})
Y = (X["a"] + RNG.normal(size=N) > 0).to_numpy(dtype=np.float64)
CURVE = Scaling(2.0)


@pytest.fixture(scope="module")
def inner() -> Fitted:
    quiet = {"verbose": -1, "objective": "binary", "num_threads": 1}
    booster = lgb.train(quiet, lgb.Dataset(X.to_numpy(), Y, feature_name=["f0", "f1"]), num_boost_round=5)
    return Fitted(booster, Levels(("a", "b"), {}), True)


@pytest.fixture(scope="module")
def folder(inner: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("calibrated")
    models.save(inner, root / "plain")
    (root / "plain" / "problem.json").write_text("{}")
    (root / "whole").mkdir()
    wrap(root / "plain", CURVE, root / "whole")
    return root / "whole"


def test_it_loads_as_what_it_was_wrapped_in_and_saves_as_that_again(
    folder: Path, inner: Fitted, tmp_path: Path
) -> None:
    whole = models.load(folder)
    assert isinstance(whole, Calibrated)
    models.save(whole, tmp_path)
    for it in (whole, models.load(tmp_path)):
        assert it.predict(X).tolist() == CURVE(inner.predict(X)).tolist()
    assert curve_of(folder) == curve_of(tmp_path) == CURVE
    assert curve_of(folder / "inner") is None
    assert whole.importance() == inner.importance()
    assert whole.n_parameters == inner.n_parameters + 1
    assert [(folder / name).exists() for name in ("problem.json", "inner/problem.json")] == [True, False]
    assert (folder / "inner" / "booster.txt").read_bytes() == (folder.parent / "plain" / "booster.txt").read_bytes()


def test_what_columns_add_is_told_of_the_score_inside(folder: Path, inner: Fitted) -> None:
    found = models.explained(models.load(folder), X, None)
    score = found.values.sum(axis=2)[:, 0] + found.bias[:, 0]
    np.testing.assert_allclose(1 / (1 + np.exp(-score)), inner.predict(X)[:, 1], atol=1e-12)
    assert found.scale == "score"


def test_a_family_goes_on_from_the_model_inside_and_a_strategy_of_predictions_from_the_whole(folder: Path) -> None:
    rows = np.arange(N)
    folds = [(rows[: N // 2], rows[N // 2 :])]
    training = Training(X, Y, None, folds, Problem("binary", "y", ("no", "yes")), CrossEntropy(), "log_loss")
    family = build(compose(["model.lightgbm.rounds=3"]).config.model["lightgbm"], "model.lightgbm")
    workspace = family.workspace(training, folder, 1)
    fitted = family.fit(workspace, dict(family.start), 3, 0)
    assert fitted.n_frozen == models.load(folder / "inner").n_parameters
    as_is = AsIs({}, {}, {}, {}).family("lightgbm", family)
    kept = as_is.fit(as_is.workspace(training, folder, 1), {}, None, 0)
    assert kept.predict(X).tolist() == models.load(folder).predict(X).tolist()


def test_what_a_model_says_of_source_rows_is_calibrated_too() -> None:
    class Sides:
        n_parameters = 0

        def predict(self, X: pd.DataFrame) -> models.Floats:
            positive = X["a"].to_numpy() * 0 + X["finefold: domain"].to_numpy() * 0.5 + 0.25
            return np.column_stack([1 - positive, positive])

    whole = Calibrated(Domain(Sides()), CURVE)  # type: ignore[arg-type]
    assert whole.predict_source(X)[0, 1] == pytest.approx(CURVE(np.array([[0.75, 0.25]]))[0, 1])
    assert whole.predict(X)[0, 1] == pytest.approx(CURVE(np.array([[0.25, 0.75]]))[0, 1])
    assert isinstance(models.within(whole), Domain)
