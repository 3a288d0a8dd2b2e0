"""Repeated folds differ from repeat to repeat and stratify classes only."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

from tasks.folds.repeated import Repeated
from tasks.refusal import Refusal


@pytest.mark.parametrize(
    ("y", "kind"), [(np.arange(40) % 2, RepeatedStratifiedKFold), (np.arange(40) % 2 + 0.0, RepeatedKFold)]
)
def test_folds_are_those_of_scikit_learn(y: np.ndarray, kind: type) -> None:
    X = np.zeros((40, 1))
    expected = kind(n_splits=4, n_repeats=2, random_state=3).split(X, y)
    for got, want in zip(Repeated(4, 2, 3).split(X, y), expected, strict=True):
        np.testing.assert_array_equal(got[1], want[1])


def test_repeats_are_different_draws() -> None:
    folds = list(Repeated(4, 2, 0).split(np.zeros((40, 1)), np.arange(40.0)))
    assert len(folds) == Repeated(4, 2, 0).get_n_splits() == 8
    assert {tuple(valid) for _, valid in folds[:4]} != {tuple(valid) for _, valid in folds[4:]}


def test_impossible_numbers_are_refused_together() -> None:
    with pytest.raises(Refusal) as caught:
        Repeated(1, 0, 0)
    assert caught.value.faults == (
        "folds.n_splits must be at least 2, got 1.",
        "folds.n_repeats must be at least 1, got 0.",
    )
