"""A table in a file: CSV, TSV, Parquet, Feather or JSON, at a path or a URL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from tasks.source import _csv, _json
from tasks.source._bytes import fetch
from tasks.source._secret import masked
from tasks.source._table import Unreadable, plain, refused
from tasks.source._text import utf8

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


@dataclass(frozen=True)
class File:
    """One file as a table; the file is read whole, and once.

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
    def _file(self) -> PurePosixPath:
        file = PurePosixPath(self.path.split("?")[0] if "://" in self.path else self.path)
        return file.with_suffix("") if file.suffix.lower() in {".gz", ".zst"} else file

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows; CSV columns whose every value is a number are numbers, all else in them is text, trimmed.

        Raises:
            Refusal: no file, no permission, no table in it, or `columns` that don't fit it.
        """
        yield from self._read[0].to_batches()

    def notes(self) -> list[str]:
        """Encoding, delimiter and whatever else was found out about a text file, where it isn't the usual."""
        return list(self._read[1])

    @cached_property
    def _read(self) -> tuple[pa.Table, list[str]]:
        try:
            if not self.path:
                raise Unreadable("is empty; name a file")
            data = fetch(self.path)
            table, notes = self._parsed(data, self._kind(data))
            return plain(table), notes
        except Unreadable as error:
            raise refused("path", masked(self.path, self.path), masked(str(error), self.path)) from None

    def _kind(self, data: bytes) -> str:
        """Binary formats by their first bytes, text by the suffix, and without a known one by the first character."""
        for first_bytes, kind in _FIRST_BYTES.items():
            if data.startswith(first_bytes):
                return kind
        return _SUFFIXES.get(self._file.suffix.lower()) or ("json" if data.lstrip()[:1] in b"[{" else "csv")

    def _parsed(self, data: bytes, kind: str) -> tuple[pa.Table, list[str]]:
        if kind not in {"csv", "tsv"} and self.columns is not None:
            raise Unreadable("the file names its columns itself; leave source.columns out")
        if kind in {"parquet", "feather", "stream"}:
            return _columnar(data, kind), []
        text, encoding = utf8(data, self.encoding)
        notes = [] if encoding in {"utf-8", "utf-8-sig", self.encoding} else [f"encoding {encoding}"]
        if kind == "json":
            return _json.read(text), notes
        table, more = _csv.read(text, kind=kind, delimiter=self.delimiter, columns=self.columns)
        return table, notes + more


def _columnar(data: bytes, kind: str) -> pa.Table:
    try:
        table = _opened(pa.BufferReader(data), kind)
        table.validate(full=True)  # Arrow trusts a file's offsets: damaged ones would end the process later
        return table
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise Unreadable(f"the {kind} file is damaged or cut short ({reason}); fetch or write it again") from None


def _opened(buffer: pa.BufferReader, kind: str) -> pa.Table:
    if kind == "parquet":
        return pyarrow.parquet.ParquetFile(buffer).read()
    return pyarrow.ipc.open_stream(buffer).read_all() if kind == "stream" else pyarrow.feather.read_table(buffer)
