"""Trial: fit a family with one set of hyperparameters on every fold; failures are values, not exceptions."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import fold_model
from tasks import metric as metrics
from tasks.records import FoldScore, Proposal, TrialResult
from tasks.study import FoldRecord, fold_file, read_fold, write_fold
from tasks.workspace import Experiment, training_of, workspace_of


@task(name="trial", cache_policy=NO_CACHE, persist_result=False)
def run_trials(experiment: Experiment, proposals: Sequence[Proposal], deadline: float | None) -> list[TrialResult]:
    """The results of some trials, one after the other; short trials share a task run.

    deadline: Unix time in seconds after which no further fold is begun, or None.
    """
    return [run_trial(experiment, proposal, deadline) for proposal in proposals]


def run_trial(experiment: Experiment, proposal: Proposal, deadline: float | None = None) -> TrialResult:
    """One trial, fold by fold; a fold that an earlier run finished is read, not computed."""
    scores: list[FoldScore] = []
    try:
        for fold in range(experiment.n_folds):
            path = fold_file(Path(experiment.folder), proposal, fold)
            record = read_fold(path)
            if record is None and deadline is not None and time.time() > deadline:
                return TrialResult(proposal, tuple(scores), None, was_cut=True)
            if record is None:
                record = _run_fold(experiment, proposal, fold)
                write_fold(path, record)
            scores.append(record.score)
    except (OSError, MemoryError):  # the machine's fault, not the trial's: it is tried again when that is mended
        raise
    except Exception:  # whatever a library raises makes this trial fail, not the search; the traceback is kept
        return TrialResult(proposal, tuple(scores), traceback.format_exc(), was_cut=False)
    return TrialResult(proposal, tuple(scores), None, was_cut=False)


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
    if experiment.keep_models and fold_model.are_bagged(training):
        fold_model.keep(experiment, proposal, fold, validated.fitted)
    return FoldRecord(score, validated.curve, validated.prediction.astype(np.float32))
