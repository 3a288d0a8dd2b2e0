"""AutoGluon's TabularPredictor with one of its presets; it tells column types, validates and combines by itself."""

from __future__ import annotations

from typing import Any

import pandas as pd
from autogluon.tabular import TabularPredictor

from benchmarks.peers._job import Job, Tables, main

METRICS = {"roc_auc": "roc_auc", "log_loss": "log_loss", "rmse": "root_mean_squared_error"}


def fit(job: Job, tables: Tables) -> tuple[Any, dict[str, Any]]:
    """It takes no seed: the order of the rows stands in for one."""
    train = tables.X.assign(**{job.target: tables.y}).sample(frac=1.0, random_state=job.seed, ignore_index=True)
    predictor = TabularPredictor(
        job.target, problem_type=job.problem, eval_metric=METRICS[job.metric], path="autogluon", verbosity=1,
    )  # fmt: skip
    predictor.fit(train, presets=job.options["preset"], time_limit=job.seconds, num_cpus=job.n_jobs, num_gpus=0)

    def predict(X: pd.DataFrame) -> Any:
        return predictor.predict_proba(X).to_numpy() if job.is_classification else predictor.predict(X).to_numpy()

    return predict, {"model": predictor.model_best, "models": len(predictor.model_names())}


if __name__ == "__main__":
    main(fit)
