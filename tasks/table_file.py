"""A table into a file, Parquet or CSV by its ending, part by part, after the rows of an earlier one where asked."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tasks import parquet

SUFFIXES = (".parquet", ".csv")


def unlike(path: Path, schema: pa.Schema) -> str:
    """What keeps rows of this schema from being appended to a file; nothing where all is well."""
    if path.suffix == ".parquet":
        try:
            known = pq.read_schema(path).remove_metadata()
        except pa.ArrowInvalid:
            return "is no Parquet file"
        return "" if known.equals(schema.remove_metadata()) else _differs(_named(known), _named(schema))
    try:
        with path.open(encoding="utf-8") as file:
            header = file.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        return "is no text in UTF-8"
    names = _header(schema)
    return "" if header == names else _differs(header, names)


def write(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema, after: Path | None = None) -> None:
    """path: one that ends like `.parquet` or `.csv`. after: a file of the same columns, whose rows come first."""
    if path.suffix == ".parquet":
        with parquet.Writer(path, schema) as writer:
            for batch in chain(() if after is None else _rows_of(after, schema), batches):
                writer.write(batch)
        return
    with path.open("wb") as file:
        if after is not None:
            with after.open("rb") as earlier:
                shutil.copyfileobj(earlier, file)
                earlier.seek(-1, io.SEEK_END)  # there is a header at least
                file.write(b"" if earlier.read() == b"\n" else b"\n")
        options = pyarrow.csv.WriteOptions(include_header=after is None)
        with pyarrow.csv.CSVWriter(file, schema, write_options=options) as writer:
            for batch in batches:
                writer.write_batch(batch)


def _rows_of(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in parquet.batches(path):
        yield pa.record_batch(batch.columns, schema=schema)


def _header(schema: pa.Schema) -> str:
    return ",".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in schema.names)


def _named(schema: pa.Schema) -> str:
    return ", ".join(f"{one.name} {one.type}" for one in schema)


def _differs(known: str, given: str) -> str:
    return f"has the columns {known}, and these predictions {given}"
