"""The main job: prepare > split > tune > finetune > evaluate > register > promote, tracked from end to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx
from prefect import flow
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runtime import flow_run

from flows import config as configs
from flows import narrate, provenance, screen, server
from flows.address import LOGIN, is_healthy, wants_login
from flows.base import with_own_family
from flows.budget import Budget
from flows.conclude import concluded, log_conclusion
from flows.decide import Job
from flows.deployed import training
from flows.evaluation import evaluated
from flows.exporting import exported_of
from flows.final import final
from flows.generating import generated
from flows.guard import guarded, say_gate
from flows.nested import outer_jobs
from flows.outcome import log_outcome
from flows.plan import plan
from flows.promoting import promoted
from flows.record import described, log_checks, log_losses, log_plots, log_what_came_out
from flows.report import reported
from flows.searching import COMMAND_GIVEN, DATA, job_for, search, searching
from flows.tune import Tuned
from tasks import registry, tracking
from tasks.examine import examine
from tasks.records import Combined, Evaluation, Registered, Result, Seconds
from tasks.refusal import Refusal
from tasks.register import register
from tasks.rescore import DATA_TAG, SPLIT_TAG
from tasks.ruling import Ruling
from tasks.source import plain_frame
from tasks.store import check_writable, write_frame
from tasks.study import Study
from tasks.tracking import Tracker
from tasks.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


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
    overrides = with_own_family(with_frame(overrides, frame))
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
    result = on_server(running, begun, lambda: pipeline(overrides))
    drain(running, result.flow_run_id)
    seconds = replace(result.seconds, total=time.time() - begun)
    return replace(result, prefect_url=f"{running.ui_url}/runs/flow-run/{result.flow_run_id}", seconds=seconds)


def on_server(running: server.Server, begun: float, call: Callable[[], T]) -> T:
    """What a flow gives, once the server answers. begun: when the command was given, Unix time in seconds.

    Raises:
        Refusal: as the flow does; when the server went away.
    """
    running.wait()
    token = COMMAND_GIVEN.set(begun)
    try:
        return call()
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        if wants_login(error):
            raise Refusal(f"Prefect's server at {running.ui_url} {LOGIN}") from error
        raise Refusal(
            f"Prefect's server at {running.ui_url} went away ({error}). Nothing is lost: the same command goes on."
        ) from error
    finally:
        COMMAND_GIVEN.reset(token)


def drain(running: server.Server, flow_run_id: str) -> None:
    """Waits until the server has recorded the flow run, and says what it hasn't."""
    warning = running.drain([flow_run_id])
    if warning:
        screen.say(warning, "yellow")


def _name_of_flow_run() -> str:
    """What is readable of the overrides as they were given: `customers-genetic`; `breast_cancer` for none."""
    given = dict(text.lstrip("+").partition("=")[::2] for text in flow_run.parameters["overrides"])
    name = Path(given["source.path"]).stem if "source.path" in given else given.get("source.name", given.get("source"))
    return "-".join([name or "breast_cancer", *([given["search"]] if "search" in given else [])])


@flow(name="finefold", flow_run_name=_name_of_flow_run, persist_result=False)
@training
def pipeline(overrides: list[str]) -> Result:
    """The main job. `overrides` are what one would type after `finefold run`: `["search.trials=50"]`."""
    job, base = job_for(overrides)
    config, prepared = job.decided.composed.config, job.prepared
    outer = outer_jobs(job, base)
    with searching(job, base) as (study, experiment, tracking_):
        budget = Budget(time.time(), config.search.seconds, job.plan.n_workers)
        tuned, searched = search(job, experiment, study, tracking_, budget)
        narrate.say_what_won(job, tuned)
        narrate.say_what_more_would_buy(job, tuned, searched)
        ended = final(job, experiment, tuned, budget)
        fitted = time.time()
        tuned, combined, members = ended.tuned, ended.combined, ended.members
        narrate.say_what_is_simplest(job, experiment, tuned)
        conclusion = concluded(job, experiment, ended.trained, members)
        trained = conclusion.trained
        evaluation = evaluated(job, base, experiment, ended, trained, outer, tracking_.result())
        written = generated(job, base, trained, tracking_.result())
        examined = examine(experiment, prepared, members, Path(trained.folder))
        narrate.say_where_it_fails(examined)
        verdict = guarded(job, base, experiment, trained, evaluation, members, budget)
        tracker = tracking_.result()
        log_losses(tracker, study, tuned.winner, examined)
        log_what_came_out(tracker, job, experiment, tuned, combined, trained, evaluation)
        log_conclusion(tracker, conclusion)
        log_plots(tracker, job, study, tuned, trained, evaluation, verdict, examined)
        log_checks(tracker, verdict, base)
        log_outcome(tracker, job, base, study, ended, evaluation)
        exported = exported_of(job, trained, tracker)
        with provenance.as_base(job, trained, evaluation, base) as (folder, made):
            provenance.say_what_is_kept(made)
            tags = provenance.tags(made)
            tracker.tags(tags)
            tags |= {DATA_TAG: prepared.digest, SPLIT_TAG: job.split.digest, registry.GATE_TAG: verdict.gate}
            name = config.model_name or registry.possible_name(prepared.name)
            registered = register(tracker, trained, folder, name, tags)
            say_gate(verdict, registered)
            ruling = promoted(job, experiment, trained, evaluation, tracker, registered, folder, tags)
        path = reported(
            tracker, job, base, study, replace(ended, trained=trained), evaluation, examined, verdict, registered,
            conclusion=conclusion, exports=exported, promotion=ruling, generated=written,
        )  # fmt: skip
    result = _result(job, study, tracker, tuned, combined, evaluation, verdict, registered, ruling, (*searched, fitted))
    return replace(result, report=path, exports=exported)


def _result(
    job: Job,
    study: Study,
    tracker: Tracker,
    tuned: Tuned,
    combined: Combined | None,
    evaluation: Evaluation,
    verdict: Verdict,
    registered: Registered,
    ruling: Ruling,
    times: tuple[float, float, float],
) -> Result:
    """times: when the search began and ended, and when the model stood, as Unix times in seconds."""
    winner = tuned.winner
    begun, ended, fitted = times
    return Result(
        run_id=tracker.run_id,
        flow_run_id=str(flow_run.id),
        problem=job.prepared.problem.kind,
        metric=job.decided.metric,
        cv={"mean": winner.mean, "se": winner.standard_error},
        holdout=evaluation.scores,
        looks=evaluation.looks,
        corrected=evaluation.corrected,
        nested=evaluation.nested,
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
        checks=verdict,
        promotion=ruling,
        mlflow_url=tracker.url,
        prefect_url=str(flow_run.ui_url or ""),
        seconds=Seconds(begun - job.begun, ended - begun, fitted - ended, time.time() - job.begun),
    )
