"""Counts of batches add up to those of all rows, and tell where values lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.histogram import N_BINS, N_LEVELS, Histogram, Kind

RANDOM = np.random.default_rng(0)
COLUMNS: list[tuple[Kind, list[Any]]] = [
    ("number", RANDOM.normal(size=1_000).tolist()),
    ("number", [0.0, 1.0] * 400 + [np.nan] * 200),
    ("level", RANDOM.choice(["a", "b", "c", None], 1_000).tolist()),
    ("level", [f"level {n % 300}" for n in range(1_000)]),
    ("length", ["word " * (n % 40) for n in range(1_000)]),
    ("number", [np.nan] * 1_000),
]


@pytest.mark.parametrize(("kind", "cells"), COLUMNS)
def test_parts_that_are_counted_apart_add_up_to_the_whole(kind: Kind, cells: list[Any]) -> None:
    values = pd.Series(cells, name="x", dtype="float64" if kind == "number" else "str")
    whole = Histogram.of(values, kind).counted(values)
    assert whole.n_rows == 1_000
    assert whole.missing == values.isna().sum()
    assert whole.counted(values.iloc[:137]) + whole.counted(values.iloc[137:]) == whole


def test_bins_of_numbers_hold_as_many_each_and_a_frequent_value_has_an_edge() -> None:
    even = Histogram.of(pd.Series(np.arange(1_000.0), name="x"), "number")
    assert {1_000 // N_BINS} <= set(even.counts[2:-1]) <= {1_000 // N_BINS - 1, 1_000 // N_BINS}
    discrete = Histogram.of(pd.Series([0.0] * 700 + [1.0] * 200 + [5.0] * 100, name="x"), "number")
    assert (discrete.bounds[1:], discrete.counts) == ((0.0, 1.0, 5.0), (0, 700, 200, 100, 0))
    assert discrete.counted(pd.Series([-1.0, 0.0, 6.0])).counts == (1, 1, 0, 0, 1)


def test_levels_are_counted_in_other_rows_than_they_were_found_in() -> None:
    every = pd.Series([f"level {n}" for n in range(200)], name="x", dtype="str")
    assert Histogram.of(every, "level").counts[-1] == 100
    assert Histogram.of(every, "level").n_rows == 100


def test_what_training_had_not_is_counted_at_the_end() -> None:
    levels = Histogram.of(pd.Series(["a", "b", "b"], name="x", dtype="str"), "level")
    assert levels.bounds == ("b", "a")
    assert levels.counted(pd.Series(["new", "a", None], dtype="str")).counts == (0, 1, 1)
    many = pd.Series([str(n) for n in range(N_LEVELS + 5) for _ in range(2)], name="x", dtype="str")
    assert Histogram.of(many, "level").counts[-1] == 5


def test_counts_in_other_bins_are_never_added() -> None:
    one = Histogram.of(pd.Series([1.0, 2.0], name="x"), "number")
    with pytest.raises(ValueError, match="x was counted in other bins"):
        one + Histogram.of(pd.Series([1.0, 3.0, 4.0], name="x"), "number")
