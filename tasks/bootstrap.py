"""How sure a metric is: bootstrap intervals of all metrics of a problem, on the same resamples.

    n   rows of the sample             weights     (m, n) float64; how much each row counts in each of m resamples
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtrit

from tasks.blas import one_thread
from tasks.metric import Floats, Statistic, prepared

Integers = NDArray[np.int64]

CHUNK_CELLS = 100_000  # weights held at once, 0.8 MB; 8 MB left the cache and took about twice as long
# Of a million rows, a resample of which takes 0.1 s for all metrics of two classes, 200 resamples are drawn: the ends
# are then sure to a fifth of the metric's standard error, which is small there, instead of to a twelfth.
N_ROWS_DRAWN = 100_000_000
MIN_RESAMPLES = 200
N_LEFT_OUT = 200  # parts that are left out in turn; more rows than that are left out several at a time


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
    """The 95 % bootstrap interval of each metric, bias-corrected and accelerated (BCa, Efron 1987); (nan, nan) where
    there is none.

    Args:
        names: metrics of one problem.
        y, prediction, weight, labels: as in `metric.value`.
        groups: (n,) of anything that sorts; rows of one group are drawn together. Rows are not drawn within classes:
            how many each has is luck too, and intervals that took it for known held the truth of the accuracy in 78 %.
        n_resamples: more of them steady the ends; time grows in proportion, memory doesn't.

    Resamples on which a metric isn't defined are left out for it. Percentiles are those of Student's distribution
    (Hesterberg 2015), which widens the interval of few rows or groups; of below about 30 it is too narrow still. Of 100
    rows plain percentiles held the truth of f1 in 91 %, these in 93 % (benchmarks/README.md).
    """
    statistics = {name: prepared(name, y, prediction, labels) for name in names}
    units = _units(y, groups)
    values: dict[str, list[Floats]] = {name: [] for name in names}
    with one_thread():  # a product of 100,000 cells is shorter than waking BLAS's threads up
        for weights in _draws(units, weight, n_resamples, seed):
            for name, statistic in statistics.items():
                values[name].append(statistic(weights))
        return {
            name: _accelerated(np.concatenate(found), statistics[name], units, weight) if found else (np.nan, np.nan)
            for name, found in values.items()
        }


def resampled(
    statistic: Statistic,
    y: Floats,
    weight: Floats | None = None,
    *,
    groups: ArrayLike | None = None,
    n_resamples: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """Numbers that are functions of the rows' weights, (k,), and the same on each resample, (n_resamples, k).

    statistic: gives (m, k) or (m,), which is k = 1. What it gives of one resample is paired: of the same rows. Other
    arguments as in `intervals`.
    """

    def of(weights: Floats) -> Floats:
        return statistic(weights).reshape(len(weights), -1)

    alone = np.ones(len(y)) if weight is None else weight
    with one_thread(), np.errstate(all="ignore"):
        value = of(alone[None, :].astype(np.float64))[0]
        found = [of(weights) for weights in _draws(_units(y, groups), weight, n_resamples, seed)]
    return value, np.concatenate(found) if found else np.empty((0, len(value)))


def _units(y: Floats, groups: ArrayLike | None) -> Integers:
    """(n,) which of the units that are drawn each row belongs to: 0, 1, ..."""
    if groups is None:
        return np.arange(len(y))
    return np.asarray(np.unique(np.asarray(groups), return_inverse=True)[1], dtype=np.int64)


def _draws(units: Integers, weight: Floats | None, n_resamples: int, seed: int) -> Iterator[Floats]:
    """The rows' weights in each resample, (at most as many as fit into the cache, n); nothing of one row or group."""
    n_units = int(units.max(initial=-1)) + 1
    if n_units < 2:
        return
    generator, n_chunk = np.random.default_rng(seed), max(1, CHUNK_CELLS // len(units))
    for start in range(0, n_resamples, n_chunk):
        counts = drawn(generator, min(n_chunk, n_resamples - start), n_units)
        of_rows = counts if n_units == len(units) else np.take(counts, units, axis=1)
        yield np.asarray(of_rows * (1.0 if weight is None else weight), dtype=np.float64)


def _accelerated(
    values: Floats, statistic: Statistic, units: Integers, weight: Floats | None
) -> tuple[float, float]:
    """The interval of a metric from its values on resamples.

    Levels are moved by how often a resample is below the value itself (the bias) and by how skewed the metric is in
    what each row adds to it (the acceleration, by leaving parts out in turn): Efron 1987, equation 3.9 f.
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        return np.nan, np.nan
    alone = np.ones(len(units)) if weight is None else weight
    value, n_units = statistic(alone[None, :].astype(np.float64))[0], int(units.max()) + 1
    below = np.mean(defined < value) + np.mean(defined == value) / 2
    bias = ndtri(np.clip(below, 1 / (len(defined) + 1), len(defined) / (len(defined) + 1)))
    half = np.sqrt(n_units / (n_units - 1)) * stdtrit(n_units - 1, 0.975)
    ends = bias + np.array([-half, half])
    share = ndtr(bias + ends / np.maximum(1 - _acceleration(statistic, units, alone) * ends, 0.1))
    low, high = np.quantile(defined, share)
    return float(low), float(high)


def _acceleration(statistic: Statistic, units: Integers, weight: Floats) -> float:
    """A sixth of the skewness of a sum of what each part adds; 0 where nothing differs."""
    part, n_at_once = units % N_LEFT_OUT, max(1, CHUNK_CELLS // len(units))
    parts = np.unique(part)[:, None]
    without = (np.where(part == parts[i : i + n_at_once], 0.0, weight) for i in range(0, len(parts), n_at_once))
    left = np.concatenate([statistic(weights) for weights in without])
    left = left[~np.isnan(left)]
    apart = left.mean() - left if len(left) else np.zeros(1)
    spread = float((apart**2).sum()) ** 1.5
    return float((apart**3).sum()) / (6 * spread) if spread else 0.0


def middle(values: Floats) -> tuple[float, float]:
    """The ends of the middle 95 % of the values that are defined."""
    defined = values[~np.isnan(values)]
    low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (np.nan, np.nan)
    return float(low), float(high)


def drawn(generator: np.random.Generator, n_resamples: int, n: int) -> Integers:
    """How often each of n is drawn in n draws with replacement: (n_resamples, n)."""
    draws = generator.integers(n, size=(n_resamples, n), dtype=np.int64)
    draws += np.arange(n_resamples, dtype=np.int64)[:, None] * n
    return np.bincount(draws.ravel(), minlength=n_resamples * n).reshape(n_resamples, n)
