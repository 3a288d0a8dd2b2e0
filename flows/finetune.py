"""Finetune: climb the ladder of strategies on the same folds, and take the chosen one all the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from prefect import flow
from prefect.runtime import flow_run

from flows import config as configs
from flows import narrate, screen, server
from flows.base import with_own_family
from flows.build import build
from flows.config import Composed
from flows.final import final
from flows.multirun import CHOICE_TAG
from flows.overrides import key_of
from flows.parent import holding
from flows.pipeline import COMMAND_GIVEN, DATA, drain, job_for, on_server, pipeline, run, search, searching, with_frame
from flows.plan import Job, Plan, plan
from flows.record import log_climb, log_rung, tagged
from flows.tune import Budget, Tuned
from tasks import climb as climbs
from tasks import model as models
from tasks import tracking
from tasks.climb import Climb, Rung
from tasks.comparison import difference, interval
from tasks.folds import read_folds
from tasks.peak import peak_memory
from tasks.records import Result, Trained
from tasks.refusal import Refusal
from tasks.store import locked
from tasks.strategy.as_is import AsIs
from tasks.strategy.ladder import Ladder, best_of, chosen
from tasks.study import digest_of
from tasks.tracking import Tracker
from tasks.trial import Entry, run_trials
from tasks.workspace import Experiment, training_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FineTuned:
    """What `finefold finetune` gives: the climb, and the run of the rung that was chosen."""

    climb: Climb
    result: Result


def finetune(
    overrides: Sequence[str], *, frame: pd.DataFrame | None = None, begun: float | None = None
) -> FineTuned | Result:
    """`run` with a base: by the strategy that is named, or by the one that the ladder chooses.

    overrides: what one would type after `finefold finetune`: `["base=models:/x@champion", "source.path=few.csv"]`.
    frame: a table to use instead of a source. begun: when the command was given, Unix time in seconds; by default now.

    Interrupted, the same call reuses every fold.

    Raises:
        Refusal: for whatever the user can mend; all faults of the configuration at once, before anything starts.
    """
    begun = time.time() if begun is None else begun
    overrides = with_frame(overrides, frame)
    composed = configs.compose(with_strategy(overrides))
    if composed.config.base is None:
        raise Refusal("finetune needs a model to go on from: base=models:/NAME@champion.")
    if composed.choices["strategy"] != "ladder":
        return run(overrides, begun=begun)
    return _climbed(with_own_family(overrides), begun)


def with_strategy(overrides: Sequence[str]) -> list[str]:
    """With the ladder, where no strategy was named."""
    is_named = any(key_of(text) == "strategy" for text in overrides)
    return list(overrides) if is_named else ["strategy=ladder", *overrides]


@dataclass(frozen=True)
class Ground:
    """What all rungs stand on. rungs: the overrides of each strategy that can be tried, and what they build; passed:
    why others can't. rho: validation rows per training row of a fold."""

    ladder: Ladder
    rungs: Mapping[str, tuple[list[str], Plan]]
    passed: Mapping[str, str]
    job: Job
    base: Path | None
    rho: float


def _climbed(overrides: Sequence[str], begun: float) -> FineTuned:
    with server.start() as running:
        flow_run_id, done = on_server(running, begun, lambda: climb(list(overrides)))
        drain(running, flow_run_id)
        page = f"{running.ui_url}/runs/flow-run/{flow_run_id}"
    seconds = replace(done.result.seconds, total=time.time() - begun)
    return replace(done, result=replace(done.result, prefect_url=page, seconds=seconds))


@flow(name="finefold-finetune", persist_result=False)
def climb(overrides: list[str]) -> tuple[str, FineTuned]:
    """The rungs, each in a flow run of its own below this one, and the main job with the one that is chosen; and the
    id of the flow run. `overrides` are what one would type after `finefold finetune`."""
    begun = COMMAND_GIVEN.get() or time.time()
    COMMAND_GIVEN.set(0.0)  # each rung begins when it begins
    composed = configs.compose(with_strategy(overrides))
    ground = _ground(build(composed.config.strategy, "strategy", composed.config.allow_packages), overrides)
    job = ground.job
    digest = digest_of({"data": job.prepared.digest, "split": job.split.digest, "finetune": overrides})
    folder, title, uri = DATA / "comparisons" / digest, f"finetune {job.prepared.name}", job.plan.tracking_uri
    with (
        locked(folder, f"another process climbs this very ladder ({folder}); wait for it."),
        holding(uri, job.decided, job.prepared, "ladder", digest, title, begun) as tracker,
    ):
        rungs, ended = _rungs(ground, tracker.run_id)
        made = _judged(ground, rungs, ended, composed, tracker)
        screen.climb(made)
        log_climb(tracker, made, overrides)
        with tagged({tracking.PARENT_TAG: tracker.run_id, CHOICE_TAG: made.chosen}):
            result = pipeline(ground.rungs[made.chosen][0])
    return str(flow_run.id), FineTuned(made, result)


def _ground(ladder: Ladder, overrides: Sequence[str]) -> Ground:
    """
    Raises:
        Refusal: where no rung can be tried.
    """
    own = [text for text in overrides if key_of(text).partition(".")[0] != "strategy"]
    rungs, passed = {}, {}
    for name in ladder.rungs:
        texts = [*own, f"strategy={name}"]
        try:
            rungs[name] = texts, plan(configs.compose(texts))
        except Refusal as refusal:
            passed[name] = "; ".join(refusal.faults)
    job, base = _first_job(rungs, passed)
    folds = read_folds(Path(job.split.folder))
    return Ground(ladder, rungs, passed, job, base, fmean(len(valid) / len(train) for train, valid in folds))


def _first_job(rungs: dict[str, tuple[list[str], Plan]], passed: dict[str, str]) -> tuple[Job, Path | None]:
    """Of the first rung that can go on from the base with this table; those before it are passed by.

    Raises:
        Refusal: where there is none.
    """
    for name, (overrides, _) in list(rungs.items()):
        try:
            return job_for(overrides)
        except Refusal as refusal:
            passed[name] = "; ".join(refusal.faults)
            del rungs[name]
    raise Refusal(*dict.fromkeys(passed.values()))


def _rungs(ground: Ground, parent: str) -> tuple[list[Rung], str]:
    """What the rungs came to in their order, and why climbing ended before the last one, or nothing."""
    rungs: list[Rung] = []
    for name in ground.ladder.rungs:
        if name in ground.passed:
            rungs.append(Rung(name, ground.passed[name]))
            continue
        screen.say(f"strategy {name}", "bold")
        reached = {rung.strategy: rung.folds for rung in rungs if rung.folds}
        best = reached[best_of(reached, ground.job.decided.metric)] if reached else None
        with tagged({tracking.PARENT_TAG: parent, CHOICE_TAG: name, "finefold.rung": name}):
            rungs.append(_tried(ground, name, best))
        reached |= {rung.strategy: rung.folds for rung in rungs[-1:] if rung.folds}
        if ground.ladder.is_over(list(reached.items()), ground.job.decided.metric, ground.rho):
            left = ground.ladder.rungs[len(rungs) :]
            why = f"{ground.ladder.patience} dearer steps in a row brought no gain"
            return [*rungs, *(Rung(name, f"not tried: {why}") for name in left)], why if left else ""
    return rungs, ""


def _tried(ground: Ground, name: str, best: Mapping[int, float] | None) -> Rung:
    """A rung; one that fails is passed by. What the machine does (a full disk, no memory) ends the climb."""
    overrides, planned = ground.rungs[name]
    n_trials = ground.ladder.n_trials(planned.n_trials, _trial_seconds(ground.job, planned))

    def is_worth_tuning(values: Mapping[int, float]) -> bool:
        return ground.ladder.is_within_reach(values, best, ground.job.decided.metric, ground.rho)

    try:
        return rung([*overrides, f"search.trials={n_trials}"], name, is_worth_tuning)
    except (OSError, MemoryError):
        raise
    except Refusal as refusal:
        error = "; ".join(refusal.faults)
    screen.say(f"{name} is passed by: {error}", "yellow")
    return Rung(name, error)


def _trial_seconds(job: Job, planned: Plan) -> float:
    """Of a trial of the rung on one core, by its family's rule of thumb."""
    n_rows, n_classes = round(job.split.n_train / job.split.growth), len(job.prepared.problem.classes)
    families = planned.families.values()
    return job.split.n_folds * max(family.seconds(n_rows, job.prepared.n_features, n_classes) for family in families)


@flow(name="finefold-rung", flow_run_name="{strategy}", persist_result=False, validate_parameters=False)
def rung(overrides: list[str], strategy: str, is_worth_tuning: Callable[[Mapping[int, float]], bool]) -> Rung:
    """One strategy, searched where its first trial is worth that, and its best trial fitted on all training rows;
    nothing is judged by the holdout."""
    with peak_memory() as peak:
        job, base = job_for(overrides, is_told=False)
        with searching(job, base) as (study, experiment, tracking_):
            budget = Budget(time.time(), job.decided.composed.config.search.seconds, job.plan.n_workers)
            if not is_worth_tuning(_first_look(job, experiment, budget)):
                screen.say("its first trial is out of the best one's reach; it is not tuned")
                job = replace(job, plan=replace(job.plan, n_trials=1))
            tuned, _ = search(job, experiment, study, tracking_, budget)
            narrate.say_what_won(job, tuned)
            begun = time.time()
            trained = final(job, experiment, tuned, budget).trained
            folds = sum(fold.seconds for result in tuned.results for fold in result.folds)
            seconds = folds + time.time() - begun
            made = _measured(job, base, experiment, tuned, trained)
            made = replace(made, strategy=strategy, seconds=seconds, run_id=tracking_.result().run_id)
            made = replace(made, n_trained=0) if strategy == AsIs.name else made
            log_rung(tracking_.result(), made, job.decided.metric)
    return replace(made, megabytes=peak.megabytes)


def _first_look(job: Job, experiment: Experiment, budget: Budget) -> dict[int, float]:
    """The scores of the trial that every search begins with, by fold; its folds are kept for that. Empty where it
    fails."""
    space = job.plan.space
    proposal = space.proposal(space.trial(space.firsts()[0]))
    look = run_trials.with_options(task_run_name="first-look")
    (result,) = look(experiment, [Entry(replace(proposal, number=0))], budget.end)
    return {fold.fold: fold.value for fold in result.folds} if result.error is None else {}


def _measured(job: Job, base: Path | None, experiment: Experiment, tuned: Tuned, trained: Trained) -> Rung:
    fitted = models.load(Path(trained.folder))
    winner, metric, problem = tuned.winner, job.decided.metric, job.prepared.problem
    return Rung(
        strategy="",
        folds={fold.fold: fold.value for fold in winner.folds},
        n_trials=tuned.counts.finished,
        hyperparameters=winner.proposal.hyperparameters,
        n_parameters=trained.n_parameters,
        n_trained=getattr(fitted, "n_trained", trained.n_parameters - trained.n_frozen),
        training=climbs.training_score(training_of(experiment), fitted),
        kept=None if base is None else climbs.kept_of(base, fitted, problem, metric, "valid"),
    )


def _judged(ground: Ground, rungs: Sequence[Rung], ended: str, composed: Composed, tracker: Tracker) -> Climb:
    """With intervals, the best rung and the chosen one.

    Raises:
        Refusal: where every rung was passed by.
    """
    job, rho = ground.job, ground.rho
    folds = {one.strategy: one.folds for one in rungs if one.folds}
    if not folds:
        raise Refusal(*dict.fromkeys(one.error for one in rungs))
    metric = job.decided.metric
    best = best_of(folds, metric)
    return Climb(
        problem=job.prepared.problem.kind,
        metric=metric,
        split=job.split.digest,
        n_folds=job.split.n_folds,
        base=str(composed.config.base or ""),
        rungs=tuple(_with_intervals(one, None if one.strategy == best else folds[best], rho) for one in rungs),
        best=best,
        chosen=chosen(folds, metric, rho),
        ended=ended,
        per_hour=composed.config.cost.per_hour,
        unit=composed.config.cost.unit,
        run_id=tracker.run_id,
        mlflow_url=tracker.url,
    )


def _with_intervals(one: Rung, best: Mapping[int, float] | None, rho: float) -> Rung:
    if one.folds is None:
        return one
    score = interval(list(one.folds.values()), rho)
    return replace(one, score=score, difference=None if best is None else difference(one.folds, best, rho))
