"""A scale and a shift: against closed forms and scikit-learn's logistic regression."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from tasks.loss import Loss
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mae import MAE
from tasks.loss.mse import MSE
from tasks.model import Fitted, Floats, Training
from tasks.records import Problem, ProblemKind
from tasks.strategy.recalibrate import Scaled, _rescaled

N = 4_000
RANDOM = np.random.default_rng(0)
SCORE = RANDOM.normal(size=N)


@dataclass(frozen=True)
class Known:
    """A base that predicts what was given."""

    prediction: Floats
    n_parameters: int = 7

    def predict(self, X: pd.DataFrame) -> Floats:
        return self.prediction

    def importance(self) -> dict[str, float]:
        return {"x": 1.0}

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def learned(kind: ProblemKind, loss: Loss, prediction: Floats, y: Floats, weight: Floats | None = None) -> Scaled:
    classes = tuple(range(prediction.shape[1])) if prediction.ndim == 2 else ()
    training = Training(pd.DataFrame({"x": SCORE}), y, weight, (), Problem(kind, "y", classes), loss, "rmse")
    base: Fitted = Known(prediction)
    found = _rescaled(base, prediction, y, weight, training)
    assert isinstance(found, Scaled)
    return found


def test_of_a_regression_it_is_the_line_of_least_squares() -> None:
    y = 200 + 3 * SCORE + RANDOM.normal(size=N) / 10
    found = learned("regression", MSE(), 10 + SCORE, y)
    slope, intercept = np.polyfit(10 + SCORE, y, 1)
    assert found.scale == pytest.approx(slope, rel=5e-3)
    np.testing.assert_allclose(found.predict(pd.DataFrame()), intercept + slope * (10 + SCORE), rtol=5e-3)


def test_it_minimises_the_loss_that_is_trained_on() -> None:
    y = 5 + SCORE + 100 * (np.arange(N) % 10 == 0)  # a tenth of the rows is far off: mae passes them by
    found = learned("regression", MAE(), SCORE, y)
    np.testing.assert_allclose(found.predict(pd.DataFrame())[1:10], 5 + SCORE[1:10], atol=0.1)


def test_of_two_classes_it_is_platts_sigmoid() -> None:
    y = (RANDOM.random(N) < expit(0.5 * SCORE - 1)).astype(np.float64)
    p = expit(2 * SCORE)
    found = learned("binary", CrossEntropy(), np.column_stack([1 - p, p]), y)
    reference = LogisticRegression(C=np.inf).fit(2 * SCORE[:, None], y).predict_proba(2 * SCORE[:, None])
    np.testing.assert_allclose(found.predict(pd.DataFrame()), reference, atol=5e-3)
    assert found.n_trained == 2


def test_of_several_classes_it_finds_the_temperature_and_the_shares() -> None:
    logits = RANDOM.normal(size=(N, 3)) * 2
    truth = softmax(0.5 * logits + np.array([0.0, 1.0, -1.0]), axis=1)
    y = np.array([RANDOM.choice(3, p=row) for row in truth]).astype(np.float64)
    found = learned("multiclass", CrossEntropy(), softmax(logits, axis=1), y)
    assert found.scale == pytest.approx(0.5, abs=0.06)
    np.testing.assert_allclose(found.shift, [0.0, 1.0, -1.0], atol=0.15)


def test_rows_count_by_their_weight() -> None:
    y, weight = np.where(np.arange(N) < N // 2, SCORE + 1, SCORE - 1), np.where(np.arange(N) < N // 2, 1.0, 1e-9)
    found = learned("regression", MSE(), SCORE, y, weight)
    np.testing.assert_allclose(found.predict(pd.DataFrame()), SCORE + 1, atol=0.02)


def test_classes_that_are_told_apart_cleanly_don_t_scale_without_end() -> None:
    p = expit(4 * np.sign(SCORE[:20]))
    found = learned("binary", CrossEntropy(), np.column_stack([1 - p, p]), (SCORE[:20] > 0).astype(np.float64))
    assert 1 <= found.scale < 10


def test_few_rows_change_little() -> None:
    found = learned("regression", MSE(), SCORE[:2], SCORE[:2] + np.array([0.5, -0.5]))
    assert 0 < found.scale < 2
