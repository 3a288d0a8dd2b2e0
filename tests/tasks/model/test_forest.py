"""What is peculiar to forests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.build import build
from flows.config import compose
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mae import MAE
from tasks.loss.mse import MSE
from tasks.model import Curve, OutOfTimeError, Training, Until, unwatched
from tasks.model import forest as forest_model
from tasks.model.forest import Forest
from tasks.records import Problem

N = 400
HYPERPARAMETERS = {"max_features": 0.5, "min_samples_leaf": 1, "max_samples": 1.0, "n_estimators": 8}


def forest(*overrides: str) -> Forest:
    built: Forest = build(compose(["model=forest", *overrides]).config.model["forest"], "model.forest")
    return built


def training(*, is_number: bool) -> Training:
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.normal(size=(N, 4)), columns=list("abcd"))
    score = X["a"].to_numpy() + generator.normal(size=N)
    rows = np.arange(N)
    problem = Problem("regression", "y", ()) if is_number else Problem("binary", "y", (0, 1))
    return Training(X, score if is_number else (score > 0).astype(float), None, [(rows[::2], rows[1::2])], problem,
                    MSE() if is_number else CrossEntropy(), "rmse" if is_number else "roc_auc")


def fitted(kind: str, n_threads: int, *overrides: str, is_number: bool = False) -> forest_model.Fitted:
    it = forest(*overrides)
    workspace = it.workspace(training(is_number=is_number), None, n_threads)
    return it.fit(workspace, {**HYPERPARAMETERS, "kind": kind}, None, 0)


@pytest.mark.parametrize("is_number", [False, True])
@pytest.mark.parametrize("kind", forest_model.KINDS)
def test_the_number_of_threads_changes_no_prediction(kind: str, is_number: bool) -> None:
    X = training(is_number=is_number).X
    one, two = (fitted(kind, n, is_number=is_number).predict(X).tobytes() for n in (1, 2))
    assert one == two


@pytest.mark.parametrize("kind", forest_model.KINDS)
def test_max_rows_and_max_leaves_bound_every_tree(kind: str) -> None:
    for tree in fitted(kind, 1, "model.forest.max_rows=50").estimator.estimators_:
        assert tree.tree_.n_node_samples[0] <= 50
    for tree in fitted(kind, 1, "model.forest.max_leaves=7").estimator.estimators_:
        assert tree.tree_.n_leaves <= 7


def test_parameters_are_thresholds_and_the_free_values_of_leaves() -> None:
    it = fitted("random", 1, "model.forest.max_leaves=2")
    assert it.n_parameters == 8 * 3  # a stump has one threshold and, of two classes, one free value per leaf


def test_mae_is_refused() -> None:
    assert "loss=mae" in forest().check(training(is_number=True).problem, MAE())[0]


@pytest.mark.parametrize("override", ["hyperparameters.kind=extr", "space.kind=[extr]"])
def test_a_kind_that_there_is_not_is_refused_before_any_trial(override: str) -> None:
    faults = forest(f"model.forest.{override}").check(training(is_number=False).problem, CrossEntropy())
    assert "kind=extr" in faults[0]
    assert "did you mean 'extra'" in faults[0]


def test_what_the_budget_does_not_pay_for_is_grown_on_fewer_rows_a_tree() -> None:
    it = forest()
    assert it.affordable(60, 39_000, 14, 2) == it
    few = it.affordable(10, 39_000, 14, 2)
    assert 2_000 < few.max_rows < it.max_rows
    assert few.seconds(39_000, 14, 2) == pytest.approx(10 / 2, rel=0.2)
    assert it.affordable(0.1, 39_000, 14, 2).max_rows == 2_000
    assert it.affordable(0.1, 500, 14, 2).max_rows == 500


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("is_number", [False, True])
@pytest.mark.parametrize("kind", forest_model.KINDS)
def test_batches_grow_the_trees_that_are_grown_at_once(
    kind: str, is_number: bool, n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {**HYPERPARAMETERS, "n_estimators": 23}
    it, data = forest(), training(is_number=is_number)
    at_once = it.fit(it.workspace(data, None, n_threads), {**given, "kind": kind}, None, 0)
    monkeypatch.setattr(forest_model, "BATCH_SECONDS", 0.0)
    in_batches = it.fit(it.workspace(data, None, n_threads), {**given, "kind": kind}, None, 0)
    assert in_batches.estimator.get_params() == at_once.estimator.get_params()
    assert in_batches.predict(data.X).tobytes() == at_once.predict(data.X).tobytes()
    for one, other in zip(in_batches.estimator.estimators_, at_once.estimator.estimators_, strict=True):
        assert one.random_state == other.random_state
        assert one.tree_.threshold.tobytes() == other.tree_.threshold.tobytes()
        assert one.tree_.value.tobytes() == other.tree_.value.tobytes()


def test_a_deadline_ends_a_fold_in_its_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest_model, "BATCH_SECONDS", 0.0)
    it, seen = forest(), list[Curve]()
    workspace, given = it.workspace(training(is_number=False), None, 1), {**HYPERPARAMETERS, "kind": "random"}

    def watch(curve: Curve) -> None:
        seen.append(curve)
        if len(seen) >= 12:
            raise OutOfTimeError

    with pytest.raises(OutOfTimeError):
        it.validate(workspace, 0, {**given, "n_estimators": 200}, 0, watch)
    assert seen == [()] * 15  # of a batch of 5 all are grown when time is looked at


def test_a_final_fit_that_runs_out_of_time_keeps_the_trees_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest_model, "BATCH_SECONDS", 0.0)
    it, data = forest(), training(is_number=False)
    workspace, given = it.workspace(data, None, 1), {**HYPERPARAMETERS, "kind": "random", "n_estimators": 40}
    cut, whole = Until(None, 12), Until(None)
    some = it.fit(workspace, given, None, 0, cut)
    assert cut.n_rounds == len(some.estimator.estimators_) == some.estimator.n_estimators == 15
    again = it.fit(workspace, given, None, 0, Until(None, cut.n_rounds))
    of_fifteen = it.fit(workspace, {**given, "n_estimators": 15}, None, 0, unwatched)
    for one in (some, again):
        assert one.predict(data.X).tobytes() == of_fifteen.predict(data.X).tobytes()
    it.fit(workspace, given, None, 0, whole)
    assert whole.n_rounds == it.final(given, None)[1] == 40
