"""Groups on both sides, and training rows that know the future, are told where they are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from divisions import CLASSES, divided

from tasks.check.crossings import Crossings
from tasks.folds import write_folds
from tasks.verdict import Finding

N = 40
X = pd.DataFrame({"x": np.arange(N, dtype=float)})


def inspected(root: Path, train: dict[str, Any], held: dict[str, Any], folds: Any = None) -> Finding | None:
    it = divided(root, CLASSES, X, X.head(10), np.arange(N) % 2, train_roles=train, held_roles=held)
    if folds is not None:
        write_folds(root, folds)
    return Crossings().inspect(it)


def test_without_groups_and_times_nothing_is_told(tmp_path: Path) -> None:
    assert inspected(tmp_path, {}, {}) is None


def test_groups_that_stand_whole_on_one_side_pass(tmp_path: Path) -> None:
    it = inspected(tmp_path, {"group": [str(n % 2) for n in range(N)]}, {"group": ["new"] * 10})
    assert it is not None
    assert (it.state, it.is_suspected, it.reason) == ("passed", False, "")


def test_groups_on_both_sides_of_holdout_and_folds_are_suspected(tmp_path: Path) -> None:
    it = inspected(tmp_path, {"group": [str(n % 7) for n in range(N)]}, {"group": ["0"] * 5 + ["new"] * 5})
    assert it is not None
    assert (it.state, it.is_suspected) == ("told", True)
    assert it.reason.startswith("1 groups stand on both sides of the holdout")
    assert "folds=grouped keeps them whole" in it.reason
    assert it.numbers["share_of_the_holdout_in_them"].value == 0.5


def test_groups_that_time_divides_are_expected(tmp_path: Path) -> None:
    times = np.arange(N, dtype=float)
    folds = [(np.arange(10), np.arange(10, 20))]
    roles = {"group": ["a"] * N, "time": times}, {"group": ["a"] * 10, "time": np.arange(N, N + 10, dtype=float)}
    it = inspected(tmp_path, *roles, folds)
    assert it is not None
    assert (it.state, it.is_suspected) == ("told", False)


def test_training_rows_later_than_a_published_split_are_suspected(tmp_path: Path) -> None:
    times = np.arange(N, dtype=float)
    it = inspected(tmp_path, {"time": times}, {"time": np.full(10, 29.0)}, [(np.arange(10), np.arange(10, 20))])
    assert it is not None
    assert it.is_suspected
    assert it.reason.startswith("10 training rows are later than the first of holdout.path")


def test_folds_that_train_on_the_future_are_suspected(tmp_path: Path) -> None:
    held = {"time": np.full(10, 99.0)}
    it = inspected(tmp_path, {"time": np.arange(N, dtype=float)}, held)
    assert it is not None
    assert it.is_suspected
    assert "2 of 2 folds train on rows later than those that they validate" in it.reason
