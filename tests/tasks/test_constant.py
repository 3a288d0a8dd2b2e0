"""The zero on the scale of every score."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tasks.constant import constant
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.huber import Huber
from tasks.loss.mae import MAE
from tasks.loss.mse import MSE
from tasks.loss.quantile import Quantile
from tasks.records import Problem

PROBLEM = Problem("binary", "y", ("no", "yes"))


def test_a_constant_predicts_shares_means_or_the_weighted_quantile_of_the_loss() -> None:
    roles = pd.DataFrame({"target": [0.0, 1.0, 1.0, 9.0], "weight": [5.0, 1.0, 1.0, 1.0]})
    number = Problem("regression", "y", ())
    assert constant(roles.head(3), PROBLEM, CrossEntropy(), np.zeros(2)).tolist() == [[5 / 7, 2 / 7]] * 2
    assert constant(roles, number, MSE(), np.zeros(1)).tolist() == [11 / 8]
    assert constant(roles, number, MAE(), np.zeros(1)).tolist() == [0.0]
    assert constant(roles[["target"]], number, MAE(), np.zeros(1)).tolist() == [1.0]
    assert constant(roles, number, Huber(1.0), np.zeros(1)).tolist() == [0.0]
    assert constant(roles, number, Quantile(0.7), np.zeros(1)).tolist() == [1.0]
    assert constant(roles, number, Quantile(0.9), np.zeros(1)).tolist() == [9.0]
