"""Evaluate: open the holdout's labels, once, and judge the final model on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import decision as decisions
from tasks import metric as metrics
from tasks import model as models
from tasks import parquet
from tasks.bootstrap import intervals, resamples_for
from tasks.constant import constant
from tasks.decision import labels_of
from tasks.loss import Loss
from tasks.records import Evaluation, HoldoutScore, Problem, Split, Trained
from tasks.store import write_file

N_RESAMPLES = 1_000  # fewer on large holdouts


@task(name="evaluate", task_run_name="evaluate", cache_policy=NO_CACHE, persist_result=False)
def evaluate(split: Split, trained: Trained, problem: Problem, loss: Loss, metric: str, seed: int) -> Evaluation:
    """The selected metric and every other that fits the problem, with its 95 % bootstrap interval beside that of a
    constant predictor, and the predictions beside the model for the stages after this one. Features are read and
    predicted part by part. Rows are labelled by the model's own decision, the constant's too."""
    folder = Path(split.folder)
    roles = pd.read_parquet(folder / "holdout_labels.parquet")
    y = roles["target"].to_numpy(dtype=np.float64)
    weight = roles["weight"].to_numpy(dtype=np.float64) if "weight" in roles else None
    groups = pd.factorize(roles["group"], sort=True)[0] if "group" in roles else None
    model = models.load(Path(trained.folder))
    prediction = np.concatenate([model.predict(X) for X in parquet.frames(folder / "holdout_features.parquet")])
    baseline = constant(pd.read_parquet(folder / "train_roles.parquet"), problem, loss, len(y))
    decision = decisions.read(Path(trained.folder))
    labels = labels_of(prediction, decision) if problem.is_classification else None
    labels_of_baseline = labels_of(baseline, decision) if problem.is_classification else None
    names = tuple(dict.fromkeys((metric, *metrics.for_problem(problem.kind))))
    n_resamples = resamples_for(len(y), N_RESAMPLES)
    sure = intervals(names, y, prediction, weight, groups=groups, labels=labels, n_resamples=n_resamples, seed=seed)
    scores = {
        name: HoldoutScore(
            metrics.value(name, y, prediction, weight, labels),
            *sure[name],
            metrics.value(name, y, baseline, weight, labels_of_baseline),
        )
        for name in names
    }
    table = _table(roles, prediction, labels, problem)
    path = Path(f"{trained.folder}-predictions.parquet")
    write_file(path, lambda beside: table.to_parquet(beside, index=False))
    return Evaluation(str(path), scores)


def _table(
    roles: pd.DataFrame, prediction: models.Floats, labels: metrics.Integers | None, problem: Problem
) -> pd.DataFrame:
    if labels is None:
        return pd.DataFrame({"target": roles["target"], "prediction": prediction})
    columns = {f"probability_{label}": prediction[:, code] for code, label in enumerate(problem.classes)}
    return pd.DataFrame({"target": roles["target"], "prediction": labels, **columns})
