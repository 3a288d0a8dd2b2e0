"""scikit-learn's RandomizedSearchCV over its MLPClassifier or MLPRegressor, as its user guide has it: numbers scaled,
levels one-hot, early stopping; the target of a regression scaled too. Called again and again as in `sklearn_random`."""

from __future__ import annotations

import time
import warnings
from typing import Any

import pandas as pd
from scipy.stats import loguniform
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import RandomizedSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.peers._job import Job, Tables, main
from benchmarks.peers._scikit import SCORERS, folds

SPACE: dict[str, Any] = {
    "hidden_layer_sizes": [(64,), (128,), (256,), (64, 64), (128, 128), (256, 128), (128, 64, 32)],
    "activation": ["relu", "tanh"],
    "alpha": loguniform(1e-6, 1e-1),
    "learning_rate_init": loguniform(3e-4, 3e-2),
    "batch_size": [64, 128, 256, 512],
}


def estimator(job: Job, X: pd.DataFrame) -> tuple[Any, str]:
    """A pipeline, and what stands before the net's own parameters in it."""
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    numbers = [name for name in X.columns if pd.api.types.is_numeric_dtype(X[name])]
    encoder = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), [name for name in X.columns if name not in numbers]),
    )
    options = {"early_stopping": True, "max_iter": 200, "random_state": job.seed}
    if job.is_classification:
        return make_pipeline(encoder, MLPClassifier(**options)), "mlpclassifier__"
    net = make_pipeline(encoder, MLPRegressor(**options))
    return TransformedTargetRegressor(net, transformer=StandardScaler()), "regressor__mlpregressor__"


def fit(job: Job, tables: Tables) -> tuple[Any, dict[str, Any]]:
    made, prefix = estimator(job, tables.X)
    space = {f"{prefix}{key}": values for key, values in SPACE.items()}
    best: tuple[float, dict[str, Any]] | None = None
    n_calls, longest, refit = 0, 0.0, 0.0
    while best is None or job.left() > longest + refit:
        begun = time.perf_counter()
        search = RandomizedSearchCV(
            made, space, n_iter=job.n_jobs, scoring=SCORERS[job.metric], n_jobs=job.n_jobs, cv=folds(job),
            refit=False, random_state=1000 * job.seed + n_calls,
        ).fit(tables.X, tables.y)  # fmt: skip
        n_calls, longest = n_calls + 1, max(longest, time.perf_counter() - begun)
        if best is None or search.best_score_ > best[0]:
            best = (float(search.best_score_), search.best_params_)
            fit_seconds = search.cv_results_["mean_fit_time"][search.best_index_]
            refit = float(fit_seconds) * 1.25  # all rows are 5/4 of a fold's
    model = made.set_params(**best[1]).fit(tables.X, tables.y)
    predict = model.predict_proba if job.is_classification else model.predict
    return predict, {"settings": n_calls * job.n_jobs, "cv": best[0]}


if __name__ == "__main__":
    main(fit)
