"""Source and target rows together: what counts how much, and what is told of the domain."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flows.build import build
from flows.config import compose
from tasks import model as models
from tasks.loss.mse import MSE
from tasks.model import Model, Training
from tasks.records import Problem
from tasks.refusal import Refusal
from tasks.source_rows import SourceRows, source_rows
from tasks.strategy.pooled import DOMAIN, both

N, N_SOURCE = 90, 400
PROBLEM = Problem("regression", "y", ())


def rows(n: int, seed: int, shift: float) -> tuple[pd.DataFrame, np.ndarray[Any, np.dtype[np.float64]]]:
    random = np.random.default_rng(seed)
    X = pd.DataFrame({"a": random.normal(size=n), "b": random.choice(["u", "v"], n)})
    return X, 2 * np.abs(X["a"].to_numpy()) + shift + random.normal(size=n) / 10


def training(weight: np.ndarray[Any, np.dtype[np.float64]] | None = None) -> Training:
    X, y = rows(N, 0, 5.0)
    side = np.arange(N) % 3
    folds = [(np.flatnonzero(side != k), np.flatnonzero(side == k)) for k in range(3)]
    return Training(X, y, weight, folds, PROBLEM, MSE(), "rmse")


def source() -> SourceRows:
    return SourceRows(*rows(N_SOURCE, 1, 0.0), None)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    (folder / "source").mkdir(parents=True)
    given = source()
    given.X.to_parquet(folder / "source/features.parquet")
    part = np.where(np.arange(N_SOURCE) % 10 == 0, "valid", "train")
    pd.DataFrame({"target": given.y, "part": part}).to_parquet(folder / "source/roles.parquet")
    (folder / "problem.json").write_text(json.dumps({"kind": "regression", "target": "y", "classes": []}))
    return folder


def pooled(name: str = "lightgbm") -> tuple[Any, dict[str, Any]]:
    few = ["model.lightgbm.rounds=60"] if name == "lightgbm" else []
    config = compose(["strategy=pooled", f"model={name}", *few]).config
    family: Model = build(config.model[name], f"model.{name}")
    made = build(config.strategy, "strategy").family(name, family)
    fixed = {key: value for key, value in made.hyperparameters.items() if value is not None}
    return made, {**fixed, **made.start, "min_data_in_leaf": 5}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.75])
def test_the_target_has_its_share_of_all_weight(share: float) -> None:
    weight = both(training(np.linspace(1, 2, N)), source(), share, has_domain=False).weight
    assert weight is not None
    assert weight[:N].sum() / weight.sum() == pytest.approx(share)
    assert weight[N - 1] / weight[0] == pytest.approx(2)


def test_source_rows_are_trained_on_in_every_fold_and_validated_in_none() -> None:
    made = both(training(), source(), 0.5, has_domain=True)
    for fold, (was, was_valid) in enumerate(training().folds):
        train, valid = made.fold(fold)
        assert set(train) == set(was) | set(range(N, N + N_SOURCE))
        assert valid.tolist() == was_valid.tolist()
    assert made.X[DOMAIN].tolist() == [1.0] * N + [0.0] * N_SOURCE


@pytest.mark.parametrize("n_rows", [10, 30])
def test_a_sample_is_the_targets_own_beside_all_of_the_source(base: Path, n_rows: int) -> None:
    made, alone = both(training(), source(), 0.5, has_domain=False), training()
    for fold in range(3):
        (train, valid), (was, was_valid) = made.fold(fold, n_rows), alone.fold(fold, n_rows)
        assert train.tolist() == [*was, *range(N, N + N_SOURCE)]
        assert valid.tolist() == was_valid.tolist()
        assert made.sizes(fold, n_rows) == (len(train), len(valid))
    family, point = pooled()
    done = family.validate(family.workspace(alone, base, 1), 0, {**point, "domain": True}, 0, n_rows=n_rows)
    y = alone.y[alone.fold(0, n_rows)[1]]
    assert np.corrcoef(done.prediction, y)[0, 1] > 0.8  # of the very rows that it is scored on


def test_rows_of_the_source_count_in_what_a_fit_costs(base: Path) -> None:
    family, _ = pooled()
    counting: Any = models.beside(family, base)
    assert counting.n_source == N_SOURCE * 9 // 10
    assert counting.seconds(N, 2, 1) == family.seconds(N + counting.n_source, 2, 1)
    assert models.beside(family, None) is family
    many = replace(counting, family=replace(counting.family, rounds=300), n_source=1_000_000)
    paid = many.affordable(many.seconds(N, 2, 1) / 2, N, 2, 1)
    assert paid.family.rounds == 150
    assert isinstance(paid, models.Shortens)
    assert paid.least_share == paid.family.least_share == 0.5
    few = replace(counting, family=paid.family)
    assert not isinstance(pooled("linear")[0], models.Shortens)
    assert few.shorter({"learning_rate": 0.1}, 20, 10) == {"learning_rate": 0.2}


def test_a_target_that_is_negative_in_the_source_alone_has_no_logarithm(base: Path) -> None:
    family: Any = pooled()[0]
    y = training().y
    assert (y > 0).all()
    assert (source_rows(base, "train", PROBLEM).y < 0).any()
    assert family.forced(PROBLEM, MSE(), y, base) == {"link": "identity"}
    assert "link" not in family.forced(PROBLEM, MSE(), y, None)


def test_with_the_domain_told_a_shift_between_the_two_is_learned(base: Path) -> None:
    family, point = pooled()
    workspace = family.workspace(training(), base, 1)
    fitted: Any = family.fit(workspace, {**point, "domain": True}, 60, 0)
    X = source().X
    assert np.median(fitted.predict(X) - fitted.predict_source(X)) == pytest.approx(5, abs=0.5)


def test_a_domain_that_is_told_is_saved_with_the_model(base: Path, tmp_path: Path) -> None:
    family, point = pooled()
    fitted: Any = family.fit(family.workspace(training(), base, 1), {**point, "domain": True}, 20, 0)
    models.save(fitted, tmp_path / "saved")
    loaded: Any = models.load(tmp_path / "saved")
    X = source().X
    assert loaded.predict(X).tolist() == fitted.predict(X).tolist()
    assert loaded.predict_source(X).tolist() == fitted.predict_source(X).tolist()
    assert sum(loaded.importance().values()) == pytest.approx(1)


def test_only_rows_that_the_base_was_trained_on_are_rehearsed(base: Path) -> None:
    family, _ = pooled()
    workspace = family.workspace(training(), base, 1)
    assert len(workspace.source.y) == len(source_rows(base, "train", PROBLEM).y) == N_SOURCE * 9 // 10


def test_a_base_without_rows_is_refused(tmp_path: Path) -> None:
    family, _ = pooled()
    with pytest.raises(Refusal, match="keeps no rows of its source; give them by source_data=FILE"):
        family.workspace(training(), tmp_path, 1)


def test_trees_start_smaller_where_few_rows_are_among_many_and_their_own_start_is_tried_too() -> None:
    own = compose([]).config.model["lightgbm"]["start"]
    family, _ = pooled()
    assert 2 <= family.start["num_leaves"] < own["num_leaves"]
    assert family.start["learning_rate"] == own["learning_rate"]
    assert dict(own) in [dict(one) for one in family.portfolio]


def test_the_models_own_start_comes_first_where_the_strategys_is_taken_out() -> None:
    config = compose(["strategy=pooled", "strategy.starts.lightgbm=null", "model.lightgbm.start.num_leaves=63"]).config
    family: Model = build(config.model["lightgbm"], "model.lightgbm")
    assert build(config.strategy, "strategy").family("lightgbm", family).start["num_leaves"] == 63


def test_a_run_that_was_recorded_before_there_were_starts_is_built_as_it_was() -> None:
    config = compose(["strategy=pooled"]).config
    recorded = {key: value for key, value in config.strategy.items() if key != "starts"}
    family: Model = build(config.model["lightgbm"], "model.lightgbm")
    assert build(recorded, "strategy").family("lightgbm", family).start["num_leaves"] == family.start["num_leaves"]


def test_a_model_for_which_no_start_is_named_begins_with_its_own() -> None:
    config = compose(["strategy=pooled", "model=forest"]).config
    forest: Model = build(config.model["forest"], "model.forest")
    family = build(config.strategy, "strategy").family("forest", forest)
    assert {key: value for key, value in family.start.items() if key in forest.start} == forest.start
