"""A table in chunks of as many rows each, whatever batches its reader makes: a chunk is known again by its number."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Chunk:
    """Rows `first` to `first + n_rows - 1` of a table, counted from 1."""

    number: int
    first: int
    rows: pa.RecordBatch

    @property
    def n_rows(self) -> int:
        return int(self.rows.num_rows)

    @property
    def digest(self) -> str:
        """Of the names, the number of rows, and all cells."""
        rows = self.rows.take(pa.array(np.arange(self.n_rows)))  # a slice has its own form of the same bits
        content = zlib.crc32(memoryview(rows.serialize()), zlib.crc32(str(rows.schema).encode()))
        return f"{self.n_rows}-{content:08x}"


def chunks(batches: Iterable[pa.RecordBatch], n_rows: int) -> Iterator[Chunk]:
    """The rows in their order, `n_rows` at a time, the last ones fewer."""
    number, first = 0, 1
    for rows in _recut(batches, n_rows):
        yield Chunk(number, first, rows)
        number, first = number + 1, first + rows.num_rows


def _recut(batches: Iterable[pa.RecordBatch], n_rows: int) -> Iterator[pa.RecordBatch]:
    waiting: list[pa.RecordBatch] = []
    n_waiting = 0
    for batch in batches:
        begin = 0
        while n_waiting + batch.num_rows - begin >= n_rows:
            end = begin + n_rows - n_waiting
            yield _joined([*waiting, batch.slice(begin, end - begin)])
            waiting, n_waiting, begin = [], 0, end
        if begin < batch.num_rows:
            waiting.append(batch.slice(begin))
            n_waiting += batch.num_rows - begin
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(parts) == 1:
        return parts[0]
    (whole,) = pa.Table.from_batches(parts).combine_chunks().to_batches()
    return whole
