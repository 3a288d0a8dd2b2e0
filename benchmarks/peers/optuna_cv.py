"""Optuna's TPE over `lgb.cv` with early stopping, from a random start, with the ranges of Optuna's own LightGBM
example; the best is fitted once more on all training rows."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import optuna

from benchmarks.peers._job import Job, Tables, as_categories, main
from benchmarks.peers._lgb import MAX_ROUNDS, METRICS, PATIENCE, fixed, folds, predictor


def suggested(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 2, 256),
        "min_child_samples": trial.suggest_int("min_child_samples", 5, 100),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.4, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.4, 1.0),
        "bagging_freq": trial.suggest_int("bagging_freq", 1, 7),
        "lambda_l1": trial.suggest_float("lambda_l1", 1e-8, 10.0, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-8, 10.0, log=True),
    }


def fit(job: Job, tables: Tables) -> tuple[Any, dict[str, Any]]:
    name = f"valid {METRICS[job.metric]}-mean"

    def objective(trial: optuna.Trial) -> float:
        result = lgb.cv(
            {**fixed(job), **suggested(trial)}, lgb.Dataset(tables.X, tables.y), num_boost_round=MAX_ROUNDS,
            folds=folds(job), callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        )  # fmt: skip
        trial.set_user_attr("rounds", len(result[name]))
        return float(result[name][-1])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = "maximize" if job.metric == "roc_auc" else "minimize"
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=job.seed))
    study.optimize(objective, timeout=job.seconds)
    best = study.best_trial
    parameters = {**fixed(job), **best.params}
    notes = {"trials": len(study.trials), "cv": best.value}
    return predictor(job, tables, parameters, best.user_attrs["rounds"]), notes


if __name__ == "__main__":
    main(fit, as_categories)
