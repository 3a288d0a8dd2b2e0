"""Ensembles: how trials are weighed by their predictions for rows that they did not learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tasks import metric as metrics

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64] | npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Validation rows of one fold, or of a part of it, and what each candidate's model of that fold predicts for them.

    rows: (n,) positions among the training rows. y: (n,). weight: (n,) or None. predictions: (n_candidates, n) values
    or (n_candidates, n, n_classes) probabilities, float32 as they are stored. importance: how much the fold counts
    beside the others.
    """

    rows: Rows
    y: Floats
    weight: Floats | None
    predictions: npt.NDArray[np.float32]
    importance: float = 1.0

    def without(self, rows: Rows) -> Fold:
        """The fold less the given rows."""
        kept = ~np.isin(self.rows, rows)
        weight = None if self.weight is None else self.weight[kept]
        return replace(
            self, rows=self.rows[kept], y=self.y[kept], weight=weight, predictions=self.predictions[:, kept]
        )


class Ensemble(Protocol):
    """A way to weigh trials. It keeps nothing between calls.

    candidates: the most trials that it is shown. size: the most of them that it takes. rows: the most validation rows
    that it is shown, all folds together.
    megabytes, milliseconds: the most that the models of all chosen trials may come to; None without a limit.
    """

    candidates: int
    size: int
    rows: int
    megabytes: float | None
    milliseconds: float | None

    def n_scored(self, n_candidates: int) -> int:
        """About how many mixtures of candidates it scores on the rows that it is shown."""
        ...

    def weigh(self, folds: Sequence[Fold], costs: Floats, metric: str, seed: int) -> Floats:
        """(n_candidates,) weights, at least 0, that sum to one; all 0 where no candidate is within the limits.

        costs: (n_candidates, 2) megabytes, and milliseconds per 1,000 rows, of each candidate's models.
        The order of the candidates is that of their trials.
        """
        ...


def score(metric: str, folds: Sequence[Fold], weights: Weights) -> float:
    """The metric of the candidates' weighted mean, averaged over the folds by their importance."""
    return over_folds(metric, folds, [mixture(fold, weights) for fold in folds])


def over_folds(metric: str, folds: Sequence[Fold], predictions: Sequence[Floats]) -> float:
    """The mean over the folds, by their importance, of the metric of a prediction for each."""
    pairs = zip(folds, predictions, strict=True)
    values = [metrics.value(metric, fold.y, prediction, fold.weight) for fold, prediction in pairs]
    return float(np.average(values, weights=[fold.importance for fold in folds]))


def mixture(fold: Fold, weights: Weights) -> Floats:
    """(n,) or (n, n_classes): the candidates' predictions by their weights, which sum to one."""
    used = np.flatnonzero(weights)
    return np.asarray(np.tensordot(weights[used], fold.predictions[used].astype(np.float64), axes=1))


def best_of(metric: str, scores: Mapping[int, float]) -> int:
    """The key of the best score; of equals, and where none is defined, the first."""
    best, *others = scores
    for key in others:
        if metrics.better(metric, scores[key], scores[best]):
            best = key
    return best
