"""scikit-learn's RandomizedSearchCV over LightGBM. It knows no budget: it is called again and again for a few settings
while another call of the same length fits in, and the best of all is fitted once more on all training rows."""

from __future__ import annotations

import time
from typing import Any

from sklearn.model_selection import RandomizedSearchCV

from benchmarks.peers._job import Job, Tables, as_categories, main
from benchmarks.peers._scikit import SCORERS, SPACE, estimator, folds, refitted


def fit(job: Job, tables: Tables) -> tuple[Any, dict[str, Any]]:
    best: tuple[float, dict[str, Any]] | None = None
    n_calls, longest, refit = 0, 0.0, 0.0
    while best is None or job.left() > longest + refit:
        begun = time.perf_counter()
        search = RandomizedSearchCV(
            estimator(job), SPACE, n_iter=job.n_jobs, scoring=SCORERS[job.metric], n_jobs=job.n_jobs, cv=folds(job),
            refit=False, random_state=1000 * job.seed + n_calls,
        ).fit(tables.X, tables.y)  # fmt: skip
        n_calls, longest = n_calls + 1, max(longest, time.perf_counter() - begun)
        if best is None or search.best_score_ > best[0]:
            best = (float(search.best_score_), search.best_params_)
            fit_seconds = search.cv_results_["mean_fit_time"][search.best_index_]
            refit = float(fit_seconds) * 1.25  # all rows are 5/4 of a fold's
    return refitted(job, best[1], tables.X, tables.y), {"settings": n_calls * job.n_jobs, "cv": best[0]}


if __name__ == "__main__":
    main(fit, as_categories)
