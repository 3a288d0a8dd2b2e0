"""Tables as Parquet that is quick to write and to read part by part."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS_IN_GROUP = 1 << 17
CELLS_IN_GROUP = 1 << 24  # 64 MiB of float32
BUFFER_BYTES = 1 << 20
LARGE_BLOCK_BYTES = 1 << 21  # an array of 250,000 rows; smaller ones stay as quick as they are
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def rows_in_group(n_columns: int) -> int:
    """About 100,000 rows, and fewer of a wide table."""
    return max(1, min(ROWS_IN_GROUP, CELLS_IN_GROUP // max(1, n_columns)))


class Writer:
    """Rows to one file, in groups of one size however they arrive; `with Writer(path, schema) as writer`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Of 1,000,000 x 30 random float32, written / read in s: Arrow's defaults (Snappy, dictionaries) 11.4 / 0.82,
        without dictionaries 1.6 / 0.22, zstd 2.3 / 0.52, LZ4 1.3 / 0.10, bare 1.0 / 0.07. LZ4 makes a table of few
        values small, too. Text keeps its dictionaries."""
        text = [one.name for one in schema if pa.types.is_string(one.type) or pa.types.is_large_string(one.type)]
        self._sink = pa.OSFile(str(path), "wb")  # of its own: a writer that fails to close leaves its file open
        self._file = pq.ParquetWriter(
            self._sink, schema, compression="lz4", use_dictionary=text, write_statistics=False
        )
        self._schema, self._size = schema, rows_in_group(len(schema))
        self._waiting: list[pa.RecordBatch] = []
        self._n_waiting = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._n_waiting += batch.num_rows
        if self._n_waiting >= self._size:
            self._write(self._n_waiting // self._size * self._size)

    def _write(self, n_rows: int) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._file.write_table(table.slice(0, n_rows), row_group_size=self._size)
        self._waiting = table.slice(n_rows).to_batches()
        self._n_waiting -= n_rows

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._n_waiting:
                self._write(self._n_waiting)
            self._file.close()
        except BaseException:
            self._file.is_open = False  # or it would try once more when it is collected
            raise
        finally:
            self._sink.close()


def write(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """At least one batch, all of one schema."""
    every = iter(batches)
    first = next(every)
    with Writer(path, first.schema) as writer:
        writer.write(first)
        for batch in every:
            writer.write(batch)


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with Writer(path, table.schema) as writer:
        for batch in table.to_batches():
            writer.write(batch)


def batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows in their order, about a row group at a time; left to itself Arrow reads a whole file ahead."""
    with pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
        yield from file.iter_batches(rows_in_group(file.metadata.num_columns), columns=columns)


def frames(path: Path) -> Iterator[pd.DataFrame]:
    """The same as `pandas.read_parquet` gives them."""
    for batch in batches(path):
        yield batch.to_pandas(split_blocks=True)


def divide(path: Path, marked: npt.NDArray[np.bool_], into: tuple[Path, Path]) -> None:
    """The rows that are not `marked` (n_rows,), and those that are, each side in its order."""
    schema = pq.read_schema(path)
    with Writer(into[0], schema) as first, Writer(into[1], schema) as second:
        begin = 0
        for batch in batches(path):
            here = pa.array(marked[begin : begin + batch.num_rows])
            first.write(batch.filter(pc.invert(here)))
            second.write(batch.filter(here))
            begin += batch.num_rows


def take(path: Path, rows: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Some rows (n_taken,) of a table, ascending, by their places in it."""
    taken, begin = [], 0
    for batch in batches(path):
        first, last = np.searchsorted(rows, [begin, begin + batch.num_rows])
        taken.append(batch.take(pa.array(rows[first:last] - begin)))
        begin += batch.num_rows
    frame: pd.DataFrame = pa.Table.from_batches(taken).to_pandas()
    return frame


def give_back_memory() -> None:
    """To the operating system: what Arrow's pool keeps of a table of 120 MB that nobody holds any more is 150 MB, and
    the C library keeps as much again (77 MB after 1.2 million rows were binned)."""
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # other systems than Linux with glibc have no such function
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def give_back_large_blocks() -> None:
    """From now on, in this process: a freed block of `LARGE_BLOCK_BYTES` goes back to the operating system at once.

    Left to itself glibc keeps blocks of up to 32 MB once one has been freed, for each thread apart: a search in two
    threads on 800,000 x 30 kept 70 MB so, a sixth of what it held beside its imports, and was no quicker for it.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, LARGE_BLOCK_BYTES)
