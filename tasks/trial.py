"""Trial: fit a family with one set of hyperparameters on every fold; failures are values, not exceptions."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import fold_model, footprint
from tasks import metric as metrics
from tasks.model import Curve, OutOfTimeError, Validated
from tasks.racing import DOUBT, Race
from tasks.records import FoldScore, Footprint, Proposal, TrialResult
from tasks.study import FoldRecord, fold_file, read_fold, write_fold
from tasks.workspace import Experiment, training_of, workspace_of


@dataclass(frozen=True)
class Entry:
    """A proposal, and the race that it runs, or None where not enough trials are known yet."""

    proposal: Proposal
    race: Race | None = None


class BehindError(Exception):
    """A fold's outlook is so poor that the trial has lost its race; `reach` is what the fold could still score."""

    def __init__(self, reach: float) -> None:
        super().__init__(reach)
        self.reach = reach


@task(name="trial", cache_policy=NO_CACHE, persist_result=False)
def run_trials(experiment: Experiment, entries: Sequence[Entry], deadline: float | None) -> list[TrialResult]:
    """The results of some trials, one after the other; short trials share a task run.

    deadline: Unix time in seconds after which no training goes on, or None.
    """
    return [run_trial(experiment, entry.proposal, entry.race, deadline) for entry in entries]


@task(name="confirm", cache_policy=NO_CACHE, persist_result=False)
def confirm(experiment: Experiment, proposal: Proposal, fold: int, deadline: float | None) -> FoldScore | None:
    """One fold, on all its rows, of what looked best on less; None where the time does not suffice."""
    try:
        return _stored_fold(experiment, proposal, fold, _Watch(None, {}, fold, deadline))
    except OutOfTimeError:
        return None


def run_trial(
    experiment: Experiment, proposal: Proposal, race: Race | None = None, deadline: float | None = None
) -> TrialResult:
    """One trial, fold by fold in the experiment's order, until it has lost its race; a fold that an earlier run
    finished is read, not computed."""
    scores: dict[int, FoldScore] = {}
    begun = time.perf_counter()

    def result(error: str | None = None, *, was_cut: bool = False, estimate: float | None = None) -> TrialResult:
        folds = tuple(scores[fold] for fold in sorted(scores))
        ended = TrialResult(proposal, folds, error, was_cut, estimate, time.perf_counter() - begun)
        return footprint.limited(ended, experiment.limits)

    for fold in experiment.order[: proposal.n_folds]:
        values = {score.fold: score.value for score in scores.values()}
        if race and values and len(values) < len(race.best) and race.is_lost(values):
            return result(estimate=race.estimate(values))
        try:
            scores[fold] = _stored_fold(experiment, proposal, fold, _Watch(race, values, fold, deadline))
        except OutOfTimeError:
            return result(was_cut=True)
        except BehindError as behind:
            assert race is not None
            return result(estimate=race.estimate({**values, fold: behind.reach}))
        except (OSError, MemoryError):  # the machine's fault, not the trial's: it is tried again when that is mended
            raise
        except Exception:  # whatever a library raises makes this trial fail, not the search; the traceback is kept
            return result(traceback.format_exc())
    return result()


@dataclass
class _Watch:
    """Ends a fold that is out of time or that has lost its trial's race."""

    race: Race | None
    values: dict[int, float]
    fold: int
    deadline: float | None
    rounds: int = 1
    n_looks: int = 0

    def __call__(self, curve: Curve) -> None:
        if self.deadline is not None and time.time() > self.deadline:
            raise OutOfTimeError
        if self.race is None or len(curve) == self.n_looks:
            return
        self.n_looks = len(curve)
        reach = self.race.outlook(curve, self.rounds)
        if reach is not None and self.race.is_lost({**self.values, self.fold: reach}, DOUBT):
            raise BehindError(reach)


def _stored_fold(experiment: Experiment, proposal: Proposal, fold: int, watch: _Watch) -> FoldScore:
    path = fold_file(Path(experiment.folder), proposal, fold)
    record = read_fold(path)
    if record is None:
        watch(())
        watch.rounds = getattr(experiment.families[proposal.family], "rounds", 1)
        record = _run_fold(experiment, proposal, fold, watch)
        write_fold(path, record)
    return record.score


def _run_fold(experiment: Experiment, proposal: Proposal, fold: int, watch: _Watch) -> FoldRecord:
    training = training_of(experiment)
    family = experiment.families[proposal.family]
    workspace = workspace_of(experiment, proposal.family)
    begun = time.perf_counter()  # what all trials share is no fold's own cost, from which a final fit's is foreseen
    validated = family.validate(
        workspace, fold, proposal.hyperparameters, experiment.seed, watch=watch, n_rows=proposal.n_rows
    )
    rows = training.fold(fold, proposal.n_rows)[1]
    y, weight = training.y[rows], None if training.weight is None else training.weight[rows]
    value = metrics.value(experiment.metric, y, validated.prediction, weight)
    cost = experiment.loss.cost(y, validated.prediction, weight)
    if not np.isfinite(value):
        raise ValueError(f"{experiment.metric} is not defined on fold {fold}: {value}")
    seconds, comes_to = time.perf_counter() - begun, _footprint(experiment, proposal, fold, validated)
    score = FoldScore(fold, float(value), float(cost), validated.rounds, seconds, comes_to)
    if experiment.keep_models and fold_model.are_bagged(training):
        fold_model.keep(experiment, proposal, fold, validated.fitted)
    return FoldRecord(score, validated.curve, validated.prediction.astype(np.float32), validated.costs)



def _footprint(experiment: Experiment, proposal: Proposal, fold: int, validated: Validated) -> Footprint | None:
    """What the final model will come to, as this fold has it; None where nothing limits it."""
    if not experiment.limits:
        return None
    training, family = training_of(experiment), experiment.families[proposal.family]
    more_rows = len(training.y) / len(training.fold(fold, proposal.n_rows)[0])
    longer = validated.rounds and round(validated.rounds * experiment.growth)
    hyperparameters, rounds = family.final(proposal.hyperparameters, longer)
    workspace = workspace_of(experiment, proposal.family)
    return family.footprint(workspace, validated.fitted, hyperparameters, rounds, more_rows)
