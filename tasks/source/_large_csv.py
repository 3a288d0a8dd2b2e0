"""A large CSV or TSV, column by column: the same table as `_csv.read` gives, of which only a column is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.csv

from tasks.source import _csv
from tasks.source._table import NoRows
from tasks.source._text import utf8
from tasks.spool import Kept, Spool

LARGE_BYTES = 64 << 20
BLOCK_BYTES = 1 << 22  # blocks of 16 MiB, read ahead, take four times the memory and no less time


def parts(
    file: pa.NativeFile, spool: Spool, kind: str, delimiter: str | None, columns: list[str] | None
) -> tuple[list[str], list[list[Kept]], list[str]] | None:
    """The names, the typed columns in the spool's parts, and notes. None where the text must be looked at whole: it is
    not in UTF-8, has quotes that may not pair up, or ragged lines.
    """
    sample = file.read(_csv.SAMPLE_BYTES)
    text, encoding = utf8(sample[: sample.rfind(b"\n") + 1], None)
    if encoding != "utf-8":
        return None
    layout, notes = _csv.layout_of(text, kind, delimiter, columns)
    n_lines, has_quotes, has_spaces_before_quotes = _scan(file, layout.delimiter)
    file.seek(0)
    try:
        found, raw, n_rows = _fields(file, spool, layout)
    except pa.ArrowInvalid:
        return None
    if has_spaces_before_quotes or (has_quotes and n_rows + (columns is None) != n_lines):
        return None
    names, more = _csv.names_of(found, has_header=columns is None)
    typed, said = [], {}
    for name, column in zip(names, raw, strict=True):
        texts = [spool.get(part) for part in column]
        one = _csv.typed_column(pa.chunked_array(texts), may_have_decimal_comma=layout.delimiter != ",")
        typed.append([spool.put(part) for part in _cut_alike(one.values, texts)])
        said[name] = replace(one, values=pa.chunked_array([], one.values.type))  # a slice would keep all of it
    return names, typed, notes + more + _csv.notes_on_types(said)


def _cut_alike(values: pa.ChunkedArray, like: list[pa.Array]) -> Iterator[pa.Array]:
    """Arrow's functions make few chunks of many."""
    begin = 0
    for one in like:
        yield values.slice(begin, len(one)).combine_chunks()
        begin += len(one)


def batches(names: list[str], columns: list[list[Kept]], spool: Spool) -> Iterator[pa.RecordBatch]:
    for part in zip(*columns, strict=True):
        yield pa.record_batch([spool.get(one) for one in part], names=names)


def _scan(file: pa.NativeFile, delimiter: str) -> tuple[int, bool, bool]:
    """How many lines there are, whether there is a quote, and whether one stands after a space."""
    spaced, before = f'{delimiter} "'.encode(), b""
    n_lines, has_quotes, has_spaced = 0, False, False
    file.seek(0)
    while block := file.read(BLOCK_BYTES):
        n_lines += block.count(b"\n")
        has_quotes = has_quotes or b'"' in block
        has_spaced = has_spaced or (has_quotes and spaced in before[1 - len(spaced) :] + block)
        before = block
    return n_lines + (not before.endswith(b"\n")), has_quotes, has_spaced


def _fields(file: pa.NativeFile, spool: Spool, layout: _csv.Layout) -> tuple[list[str], list[list[Kept]], int]:
    """The header, each column's parts as text, and the number of rows."""
    reader, n_rows = pyarrow.csv.open_csv(file, *_csv.options(layout, BLOCK_BYTES)), 0
    columns: list[list[Kept]] = [[] for _ in reader.schema]
    for batch in reader:
        n_rows += batch.num_rows
        if batch.num_rows:
            for column, values in zip(columns, batch.columns, strict=True):
                column.append(spool.put(values))
    if not n_rows:
        raise NoRows("there is a header line but no rows; give a table with at least one row")
    return reader.schema.names, columns, n_rows
