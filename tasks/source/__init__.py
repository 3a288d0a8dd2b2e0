"""Where rows come from: one file per kind of source, each a reader of Arrow record batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa


class Source(Protocol):
    """Reads a table as it is: no column is dropped or renamed here, and no value is lost.

    Columns are plain Arrow types (numbers, text, booleans, dates): what is nested arrives as JSON text.
    """

    @property
    def name(self) -> str:
        """A short name of the data (`breast_cancer`, the file's stem); the default name of the model."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in their order, all batches of one schema.

        Raises:
            Refusal: when there is no readable table, naming the key (`source.path`), its value and the remedy.
        """
        ...

    def notes(self) -> list[str]:
        """What was found out on the way and is worth saying aloud (`encoding cp1252`); often nothing.

        Raises:
            Refusal: as `batches`, because finding out takes reading.
        """
        ...


def load(source: Source) -> pa.Table:
    """All rows of the source: (n_rows, n_columns)."""
    return pa.Table.from_batches(list(source.batches()))
