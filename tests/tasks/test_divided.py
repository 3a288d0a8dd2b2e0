"""What is looked at before the search leaves the holdout's labels closed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from divisions import CLASSES, divided

from tasks.divided import sampled

X = pd.DataFrame({"x": np.arange(6.0)})


def test_the_labels_of_the_holdout_are_not_read(tmp_path: Path) -> None:
    it = divided(tmp_path, CLASSES, X, X.head(2), [0, 1] * 3, held_roles={"group": ["a", "b"]})
    assert list(it.holdout_roles) == ["group"]
    assert it.y.tolist() == [0, 1] * 3


def test_groups_have_one_number_on_both_sides(tmp_path: Path) -> None:
    roles = {"train_roles": {"group": list("aabbcc")}, "held_roles": {"group": ["c", "d"]}}
    it = divided(tmp_path, CLASSES, X, X.head(2), [0, 1] * 3, **roles)
    assert it.groups is not None
    assert [codes.tolist() for codes in it.groups] == [[0, 0, 1, 1, 2, 2], [2, 3]]


def test_a_holdout_is_by_time_where_it_is_known_to_lie_in_the_future(tmp_path: Path) -> None:
    times = np.arange(6.0)
    for name, held, is_by_time in (("future", [6.0, 7.0], True), ("past", [5.0, 7.0], False)):
        roles = {"train_roles": {"time": times}, "held_roles": {"time": held}}
        assert divided(tmp_path / name, CLASSES, X, X.head(2), [0, 1] * 3, **roles).is_by_time is is_by_time
    unknown = divided(tmp_path / "unknown", CLASSES, X, X.head(2), [0, 1] * 3, train_roles={"time": times})
    assert not unknown.is_by_time


def test_equal_features_have_equal_hashes_on_both_sides(tmp_path: Path) -> None:
    it = divided(tmp_path, CLASSES, X, X.tail(2), [0, 1] * 3)
    assert it.hashes("holdout").tolist() == it.hashes("train")[-2:].tolist()


def test_a_sample_is_ascending_without_repeats_and_of_a_small_table_all() -> None:
    rows = sampled(1000, 100, 0)
    assert len(np.unique(rows)) == 100
    assert (np.diff(rows) > 0).all()
    assert sampled(1000, 100, 0).tolist() == rows.tolist()
    assert sampled(5, 100, 0).tolist() == [0, 1, 2, 3, 4]
