"""What is peculiar to linear models."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_info

from flows.build import build
from flows.config import compose
from tasks import model
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mse import MSE
from tasks.model import Curve, Floats, OutOfTimeError, Training, unwatched
from tasks.model import linear as linear_model
from tasks.model.linear import Encoder, Linear
from tasks.records import Problem
from tasks.refusal import Refusal

N = 300


def linear(*overrides: str) -> Linear:
    built: Linear = build(compose(["model=linear", *overrides]).config.model["linear"], "model.linear")
    return built


def training(X: pd.DataFrame, y: Floats, *, is_number: bool = False, weight: Floats | None = None) -> Training:
    halves = np.arange(len(y)) % 2
    folds = [(np.flatnonzero(halves == 0), np.flatnonzero(halves == 1))]
    problem = Problem("regression", "y", ()) if is_number else Problem("binary", "y", (0, 1))
    loss, metric = (MSE(), "rmse") if is_number else (CrossEntropy(), "roc_auc")
    return Training(X, y, weight, folds, problem, loss, metric)


def numbers(n_columns: int = 3) -> tuple[pd.DataFrame, Floats]:
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.normal(size=(N, n_columns)), columns=[f"x{i}" for i in range(n_columns)])
    return X, (X["x0"] + generator.normal(size=N) / 2 > 0).to_numpy(dtype=np.float64)


def fitted(data: Training, penalty: float = 1.0, *overrides: str) -> linear_model.Fitted:
    it = linear(*overrides)
    return it.fit(it.workspace(data, None, 1), {"penalty": penalty}, None, 0)


def test_the_penalty_is_scikit_learns_own_on_standardised_columns() -> None:
    X, y = numbers()
    Z = (X - X.mean()) / X.std(ddof=0)
    classes = LogisticRegression(C=1 / 30, tol=1e-8).fit(Z, y)
    np.testing.assert_allclose(fitted(training(X, y), 30).predict(X), classes.predict_proba(Z), atol=1e-4)
    number = Ridge(alpha=30).fit(Z, X["x0"] * 5)
    data = training(X, (X["x0"] * 5).to_numpy(), is_number=True)
    np.testing.assert_allclose(fitted(data, 30).predict(X), number.predict(Z), atol=1e-8)


def test_dense_sparse_and_wide_columns_are_solved_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    X, _ = numbers(20)
    generator = np.random.default_rng(3)
    X["town"] = generator.choice([f"t{i}" for i in range(90)], N)
    data = training(X, X["x0"].to_numpy() + (X["town"] < "t5"), is_number=True)
    it = linear("model.linear.min_rows=1")
    encoded = it.workspace(data, None, 1).all_rows()
    solved = {}
    for kind, matrix in {"sparse": encoded.train, "dense": encoded.train.toarray()}.items():
        solver = linear_model._ridge_solver(matrix)
        solved[kind, solver] = Ridge(alpha=1, solver=solver, tol=1e-6).fit(matrix, data.y).predict(matrix)
    monkeypatch.setattr(linear_model, "CHOLESKY_COLUMNS", 10)
    solver = linear_model._ridge_solver(matrix)
    solved["wide", solver] = Ridge(alpha=1, solver=solver, tol=1e-6).fit(matrix, data.y).predict(matrix)
    assert set(solved) == {("sparse", "sparse_cg"), ("dense", "cholesky"), ("wide", "lsqr")}
    for prediction in solved.values():
        np.testing.assert_allclose(prediction, solved["dense", "cholesky"], atol=1e-3)


def test_levels_of_validation_rows_alone_have_no_coefficient() -> None:
    X, y = numbers()
    X["town"] = np.where(np.arange(N) % 2 == 0, "trained", "held out")
    X.loc[:20:2, "town"] = "other"
    encoder = linear().workspace(training(X, y), None, 1).fold(0, None).encoder
    assert encoder.levels.levels["town"] == ("other", "trained")


def test_an_unseen_level_counts_as_a_rare_one_and_not_as_a_gap() -> None:
    X = pd.DataFrame({"town": ["a"] * 20 + ["b"] * 20 + ["c", "d"] + [None] * 20})
    rare, unseen, missing = Encoder.learn(X, linear()).encode(pd.DataFrame({"town": ["c", "new", None]})).toarray()
    np.testing.assert_array_equal(rare, unseen)
    assert not np.array_equal(unseen, missing)


def test_fifty_thousand_levels_make_no_more_columns_than_max_levels() -> None:
    generator = np.random.default_rng(0)
    users = [f"u{i}" for i in generator.zipf(1.2, 60_000) % 50_000]
    X = pd.DataFrame({"user": users, "x": generator.normal(size=60_000)})
    encoded = linear("model.linear.max_levels=50").workspace(training(X, np.zeros(60_000)), None, 1).fold(0, None)
    assert encoded.train.shape[1] <= 51
    assert sparse.issparse(encoded.train)


def test_one_sentinel_does_not_decide_the_scale_of_its_column() -> None:
    X, _ = numbers(1)
    X.iloc[7, 0] = 999_999.0
    encoded = Encoder.learn(X, linear()).encode(X)
    assert np.delete(encoded[:, 0], 7).std() > 0.5
    assert np.ptp(encoded[:, 0]) < 50


def test_importance_of_a_column_sums_its_levels_and_its_gaps() -> None:
    X, _ = numbers(2)
    towns = np.array(["a", "b", "c"])[np.arange(N) % 3]
    X["town"] = towns
    y = (towns == "a").astype(np.float64)
    X.loc[y == 1, "x1"] = np.nan
    importance = fitted(training(X, y)).importance()
    assert importance["town"] > 0.3
    assert importance["x1"] > 0.3
    assert importance["x0"] < 0.1


@pytest.mark.parametrize("is_number", [False, True])
def test_a_solver_that_stops_early_does_not_warn_and_leaves_settings_as_they_were(is_number: bool) -> None:
    X, y = numbers(30)
    before, filters = threadpool_info(), list(warnings.filters)
    fitted(training(X, y, is_number=is_number), 1e-3, "model.linear.iterations=1")
    assert threadpool_info() == before
    assert list(warnings.filters) == filters


def test_a_file_with_a_foreign_type_is_refused(tmp_path: Path) -> None:
    X, y = numbers()
    model.save(fitted(training(X, y)), tmp_path)
    parts: dict[str, Any] = skops.io.load(tmp_path / "linear.skops", trusted=list(linear_model.TRUSTED))
    skops.io.dump({**parts, "more": Problem("binary", "y", (0, 1))}, tmp_path / "linear.skops")
    with pytest.raises(Refusal, match=r"tasks\.records\.Problem"):
        model.load(tmp_path)


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    X, y = numbers()
    model.save(fitted(training(X, y)), tmp_path)
    content = (tmp_path / "linear.skops").read_bytes()
    (tmp_path / "linear.skops").write_bytes(content[: len(content) // 2])
    with pytest.raises(Refusal, match=r"linear\.skops can't be read"):
        model.load(tmp_path)


@pytest.mark.parametrize("override", ["fence=0", "min_rows=0", "max_levels=1", "iterations=0"])
def test_a_setting_out_of_range_is_refused_by_its_key(override: str) -> None:
    with pytest.raises(Refusal, match=f"model.linear.{override.partition('=')[0]}"):
        linear(f"model.linear.{override}")


def slow() -> Training:
    """Columns that are near-copies, which a solver needs many iterations for."""
    generator = np.random.default_rng(0)
    X = pd.DataFrame({"x": generator.normal(size=N)})
    for i in range(10):
        X[f"copy{i}"] = X["x"] + generator.normal(size=N) / 100
    return training(X, (X["copy0"] - X["copy1"] + X["copy2"] - X["x"] > 0).to_numpy(dtype=np.float64))


def test_a_deadline_ends_a_solver_in_its_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_model, "WATCHED_CELLS", 0)
    it, seen, most = linear(), list[Curve](), 1000
    workspace = it.workspace(slow(), None, 1)

    def watch(curve: Curve) -> None:
        seen.append(curve)
        if len(seen) >= most:
            raise OutOfTimeError

    whole = it.validate(workspace, 0, {"penalty": 1e-3}, 0, watch)
    assert 30 < len(seen) < most
    assert set(seen) == {()}
    assert whole.prediction.tobytes() == it.validate(workspace, 0, {"penalty": 1e-3}, 0, unwatched).prediction.tobytes()
    seen, most = [], 10
    with pytest.raises(OutOfTimeError):
        it.validate(workspace, 0, {"penalty": 1e-3}, 0, watch)
    assert len(seen) == 10


def test_a_deadline_that_passed_while_the_rows_were_encoded_ends_a_fold() -> None:
    X, y = numbers()

    def watch(curve: Curve) -> None:
        raise OutOfTimeError

    it = linear()
    with pytest.raises(OutOfTimeError):
        it.validate(it.workspace(training(X, y, is_number=True), None, 1), 0, {"penalty": 1.0}, 0, watch)


def test_what_watched_a_solver_is_not_saved_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_model, "WATCHED_CELLS", 0)
    it, data = linear(), slow()
    done = it.validate(it.workspace(data, None, 1), 0, {"penalty": 1.0}, 0, lambda curve: None)
    model.save(done.fitted, tmp_path)
    assert model.load(tmp_path).predict(data.X).tobytes() == done.fitted.predict(data.X).tobytes()


@pytest.mark.parametrize(("n_classes", "budget"), [(0, 5), (2, 5), (7, 8)])
def test_what_the_budget_does_not_pay_for_is_solved_in_fewer_iterations(n_classes: int, budget: float) -> None:
    it, shape = linear("model.linear.iterations=300"), (1_000_000, 20, n_classes)
    assert it.affordable(1e3, *shape) == it
    few = it.affordable(budget, *shape)
    assert 10 < few.iterations < 50
    assert few.seconds(*shape) == pytest.approx(budget, abs=0.2)
    assert it.affordable(2, *shape).iterations == 10
    assert replace(it, iterations=3).affordable(2, *shape).iterations == 3


def test_a_fit_makes_no_more_iterations_than_the_budget_pays_for() -> None:
    it, data = linear(), slow()
    few = it.affordable(1e-6, *data.X.shape, 2)
    assert few.fit(few.workspace(data, None, 1), {"penalty": 1e-3}, None, 0).estimator.n_iter_ == 10
    assert it.fit(it.workspace(data, None, 1), {"penalty": 1e-3}, None, 0).estimator.n_iter_ > 40
