"""Trial: fit a family with one set of hyperparameters on every fold; failures are values, not exceptions."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import metric as metrics
from tasks.loss import Loss
from tasks.model import Model, Training
from tasks.records import FoldScore, Problem, Proposal, TrialResult
from tasks.split import read_folds
from tasks.study import FoldRecord, fold_file, read_fold, write_fold


@dataclass(frozen=True)
class Experiment:
    """All that a worker needs to run any trial of a study; `folder` is the study's, `base` a model's or None."""

    digest: str
    folder: str
    split: str
    problem: Problem
    families: Mapping[str, Model]
    loss: Loss
    metric: str
    base: str | None
    seed: int
    n_folds: int
    n_threads: int


_workspaces: dict[tuple[str, str], Any] = {}
_trainings: dict[str, Training] = {}
_lock = threading.Lock()


@task(name="trial", cache_policy=NO_CACHE, persist_result=False)
def run_trials(experiment: Experiment, proposals: Sequence[Proposal], deadline: float | None) -> list[TrialResult]:
    """The results of some trials, one after the other; short trials share a task run.

    deadline: Unix time in seconds after which no further fold is begun, or None.
    """
    return [run_trial(experiment, proposal, deadline) for proposal in proposals]


def run_trial(experiment: Experiment, proposal: Proposal, deadline: float | None = None) -> TrialResult:
    """One trial, fold by fold; a fold that an earlier run finished is read, not computed."""
    scores: list[FoldScore] = []
    n_reused = 0
    try:
        for fold in range(experiment.n_folds):
            path = fold_file(Path(experiment.folder), proposal, fold)
            record = read_fold(path)
            n_reused += record is not None
            if record is None and deadline is not None and time.time() > deadline:
                return TrialResult(proposal, tuple(scores), n_reused, None, was_cut=True)
            if record is None:
                record = _run_fold(experiment, proposal, fold)
                write_fold(path, record)
            scores.append(record.score)
    except Exception:  # whatever a library raises makes this trial fail, not the search; the traceback is kept
        return TrialResult(proposal, tuple(scores), n_reused, traceback.format_exc(), was_cut=False)
    return TrialResult(proposal, tuple(scores), n_reused, None, was_cut=False)


def _run_fold(experiment: Experiment, proposal: Proposal, fold: int) -> FoldRecord:
    begun = time.perf_counter()
    training = training_of(experiment)
    family = experiment.families[proposal.family]
    workspace = workspace_of(experiment, proposal.family)
    validated = family.validate(workspace, fold, proposal.hyperparameters, experiment.seed)
    rows = training.folds[fold][1]
    y, weight = training.y[rows], None if training.weight is None else training.weight[rows]
    value = metrics.value(experiment.metric, y, validated.prediction, weight)
    cost = experiment.loss.cost(y, validated.prediction, weight)
    if not np.isfinite(value):
        raise ValueError(f"{experiment.metric} is not defined on fold {fold}: {value}")
    score = FoldScore(fold, float(value), float(cost), validated.rounds, time.perf_counter() - begun)
    return FoldRecord(score, validated.curve, validated.prediction.astype(np.float32))


def training_of(experiment: Experiment) -> Training:
    """The training rows, read once per process; one experiment's at a time is kept."""
    with _lock:
        if experiment.digest not in _trainings:
            _trainings.clear()
            _workspaces.clear()
            _trainings[experiment.digest] = _read_training(experiment)
        return _trainings[experiment.digest]


def workspace_of(experiment: Experiment, family: str) -> Any:
    """What all trials of a family share, made once per process."""
    training = training_of(experiment)
    with _lock:
        key = (experiment.digest, family)
        if key not in _workspaces:
            base = Path(experiment.base) if experiment.base else None
            _workspaces[key] = experiment.families[family].workspace(training, base, experiment.n_threads)
        return _workspaces[key]


def _read_training(experiment: Experiment) -> Training:
    folder = Path(experiment.split)
    roles = pd.read_parquet(folder / "train_roles.parquet")
    return Training(
        X=pd.read_parquet(folder / "train_features.parquet"),
        y=roles["target"].to_numpy(dtype=np.float64),
        weight=roles["weight"].to_numpy(dtype=np.float64) if "weight" in roles else None,
        folds=read_folds(folder),
        problem=experiment.problem,
        loss=experiment.loss.name,
        metric=experiment.metric,
    )
