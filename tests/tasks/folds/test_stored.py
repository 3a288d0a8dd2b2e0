"""Folds come back from the disk as they were drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.folds import read_folds, write_folds

RNG = np.random.default_rng(0)


def rows(n: int, n_drawn: int, *, may_repeat: bool) -> np.ndarray:
    return np.sort(RNG.choice(n, n_drawn, replace=may_repeat)).astype(np.int64)


@pytest.mark.parametrize("may_repeat", [False, True])
@pytest.mark.parametrize("n", [2, 8, 9, 1_000])
def test_folds_come_back_as_they_were_drawn(tmp_path: Path, n: int, may_repeat: bool) -> None:
    drawn = [(rows(n, n - 1, may_repeat=may_repeat), rows(n, n // 2, may_repeat=may_repeat)) for _ in range(3)]
    write_folds(tmp_path, drawn)
    kept = read_folds(tmp_path)
    assert len(kept) == 3
    for was, now in zip(drawn, kept, strict=True):
        for before, after in zip(was, now, strict=True):
            assert before.tolist() == after.tolist()
            assert after.dtype == np.int64
    assert [one.tolist() for one in kept[-1]] == [one.tolist() for one in drawn[-1]]
    assert [valid.tolist() for _, valid in kept[1:]] == [valid.tolist() for _, valid in drawn[1:]]


def test_a_row_takes_two_bits_of_a_fold(tmp_path: Path) -> None:
    n = 800_000
    write_folds(tmp_path, [(np.arange(n // 2), np.arange(n // 2, n))])
    assert (tmp_path / "folds.npz").stat().st_size < n * 2 / 8 + 2_000
