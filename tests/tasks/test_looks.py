"""How many models were scored by a holdout is counted by what they predict, over all runs of a store."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from tasks import looks, tracking
from tasks.row_hash import row_hashes
from tasks.tracking import Tracker

Store = tuple[mlflow.MlflowClient, str, Path]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("store") / "mlruns"
    return *tracking.connect(None, root), root


def begin(store: Store, study: str, experiment: str = "some") -> Tracker:
    return tracking.begin(store[0], store[1], experiment, study, "name", {}, 1.7e9, store[2], trials=1)


def test_a_new_model_is_a_look_and_the_same_one_again_is_none(store: Store) -> None:
    first, second = begin(store, "a"), begin(store, "b", "another")
    assert looks.note(first, "h1", "m1") == (first.run_id,)
    assert looks.note(first, "h1", "m1") == (first.run_id,)
    assert looks.note(second, "h2", "m1") == (second.run_id,)
    third = begin(store, "c", "another")
    assert looks.note(third, "h1", "m1") == (first.run_id,)  # who looked first is named
    assert looks.note(third, "h1", "m2") == (first.run_id, third.run_id)
    assert looks.note(first, "h1", "m3") == (first.run_id, third.run_id, first.run_id)


def test_a_run_that_was_deleted_has_looked_all_the_same(store: Store) -> None:
    first, second = begin(store, "d"), begin(store, "e")
    looks.note(first, "h3", "m1")
    store[0].delete_run(first.run_id)
    assert looks.note(second, "h3", "m2") == (first.run_id, second.run_id)


def test_a_holdout_is_told_by_its_rows_and_the_target_whatever_their_order(tmp_path: Path) -> None:
    rows = pd.DataFrame({"hash": np.array([5, 3, 9], np.uint64), "target": [0.0, 1.0, 1.0]})
    rows.to_parquet(tmp_path / "a")
    rows.iloc[::-1].to_parquet(tmp_path / "b")
    rows.iloc[:2].to_parquet(tmp_path / "c")
    a, b, c = (looks.holdout_digest(tmp_path / name, "y", 0) for name in "abc")
    assert a == b != c
    assert looks.holdout_digest(tmp_path / "a", "z", 0) != a


def test_the_same_rows_are_the_same_holdout_by_any_salt_and_later_rows_of_the_same_groups_another(
    tmp_path: Path,
) -> None:
    frame, days = pd.DataFrame({"shop": ["a", "b", "c"]}), pd.date_range("2026-01-01", periods=3)
    for name, seed, times in (("first", 0, days), ("salted", 7, days), ("later", 0, days + pd.Timedelta(days=30))):
        pd.DataFrame({"hash": row_hashes(frame, seed), "time": times}).to_parquet(tmp_path / name)
    first = looks.holdout_digest(tmp_path / "first", "y", 0)
    assert looks.holdout_digest(tmp_path / "salted", "y", 7) == first
    assert looks.holdout_digest(tmp_path / "later", "y", 0) != first


def test_a_model_is_told_by_what_it_predicts_and_by_its_rule_of_decision(tmp_path: Path) -> None:
    prediction = np.array([[0.2, 0.8], [0.5, 0.5]])
    plain = looks.model_digest(prediction, tmp_path)
    assert looks.model_digest(prediction + 1e-12, tmp_path) == plain
    assert looks.model_digest(prediction[::-1], tmp_path) != plain
    (tmp_path / "decision.json").write_text('{"threshold": 0.3}')
    assert looks.model_digest(prediction, tmp_path) != plain
