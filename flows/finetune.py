"""Finetune: climb the ladder of strategies on the same folds, and take the chosen one all the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, TypeVar

from prefect import flow
from prefect.runtime import flow_run

from flows import config as configs
from flows import screen, server
from flows.base import with_own_family
from flows.build import build
from flows.config import Composed
from flows.decide import Job
from flows.multirun import CHOICE_TAG
from flows.overrides import key_of
from flows.parent import holding, log_climb
from flows.pipeline import drain, on_server, pipeline, run, with_frame
from flows.plan import Plan, are_pretrained, plan
from flows.record import tagged
from flows.report import beside, ladder
from flows.rung import Look, look, rung
from flows.searching import COMMAND_GIVEN, DATA, job_for
from tasks import tracking
from tasks.climb import Climb, Rung
from tasks.comparison import difference, interval
from tasks.folds import read_folds
from tasks.metric import METRICS
from tasks.records import Result
from tasks.refusal import Refusal
from tasks.store import locked
from tasks.strategy.ladder import Ladder, best_of, cheapest, chosen
from tasks.study import digest_of
from tasks.tracking import Tracker

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
GOES_ON = "resume=auto"  # whatever was asked for: from what this very climb has computed


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
    if composed.config.base is None and not are_pretrained(composed):
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
        with tagged({tracking.PARENT_TAG: tracker.run_id, CHOICE_TAG: made.chosen}), beside(ladder(made)):
            n_trials = next(rung.n_trials for rung in rungs if rung.strategy == made.chosen)
            result = pipeline([*ground.rungs[made.chosen][0], f"search.trials={n_trials}", GOES_ON])
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
    faults: list[str] = []
    for name, (overrides, _) in list(rungs.items()):
        try:
            return job_for(overrides)
        except Refusal as refusal:
            faults += refusal.faults
            passed[name] = "; ".join(refusal.faults)
            del rungs[name]
    raise Refusal(*dict.fromkeys(faults or passed.values()))


def _rungs(ground: Ground, parent: str) -> tuple[list[Rung], str]:
    """What the rungs came to in their order, and why climbing ended before the last one, or nothing. Of dear rungs,
    which are looked at on one fold, one at most goes on to all of them."""
    rungs, left = {name: Rung(name, why) for name, why in ground.passed.items()}, list(ground.ladder.rungs)
    dear = [name for name in left if name in ground.rungs and _is_dear(ground, name)]
    ended = ""
    for name in [*(name for name in left if name in ground.rungs and name not in dear), *dear[:1]]:
        if ended:
            rungs[name] = Rung(name, f"not tried: {ended}")
        elif name in dear:
            rungs |= _dear(ground, dear, _reached(ground, rungs), parent)
        else:
            rungs[name] = _tried(ground, name, _reached(ground, rungs), parent)
            ended = _ended(ground, rungs)
    rungs |= {name: Rung(name, f"not tried: {ended}") for name in left if name not in rungs}
    return [rungs[name] for name in left], ended


def _reached(ground: Ground, rungs: Mapping[str, Rung]) -> dict[str, Mapping[int, float]]:
    """The scores of the rungs so far, from cheap to dear."""
    return {name: folds for name in ground.ladder.rungs if name in rungs and (folds := rungs[name].folds)}


def _ended(ground: Ground, rungs: Mapping[str, Rung]) -> str:
    if ground.ladder.is_over(list(_reached(ground, rungs).items()), ground.job.decided.metric, ground.rho):
        return f"{ground.ladder.patience} dearer steps in a row brought no gain"
    return ""


def _is_dear(ground: Ground, name: str) -> bool:
    return _trial_seconds(ground.job, ground.rungs[name][1]) > ground.ladder.trial_seconds


def _dear(
    ground: Ground, names: Sequence[str], reached: Mapping[str, Mapping[int, float]], parent: str
) -> dict[str, Rung]:
    """Each looked at on one fold; the cheapest than which no other has clearly lower losses there goes on to all folds,
    where it is better there than every rung before."""
    looks, rungs, metric = {}, {}, ground.job.decided.metric
    for name in names:
        screen.say(f"strategy {name}, on one fold: a trial is dear by a rule of thumb", "bold")
        found = _caught(name, partial(look, [*ground.rungs[name][0], "search.trials=1"], name))
        if isinstance(found, Look):
            looks[name] = found
            screen.say(f"{name}: {metric} {screen.short(found.value)} on fold {found.fold}")
        else:
            rungs[name] = Rung(name, found if isinstance(found, str) else found.error)
    if not looks:
        return rungs
    taken = cheapest({name: one.losses for name, one in looks.items()})
    fold = looks[taken].fold
    sign = METRICS[metric].sign
    is_better = all(sign * looks[taken].value > sign * folds[fold] for folds in reached.values())
    for name, one in looks.items():
        what = f"{taken} goes on from there" if is_better else "no better there than a cheaper one"
        rungs[name] = Rung(name, f"{metric} {screen.short(one.value)} on fold {fold}, looked at alone; {what}")
    return {**rungs, taken: _tried(ground, taken, reached, parent, GOES_ON)} if is_better else rungs


def _tried(
    ground: Ground, name: str, reached: Mapping[str, Mapping[int, float]], parent: str, *more: str
) -> Rung:
    """A rung; one that fails is passed by. more: overrides of this rung alone."""
    screen.say(f"strategy {name}", "bold")
    overrides, planned = ground.rungs[name]
    n_trials = ground.ladder.n_trials(planned.n_trials, _trial_seconds(ground.job, planned))
    metric = ground.job.decided.metric
    best = reached[best_of(reached, metric)] if reached else None

    def is_worth_tuning(values: Mapping[int, float]) -> bool:
        return ground.ladder.is_within_reach(values, best, metric, ground.rho)

    with tagged({tracking.PARENT_TAG: parent, CHOICE_TAG: name, "finefold.rung": name}):
        return _caught(name, lambda: rung([*overrides, f"search.trials={n_trials}", *more], name, is_worth_tuning))


def _caught(name: str, call: Callable[[], T]) -> T | Rung:
    """What the call gives, or a rung that is passed by. What the machine does (a full disk, no memory) ends all."""
    try:
        return call()
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
