"""Footprint: by how much a model exceeds limits, in numbers and words, and what a saved one comes to."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks import model as models
from tasks.footprint import Limits, limited, measured, milliseconds, promised
from tasks.model import Training
from tasks.model.lightgbm import Fitted
from tasks.records import FoldScore, Footprint, Problem, Proposal, TrialResult


class Slow:
    """A model that takes a hundredth of a second for each prediction."""

    n_parameters = 1

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        time.sleep(0.01)
        return np.zeros(len(X))

    def importance(self) -> dict[str, float]:
        return {}

    def save(self, folder: Path) -> None:
        (folder / "model.txt").write_bytes(b"x" * 3_000)

    @classmethod
    def load(cls, folder: Path) -> Slow:
        return cls()


class SlowByRow(Slow):
    """One that takes four milliseconds for each row; n: how many it was given."""

    def __init__(self) -> None:
        self.n = 0

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        self.n += len(X)
        time.sleep(0.004 * len(X))
        return np.zeros(len(X))


def fold(number: int, megabytes: float | None, milliseconds: float = 4.0) -> FoldScore:
    return FoldScore(number, 0.5, 0.5, 7, 0.1, None if megabytes is None else Footprint(megabytes, milliseconds))


def test_excess_is_the_share_beyond_each_limit_that_is_set() -> None:
    assert Limits(2.0, 10.0).excess(Footprint(3.0, 5.0)) == {"megabytes": 0.5, "milliseconds": -0.5}
    assert Limits(None, 10.0).excess(Footprint(3.0, 5.0)) == {"milliseconds": -0.5}
    assert Limits(2.0, None).excess(None) == {"megabytes": 0.0}
    assert not Limits()
    assert Limits().excess(Footprint(3.0, 5.0)) == {}


def test_what_exceeds_a_limit_is_described_in_the_keys_that_the_user_typed() -> None:
    limits = Limits(2.0, 10.0)
    assert limits.described(limits.excess(Footprint(3.0, 5.0))) == "3 of search.megabytes=2"
    both = limits.described(limits.excess(Footprint(2.5, 25.0)))
    assert both == "2.5 of search.megabytes=2 and 25 of search.milliseconds=10"
    assert limits.described(limits.excess(Footprint(2.0, 10.0))) == ""


def test_a_trial_promises_the_mean_of_its_folds_and_is_feasible_at_the_limit() -> None:
    folds = (fold(0, 1.0), fold(1, 3.0))
    assert promised(folds) == Footprint(2.0, 4.0)
    result = TrialResult(Proposal(0, "linear", {}), folds)
    assert limited(result, Limits(2.0)).is_feasible
    assert not limited(result, Limits(1.9)).is_feasible
    assert limited(result, Limits()) == result
    assert promised([fold(0, None)]) is None


def test_a_fold_is_read_back_with_its_footprint() -> None:
    for one in (fold(0, 1.5), fold(1, None)):
        assert FoldScore.read(asdict(one)) == one
    old = {key: value for key, value in asdict(fold(1, None)).items() if key != "footprint"}
    assert FoldScore.read(old) == fold(1, None)


def test_a_saved_model_is_measured_by_its_files_and_by_the_clock(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    models.save(Slow(), folder)
    alone = models.megabytes(folder)
    assert 0.003 < alone < 0.0035
    (folder / "example.json").write_text("x" * 10_000)  # what is no part of the model
    X = pd.DataFrame({"x": np.arange(2_000.0)})
    training = Training(X, X["x"].to_numpy(), None, (), Problem("regression", "y", ()), "mse", "rmse")
    found = measured(folder, training)
    assert found.megabytes == alone
    assert 10 <= found.milliseconds < 100


def test_few_rows_are_timed_as_a_thousand() -> None:
    assert 50 <= milliseconds([Slow()], pd.DataFrame({"x": np.arange(200.0)})) < 500


def test_a_slow_model_is_timed_on_fewer_rows_and_said_to_take_what_a_thousand_would() -> None:
    slow = SlowByRow()
    assert 4_000 <= milliseconds([slow], pd.DataFrame({"x": np.arange(2_000.0)})) < 8_000
    assert 500 <= slow.n <= 2 * 100 + 3 * 250


def test_a_boosters_form_counts_what_its_dump_holds(tmp_path: Path) -> None:
    import lightgbm as lgb

    from tasks.model._booster import Form

    random = np.random.default_rng(0)
    X = random.normal(size=(500, 3))
    booster = lgb.train({"num_leaves": 7, "verbose": -1}, lgb.Dataset(X, X[:, 0] * X[:, 1]), 5)
    form = Form.of(booster)
    assert (form.n_trees, form.n_outputs) == (5, 1)
    assert 2 * form.n_leaves - form.n_trees == Fitted(booster, None, False).n_parameters  # type: ignore[arg-type]  # no rows are encoded
    leaves = booster.predict(X, pred_leaf=True)
    depths = [depths_of(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]]
    visits = np.mean([[of_tree[leaf] for of_tree, leaf in zip(depths, row, strict=True)] for row in leaves], axis=0)
    assert form.n_visits == pytest.approx(visits.sum())


def depths_of(node: dict, depth: int = 1) -> dict[int, int]:
    """How many nodes lie on the way to each leaf, itself among them."""
    if "leaf_index" in node:
        return {node["leaf_index"]: depth}
    return depths_of(node["left_child"], depth + 1) | depths_of(node["right_child"], depth + 1)
