"""Rows of a split go with the model in three parts; the sealed ones in halves that keep groups and equal rows whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bases import prepared, source
from sklearn.model_selection import GroupKFold

from tasks import parquet
from tasks.base_fit import problem_of
from tasks.records import Split
from tasks.source_rows import evenly, keep, n_equal, source_rows
from tasks.split import split

N = 400


@pytest.fixture
def divided(tmp_path: Path) -> tuple[Split, Path]:
    """Rows with weights, in groups of four that are equal but for their weight; and the folder of the table."""
    frame = source(N // 4).loc[np.repeat(np.arange(N // 4), 4)].reset_index(drop=True)
    frame = frame.assign(person=np.repeat(np.arange(N // 4), 4).astype(str), weight=np.arange(N) + 1)
    made = prepared(frame, tmp_path, group="person", weight="weight")
    return split.fn(made, GroupKFold(3), "grouped", 0.3, str(tmp_path / "data")), Path(made.folder)


def test_the_sealed_half_is_whole_by_groups_and_weights_go_along(divided: tuple[Split, Path]) -> None:
    made, folder = divided
    counts = keep(made, folder, N)
    parts = {part: source_rows(folder, part, problem_of(folder)) for part in ("train", "valid", "holdout")}
    assert counts == {part: len(rows.y) for part, rows in parts.items()}
    assert sum(counts.values()) == N
    sizes = [set(rows.X["size"]) for rows in parts.values()]
    assert not sizes[0] & sizes[1]
    assert not sizes[1] & sizes[2]
    weights = [rows.weight for rows in parts.values() if rows.weight is not None]
    assert sorted(np.concatenate(weights)) == list(range(1, N + 1))


def test_no_more_rows_are_kept_than_asked_for(divided: tuple[Split, Path]) -> None:
    made, folder = divided
    assert keep(made, folder, 10) == {"train": 10, "valid": 10, "holdout": 10}


def test_rows_are_drawn_from_all_over() -> None:
    assert evenly(np.arange(100), 5).tolist() == [0, 24, 49, 74, 99]
    assert evenly(np.arange(3), 5).tolist() == [0, 1, 2]


def test_rows_that_were_trained_on_are_counted(divided: tuple[Split, Path], tmp_path: Path) -> None:
    made, folder = divided
    keep(made, folder, N)
    known = source_rows(folder, "train", problem_of(folder)).X.head(8)
    new = known.assign(size=known["size"] + 1).astype({"size": np.float64})
    parquet.write_frame(tmp_path / "rows.parquet", pd.concat([known, new]))
    assert n_equal(folder, tmp_path / "rows.parquet") == 8
