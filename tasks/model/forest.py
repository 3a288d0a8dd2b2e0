"""Forests of randomised trees by scikit-learn: random forests (Breiman 2001), extremely randomised trees (Geurts et
al. 2006)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from tasks.loss import Loss
from tasks.model import Floats, OutOfTimeError, Training, Validated, Watch, unsupported, unwatched
from tasks.model import _estimator as estimators
from tasks.model._encode import Levels
from tasks.model._estimator import Encoded, Workspace
from tasks.records import Footprint, Problem
from tasks.refusal import did_you_mean

ESTIMATORS = {  # (kind, whether classes are predicted)
    ("random", True): RandomForestClassifier,
    ("random", False): RandomForestRegressor,
    ("extra", True): ExtraTreesClassifier,
    ("extra", False): ExtraTreesRegressor,
}
KINDS = ("random", "extra")
TRUSTED = ("sklearn.tree._tree.Tree",)  # what skops doesn't trust of its own accord in what `save` writes
LEAST_ROWS = 2_000  # that a tree is grown on, whatever the budget
LARGEST = 3e38  # trees compare in float32
USUAL_TREES = 200  # of which `seconds` speaks
PASSING_SECONDS = 4e-6  # of 200 trees for each row, however few each is grown on: .8 to 4.8 us at 1,000,000 rows
# Time is looked at after so many seconds' trees by that rule, but not after fewer a thread than this: each batch costs
# 0.5 (500 rows) to 20 ms (1,000,000) more.
BATCH_SECONDS, LEAST_BATCH = 0.25, 5
SHARE_OF_EXTRA = 1 / 5  # of a random tree's time, what an extremely randomised one takes: .11 to .25
# Of 1,000 rows through a tree, and to each node on the way: 15 to 32 ns a node all in all, on 2,000 to 30,000 rows.
TREE_MILLISECONDS, VISIT_MILLISECONDS = 0.03, 0.018


@dataclass(frozen=True)
class Encoder:
    """Levels to codes in alphabetical order: (n_rows, n_columns) float32; missing and unseen are NaN, which trees
    send to the side that fits better."""

    levels: Levels

    @classmethod
    def learn(cls, X: pd.DataFrame) -> Encoder:
        return cls(Levels.learn([X]))

    def encode(self, X: pd.DataFrame) -> npt.NDArray[np.float32]:
        return np.clip(self.levels.encode(X), -LARGEST, LARGEST).astype(np.float32)


@dataclass(frozen=True)
class Fitted:
    """A forest with its encoder; n_classes: 0 for a regression."""

    encoder: Encoder
    estimator: Any
    n_classes: int

    @property
    def n_parameters(self) -> int:
        """Thresholds of all inner nodes, and the free values of all leaves."""
        free = max(1, self.n_classes - 1)
        leaves = [int(tree.tree_.n_leaves) for tree in self.estimator.estimators_]
        return sum(n - 1 + n * free for n in leaves)

    def predict(self, X: pd.DataFrame) -> Floats:
        return _predict(self.estimator, self.encoder.encode(X), self.n_classes)

    def importance(self) -> dict[str, float]:
        """Share of the decrease of impurity (it favours columns with many values)."""
        return dict(zip(self.encoder.levels.columns, self.estimator.feature_importances_.tolist(), strict=True))

    @property
    def parts(self) -> dict[str, Any]:
        return {"estimator": self.estimator, "n_classes": self.n_classes}

    def save(self, folder: Path) -> None:
        estimators.dump(self.parts, folder / "forest.skops")
        (folder / "levels.json").write_text(json.dumps(self.encoder.levels.as_json(), ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> Fitted:
        parts = estimators.load(folder / "forest.skops", TRUSTED)
        levels = Levels.from_json(json.loads((folder / "levels.json").read_text()))
        return cls(Encoder(levels), parts["estimator"], parts["n_classes"])


@dataclass(frozen=True)
class Forest:
    """The family. `max_rows` and `max_leaves` bound each tree, and so time, memory and the size of what is saved."""

    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]
    portfolio: list[dict[str, Any]]
    max_rows: Annotated[int, Field(ge=2)]
    max_leaves: Annotated[int, Field(ge=2)]

    def check(self, problem: Problem, loss: Loss) -> list[str]:
        """mae is refused: at 5,000 rows a tree took 5 (random) to 13 (extra) times as long with it as with mse. huber,
        quantile and focal are no criteria of scikit-learn's trees."""
        known = ["cross_entropy"] if problem.is_classification else ["mse", "rmse"]
        return [*self._unknown_kinds(), *unsupported("forest", loss, known, problem.kind)]

    def seconds(self, n_rows: int, n_columns: int, n_classes: int) -> float:
        """Of 200 trees that choose from a third of the columns: 0.4 s (2,800 x 5), 1.9 (10,500 x 9), 4.1 (9,700 x 10),
        3.5 (25,000 x 14) on real tables; two to three times as long where all columns are noise."""
        return self._splitting(n_rows, n_columns) / 3 + 4e-5 * n_rows

    def affordable(self, seconds: float, n_rows: int, n_columns: int, n_classes: int) -> Self:
        """With trees of fewer rows each, so that one takes half of that: as members of an ensemble they serve as well,
        and with dearer ones every family would begin on samples. A fit that takes longer ends with its time."""
        n_drawn = min(n_rows, self.max_rows)
        share = 2 * self.seconds(n_rows, n_columns, n_classes) / seconds
        return replace(self, max_rows=max(min(n_drawn, LEAST_ROWS), round(n_drawn / share))) if share > 1 else self

    def _splitting(self, n_rows: int, n_columns: int) -> float:
        """Of 200 trees whose splits choose from all columns."""
        n_drawn = min(n_rows, self.max_rows)
        return 7e-6 * n_drawn * math.log2(max(2, n_drawn)) * n_columns

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        """Its rounds are its trees, of which it has as many as the folds, however many more rows there are."""
        return dict(hyperparameters), rounds or hyperparameters["n_estimators"]

    def footprint(
        self, workspace: Workspace[Encoder], fitted: Fitted, hyperparameters: Mapping[str, Any], rounds: int | None,
        more_rows: float,
    ) -> Footprint:
        """Trees grow with the rows that they are grown on (of 8 forests on 2,000 to 30,000 rows by as much as these, or
        up to 7 % less), up to `max_rows` and `max_leaves`."""
        n_drawn = hyperparameters["max_samples"] * len(workspace.training.y)
        trees = [tree.tree_ for tree in fitted.estimator.estimators_]
        n_leaves = sum(int(tree.n_leaves) for tree in trees) / len(trees)
        more_drawn = min(self.max_rows, n_drawn) / min(self.max_rows, n_drawn / more_rows)
        larger = max(1.0, min(self.max_leaves, n_leaves * more_drawn) / n_leaves)
        visits = sum(float(tree.n_node_samples.sum() / tree.n_node_samples[0]) for tree in trees)
        milliseconds = TREE_MILLISECONDS * len(trees) + VISIT_MILLISECONDS * visits
        milliseconds += fitted.encoder.levels.milliseconds
        arrays, around = estimators.dumped_bytes(fitted.parts)
        return Footprint((larger * arrays + around) / 1e6, milliseconds)

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Workspace[Encoder]:
        estimators.refuse_base(base, "forest")
        return Workspace(training, Encoder.learn, n_threads)

    def validate(
        self, workspace: Workspace[Encoder], fold: int, hyperparameters: Mapping[str, Any], seed: int,
        watch: Watch = unwatched, n_rows: int | None = None,
    ) -> Validated:
        encoded, n_classes = workspace.fold(fold, n_rows), len(workspace.training.problem.classes)
        estimator = self._unfitted(workspace.n_threads, n_classes, len(encoded.y), hyperparameters, seed)
        _grow(estimator, encoded, self._batch(encoded, n_classes, hyperparameters), watch)
        fitted = Fitted(encoded.encoder, estimator, n_classes)
        return Validated(_predict(estimator, encoded.valid, n_classes), None, (), fitted)

    def fit(
        self, workspace: Workspace[Encoder], hyperparameters: Mapping[str, Any], rounds: int | None, seed: int,
        watch: Watch = unwatched, n_threads: int | None = None,
    ) -> Fitted:
        """A forest whose time is over has the trees that it has."""
        encoded, n_classes = workspace.all_rows(), len(workspace.training.problem.classes)
        n_threads = n_threads or workspace.n_threads
        estimator = self._unfitted(n_threads, n_classes, len(encoded.y), hyperparameters, seed)
        with suppress(OutOfTimeError):
            _grow(estimator, encoded, self._batch(encoded, n_classes, hyperparameters), watch)
        return Fitted(encoded.encoder, estimator, n_classes)

    def _unfitted(
        self, n_threads: int, n_classes: int, n_rows: int, hyperparameters: Mapping[str, Any], seed: int
    ) -> Any:
        """Extremely randomised trees see all rows, as in Geurts et al., unless max_samples or max_rows says fewer."""
        settings, is_classification = dict(hyperparameters), n_classes > 0
        kind = settings.pop("kind")
        n_drawn = max(1, min(self.max_rows, round(settings.pop("max_samples") * n_rows)))
        is_drawn = kind == "random" or n_drawn < n_rows
        return ESTIMATORS[kind, is_classification](
            **settings, criterion="log_loss" if is_classification else "squared_error", bootstrap=is_drawn,
            max_samples=n_drawn if is_drawn else None, max_leaf_nodes=self.max_leaves, random_state=seed,
            n_jobs=n_threads, warm_start=True,
        )  # fmt: skip

    def _batch(self, encoded: Encoded[Encoder], n_classes: int, hyperparameters: Mapping[str, Any]) -> int:
        """The trees that each thread grows between two looks at the time. With 10 classes one takes 1.8 to 2.1 times as
        long as with two, with 30 3.3 to 3.9, with 100 7 to 9."""
        n_rows, n_columns = encoded.train.shape
        share = hyperparameters["max_features"]
        share = share if isinstance(share, float) else 1 / 3  # as usual where it is another form, such as sqrt
        share *= SHARE_OF_EXTRA if hyperparameters["kind"] == "extra" else 1.0
        share *= 1 + 0.1 * max(0, n_classes - 2)
        seconds = share * self._splitting(n_rows, n_columns) + PASSING_SECONDS * n_rows
        return max(LEAST_BATCH, int(BATCH_SECONDS * USUAL_TREES / seconds))

    def _unknown_kinds(self) -> list[str]:
        fixed, space = self.hyperparameters["kind"], self.space.get("kind")
        kinds = [fixed] if fixed is not None else [*(space or []), self.start["kind"]]
        return [f"model.forest: kind={kind} is no forest; choose {' or '.join(KINDS)}{did_you_mean(str(kind), KINDS)}"
                for kind in dict.fromkeys(kinds) if kind not in KINDS]


def _grow(estimator: Any, encoded: Encoded[Encoder], n_batch: int, watch: Watch) -> None:
    """Batch by batch, of the same trees as all at once. Each tree is a round, also of the batch in which the time is
    over: a run that is gone through again has as many."""
    n_trees, n_batch = estimator.n_estimators, estimator.n_jobs * n_batch
    try:
        for n_before in range(0, n_trees, n_batch):
            n_grown = min(n_before + n_batch, n_trees)
            estimator.set_params(n_estimators=n_grown).fit(encoded.train, encoded.y, encoded.weight)
            for _ in range(n_before + 1, n_grown):
                with suppress(OutOfTimeError):
                    watch(())
            watch(())
    finally:
        # Threads would add up the trees' predictions in the order in which they finish, and rounding differs by order.
        estimator.set_params(n_jobs=1, warm_start=False)


def _predict(estimator: Any, matrix: npt.NDArray[np.float32], n_classes: int) -> Floats:
    if n_classes:
        return estimators.probabilities(estimator, matrix, n_classes)
    return np.asarray(estimator.predict(matrix), dtype=np.float64)
