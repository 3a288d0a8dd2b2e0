"""Drift: how far rows are from those that a model was trained on, column by column, from counts alone.

A column of the reference is cut into cells once: a number's by its quantiles, a level is a cell of its own. Rows are
then counted in these cells, so that a table of any size is a few hundred numbers, and the counts of batches add up.

Whether a column drifted is asked twice, for a test alone calls any trifle significant among millions of rows, and an
effect alone any luck large among few:

- a test on the counts: Kolmogorov and Smirnov's for numbers (`scipy.stats.kstwo`, as `ks_2samp` has it; on cells its
  distance can only be smaller, so the test errs to the quiet side), Pearson's chi-square for levels and for numbers of
  few values, Fisher's for levels that the reference lacks and for missing values. Corrected over all columns by Holm
  (1979), which holds however they hang together; Benjamini and Hochberg (1995) bounds the share of false ones among
  those named, at the price of an assumption about that;
- the population stability index as the size of the effect, less what chance alone makes of it: without drift it is
  (cells - 1)(1/n + 1/m) in the mean (Yurdakul and Naranjo 2020). .1 and .25 are credit scoring's folklore for a
  moderate and a large shift; a normal law that moved by .3 and .5 of its standard deviation has them.

Rows are taken for independent: of series that go on slowly (weather, prices) any short stretch is unlike a year.

    n   rows of the reference        m   rows that are compared        counts   (cells + 1,) int64, the last: missing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_EDGES = 51  # quantiles of a number; finer cells make a reference larger and hardly a test more powerful
FEW_VALUES = 20  # up to so many different numbers are levels: Kolmogorov's test is far too quiet on them
MOST_LEVELS = 50  # of a column that are told apart, the most frequent ones; all others are one
PSI_CELLS = 10  # of equally many rows of the reference, as is usual
FEWEST_EXPECTED = 5  # rows in a cell; those with fewer are put together (Cochran 1954), for the law is none there


@dataclass(frozen=True)
class Column:
    """A column of the reference, cut into cells. numeric: cell i holds the values in (edges[i-1], edges[i]], the first
    those below all that were seen, the last those above. levels: a cell for each, and one for all others."""

    name: str
    kind: Literal["numeric", "levels"]
    edges: tuple[float, ...]
    levels: tuple[str, ...]
    counts: tuple[int, ...]

    @property
    def n_rows(self) -> int:
        return sum(self.counts)

    @property
    def is_ordered(self) -> bool:
        """Whether it has so many values that their order counts."""
        return self.kind == "numeric" and len(self.edges) > FEW_VALUES + 1

    def count(self, values: pd.Series[Any]) -> Integers:
        """(cells + 1,) of the rows in each cell. values: (m,) numbers, or text for levels; missing is NaN."""
        is_missing = values.isna().to_numpy()
        if self.kind == "numeric":
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            place = np.searchsorted(np.array(self.edges), numbers[~is_missing], side="left")
            n_cells = len(self.edges) + 1
        else:
            codes = pd.Categorical(values, categories=list(self.levels)).codes.astype(np.int64)
            n_cells = len(self.levels) + 1
            place = np.where(codes < 0, n_cells - 1, codes)[~is_missing]
        counts = np.bincount(place, minlength=n_cells).astype(np.int64)
        return np.append(counts, np.int64(is_missing.sum()))


@dataclass(frozen=True)
class Drift:
    """A column against the reference. psi: less what chance makes of it. p: of this column alone; adjusted: over all
    columns. unseen: share of the rows with a level that the reference lacks, or beyond the numbers that it has.
    missing: the share of missing values, before and now. is_drifted: by the test and by its effect."""

    name: str
    psi: float
    p: float
    adjusted: float
    n_rows: int
    unseen: float
    missing: tuple[float, float]
    is_drifted: bool


def column_of(name: str, values: pd.Series[Any]) -> Column:
    """The cells of a column, and the counts of these very values. values: (n,) as in `Column.count`."""
    if pd.api.types.is_numeric_dtype(values):
        present = values.dropna().to_numpy(dtype=np.float64)
        cut = Column(name, "numeric", _edges(present), (), ())
    else:
        # Of levels that are equally frequent the first by name, so that the same rows give the same cells.
        frequent = values.dropna().astype(str).value_counts().sort_index().sort_values(ascending=False, kind="stable")
        cut = Column(name, "levels", (), tuple(map(str, frequent.index[:MOST_LEVELS])), ())
    return Column(cut.name, cut.kind, cut.edges, cut.levels, tuple(map(int, cut.count(values))))


def reference_of(features: pd.DataFrame) -> dict[str, Column]:
    """The cells of all columns of typed features (n_rows, n_columns)."""
    return {str(name): column_of(str(name), values) for name, values in features.items()}


def counted(reference: Mapping[str, Column], features: pd.DataFrame) -> dict[str, Integers]:
    """The rows of typed features in the reference's cells; columns that are not there are left out. What is counted of
    two batches can be added up."""
    return {name: column.count(features[name]) for name, column in reference.items() if name in features}


def drifts(
    reference: Mapping[str, Column], counts: Mapping[str, Integers], *, false_alarms: float, psi: float
) -> tuple[Drift, ...]:
    """Each column that was counted against the reference, the one with the largest effect first.

    false_alarms: the share of tables without any drift in which a column may be called drifted, over all columns. psi:
    the effect from which a column is. Columns of no rows on either side are left out.
    """
    names = [name for name, now in counts.items() if now.sum() and reference[name].n_rows]
    p = [_p_value(reference[name], counts[name]) for name in names]
    found = []
    for name, alone, adjusted in zip(names, p, holm(p), strict=True):
        column, now = reference[name], counts[name]
        was = np.array(column.counts, dtype=np.int64)
        effect = excess_psi(*_for_psi(column, now))
        shares = (float(was[-1] / was.sum()), float(now[-1] / now.sum()))
        found.append(Drift(
            name, effect, alone, adjusted, int(now.sum()), _unseen(column, now), shares,
            bool(adjusted <= false_alarms and effect >= psi),
        ))  # fmt: skip
    return tuple(sorted(found, key=lambda one: (-one.is_drifted, -one.psi, one.name)))


def holm(p: Sequence[float]) -> list[float]:
    """The p-values corrected for their number: without any effect, one of at most `a` is found in a share of at most `a`
    of all cases, however they hang together (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return [float(value) for value in adjusted]


def excess_psi(was: Integers, now: Integers) -> float:
    """The population stability index of two rows of counts, less its mean without drift; at least 0. Half a row is
    added to each cell: an empty one would make it infinite."""
    is_used = (was + now) > 0
    was, now = was[is_used], now[is_used]
    if len(was) < 2:
        return 0.0
    p, q = ((one + 0.5) / (one.sum() + 0.5 * len(one)) for one in (was, now))
    index = float(((q - p) * np.log(q / p)).sum())
    by_chance = (len(was) - 1) * (1 / was.sum() + 1 / now.sum())
    return max(0.0, index - float(by_chance))


def _edges(present: Floats) -> tuple[float, ...]:
    """Ascending; before them one just below the least value, so that what lies below all has a cell of its own."""
    if not len(present):
        return (0.0,)
    values = np.unique(present)
    if len(values) > FEW_VALUES:
        values = np.unique(np.quantile(present, np.linspace(0, 1, MOST_EDGES), method="inverted_cdf"))
    return (float(np.nextafter(values[0], -np.inf)), *map(float, values))


def _p_value(column: Column, now: Integers) -> float:
    """Of the column alone: of two tests the smaller p, doubled for their number (Bonferroni)."""
    was = np.array(column.counts, dtype=np.int64)
    if column.is_ordered:
        parts = [_ks(was[:-1], now[:-1]), _share(was, now, -1)]
    elif column.kind == "numeric":
        parts = [_chi_square(was, now), _share(was, now, -1)]
    else:
        parts = [_chi_square(was, now), _share(was, now, -2)]
    return min(1.0, len(parts) * min(parts))


def _ks(was: Integers, now: Integers) -> float:
    n, m = int(was.sum()), int(now.sum())
    if not n or not m:
        return 1.0
    distance = float(np.abs(np.cumsum(was) / n - np.cumsum(now) / m).max())
    return float(stats.kstwo.sf(distance, max(1, round(n * m / (n + m)))))


def _chi_square(was: Integers, now: Integers) -> float:
    table = _pooled(np.stack([was, now]))
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def _pooled(table: Integers) -> Integers:
    """(2, cells) with those cells put together in which too few rows are expected of the smaller side."""
    share = table.sum(axis=1).min() / max(1, table.sum())
    table = table[:, np.argsort(-table.sum(axis=0), kind="stable")]
    n_good = int((table.sum(axis=0) * share >= FEWEST_EXPECTED).sum())
    rest = table[:, n_good:].sum(axis=1, keepdims=True)
    good = table[:, :n_good]
    if n_good and rest.sum() * share < FEWEST_EXPECTED:
        good[:, -1:] += rest
        return good
    return np.concatenate([good, rest], axis=1)


def _share(was: Integers, now: Integers, cell: int) -> float:
    """Fisher's exact test of one cell against all others."""
    table = [[int(one[cell]), int(one.sum() - one[cell])] for one in (was, now)]
    if not was[cell] and not now[cell]:
        return 1.0
    return float(stats.fisher_exact(table).pvalue)


def _for_psi(column: Column, now: Integers) -> tuple[Integers, Integers]:
    """The counts before and now; of ordered numbers in cells of about equally many rows of the reference."""
    was = np.array(column.counts, dtype=np.int64)
    if not column.is_ordered:
        return was, now
    share = np.cumsum(was[:-1]) / max(1, was[:-1].sum())
    group = np.minimum((np.concatenate([[0.0], share[:-1]]) * PSI_CELLS).astype(np.int64), PSI_CELLS - 1)
    group = np.append(group, PSI_CELLS)
    sums = [np.bincount(group, weights=one, minlength=PSI_CELLS + 1).astype(np.int64) for one in (was, now)]
    return sums[0], sums[1]


def _unseen(column: Column, now: Integers) -> float:
    if column.kind == "numeric":
        return float((now[0] + now[-2]) / now.sum())
    return float(now[-2] / now.sum()) if not column.counts[-2] else 0.0
