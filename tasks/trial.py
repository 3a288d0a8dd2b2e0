"""Trial: fit a family with one set of hyperparameters on every fold; failures are values, not exceptions."""

from __future__ import annotations

import time
import traceback
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks import fold_model, footprint, weigh
from tasks import metric as metrics
from tasks.model import Curve, HasAdapters, OutOfTimeError, TrainsTrials, Validated, times_alone, validated
from tasks.racing import DOUBT, Race
from tasks.records import FoldScore, Proposal, TrialResult
from tasks.store import write_folder
from tasks.study import FoldRecord, adapters_folder, fold_file, read_fold, write_fold
from tasks.workspace import Experiment, training_of, units, workspace_of


@dataclass(frozen=True)
class Entry:
    """A proposal, and the race that it runs, or None where not enough trials are known yet."""

    proposal: Proposal
    race: Race | None = None


class BehindError(Exception):
    """The outlook is so poor that the trial has lost its race; `reach` is what its folds could still score."""

    def __init__(self, reach: Mapping[int, float]) -> None:
        super().__init__(reach)
        self.reach = reach


@task(name="trial", cache_policy=NO_CACHE, persist_result=False)
def run_trials(experiment: Experiment, entries: Sequence[Entry], deadline: float | None) -> list[TrialResult]:
    """The results of some trials, one after the other; short trials share a task run.

    deadline: Unix time in seconds after which no training goes on, or None.
    """
    return [run_trial(experiment, entry.proposal, entry.race, deadline) for entry in entries]


@task(name="trial", cache_policy=NO_CACHE, persist_result=False)
def run_together(experiment: Experiment, entries: Sequence[Entry], deadline: float | None) -> list[TrialResult]:
    """The results of trials of one shape, trained as one. They are one unit: where a fold of any is missing all are
    computed, so that an interrupted run gives what it would have given; but for rounding, where a device had memory for
    all of them in one of the runs alone.

    deadline: as above.
    """
    first = entries[0].proposal
    family, folds = experiment.families[first.family], experiment.order[: first.n_folds]
    alone = [partial(run_trial, experiment, entry.proposal, entry.race, deadline) for entry in entries]
    paths = [fold_file(Path(experiment.folder), one.proposal, fold) for one in entries for fold in folds]
    if len(entries) == 1 or all(path.exists() for path in paths):
        return [run() for run in alone]
    assert isinstance(family, TrainsTrials)
    workspace = workspace_of(experiment, first.family)
    if not family.are_one(workspace, first.hyperparameters, folds * len(entries), first.n_rows):
        return [run() for run in alone]
    watches = [_Watch(entry.race, {}, folds, deadline, getattr(family, "rounds", 1)) for entry in entries]
    trials = [entry.proposal.hyperparameters for entry in entries]
    begun = time.perf_counter()
    every = None
    try:
        every = family.validate_trials(workspace, folds, trials, experiment.seed, watches, first.n_rows)
    except (OSError, MemoryError):
        raise
    except Exception:  # such as no memory for all of them: what it is, the trial whose fault it is meets by itself
        pass  # and not in here, where the traceback would hold all that they took
    if every is None:
        return [run() for run in alone]
    seconds = time.perf_counter() - begun
    results = []
    for entry, done in zip(entries, every, strict=True):
        scores: dict[int, FoldScore] = {}
        error = done if isinstance(done, Exception) else None
        try:
            if not isinstance(done, Exception):
                of_folds = dict(zip(folds, done, strict=True))
                scores = _kept(experiment, entry.proposal, of_folds, seconds, len(folds) * len(entries))
        except Exception as raised:
            error = raised
        results.append(_result(experiment, entry, scores, seconds / len(entries), error))
    return results


def by_shape(experiment: Experiment, entries: Sequence[Entry]) -> list[list[Entry]]:
    """Those side by side that may be trained as one; decided by their shapes alone."""
    found: dict[Hashable, list[Entry]] = {}
    for entry in entries:
        it = entry.proposal
        family = experiment.families[it.family]
        shape = family.shape(it.hyperparameters) if isinstance(family, TrainsTrials) else None
        key = it.number if shape is None else (it.family, it.n_rows, it.n_folds, shape)
        found.setdefault(key, []).append(entry)
    return list(found.values())


@task(name="confirm", cache_policy=NO_CACHE, persist_result=False)
def confirm(experiment: Experiment, proposal: Proposal, fold: int, deadline: float | None) -> FoldScore | None:
    """One fold, on all its rows, of what looked best on less; None where it fails on them, or there is no time."""
    try:
        return _stored_folds(experiment, proposal, [fold], _Watch(None, {}, [fold], deadline))[fold]
    except OutOfTimeError:
        return None
    except (OSError, MemoryError):
        raise
    except Exception:
        get_run_logger().exception("trial %s fails on all rows of fold %s", proposal.number, fold)
        return None


def run_trial(
    experiment: Experiment, proposal: Proposal, race: Race | None = None, deadline: float | None = None
) -> TrialResult:
    """One trial, fold by fold in the experiment's order, or all folds as one where its family trains them so, until it
    has lost its race; a fold that an earlier run finished is read, not computed."""
    scores: dict[int, FoldScore] = {}
    begun, error = time.perf_counter(), None

    def values() -> dict[int, float]:
        return {fold: score.value for fold, score in scores.items()}

    try:
        for folds in units(experiment, proposal):
            if race and scores and len(scores) < len(race.best) and race.is_lost(values()):
                raise BehindError({})
            scores |= _stored_folds(experiment, proposal, folds, _Watch(race, values(), folds, deadline))
    except Exception as raised:
        error = raised
    return _result(experiment, Entry(proposal, race), scores, time.perf_counter() - begun, error)


def _result(
    experiment: Experiment, entry: Entry, scores: Mapping[int, FoldScore], seconds: float, error: Exception | None
) -> TrialResult:
    """What came of a trial: the scores of its folds, and what ended it before all of them were run.

    Raises:
        OSError, MemoryError: the machine's fault, not the trial's: it is tried again when that is mended. Whatever else
            a library raises makes this trial fail, not the search; the traceback is kept.
    """
    if isinstance(error, OSError | MemoryError):
        raise error
    folds = tuple(scores[fold] for fold in sorted(scores))
    told, was_cut, estimate = None, isinstance(error, OutOfTimeError), None
    if isinstance(error, BehindError):
        assert entry.race is not None
        estimate = entry.race.estimate({**{score.fold: score.value for score in folds}, **error.reach})
    elif error is not None and not was_cut:
        told = "".join(traceback.format_exception(error))
    return footprint.limited(TrialResult(entry.proposal, folds, told, was_cut, estimate, seconds), experiment.limits)


@dataclass
class _Watch:
    """Ends folds that are trained now, after those with `values`, when they are out of time or have lost their trial's
    race: one fold, or several at the same round."""

    race: Race | None
    values: dict[int, float]
    folds: Sequence[int]
    deadline: float | None
    rounds: int = 1
    n_looks: int = 0

    def __call__(self, curves: Sequence[Curve]) -> None:
        if self.deadline is not None and time.time() > self.deadline:
            raise OutOfTimeError
        n_looks = max(map(len, curves), default=0)
        if self.race is None or n_looks == self.n_looks:
            return
        self.n_looks = n_looks
        reach = self._reach(self.race, curves)
        if reach is not None and self.race.is_lost({**self.values, **reach}, DOUBT):
            raise BehindError(reach)

    def _reach(self, race: Race, curves: Sequence[Curve]) -> dict[int, float] | None:
        """What each fold could still score; one that has stopped before the others scores what it had reached."""
        reach: dict[int, float] = {}
        for fold, curve in zip(self.folds, curves, strict=True):
            has_stopped = len(curve) < self.n_looks
            one = race.best_of(curve) if has_stopped else race.outlook(curve, self.rounds)
            if one is None:
                return None
            reach[fold] = one
        return reach


def _stored_folds(
    experiment: Experiment, proposal: Proposal, folds: Sequence[int], watch: _Watch
) -> dict[int, FoldScore]:
    """The scores of folds that are trained as one: read where all are there, else all of them computed."""
    records = {fold: read_fold(fold_file(Path(experiment.folder), proposal, fold)) for fold in folds}
    if None not in records.values():
        return {fold: record.score for fold, record in records.items() if record is not None}
    watch([])
    family, workspace = experiment.families[proposal.family], workspace_of(experiment, proposal.family)
    watch.rounds = getattr(family, "rounds", 1)
    hyperparameters, seed, n_rows = proposal.hyperparameters, experiment.seed, proposal.n_rows
    begun = time.perf_counter()  # what all trials share is no fold's own cost, from which a final fit's is foreseen
    done = validated(family, workspace, folds, hyperparameters, seed, n_rows, watch)
    seconds = time.perf_counter() - begun
    return _kept(experiment, proposal, dict(zip(folds, done, strict=True)), seconds, len(folds))


def _kept(
    experiment: Experiment, proposal: Proposal, done: Mapping[int, Validated], seconds: float, n: int
) -> dict[int, FoldScore]:
    """The scores of folds that were computed, n of them as one in so many seconds, written down; a file that is there
    (of another trial on this fold alone) stays, so that what was told of it stays true."""
    family, workspace = experiment.families[proposal.family], workspace_of(experiment, proposal.family)
    share, more = seconds / n, times_alone(family, workspace, proposal.hyperparameters, n, proposal.n_rows)
    alone = None if more == 1 else share * more
    records = {fold: _record(experiment, proposal, fold, one, share, alone) for fold, one in done.items()}
    for fold in records:
        path = fold_file(Path(experiment.folder), proposal, fold)
        if (earlier := read_fold(path)) is None:
            write_fold(path, records[fold])
        else:
            records[fold] = earlier
    return {fold: record.score for fold, record in records.items()}


def _record(
    experiment: Experiment, proposal: Proposal, fold: int, done: Validated, seconds: float, alone: float | None
) -> FoldRecord:
    training = training_of(experiment)
    rows = training.fold(fold, proposal.n_rows)[1]
    y, weight = training.y[rows], None if training.weight is None else training.weight[rows]
    value = metrics.value(experiment.metric, y, done.prediction, weight)
    cost = experiment.loss.cost(y, done.prediction, weight)
    if not np.isfinite(value):
        remedy = ""
        if experiment.problem.is_classification and np.isfinite(done.prediction).all():
            remedy = (
                ", of one class alone, say: folds=stratified spreads classes, a lower folds.n_splits makes folds "
                "larger, metric=log_loss needs but one"
            )
        raise ValueError(f"metric={experiment.metric} is not defined on fold {fold} ({value}){remedy}")
    is_counted = experiment.limits or experiment.takes_simplest
    comes_to = weigh.of_fold(experiment, proposal, fold, done) if is_counted else None
    score = FoldScore(fold, float(value), float(cost), done.rounds, seconds, comes_to, alone)
    if experiment.keep_models and fold_model.are_bagged(training):
        fold_model.keep(experiment, proposal, fold, done.fitted)
    if isinstance(done.fitted, HasAdapters) and done.fitted.adapters is not None:
        write_folder(adapters_folder(Path(experiment.folder), proposal, fold), done.fitted.save_adapters)
    return FoldRecord(score, done.curve, done.prediction.astype(np.float32), done.costs)
