"""How sure a metric is: bootstrap intervals of all metrics of a problem, on the same resamples.

    n   rows of the sample             weights     (m, n) float64; how much each row counts in each of m resamples
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.blas import one_thread
from tasks.metric import CLASSES, METRICS, Floats, Statistic, prepared

Integers = NDArray[np.int64]

CHUNK_CELLS = 100_000  # weights held at once, 0.8 MB; 8 MB left the cache and took about twice as long
# Of a million rows, a resample of which takes 0.1 s for all metrics of two classes, 200 resamples are drawn: the ends
# are then sure to a fifth of the metric's standard error, which is small there, instead of to a twelfth.
N_ROWS_DRAWN = 100_000_000
MIN_RESAMPLES = 200
# Rows of a class below which rows are drawn within classes. That takes the classes' shares for known, which they are
# not: intervals of the accuracy held the truth in 78 % of 40 tables, of the log-loss in 85 %. Of 10 rows none is drawn
# in one resample of 20,000.
FEW_OF_A_CLASS = 10


def resamples_for(n_rows: int, at_most: int) -> int:
    """How many resamples a sample of this size is worth."""
    return min(at_most, max(MIN_RESAMPLES, N_ROWS_DRAWN // max(1, n_rows)))


def intervals(
    names: Sequence[str],
    y: Floats,
    prediction: Floats,
    weight: Floats | None = None,
    *,
    groups: ArrayLike | None = None,
    labels: Integers | None = None,
    n_resamples: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """The 95 % percentile bootstrap interval of each metric (Efron 1979); (nan, nan) where there is none.

    Args:
        names: metrics of one problem.
        y, prediction, weight, labels: as in `metric.value`.
        groups: (n,) of anything that sorts; rows of one group are drawn together. Without groups rows are drawn, and
            where a class has few of them (`FEW_OF_A_CLASS`) within each class, so that it is in every resample.
        n_resamples: more of them steady the ends; time grows in proportion, memory doesn't.

    Resamples on which a metric isn't defined are left out for it. On few rows or groups (below about 30) the interval
    is too narrow: it misses the truth more than 1 in 20 times.
    """
    statistics = {name: prepared(name, y, prediction, labels) for name in names}
    is_stratified = _is_stratified(y, groups, are_classes=all(METRICS[name].problems <= CLASSES for name in names))
    values: dict[str, list[Floats]] = {name: [] for name in names}
    with one_thread():  # a product of 100,000 cells is shorter than waking BLAS's threads up
        for weights in _draws(y, weight, groups, is_stratified, n_resamples, seed):
            for name, statistic in statistics.items():
                values[name].append(statistic(weights))
    return {name: middle(np.concatenate(found or [np.empty(0)])) for name, found in values.items()}


def resampled(
    statistic: Statistic,
    y: Floats,
    weight: Floats | None = None,
    *,
    groups: ArrayLike | None = None,
    are_classes: bool,
    n_resamples: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """Numbers that are functions of the rows' weights, (k,), and the same on each resample, (n_resamples, k).

    statistic: gives (m, k) or (m,), which is k = 1. What it gives of one resample is paired: of the same rows. Other
    arguments as in `intervals`; are_classes: y are codes of classes, of which one may have few rows.
    """

    def of(weights: Floats) -> Floats:
        return statistic(weights).reshape(len(weights), -1)

    alone = np.ones(len(y)) if weight is None else weight
    with one_thread(), np.errstate(all="ignore"):
        value = of(alone[None, :].astype(np.float64))[0]
        is_stratified = _is_stratified(y, groups, are_classes=are_classes)
        found = [of(weights) for weights in _draws(y, weight, groups, is_stratified, n_resamples, seed)]
    return value, np.concatenate(found) if found else np.empty((0, len(value)))


def _draws(
    y: Floats, weight: Floats | None, groups: ArrayLike | None, is_stratified: bool, n_resamples: int, seed: int
) -> Iterator[Floats]:
    """The rows' weights in each resample, (at most as many as fit into the cache, n); nothing of one row or group."""
    labels, codes = np.unique(np.arange(len(y)) if groups is None else np.asarray(groups), return_inverse=True)
    if len(labels) < 2:
        return
    strata = [np.flatnonzero(y == code) for code in np.unique(y)] if is_stratified else [np.arange(len(labels))]
    for counts in _resamples(strata, n_resamples, max(1, CHUNK_CELLS // len(y)), seed):
        drawn = counts if groups is None else np.take(counts, codes, axis=1)
        yield drawn * (1.0 if weight is None else weight)


def _is_stratified(y: Floats, groups: ArrayLike | None, *, are_classes: bool) -> bool:
    """Whether rows are drawn within each class. Only where one has few: how many rows each has is luck too, and two
    models that lean towards different classes differ by it."""
    return groups is None and are_classes and np.unique(y, return_counts=True)[1].min(initial=len(y)) < FEW_OF_A_CLASS


def middle(values: Floats) -> tuple[float, float]:
    """The ends of the middle 95 % of the values that are defined."""
    defined = values[~np.isnan(values)]
    low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (np.nan, np.nan)
    return float(low), float(high)


def _resamples(strata: list[Integers], n_resamples: int, n_chunk: int, seed: int) -> Iterator[Floats]:
    """How often each unit is drawn, each within its stratum: (at most n_chunk, n_units) until n_resamples are had."""
    generator = np.random.default_rng(seed)
    for start in range(0, n_resamples, n_chunk):
        counts = np.empty((min(n_chunk, n_resamples - start), sum(map(len, strata))))
        for units in strata:
            counts[:, units] = drawn(generator, len(counts), len(units))
        yield counts


def drawn(generator: np.random.Generator, n_resamples: int, n: int) -> Integers:
    """How often each of n is drawn in n draws with replacement: (n_resamples, n)."""
    draws = generator.integers(n, size=(n_resamples, n), dtype=np.int64)
    draws += np.arange(n_resamples, dtype=np.int64)[:, None] * n
    return np.bincount(draws.ravel(), minlength=n_resamples * n).reshape(n_resamples, n)
