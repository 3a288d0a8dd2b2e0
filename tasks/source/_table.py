"""Plain Arrow columns out of whatever a reader delivers, and what makes a table unusable."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tasks.refusal import Refusal


class Unreadable(Exception):  # noqa: N818 - a fault to be told, as Refusal is
    """What is wrong with a table and the remedy; the source that raises it adds key and value."""


class NoRows(Unreadable):
    """There is no file, or no row in it."""


class NoRowsYet(Refusal):
    """The same, refused; who waits for a table may take it for one that has not come yet."""


def refused(key: str, value: object, fault: str, kind: type[Refusal] = Refusal) -> Refusal:
    """`source.path=tabel.csv: no such file; did you mean 'table.csv'?`"""
    return kind(f"source.{key}={value}: {fault}" + ("" if fault.endswith(("?", ".")) else "."))


def listed(names: Iterable[str], at_most: int = 5) -> str:
    """`'a', 'b' and 7 more`."""
    quoted = [repr(name) for name in names]
    rest = len(quoted) - at_most
    return ", ".join(quoted[:at_most]) + (f" and {rest} more" if rest > 0 else "")


def refuse_duplicates(names: Iterable[str], remedy: str) -> None:
    """Raises Unreadable when a column name occurs twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Unreadable(f"the column name {listed(twice)} occurs more than once; {remedy}")


def plain(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches with categories, decimals and nested values as plain columns, in the same order.

    Raises:
        Unreadable: no columns, no rows, or a column name that occurs twice.
    """
    n_rows = 0
    for batch in batches:
        refuse_duplicates(batch.schema.names, "give each column a name of its own")
        n_rows += batch.num_rows if batch.num_columns else 0
        if batch.num_rows and batch.num_columns:
            yield pa.record_batch([_plain_column(one) for one in batch.columns], names=batch.schema.names)
    if not n_rows:
        raise NoRows("there are no rows in it; give a table with at least one row")


def _plain_column(values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _plain_column(values.cast(kind.value_type))
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return values.cast(pa.float64())
    if pa.types.is_string_view(kind):
        return values.cast(pa.large_string())
    if isinstance(kind, pa.BaseExtensionType):
        return column(values.to_pylist()).cast(_of_extension(kind))
    if pa.types.is_nested(kind) or _is_bytes(kind):
        return column(values.to_pylist()).cast(pa.string())  # a batch without a value has no type of its own
    return values


def _of_extension(kind: pa.BaseExtensionType) -> pa.DataType:
    """The one plain type for all batches of a column, however few values one of them has."""
    storage = kind.storage_type
    if isinstance(kind, pa.Bool8Type):
        return pa.bool_()
    if pa.types.is_floating(storage) or pa.types.is_decimal(storage):
        return pa.float64()
    return pa.int64() if pa.types.is_integer(storage) else pa.string()


def _is_bytes(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_fixed_size_binary,
            pa.types.is_binary_view,
        )
    )


def column(values: Sequence[Any]) -> pa.Array:
    """One Arrow array from Python values of any mix: (n,); None is null.

    Numbers stay numbers (Decimal becomes float), one kind of value stays that kind, and anything else becomes
    text: JSON for what is nested, hexadecimal digits for bytes.
    """
    kinds = {type(value) for value in values} - {type(None)}
    if kinds and kinds <= {int, float, Decimal}:
        return _numbers(values, whole=kinds == {int})
    if len(kinds) <= 1 and kinds <= {str, bool, date, datetime}:
        return pa.array(values)
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _numbers(values: Sequence[Any], *, whole: bool) -> pa.Array:
    try:
        return pa.array(values, pa.int64()) if whole else pa.array([_float(value) for value in values], pa.float64())
    except (OverflowError, pa.ArrowInvalid):  # beyond 64 bits: an identifier, of which no digit may go
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, bool | dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value.isoformat() if isinstance(value, date) else str(value)


def common_type(found: Iterable[pa.DataType]) -> pa.DataType:
    """Of the chunks of one column: text where their types disagree."""
    types = set(found) - {pa.null()}
    if len(types) <= 1:
        return types.pop() if types else pa.null()
    return pa.float64() if types == {pa.int64(), pa.float64()} else pa.string()
