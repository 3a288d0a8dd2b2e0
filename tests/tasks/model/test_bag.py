"""Several models as one: the weighted mean, copied and read back whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.build import build
from flows.config import compose
from tasks import model
from tasks.loss.cross_entropy import CrossEntropy
from tasks.model import Model, Training
from tasks.model._bag import Bag, Member
from tasks.records import Problem
from tasks.refusal import Refusal

N = 90
SMALL = ["model=[lightgbm,linear]", "model.lightgbm.rounds=10"]


def training() -> Training:
    random = np.random.default_rng(0)
    X = pd.DataFrame({"a": random.normal(size=N), "b": random.choice(["x", "y"], N)})
    y = (X["a"] + (X["b"] == "x") + random.normal(size=N) > 0.5).to_numpy(dtype=np.float64)
    side = np.arange(N) % 2
    folds = [(np.flatnonzero(side != k), np.flatnonzero(side == k)) for k in range(2)]
    return Training(X, y, None, folds, Problem("binary", "y", ("no", "yes")), CrossEntropy(), "roc_auc")


@pytest.fixture
def bag(tmp_path: Path) -> Bag:
    """A quarter by LightGBM and the rest by a linear model, of two folds each."""
    members = []
    for name, weight in (("lightgbm", 0.25), ("linear", 0.75)):
        it: Model = build(compose(SMALL).config.model[name], name)
        workspace = it.workspace(training(), None, 1)
        folders = tuple(tmp_path / name / str(fold) for fold in range(2))
        for fold, folder in enumerate(folders):
            hyperparameters = it.start | {key: value for key, value in it.hyperparameters.items() if value is not None}
            model.save(it.validate(workspace, fold, hyperparameters, 0).fitted, folder)
        members.append(Member(weight, folders))
    return Bag(tuple(members))


def parts(bag: Bag) -> list[model.Fitted]:
    return [model.load(folder) for member in bag.members for folder in member.folders]


def test_it_predicts_the_weighted_mean_of_the_means_over_the_folds(bag: Bag) -> None:
    X = training().X
    one, two, three, four = (fitted.predict(X) for fitted in parts(bag))
    expected = 0.25 * (one + two) / 2 + 0.75 * (three + four) / 2
    np.testing.assert_allclose(bag.predict(X), expected, rtol=1e-12)


def test_importance_is_the_weighted_mean_and_parameters_are_summed_up(bag: Bag) -> None:
    one, two, three, four = (fitted.importance() for fitted in parts(bag))
    importance = bag.importance()
    assert list(importance) == ["a", "b"]
    assert importance["a"] == pytest.approx(0.125 * (one["a"] + two["a"]) + 0.375 * (three["a"] + four["a"]))
    assert sum(importance.values()) == pytest.approx(1)
    assert bag.n_parameters == sum(fitted.n_parameters for fitted in parts(bag))


def test_it_is_one_folder_that_needs_nothing_of_where_it_was_made(bag: Bag, tmp_path: Path) -> None:
    before = bag.predict(training().X)
    model.save(bag, tmp_path / "whole")
    for member in bag.members:
        for folder in member.folders:
            (folder / "family.json").unlink()
    loaded = model.load(tmp_path / "whole")
    assert isinstance(loaded, Bag)
    assert loaded.predict(training().X).tobytes() == before.tobytes()
    assert {path.suffix for path in (tmp_path / "whole").rglob("*") if path.is_file()} <= {".json", ".txt", ".skops"}


def test_a_model_that_is_missing_is_told_when_it_is_loaded(bag: Bag, tmp_path: Path) -> None:
    model.save(bag, tmp_path / "whole")
    (tmp_path / "whole" / "1" / "0" / "linear.skops").unlink()
    with pytest.raises(Refusal, match="1/0 holds no model"):
        model.load(tmp_path / "whole")
