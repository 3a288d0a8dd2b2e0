"""Racing: a trial that is clearly worse than the best one ends before its last fold, or within a fold.

Notation: K folds, of which a trial has run k; d_1 .. d_k its paired differences to the best trial on the same folds
(positive is better); s the spread of such differences.

The mean of all K differences, guessed from the first k, has the standard deviation s sqrt(1/k - 1/K) around the mean
of these k (sampling without replacement). A trial ends when even `z` such deviations would not make it the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

import numpy as np

from tasks.metric import better
from tasks.model import Curve
from tasks.records import TrialResult

N_OTHERS = 2  # complete trials beside the best that must be known before their differences say how large noise is
# Within a fold the last round is a forecast, and so is the last fold's score: never less doubt than after k folds with
# 1/k - 1/K = DOUBT. Without it a replay lost the winner in more than half of all orders.
DOUBT = 0.1
SLACK = 1.3  # a forecast lets each doubling of the rounds gain that many times what the pace so far promises
LEAST_TOLD = 8  # trials, before anything is said of what more would bring
FIRST_ROUND = 40  # of which a quarter must have been seen


@dataclass(frozen=True)
class Race:
    """What a trial runs against: the best complete trial's score on each fold and its mean, and the spread s."""

    best: Mapping[int, float]
    mean: float
    spread: float
    is_higher_better: bool
    z: float

    def is_lost(self, values: Mapping[int, float], doubt: float = 0.0) -> bool:
        """Whether a trial with these scores, by fold, is clearly worse than the best one. With all K folds run there
        is nothing left to save, and no doubt but `doubt`."""
        k, n_folds = len(values), len(self.best)
        deviation = self.spread * math.sqrt(max(1 / k - 1 / n_folds, doubt))
        return deviation > 0 and self._difference(values) < -self.z * deviation

    def estimate(self, values: Mapping[int, float]) -> float:
        """The mean over all folds of a trial that ended early: the best one's mean, and the difference so far."""
        difference = self._difference(values)
        return self.mean + (difference if self.is_higher_better else -difference)

    def outlook(self, curve: Curve, rounds: int) -> float | None:
        """What the fold could still reach by so many rounds, or None where that can't be told yet."""
        sign = 1 if self.is_higher_better else -1
        reach = outlook([(n, sign * value) for n, value in curve], rounds)
        return None if reach is None else sign * reach

    def best_of(self, curve: Curve) -> float:
        """The best score of a learning curve."""
        return (max if self.is_higher_better else min)(value for _, value in curve)

    def _difference(self, values: Mapping[int, float]) -> float:
        mean = fmean(value - self.best[fold] for fold, value in values.items())
        return mean if self.is_higher_better else -mean


def outlook(curve: Curve, rounds: int) -> float | None:
    """The best score that a learning curve (higher is better) promises by so many rounds.

    Learning curves flatten: each doubling of the rounds gains less than the one before. So the gains of all doublings
    to come are taken for a geometric series, whose ratio is that of the last two gains times `SLACK`, but at most 1.
    None until `FIRST_ROUND` (of fewer than twice as many, until the middle), and while the curve still steepens (a
    small learning rate begins so).
    """
    n_rounds = curve[-1][0] if curve else 0
    if n_rounds < min(FIRST_ROUND, rounds / 2) or curve[0][0] > n_rounds / 4:
        return None
    looks, best = np.log2([n for n, _ in curve]), np.maximum.accumulate([value for _, value in curve])
    quarter, half, now = np.interp(math.log2(n_rounds) - np.array([2, 1, 0]), looks, best).tolist()
    last, before = now - half, half - quarter
    if last > before or before <= 0:
        return None if last > before else float(now)
    ratio = min(1.0, SLACK * last / before)
    n_doublings = max(0, math.ceil(math.log2(rounds / n_rounds)))
    return float(now + last * sum(ratio**k for k in range(1, n_doublings + 1)))


def best_of(complete: Sequence[TrialResult], metric: str) -> TrialResult | None:
    """The best score among trials that are complete on the same folds; of equals the first."""
    best: TrialResult | None = None
    for result in complete:
        if best is None or better(metric, result.score, best.score):
            best = result
    return best


def likely_gain(complete: Sequence[TrialResult], n_told: int, metric: str) -> float | None:
    """By how much as many trials again would likely improve the best score: what the second half of the `n_told` trials
    did, since the best of n draws grows about as log n. None for too few trials to tell."""
    early = [result for result in complete if result.proposal.number < n_told // 2]
    if n_told < LEAST_TOLD or not early:
        return None
    best, before = best_of(complete, metric), best_of(early, metric)
    assert best is not None
    assert before is not None
    return abs(best.score - before.score)


def race(told: Sequence[TrialResult], n_folds: int, *, is_higher_better: bool, z: float | None) -> Race | None:
    """The race that the next trial runs, against the best one within the limits of those told before it; None without
    enough of them, or z.

    The spread is the median, over complete trials, of the standard deviation of their differences to the best one.
    """
    complete = [one for one in told if one.is_complete(n_folds)]
    rivals = [one for one in complete if one.is_feasible]
    if z is None or n_folds < 2 or len(complete) <= N_OTHERS or not rivals:
        return None
    winner = (max if is_higher_better else min)(rivals, key=lambda one: fmean(fold.value for fold in one.folds))
    best = _values(winner)
    spreads = [
        stdev(value - best[fold] for fold, value in _values(one).items()) for one in complete if one is not winner
    ]
    return Race(best, fmean(best.values()), median(spreads), is_higher_better, z)


def _values(result: TrialResult) -> dict[int, float]:
    return {fold.fold: fold.value for fold in result.folds}
