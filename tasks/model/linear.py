"""Penalised linear models by scikit-learn: logistic regression for classes, ridge regression for numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, RobustScaler, StandardScaler

from tasks.loss import Loss
from tasks.model import Contributions, Floats, Training, Validated, Watch, unsupported, unwatched
from tasks.model import _estimator as estimators
from tasks.model._calm import calm
from tasks.model._encode import Levels
from tasks.model._estimator import Encoded, Workspace
from tasks.records import Footprint, Problem

TRUSTED = ("numpy.clip", "numpy.dtype")  # what skops doesn't trust of its own accord in what `save` writes
UNSEEN = -1.0   # no level's code, so that the one-hot encoder puts it among the infrequent levels
LARGEST = 1e100  # a cell beyond it would overflow in a variance
# Up to so many columns ridge regression solves the normal equations; beyond them they cost more than iterations do.
CHOLESKY_COLUMNS = 2000
# What a cell costs: 120 to 280 ns to encode it, and .6 to 1.6 ns an iteration, for each output.
ENCODING_SECONDS, ITERATION_SECONDS = 2e-7, 1.5e-9
USUAL_ITERATIONS, LEAST_ITERATIONS = 50, 10  # of lbfgs: 7 to 65; and whatever a budget pays for
# Cells, times outputs, from which on lbfgs is watched: that costs 20 us an iteration, 2 % of one of so many.
WATCHED_CELLS = 1_000_000


@dataclass(frozen=True)
class Encoder:
    """Levels to codes, then numbers scaled and codes one-hot: (n_rows, n_encoded), sparse where that is smaller."""

    levels: Levels
    columns: ColumnTransformer

    @classmethod
    def learn(cls, X: pd.DataFrame, settings: Linear) -> Encoder:
        levels = Levels.learn([X])
        categorical = levels.categorical
        numeric = [position for position in range(len(levels.columns)) if position not in set(categorical)]
        one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=settings.min_rows,
                                max_categories=settings.max_levels)
        parts = [("numeric", _numeric(settings.fence), numeric), ("levels", one_hot, categorical)]
        columns = ColumnTransformer(parts, verbose_feature_names_out=False)
        return cls(levels, columns.fit(_codes(levels, X)))

    def encode(self, X: pd.DataFrame) -> Any:
        return self.columns.transform(_codes(self.levels, X))

    def sources(self) -> npt.NDArray[np.int64]:
        """(n_encoded,) the position of the column that each encoded column was made of."""
        # Columns are named by position: "3" is a number, "missingindicator_3" its gaps, "5_0.0" a level of the sixth.
        names = self.columns.get_feature_names_out([str(i) for i in range(len(self.levels.columns))])
        return np.array([int(name.removeprefix("missingindicator_").partition("_")[0]) for name in names])


@dataclass(frozen=True)
class Fitted:
    """An estimator with its encoder. spread: (n_encoded,) standard deviation of each encoded column where it was
    fitted; n_classes: 0 for a regression."""

    encoder: Encoder
    estimator: LogisticRegression | Ridge
    spread: Floats
    n_classes: int

    @property
    def n_parameters(self) -> int:
        """Coefficients and intercepts."""
        return int(np.size(self.estimator.coef_) + np.size(self.estimator.intercept_))

    def predict(self, X: pd.DataFrame) -> Floats:
        return _predict(self.estimator, self.encoder.encode(X), self.n_classes)

    def importance(self) -> dict[str, float]:
        """Share of the mean |coefficient| x standard deviation, summed over what a column was encoded as."""
        effect = np.abs(np.atleast_2d(self.estimator.coef_)).mean(axis=0) * self.spread
        columns = self.encoder.levels.columns
        share = np.bincount(self.encoder.sources(), effect, len(columns)) / max(effect.sum(), 1e-300)
        return dict(zip(columns, share.tolist(), strict=True))

    def explain(self, X: pd.DataFrame) -> Contributions | None:
        """Coefficients times encoded cells, summed over what a column was encoded as: of the score before the link
        function, exactly. A number counts from its mean in training, a level from none of the levels. None where the
        training rows lacked a class."""
        if self.n_classes and len(self.estimator.classes_) < self.n_classes:
            return None
        matrix, coefficients = self.encoder.encode(X), np.atleast_2d(self.estimator.coef_)
        columns, sources = self.encoder.levels.columns, self.encoder.sources()
        owner = sparse.csr_array((np.ones(len(sources)), (np.arange(len(sources)), sources)),
                                 shape=(len(sources), len(columns)))
        values = np.stack([np.asarray(_dense(_times(matrix, one) @ owner)) for one in coefficients], axis=1)
        bias = np.broadcast_to(np.atleast_1d(self.estimator.intercept_), (len(X), len(coefficients)))
        return Contributions(columns, values, bias, "score")

    @property
    def parts(self) -> dict[str, Any]:
        return {"columns": self.encoder.columns, "estimator": self.estimator, "spread": self.spread,
                "n_classes": self.n_classes}

    def save(self, folder: Path) -> None:
        estimators.dump(self.parts, folder / "linear.skops")
        (folder / "levels.json").write_text(json.dumps(self.encoder.levels.as_json(), ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> Fitted:
        parts = estimators.load(folder / "linear.skops", TRUSTED)
        levels = Levels.from_json(json.loads((folder / "levels.json").read_text()))
        return cls(Encoder(levels, parts["columns"]), parts["estimator"], parts["spread"], parts["n_classes"])


@dataclass(frozen=True)
class Linear:
    """The family. `fence`: how far from its median, in spans from the 1st to the 99th percentile, a number is taken as
    it is; `min_rows` and `max_levels`: which levels of a column get a coefficient of their own; `iterations`: the most
    that a solver makes."""

    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]
    portfolio: list[dict[str, Any]]
    fence: Annotated[float, Field(gt=0)]
    min_rows: Annotated[int, Field(ge=1)]
    max_levels: Annotated[int, Field(ge=2)]
    iterations: Annotated[int, Field(ge=1)]

    def check(self, problem: Problem, loss: Loss) -> list[str]:
        """quantile (and with it mae) is refused: scikit-learn solves it as a linear programme, 0.8 s at 4,000 x 13 and
        12 s at 16,000 x 13, where ridge regression takes 0.01 s; huber: scikit-learn's estimates a scale of its own
        beside the coefficients, and so minimises another cost. focal is no loss of scikit-learn's linear models."""
        known = ["cross_entropy"] if problem.is_classification else ["mse", "rmse"]
        return unsupported("linear", loss, known, problem.kind)

    def seconds(self, n_rows: int, n_columns: int, n_classes: int) -> float:
        """0.8 s (200,000 x 20, two classes), 2.3 (the same, of 7), 1.9 to 3.1 (50,000 x 300, any)."""
        n_passes = min(USUAL_ITERATIONS, self.iterations) * max(1, n_classes - 1)
        return n_rows * n_columns * (ENCODING_SECONDS + ITERATION_SECONDS * n_passes) + 0.01

    def affordable(self, seconds: float, n_rows: int, n_columns: int, n_classes: int) -> Self:
        """With fewer iterations, so that all of them take no more than is left when the rows are encoded."""
        n_cells = n_rows * n_columns
        left = seconds - ENCODING_SECONDS * n_cells
        paid = int(left / (ITERATION_SECONDS * n_cells * max(1, n_classes - 1)))
        return replace(self, iterations=min(self.iterations, max(LEAST_ITERATIONS, paid)))

    def final(self, hyperparameters: Mapping[str, Any], rounds: int | None) -> tuple[dict[str, Any], int | None]:
        return dict(hyperparameters), rounds

    def footprint(
        self, workspace: Workspace[Encoder], fitted: Fitted, hyperparameters: Mapping[str, Any], rounds: int | None,
        more_rows: float,
    ) -> Footprint:
        """As large as the fold's (within 1 % on four tables). Nearly all of the time goes into encoding: 1.5 ms (10
        numbers), 5 (and 5 columns of levels), 14 (30 and 20), 6.5 (200 numbers)."""
        levels = fitted.encoder.levels
        milliseconds = 1.0 + 0.015 * len(levels.columns) + 0.35 * len(levels.levels) + levels.milliseconds
        return Footprint(sum(estimators.dumped_bytes(fitted.parts)) / 1e6, milliseconds)

    def workspace(self, training: Training, base: Path | None, n_threads: int) -> Workspace[Encoder]:
        estimators.refuse_base(base, "linear")
        return Workspace(training, lambda X: Encoder.learn(X, self), n_threads)

    def validate(
        self, workspace: Workspace[Encoder], fold: int, hyperparameters: Mapping[str, Any], seed: int,
        watch: Watch = unwatched, n_rows: int | None = None,
    ) -> Validated:
        encoded = workspace.fold(fold, n_rows)
        watch(())
        n_classes = len(workspace.training.problem.classes)
        with calm:
            estimator = self._fit(encoded, hyperparameters, n_classes, watch)
            prediction = _predict(estimator, encoded.valid, n_classes)
        fitted = Fitted(encoded.encoder, estimator, _spread(encoded.train), n_classes)
        return Validated(prediction, None, (), fitted)

    def fit(
        self, workspace: Workspace[Encoder], hyperparameters: Mapping[str, Any], rounds: int | None, seed: int,
        watch: Watch = unwatched, n_threads: int | None = None,
    ) -> Fitted:
        """Not ended by the watch, but as long as `iterations` lasts: a solver's middle is no number of rounds that
        could be gone through again."""
        encoded = workspace.all_rows()
        n_classes = len(workspace.training.problem.classes)
        with calm:
            estimator = self._fit(encoded, hyperparameters, n_classes)
        return Fitted(encoded.encoder, estimator, _spread(encoded.train), n_classes)

    def _fit(
        self, encoded: Encoded[Encoder], hyperparameters: Mapping[str, Any], n_classes: int, watch: Watch = unwatched
    ) -> Any:
        """Solvers that draw no random numbers, so that no seed is needed. lbfgs was 2 to 15 times as fast as
        newton-cholesky at 2,000 to 50,000 rows, 30 to 1,000 columns and 2 to 7 classes."""
        penalty = hyperparameters["penalty"]
        if not n_classes:
            ridge = Ridge(alpha=penalty, solver=_ridge_solver(encoded.train), max_iter=self.iterations, tol=1e-6)
            return ridge.fit(encoded.train, encoded.y, encoded.weight)
        estimator = LogisticRegression(C=1 / penalty, max_iter=self.iterations)
        if encoded.train.size * max(1, n_classes - 1) >= WATCHED_CELLS:
            estimator.set_callbacks(_Iterations(watch))
        return estimator.fit(encoded.train, encoded.y, encoded.weight).set_callbacks()  # without it, as it is saved


@dataclass(frozen=True)
class _Iterations:
    """scikit-learn's callback, by which a watch sees each iteration of lbfgs."""

    watch: Watch

    def setup(self, estimator: Any, context: Any) -> None: ...

    def teardown(self, estimator: Any, context: Any) -> None: ...

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None: ...

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        self.watch(())


def _numeric(fence: float) -> Pipeline:
    """Gaps filled by the median and marked; a value far outside the bulk brought to the fence, lest one sentinel such
    as 999999 decide the scale of its column; then mean 0 and standard deviation 1."""
    clip = FunctionTransformer(np.clip, kw_args={"a_min": -fence, "a_max": fence}, feature_names_out="one-to-one")
    return Pipeline([
        ("fill", SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)),
        ("span", RobustScaler(quantile_range=(1, 99))),
        ("fence", clip),
        ("scale", StandardScaler()),
    ])


def _codes(levels: Levels, X: pd.DataFrame) -> Floats:
    return np.clip(levels.encode(X, UNSEEN), -LARGEST, LARGEST)


def _times(matrix: Any, coefficients: Floats) -> Any:
    """Each column by its coefficient."""
    return matrix.multiply(coefficients).tocsr() if sparse.issparse(matrix) else matrix * coefficients


def _dense(matrix: Any) -> Any:
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def _ridge_solver(matrix: Any) -> str:
    if sparse.issparse(matrix):
        return "sparse_cg"
    return "cholesky" if min(matrix.shape) <= CHOLESKY_COLUMNS else "lsqr"


def _predict(estimator: Any, matrix: Any, n_classes: int) -> Floats:
    if n_classes:
        return estimators.probabilities(estimator, matrix, n_classes)
    return np.asarray(estimator.predict(matrix), dtype=np.float64)


def _spread(matrix: Any) -> Floats:
    if not sparse.issparse(matrix):
        return np.asarray(matrix.std(axis=0), dtype=np.float64)
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    variance = np.asarray(matrix.multiply(matrix).mean(axis=0)).ravel() - mean**2
    return np.asarray(np.sqrt(np.maximum(variance, 0)))
