"""Parquet in parts: every row once, in its order, in groups of one size."""

from __future__ import annotations

import platform
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import parquet

ROOT = Path(__file__).parent.parent.parent
N = 1_000
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "number": RNG.normal(size=N).astype(np.float32),
        "level": pd.Series(RNG.choice(["u", "v", None], N), dtype="str"),
        "hash": RNG.integers(0, 2**64, N, dtype=np.uint64, endpoint=False),
    }
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FRAME in groups of 64 rows, written in pieces of other sizes."""
    monkeypatch.setattr(parquet, "ROWS_IN_GROUP", 64)
    table = pa.Table.from_pandas(FRAME, preserve_index=False)
    cuts = [0, 1, 1, 100, 103, 700, N]
    pieces = (table.slice(a, b - a).combine_chunks() for a, b in pairwise(cuts))
    parquet.write(tmp_path / "t.parquet", (batch for piece in pieces for batch in piece.to_batches()))
    return tmp_path / "t.parquet"


def test_rows_arrive_in_any_pieces_and_lie_in_groups_of_one_size(file: Path) -> None:
    stored = pq.read_metadata(file)
    sizes = [stored.row_group(k).num_rows for k in range(stored.num_row_groups)]
    assert sizes == [64] * (N // 64) + [N % 64]
    pd.testing.assert_frame_equal(pd.read_parquet(file), FRAME)


def test_parts_are_the_whole(file: Path) -> None:
    parts = list(parquet.frames(file))
    assert max(map(len, parts)) <= 64
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), FRAME)


def test_a_frame_is_read_as_it_was_written(tmp_path: Path) -> None:
    parquet.write_frame(tmp_path / "t.parquet", FRAME[FRAME["number"] > 0])
    expected = FRAME[FRAME["number"] > 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), expected)


def test_two_sides_together_are_the_table(file: Path, tmp_path: Path) -> None:
    marked = RNG.random(N) < 0.3
    sides = (tmp_path / "a.parquet", tmp_path / "b.parquet")
    parquet.divide(file, marked, sides)
    for side, rows in zip(sides, (~marked, marked), strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(side), FRAME[rows].reset_index(drop=True))
        assert pq.read_metadata(side).row_group(0).num_rows == 64


def test_rows_are_taken_by_their_places(file: Path) -> None:
    rows = np.sort(RNG.choice(N, 50, replace=False)).astype(np.int64)
    pd.testing.assert_frame_equal(parquet.take(file, rows), FRAME.iloc[rows].reset_index(drop=True))


def test_wide_tables_have_groups_of_fewer_rows() -> None:
    assert parquet.rows_in_group(30) == 1 << 17
    assert parquet.rows_in_group(10_000) * 10_000 <= 1 << 24
    assert parquet.rows_in_group(1 << 30) == 1


LARGE_BLOCKS = """
import ctypes
import numpy as np
from tasks import parquet

class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks".split()] + [
        (name, ctypes.c_size_t) for name in "uordblks fordblks keepcost".split()]

count = ctypes.CDLL("libc.so.6").mallinfo2
count.restype = Counts
parquet.give_back_large_blocks()
larger = np.ones(1 << 21)
del larger  # after which glibc would keep all that are smaller
before = count().hblkhd
block = np.ones(1 << 20)
print(count().hblkhd - before >= block.nbytes)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such function")
def test_large_blocks_are_the_operating_systems_own_though_larger_ones_were_freed() -> None:
    """In a process of its own: what others freed before would be taken first."""
    ended = subprocess.run([sys.executable, "-c", LARGE_BLOCKS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "True\n"
