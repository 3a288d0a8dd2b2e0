"""What is as good as the best, and which of these is taken."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.comparison import difference
from tasks.simplest import best, simplest, tied

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("sign", [1, -1])
def test_ties_are_those_of_the_corrected_resampled_t_test(sign: int) -> None:
    n_tied = []
    for n_folds in (2, 5, 15):
        values = RNG.normal(size=(12, 1)) + RNG.normal(size=n_folds) + 0.5 * RNG.normal(size=(12, n_folds))
        at = int(best(values, sign))
        assert at == np.argmax(sign * values.mean(axis=1))
        every = [dict(enumerate(one)) for one in values]
        expected = [difference(every[at], one, 0.25).holds_zero for one in every]
        assert tied(values, sign, 0.25).tolist() == expected
        n_tied.append(sum(expected))
    assert 1 < n_tied[1] < 12


def test_the_cheapest_of_the_tied_is_taken_and_of_none_the_best() -> None:
    values = np.array([[0.1, 0.1, 0.1], [0.90, 0.80, 0.70], [0.91, 0.79, 0.71]])
    assert simplest(values, np.array([0, 1, 2]), 1, 0.5) == 1
    assert simplest(values, np.array([0, 2, 1]), 1, 0.5) == 2
    assert simplest(values[:2], np.array([0, 1]), 1, 0.5) == 1
    assert simplest(values, np.array([0, 900, 500]), 1, 0.5) == 2  # ranks among more settings than these


def test_resamples_are_told_apart() -> None:
    values = RNG.normal(size=(7, 5, 3))
    ranks = RNG.permutation(5)
    each = [int(simplest(one, ranks, -1, 0.5)) for one in values]
    assert simplest(values, ranks, -1, 0.5).tolist() == each


def test_on_one_fold_only_equals_are_tied() -> None:
    assert tied(np.array([[0.5], [0.7], [0.7]]), 1, 0.2).tolist() == [False, True, True]


def test_a_score_that_is_not_defined_is_never_the_best() -> None:
    values = np.array([[np.nan, np.nan], [0.1, 0.2], [np.nan, 0.3]])
    assert best(values, 1) == 2
    assert best(values[:2], 1) == 1
    assert not tied(values[:2], 1, 0.2)[0]
