"""A LightGBM model whose trees are taken in parts: the same predictions, for whatever it can be done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from tasks.model import _booster
from tasks.model._booster import InParts

N = 400


@pytest.fixture(autouse=True)
def models_of_few_trees_count_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test takes no minute."""
    monkeypatch.setattr(_booster, "LARGE", 30)
    monkeypatch.setattr(_booster, "LEAVES_AT_A_TIME", 25)


def booster(rounds: int = 41, **parameters: Any) -> tuple[lgb.Booster, np.ndarray[Any, np.dtype[np.float64]]]:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(N, 4))
    signal = matrix[:, 0] * matrix[:, 1] + random.normal(size=N) / 4
    kinds = {"binary": signal > 0, "multiclass": np.digitize(signal, [-0.3, 0.3]), "multiclassova": signal > 0}
    y = np.asarray(kinds.get(parameters["objective"], np.abs(signal)), dtype=np.float64)
    quiet = {"verbose": -1, "num_threads": 1, "num_leaves": 7}
    return lgb.train({**quiet, **parameters}, lgb.Dataset(matrix, y), rounds), matrix


@pytest.mark.parametrize("parameters", [
    {"objective": "binary"},
    {"objective": "binary", "sigmoid": 2.5},
    {"objective": "multiclass", "num_class": 3},
    {"objective": "regression"},
    {"objective": "regression", "reg_sqrt": True},
    {"objective": "regression", "boosting": "dart"},
    {"objective": "poisson"},
    {"objective": "quantile"},
], ids=lambda given: " ".join(map(str, given.values())))  # fmt: skip
def test_trees_in_parts_add_up_to_what_lightgbm_itself_predicts(parameters: dict[str, Any]) -> None:
    made, matrix = booster(**parameters)
    parts = InParts.of(made)
    assert parts is not None
    sizes = [one.current_iteration() for one in parts.parts]
    assert sum(sizes) == 41
    assert len(sizes) > 3
    np.testing.assert_allclose(parts.raw(matrix), made.predict(matrix, raw_score=True), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(parts.predict(matrix), made.predict(matrix), rtol=1e-12, atol=1e-14)


def test_rounds_after_the_best_one_are_left_out_as_lightgbm_leaves_them_out() -> None:
    made, matrix = booster(objective="regression")
    made.best_iteration = 17
    parts = InParts.of(made)
    assert parts is not None
    assert sum(one.current_iteration() for one in parts.parts) == 17
    np.testing.assert_allclose(parts.predict(matrix), made.predict(matrix), rtol=1e-12)


@pytest.mark.parametrize("parameters", [
    {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
    {"objective": "multiclassova", "num_class": 2},
], ids=["a mean of trees", "a link that is not known"])  # fmt: skip
def test_what_is_no_sum_or_has_another_link_is_left_to_lightgbm(parameters: dict[str, Any]) -> None:
    made, _ = booster(**parameters)
    assert InParts.of(made) is None


def test_a_small_model_is_left_to_lightgbm() -> None:
    made, _ = booster(rounds=3, objective="regression")
    assert InParts.of(made) is None


def test_threads_that_predict_by_one_model_at_a_time_get_what_each_would_alone() -> None:
    made, matrix = booster(objective="regression")
    parts = InParts.of(made)
    assert parts is not None
    expected, few = parts.predict(matrix), made.predict(matrix[:5])

    def asked(number: int) -> bool:
        if number % 2:
            return bool((parts.predict(matrix) == expected).all())
        return bool((made.predict(matrix[:5]) == few).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(asked, range(400)))
