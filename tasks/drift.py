"""Drift: how far rows are from those that a model was trained on, column by column, from counts alone.

A column of the reference is cut into bins once (`tasks/histogram.py`), so that a table of any size is a few hundred
numbers, and the counts of batches add up.

Whether a column drifted is asked twice, for a test alone calls any trifle significant among millions of rows, and an
effect alone any luck large among few:

- a test on the counts: Kolmogorov and Smirnov's for numbers (`scipy.stats.kstwo`, as `ks_2samp` has it; on bins its
  distance can only be smaller, so the test errs to the quiet side), Pearson's chi-square for levels and for numbers of
  few values, Fisher's for levels that the reference lacks and for missing values. Corrected over all columns by Holm
  (1979), which holds however they hang together; Benjamini and Hochberg (1995) bounds the share of false ones among
  those named, at the price of an assumption about that;
- the population stability index as the size of the effect, less what chance alone makes of it: without drift it is
  (cells - 1)(1/n + 1/m) in the mean (Yurdakul and Naranjo 2020). .1 and .25 are credit scoring's folklore for a
  moderate and a large shift; a normal law that moved by .3 and .5 of its standard deviation has them.

Rows are taken for independent: of series that go on slowly (weather, prices) any short stretch is unlike a year.

    n   rows of the reference        m   rows that are compared        cells   bins, and one for missing values
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.histogram import Histogram
from tasks.holm import holm

Integers = NDArray[np.int64]

FEW_VALUES = 20  # a number of no more different values is tested by the chi-square, on which Kolmogorov's is too quiet
PSI_CELLS = 10  # of equally many rows of the reference, as is usual
FEWEST_EXPECTED = 5  # rows in a cell; those with fewer are put together (Cochran 1954), for the law is none there


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


def drifts(
    reference: Mapping[str, Histogram], counts: Mapping[str, Histogram], *, false_alarms: float, psi: float
) -> tuple[Drift, ...]:
    """Each column that was counted against the reference, those that drifted first, and of these the farthest.

    false_alarms: the share of tables without any drift in which a column may be called drifted, over all columns. psi:
    the effect from which a column is. Columns of no rows on either side are left out.
    """
    sides = [(name, reference[name], now) for name, now in counts.items() if now.n_rows and reference[name].n_rows]
    p = [_p_value(was, now) for _, was, now in sides]
    found = []
    for (name, was, now), alone, adjusted in zip(sides, p, holm(p), strict=True):
        effect = excess_psi(*_for_psi(was, now))
        shares = (was.missing / was.n_rows, now.missing / now.n_rows)
        is_drifted = adjusted <= false_alarms and effect >= psi
        found.append(Drift(name, effect, alone, adjusted, now.n_rows, _unseen(was, now), shares, is_drifted))
    return tuple(sorted(found, key=lambda one: (not one.is_drifted, -one.psi, one.name)))


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


def _cells(column: Histogram) -> Integers:
    """(bins + 1,) the counts, and last of all those of missing values."""
    return np.array([*column.counts, column.missing], dtype=np.int64)


def _is_ordered(column: Histogram) -> bool:
    return column.kind != "level" and len(column.bounds) > FEW_VALUES + 1


def _p_value(before: Histogram, after: Histogram) -> float:
    """Of the column alone: of two tests the smaller p, doubled for their number (Bonferroni)."""
    was, now = _cells(before), _cells(after)
    if _is_ordered(before):
        parts = _ks(was[:-1], now[:-1]), _share(was, now, -1)
    else:
        parts = _chi_square(was, now), _share(was, now, -2 if before.kind == "level" else -1)
    return min(1.0, 2 * min(parts))


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
    good, rest = table[:, :n_good], table[:, n_good:].sum(axis=1, keepdims=True)
    if not rest.sum():
        return good
    if n_good and rest.sum() * share < FEWEST_EXPECTED:
        return np.concatenate([good[:, :-1], good[:, -1:] + rest], axis=1)
    return np.concatenate([good, rest], axis=1)


def _share(was: Integers, now: Integers, cell: int) -> float:
    """Fisher's exact test of one cell against all others."""
    if not was[cell] and not now[cell]:
        return 1.0
    table = [[int(one[cell]), int(one.sum() - one[cell])] for one in (was, now)]
    return float(stats.fisher_exact(table).pvalue)


def _for_psi(before: Histogram, after: Histogram) -> tuple[Integers, Integers]:
    """The counts before and now; of ordered numbers in cells of about equally many rows of the reference."""
    was, now = _cells(before), _cells(after)
    if not _is_ordered(before):
        return was, now
    below = np.cumsum(was[:-1]) - was[:-1]
    cell = np.minimum(below * PSI_CELLS // max(1, int(was[:-1].sum())), PSI_CELLS - 1)
    cell = np.append(cell, PSI_CELLS)
    sums = [np.bincount(cell, weights=one, minlength=PSI_CELLS + 1).astype(np.int64) for one in (was, now)]
    return sums[0], sums[1]


def _unseen(before: Histogram, after: Histogram) -> float:
    """Of levels those beyond the share that the reference has of others than it tells apart."""
    if before.kind == "level":
        return max(0.0, after.counts[-1] / after.n_rows - before.counts[-1] / before.n_rows)
    beyond = after.counts[0] + after.counts[-1] if before.bounds else after.counts[0]
    return beyond / after.n_rows
