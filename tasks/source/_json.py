"""Tables in JSON: an object per line, or one array of objects."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from tasks.source._table import Unreadable, column

_REMEDY = "give one object per line, or one array of objects"


def read(text: bytes) -> pa.Table:
    """The objects as rows, their keys as columns in order of appearance: (n_objects, n_keys); an absent key is null.

    Raises:
        Unreadable: what is no JSON, or no object, with its line or place.
    """
    rows = _array(text) if text.lstrip().startswith(b"[") else _lines(text)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table([column([row.get(name) for row in rows]) for name in names], names=names)


def _array(text: bytes) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"is no JSON: {error}; {_REMEDY}") from None
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise Unreadable(f"element {number} of the array is no object; {_REMEDY}")
    return list(rows)


def _lines(text: bytes) -> list[dict[str, Any]]:
    return [_row(line, number) for number, line in enumerate(text.split(b"\n"), start=1) if line.strip()]


def _row(line: bytes, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"line {number} is no JSON: {error}; {_REMEDY}") from None
    if not isinstance(row, dict):
        raise Unreadable(f"line {number} is no JSON object; {_REMEDY}")
    return row
