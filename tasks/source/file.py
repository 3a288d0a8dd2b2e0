"""A table in a file: CSV, TSV, Parquet, Feather or JSON, at a path or a URL."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from tasks.refusal import Refusal
from tasks.source import _csv, _json, _large_csv
from tasks.source._bytes import fetch
from tasks.source._secret import masked
from tasks.source._table import NoRows, NoRowsYet, Unreadable, plain, refused
from tasks.source._text import utf8
from tasks.spool import Spool

_FIRST_BYTES = {b"PAR1": "parquet", b"ARROW1": "feather", b"FEA1": "feather", b"\xff\xff\xff\xff": "stream"}
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
    ".ipc": "feather",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}

N_SAMPLED_BYTES = 1 << 16  # of them the first that is no space tells JSON from CSV
_BUFFER_BYTES = 1 << 20  # read at a time of each column
_BATCH_ROWS = 1 << 17
_BATCH_CELLS = 1 << 22  # 32 MiB of float64


@dataclass(frozen=True)
class File:
    """One file as a table.

    path: a local path or any fsspec URL, `.gz` and `.zst` included.
    columns: the names of the columns of a CSV or TSV without a header line; None where it has one.
    delimiter, encoding: of a text file; None finds out.
    """

    path: str
    columns: list[str] | None
    delimiter: str | None
    encoding: str | None

    @property
    def name(self) -> str:
        return self._file.stem

    @property
    def n_rows(self) -> int | None:
        """Of a Parquet file on this machine, whose footer says it; None where it takes reading to know."""
        try:
            return int(pyarrow.parquet.read_metadata(self.path).num_rows)
        except (pa.ArrowException, OSError, ValueError):
            return None

    @property
    def _file(self) -> PurePosixPath:
        file = PurePosixPath(self.path.split("?")[0] if "://" in self.path else self.path)
        return file.with_suffix("") if file.suffix.lower() in {".gz", ".zst"} else file

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows; CSV columns whose every value is a number are numbers, all else in them is text, trimmed.

        Parquet and Feather are read batch by batch. Text is read whole, because a type is decided by all values.

        Raises:
            Refusal: no file, no permission, no table in it, or `columns` that don't fit it; for a file that is damaged
                further down, when the reader comes to it.
        """
        try:
            yield from plain(self._read())
        except Unreadable as error:
            kind = NoRowsYet if isinstance(error, NoRows) else Refusal
            raise refused("path", masked(self.path, self.path), masked(str(error), self.path), kind) from None

    def notes(self) -> list[str]:
        """Encoding, delimiter and whatever else was found out about a text file, where it isn't the usual."""
        if not self._noted:
            for _ in self.batches():
                pass
        return list(self._noted[-1])

    @cached_property
    def _noted(self) -> list[list[str]]:
        """The notes of each reading: they outlive it, the table doesn't."""
        return []

    def _read(self) -> Iterator[pa.RecordBatch]:
        if not self.path:
            raise Unreadable("is empty; name a file")
        with fetch(self.path) as file:
            kind = self._kind(file)
            if kind not in {"csv", "tsv"} and self.columns is not None:
                raise Unreadable("the file names its columns itself; leave source.columns out")
            if kind in {"parquet", "feather", "stream"}:
                self._noted.append([])
                yield from _columnar(file, kind)
                return
            if kind in {"csv", "tsv"} and file.size() > _large_csv.LARGE_BYTES and self.encoding is None:
                with Spool(Path(tempfile.gettempdir())) as spool:
                    found = _large_csv.parts(file, spool, kind, self.delimiter, self.columns)
                    if found is not None:
                        names, columns, notes = found
                        self._noted.append(notes)
                        yield from _large_csv.batches(names, columns, spool)
                        return
                file.seek(0)
            text = file.read()
        table = self._parsed(text, kind)
        del text
        yield from table.to_batches()

    def _kind(self, file: pa.NativeFile) -> str:
        """Binary formats by their first bytes, text by the suffix, and without a known one by the first character."""
        first = file.read(N_SAMPLED_BYTES)
        file.seek(0)
        for first_bytes, kind in _FIRST_BYTES.items():
            if first.startswith(first_bytes):
                return kind
        return _SUFFIXES.get(self._file.suffix.lower()) or ("json" if first.lstrip()[:1] in b"[{" else "csv")

    def _parsed(self, data: bytes, kind: str) -> pa.Table:
        text, encoding = utf8(data, self.encoding)
        notes = [] if encoding in {"utf-8", "utf-8-sig", self.encoding} else [f"encoding {encoding}"]
        more: list[str] = []
        if kind == "json":
            table = _json.read(text)
        else:
            table, more = _csv.read(text, kind=kind, delimiter=self.delimiter, columns=self.columns)
        self._noted.append(notes + more)
        return table


def _columnar(file: pa.NativeFile, kind: str) -> Iterator[pa.RecordBatch]:
    try:
        for batch in _opened(file, kind):
            batch.validate(full=True)  # Arrow trusts a file's offsets: damaged ones would end the process later
            yield batch
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise Unreadable(f"the {kind} file is damaged or cut short ({reason}); fetch or write it again") from None


def _opened(file: pa.NativeFile, kind: str) -> Iterator[pa.RecordBatch]:
    if kind == "parquet":
        # Without a buffer size a whole row group is read at once; pandas writes a million rows in one.
        parquet = pyarrow.parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        rows = max(1, min(_BATCH_ROWS, _BATCH_CELLS // max(1, parquet.metadata.num_columns)))
        yield from parquet.iter_batches(batch_size=rows)
    elif kind == "stream":
        yield from pyarrow.ipc.open_stream(file)
    elif file.read(4) == b"FEA1":
        file.seek(0)
        yield from pyarrow.feather.read_table(file).to_batches()
    else:
        reader = pyarrow.ipc.open_file(file)
        yield from (reader.get_batch(place) for place in range(reader.num_record_batches))
