"""Intervals cover as many new rows as they say, and say which levels can't be had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks import interval
from tasks.interval import FILE, KEPT, Residuals
from tasks.refusal import Refusal


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("n", [25, 80])
def test_new_rows_lie_within_as_often_as_the_level_says(n: int, level: float) -> None:
    rng = np.random.default_rng(n)
    covered = []
    for _ in range(1_500):
        lower, upper = Residuals.of(rng.exponential(size=n)).bounds(level)
        new = rng.exponential(size=20)
        covered.append(np.mean((new >= lower) & (new <= upper)))
    error = 4 * np.std(covered) / len(covered) ** 0.5
    assert level - error < np.mean(covered) < level + 2 / (n + 1) + error


def test_both_ends_are_order_statistics_of_one_more_row_than_there_are() -> None:
    residuals = np.random.default_rng(0).permutation(np.arange(1.0, 40))  # 1 .. 39
    assert Residuals.of(residuals).bounds(0.95) == (1, 39)
    assert Residuals.of(residuals).bounds(0.9) == (2, 38)


def test_a_level_that_so_few_rows_can_t_give_is_refused_with_the_highest_that_they_can() -> None:
    residuals = Residuals.of(np.arange(38.0))
    assert residuals.highest == pytest.approx(1 - 2 / 39)
    assert not residuals.can(0.95)
    with pytest.raises(Refusal, match=r"interval=0.95: 38 rows .* up to 0.9487"):
        residuals.bounds(0.95)
    for level in (0.0, 1.0, 90.0):
        with pytest.raises(Refusal, match="between 0 and 1"):
            residuals.bounds(level)


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    values = np.random.default_rng(0).normal(size=50)
    weight = np.random.default_rng(1).integers(1, 3, 50).astype(np.float64)
    twice = Residuals.of(np.repeat(values, weight.astype(int)))
    once = Residuals.of(values, weight)
    for level in (0.5, 0.8):
        assert once.bounds(level) == pytest.approx(twice.bounds(level), abs=0.2)
    assert once.bounds(0.5) != Residuals.of(values).bounds(0.5)
    assert Residuals.of(values, np.full(50, 3.0)).bounds(0.8) == Residuals.of(values).bounds(0.8)


def test_of_many_rows_some_are_kept_and_the_interval_is_no_narrower() -> None:
    values = np.random.default_rng(0).normal(size=50_001)
    kept = Residuals.of(values)
    assert len(kept.values) == KEPT
    for level in (0.5, 0.9, 0.999):
        tail = int(np.ceil(50_002 * (1 + level) / 2)) - 1
        lower, upper = kept.bounds(level)
        exact = np.sort(values)
        assert exact[50_000 - tail - 13] <= lower <= exact[50_000 - tail]
        assert exact[tail] <= upper <= exact[tail + 13]


def test_they_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert interval.read(tmp_path) is None
    residuals = Residuals.of(np.random.default_rng(0).normal(size=30))
    (tmp_path / FILE).write_text(residuals.as_json())
    assert interval.read(tmp_path) == residuals
