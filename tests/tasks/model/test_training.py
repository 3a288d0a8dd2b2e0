"""What trials are trained on is read when it is needed, and no more of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks import parquet
from tasks.loss.mse import MSE
from tasks.model import Training
from tasks.records import Problem

N = 1000
TABLE = pd.DataFrame({"x": np.arange(N, dtype=np.float32), "level": [None, "a", "b", "c"] * (N // 4)})


@pytest.fixture
def training(tmp_path: Path) -> Training:
    parquet.write_frame(tmp_path / "features.parquet", TABLE)
    return Training(tmp_path / "features.parquet", np.zeros(N), None, [], Problem("regression", "y", ()), MSE(), "rmse")


def test_rows_are_taken_of_a_file_without_holding_the_table(training: Training) -> None:
    rows = np.array([0, 7, 8, 999])
    pd.testing.assert_frame_equal(training.take(rows), TABLE.iloc[rows].reset_index(drop=True))
    assert "X" not in vars(training)
    pd.testing.assert_frame_equal(training.X.iloc[rows], training.take(rows))


def test_some_rows_are_drawn_evenly_from_the_whole_table(training: Training) -> None:
    found, rows = training.some(10)
    assert rows.tolist() == list(range(0, N, 100))
    assert found["x"].tolist() == rows.tolist()
