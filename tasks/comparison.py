"""A comparison of choices on the same folds, with intervals that know that folds share their training rows.

    k   folds        s   standard deviation of k values        rho   validation rows per training row of a fold

Folds train on largely the same rows, so their scores depend on each other and s / sqrt(k) is too small an error of
their mean: with 5 folds drawn 3 times over, a test with it told equals apart in 32 % of samples, where 5 % were meant.
The variance of the mean is taken for (1/k + rho) s^2 instead, and k - 1 degrees of freedom (Nadeau and Bengio 2003,
Inference for the Generalization Error, the corrected resampled t-test; for repeated folds Bouckaert and Frank 2004).
That told them apart in 4 %, and in 2 % with 5 folds alone: it is cautious on few folds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from scipy.special import stdtrit

from tasks.evidence import Rung, rung_of
from tasks.metric import METRICS, better
from tasks.records import HoldoutScore, ProblemKind, TrialCounts, TrialResult

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over the folds, and the ends of its 95 % interval; NaN where one fold alone gives none."""

    value: float
    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        """Whether no difference can be told; so too where there is no interval."""
        return not (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Standing:
    """What came of one choice; with an `error` there is nothing else.

    cv: the metric over the folds of its best trial, which is the best of many and so too good, for every search alike.
    difference: to the best choice on the same folds, in the metric's unit; None for the best itself, and for one that
    was judged on other rows. fold_fits and seconds: what all trials together took, seconds being of computing.
    """

    choice: str
    error: str = ""
    cv: Interval | None = None
    difference: Interval | None = None
    holdout: HoldoutScore | None = None
    hyperparameters: Mapping[str, Any] | None = None
    trials: TrialCounts | None = None
    fold_fits: int = 0
    seconds: float = 0.0
    run_id: str = ""
    model_uri: str = ""
    mlflow_url: str = ""


@dataclass(frozen=True)
class Comparison:
    """What a comparison gives, the same in Python and, as one JSON object, with `output=json`. The keys are public.

    best: the choice with the best score over the folds, None where all failed. indistinguishable: those whose
    difference to it may be the luck of the draw. plot: a PNG file, '' where all failed. run_id: of the MLflow run that
    holds those of the choices. report: an HTML file, '' where it could not be made.
    """

    problem: ProblemKind
    metric: str
    split: str
    n_folds: int
    best: str | None
    indistinguishable: tuple[str, ...]
    choices: tuple[Standing, ...]
    plot: str
    run_id: str
    mlflow_url: str
    report: str = ""

    @property
    def failed(self) -> tuple[Standing, ...]:
        return tuple(one for one in self.choices if one.error)


def interval(values: Sequence[float], rho: float) -> Interval:
    """The mean of k values, one of each fold, with its interval. rho: validation rows per training row of a fold."""
    k, mean = len(values), fmean(values)
    if k < 2:
        return Interval(mean, math.nan, math.nan)
    reach = float(stdtrit(k - 1, (1 + LEVEL) / 2)) * standard_error(values, rho)
    return Interval(mean, mean - reach, mean + reach)


def of_metric(metric: str, values: Sequence[float], rho: float) -> Interval:
    """The same of a metric's values, within the bounds of the metric."""
    found, (least, most) = interval(values, rho), METRICS[metric].bounds
    return Interval(found.value, max(found.low, least), min(found.high, most)) if found.low == found.low else found


def error_of_mean(values: Sequence[float]) -> float:
    """s / sqrt(k), by which a score over k folds is told, not compared with another; NaN of one, or where one is."""
    is_known = len(values) > 1 and all(map(math.isfinite, values))
    return stdev(values) / math.sqrt(len(values)) if is_known else math.nan


def standard_error(values: Sequence[float], rho: float) -> float:
    """Of the mean of the values of at least two folds."""
    return stdev(values) * math.sqrt(1 / len(values) + rho)


def difference(ours: Mapping[int, float], theirs: Mapping[int, float], rho: float) -> Interval:
    """The mean of the differences, fold by fold, of two choices' scores by fold."""
    return interval([value - theirs[fold] for fold, value in ours.items()], rho)


def best_among(winners: Mapping[str, TrialResult], metric: str) -> str | None:
    """The choice whose winner has the best score, among those that were judged on all rows and folds where there are
    any; of equals the first. None of none."""
    whole = {name: one for name, one in winners.items() if rung_of(one.proposal) == Rung()} or winners
    best: str | None = None
    for name, one in whole.items():
        best = name if best is None or better(metric, one.score, whole[best].score) else best
    return best


def difference_to(best: TrialResult, one: TrialResult, rho: float) -> Interval | None:
    """Of one winner to the best; None where they were judged on other rows or folds."""
    if rung_of(one.proposal) != rung_of(best.proposal):
        return None
    ours, theirs = ({fold.fold: fold.value for fold in result.folds} for result in (one, best))
    return difference(ours, theirs, rho)
