"""The luck of having been selected, and what a score is without it.

Bootstrap bias-corrected cross-validation (BBC-CV; Tsamardinos, Greasidou and Borboudakis 2018, Bootstrapping the
out-of-sample predictions for efficient and accurate cross-validation, algorithm 2): rows are drawn with replacement, a
setting is selected by its out-of-fold predictions for the drawn ones, and scored on those that were not drawn. No model
is trained again.

    C   settings        K   folds        m   resamples        U   units that are drawn: rows, or groups of them

Three departures. A score is the mean over the folds, as the search has it, where the paper pools the rows of all
folds: predictions of different models need not be on one scale (AUC). What is taken off the search's score is the mean,
over resamples, of the difference of the winner and the one selected in that resample, on the same rows that were not
drawn: of a mean over rows that is the paper's number, and of others (f1, RMSE, of a third of a fold's rows) it has not
their bias of few rows, nor the luck of the draws. And the interval is narrowed: of U units some U/e are not drawn, and
a mean over so many of U varies 1.31 = sqrt((1 - 1/e) / (1/e)) times as much as one over U drawn with replacement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tasks import metric as metrics
from tasks.bootstrap import CHUNK_CELLS, drawn, middle
from tasks.metric import Floats, Statistic
from tasks.simplest import mean

Integers = npt.NDArray[np.int64]
Select = Callable[[Floats], Integers]  # (m, C, K) scores on the drawn rows -> (m,) the place of the one selected

N_CELLS = 30_000_000  # settings x rows x resamples, 1 s of a core for an AUC; more where the least resamples need it
MIN_RESAMPLES, MAX_RESAMPLES = 200, 1_000
NARROWED = (math.e - 1) ** -0.5


@dataclass(frozen=True)
class Fold:
    """Validation rows of one fold: units (n,) 0..U-1, what each row belongs to; y and weight: (n,); predictions:
    (C, n) or (C, n, n_classes)."""

    units: Integers
    y: Floats
    weight: Floats | None
    predictions: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Luck:
    """What the winner's score owes to its selection, in the metric's unit (positive: it is too high), and the ends of
    the 95 % interval around a score without it; NaN where they can't be had."""

    optimism: float
    below: float
    above: float


def luck(metric: str, folds: Sequence[Fold], n_units: int, winner: int | None, select: Select, seed: int) -> Luck:
    """By `select`, which is the search's own rule. winner: the place of the one that it took; None: that it takes by
    these rows, where they are not all that it knew. More settings, rows and resamples cost in proportion; the last are
    fewer where there are many of the others."""
    n_cells = len(folds[0].predictions) * sum(len(fold.y) for fold in folds)
    n_resamples = int(np.clip(N_CELLS // max(1, n_cells), MIN_RESAMPLES, MAX_RESAMPLES))
    scorers = [_Scorer(metric, fold) for fold in folds]
    ours, selected = np.empty(n_resamples), np.empty(n_resamples)
    begin = 0
    with threadpool_limits(1, "blas"), np.errstate(all="ignore"):
        if winner is None:
            winner = int(select(np.stack([scorer.all(np.ones((1, n_units))) for scorer in scorers], axis=2))[0])
        for counts in _draws(n_units, n_resamples, seed):
            end = begin + len(counts)
            places = select(np.stack([scorer.all(counts) for scorer in scorers], axis=2))
            left_out = (counts == 0).astype(np.float64)
            ours[begin:end] = mean(np.stack([scorer.one(winner, left_out) for scorer in scorers], axis=1))
            for place in np.unique(places):
                at = np.flatnonzero(places == place)
                values = [scorer.one(int(place), left_out[at]) for scorer in scorers]
                selected[begin + at] = mean(np.stack(values, axis=1))
            begin = end
    is_known = ~np.isnan(ours) & ~np.isnan(selected)
    if not is_known.any():
        return Luck(np.nan, np.nan, np.nan)
    centre = selected[is_known].mean()
    low, high = middle(NARROWED * (selected[is_known] - centre))
    return Luck(float(ours[is_known].mean() - centre), low, high)


class _Scorer:
    """The metric of every setting on one fold, as a function of how often each unit was drawn."""

    def __init__(self, metric: str, fold: Fold) -> None:
        self._fold = fold
        given = (prediction.astype(np.float64) for prediction in fold.predictions)
        self._statistics: list[Statistic] = [metrics.prepared(metric, fold.y, one) for one in given]

    def all(self, counts: Floats) -> Floats:
        """counts: (m, U); gives (m, C)."""
        weights = self._weights(counts)
        return np.stack([statistic(weights) for statistic in self._statistics], axis=1)

    def one(self, place: int, counts: Floats) -> Floats:
        """(m,)"""
        return self._statistics[place](self._weights(counts))

    def _weights(self, counts: Floats) -> Floats:
        weights = np.take(counts, self._fold.units, axis=1)
        return weights if self._fold.weight is None else weights * self._fold.weight


def _draws(n_units: int, n_resamples: int, seed: int) -> Iterator[Floats]:
    """How often each unit is drawn: (at most as many as fit into the cache, U), until all are had."""
    generator, n_chunk = np.random.default_rng(seed), max(1, CHUNK_CELLS // n_units)
    for begin in range(0, n_resamples, n_chunk):
        yield drawn(generator, min(n_chunk, n_resamples - begin), n_units).astype(np.float64)
