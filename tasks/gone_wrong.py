"""Gone wrong: a fit on all training rows that is worse on them than its folds were on rows they had not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.metric import Floats
from tasks.model import Fitted
from tasks.records import FoldScore
from tasks.workspace import Experiment, training_of

N_CHECKED_ROWS, LEAST_CHECKED_ROWS = 20_000, 1_000
N_ERRORS = 3  # standard errors
ROUNDED = 1e-6  # of the cost of a constant: single precision tells 1e-7 apart
CHECKING_WORK = 1e9  # rows x parameters: .2 to 3 s of a core for LightGBM, large models having the most of each


def fault_of(experiment: Experiment, fitted: Fitted, folds: Sequence[FoldScore]) -> str:
    """What is wrong with a fit on all training rows beside the folds of its trial, or nothing."""
    training, loss = training_of(experiment), experiment.loss
    affordable = int(CHECKING_WORK / max(1, fitted.n_parameters))
    X, rows = training.some(min(N_CHECKED_ROWS, max(LEAST_CHECKED_ROWS, affordable)))
    weight = None if training.weight is None else training.weight[rows]
    y, prediction = training.y[rows], fitted.predict(X)
    cost = loss.cost(y, prediction, weight)
    costs = [score.cost for score in folds]
    worst, n = max(costs), sum(len(valid) for _, valid in training.folds)
    if experiment.problem.is_classification:  # of which as few rows without a fault say no more (the rule of three)
        worst = max(worst, 3 / n)
    elif experiment.problem.kind == "regression":  # what is learned exactly misses by what floats are rounded to
        worst = max(worst, ROUNDED * loss.cost(y, np.full(len(y), np.average(y, weights=weight)), weight))
    # Their worst, their spread on top, and by how much both may be off, which is no excuse for more than twice as much.
    off = N_ERRORS * worst * _error(loss.per_sample(y, prediction), n / len(training.folds))
    if cost <= 2 * worst - min(costs) + min(worst, off):
        return ""
    return (
        f"the final fit has a cost of {cost:.4g} on its own training rows, the folds had {min(costs):.4g} to "
        f"{max(costs):.4g} on rows they had not seen"
    )


def _error(losses: Floats, n_valid: float) -> float:
    """The standard error of the difference of a cost of these rows and one of so many others, as a share of it."""
    mean = float(losses.mean())
    return float(losses.std()) / mean * (1 / len(losses) + 1 / n_valid) ** 0.5 if mean > 0 else 0.0
