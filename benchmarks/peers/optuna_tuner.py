"""Optuna's LightGBMTunerCV: one group of hyperparameters after the other; its best is fitted once more on all rows."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import optuna
from optuna_integration.lightgbm import LightGBMTunerCV

from benchmarks.peers._job import Job, Tables, as_categories, main
from benchmarks.peers._lgb import MAX_ROUNDS, PATIENCE, fixed, folds, predictor


def fit(job: Job, tables: Tables) -> tuple[Any, dict[str, Any]]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = "maximize" if job.metric == "roc_auc" else "minimize"
    study = optuna.create_study(direction=direction)
    tuner = LightGBMTunerCV(
        fixed(job), lgb.Dataset(tables.X, tables.y), num_boost_round=MAX_ROUNDS, folds=folds(job),
        time_budget=round(job.seconds), study=study, optuna_seed=job.seed, show_progress_bar=False,
        return_cvbooster=True, callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )  # fmt: skip
    tuner.run()
    rounds = tuner.get_best_booster().best_iteration
    return predictor(job, tables, tuner.best_params, rounds), {"trials": len(study.trials), "cv": tuner.best_score}


if __name__ == "__main__":
    main(fit, as_categories)
