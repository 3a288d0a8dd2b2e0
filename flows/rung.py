"""Rung: one strategy of the ladder, looked at, or searched and fitted; nothing is judged by the holdout."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prefect import flow

from flows import narrate
from flows.budget import Budget
from flows.decide import Job
from flows.final import final
from flows.record import log_rung
from flows.searching import job_for, search, search_unheard, searching, studying
from flows.tune import Tuned
from tasks import climb as climbs
from tasks import model as models
from tasks.check.forgetting import forgotten
from tasks.climb import Kept, Rung
from tasks.metric import Floats
from tasks.model import Fitted
from tasks.peak import peak_memory
from tasks.records import Proposal, Trained
from tasks.refusal import Refusal
from tasks.source_rows import has_source_rows
from tasks.strategy.as_is import AsIs
from tasks.study import fold_file, read_fold
from tasks.trial import Entry, run_trials
from tasks.workspace import Experiment, making_seconds, training_of

N_RESAMPLES = 200  # of the source's rows, whose intervals a rung doesn't show


@dataclass(frozen=True)
class Look:
    """What the trial that a rung's search begins with came to: the metric by fold; of the first of these folds each
    validation row's loss; the seconds of computing; and the most memory that the process held."""

    values: Mapping[int, float]
    losses: Floats
    seconds: float
    megabytes: float

    @property
    def fold(self) -> int:
        """The first one."""
        return next(iter(self.values))


@dataclass(frozen=True)
class Searched:
    """The metric of a strategy's best trial so far, by fold, how many trials it has had, failed ones too, and the most
    memory that the process held."""

    values: Mapping[int, float]
    n_trials: int
    megabytes: float


@flow(name="finefold-look", flow_run_name="{strategy}", persist_result=False)
def look(overrides: list[str], strategy: str, n_folds: int | None = None) -> Look | str:
    """The first trial of a strategy on its first folds, or all, which are kept for its search; or why it failed."""
    job, base = job_for(overrides, is_told=False)
    with peak_memory() as peak, studying(job, base) as (study, experiment):
        first = replace(_first(job), n_folds=n_folds)
        (result,) = run_trials.with_options(task_run_name="first-look")(experiment, [Entry(first)], _budget(job).end)
        if result.error is not None:
            return result.error.strip().splitlines()[-1]
        if result.was_cut:
            return f"search.seconds={job.decided.composed.config.search.seconds:g} leaves no time for its first trial"
        fold = result.folds[0].fold
        record = read_fold(fold_file(study.folder, first, fold))
        assert record is not None
        training = training_of(experiment)
        losses = experiment.loss.per_sample(training.y[training.folds[fold][1]], record.prediction.astype("float64"))
        values, seconds = {one.fold: one.value for one in result.folds}, sum(one.seconds for one in result.folds)
    return Look(values, losses, seconds, peak.megabytes)


@flow(name="finefold-round", flow_run_name="{strategy}", persist_result=False)
def searched(overrides: list[str], strategy: str, n_trials: int, most_trials: int, share: float) -> Searched:
    """One strategy, searched up to so many trials, which are told by its rung. most_trials: that it may ever get.
    share: of `search.seconds`, that this may take."""
    job, base = job_for(overrides, is_told=False)
    seconds = job.decided.composed.config.search.seconds
    budget = replace(_budget(job), seconds=None if seconds is None else share * seconds)
    with peak_memory() as peak, studying(job, base) as (study, experiment):
        tuned = search_unheard(_with_trials(job, n_trials), experiment, study, budget, most_trials)
        values = _whole(job, tuned)
    return Searched(values, len(tuned.results), peak.megabytes)


@flow(name="finefold-rung", flow_run_name="{strategy}", persist_result=False)
def rung(overrides: list[str], strategy: str, n_trials: int) -> Rung:
    """One strategy, searched up to so many trials, and the best of them fitted on all training rows; nothing is judged
    by the holdout."""
    with peak_memory() as peak:
        job, base = job_for(overrides, is_told=False)
        job = _with_trials(job, n_trials)
        with searching(job, base) as (study, experiment, tracking_):
            budget = _budget(job)
            tuned, _ = search(job, experiment, study, tracking_, budget, says_reused=False)
            narrate.say_what_won(job, tuned)
            values = _whole(job, tuned)
            trained = final(job, experiment, tuned, budget).trained
            folds = sum(fold.seconds for result in tuned.results for fold in result.folds)
            made = _measured(base, experiment, tuned, trained, values)
            seconds = making_seconds(experiment) + folds + trained.seconds
            made = replace(made, strategy=strategy, seconds=seconds, fit_seconds=trained.seconds)
            made = replace(made, run_id=tracking_.result().run_id)
            made = replace(made, n_trained=0) if strategy == AsIs.name else made
            log_rung(tracking_.result(), made, job.decided.metric)
    return replace(made, megabytes=peak.megabytes)


def _whole(job: Job, tuned: Tuned) -> dict[int, float]:
    """The metric of the winner, by fold.

    Raises:
        Refusal: where there was no time for all folds and rows.
    """
    folds = tuned.winner.folds
    if len(folds) < job.split.n_folds or tuned.winner.proposal.n_rows is not None:
        seconds = job.decided.composed.config.search.seconds
        raise Refusal(f"search.seconds={seconds:g} leaves no time to judge it on all folds and all their rows")
    return {fold.fold: fold.value for fold in folds}


def _first(job: Job) -> Proposal:
    space = job.plan.space
    return replace(space.proposal(space.trial(space.firsts()[0])), number=0)


def _with_trials(job: Job, n: int) -> Job:
    return replace(job, plan=replace(job.plan, n_trials=min(n, job.plan.n_trials)))


def _budget(job: Job) -> Budget:
    return Budget(time.time(), job.decided.composed.config.search.seconds, job.plan.n_workers)


def _measured(
    base: Path | None, experiment: Experiment, tuned: Tuned, trained: Trained, values: Mapping[int, float]
) -> Rung:
    fitted, winner = models.load(Path(trained.folder)), tuned.winner
    return Rung(
        strategy="",
        folds=values,
        n_trials=len(tuned.results),
        hyperparameters=winner.proposal.hyperparameters,
        n_parameters=trained.n_parameters,
        n_trained=getattr(fitted, "n_trained", trained.n_parameters - trained.n_frozen),
        training=climbs.training_score(training_of(experiment), fitted),
        kept=_kept(experiment, base, fitted),
    )


def _kept(experiment: Experiment, base: Path | None, fitted: Fitted) -> Kept | None:
    """What the base knew of its source, and what is left of it; None where the base keeps no rows to choose by."""
    if base is None or not has_source_rows(base):
        return None
    found = forgotten(experiment, base, fitted, "valid", N_RESAMPLES)
    return Kept(found["base"].value, found["fine_tuned"].value) if found else None
