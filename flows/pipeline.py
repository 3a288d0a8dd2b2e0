"""The main job: prepare > split > tune > finetune > evaluate > register, tracked from end to end."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow
from prefect.artifacts import create_link_artifact
from prefect.runtime import flow_run

from flows import config as configs
from flows import screen, server
from flows.plan import Decided, Plan, decide, plan, settle
from flows.progress import Progress
from flows.tune import Tuned, tune
from tasks import tracking
from tasks.evaluate import evaluate
from tasks.finetune import finetune
from tasks.metric import METRICS
from tasks.prepare import prepare
from tasks.records import Evaluation, Prepared, Registered, Result, Seconds, Split, Trained
from tasks.refusal import Refusal
from tasks.register import register
from tasks.search.genetic import fitting_population
from tasks.split import split
from tasks.store import write_frame
from tasks.study import Study, digest_of, opened
from tasks.tracking import Tracker
from tasks.trial import Experiment

if TYPE_CHECKING:
    import pandas as pd

DATA = Path("data")
# A study goes on only with the versions that it began with: they decide its numbers too.
VERSIONS = ("finefold", "lightgbm", "scikit-learn", "optuna", "numpy", "scipy", "pandas")


@dataclass(frozen=True)
class _Context:
    """What the stages of one run share; `begun` is Unix time in seconds."""

    plan: Plan
    decided: Decided
    prepared: Prepared
    split: Split
    begun: float


def run(overrides: Sequence[str] = (), *, frame: pd.DataFrame | None = None, begun: float | None = None) -> Result:
    """Runs the pipeline on a Prefect server that is found, or started for the time of the run.

    overrides: what one would type after `finefold run`. frame: a table to use instead of a source; it is written to
    `data/frames/` by its content. begun: when the command was given, Unix time in seconds; by default now.

    Raises:
        Refusal: for whatever the user can mend; all faults of the configuration at once, before anything starts.
    """
    begun = time.time() if begun is None else begun
    overrides = list(overrides)
    if frame is not None:
        overrides = ["source=file", f"source.path={write_frame(frame, DATA / 'frames')}", *overrides]
    plan(configs.compose(overrides))
    with server.start() as running:
        if not server.is_healthy(running.api_url):
            # Importing MLflow takes two to three seconds, which pass while a cold server starts. Beside a warm one
            # it would only compete with the first trials' preparation (2.2 s became 5.2).
            threading.Thread(target=tracking.preload, name="finefold-import", daemon=True).start()
        running.wait()
        before = time.time() - begun
        result: Result = pipeline(overrides)
        warning = running.drain([result.flow_run_id])
        if warning:
            screen.say(warning, "yellow")
    seconds = Seconds(before + result.seconds.start_up, result.seconds.search, time.time() - begun)
    return replace(result, prefect_url=f"{running.ui_url}/runs/flow-run/{result.flow_run_id}", seconds=seconds)


def _name_of_flow_run() -> str:
    """`breast_cancer-bayesian-30`, or `refused` where the overrides can't be composed."""
    try:
        composed = configs.compose(flow_run.parameters["overrides"])
    except Refusal:
        return "refused"
    node = composed.config.source
    name = Path(str(node["path"])).stem if node.get("path") else node.get("name", composed.choices["source"])
    return f"{name}-{composed.choices['search']}-{composed.config.search.trials}"


@flow(name="finefold", flow_run_name=_name_of_flow_run, persist_result=False)
def pipeline(overrides: list[str]) -> Result:
    """The main job. `overrides` are what one would type after `finefold run`: `["search.trials=50"]`."""
    begun = time.time()
    composed = configs.compose(overrides)
    planned = plan(composed)
    config = composed.config
    base = None if config.base is None else tracking.download(config.base, config.tracking.uri)

    prepared = prepare(planned.source, planned.roles, config.problem, planned.test, config.holdout.seed, base)
    decided = decide(composed, prepared)
    divided = split(prepared, decided.splitter, decided.composed.choices["folds"], config.holdout.fraction)
    run_ = _Context(planned, decided, prepared, divided, begun)
    _say_what_was_found(run_)

    digest = digest_of(_identity(run_, base))
    higher, anew = METRICS[decided.metric].is_higher_better, config.resume == "never"
    with (
        opened(DATA / "studies", digest, is_higher_better=higher, anew=anew) as study,
        _tracked(run_, digest) as tracking_,
    ):
        experiment = _experiment(run_, study, digest, base)
        tuned, searched = _search(run_, experiment, study, tracking_)
        _say_what_won(run_, tuned)
        trained = finetune(experiment, prepared, tuned.winner)
        evaluation = evaluate(divided, trained, prepared.problem, decided.loss.name, config.seed)
        tracker = tracking_.result()
        _log_what_came_out(tracker, run_, tuned, trained, evaluation)
        registered = register(tracker, trained, config.model_name or prepared.name, {"finefold.data": prepared.digest})
    return _result(run_, tracker, tuned, evaluation, registered, searched)


def _search(
    run_: _Context, experiment: Experiment, study: Study, tracker: Future[Tracker]
) -> tuple[Tuned, tuple[float, float]]:
    """The search, and when it began and ended, as Unix times in seconds."""
    config, planned = run_.decided.composed.config, run_.plan
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
    began = time.time()
    with Progress(tracker, run_.decided.metric, planned.n_trials) as progress:
        tuned = tune(
            experiment,
            study,
            settle(planned.search, population),
            planned.space,
            planned.runner,
            n_trials=planned.n_trials,
            seconds=config.search.seconds,
            window=config.search.window,
            n_workers=planned.n_workers,
            told=progress.told,
        )
        ended = time.time()
        progress.close()
    return tuned, (began, ended)


@contextmanager
def _tracked(run_: _Context, digest: str) -> Iterator[Future[Tracker]]:
    """The MLflow run, begun in a thread (importing MLflow takes two seconds, which the search need not wait for), and
    ended as finished or failed, whatever happens."""
    config = run_.decided.composed.config
    name, tags = str(flow_run.name), _tags(run_)

    def begin() -> Tracker:
        client, uri = tracking.connect(config.tracking.uri)
        tracker = tracking.begin(
            client, uri, config.tracking.experiment, digest, name, tags, anew=config.resume == "never"
        )
        _log_what_was_asked(tracker, run_, tags)
        return tracker

    with ThreadPoolExecutor(1, thread_name_prefix="finefold-tracking") as background:
        future = background.submit(begin)
        try:
            yield future
        except BaseException:
            future.result().finish("FAILED")
            raise
        future.result().finish()


def _identity(run_: _Context, base: Path | None) -> dict[str, Any]:
    """All that decides a study's result; not its budget, workers, output or tracking."""
    config = run_.decided.composed.config
    return {
        "data": run_.prepared.digest,
        "problem": asdict(run_.prepared.problem),
        "split": run_.split.digest,
        "folds": config.folds,
        "holdout": asdict(config.holdout),
        "families": config.model,
        "loss": run_.decided.loss.name,
        "metric": run_.decided.metric,
        "sampler": config.search.sampler,
        "window": config.search.window,
        "base": None if base is None else tracking.digest(base),
        "seed": config.seed,
        "versions": {name: version(name) for name in VERSIONS},
    }


def _experiment(run_: _Context, study: Study, digest: str, base: Path | None) -> Experiment:
    return Experiment(
        digest=f"{digest}-{study.folder.name}",
        folder=str(study.folder),
        split=run_.split.folder,
        problem=run_.prepared.problem,
        families=run_.plan.families,
        loss=run_.decided.loss,
        metric=run_.decided.metric,
        base=None if base is None else str(base),
        seed=run_.decided.composed.config.seed,
        n_folds=run_.split.n_folds,
        n_threads=1,
    )


def _say_what_was_found(run_: _Context) -> None:
    prepared, divided, choices = run_.prepared, run_.split, run_.decided.composed.choices
    screen.say_notes(
        f"{prepared.name}: {prepared.n_rows:,} rows, {prepared.n_features:,} features, {prepared.problem.kind}",
        (*prepared.notes, *divided.notes, *_loss_notes(run_)),
    )
    screen.say(
        f"{divided.n_train:,} rows in {divided.n_folds} folds ({choices['folds']}), {divided.n_holdout:,} rows sealed "
        f"as the holdout; {', '.join(run_.plan.families)} trained on {run_.decided.loss.name}, selected on "
        f"{run_.decided.metric}"
    )


def _loss_notes(run_: _Context) -> tuple[str, ...]:
    if run_.decided.loss.name == "rmse" and "lightgbm" in run_.plan.families:
        return ("loss=rmse: lightgbm trains it exactly as mse, whose gradient points the same way",)
    return ()


def _tags(run_: _Context) -> dict[str, str]:
    return {
        "prefect.flow_run": str(flow_run.id),
        "prefect.url": str(flow_run.ui_url or ""),
        "finefold.data": run_.prepared.digest,
        "finefold.source": run_.prepared.name,
    }


def _log_what_was_asked(tracker: Tracker, run_: _Context, tags: dict[str, str]) -> None:
    composed, prepared = run_.decided.composed, run_.prepared
    commit = tracking.git_commit()
    tracker.tags({**tags, **({"mlflow.source.git.commit": commit} if commit else {})})
    versions = {
        "python": platform.python_version(),
        **{name: version(name) for name in (*VERSIONS, "mlflow", "prefect")},
    }
    tracker.params(
        {
            "overrides": " ".join(composed.overrides),
            "seed": composed.config.seed,
            "metric": run_.decided.metric,
            **{group: choice for group, choice in composed.choices.items() if choice is not None},
            "problem": prepared.problem.kind,
            "trials": composed.config.search.trials,
            **{f"version.{name}": number for name, number in versions.items()},
        }
    )
    tracker.json(
        {"overrides": list(composed.overrides), "config": composed.recorded, "versions": versions}, "config.json"
    )
    tracker.dataset(
        prepared.name,
        prepared.digest,
        prepared.name,
        {"rows": prepared.n_rows, "features": prepared.n_features, "holdout": run_.split.n_holdout},
    )
    tracker.artifacts(Path(prepared.folder), "data", only=("quality.json", "schema.json"))


def _log_what_came_out(
    tracker: Tracker, run_: _Context, tuned: Tuned, trained: Trained, evaluation: Evaluation
) -> None:
    winner, metric = tuned.winner, run_.decided.metric
    create_link_artifact(
        tracker.url, link_text="MLflow run", key="mlflow-run", description="Metrics, trials, plots and the model"
    )
    tracker.params(
        {
            f"best.{key}": value
            for key, value in {"model": winner.proposal.family, **winner.proposal.hyperparameters}.items()
        }
    )
    tracker.metrics(
        {
            f"cv_{metric}": winner.mean,
            f"cv_{metric}_se": winner.standard_error,
            "parameters_learned": trained.n_parameters,
            **({} if trained.rounds is None else {"rounds": trained.rounds}),
            **{f"trials_{key}": n for key, n in asdict(tuned.counts).items()},
            **{f"holdout_{name}": score.value for name, score in evaluation.scores.items()},
            **{f"holdout_{name}_low": score.low for name, score in evaluation.scores.items()},
            **{f"holdout_{name}_high": score.high for name, score in evaluation.scores.items()},
            **{f"baseline_{name}": score.baseline for name, score in evaluation.scores.items()},
        }
    )


def _say_what_won(run_: _Context, tuned: Tuned) -> None:
    proposal, counts = tuned.winner.proposal, tuned.counts
    searched = run_.plan.space.families[proposal.family].free
    chosen = ", ".join(
        f"{key} {screen.short(value)}" for key, value in proposal.hyperparameters.items() if key in searched
    )
    also = f", {counts.reused} reused" * bool(counts.reused) + f", {counts.failed} failed" * bool(counts.failed)
    screen.say(
        f"best of {counts.finished} trials{also}: trial {proposal.number}, {proposal.family} ({chosen or 'fixed'})",
        "bold",
    )


def _result(
    run_: _Context,
    tracker: Tracker,
    tuned: Tuned,
    evaluation: Evaluation,
    registered: Registered,
    searched: tuple[float, float],
) -> Result:
    winner = tuned.winner
    return Result(
        run_id=tracker.run_id,
        flow_run_id=str(flow_run.id),
        problem=run_.prepared.problem.kind,
        metric=run_.decided.metric,
        cv={"mean": winner.mean, "se": winner.standard_error},
        holdout=evaluation.scores,
        best={
            "number": winner.proposal.number,
            "hyperparameters": {"model": winner.proposal.family, **winner.proposal.hyperparameters},
        },
        trials=tuned.counts,
        model_uri=registered.model_uri,
        model_name=registered.model_name,
        model_version=registered.model_version,
        mlflow_url=tracker.url,
        prefect_url=str(flow_run.ui_url or ""),
        seconds=Seconds(searched[0] - run_.begun, searched[1] - searched[0], time.time() - run_.begun),
    )
