"""LightGBM on losses that it has, and on one that it is given as a gradient and a curvature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from flows.build import build
from flows.config import compose
from tasks import model
from tasks.class_weight import ClassWeight
from tasks.loss import Loss
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.focal import Focal
from tasks.loss.huber import Huber
from tasks.loss.mae import MAE
from tasks.loss.mse import MSE
from tasks.loss.quantile import Quantile
from tasks.metric import value
from tasks.model import Floats, Training
from tasks.model.lightgbm import Fitted, LightGBM
from tasks.records import Problem, ProblemKind

N = 900
PLAIN: dict[str, Any] = {"num_leaves": 7, "learning_rate": 0.1, "min_data_in_leaf": 5}
NO_GAIN = {**PLAIN, "min_gain_to_split": 1e12}  # no split is worth it, so that no tree says anything
CUTS: dict[ProblemKind, list[float]] = {"binary": [1.2], "multiclass": [-0.5, 1.5]}
class_kinds = pytest.mark.parametrize("kind", list(CUTS))


def lightgbm(*overrides: str) -> LightGBM:
    built: LightGBM = build(compose(["model=lightgbm", *overrides]).config.model["lightgbm"], "model.lightgbm")
    return built


def training(kind: ProblemKind, loss: Loss, metric: str | None = None, weight: Floats | None = None) -> Training:
    generator = np.random.default_rng(0)
    # So few different values that a part of the rows has the same bins as all of them.
    X = pd.DataFrame((2 * generator.normal(size=(N, 3)).clip(-1.5, 1.5)).round() / 2, columns=["a", "b", "c"])
    score = (X["a"] + X["b"] ** 2 / 2 + generator.normal(size=N) / 2).to_numpy()
    y = np.digitize(score, CUTS[kind]).astype(np.float64) if kind in CUTS else score
    rows = np.arange(N)
    classes = tuple(range(len(CUTS[kind]) + 1)) if kind in CUTS else ()
    default = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}[kind]
    folds = [(rows[: N // 2], rows[N // 2 :])]
    return Training(X, y, weight, folds, Problem(kind, "y", classes), loss, metric or default)


def validated(data: Training, *overrides: str, hyperparameters: dict[str, Any] = PLAIN) -> model.Validated:
    it = lightgbm("model.lightgbm.rounds=60", *overrides)
    return it.validate(it.workspace(data, None, 1), 0, hyperparameters, 0)


@pytest.mark.parametrize("is_weighted", [False, True])
@class_kinds
def test_a_focal_loss_of_gamma_0_trains_what_the_cross_entropy_of_lightgbm_does(
    kind: ProblemKind, is_weighted: bool
) -> None:
    """So gradient, curvature, initial score, weights, link, watched metric and the model made of them are right."""
    weight = np.random.default_rng(1).uniform(0.5, 2, N) if is_weighted else None
    own, given = (validated(training(kind, loss, "log_loss", weight)) for loss in (CrossEntropy(), Focal(0.0)))
    np.testing.assert_allclose(given.prediction, own.prediction, atol=2e-5)
    np.testing.assert_allclose(given.curve, own.curve, rtol=1e-5)
    assert given.rounds == own.rounds


@class_kinds
def test_a_model_of_a_given_loss_is_a_model_like_any_other_in_its_file(kind: ProblemKind, tmp_path: Path) -> None:
    data = training(kind, Focal(2.0))
    it = lightgbm()
    fold, X = validated(data), data.X.iloc[data.folds[0][1]]
    whole = it.fit(it.workspace(data, None, 1), PLAIN, 20, 0)
    np.testing.assert_allclose(fold.fitted.predict(X), fold.prediction, rtol=1e-9)
    for name, fitted in (("fold", fold.fitted), ("whole", whole)):
        model.save(fitted, tmp_path / name)
        assert model.load(tmp_path / name).predict(X).tobytes() == fitted.predict(X).tobytes()
        plain = lgb.Booster(model_file=str(tmp_path / name / "booster.txt")).predict(X.to_numpy())
        expected = fitted.predict(X)
        np.testing.assert_array_equal(plain, expected[:, 1] if kind == "binary" else expected)


@class_kinds
def test_a_fold_of_a_given_loss_is_a_fit_on_its_training_rows(kind: ProblemKind) -> None:
    data = replace(training(kind, Focal(2.0)), class_weight=ClassWeight(None))
    train, valid = data.folds[0]
    fold, it = validated(data), lightgbm()
    alone = replace(data, features=data.X.iloc[train], y=data.y[train], folds=())
    whole = it.fit(it.workspace(alone, None, 1), PLAIN, fold.rounds, 0)
    np.testing.assert_allclose(whole.predict(data.X.iloc[valid]), fold.prediction, rtol=1e-6)


@class_kinds
def test_trees_that_find_nothing_predict_the_shares_of_the_classes(kind: ProblemKind) -> None:
    data, it = training(kind, Focal(2.0)), lightgbm()
    fitted = it.fit(it.workspace(data, None, 1), NO_GAIN, 5, 0)
    shares = np.bincount(data.y.astype(int)) / N
    np.testing.assert_allclose(fitted.predict(data.X), np.tile(shares, (N, 1)), rtol=1e-9)
    fold = validated(data, hyperparameters=NO_GAIN)
    of_fold = np.bincount(data.y[data.folds[0][0]].astype(int)) / (N // 2)
    np.testing.assert_allclose(fold.prediction, np.tile(of_fold, (N // 2, 1)), rtol=1e-9)


@class_kinds
def test_a_given_loss_goes_on_from_a_base(kind: ProblemKind, tmp_path: Path) -> None:
    data, it = training(kind, Focal(2.0)), lightgbm("model.lightgbm.rounds=20")
    first = it.fit(it.workspace(data, None, 1), PLAIN, 10, 0)
    model.save(first, tmp_path)
    workspace = it.workspace(data, tmp_path, 1)
    same, more = (it.fit(workspace, hyperparameters, 5, 0) for hyperparameters in (NO_GAIN, PLAIN))
    np.testing.assert_allclose(same.predict(data.X), first.predict(data.X), atol=1e-6)
    assert data.loss.cost(data.y, more.predict(data.X)) < data.loss.cost(data.y, first.predict(data.X))
    matrix = first.levels.encode(data.X)
    kept = more.booster.predict(matrix, raw_score=True, num_iteration=10)
    np.testing.assert_allclose(kept, first.raw(matrix), atol=1e-12)
    fold = it.validate(workspace, 0, NO_GAIN, 0)
    np.testing.assert_allclose(fold.prediction, first.predict(data.X.iloc[data.folds[0][1]]), atol=1e-6)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "accuracy"])
def test_early_stopping_on_a_given_loss_watches_the_metric_or_else_the_cost(metric: str) -> None:
    data = training("binary", Focal(2.0), metric)
    fold = validated(data, "model.lightgbm.patience=20", hyperparameters={**PLAIN, "learning_rate": 0.3})
    y = data.y[data.folds[0][1]]
    expected = data.loss.cost(y, fold.prediction) if metric == "accuracy" else value(metric, y, fold.prediction)
    assert dict(fold.curve)[fold.rounds] == pytest.approx(expected, rel=1e-9)
    best = max if metric == "roc_auc" else min
    assert dict(fold.curve)[fold.rounds] == best(dict(fold.curve).values())


@pytest.mark.parametrize("loss", [MSE(), Huber(0.3), Quantile(0.9), Focal(2.0), CrossEntropy()], ids=lambda it: it.name)
def test_the_cost_of_every_look_is_that_of_the_loss(loss: Loss) -> None:
    data = training("regression" if "regression" in loss.problems else "binary", loss)
    fold = validated(data)
    assert [n for n, _ in fold.costs] == [n for n, _ in fold.curve]
    assert dict(fold.costs)[fold.rounds] == pytest.approx(loss.cost(data.y[data.folds[0][1]], fold.prediction))


def test_a_quantile_is_what_its_share_of_the_rows_stays_below() -> None:
    for level in (0.1, 0.9):
        data = training("regression", Quantile(level), Quantile(level).metric)
        fold = validated(data)
        y = data.y[data.folds[0][1]]
        assert (y <= fold.prediction).mean() == pytest.approx(level, abs=0.06)
        assert dict(fold.curve)[fold.rounds] == pytest.approx(value(data.metric, y, fold.prediction), rel=1e-6)
        by_mse = validated(replace(data, loss=MSE())).prediction
        assert value(data.metric, y, fold.prediction) < 0.8 * value(data.metric, y, by_mse)


def test_outliers_pull_less_by_huber_than_by_mse_and_its_watched_cost_is_its_own() -> None:
    data = training("regression", MSE())
    train, valid = data.folds[0]
    y = data.y.copy()
    y[train[::20]] += 100
    mse, huber = (validated(replace(data, y=y, loss=loss, metric="r2")) for loss in (MSE(), Huber(1.0)))
    clean = data.y[valid]
    assert MAE().cost(clean, huber.prediction) < 0.3 * MAE().cost(clean, mse.prediction)
    assert dict(huber.curve)[huber.rounds] == pytest.approx(Huber(1.0).cost(clean, huber.prediction), rel=1e-6)


def test_class_weights_are_no_part_of_what_early_stopping_watches() -> None:
    data = replace(training("binary", CrossEntropy(), "log_loss"), class_weight=ClassWeight((1.0, 9.0)))
    fold = validated(data)
    y = data.y[data.folds[0][1]]
    assert dict(fold.curve)[fold.rounds] == pytest.approx(value("log_loss", y, fold.prediction), rel=1e-6)


def test_contributions_of_a_given_loss_add_up_to_its_raw_scores() -> None:
    data, it = training("binary", Focal(2.0)), lightgbm()
    fitted = it.fit(it.workspace(data, None, 1), PLAIN, 10, 0)
    assert isinstance(fitted, Fitted)
    matrix = fitted.levels.encode(data.X)
    parts = np.asarray(fitted.booster.predict(matrix, pred_contrib=True))
    np.testing.assert_allclose(parts.sum(axis=1), fitted.raw(matrix), atol=1e-9)
