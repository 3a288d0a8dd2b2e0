"""The main job: prepare > split > tune > finetune > evaluate > register, tracked from end to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from optuna.trial import FrozenTrial
from prefect import flow
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runtime import flow_run

from flows import config as configs
from flows import narrate, screen, server
from flows.address import is_healthy
from flows.base import base_of
from flows.experiment import experiment_of, identity
from flows.final import final
from flows.plan import Job, decide, job_of, plan, settle
from flows.progress import Progress
from flows.record import (
    described,
    log_losses,
    log_plots,
    log_what_came_out,
    log_what_was_asked,
    tags_of,
    take_over,
)
from flows.tune import Budget, Rules, Told, Tuned, tune
from flows.warm_start import FAMILIES
from tasks import fold_model, registry, tracking
from tasks.ensemble import Ensemble
from tasks.evaluate import evaluate
from tasks.examine import examine
from tasks.metric import METRICS
from tasks.prepare import prepare
from tasks.records import Combined, Evaluation, Member, Registered, Result, Seconds, TrialResult
from tasks.refusal import Refusal
from tasks.register import register
from tasks.search.genetic import fitting_population
from tasks.source import plain_frame
from tasks.split import split
from tasks.store import check_writable, write_frame
from tasks.study import Study, digest_of, opened
from tasks.tracking import Tracker
from tasks.workspace import Experiment

if TYPE_CHECKING:
    import pandas as pd

DATA = Path("data")
# When `run` was given its command, Unix time in seconds; 0 where the flow was started by a deployment.
COMMAND_GIVEN: ContextVar[float] = ContextVar("COMMAND_GIVEN", default=0.0)


def run(
    overrides: Sequence[str] = (),
    *,
    frame: pd.DataFrame | None = None,
    begun: float | None = None,
    running: server.Server | None = None,
) -> Result:
    """Runs the pipeline on a Prefect server that is found, or started for the time of the run.

    overrides: what one would type after `finefold run`. frame: a table to use instead of a source; it is written to
    `data/frames/` by its content. begun: when the command was given, Unix time in seconds; by default now.
    running: a server that was started already and is released at the end; by default one is found or started.

    Raises:
        Refusal: for whatever the user can mend; all faults of the configuration at once, before anything starts.
    """
    begun = time.time() if begun is None else begun
    overrides = with_frame(overrides, frame)
    planned = plan(configs.compose(overrides))
    with running or server.start() as running:
        if not is_healthy(running.api_url):
            # Importing MLflow takes two to three seconds, and making its database as long again, which pass while a
            # cold server starts. Beside a warm one it would only compete with the first trials' preparation (2.2 s
            # became 5.2).
            root = Path("mlruns") if planned.tracking_uri is None else None
            threading.Thread(target=tracking.preload, args=(root,), name="finefold-import", daemon=True).start()
        return run_on(running, overrides, begun)


def with_frame(overrides: Sequence[str], frame: pd.DataFrame | None) -> list[str]:
    """The overrides, before them those that read the frame, which is written to `data/frames/` by its content."""
    if frame is None:
        return list(overrides)
    check_writable(DATA)
    path = write_frame(plain_frame(frame), DATA / "frames")
    return ["source=file", f"source.path={path}", *overrides]


def run_on(running: server.Server, overrides: list[str], begun: float) -> Result:
    """Runs the pipeline on a server that stays the caller's. begun: when the command was given, Unix time in seconds.

    Raises:
        Refusal: for whatever the user can mend; when the server went away.
    """
    running.wait()
    token = COMMAND_GIVEN.set(begun)
    try:
        result: Result = pipeline(overrides)
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        raise Refusal(
            f"Prefect's server at {running.ui_url} went away ({error}). Nothing is lost: the same command goes on."
        ) from error
    finally:
        COMMAND_GIVEN.reset(token)
    warning = running.drain([result.flow_run_id])
    if warning:
        screen.say(warning, "yellow")
    seconds = replace(result.seconds, total=time.time() - begun)
    return replace(result, prefect_url=f"{running.ui_url}/runs/flow-run/{result.flow_run_id}", seconds=seconds)


def _name_of_flow_run() -> str:
    """What is readable of the overrides as they were given: `customers-genetic`; `breast_cancer` for none."""
    given = dict(text.lstrip("+").partition("=")[::2] for text in flow_run.parameters["overrides"])
    name = Path(given["source.path"]).stem if "source.path" in given else given.get("source.name", given.get("source"))
    return "-".join([name or "breast_cancer", *([given["search"]] if "search" in given else [])])


@flow(name="finefold", flow_run_name=_name_of_flow_run, persist_result=False)
def pipeline(overrides: list[str]) -> Result:
    """The main job. `overrides` are what one would type after `finefold run`: `["search.trials=50"]`."""
    begun = COMMAND_GIVEN.get() or time.time()
    composed = configs.compose(overrides)
    planned = plan(composed)
    config = composed.config
    base = base_of(composed, planned)

    prepared = prepare(planned.source, planned.roles, config.problem, planned.test, config.holdout.seed, base)
    decided = decide(composed, prepared)
    divided = split(prepared, decided.splitter, decided.composed.choices["folds"], config.holdout.fraction)
    job = job_of(planned, decided, prepared, divided, begun)
    narrate.say_what_was_found(job, base)

    digest = digest_of(identity(job, base))
    higher, anew = METRICS[decided.metric].is_higher_better, config.resume == "never"
    with (
        opened(DATA / "studies", digest, is_higher_better=higher, anew=anew) as study,
        _tracked(job, study) as tracking_,
    ):
        take_over(study)
        study.remember(FAMILIES, list(planned.space.families))
        experiment = experiment_of(job, study, digest, base)
        budget = Budget(time.time(), config.search.seconds, planned.n_workers)
        tuned, searched = _search(job, experiment, study, tracking_, budget)
        narrate.say_what_won(job, tuned)
        narrate.say_what_more_would_buy(job, tuned, searched)
        ended = final(job, experiment, tuned, budget)
        tuned, combined, trained = ended.tuned, ended.combined, ended.trained
        evaluation = evaluate(divided, trained, prepared.problem, job.decided.loss, decided.metric, config.seed)
        members = combined.members if combined and combined.trained else (Member(tuned.winner.proposal, 1.0),)
        examined = examine(experiment, prepared, members)
        narrate.say_where_it_fails(examined)
        tracker = tracking_.result()
        log_losses(tracker, study, tuned.winner, examined)
        log_what_came_out(tracker, job, tuned, combined, trained, evaluation)
        log_plots(tracker, job, study, tuned, trained, evaluation)
        registered = register(
            tracker,
            trained,
            config.model_name or registry.possible_name(prepared.name),
            {"finefold.data": prepared.digest},
        )
    return _result(job, study, tracker, tuned, combined, evaluation, registered, searched)


def _search(
    job: Job, experiment: Experiment, study: Study, tracker: Future[Tracker], budget: Budget
) -> tuple[Tuned, tuple[float, float]]:
    """The search, and when it began and ended, as Unix times in seconds."""
    config, planned = job.decided.composed.config, job.plan
    population = study.recall("population") or fitting_population(planned.n_trials)
    if study.recall("population") is None:
        study.remember("population", population)
    n_known = sum(trial.state.is_finished() for trial in study.trials()[: planned.n_trials])
    if n_known:
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
    with Progress(tracker, job.decided.metric, *progress_of) as progress:
        tuned = tune(
            experiment,
            study,
            settle(planned.search, population),
            planned.space,
            planned.runner,
            Rules(planned.n_trials, config.search.window, budget, job.ladder, config.search.racing, planned.ensemble),
            n_workers=planned.n_workers,
            told=_pruning(planned.ensemble, experiment, progress.told),
        )
        ended = time.time()
        progress.close()
    return tuned, (budget.begun, ended)


def _pruning(ensemble: Ensemble | None, experiment: Experiment, told: Told) -> Told:
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
def _tracked(job: Job, study: Study) -> Iterator[Future[Tracker]]:
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


def _result(
    job: Job,
    study: Study,
    tracker: Tracker,
    tuned: Tuned,
    combined: Combined | None,
    evaluation: Evaluation,
    registered: Registered,
    searched: tuple[float, float],
) -> Result:
    winner = tuned.winner
    return Result(
        run_id=tracker.run_id,
        flow_run_id=str(flow_run.id),
        problem=job.prepared.problem.kind,
        metric=job.decided.metric,
        cv={"mean": winner.mean, "se": winner.standard_error},
        holdout=evaluation.scores,
        best={
            "number": winner.proposal.number,
            "hyperparameters": {"model": winner.proposal.family, **winner.proposal.hyperparameters},
        },
        trials=tuned.counts,
        split=job.split.digest,
        study=str(study.folder),
        ensemble=None if combined is None else described(combined),
        model_uri=registered.model_uri,
        model_name=registered.model_name,
        model_version=registered.model_version,
        mlflow_url=tracker.url,
        prefect_url=str(flow_run.ui_url or ""),
        seconds=Seconds(searched[0] - job.begun, searched[1] - searched[0], time.time() - job.begun),
    )
