"""sklearn-genetic-opt's GASearchCV over LightGBM, stopped between generations by its own TimerStopping."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
from sklearn_genetic import GASearchCV
from sklearn_genetic.callbacks import TimerStopping
from sklearn_genetic.space import Continuous, Integer

from benchmarks.peers._job import Job, Tables, as_categories, main
from benchmarks.peers._scikit import SCORERS, estimator, folds, refitted

POPULATION = 6  # few, so that several generations fit into a minute: it looks at the clock between them alone
SPACE = {  # the ranges of the other searches over scikit-learn's interface
    "n_estimators": Integer(50, 500),
    "learning_rate": Continuous(0.01, 0.3, distribution="log-uniform"),
    "num_leaves": Integer(8, 127),
    "min_child_samples": Integer(5, 100),
    "colsample_bytree": Continuous(0.4, 1.0),
    "subsample": Continuous(0.5, 1.0),
    "reg_alpha": Continuous(1e-4, 10.0, distribution="log-uniform"),
    "reg_lambda": Continuous(1e-4, 10.0, distribution="log-uniform"),
}


def fit(job: Job, tables: Tables) -> tuple[Any, dict[str, Any]]:
    random.seed(job.seed)  # DEAP draws from the global generators
    np.random.seed(job.seed)
    search = GASearchCV(
        estimator(job), param_grid=SPACE, cv=folds(job), scoring=SCORERS[job.metric], n_jobs=job.n_jobs,
        population_size=POPULATION, generations=1000, algorithm="eaSimple", refit=False, verbose=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(tables.X, tables.y, callbacks=[TimerStopping(total_seconds=round(job.seconds))])
    return refitted(job, search.hof[0], tables.X, tables.y), {"generations": len(search.history["gen"])}


if __name__ == "__main__":
    main(fit, as_categories)
