"""`python -m benchmarks.ways WAY TABLE ROUNDS SETTINGS`: settings, each over five folds on two cores, in a way without
finefold; prints seconds and the best mean AUC as JSON. What is made once is made before the clock runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from statistics import fmean
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score

from benchmarks.settings import RANGES, drawn

N_FOLDS, N_CORES, SEED = 5, 2, 0
# What finefold gives LightGBM too; the last two spare it a trial of both ways to build histograms.
PARAMETERS = {
    "objective": "binary", "metric": "auc", "verbose": -1, "feature_pre_filter": False, "seed": SEED,
    "deterministic": True, "force_row_wise": True,
}  # fmt: skip
Settings = list[dict[str, Any]]


def bare(X: np.ndarray, y: np.ndarray, rounds: int, settings: Settings) -> tuple[float, float]:
    """`Booster.update()` in two threads of one LightGBM thread each, on ready-made bins and folds; AUC once a fold."""
    parameters = {**PARAMETERS, "num_threads": 1}
    whole = lgb.Dataset(X, y, params=parameters).construct()
    folds = [(whole.subset(train).construct(), whole.subset(valid).construct()) for train, valid in _folds(X, y)]

    def fold(setting: dict[str, Any], train: lgb.Dataset, valid: lgb.Dataset) -> float:
        booster = lgb.Booster({**parameters, **setting}, train)
        booster.add_valid(valid, "valid")
        for _ in range(rounds):
            booster.update()
        return float(booster.eval_valid()[0][2])

    begun = time.perf_counter()
    with ThreadPoolExecutor(N_CORES) as pool:
        scores = list(pool.map(lambda setting: fmean(fold(setting, *sides) for sides in folds), settings))
    return time.perf_counter() - begun, max(scores)


def scikit(X: np.ndarray, y: np.ndarray, rounds: int, settings: Settings) -> tuple[float, float]:
    """scikit-learn's `cross_val_score` over LGBMClassifier, folds in two processes that run already."""
    splitter = StratifiedKFold(N_FOLDS, shuffle=True, random_state=SEED)

    def trial(setting: dict[str, Any], rows: int | None = None) -> float:
        names = {"min_data_in_leaf": "min_child_samples", "feature_fraction": "colsample_bytree",
                 "bagging_fraction": "subsample", "lambda_l1": "reg_alpha", "lambda_l2": "reg_lambda"}  # fmt: skip
        renamed = {names.get(name, name): value for name, value in setting.items()}
        model = lgb.LGBMClassifier(n_estimators=rounds, n_jobs=1, random_state=SEED, verbose=-1, **renamed)
        return float(cross_val_score(model, X[:rows], y[:rows], scoring="roc_auc", cv=splitter, n_jobs=N_CORES).mean())

    trial(settings[0], 500)
    begun = time.perf_counter()
    scores = [trial(setting) for setting in settings]
    return time.perf_counter() - begun, max(scores)


def optuna(X: np.ndarray, y: np.ndarray, rounds: int, settings: Settings, n_jobs: int = 1) -> tuple[float, float]:
    """Optuna over `lgb.cv`, the settings enqueued, AUC once a fold: `n_jobs` trials at a time share the two cores. Each
    is lent a Dataset that is made before the clock runs."""
    # The number of threads is LightGBM's for the whole process: another one set anywhere, be it in a Dataset, while a
    # booster grows in another thread ends in a segmentation fault.
    fixed = {"verbose": -1, "feature_pre_filter": False, "num_threads": N_CORES // n_jobs}
    folds, ready = _folds(X, y), SimpleQueue[lgb.Dataset]()
    for _ in range(n_jobs):
        ready.put(lgb.Dataset(X, y, params=fixed).construct())

    def objective(trial: Any) -> float:
        asked = {**fixed, "objective": "binary", "metric": "None", "seed": SEED, **_suggested(trial)}
        data = ready.get()
        boosters = lgb.cv(asked, data, rounds, folds=folds, return_cvbooster=True)["cvbooster"].boosters
        ready.put(data)
        return fmean(
            float(roc_auc_score(y[valid], booster.predict(X[valid], num_threads=fixed["num_threads"])))
            for booster, (_, valid) in zip(boosters, folds, strict=True)
        )

    study = _study(settings)
    begun = time.perf_counter()
    study.optimize(objective, n_trials=len(settings), n_jobs=n_jobs)
    return time.perf_counter() - begun, study.best_value


def _study(settings: Settings) -> Any:
    import optuna as library

    library.logging.set_verbosity(library.logging.WARNING)
    study = library.create_study(direction="maximize", sampler=library.samplers.RandomSampler(SEED))
    for setting in settings:
        study.enqueue_trial(setting)
    return study


def _suggested(trial: Any) -> dict[str, Any]:
    return {name: trial._suggest(name, range_) for name, range_ in RANGES.items()}


def _folds(X: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(StratifiedKFold(N_FOLDS, shuffle=True, random_state=SEED).split(X, y))


WAYS: dict[str, Callable[[np.ndarray, np.ndarray, int, Settings], tuple[float, float]]] = {
    "bare": bare, "scikit": scikit, "optuna": optuna, "optuna_jobs": partial(optuna, n_jobs=N_CORES),
}  # fmt: skip


def main() -> None:
    way, table, rounds, n = sys.argv[1:]
    frame = pd.read_parquet(Path(table))
    X, y = frame.drop(columns="y").to_numpy(), frame["y"].to_numpy()
    seconds, best = WAYS[way](X, y, int(rounds), drawn(int(n), SEED))
    print(json.dumps({"seconds": seconds, "best": best}))


if __name__ == "__main__":
    main()
