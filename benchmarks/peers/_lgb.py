"""What the peers made of Optuna and `lgb.cv` share."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

from benchmarks.peers._job import Job, Tables

METRICS = {"roc_auc": "auc", "log_loss": "multi_logloss", "rmse": "rmse"}
OBJECTIVES = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}
N_FOLDS, MAX_ROUNDS, PATIENCE = 5, 2000, 50


def fixed(job: Job) -> dict[str, Any]:
    classes = {"num_class": len(job.classes)} if job.problem == "multiclass" else {}
    return {
        "objective": OBJECTIVES[job.problem], "metric": METRICS[job.metric], "num_threads": job.n_jobs,
        "seed": job.seed, "verbosity": -1, "feature_pre_filter": False, **classes,
    }  # fmt: skip


def folds(job: Job) -> Any:
    if job.time:
        return TimeSeriesSplit(N_FOLDS)
    cls = StratifiedKFold if job.is_classification else KFold
    return cls(N_FOLDS, shuffle=True, random_state=job.seed)


def predictor(job: Job, tables: Tables, parameters: dict[str, Any], rounds: int) -> Any:
    """The parameters on all training rows; gives (n, k) or (n,)."""
    booster = lgb.train(parameters, lgb.Dataset(tables.X, tables.y), num_boost_round=rounds)

    def predict(X: Any) -> np.ndarray:
        prediction = np.asarray(booster.predict(X))
        return np.column_stack([1 - prediction, prediction]) if job.problem == "binary" else prediction

    return predict
