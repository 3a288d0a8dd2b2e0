"""Searching: a run's table prepared and split, its study and MLflow run opened, and its search; what commands share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

from optuna.trial import FrozenTrial
from prefect.runtime import flow_run

from flows import config as configs
from flows import narrate, screen
from flows.base import BASES, base_of, naming, takes, with_own_family
from flows.budget import Budget
from flows.build import build
from flows.config import Composed
from flows.decide import Job, decide, job_of, settle
from flows.experiment import experiment_of, identity
from flows.guard import inspected
from flows.plan import plan
from flows.progress import Progress
from flows.record import log_what_was_asked, tags_of, take_over
from flows.tune import Rules, Told, Tuned, tune
from flows.warm_start import FAMILIES
from tasks import fold_model, tracking
from tasks.ensemble import Ensemble
from tasks.given_rows import to_train_on
from tasks.metric import METRICS
from tasks.prepare import prepare
from tasks.records import TrialResult
from tasks.refusal import Refusal
from tasks.search.genetic import fitting_population
from tasks.split import split
from tasks.strategy import trains_on_source
from tasks.study import Study, digest_of, opened
from tasks.tracking import Tracker
from tasks.workspace import Experiment

DATA = Path("data")
# When `run` was given its command, Unix time in seconds; 0 where the flow was started by a deployment.
COMMAND_GIVEN: ContextVar[float] = ContextVar("COMMAND_GIVEN", default=0.0)


def job_for(overrides: list[str], *, is_told: bool = True) -> tuple[Job, Path | None]:
    """The run that the overrides ask for, with its table prepared and split, and the folder of its base.

    is_told: whether what was found is said, and leaks are looked for.

    Raises:
        Refusal: for whatever the user can mend, and for a leak, see `inspected`.
    """
    return job_from(configs.compose(with_own_family(overrides)), is_told=is_told)


def job_from(composed: Composed, *, is_told: bool = True) -> tuple[Job, Path | None]:
    """The same of a configuration.

    Raises:
        Refusal: for whatever the user can mend, and for a leak, see `inspected`.
    """
    begun = COMMAND_GIVEN.get() or time.time()
    planned = plan(composed)
    config = composed.config
    base, new, salt = base_of(composed, planned), takes(planned), config.holdout.seed
    given = planned.source, planned.roles, config.problem, planned.test, salt, base
    with naming(config.base):
        prepared = prepare(*given, takes=new, slices=config.slices, reads_text=planned.reads_text)
    decided = decide(composed, prepared)
    divided = split(prepared, decided.splitter, decided.composed.choices["folds"], config.holdout.fraction)
    is_rehearsed = trains_on_source(planned.strategy, planned.families.values())
    if base is not None and planned.source_data is not None and is_rehearsed:
        base = to_train_on(base, Path(divided.folder), BASES)
    job = job_of(planned, decided, prepared, divided, begun, base)
    if is_told:
        narrate.say_what_was_found(job, base)
        job = replace(job, inspected=inspected(job))
    return job, base


@contextmanager
def studying(
    job: Job, base: Path | None, root: Path = DATA / "studies", prefix: str = ""
) -> Iterator[tuple[Study, Experiment]]:
    """The study of the run below `root`, opened and locked, and what its workers are given; `prefix`: of its name."""
    digest = prefix + digest_of(identity(job, base))
    higher, anew = METRICS[job.decided.metric].is_higher_better, job.decided.composed.config.resume == "never"
    with opened(root, digest, is_higher_better=higher, anew=anew) as study:
        study.remember(FAMILIES, list(job.plan.space.families))
        yield study, experiment_of(job, study, digest, base)


@contextmanager
def searching(job: Job, base: Path | None) -> Iterator[tuple[Study, Experiment, Future[Tracker]]]:
    """The same with the MLflow run of the search."""
    with studying(job, base) as (study, experiment), tracked(job, study) as tracking_:
        take_over(study)
        yield study, experiment, tracking_


def search(
    job: Job, experiment: Experiment, study: Study, tracker: Future[Tracker], budget: Budget, *,
    says_reused: bool = True,
) -> tuple[Tuned, tuple[float, float]]:
    """The search, and when it began and ended, as Unix times in seconds. says_reused: whether earlier trials are of an
    earlier run, and so said."""
    config, planned = job.decided.composed.config, job.plan
    population = population_of(study, planned.n_trials)
    n_known = sum(trial.state.is_finished() for trial in study.trials()[: planned.n_trials])
    if n_known and says_reused:
        screen.say(
            f"{n_known} of {planned.n_trials} trials were done by an earlier run and are reused; "
            "resume=never begins anew"
        )
    if planned.n_workers > config.search.window:
        screen.say(
            f"runner.workers={planned.n_workers} is more than search.window={config.search.window}: "
            "no more trials than the window run at a time; raise search.window",
            "yellow",
        )
    progress_of = (planned.n_trials, config.search.seconds, job.ladder, job.split.n_folds)
    with Progress(tracker, study.folder, job.decided.metric, *progress_of) as progress:
        tuned = tune(
            experiment,
            study,
            settle(planned.search, population),
            planned.space,
            planned.runner,
            _rules(job, budget),
            n_workers=planned.n_workers,
            told=pruning(planned.ensemble, experiment, progress.told),
        )
        ended = time.time()
        progress.close()
    return tuned, (budget.begun, ended)


def search_unheard(job: Job, experiment: Experiment, study: Study, budget: Budget, most_trials: int) -> Tuned:
    """A search whose trials are in its study alone: nobody is told of them one by one. most_trials: of the study, which
    later calls may extend."""
    config, planned = job.decided.composed.config, job.plan
    return tune(
        experiment,
        study,
        settle(planned.search, population_of(study, most_trials)),
        planned.space,
        build(config.runner, "runner", config.allow_packages),
        _rules(job, budget),
        n_workers=planned.n_workers,
        told=pruning(planned.ensemble, experiment, _unheard),
    )


def _rules(job: Job, budget: Budget) -> Rules:
    asked, planned = job.decided.composed.config.search, job.plan
    return Rules(
        planned.n_trials, asked.window, budget, job.ladder, asked.racing, planned.ensemble, planned.together
    )


def _unheard(result: TrialResult, trial: FrozenTrial, *, is_reused: bool) -> None:
    """Nobody listens."""


def population_of(study: Study, n_trials: int) -> int:
    """Of a genetic search: a study keeps the one that it began with."""
    population: int = study.recall("population") or fitting_population(n_trials)
    if study.recall("population") is None and n_trials > 1:  # a single trial settles nothing
        study.remember("population", population)
    return population


def pruning(ensemble: Ensemble | None, experiment: Experiment, told: Told) -> Told:
    """`told`, and after it no model is kept of a trial that no ensemble would take."""
    if ensemble is None:
        return told
    results: list[TrialResult] = []

    def prune(result: TrialResult, trial: FrozenTrial, *, is_reused: bool) -> None:
        told(result, trial, is_reused=is_reused)
        results.append(result)
        fold_model.prune(experiment, results, ensemble.candidates)

    return prune


@contextmanager
def tracked(job: Job, study: Study) -> Iterator[Future[Tracker]]:
    """The MLflow run, begun in a thread (importing MLflow takes two seconds, which the search need not wait for), and
    ended as finished or failed, whatever happens."""
    config = job.decided.composed.config
    name, tags = str(flow_run.name), tags_of(job)

    def begin() -> Tracker:
        client, uri = tracking.connect(job.plan.tracking_uri)
        tracker = tracking.begin(
            client,
            uri,
            config.tracking.experiment,
            study.name,
            name,
            tags,
            job.begun,
            trials=config.search.trials,
            abandoned=study.abandoned(),
        )
        try:
            log_what_was_asked(tracker, job, tags)
        except BaseException:
            tracker.finish("FAILED")
            raise
        return tracker

    with ThreadPoolExecutor(1, thread_name_prefix="finefold-tracking") as background:
        future = background.submit(begin)
        try:
            yield future
        except BaseException as error:
            if not future.exception():
                with suppress(OSError, Refusal), tracking.refusing(job.plan.tracking_uri):
                    future.result().finish("FAILED")
            with tracking.refusing(job.plan.tracking_uri):
                raise error
        with tracking.refusing(job.plan.tracking_uri):
            future.result().finish()
