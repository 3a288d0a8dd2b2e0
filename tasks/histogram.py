"""Histograms of columns over bins that are fixed once, so that counts of many batches add up to those of all rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

N_BINS = 100  # of numbers: a distance of Kolmogorov and Smirnov, taken at the edges alone, is short by 0.01 at most
FEW_ROWS = 100  # of fewer all are counted
N_LEVELS = 100  # the most frequent ones; all others are counted as one

Kind = Literal["number", "level", "length"]


@dataclass(frozen=True)
class Histogram:
    """bounds: of numbers, and of lengths of text in characters, the edges in ascending order, n of them make n + 1
    bins: bin i holds edges[i - 1] < x <= edges[i]. Of levels these, and a last bin for all others. counts: (n + 1,).
    missing: cells without a value, which are in no bin."""

    name: str
    kind: Kind
    bounds: tuple[float, ...] | tuple[str, ...]
    counts: tuple[int, ...]
    missing: int

    @property
    def n_rows(self) -> int:
        """How many were counted, missing ones too."""
        return sum(self.counts) + self.missing

    def counted(self, values: pd.Series[Any]) -> Histogram:
        """Other values in the same bins. values: (n_rows,) numbers, or text for levels and lengths; missing is NaN."""
        known = values.dropna()
        counts = np.bincount(self._places(known), minlength=len(self.bounds) + 1)
        return replace(self, counts=tuple(counts.tolist()), missing=len(values) - len(known))

    def __add__(self, other: Histogram) -> Histogram:
        """Raises ValueError for a histogram with other bins."""
        if (self.name, self.kind, self.bounds) != (other.name, other.kind, other.bounds):
            raise ValueError(f"{self.name} was counted in other bins than {other.name}")
        counts = tuple(mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True))
        return replace(self, counts=counts, missing=self.missing + other.missing)

    def thinned(self, share: float) -> Histogram:
        """As if only this share of the rows had been counted, spread alike."""
        cells = np.diff(np.round(np.cumsum([0, *self.counts, self.missing]) * share)).astype(np.int64).tolist()
        return replace(self, counts=tuple(cells[:-1]), missing=cells[-1])

    def _places(self, known: pd.Series[Any]) -> npt.NDArray[np.int64]:
        if self.kind == "level":
            found = pd.Index(self.bounds, dtype="str").get_indexer(pd.Index(known.astype("str")))
            return np.where(found < 0, len(self.bounds), found).astype(np.int64)
        return np.searchsorted(np.array(self.bounds, dtype=np.float64), _numbers(known, self.kind)).astype(np.int64)

    @classmethod
    def of(cls, values: pd.Series[Any], kind: Kind) -> Histogram:
        """Bins made for these values, and the values in them: numbers in up to 100 bins of as many values each, an edge
        at every value that fills more than one; the first bin and the last are of what lies beyond all values.

        Levels are found in every other row and counted in those between. Counted in the rows that they were found in,
        none would be missing there, and other rows of the same kind would seem to have too many new ones.
        """
        if kind == "level" and len(values) >= FEW_ROWS:
            return cls(str(values.name), kind, _levels(values.iloc[::2].dropna()), (), 0).counted(values.iloc[1::2])
        known = values.dropna()
        bounds = _levels(known) if kind == "level" else _edges(_numbers(known, kind))
        return cls(str(values.name), kind, bounds, (), 0).counted(values)


def kind_of(values: pd.Series[Any], text: Sequence[str] = ()) -> Kind:
    """How a column of typed features is counted. text: those that are prose."""
    if pd.api.types.is_numeric_dtype(values):
        return "number"
    return "length" if values.name in text else "level"


def _numbers(known: pd.Series[Any], kind: Kind) -> npt.NDArray[np.float64]:
    return np.asarray(known.str.len() if kind == "length" else known, dtype=np.float64)


def _edges(numbers: npt.NDArray[np.float64]) -> tuple[float, ...]:
    if not len(numbers):
        return ()
    edges = np.unique(np.quantile(numbers, np.arange(N_BINS + 1) / N_BINS, method="inverted_cdf"))
    return (float(np.nextafter(edges[0], -np.inf)), *edges.tolist())


def _levels(known: pd.Series[Any]) -> tuple[str, ...]:
    counts = Counter({str(level): int(n) for level, n in known.value_counts().items()})
    return tuple(sorted(counts, key=lambda level: (-counts[level], level))[:N_LEVELS])
