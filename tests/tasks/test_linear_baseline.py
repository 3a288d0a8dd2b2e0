"""A linear model is fitted on the training rows alone, on some of many, and never on what it can't take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from judged import linear
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tasks import linear_baseline
from tasks.linear_baseline import fitted_linear
from tasks.loss.cross_entropy import CrossEntropy
from tasks.loss.mse import MSE
from tasks.loss.quantile import Quantile
from tasks.records import Problem

N = 600
RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.uniform(-1, 1, size=(N, 3)), columns=list("abc"))
NUMBER, CLASSES = Problem("regression", "y", ()), Problem("multiclass", "y", ("u", "v", "w"))


def split(folder: Path, y: np.ndarray, **columns: list[str]) -> Path:
    pd.DataFrame({"target": y}).to_parquet(folder / "train_roles.parquet")
    X.assign(**columns).to_parquet(folder / "train_features.parquet")
    return folder


def test_it_predicts_as_the_library_does(tmp_path: Path) -> None:
    y = np.digitize(X["a"] + RNG.normal(size=N) / 4, [-0.3, 0.3]).astype(float)
    made = fitted_linear(split(tmp_path, y), CLASSES, CrossEntropy(), linear(), ())
    assert made is not None
    scaled = StandardScaler().fit_transform(X)
    expected = LogisticRegression(max_iter=300).fit(scaled, y).predict_proba(scaled)
    np.testing.assert_allclose(made.predict(X), expected, atol=1e-3)


def test_of_many_rows_some_are_taken_and_none_of_a_rare_class_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_baseline, "LEAST_ROWS", 100)
    monkeypatch.setattr(linear_baseline, "N_ROWS", 100)
    y = np.where(X["a"] > 0, 1.0, 0.0)
    y[::100] = 2
    rows = linear_baseline._some(y, 100, is_classification=True)
    assert len(rows) < 150
    assert (y[rows] == 2).sum() == 6
    made = fitted_linear(split(tmp_path, y), CLASSES, CrossEntropy(), linear(), ())
    assert made is not None
    assert ((made.predict(X)[:, 1] > 0.5) == (y == 1)).mean() > 0.9


def test_text_is_not_seen_and_of_nothing_but_text_there_is_none(tmp_path: Path) -> None:
    y = X["b"].to_numpy() * 3
    folder = split(tmp_path, y, told=[f"row {n}" for n in range(N)])
    made = fitted_linear(folder, NUMBER, MSE(), linear(), ("told",))
    assert made is not None
    np.testing.assert_allclose(made.predict(X.assign(told="else")), y, atol=0.05)
    assert fitted_linear(folder, NUMBER, MSE(), linear(), ("a", "b", "c", "told")) is None


def test_a_loss_that_the_family_cannot_train_on_leaves_it_out(tmp_path: Path) -> None:
    assert fitted_linear(split(tmp_path, X["a"].to_numpy()), NUMBER, Quantile(0.9), linear(), ()) is None
