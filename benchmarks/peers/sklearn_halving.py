"""scikit-learn's HalvingRandomSearchCV over LightGBM: many settings on few rows, a third of them on three times as
many, until one is left on all. It knows no budget: whole brackets are run while another of the same length fits in."""

from __future__ import annotations

import time
from typing import Any

from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # which the next needs
from sklearn.model_selection import HalvingRandomSearchCV

from benchmarks.peers._job import Job, Tables, as_categories, main
from benchmarks.peers._scikit import N_FOLDS, SCORERS, SPACE, estimator, folds, refitted

FACTOR, N_RUNGS = 3, 3  # 27 settings on 1/27 of the rows, 9 on 1/9, 3 on 1/3, 1 on all, where there are rows enough


def fit(job: Job, tables: Tables) -> tuple[Any, dict[str, Any]]:
    fewest = max(len(tables.X) // FACTOR**N_RUNGS, 10 * N_FOLDS * max(1, len(job.classes)))
    best: tuple[float, dict[str, Any]] | None = None
    n_brackets, longest, refit = 0, 0.0, 0.0
    while best is None or job.left() > longest + refit:
        begun = time.perf_counter()
        search = HalvingRandomSearchCV(
            estimator(job), SPACE, n_candidates="exhaust", factor=FACTOR, min_resources=min(fewest, len(tables.X)),
            scoring=SCORERS[job.metric], n_jobs=job.n_jobs, cv=folds(job), refit=False,
            random_state=1000 * job.seed + n_brackets,
        ).fit(tables.X, tables.y)  # fmt: skip
        n_brackets, longest = n_brackets + 1, max(longest, time.perf_counter() - begun)
        if best is None or search.best_score_ > best[0]:
            best = (float(search.best_score_), search.best_params_)
            refit = float(search.cv_results_["mean_fit_time"][search.best_index_]) * 1.25
    return refitted(job, best[1], tables.X, tables.y), {"brackets": n_brackets, "cv": best[0]}


if __name__ == "__main__":
    main(fit, as_categories)
