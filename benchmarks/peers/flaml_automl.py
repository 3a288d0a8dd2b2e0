"""FLAML's AutoML with its defaults: learners, resampling and the final fit are its own choice within the budget."""

from __future__ import annotations

from typing import Any

from flaml import AutoML

from benchmarks.peers._job import Job, Tables, main


def fit(job: Job, tables: Tables) -> tuple[Any, dict[str, Any]]:
    automl = AutoML()
    ordered = {"split_type": "time"} if job.time else {}
    automl.fit(
        tables.X, tables.y, task="classification" if job.is_classification else "regression", metric=job.metric,
        time_budget=job.seconds, n_jobs=job.n_jobs, seed=job.seed, verbose=0, **ordered,
    )  # fmt: skip
    notes = {"learner": automl.best_estimator, "trials": len(automl.config_history)}
    return (automl.predict_proba if job.is_classification else automl.predict), notes


if __name__ == "__main__":
    main(fit)
