"""Every family as an ONNX graph predicts what the model itself does, on rows that are hard to get right too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm as lgb
import pytest
from exports import KINDS, Case, family, farthest

from tasks.loss.focal import Focal
from tasks.model._encode import Levels
from tasks.model.lightgbm import Fitted
from tasks.refusal import Refusal

pytest.importorskip("onnxruntime", reason='needs pip install "finefold[onnx]"')

from tasks.format._models import written


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return {kind: Case(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["lightgbm", "linear", "forest"])
def test_a_graph_predicts_what_the_model_does(cases: dict[str, Case], tmp_path: Path, kind: str, name: str) -> None:
    case = cases[kind]
    changed: dict[str, Any] = {"n_estimators": 20} if name == "forest" else {}
    folder = case.saved(case.fitted(family(name), **changed), name)
    largest, where = farthest(case, folder, tmp_path)
    assert largest < 1e-6, where


@pytest.mark.parametrize(
    "fixed",
    [
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
        {"boosting": "dart"},
        {"reg_sqrt": True},
        {"link": "log"},
        {"max_cat_to_onehot": 1, "min_data_per_group": 1, "cat_smooth": 0.1},
    ],
    ids=str,
)
def test_settings_that_converters_get_silently_wrong_are_right(
    cases: dict[str, Case], tmp_path: Path, fixed: dict[str, Any]
) -> None:
    case = cases["regression"]
    folder = case.saved(case.fitted(family("lightgbm"), **fixed), "_".join(fixed))
    largest, where = farthest(case, folder, tmp_path)
    assert largest < 1e-6, where


def trained(case: Case, **parameters: Any) -> Fitted:
    """By parameters of the bins, which the family keeps to itself; a base may have them."""
    training = case.training()
    levels = Levels.learn(training.batches())
    data = lgb.Dataset(levels.matrix(training.batches(), len(training.y)), training.y,
                       categorical_feature=levels.categorical, params={"verbose": -1, **parameters})  # fmt: skip
    return Fitted(lgb.train({"objective": "regression", "verbose": -1, **parameters}, data, 12), levels, False)


@pytest.mark.parametrize("parameters", [{"zero_as_missing": True}, {"use_missing": False}], ids=str)
def test_what_counts_as_missing_is_written_with_the_trees(
    cases: dict[str, Case], tmp_path: Path, parameters: dict[str, Any]
) -> None:
    case = cases["regression"]
    largest, where = farthest(case, case.saved(trained(case, **parameters), "_".join(parameters)), tmp_path)
    assert largest < 1e-6, where


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_a_loss_of_ones_own_is_written_with_its_link(cases: dict[str, Case], tmp_path: Path, kind: str) -> None:
    case = cases[kind]
    folder = case.saved(case.fitted(family("lightgbm"), loss=Focal(2.0)), "focal")
    largest, where = farthest(case, folder, tmp_path)
    assert largest < 1e-6, where


def test_linear_trees_are_refused_by_name(cases: dict[str, Case]) -> None:
    case = cases["regression"]
    folder = case.saved(trained(case, linear_tree=True), "linear_tree")
    with pytest.raises(Refusal, match="linear_tree=true"):
        written(folder)
