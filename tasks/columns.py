"""A table that is read column by column, so that a run holds one column of it at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tasks import parquet
from tasks.spool import Kept, Spool


class Table(Protocol):
    """What a frame and `Columns` have in common: names and columns, all of one length."""

    def __len__(self) -> int: ...

    def items(self) -> Iterable[tuple[Any, pd.Series[Any]]]: ...


@dataclass(frozen=True)
class Columns:
    """Columns of `n_rows` rows in parts, the same rows in the same part of each; `rows` (n_rows,) marks those that
    count, None all of them."""

    spool: Spool
    n_rows: int
    parts: dict[str, list[Kept]] = field(default_factory=dict)
    rows: npt.NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, batches: Iterable[pa.RecordBatch], spool: Spool) -> Columns:
        """All rows of the batches, put away in the spool."""
        n_rows = 0
        parts: dict[str, list[Kept]] = {}
        for batch in batches:
            n_rows += batch.num_rows
            for name, values in zip(batch.schema.names, batch.columns, strict=True):
                parts.setdefault(name, []).append(spool.put(values))
        return cls(spool, n_rows, parts)

    @property
    def names(self) -> list[str]:
        return list(self.parts)

    def __len__(self) -> int:
        return self.n_rows if self.rows is None else int(self.rows.sum())

    def __getitem__(self, name: str) -> pd.Series[Any]:
        """The column as pandas has it of the whole table: whole numbers are floats where one is missing."""
        column: pd.Series[Any] = pa.chunked_array([self.spool.get(part) for part in self.parts[name]]).to_pandas()
        if self.rows is not None:
            column = column[self.rows].reset_index(drop=True)
        column.name = name  # rename() copies
        return column

    def items(self) -> Iterator[tuple[str, pd.Series[Any]]]:
        for name in self.parts:
            yield name, self[name]

    def where(self, rows: npt.NDArray[np.bool_]) -> Columns:
        """Those rows of all rows."""
        return replace(self, rows=rows)

    def only(self, names: Sequence[str]) -> Columns:
        return replace(self, parts={name: self.parts[name] for name in names})

    def frame(self) -> pd.DataFrame:
        """All of it in memory; for a few columns."""
        return pd.DataFrame(dict(self.items()))

    def write(self, path: Path) -> None:
        """As Parquet, part by part; `rows` must be None."""
        parts = [list(one) for one in zip(*self.parts.values(), strict=True)]
        arrays = ([self.spool.get(one) for one in part] for part in parts)
        parquet.write(path, (pa.record_batch(part, names=self.names) for part in arrays))


class Builder:
    """Columns of features, added one by one in the form in which they are stored."""

    def __init__(self, n_rows: int, n_columns: int, spool: Spool) -> None:
        self._step = parquet.rows_in_group(n_columns)
        self.columns = Columns(spool, n_rows)

    def add(self, name: str, values: pd.Series[Any]) -> None:
        """values: (n_rows,) numbers, or text (dtype str); missing is NaN."""
        is_number = pd.api.types.is_numeric_dtype(values)
        stored = narrow(values.to_numpy()) if is_number else values.array
        parts = (stored[start : start + self._step] for start in range(0, len(stored), self._step))
        kind = None if is_number else pa.string()
        self.columns.parts[name] = [self.columns.spool.put(pa.array(part, kind)) for part in parts]


def narrow(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(n,) float32 where every value is one, else as it was: half of the memory and not a digit lost."""
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    return single if np.array_equal(single, numbers, equal_nan=True) else numbers

