"""Greedy selection with replacement (Caruana, Niculescu-Mizil, Crew and Ksikes 2004, Ensemble selection from libraries
of models)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.ensemble import Floats, Fold, Weights, best_of, mixture, over_folds, score
from tasks.metric import better

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Greedy:
    """Begins with the best few candidates, then adds, `rounds` times, the one that makes the mean of all so far best.

    The paper's three safeguards: with replacement, so that weights come out; a start from the best few, as many as
    score best; and bagging, where `bags` is above 1. What is given is the best stage of all, so that on the rows it
    chose by it is never worse than the best candidate alone. Departures: at most `size` different candidates, of
    which the start takes half, and limits on what they come to.
    """

    candidates: Annotated[int, Field(ge=1)]
    size: Annotated[int, Field(ge=1)]
    rounds: Annotated[int, Field(ge=0)]
    bags: Annotated[int, Field(ge=1)]
    rows: Annotated[int, Field(ge=2)]
    megabytes: Annotated[float, Field(gt=0)] | None
    milliseconds: Annotated[float, Field(gt=0)] | None

    def n_scored(self, n_candidates: int) -> int:
        return self.bags * n_candidates * (self.rounds + 2)

    def weigh(self, folds: Sequence[Fold], costs: Floats, metric: str, seed: int) -> Floats:
        n = len(costs)
        able = [candidate for candidate in range(n) if self._is_within(_alone(n, candidate), costs)]
        if not able:
            return np.zeros(n)
        stages = [self._grow(folds, bag, costs, metric) for bag in self._bags(able, seed)]
        weights = self._trim(np.mean([counts / counts.sum() for counts in stages], axis=0), costs)
        if self.bags == 1:
            return weights
        single = _alone(n, best_of(metric, {c: score(metric, folds, _alone(n, c)) for c in able}))
        is_worse = better(metric, score(metric, folds, single), score(metric, folds, weights))
        return single.astype(np.float64) if is_worse else weights

    def _bags(self, able: list[int], seed: int) -> list[list[int]]:
        if self.bags == 1:
            return [able]
        random, n = np.random.default_rng(seed), (len(able) + 1) // 2
        return [sorted(random.choice(able, n, replace=False).tolist()) for _ in range(self.bags)]

    def _grow(self, folds: Sequence[Fold], bag: list[int], costs: Floats, metric: str) -> Counts:
        """(n_candidates,) how often each is taken, at the stage that scores best; of equals the first."""
        counts = best = self._start(folds, bag, costs, metric)
        best_score = score(metric, folds, best / best.sum())
        for _ in range(self.rounds):
            able = [candidate for candidate in bag if self._is_within(_with(counts, candidate), costs)]
            scores = _scores_with(folds, counts, able, metric)
            added = best_of(metric, scores)
            counts = _with(counts, added)
            if better(metric, scores[added], best_score):
                best, best_score = counts, scores[added]
        return best

    def _start(self, folds: Sequence[Fold], bag: list[int], costs: Floats, metric: str) -> Counts:
        """The best one, the best two ... : as many as score best together, of equals the fewer; at most half of `size`,
        so that there is room for others that are less good alone."""
        counts, stages = np.zeros(len(costs), dtype=np.int64), []
        left = {candidate: score(metric, folds, _alone(len(costs), candidate)) for candidate in bag}
        while left and np.count_nonzero(counts) < (self.size + 1) // 2:
            candidate = best_of(metric, left)
            del left[candidate]
            if self._is_within(_with(counts, candidate), costs):
                counts = _with(counts, candidate)
                stages.append(counts)
        return stages[best_of(metric, {n: score(metric, folds, stage / stage.sum()) for n, stage in enumerate(stages)})]

    def _is_within(self, weights: Weights, costs: Floats) -> bool:
        used = np.flatnonzero(weights)
        limits = [np.inf if limit is None else limit for limit in (self.megabytes, self.milliseconds)]
        return len(used) <= self.size and bool(np.all(costs[used].sum(axis=0) <= limits))

    def _trim(self, weights: Floats, costs: Floats) -> Floats:
        """Without the lightest, of equals the last, until the limits are held."""
        while not self._is_within(weights, costs):
            used = np.flatnonzero(weights)
            lightest = used[len(used) - 1 - np.argmin(weights[used][::-1])]
            weights = np.where(np.arange(len(weights)) == lightest, 0, weights)
        return np.asarray(weights / weights.sum())


def _scores_with(folds: Sequence[Fold], counts: Counts, able: Iterable[int], metric: str) -> dict[int, float]:
    """The score with each candidate added once more; the sum of those that are in is made once."""
    n = int(counts.sum())
    sums = [mixture(fold, counts) for fold in folds]
    return {
        candidate: over_folds(
            metric,
            folds,
            [(so_far + fold.predictions[candidate]) / (n + 1) for fold, so_far in zip(folds, sums, strict=True)],
        )
        for candidate in able
    }


def _with(counts: Counts, candidate: int) -> Counts:
    more = counts.copy()
    more[candidate] += 1
    return more


def _alone(n_candidates: int, candidate: int) -> Counts:
    return _with(np.zeros(n_candidates, dtype=np.int64), candidate)
