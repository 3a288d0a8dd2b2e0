"""Nested cross-validation: the whole search again within each fold, scored on rows that nothing was chosen by.

Each outer fold is a split of its own, so that inner searches are ordinary ones with studies of their own: killed, they
go on, and the same command finds them done. What a fold validates takes the holdout's place; the sealed one stays shut.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd

from flows import screen
from flows.budget import Budget
from flows.decide import Job, job_of
from flows.final import final
from flows.searching import search_unheard, studying
from tasks import decision as decisions
from tasks import metric as metrics
from tasks import model as models
from tasks import parquet
from tasks.comparison import of_metric
from tasks.conclude import conclude
from tasks.decision import labels_of
from tasks.records import Split
from tasks.selected import Nested
from tasks.split import outer_split


def outer_jobs(job: Job, base: Path | None) -> list[Job]:
    """The run within each fold, where evaluation=nested asks for it; what that will cost is said.

    Raises:
        Refusal: when folds can't be drawn within a fold.
    """
    if job.decided.composed.config.evaluation != "nested":
        return []
    folds = job.decided.composed.choices["folds"]
    splits = [
        outer_split(job.prepared, job.split, job.decided.splitter, folds, fold) for fold in range(job.split.n_folds)
    ]
    made = [job_of(job.plan, job.decided, job.prepared, divided, job.begun, base) for divided in splits]
    n, seconds = job.plan.n_trials, job.decided.composed.config.search.seconds
    n_inner = sum(n * one.split.n_folds for one in made)
    bound = "" if seconds is None else f", each within search.seconds={seconds:g}"
    screen.say(
        f"evaluation=nested: after this search {len(made)} more of {n} trials{bound}, up to {n_inner:,} fold fits "
        f"beside the {n * job.split.n_folds:,} of the search itself",
        "yellow",
    )
    return made


def nested(job: Job, outer: Sequence[Job], base: Path | None) -> Nested:
    """The search, the final fit of what it finds, and its calibration and decision, within each fold."""
    metric, values, n_fits = job.decided.metric, [], 0
    for number, one in enumerate(outer, start=1):
        screen.say(f"nested search {number} of {len(outer)}: {one.split.n_train:,} rows", "bold")
        with studying(one, base) as (study, experiment):
            budget = Budget(time.time(), job.decided.composed.config.search.seconds, job.plan.n_workers)
            ended = final(one, experiment, search_unheard(one, experiment, study, budget, job.plan.n_trials), budget)
            made = conclude(experiment, ended.trained, ended.members, job.plan.asked)
        n_fits += sum(len(result.folds) for result in ended.tuned.results)
        is_labelled = job.prepared.problem.is_classification
        values.append(_score(one.split, Path(made.trained.folder), metric, is_labelled=is_labelled))
        screen.say(f"{metric} {values[-1]:.5g} on {one.split.n_holdout:,} rows that nothing was chosen by")
    defined = [value for value in values if not math.isnan(value)]
    rho = fmean(one.split.n_holdout / one.split.n_train for one in outer)
    found = of_metric(metric, defined or [math.nan], rho)
    return Nested(metric, found.value, found.low, found.high, tuple(values), n_fits)


def _score(divided: Split, model: Path, metric: str, *, is_labelled: bool) -> float:
    folder, fitted = Path(divided.folder), models.load(model)
    roles = pd.read_parquet(folder / "holdout_labels.parquet")
    prediction = np.concatenate([fitted.predict(X) for X in parquet.frames(folder / "holdout_features.parquet")])
    weight = roles["weight"].to_numpy(dtype=np.float64) if "weight" in roles else None
    labels = labels_of(prediction, decisions.read(model)) if is_labelled else None
    return metrics.value(metric, roles["target"].to_numpy(dtype=np.float64), prediction, weight, labels)
