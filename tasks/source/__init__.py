"""Where rows come from: one file per kind of source, each a reader of Arrow record batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pandas as pd
import pyarrow as pa

from tasks.refusal import Refusal
from tasks.source._secret import masked as masked
from tasks.source._table import NoRowsYet as NoRowsYet
from tasks.source._table import column


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


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of the user's with text for names and, where a column mixes types or nests values, text for values.

    Raises:
        Refusal: when a name occurs twice.
    """
    named = frame.rename(columns=str)
    twice = sorted(set(named.columns[named.columns.duplicated()]))
    if twice:
        raise Refusal(f"the frame has several columns of one name: {', '.join(twice)}; rename them.")
    mixed = {
        str(name): column(values.where(values.notna(), None).tolist()).to_pandas()
        for name, values in named.items()
        if values.dtype == object
    }
    return named.reset_index(drop=True).assign(**mixed) if mixed else named


def load(source: Source) -> pa.Table:
    """All rows of the source: (n_rows, n_columns)."""
    return pa.Table.from_batches(list(source.batches()))
