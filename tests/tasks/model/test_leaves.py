"""A head on frozen trees: nothing of the base moves, and what its leaves tell apart is learned anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flows.build import build
from flows.config import compose
from tasks import model as models
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mae import MAE
from tasks.loss.mse import MSE
from tasks.model import Model, Training
from tasks.model._leaves import FirstTrees
from tasks.model.lightgbm import Fitted as Trees
from tasks.records import Problem, ProblemKind

N = 300
KINDS: tuple[ProblemKind, ...] = ("binary", "multiclass", "regression")
kinds = pytest.mark.parametrize("kind", KINDS)


def training(kind: ProblemKind, seed: int, sign: float = 1.0) -> Training:
    random = np.random.default_rng(seed)
    X = pd.DataFrame({"a": random.normal(size=N), "b": random.normal(size=N), "town": random.choice(["x", "y"], N)})
    score = sign * (np.sin(3 * X["a"]) + (X["town"] == "x")).to_numpy() + random.normal(size=N) / 10
    cuts = {"binary": [sign * 0.5], "multiclass": [0.0, 1.0]}.get(kind)
    y = score if cuts is None else np.digitize(score, cuts).astype(np.float64)
    classes = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c")}.get(kind, ())
    side = np.arange(N) % 3
    folds = [(np.flatnonzero(side != k), np.flatnonzero(side == k)) for k in range(3)]
    loss, metric = (MSE(), "rmse") if kind == "regression" else (CrossEntropy(), "log_loss")
    return Training(X, y, None, folds, Problem(kind, "y", classes), loss, metric)


def trees() -> Any:
    return build(compose(["model.lightgbm.leaves.trees=20"]).config.model["lightgbm"], "model.lightgbm")


def frozen() -> tuple[Model, dict[str, Any]]:
    config = compose(["strategy=feature_extraction"]).config
    made: Model = build(config.strategy, "strategy").family("lightgbm", trees())
    return made, dict(made.start)


@pytest.fixture(params=KINDS)
def based(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ProblemKind, Path, Trees]:
    """A base of 30 rounds, saved."""
    family, kind = trees(), request.param
    point = {"num_leaves": 7, "learning_rate": 0.2, "min_data_in_leaf": 5}
    fitted = family.fit(family.workspace(training(kind, 0), None, 1), point, 30, 0)
    models.save(fitted, tmp_path / "base")
    return kind, tmp_path / "base", fitted


def test_the_base_is_bit_identical_afterwards(based: tuple[ProblemKind, Path, Trees], tmp_path: Path) -> None:
    kind, base, _ = based
    family, point = frozen()
    fitted = family.fit(family.workspace(training(kind, 1), base, 1), point, None, 0)
    models.save(fitted, tmp_path / "new")
    assert (tmp_path / "new/base/booster.txt").read_bytes() == (base / "booster.txt").read_bytes()
    assert getattr(fitted, "n_frozen", 0) == models.load(base).n_parameters < fitted.n_parameters


def test_a_target_that_is_turned_around_is_learned_from_the_same_leaves(
    based: tuple[ProblemKind, Path, Trees]
) -> None:
    kind, base, trees_ = based
    data = training(kind, 1, -1.0)
    family, point = frozen()
    fold = family.validate(family.workspace(data, base, 1), 0, point, 0)
    valid = data.folds[0][1]
    before = data.loss.cost(data.y[valid], trees_.predict(data.X.iloc[valid]))
    assert data.loss.cost(data.y[valid], fold.prediction) < before / 2


def test_a_fold_predicts_what_its_saved_model_does(based: tuple[ProblemKind, Path, Trees], tmp_path: Path) -> None:
    kind, base, _ = based
    data = training(kind, 1)
    family, point = frozen()
    fold = family.validate(family.workspace(data, base, 1), 1, point, 0)
    models.save(fold.fitted, tmp_path / "fold")
    X = data.X.iloc[data.folds[1][1]].copy()
    np.testing.assert_allclose(models.load(tmp_path / "fold").predict(X), fold.prediction, rtol=1e-9)
    X["town"] = "never seen"
    X["a"] = np.nan
    assert np.isfinite(models.load(tmp_path / "fold").predict(X)).all()


def test_every_row_reaches_one_leaf_of_each_tree(based: tuple[ProblemKind, Path, Trees]) -> None:
    kind, _, trees_ = based
    matrix = trees_.levels.encode(training(kind, 1).X)
    leaves = FirstTrees.of(trees_.booster, 20).leaves(matrix)
    n_trees = 20 * (3 if kind == "multiclass" else 1)
    assert leaves.getnnz(axis=1).tolist() == [n_trees] * N
    np.testing.assert_allclose(leaves.multiply(leaves).sum(axis=1), 1)


def test_a_larger_penalty_stays_nearer_to_the_base(based: tuple[ProblemKind, Path, Trees]) -> None:
    kind, base, _ = based
    data = training(kind, 1, -1.0)
    family, _ = frozen()
    workspace = family.workspace(data, base, 1)
    sizes = [np.abs(family.fit(workspace, {"penalty": penalty}, None, 0).head.coef_[:, -50:]).max()  # type: ignore[attr-defined]
             if kind != "regression" else
             np.abs(family.fit(workspace, {"penalty": penalty}, None, 0).head.coef_[-50:]).max()  # type: ignore[attr-defined]
             for penalty in (0.1, 1e4)]
    assert sizes[1] < sizes[0] / 3


def test_a_loss_that_the_head_can_t_train_on_is_refused_by_name() -> None:
    family, _ = frozen()
    (fault,) = family.check(Problem("regression", "y", ()), MAE())
    assert fault.startswith("loss=mae: lightgbm with strategy=feature_extraction can't train on it")
