"""Families that see of a base nothing but what it predicts, so that it may be of any family."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from tasks import model as models
from tasks import provenance
from tasks.loss import Loss
from tasks.model import Fitted, Floats, Rows, Training, Validated, Watch, unwatched
from tasks.model._computed import computed
from tasks.records import Footprint, Problem
from tasks.row_hash import row_hashes

# From a base, what it predicts for some rows, their target and weight to the model that takes its place.
Learn = Callable[[Fitted, Floats, Floats, Floats | None, Training], Fitted]
# From that model and what the base predicts for some rows, what the model does.
Apply = Callable[[Any, Floats], Floats]


@dataclass(frozen=True)
class Workspace:
    """The base, and what it predicts for all training rows, (n_rows,) or (n_rows, n_classes)."""

    training: Training
    base: Fitted
    folder: Path
    prediction: Floats


@dataclass(frozen=True)
class OnPredictions:
    """A family of models that `learn` makes of a base; nothing in it is searched. The base, which may be dear to ask,
    sees every row once. generates: whether it writes text. is_its_base: whether the model is the base, unchanged."""

    learn: Learn
    apply: Apply
    packages: tuple[str, ...] = ()
    generates: bool = False
    is_its_base: bool = False
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)
    space: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, Any] = field(default_factory=dict)
    portfolio: list[dict[str, Any]] = field(default_factory=list)

    reads_text = True  # where the base does: it is given all columns

    def check(self, problem: Problem, loss: Loss) -> list[str]:
        return []

    def seconds(self, n_rows: int, n_columns: int, n_classes: int) -> float:
        """A pass over the rows, some milliseconds for 1,000 of them."""
        return 1e-5 * n_rows

    def affordable(self, seconds: float, n_rows: int, n_columns: int, n_classes: int) -> Self:
        return self

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        return dict(hyperparameters), rounds

    def footprint(
        self, workspace: Workspace, fitted: Fitted, hyperparameters: Mapping[str, Any], rounds: int | None,
        more_rows: float,
    ) -> Footprint:
        """The base's size; nothing is counted of its time, which is what it is whatever is tuned."""
        return Footprint(models.megabytes(workspace.folder), 0.0)

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Workspace:
        assert base is not None
        fitted = models.load(base)
        return Workspace(training, fitted, base, _predicted(fitted, base, training))

    def validate(
        self, workspace: Workspace, fold: int, hyperparameters: Mapping[str, Any], seed: int,
        watch: Watch = unwatched, n_rows: int | None = None,
    ) -> Validated:
        train, valid = workspace.training.fold(fold, n_rows)
        fitted = self._learned(workspace, train)
        return Validated(self.apply(fitted, workspace.prediction[valid]), None, (), fitted)

    def fit(
        self, workspace: Workspace, hyperparameters: Mapping[str, Any], rounds: int | None, seed: int,
        watch: Watch = unwatched, n_threads: int | None = None,
    ) -> Fitted:
        return self._learned(workspace, np.arange(len(workspace.training.y)))

    def _learned(self, workspace: Workspace, rows: Rows) -> Fitted:
        training = workspace.training
        return self.learn(
            workspace.base, workspace.prediction[rows], training.y[rows], training.fit_weight(rows), training
        )


def _predicted(base: Fitted, folder: Path, training: Training) -> Floats:
    """What it predicts for all rows; where it reads text, which is dear, once for all strategies and later runs."""

    def predicted() -> Floats:
        return np.concatenate([base.predict(X) for X in training.batches()])

    if not training.text or training.computed is None:
        return predicted()
    key = hashlib.sha256(provenance.identity(folder, with_source=False).encode())
    for X in training.batches():
        key.update(row_hashes(X, 0).tobytes())
    shape = np.atleast_2d(base.predict(training.some(1)[0].head(1))).shape[1]
    kept = computed(
        training.computed, key.hexdigest()[:32], (len(training.y), shape),
        lambda array: np.copyto(array, predicted().reshape(array.shape)),
    )  # fmt: skip
    return np.asarray(kept if training.problem.is_classification or shape > 1 else kept[:, 0], dtype=np.float64)
