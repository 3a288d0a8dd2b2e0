"""A table that is held column by column is the table that pandas holds whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tasks import parquet, spool
from tasks.columns import Builder, Columns, narrow
from tasks.spool import Spool

N = 300
RNG = np.random.default_rng(0)
TABLE = pa.table(
    {
        "whole": RNG.integers(0, 9, N),
        "late": pa.array([*range(N - 1), None]),
        "number": RNG.normal(size=N),
        "truth": pa.array([*([True, False] * (N // 2 - 1)), True, None]),
        "level": pa.array([["u", "v", None][k % 3] for k in range(N)]),
        "day": pa.array(range(N), pa.timestamp("s", "Europe/Paris")),
    }
)


@pytest.fixture(params=[0, 1 << 30], ids=["on disk", "in memory"])
def columns(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Columns]:
    monkeypatch.setattr(spool, "N_BYTES_IN_MEMORY", request.param)
    with Spool(tmp_path) as kept:
        yield Columns.of(TABLE.to_batches(max_chunksize=64), kept)


def test_a_column_is_what_pandas_makes_of_the_whole_one(columns: Columns) -> None:
    assert (len(columns), columns.names) == (N, TABLE.column_names)
    pd.testing.assert_frame_equal(pd.DataFrame(dict(columns.items())), TABLE.to_pandas())
    assert columns["late"].dtype == "float64"


def test_rows_that_do_not_count_are_gone_from_every_column(columns: Columns) -> None:
    rows = RNG.random(N) < 0.5
    some = columns.where(rows)
    assert len(some) == rows.sum()
    pd.testing.assert_frame_equal(some.frame(), TABLE.to_pandas()[rows].reset_index(drop=True))
    assert some.only(["level", "day"]).names == ["level", "day"]


@pytest.mark.parametrize("n_bytes", [0, 1 << 30])
def test_features_are_read_as_they_were_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    monkeypatch.setattr(spool, "N_BYTES_IN_MEMORY", n_bytes)
    monkeypatch.setattr(parquet, "ROWS_IN_GROUP", 64)
    given = {
        "half": pd.Series([0.5, np.nan] * (N // 2)),
        "tenth": pd.Series(np.arange(N) / 10),
        "level": pd.Series(["ä", None, "b"] * (N // 3), dtype="str"),
        "none": pd.Series([None] * N, dtype="str"),
    }
    with Spool(tmp_path) as kept:
        built = Builder(N, len(given), kept)
        for name, values in given.items():
            built.add(name, values)
        built.columns.write(tmp_path / "t.parquet")
        again = built.columns.frame()
    read = pd.read_parquet(tmp_path / "t.parquet")
    assert read.dtypes.astype(str).tolist() == ["float32", "float64", "str", "str"]
    pd.testing.assert_frame_equal(read, pd.DataFrame(given), check_dtype=False)
    pd.testing.assert_frame_equal(again, read)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.5, 2.0**100, -0.0, np.nan], "float32"),
        ([2.0**24, 2.0**24 + 2], "float32"),
        ([2.0**24 + 1], "float64"),
        ([0.1], "float64"),
        ([1e300, 1.0], "float64"),
        ([1e-300], "float64"),
        ([], "float32"),
    ],
)
def test_numbers_are_halved_only_where_no_digit_is_lost(values: list[float], kind: str) -> None:
    found = narrow(np.array(values))
    assert found.dtype == kind
    assert found.astype(np.float64).tobytes() == np.array(values).tobytes()
