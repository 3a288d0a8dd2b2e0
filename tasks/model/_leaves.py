"""A linear head on the leaves of frozen trees (He et al. 2014, Practical Lessons from Predicting Clicks on Ads).

Notation:
    T   trees of the base that are used     L   their leaves together     k   scores per row (classes, or 1)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from tasks import model as models
from tasks.loss import Loss
from tasks.model import Floats, Rows, Training, Validated, Watch, unsupported, unwatched
from tasks.model import _estimator as estimators
from tasks.model._booster import leaf_counts, part
from tasks.model._calm import calm
from tasks.model._encode import relative
from tasks.model.lightgbm import VISIT_MILLISECONDS
from tasks.model.lightgbm import Fitted as Base
from tasks.records import Footprint, Problem

SCORE_SCALE = 10.0  # times which the base's own scores count, so that a penalty hardly pulls at them
MOST_ITERATIONS = 1000


@dataclass(frozen=True)
class Fitted:
    """The base, and on top of it the head. center and spread: (k,) of the base's scores among the training rows;
    n_trees: T."""

    base: Base
    head: Any
    center: Floats
    spread: Floats
    n_trees: int
    n_classes: int

    @property
    def n_parameters(self) -> int:
        return self.n_frozen + int(self.head.coef_.size) + np.size(self.head.intercept_)

    @property
    def n_frozen(self) -> int:
        return self.base.n_parameters

    def predict(self, X: pd.DataFrame) -> Floats:
        matrix = self.base.levels.encode(X)
        return self.predicted(scaled(self.base.raw(matrix), self.center, self.spread), self._first.leaves(matrix))

    def predicted(self, scores: Floats, leaves: sparse.csr_matrix) -> Floats:
        matrix = sparse.hstack([sparse.csr_matrix(scores), leaves], format="csr")
        if self.n_classes:
            return estimators.probabilities(self.head, matrix, self.n_classes)
        return np.asarray(self.head.predict(matrix), dtype=np.float64)

    @cached_property
    def _first(self) -> FirstTrees:
        return FirstTrees.of(self.base.booster, self.n_trees)

    def importance(self) -> dict[str, float]:
        """The base's: which columns its trees split by."""
        return self.base.importance()

    def save(self, folder: Path) -> None:
        models.save(self.base, folder / "base")
        parts = {"head": self.head, "center": self.center, "spread": self.spread,
                 "n_trees": self.n_trees, "n_classes": self.n_classes}
        estimators.dump(parts, folder / "head.skops")

    @classmethod
    def load(cls, folder: Path) -> Fitted:
        base = models.load(folder / "base")
        assert isinstance(base, Base)
        return cls(base, **estimators.load(folder / "head.skops", ()))


@dataclass(frozen=True)
class Workspace:
    """What the frozen trees make of all training rows, once for all folds and trials: scores (n, k), leaves (n, L)."""

    training: Training
    base: Base
    folder: Path
    scores: Floats
    leaves: sparse.csr_matrix


@dataclass(frozen=True)
class Leaves:
    """LightGBM with its trees frozen. trees: of the base, the first so many of each class are used; later ones tell
    rows apart by less."""

    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]
    portfolio: list[dict[str, Any]]
    trees: int

    def check(self, problem: Problem, loss: Loss) -> list[str]:
        known = ("cross_entropy",) if problem.is_classification else ("mse", "rmse")
        return unsupported("lightgbm with strategy=feature_extraction", loss, known, problem.kind)

    def seconds(self, n_rows: int, n_columns: int, n_classes: int) -> float:
        """About a millisecond for 100 rows, of scores and leaves, and as much for the head."""
        return 1e-5 * n_rows * max(1, n_classes)

    def affordable(self, seconds: float, n_rows: int, n_columns: int, n_classes: int) -> Self:
        return self

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        return dict(hyperparameters), rounds

    def footprint(
        self, workspace: Workspace, fitted: Fitted, hyperparameters: Mapping[str, Any], rounds: int | None,
        more_rows: float,
    ) -> Footprint:
        """The base's, of which every row visits each tree twice, and a number for each leaf."""
        visits = 2 * fitted.n_trees * np.log2(max(2, workspace.leaves.shape[1] / max(1, fitted.n_trees)))
        size = models.megabytes(workspace.folder) + fitted.head.coef_.nbytes / 1e6
        return Footprint(size, VISIT_MILLISECONDS * float(visits) + workspace.base.levels.milliseconds)

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Workspace:
        assert base is not None
        fitted = models.load(models.own_files(base))
        assert isinstance(fitted, Base)
        first, scores, leaves = FirstTrees.of(fitted.booster, self.trees), [], []
        for X in training.batches():
            matrix = fitted.levels.encode(X)
            scores.append(_columns(fitted.raw(matrix)))
            leaves.append(first.leaves(matrix))
        return Workspace(training, fitted, base, np.concatenate(scores), sparse.vstack(leaves, format="csr"))

    def validate(
        self, workspace: Workspace, fold: int, hyperparameters: Mapping[str, Any], seed: int,
        watch: Watch = unwatched, n_rows: int | None = None,
    ) -> Validated:
        train, valid = workspace.training.fold(fold, n_rows)
        fitted = self._head(workspace, train, hyperparameters)
        scores = scaled(workspace.scores[valid], fitted.center, fitted.spread)
        return Validated(fitted.predicted(scores, workspace.leaves[valid]), None, (), fitted)

    def fit(
        self, workspace: Workspace, hyperparameters: Mapping[str, Any], rounds: int | None, seed: int,
        watch: Watch = unwatched, n_threads: int | None = None,
    ) -> Fitted:
        return self._head(workspace, np.arange(len(workspace.training.y)), hyperparameters)

    def _head(self, workspace: Workspace, rows: Rows, hyperparameters: Mapping[str, Any]) -> Fitted:
        training, raw = workspace.training, workspace.scores[rows]
        center, spread = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-12)
        matrix = sparse.hstack(
            [sparse.csr_matrix(scaled(raw, center, spread)), workspace.leaves[rows]], format="csr"
        )
        weight, penalty = relative(training.fit_weight(rows)), float(hyperparameters["penalty"])
        n_classes = len(training.problem.classes)
        head: Any = (
            LogisticRegression(C=1 / penalty, max_iter=MOST_ITERATIONS)
            if n_classes
            else Ridge(alpha=penalty, solver="sparse_cg", max_iter=MOST_ITERATIONS, tol=1e-6)
        )
        with calm:
            head.fit(matrix, training.y[rows], weight)
        return Fitted(workspace.base, head, center, spread, self.trees, n_classes)


@dataclass(frozen=True)
class FirstTrees:
    """The first so many of each class of a base's trees, as a model of their own; offsets: (n_trees + 1,) of each
    tree's leaves among all."""

    booster: lgb.Booster
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, booster: lgb.Booster, n_trees: int) -> FirstTrees:
        first = part(booster, 0, n_trees)
        return cls(first, np.cumsum([0, *leaf_counts(first.model_to_string())]))

    def leaves(self, matrix: Any) -> sparse.csr_matrix:
        """(n, L): which leaf of each tree a row falls into; a row's entries have a norm of one."""
        reached = np.asarray(self.booster.predict(matrix, pred_leaf=True), dtype=np.int64)
        places = reached.reshape(len(matrix), -1) + self.offsets[:-1]
        n, T = places.shape
        values = np.full(n * T, 1 / np.sqrt(T))
        return sparse.csr_matrix((values, places.ravel(), np.arange(0, n * T + 1, T)), shape=(n, int(self.offsets[-1])))


def scaled(raw: Floats, center: Floats, spread: Floats) -> Floats:
    """(n, k) scores around their mean, so large that a penalty on their weights hardly matters."""
    return np.asarray(SCORE_SCALE * (_columns(raw) - center) / spread)


def _columns(raw: Floats) -> Floats:
    return raw.reshape(len(raw), -1)
