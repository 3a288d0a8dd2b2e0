"""What a peer is given, and what it gives back. Runs in the peer's own environment: pandas, NumPy and pyarrow only."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Job:
    """train, test: Parquet files, the rows in time's order where there is a `time`; its column is no feature.
    metric: roc_auc, log_loss or rmse; problem: binary, multiclass or regression; classes: in the order of the answer.
    seconds: the budget, from the moment that the tables are in memory until the model is ready to predict."""

    train: str
    test: str
    target: str
    time: str | None
    problem: str
    metric: str
    classes: tuple[Any, ...]
    seconds: float
    seed: int
    n_jobs: int
    answer: str
    options: dict[str, Any]
    began: float = field(default_factory=time.perf_counter)

    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.began + self.seconds - time.perf_counter()

    @property
    def is_classification(self) -> bool:
        return self.problem != "regression"


@dataclass(frozen=True)
class Tables:
    """X: features as they are in the file. y: class codes 0..k-1 as int64, or the target as float64."""

    X: pd.DataFrame
    y: np.ndarray
    X_test: pd.DataFrame


def main(
    fit: Callable[[Job, Tables], tuple[Callable[[pd.DataFrame], Any], dict[str, Any]]],
    encode: Callable[[Tables], Tables] = lambda tables: tables,
) -> None:
    """Reads the job named on the command line, fits within its budget, predicts the holdout and writes the answer:
    the predictions as Parquet, and beside them how long it took. `fit` gives what predicts, (n, k) or (n,), and notes.
    """
    given = json.loads(Path(sys.argv[1]).read_text())
    tables = encode(_tables(given))
    job = Job(**{**given, "classes": tuple(given["classes"])})
    predict, notes = fit(job, tables)
    fitted = time.perf_counter()
    prediction = np.asarray(predict(tables.X_test), dtype=np.float64)
    seconds = {"fit_seconds": fitted - job.began, "predict_seconds": time.perf_counter() - fitted}
    write_answer(Path(job.answer), prediction, {**seconds, "notes": notes})


def write_answer(path: Path, prediction: np.ndarray, said: dict[str, Any]) -> None:
    """prediction: (n, k) or (n,)."""
    columns = prediction.reshape(len(prediction), -1)
    pd.DataFrame(columns, columns=[f"p{k}" for k in range(columns.shape[1])]).to_parquet(path, index=False)
    path.with_suffix(".json").write_text(json.dumps(said))


def _tables(given: dict[str, Any]) -> Tables:
    train, test = pd.read_parquet(given["train"]), pd.read_parquet(given["test"])
    no_features = [name for name in (given["target"], given["time"]) if name]
    y = train[given["target"]]
    if given["classes"]:
        y = y.map({label: code for code, label in enumerate(given["classes"])})
    X, X_test = train.drop(columns=no_features), test.drop(columns=no_features)
    return Tables(X, y.to_numpy(dtype=np.int64 if given["classes"] else np.float64), X_test)


def as_categories(tables: Tables) -> Tables:
    """Texts as pandas categories with the training rows' levels, as LightGBM and HistGradientBoosting take them; a
    level that the training rows lack becomes missing."""
    X, X_test = tables.X.copy(), tables.X_test.copy()
    for name in X.columns:
        if not pd.api.types.is_numeric_dtype(X[name]):
            levels = pd.CategoricalDtype(sorted(X[name].dropna().unique()))
            X[name], X_test[name] = X[name].astype(levels), X_test[name].astype(levels)
    return Tables(X, tables.y, X_test)
