"""Rung: one strategy of the ladder, looked at on one fold, or searched and fitted; nothing is judged by the holdout."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prefect import flow

from flows import narrate, screen
from flows.decide import Job
from flows.final import final
from flows.record import log_rung
from flows.searching import job_for, search, searching, studying
from flows.tune import Budget, Tuned
from tasks import climb as climbs
from tasks import model as models
from tasks.check.forgetting import forgotten
from tasks.climb import Kept, Rung
from tasks.metric import Floats
from tasks.model import Fitted
from tasks.peak import peak_memory
from tasks.records import Proposal, Trained, TrialResult
from tasks.source_rows import has_source_rows
from tasks.strategy.as_is import AsIs
from tasks.study import fold_file, read_fold
from tasks.trial import Entry, run_trials
from tasks.workspace import Experiment, training_of

N_RESAMPLES = 200  # of the source's rows, whose intervals a rung doesn't show


@dataclass(frozen=True)
class Look:
    """What the trial that a rung's search begins with came to on one fold: the metric, and each validation row's
    loss."""

    fold: int
    value: float
    losses: Floats


@flow(name="finefold-look", flow_run_name="{strategy}", persist_result=False)
def look(overrides: list[str], strategy: str) -> Look | str:
    """A dear strategy on the first fold alone, which is kept for a rung that goes on from there; or why it failed."""
    job, base = job_for(overrides, is_told=False)
    with studying(job, base) as (study, experiment):
        first = replace(_first(job), n_folds=1)
        (result,) = _looked(experiment, first, _budget(job))
        if result.error is not None:
            return result.error.strip().splitlines()[-1]
        (score,) = result.folds
        record = read_fold(fold_file(study.folder, first, score.fold))
        assert record is not None
        y = training_of(experiment).y[training_of(experiment).folds[score.fold][1]]
        return Look(score.fold, score.value, experiment.loss.per_sample(y, record.prediction.astype("float64")))


@flow(name="finefold-rung", flow_run_name="{strategy}", persist_result=False, validate_parameters=False)
def rung(overrides: list[str], strategy: str, is_worth_tuning: Callable[[Mapping[int, float]], bool]) -> Rung:
    """One strategy, searched where its first trial is worth that, and its best trial fitted on all training rows;
    nothing is judged by the holdout."""
    with peak_memory() as peak:
        job, base = job_for(overrides, is_told=False)
        with searching(job, base) as (study, experiment, tracking_):
            budget = _budget(job)
            if not is_worth_tuning(_first_look(job, experiment, budget)):
                screen.say("its first trial is out of the best one's reach; it is not tuned")
                job = replace(job, plan=replace(job.plan, n_trials=1))
            tuned, _ = search(job, experiment, study, tracking_, budget)
            narrate.say_what_won(job, tuned)
            begun = time.time()
            trained = final(job, experiment, tuned, budget).trained
            folds = sum(fold.seconds for result in tuned.results for fold in result.folds)
            seconds = folds + time.time() - begun
            made = _measured(base, experiment, tuned, trained)
            made = replace(made, strategy=strategy, seconds=seconds, run_id=tracking_.result().run_id)
            made = replace(made, n_trained=0) if strategy == AsIs.name else made
            log_rung(tracking_.result(), made, job.decided.metric)
    return replace(made, megabytes=peak.megabytes)


def _first_look(job: Job, experiment: Experiment, budget: Budget) -> dict[int, float]:
    """The scores of the trial that every search begins with, by fold; its folds are kept for that. Empty where it
    fails."""
    (result,) = _looked(experiment, _first(job), budget)
    return {fold.fold: fold.value for fold in result.folds} if result.error is None else {}


def _looked(experiment: Experiment, first: Proposal, budget: Budget) -> list[TrialResult]:
    return run_trials.with_options(task_run_name="first-look")(experiment, [Entry(first)], budget.end)


def _first(job: Job) -> Proposal:
    space = job.plan.space
    return replace(space.proposal(space.trial(space.firsts()[0])), number=0)


def _budget(job: Job) -> Budget:
    return Budget(time.time(), job.decided.composed.config.search.seconds, job.plan.n_workers)


def _measured(base: Path | None, experiment: Experiment, tuned: Tuned, trained: Trained) -> Rung:
    fitted, winner = models.load(Path(trained.folder)), tuned.winner
    return Rung(
        strategy="",
        folds={fold.fold: fold.value for fold in winner.folds},
        n_trials=tuned.counts.finished,
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
