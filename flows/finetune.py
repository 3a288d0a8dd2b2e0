"""Finetune: climb the ladder of strategies on the same folds, and take the chosen one all the way."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prefect import flow
from prefect.runtime import flow_run

from flows import config as configs
from flows import screen, server
from flows.base import with_own_family
from flows.build import build
from flows.config import Composed
from flows.deployed import training
from flows.multirun import CHOICE_TAG
from flows.overrides import key_of, knob_of
from flows.parent import holding, log_climb
from flows.pipeline import drain, on_server, pipeline, run, with_frame
from flows.plan import are_pretrained
from flows.record import tagged
from flows.report import beside, ladder
from flows.rungs import Ground, asked, ground_of, tried
from flows.searching import COMMAND_GIVEN, DATA
from tasks import tracking
from tasks.climb import Climb, Rung
from tasks.comparison import difference, of_metric
from tasks.records import Result
from tasks.refusal import Refusal
from tasks.store import locked
from tasks.strategy.ladder import best_of, chosen
from tasks.study import digest_of
from tasks.tracking import Tracker

if TYPE_CHECKING:
    import pandas as pd


LADDER = "strategy=ladder"


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
    overrides = with_own_family(with_frame(overrides, frame))
    with_its_strategy = with_strategy(overrides)
    composed = configs.compose(with_its_strategy)
    if composed.config.base is None and not are_pretrained(composed):
        raise Refusal("finetune needs a model to go on from: base=models:/NAME@champion.")
    if composed.choices["strategy"] != "ladder":
        return run(with_its_strategy, begun=begun)
    return _climbed(overrides, begun)


def with_strategy(overrides: Sequence[str]) -> list[str]:
    """With the strategy that an experiment names, or else the ladder, where none was typed. It is for the ladder's
    rungs to have hyperparameters: these are left out."""
    typed = [text for text in overrides if key_of(text) == "strategy"]
    given = [] if typed else [f"strategy={_of_an_experiment(overrides) or 'ladder'}"]
    if (typed or given)[-1] != LADDER:
        return [*given, *overrides]
    return [*given, *(text for text in overrides if not knob_of(text))]


def _of_an_experiment(overrides: Sequence[str]) -> str | None:
    """None also where it names the default one, which can't be told from none."""
    named = [text for text in overrides if key_of(text) == "experiment"]
    if not named:
        return None
    choice, default = (configs.compose(texts).choices["strategy"] for texts in (named, []))
    return None if choice == default else str(choice)


def _climbed(overrides: Sequence[str], begun: float) -> FineTuned:
    with server.start() as running:
        flow_run_id, done = on_server(running, begun, lambda: climb(list(overrides)))
        drain(running, flow_run_id)
        page = f"{running.ui_url}/runs/flow-run/{flow_run_id}"
    seconds = replace(done.result.seconds, total=time.time() - begun)
    return replace(done, result=replace(done.result, prefect_url=page, seconds=seconds))


@flow(name="finefold-finetune", persist_result=False)
@training
def climb(overrides: list[str]) -> tuple[str, FineTuned]:
    """The rungs, each in a flow run of its own below this one, and the main job with the one that is chosen; and the
    id of the flow run. `overrides` are what one would type after `finefold finetune`."""
    begun = COMMAND_GIVEN.get() or time.time()
    COMMAND_GIVEN.set(0.0)  # each rung begins when it begins
    overrides = with_own_family(overrides)
    composed = configs.compose(with_strategy(overrides))
    if (choice := composed.choices["strategy"]) != "ladder":
        raise Refusal(f"strategy={choice} is one alone, and this flow climbs over several; flows.pipeline:pipeline "
                      "goes on by one.")  # fmt: skip
    ground = ground_of(build(composed.config.strategy, "strategy", composed.config.allow_packages), overrides)
    job = ground.job
    digest = digest_of({"data": job.prepared.digest, "split": job.split.digest, "finetune": overrides})
    folder, title, uri = DATA / "comparisons" / digest, f"finetune {job.prepared.name}", job.plan.tracking_uri
    with (
        locked(folder, f"another process climbs this very ladder ({folder}); wait for it."),
        holding(uri, job.decided, job.prepared, "ladder", digest, title, begun) as tracker,
    ):
        rungs, ended = tried(ground, tracker.run_id)
        made = _judged(ground, rungs, ended, composed, tracker)
        screen.climb(made)
        log_climb(tracker, made, overrides)
        with tagged({tracking.PARENT_TAG: tracker.run_id, CHOICE_TAG: made.chosen}), beside(ladder(made)):
            n_trials = next(rung.n_trials for rung in rungs if rung.strategy == made.chosen)
            result = pipeline(asked(ground, made.chosen, n_trials))
    return str(flow_run.id), FineTuned(made, result)


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
        rho=rho,
        base=str(composed.config.base or ""),
        rungs=tuple(_with_intervals(one, None if one.strategy == best else folds[best], metric, rho) for one in rungs),
        best=best,
        chosen=chosen(folds, metric, rho),
        ended=ended,
        per_hour=composed.config.cost.per_hour,
        unit=composed.config.cost.unit,
        run_id=tracker.run_id,
        mlflow_url=tracker.url,
    )


def _with_intervals(one: Rung, best: Mapping[int, float] | None, metric: str, rho: float) -> Rung:
    if one.folds is None:
        return one
    score = of_metric(metric, list(one.folds.values()), rho)
    return replace(one, score=score, difference=None if best is None else difference(one.folds, best, rho))
