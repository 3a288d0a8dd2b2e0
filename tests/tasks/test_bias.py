"""The luck of selection is found where there is some, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from tasks import metric
from tasks.bias import Fold, luck
from tasks.metric import Floats
from tasks.simplest import best

N, SIGNS = 200, {"accuracy": 1, "mae": -1, "roc_auc": 1, "rmse": -1}


def folds(y: Floats, predictions: Floats, n_folds: int = 4) -> list[Fold]:
    """predictions: (C, n, ...)."""
    parts = np.array_split(np.arange(len(y)), n_folds)
    return [Fold(rows, y[rows], None, predictions[:, rows].astype(np.float32)) for rows in parts]


def scores(name: str, parts: list[Fold]) -> Floats:
    """(C,) the mean over the folds."""
    values = [[metric.value(name, p.y, one.astype(np.float64)) for one in p.predictions] for p in parts]
    return np.mean(values, axis=0)


def guesses(n_settings: int, seed: int) -> tuple[Floats, Floats]:
    """Classes, and settings that know nothing of them."""
    generator = np.random.default_rng(seed)
    odds = generator.random((n_settings, N))
    return generator.integers(2, size=N).astype(np.float64), np.stack([1 - odds, odds], axis=2)


@pytest.mark.parametrize("name", ["accuracy", "roc_auc"])
def test_the_best_of_many_guesses_is_brought_back_to_chance(name: str) -> None:
    before, after = [], []
    for seed in range(12):
        y, predictions = guesses(30, seed)
        parts = folds(y, predictions)
        known = scores(name, parts)
        winner = int(np.argmax(known))
        found = luck(name, parts, N, winner, lambda values: best(values, 1), seed)
        before.append(known[winner] - 0.5)
        after.append(known[winner] - found.optimism - 0.5)
        assert after[-1] + found.below < 0 < after[-1] + found.above
    assert np.mean(before) > 0.05
    assert abs(np.mean(after)) < np.mean(before) / 3


def test_of_a_mean_over_rows_it_is_the_number_of_the_paper() -> None:
    """The paper's algorithm 2 in plain words, on the same draws of many: select on the drawn, score on the others."""
    generator = np.random.default_rng(1)
    y = generator.normal(size=N)
    predictions = y + generator.normal(size=(10, N)) * generator.uniform(0.9, 1.1, size=(10, 1))
    errors = np.abs(predictions.astype(np.float32).astype(np.float64) - y)
    drawn = generator.integers(N, size=(4_000, N))
    values = []
    for rows in drawn:
        left_out = np.setdiff1d(np.arange(N), rows)
        values.append(errors[np.argmin(errors[:, rows].mean(axis=1))][left_out].mean())
    winner = int(np.argmin(errors.mean(axis=1)))
    found = luck("mae", folds(y, predictions, 1), N, winner, lambda v: best(v, -1), 0)
    corrected = errors[winner].mean() - found.optimism
    assert corrected == pytest.approx(np.mean(values), abs=0.004)
    assert found.optimism < -0.01


@pytest.mark.parametrize("name", ["mae", "rmse"])
def test_without_a_choice_there_is_no_luck_and_the_interval_is_as_wide_as_theory_has_it(name: str) -> None:
    generator = np.random.default_rng(2)
    y = generator.normal(size=N)
    found = luck(name, folds(y, np.zeros((1, N)), 1), N, 0, lambda values: best(values, -1), 0)
    assert found.optimism == 0
    of_rows = np.abs(y) if name == "mae" else y**2 / 2 / np.sqrt(np.mean(y**2))  # the delta method
    assert found.above - found.below == pytest.approx(2 * 1.96 * of_rows.std() / N**0.5, rel=0.12)


def test_a_setting_that_is_far_better_owes_nothing_to_luck() -> None:
    y, predictions = guesses(20, 3)
    predictions[7] = np.eye(2)[y.astype(int)] * 0.8 + 0.1
    assert luck("accuracy", folds(y, predictions), N, 7, lambda values: best(values, 1), 0).optimism == 0


def test_rows_that_are_validated_twice_count_as_one_draw() -> None:
    y, predictions = guesses(10, 4)
    once = folds(y, predictions)
    winner = int(np.argmax(scores("accuracy", once)))
    a, b = (luck("accuracy", parts, N, winner, lambda values: best(values, 1), 0) for parts in (once, once + once))
    # Twice the cells are half the resamples, where these are many.
    assert a.optimism == pytest.approx(b.optimism, abs=1e-9)


def test_a_metric_that_is_defined_nowhere_gives_no_number() -> None:
    parts = folds(np.zeros(N), guesses(3, 5)[1])
    found = luck("roc_auc", parts, N, 0, lambda values: best(values, 1), 0)
    assert np.isnan([found.optimism, found.below, found.above]).all()


def test_where_the_winner_is_not_given_it_is_the_best_by_these_rows() -> None:
    y, predictions = guesses(10, 6)
    parts = folds(y, predictions)
    winner = int(np.argmax(scores("accuracy", parts)))
    a, b = (luck("accuracy", parts, N, given, lambda values: best(values, 1), 0) for given in (winner, None))
    assert a == b
    assert a.optimism > 0.01
