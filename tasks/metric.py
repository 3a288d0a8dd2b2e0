"""The one place that knows metrics: what each measures, for which problems, which way is better.

Every metric is a function of row weights alone once the rows are known, so that its value (one row of weights)
and its bootstrap (a thousand rows of weights, tasks/bootstrap.py) are the same code.

    n   rows of the sample             y           (n,) float64; class codes 0..k-1, or the target
    k   classes                        prediction  (n, k) float64 class probabilities, or (n,) float64 for regression,
                                                   or (n, 2) for generation: a row's loss over the tokens of its
                                                   response, in nats, and their number; y is then its number of bytes
    m   resamples                      weights     (m, n) float64, at least 0; how much each row counts in each resample
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tasks.refusal import Refusal, did_you_mean

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]  # weights (m, n) -> values (m,) or (m, k); NaN where not defined
Preparation = Callable[[Floats, Floats], Statistic]  # of y and prediction

CLASSES = frozenset({"binary", "multiclass"})
REGRESSION = frozenset({"regression"})
GENERATION = frozenset({"generation"})
EPS = np.finfo(np.float64).eps


@dataclass(frozen=True)
class Metric:
    """A named number that says how good predictions are; `statistic(y, prediction)` is it as a function of weights."""

    name: str
    problems: frozenset[str]
    is_higher_better: bool
    statistic: Preparation
    is_of_labels: bool = False  # of the class that a row is labelled with, whatever its probabilities are

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is: sign * value is what a search makes large."""
        return 1 if self.is_higher_better else -1

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which its values lie."""
        if not self.is_higher_better:
            return 0.0, math.inf
        return -math.inf if self.name == "r2" else 0.0, 1.0


def label_predictions(prediction: Floats) -> Integers:
    """The code of the most probable class of each row, (n,) int64; of equals the lowest code."""
    return np.asarray(np.argmax(prediction, axis=1), dtype=np.int64)


def _then(first: Preparation, last: Callable[[Floats], Floats]) -> Preparation:
    """The metric that is `last` of what `first` gives."""

    def prepare(y: Floats, prediction: Floats) -> Statistic:
        statistic = first(y, prediction)
        return lambda weights: last(statistic(weights))

    return prepare


def _mean(loss: Callable[[Floats, Floats], Floats]) -> Preparation:
    def prepare(y: Floats, prediction: Floats) -> Statistic:
        of_rows = loss(y, prediction)
        return lambda weights: weights @ of_rows / weights.sum(axis=1)

    return prepare


def _surprise(y: Floats, prediction: Floats) -> Floats:
    """-log p(true class), (n,), clipped as scikit-learn does: a sure and wrong prediction costs 36, not infinity."""
    chosen = prediction[np.arange(len(y)), y.astype(np.int64)]
    return np.asarray(-np.log(np.clip(chosen, EPS, 1 - EPS)))


def pinball(level: float, y: Floats, prediction: Floats) -> Floats:
    """(n,) level times what the prediction is too low, or 1 - level times what it is too high."""
    error = y - prediction
    return np.asarray(np.maximum(level * error, (level - 1) * error))


def _relative(y: Floats, prediction: Floats) -> Floats:
    """A fraction, not percent; a target of 0 counts as EPS, so that one such row makes the mean huge."""
    return np.abs(y - prediction) / np.maximum(np.abs(y), EPS)


def _per_token(y: Floats, prediction: Floats) -> Statistic:
    """The loss of all tokens over their number, so that a long response counts as its tokens do."""
    return lambda weights: np.asarray(weights @ prediction[:, 0] / (weights @ prediction[:, 1]))


def _per_byte(y: Floats, prediction: Floats) -> Statistic:
    """The loss in bits over the number of bytes, which doesn't depend on how a tokenizer cuts the text (Gao et al.
    2020, The Pile, section 3.1)."""
    return lambda weights: np.asarray(weights @ prediction[:, 0] / (weights @ y) / np.log(2))


def _r2(y: Floats, prediction: Floats) -> Statistic:
    """Not defined on a constant target, where scikit-learn puts 0 or 1 instead."""
    error = np.square(y - prediction)
    shifted = y - np.median(y)  # the median: exactly 0 on a constant target, and no digits lost on a far-off one

    def statistic(weights: Floats) -> Floats:
        moment = weights @ shifted**2
        spread = moment - (weights @ shifted) ** 2 / weights.sum(axis=1)
        spread[spread <= 1e-12 * moment] = np.nan  # what rounding leaves of a constant target
        return np.asarray(1 - weights @ error / spread)

    return statistic


def _mean_of_defined(values: Floats) -> Floats:
    """The mean over the classes that are there: (m, k), NaN where a class is not defined -> (m,)."""
    return np.asarray(np.nansum(values, axis=1) / np.sum(~np.isnan(values), axis=1))


def _by_class(weights: Floats, codes: Integers, k: int) -> Floats:
    """The weights summed over the rows of each class: (m, k)."""
    cells = codes + k * np.arange(len(weights))[:, None]
    sums = np.bincount(cells.ravel(), weights.ravel(), minlength=len(weights) * k)
    return np.asarray(sums, dtype=np.float64).reshape(-1, k)


def _recall_of_classes(y: Floats, prediction: Floats) -> Statistic:
    """(m, k): hits / rows of the class, NaN for a class that has none."""
    k, code = prediction.shape[1], y.astype(np.int64)
    hit = label_predictions(prediction) == code
    return lambda weights: _by_class(weights * hit, code, k) / _by_class(weights, code, k)


def _f1_of_classes(y: Floats, prediction: Floats) -> Statistic:
    """(m, k): 2 hits / (rows of the class + rows labelled so), NaN for a class that is in neither."""
    k, code, label = prediction.shape[1], y.astype(np.int64), label_predictions(prediction)

    def statistic(weights: Floats) -> Floats:
        hits = _by_class(weights * (label == code), code, k)
        return 2 * hits / (_by_class(weights, code, k) + _by_class(weights, label, k))

    return statistic


def _running(weights: Floats, rows: Integers) -> Floats:
    """The weights of no row, the first row, the first two ... summed up: (m, len(rows) + 1)."""
    sums = np.zeros((len(weights), len(rows) + 1))
    np.cumsum(np.take(weights, rows, axis=1), axis=1, out=sums[:, 1:])
    return sums


def _from_the_top(is_in: NDArray[np.bool_], score: Floats) -> Integers:
    rows = np.flatnonzero(is_in)
    return rows[np.argsort(-score[rows], kind="stable")]


def _binary_roc_auc(is_positive: NDArray[np.bool_], score: Floats) -> Statistic:
    """The share of pairs (positive, negative) in the right order; a tie is half a pair."""
    positive, negative = _from_the_top(is_positive, score), _from_the_top(~is_positive, score)
    n_above = np.searchsorted(-score[negative], -score[positive], side="left")
    n_not_below = np.searchsorted(-score[negative], -score[positive], side="right")

    def statistic(weights: Floats) -> Floats:
        won, negatives = np.take(weights, positive, axis=1), _running(weights, negative)
        above = np.take(negatives, n_above, axis=1) + np.take(negatives, n_not_below, axis=1)
        lost = np.einsum("mp,mp->m", won, above) / 2
        return np.asarray(1 - lost / (won.sum(axis=1) * negatives[:, -1]))

    return statistic


def _binary_average_precision(is_positive: NDArray[np.bool_], score: Floats) -> Statistic:
    """The mean over positives of the precision among all rows that score at least as high."""
    positive, negative = _from_the_top(is_positive, score), _from_the_top(~is_positive, score)
    n_positive = np.searchsorted(-score[positive], -score[positive], side="right")
    n_negative = np.searchsorted(-score[negative], -score[positive], side="right")

    def statistic(weights: Floats) -> Floats:
        positives = _running(weights, positive)
        above = np.take(positives, n_positive, axis=1)
        rows = above + np.take(_running(weights, negative), n_negative, axis=1)
        precision = np.divide(above, rows, out=np.zeros_like(above), where=rows > 0)
        return np.asarray(np.einsum("mp,mp->m", np.diff(positives), precision) / positives[:, -1])

    return statistic


def _one_versus_rest(binary: Callable[[NDArray[np.bool_], Floats], Statistic]) -> Preparation:
    """Of two classes the metric of code 1; of more the mean over the classes that the sample has."""

    def prepare(y: Floats, prediction: Floats) -> Statistic:
        if prediction.shape[1] == 2:
            return binary(y == 1, prediction[:, 1])
        parts = [binary(y == code, prediction[:, code]) for code in np.unique(y).astype(np.int64)]
        return lambda weights: _mean_of_defined(np.stack([part(weights) for part in parts], axis=1))

    return prepare


class _Catalogue(dict[str, Metric]):
    """Metrics by name. `pinball_LEVEL` is there for every level between 0 and 1, and listed for none."""

    def __missing__(self, name: str) -> Metric:
        level = _level(name)
        if level is None:
            raise KeyError(name)
        return Metric(name, REGRESSION, False, _mean(partial(pinball, level)))

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or _level(str(name)) is not None


def _level(name: str) -> float | None:
    prefix, _, number = name.rpartition("_")
    if prefix != "pinball" or not re.fullmatch(r"0?\.\d+", number) or not float(number):
        return None
    return float(number)


METRICS = _Catalogue({
    metric.name: metric
    for metric in (
        Metric("roc_auc", CLASSES, True, _one_versus_rest(_binary_roc_auc)),
        Metric("log_loss", CLASSES, False, _mean(_surprise)),
        Metric("accuracy", CLASSES, True, _mean(lambda y, prediction: label_predictions(prediction) == y), True),
        Metric("balanced_accuracy", CLASSES, True, _then(_recall_of_classes, _mean_of_defined), True),
        Metric("f1", frozenset({"binary"}), True, _then(_f1_of_classes, lambda values: values[:, 1]), True),
        Metric("f1_macro", CLASSES, True, _then(_f1_of_classes, _mean_of_defined), True),
        Metric("average_precision", CLASSES, True, _one_versus_rest(_binary_average_precision)),
        Metric("rmse", REGRESSION, False, _then(_mean(lambda y, prediction: np.square(y - prediction)), np.sqrt)),
        Metric("mae", REGRESSION, False, _mean(lambda y, prediction: np.abs(y - prediction))),
        Metric("r2", REGRESSION, True, _r2),
        Metric("mape", REGRESSION, False, _mean(_relative)),
        Metric("bits_per_byte", GENERATION, False, _per_byte),
        Metric("token_loss", GENERATION, False, _per_token),
        Metric("perplexity", GENERATION, False, _then(_per_token, np.exp)),
    )
})


def default(problem: str) -> str:
    """The metric that `metric=auto` selects on."""
    chosen = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse", "generation": "bits_per_byte"}
    return chosen[problem]


def for_problem(problem: str) -> tuple[str, ...]:
    """The names of all metrics of a problem in the order of a report, its default first."""
    names = [name for name, metric in METRICS.items() if problem in metric.problems]
    return tuple(sorted(names, key=lambda name: name != default(problem)))


def check(name: str, problem: str) -> None:
    """Nothing where the problem can be judged by the metric.

    Raises:
        Refusal: there is no metric of this name, or it is for another kind of problem.
    """
    choices = ", ".join(for_problem(problem))
    also = ", pinball_0.9 (of any level)" * (problem == "regression")
    if name not in METRICS:
        near = did_you_mean(name, METRICS)
        raise Refusal(f"metric={name}: no such metric{near} Choices: auto, {choices}{also}.")
    if problem not in METRICS[name].problems:
        kinds = " and ".join(sorted(METRICS[name].problems))
        raise Refusal(f"metric={name} is for {kinds}; this is a {problem} problem; choose one of {choices}.")


def better(name: str, a: float, b: float) -> bool:
    """Whether `a` is a strictly better value of the metric than `b`; NaN is worse than any number."""
    if np.isnan(a) or np.isnan(b):
        return not np.isnan(a) and bool(np.isnan(b))
    return METRICS[name].sign * (a - b) > 0


def prepared(name: str, y: Floats, prediction: Floats, labels: Integers | None = None) -> Statistic:
    """The metric as a function of weights; NaN, without a warning, where it isn't defined. labels: (n,) codes that the
    rows are labelled with, where these are not the most probable classes."""
    n_axes = 1 if METRICS[name].problems == REGRESSION else 2
    if prediction.ndim != n_axes or len(prediction) != len(y):
        raise ValueError(f"{name} of {len(y)} rows needs {n_axes}-dimensional predictions, got {prediction.shape}")
    if not len(y) or not np.isfinite(prediction).all():
        return lambda weights: np.full(len(weights), np.nan)
    if labels is not None and METRICS[name].is_of_labels:
        prediction = np.eye(prediction.shape[1])[labels]
    with np.errstate(all="ignore"):
        return np.errstate(all="ignore")(METRICS[name].statistic(y, prediction))


def value(
    name: str, y: Floats, prediction: Floats, weight: Floats | None = None, labels: Integers | None = None
) -> float:
    """The metric of the predictions, in its own unit; NaN where it isn't defined (roc_auc of one class, r2 of one row).

    y: (n,) float64; prediction: (n, k) probabilities or (n,) float64, of which one NaN or infinity makes the value NaN;
    weight: (n,) float64, at least 0; None counts every row once. labels: as in `prepared`.

    roc_auc and average_precision of more than two classes are one class against the rest, averaged over the classes
    that the sample has; scikit-learn has no value where a class is missing.

    Raises:
        ValueError: `prediction` has another shape.
    """
    weights = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    return float(prepared(name, y, prediction, labels)(weights[None, :])[0])
