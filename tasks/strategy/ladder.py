"""The ladder: strategies from cheap to dear on the same folds, until a step is unlikely to pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated

import numpy as np
from pydantic import Field

from tasks.comparison import standard_error
from tasks.metric import METRICS, Floats

# What trains nothing of the base, or next to nothing: that it brings no gain says nothing of dearer steps.
NO_STEPS = ("as_is", "from_scratch", "recalibrate")
SHARE_OF_ROUNDS = 1 / 3  # of the trials of the rung that is tuned all the way: what all others together may have


@dataclass(frozen=True)
class Ladder:
    """The rule by which it is climbed; no clock decides anything.

    rungs: strategies, cheap ones first. patience: steps in a row without gain after which climbing ends. reach:
    standard errors of the best first trial within which a rung's own must come for the rung to be tuned.
    trial_seconds and least_trials: how many trials it then gets at most; a rung of which not even one trial fits is
    dear, and is looked at on one fold first.
    """

    rungs: Annotated[tuple[str, ...], Field(min_length=1)]
    patience: Annotated[int, Field(ge=1)]
    reach: Annotated[float, Field(ge=0)]
    trial_seconds: Annotated[float, Field(gt=0)]
    least_trials: Annotated[int, Field(ge=1)]

    def n_trials(self, most: int, seconds: float) -> int:
        """Of a rung whose trial takes so many seconds on one core by its family's rule of thumb."""
        return max(min(most, self.least_trials), min(most, int(self.trial_seconds / max(seconds, 1e-9))))

    def is_within_reach(
        self, values: Mapping[int, float], best: Mapping[int, float], metric: str, rho: float
    ) -> bool:
        """Whether a rung whose first trial has these scores, by fold, is worth tuning. best: of all rungs."""
        return not beats(best, values, metric, rho, self.reach)

    def is_over(self, scores: Sequence[tuple[str, Mapping[int, float]]], metric: str, rho: float) -> bool:
        """Whether the last steps brought nothing. scores: of the rungs so far, in their order, by fold."""
        idle, best = 0, None
        for name, values in scores:
            is_gain = best is None or beats(values, best, metric, rho)
            idle = idle if name in NO_STEPS else 0 if is_gain else idle + 1
            best = values if is_gain and name != "from_scratch" else best
        return idle >= self.patience


def rounds(n_rungs: int, n_trials: int) -> list[tuple[int, int]]:
    """How many rungs are left in each round of their tuning, and how many more trials each of these gets then: in every
    round half as many rungs as in the one before (sequential halving, Karnin et al. 2013), down to two, and about as
    many trials in all. Together they have `SHARE_OF_ROUNDS` of n_trials; where that doesn't pay for one trial each,
    fewer rungs begin, but two at least."""
    most = SHARE_OF_ROUNDS * n_trials
    while n_rungs > 2 and sum(_halved(n_rungs)) > most:
        n_rungs -= 1
    sizes = _halved(n_rungs) if n_trials else []
    return [(size, max(1, int(most / (len(sizes) * size)))) for size in sizes]


def _halved(n: int) -> list[int]:
    return [n, *_halved(-(-n // 2))] if n > 1 else []


def chosen(scores: Mapping[str, Mapping[int, float]], metric: str, rho: float) -> str:
    """The cheapest strategy that is no more than one standard error of their paired difference behind the best one
    (Breiman et al. 1984, the one-standard-error rule). scores: by fold, of strategies from cheap to dear."""
    best = best_of(scores, metric)
    return next(name for name, values in scores.items() if name == best or not beats(scores[best], values, metric, rho))


def cheapest(losses: Mapping[str, Floats]) -> str:
    """The first strategy than which none has clearly lower losses: by more than one standard error of the mean paired
    difference of rows, (n_rows,) each. losses: of the same rows, of strategies from cheap to dear."""
    best = min(losses, key=lambda name: losses[name].mean())

    def is_tied(own: Floats) -> bool:
        behind = own - losses[best]
        return bool(behind.mean() <= behind.std() / np.sqrt(len(behind)))

    return next(name for name, own in losses.items() if is_tied(own))


def best_of(scores: Mapping[str, Mapping[int, float]], metric: str) -> str:
    """The strategy with the best mean over its folds; of equals the cheapest."""
    return max(scores, key=lambda name: METRICS[metric].sign * fmean(scores[name].values()))


def beats(
    ours: Mapping[int, float], theirs: Mapping[int, float], metric: str, rho: float, errors: float = 1.0
) -> bool:
    """Whether ours are better by more than so many standard errors of the difference, which know that folds share rows
    (Nadeau and Bengio 2003). rho: validation rows per training row of a fold."""
    gains = [METRICS[metric].sign * (value - theirs[fold]) for fold, value in ours.items()]
    return fmean(gains) > (errors * standard_error(gains, rho) if len(gains) > 1 else 0.0)
