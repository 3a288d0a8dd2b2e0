"""Which of several settings is taken, from their scores by fold: the best, or the cheapest that is as good.

    C   settings        K   folds        values   (..., C, K); the leading axes, if any, are resamples
    rho validation rows per training row of a fold

Two settings are as good where the corrected resampled t-test (Nadeau and Bengio 2003, Inference for the Generalization
Error) of their differences, fold by fold, tells no difference at 5 %: the variance of the mean difference is taken for
(1/K + rho) s^2, since folds share their training rows. On few folds it is cautious, and much counts as tied.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LEVEL = 0.95


def best(values: Floats, sign: int) -> Integers:
    """(...,) the place of the best mean over the folds that are defined; of equals the first. sign: of the metric."""
    means = sign * mean(values)
    return np.asarray(np.argmax(np.where(np.isnan(means), -np.inf, means), axis=-1))


def simplest(values: Floats, ranks: Integers, sign: int, rho: float) -> Integers:
    """(...,) the place of the cheapest setting that can't be told from the best. ranks: (C,) 0 for the cheapest."""
    return np.asarray(np.argmin(np.where(tied(values, sign, rho), ranks, np.max(ranks) + 1), axis=-1))


def tied(values: Floats, sign: int, rho: float) -> npt.NDArray[np.bool_]:
    """(..., C) whether no difference to the best can be told. On one fold alone nothing can be tested, and only equals
    are tied."""
    place = best(values, sign)[..., None, None]
    behind = sign * (np.take_along_axis(values, place, axis=-2) - values)
    gap = mean(behind)
    k = np.sum(~np.isnan(behind), axis=-1)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of a setting without a defined fold
        spread = np.nanstd(behind, axis=-1, ddof=1)
        error = np.where(k > 1, spread * np.sqrt(1 / np.maximum(k, 1) + rho), 0.0)
        reach = stdtrit(np.maximum(k - 1, 1), (1 + LEVEL) / 2) * error
    return np.asarray(gap <= reach)


def mean(values: Floats) -> Floats:
    """(...,) the mean over the folds on which the metric is defined; NaN where it is on none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the empty mean
        return np.asarray(np.nanmean(values, axis=-1))
