"""CSV and TSV: delimiter, header and numbers found out, and not one row or digit lost on the way."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tasks.refusal import Refusal
from tasks.source._table import NoRows, Unreadable, listed, refuse_duplicates

if TYPE_CHECKING:
    from _csv import Reader

_USUAL = {"csv": ",", "tsv": "\t"}
_DELIMITERS = (",", "\t", ";", "|")
SAMPLE_BYTES = 1 << 20  # characters for finding the delimiter: the header of 10,000 columns is 100,000 characters
BLOCK_BYTES = 1 << 24  # bytes; no row may be longer than a block, and fewer than 4 MiB are slower
# A number only in looks: 00501 is a zip code, and 16 digits and more don't survive as a float.
_CODE = r"^[+-]?(0[0-9]+|[0-9]{16,})$"
_DECIMAL_COMMA = r"^[+-]?[0-9]*(,[0-9]+)?$"
_THOUSANDS = r"^[+-]?[0-9]{1,3},[0-9]{3}$"


@dataclass(frozen=True)
class Layout:
    """How the text is cut into fields."""

    delimiter: str
    columns: list[str] | None
    is_quoted: bool = True


def read(text: bytes, *, kind: str, delimiter: str | None, columns: list[str] | None) -> tuple[pa.Table, list[str]]:
    """The table (n_rows, n_columns), and what was found out about it.

    Everything is read as text first, and typed as whole columns: inference from a first block, as pandas and Arrow
    do it, meets the odd value too late or swallows leading zeros. 500,000 x 30 cells take 1.5 s on two cores.

    Raises:
        Unreadable: no rows, ragged lines, a column name that occurs twice.
        Refusal: `columns` or `delimiter` that don't fit the file.
    """
    layout, notes = layout_of(text, kind, delimiter, columns)
    table, is_quoted = _fields(text, layout)
    if not is_quoted:
        notes.append('quotes (") belong to the values: they do not pair up')
    names, more = names_of(table.column_names, has_header=columns is None)
    if table.num_rows == 0:
        raise NoRows("there is a header line but no rows; give a table with at least one row")
    typed = [typed_column(raw, may_have_decimal_comma=layout.delimiter != ",") for raw in table.columns]
    said = notes_on_types(dict(zip(names, typed, strict=True)))
    return pa.table([one.values for one in typed], names=names), notes + more + said


def layout_of(text: bytes, kind: str, delimiter: str | None, columns: list[str] | None) -> tuple[Layout, list[str]]:
    """How the text, of which a beginning is enough, is cut into fields, and what to say about it."""
    if delimiter is not None and len(delimiter) != 1:
        raise Refusal(f"source.delimiter={delimiter!r} must be one character; leave it out to find out.")
    layout = Layout(delimiter or _delimiter(text, kind, columns), columns)
    notes = [] if layout.delimiter in {_USUAL[kind], delimiter} else [f"delimiter {layout.delimiter!r}"]
    _check_columns(next(_records(_sample(text), layout), []), columns)
    return layout, notes


def _sample(text: bytes) -> str:
    """The beginning of the text, whole lines only."""
    sample = text[:SAMPLE_BYTES].decode(errors="ignore")
    return sample if len(text) <= SAMPLE_BYTES else sample[: sample.rfind("\n") + 1] or sample


@contextmanager
def _long_fields() -> Iterator[None]:
    """Lets csv.reader read fields beyond 128 KiB, as documents are."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _reader(text: str, layout: Layout, *, is_strict: bool = False) -> Reader:
    return csv.reader(
        io.StringIO(text, newline=""),
        delimiter=layout.delimiter,
        quoting=csv.QUOTE_MINIMAL if layout.is_quoted else csv.QUOTE_NONE,
        skipinitialspace=True,
        strict=is_strict,
    )


def _records(text: str, layout: Layout) -> Iterator[list[str]]:
    with _long_fields():
        yield from (row for row in _reader(text, layout) if row)


def _delimiter(text: bytes, kind: str, columns: list[str] | None) -> str:
    """The delimiter that cuts the first hundred records most evenly; among equals the one with the most fields.

    csv.Sniffer is not good enough here: it takes an apostrophe for a quote and a letter for a delimiter.
    """
    sample = _sample(text)
    usual = _USUAL[kind]
    if kind == "tsv" and usual in sample.partition("\n")[0]:
        return usual
    scores: dict[str, tuple[bool, float, int]] = {}
    for delimiter in _DELIMITERS:
        widths = [len(row) for row in islice(_records(sample, Layout(delimiter, columns)), 100)]
        if widths and widths[0] > 1:
            scores[delimiter] = (widths[0] == len(columns or []), widths.count(widths[0]) / len(widths), widths[0])
    return max(scores, key=lambda delimiter: scores[delimiter]) if scores else _unused(sample, usual)


def _unused(sample: str, usual: str) -> str:
    """For a single column: a delimiter that does not occur, so that a sentence stays whole."""
    return next((one for one in (usual, *_DELIMITERS, "\x1f") if one not in sample), "\x1f")


def _check_columns(first: list[str], columns: list[str] | None) -> None:
    if columns is None:
        return
    if len(columns) != len(first):
        raise Refusal(
            f"source.columns names {len(columns)} columns, but the first line of the file has {len(first)} fields "
            f"({listed(first)}); name each one, or leave source.columns out if that line is the header."
        )
    if [value.strip() for value in first] == columns:
        raise Refusal("source.columns repeats the header line that the file has; leave source.columns out.")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise Refusal(f"source.columns names {listed(twice)} more than once; give each column a name of its own.")


def _fields(text: bytes, layout: Layout) -> tuple[pa.Table, bool]:
    """All fields as text (n_rows, n_columns), and whether quotes enclose values in this file.

    A quote that never closes swallows the lines up to the next one, without an error. So where quoted values run
    over lines, their quotes must pair up, or they are no quotes.
    """
    normal = _without_spaces_before_quotes(text, layout)
    table = _cut(normal, layout)
    n_lines = text.count(b"\n") + (not text.endswith(b"\n"))
    is_suspect = table is None or table.num_rows + (layout.columns is None) != n_lines
    if is_suspect and b'"' in text and not _pairs_up(text.decode(), layout):
        layout = replace(layout, is_quoted=False)
        literal = _cut(text, layout)
        if literal is not None:
            return literal, False
    if table is None:
        raise _ragged(text.decode(), layout)
    return table, True


def _without_spaces_before_quotes(text: bytes, layout: Layout) -> bytes:
    """`1, "a, b"` rewritten as `1,"a, b"`: Arrow takes a quote after a space for a part of the value."""
    if f'{layout.delimiter} "'.encode() not in text:
        return text
    rewritten = io.StringIO(newline="")
    csv.writer(rewritten, delimiter=layout.delimiter).writerows(_records(text.decode(), layout))
    return rewritten.getvalue().encode()


def _cut(text: bytes, layout: Layout) -> pa.Table | None:
    """Arrow's cut of the text, or None where lines are ragged."""
    blocks = [BLOCK_BYTES] if len(text) < BLOCK_BYTES else [BLOCK_BYTES, len(text) + 1]  # for rows beyond a block
    for block in blocks:
        try:
            whole = pa.BufferReader(text if text.endswith((b"\n", b"\r")) else text + b"\n")
            return pyarrow.csv.read_csv(whole, *options(layout, block))
        except pa.ArrowInvalid:
            continue
    return None


def options(layout: Layout, block: int) -> tuple[Any, Any, Any]:
    """For Arrow's readers: every field is text. block: bytes, of which no row may have more."""
    return (
        pyarrow.csv.ReadOptions(block_size=min(block, 2**31 - 1), column_names=layout.columns),
        pyarrow.csv.ParseOptions(
            delimiter=layout.delimiter,
            quote_char='"' if layout.is_quoted else False,
            newlines_in_values=layout.is_quoted,
        ),
        pyarrow.csv.ConvertOptions(default_column_type=pa.string()),
    )


def _pairs_up(text: str, layout: Layout) -> bool:
    try:
        with _long_fields():
            return all(True for _ in _reader(text, layout, is_strict=True))
    except csv.Error:
        return False


def _ragged(text: str, layout: Layout) -> Unreadable:
    """Where the first uneven line stands; the line is what an editor counts."""
    expected, uneven = len(layout.columns or []), []
    with _long_fields():
        reader = _reader(text, layout)
        for row in reader:
            expected = expected or len(row)
            if row and len(row) != expected:
                uneven.append((reader.line_num, len(row)))
    if not uneven:
        return Unreadable("can't be cut into fields; is it CSV? The delimiter may be given: source.delimiter")
    (line, found), others = uneven[0], len(uneven) - 1
    also = f", and {others} more lines differ" if others else ""
    return Unreadable(
        f"line {line} has {found} fields where {expected} are expected{also}; correct the lines, or give the "
        f"delimiter if it is not {layout.delimiter!r}: source.delimiter"
    )


def names_of(header: list[str], *, has_header: bool) -> tuple[list[str], list[str]]:
    """The names, trimmed, and notes on them; a column without a name is called by its place."""
    if not has_header:
        return header, []
    trimmed = [name.strip() for name in header]
    names = [name or f"column_{place}" for place, name in enumerate(trimmed, start=1)]
    refuse_duplicates(names, "rename one, or for a file without a header line name them all: source.columns=[...]")
    notes = []
    if names != trimmed:
        notes.append(f"columns without a name are called {listed(name for name in names if name not in trimmed)}")
    numbers = [name for name in names if re.fullmatch(r"[+-]?\d+(\.\d+)?", name)]
    if numbers:
        notes.append(f"the header line holds numbers ({listed(numbers)}); if it is data, give source.columns=[...]")
    return names, notes


@dataclass(frozen=True)
class Typed:
    """A column (n_rows,) with what is worth saying about it."""

    values: pa.ChunkedArray
    has_decimal_comma: bool = False
    has_blanks: bool = False


def typed_column(raw: pa.ChunkedArray, *, may_have_decimal_comma: bool) -> Typed:
    """Numbers where every value is one, else text, trimmed."""
    text = pc.utf8_trim_whitespace(raw)
    present = pc.if_else(pc.equal(text, ""), None, text)
    numbers, has_comma = _numbers(present), False
    if numbers is None and may_have_decimal_comma:
        numbers = _numbers_with_comma(present)
        has_comma = numbers is not None
    if numbers is None:
        return Typed(text)
    return Typed(numbers, has_comma, pc.any(pc.and_(pc.is_null(present), pc.not_equal(raw, ""))).as_py())


def notes_on_types(columns: dict[str, Typed]) -> list[str]:
    with_comma = [name for name, one in columns.items() if one.has_decimal_comma]
    with_blanks = [name for name, one in columns.items() if one.has_blanks]
    notes = [f"decimal comma in {listed(with_comma)}"] if with_comma else []
    return notes + (
        [f"values of only spaces among the numbers of {listed(with_blanks)} are missing"] if with_blanks else []
    )


def _numbers(present: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """int64 or float64 if that loses nothing, else None."""
    if present.null_count == len(present):
        return None
    whole = _cast(present, pa.int64())
    if whole is not None and pc.all(pc.equal(whole.cast(pa.string()), present)).as_py():  # Arrow reads 007 and 0x1F too
        return whole
    if whole is None and (numbers := _cast(present, pa.float64())) is None:
        return None
    if pc.any(pc.match_substring_regex(present, _CODE)).as_py():
        return None
    return numbers if whole is None else _cast(present, pa.float64())


def _numbers_with_comma(present: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """`3,14` as 3.14; None where `1,234` everywhere may as well be a thousand."""
    if not pc.all(pc.match_substring_regex(present, _DECIMAL_COMMA)).as_py():
        return None
    fractions = present.filter(pc.match_substring(present, ","))
    if len(fractions) == 0 or pc.all(pc.match_substring_regex(fractions, _THOUSANDS)).as_py():
        return None
    return _numbers(pc.replace_substring(present, ",", "."))


def _cast(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        return None
