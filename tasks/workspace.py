"""What the trials of a study and its final fit share, read and built once per process."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from tasks import parquet
from tasks.class_weight import ClassWeight
from tasks.folds import read_folds
from tasks.footprint import Limits
from tasks.loss import Loss
from tasks.model import Model, Training, TrainsTogether, reads_text, without_text
from tasks.records import Problem, Proposal, TrialResult


@dataclass(frozen=True)
class Experiment:
    """All that a worker needs to run any trial of a study; `folder` is the study's, `base` a model's or None.
    `keep_models`: the model of each fold is kept beside its predictions. `limits`: of the final model.
    `text`: the features that are prose. `takes_simplest`: of trials as good as the best the cheapest wins."""

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
    growth: float
    n_threads: int
    keep_models: bool
    limits: Limits = field(default_factory=Limits)
    class_weight: ClassWeight | None = None
    text: tuple[str, ...] = ()
    takes_simplest: bool = False

    @property
    def order(self) -> tuple[int, ...]:
        """The folds in the order in which every trial runs them."""
        return tuple(np.random.default_rng(self.seed).permutation(self.n_folds).tolist())


_workspaces: dict[tuple[str, str], Any] = {}
_trainings: dict[str, Training] = {}
_making: dict[tuple[str, str], float] = {}
_lock = threading.Lock()


def forget() -> None:
    """Lets go of what this process keeps, so that it is no part of the memory of what comes next."""
    with _lock:
        _trainings.clear()
        _workspaces.clear()


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
            it = experiment.families[family]
            seen = training if reads_text(it) else without_text(training)
            begun = time.perf_counter()
            _workspaces[key] = it.workspace(seen, base, experiment.n_threads)
            _making[key] = max(_making.get(key, 0.0), time.perf_counter() - begun)
        return _workspaces[key]


def making_seconds(experiment: Experiment) -> float:
    """What making the workspaces of its families took in this process, where most had to be computed."""
    return sum(_making.get((experiment.digest, family), 0.0) for family in experiment.families)


def units(experiment: Experiment, proposal: Proposal) -> list[tuple[int, ...]]:
    """The folds that a proposal is judged on, in their order, those that are trained as one side by side."""
    folds, family = experiment.order[: proposal.n_folds], experiment.families[proposal.family]
    if isinstance(family, TrainsTogether):
        workspace = workspace_of(experiment, proposal.family)
        if family.are_one(workspace, proposal.hyperparameters, folds, proposal.n_rows):
            return [folds]
    return [(fold,) for fold in folds]


def rho(experiment: Experiment, result: TrialResult) -> float:
    """Validation rows per training row of a fold, in the mean over those that a trial was judged on."""
    sides = [training_of(experiment).fold(score.fold, result.proposal.n_rows) for score in result.folds]
    return fmean(len(valid) / len(train) for train, valid in sides)


def _read_training(experiment: Experiment) -> Training:
    parquet.give_back_large_blocks()
    folder = Path(experiment.split)
    roles = pd.read_parquet(folder / "train_roles.parquet")
    return Training(
        features=folder / "train_features.parquet",
        y=roles["target"].to_numpy(dtype=np.float64),
        weight=roles["weight"].to_numpy(dtype=np.float64) if "weight" in roles else None,
        folds=read_folds(folder),
        problem=experiment.problem,
        loss=experiment.loss,
        metric=experiment.metric,
        class_weight=experiment.class_weight,
        text=experiment.text,
        computed=folder.parents[1] / "computed",
    )
