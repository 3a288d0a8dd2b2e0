"""What the peers made of scikit-learn's searches share: LightGBM as an estimator, its space, folds and scorer."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor
from scipy.stats import loguniform, randint, uniform
from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

from benchmarks.peers._job import Job

SCORERS = {"roc_auc": "roc_auc", "log_loss": "neg_log_loss", "rmse": "neg_root_mean_squared_error"}
N_FOLDS = 5
# Ranges as in tutorials of LightGBM under scikit-learn's searches: number of trees and learning rate together.
SPACE: dict[str, Any] = {
    "n_estimators": randint(50, 501),
    "learning_rate": loguniform(0.01, 0.3),
    "num_leaves": randint(8, 128),
    "min_child_samples": randint(5, 101),
    "colsample_bytree": uniform(0.4, 0.6),
    "subsample": uniform(0.5, 0.5),
    "reg_alpha": loguniform(1e-4, 10.0),
    "reg_lambda": loguniform(1e-4, 10.0),
}


def estimator(job: Job) -> Any:
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    cls = LGBMClassifier if job.is_classification else LGBMRegressor
    return cls(n_jobs=1, subsample_freq=1, random_state=job.seed, verbose=-1)


def folds(job: Job) -> Any:
    if job.time:
        return TimeSeriesSplit(N_FOLDS)
    cls = StratifiedKFold if job.is_classification else KFold
    return cls(N_FOLDS, shuffle=True, random_state=job.seed)


def refitted(job: Job, parameters: dict[str, Any], X: pd.DataFrame, y: np.ndarray) -> Any:
    """What predicts: the best parameters on all training rows, with as many threads as the job has."""
    model = estimator(job).set_params(**parameters, n_jobs=job.n_jobs).fit(X, y)
    return model.predict_proba if job.is_classification else model.predict
