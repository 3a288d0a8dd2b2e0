"""Gone wrong: a fit on all training rows that is worse on them than its folds were on rows they had not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.model import Fitted
from tasks.records import FoldScore
from tasks.workspace import Experiment, training_of

N_CHECKED_ROWS, LEAST_CHECKED_ROWS = 20_000, 1_000
ROUNDED = 1e-6  # of the cost of a constant: single precision tells 1e-7 apart
CHECKING_WORK = 1e9  # rows x parameters: .2 to 3 s of a core for LightGBM, large models having the most of each


def fault_of(experiment: Experiment, fitted: Fitted, folds: Sequence[FoldScore]) -> str:
    """What is wrong with a fit on all training rows beside the folds of its trial, or nothing."""
    training, loss = training_of(experiment), experiment.loss
    affordable = int(CHECKING_WORK / max(1, fitted.n_parameters))
    X, rows = training.some(min(N_CHECKED_ROWS, max(LEAST_CHECKED_ROWS, affordable)))
    weight = None if training.weight is None else training.weight[rows]
    y = training.y[rows]
    cost = loss.cost(y, fitted.predict(X), weight)
    costs = [score.cost for score in folds]
    worst, n = max(costs), sum(len(valid) for _, valid in training.folds)
    if experiment.problem.is_classification:  # of which as few rows without a fault say no more (the rule of three)
        worst = max(worst, 3 / n)
    elif experiment.problem.kind == "regression":  # what is learned exactly misses by what floats are rounded to
        worst = max(worst, ROUNDED * loss.cost(y, np.full(len(y), np.average(y, weights=weight)), weight))
    if cost <= 2 * worst - min(costs):  # their worst, and their spread on top
        return ""
    return (
        f"the final fit has a cost of {cost:.4g} on its own training rows, the folds had {min(costs):.4g} to "
        f"{max(costs):.4g} on rows they had not seen"
    )
