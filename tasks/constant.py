"""What a model that sees no feature predicts: the zero on the scale of every score."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.loss import Loss
from tasks.records import Problem

Floats = npt.NDArray[np.float64]


def constant(train_roles: pd.DataFrame, problem: Problem, loss: Loss, of: Floats) -> Floats:
    """What a model that sees no feature predicts, of the training rows: the classes' shares, or the mean, for mae and
    huber the median, for quantile the quantile of its level; (n_rows,) or (n_rows, n_classes). of: (n_rows,) the target
    of the rows, of which only their number is looked at; but of a text its length, each byte of which is as probable as
    any other, and a token."""
    n_rows = len(of)
    if problem.is_generation:
        return np.stack([np.log(256) * of, of], axis=1)
    y = train_roles["target"].to_numpy(dtype=np.float64)
    weight = train_roles["weight"].to_numpy(dtype=np.float64) if "weight" in train_roles else np.ones(len(y))
    if problem.is_classification:
        shares = np.bincount(y.astype(int), weights=weight, minlength=len(problem.classes)) / weight.sum()
        return np.tile(shares, (n_rows, 1))
    levels = {"mae": 0.5, "huber": 0.5, "quantile": getattr(loss, "level", 0.5)}
    is_mean = loss.name not in levels
    middle = np.average(y, weights=weight) if is_mean else _quantile(y, weight, levels[loss.name])
    return np.full(n_rows, middle)


def _quantile(y: Floats, weight: Floats, level: float) -> float:
    """The least value with at least so large a share of the weight at or below it."""
    order = np.argsort(y, kind="stable")
    below = np.cumsum(weight[order])
    return float(y[order][np.searchsorted(below, below[-1] * level)])
