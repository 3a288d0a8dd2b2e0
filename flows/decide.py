"""Decide: what the table decides of every `auto`, of the evidence that trials are judged on, and whether all fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from flows import asked
from flows import config as configs
from flows.build import build
from flows.config import Composed
from flows.plan import Plan, family_of, loss_of, strategy_of
from tasks import class_weight as class_weights
from tasks import folds as all_folds
from tasks import loss as losses
from tasks import metric as metrics
from tasks.class_weight import ClassWeight
from tasks.evidence import ETA, SHARE_OF_THE_FIT, Ladder, ladder
from tasks.folds import Splitter
from tasks.loss import Floats, Loss
from tasks.loss.huber import Huber
from tasks.model import HasForced, Model, beside, reads_text
from tasks.records import Prepared, Split
from tasks.refusal import Refusal
from tasks.search import Search
from tasks.verdict import Finding


@dataclass(frozen=True)
class Decided:
    """What the data decided of what was `auto`; `composed` names the choices."""

    composed: Composed
    splitter: Splitter
    loss: Loss
    metric: str
    class_weight: ClassWeight | None


@dataclass(frozen=True)
class Job:
    """One run of the pipeline: its plan, what the data decided, and what prepare and split made; the families with
    the rounds that the budget pays for, and the ladder of evidence. `begun` is Unix time in seconds; `inspected` is
    what the checks found before the search."""

    plan: Plan
    decided: Decided
    prepared: Prepared
    split: Split
    families: dict[str, Model]
    ladder: Ladder
    begun: float
    inspected: tuple[Finding, ...] = ()


def decide(composed: Composed, prepared: Prepared) -> Decided:
    """The configuration composed once more with the names that the data decided for every `auto`.

    Raises:
        Refusal: for a metric, loss or family that doesn't fit the problem; all faults at once.
    """
    config, kind = composed.config, prepared.problem.kind
    auto = {
        "problem": (config.problem, kind),
        "metric": (config.metric, _metric_of(loss_of(composed), kind)),
        "loss": (composed.choices["loss"], losses.choose(kind)),
        "folds": (composed.choices["folds"], all_folds.choose(kind, prepared.has_group, prepared.has_time)),
    }
    decided = {key: found for key, (asked, found) in auto.items() if asked == "auto"}
    if config.problem != kind:  # two classes are a binary problem, whatever was asked for
        decided["problem"] = kind
    again = composed
    if decided:
        again = configs.compose(configs.with_decided(composed.overrides, decided))
        again = replace(again, overrides=composed.overrides)
    loss = build(again.config.loss, "loss", config.allow_packages)
    weights = _check_fit(again, prepared, loss)
    splitter = build(again.config.folds, "folds", config.allow_packages)
    return Decided(again, splitter, loss, again.config.metric, weights)


def settle(search: Search, population: int) -> Search:
    """The search with what was left `auto` settled: a study keeps the population that it began with."""
    is_open = getattr(search, "population", None) == "auto"
    return replace(search, population=population) if is_open else search  # type: ignore[type-var]  # a dataclass then


def job_of(
    planned: Plan, decided: Decided, prepared: Prepared, divided: Split, begun: float, base: Path | None = None
) -> Job:
    """The run, with what its table and its budget in seconds decide of the evidence that trials are judged on, and of
    hyperparameters that its target or base leaves no choice of.

    Raises:
        Refusal: where the user fixed another value of these.
    """
    seconds = decided.composed.config.search.seconds
    n_columns, n_classes = prepared.n_dense, len(prepared.problem.classes)
    families = {name: beside(family, base) for name, family in planned.families.items()}
    if seconds is not None:
        families = {
            name: family.affordable(SHARE_OF_THE_FIT * seconds, divided.n_train, n_columns, n_classes)
            for name, family in families.items()
        }
    if isinstance(decided.loss, Huber):
        decided = replace(decided, loss=decided.loss.settled(_target(divided)))
    planned = narrowed(planned, decided.loss, prepared, divided, base)
    n_rows, n_valid = round(divided.n_train / divided.growth), 0.0
    costs = {name: family.seconds(n_rows, n_columns, n_classes) for name, family in families.items()}
    space = planned.space.of_table(divided.n_train, n_classes, {} if seconds is None else costs)
    planned = replace(planned, space=space.starting(paid_starts(planned, families)))
    if seconds is not None:
        n_valid = fmean(len(valid) for _, valid in all_folds.read_folds(Path(divided.folder)))
    rungs = ladder(families, n_rows, n_columns, n_classes, divided.n_folds, seconds, n_valid=n_valid)
    if getattr(planned.search, "visits_all", False) and planned.n_trials >= ETA:
        planned = replace(planned, n_trials=planned.n_trials * len(rungs.rungs))  # those that go on come on top
    return Job(planned, decided, prepared, divided, families, rungs, begun)


def paid_starts(planned: Plan, families: Mapping[str, Model]) -> dict[str, dict[str, Any]]:
    """Hyperparameters, by family, that begin elsewhere than planned, since search.seconds pays for no more."""
    return {
        name: {key: value for key, value in family.start.items() if planned.families[name].start.get(key) != value}
        for name, family in families.items()
    }


def _check_fit(composed: Composed, prepared: Prepared, loss: Loss) -> ClassWeight | None:
    problem, faults = prepared.problem, list[str]()
    weights: list[ClassWeight | None] = []
    checks: tuple[Callable[[], None], ...] = (
        lambda: metrics.check(composed.config.metric, problem.kind),
        lambda: losses.check(loss, problem.kind),
        lambda: weights.append(class_weights.by_code(composed.config.class_weight, problem)),
        lambda: asked.check(composed, problem),
    )
    for check in checks:
        try:
            check()
        except Refusal as refusal:
            faults.extend(refusal.faults)
    if not faults:
        strategy = strategy_of(composed)
        for name, node in composed.config.model.items():
            family = family_of(name, node, strategy, composed.config.allow_packages)
            faults += [*family.check(problem, loss), *_lacks_text(name, family, prepared)]
    if faults:
        raise Refusal(*faults)
    return weights[0]


def _lacks_text(name: str, family: Model, prepared: Prepared) -> list[str]:
    if prepared.text or not reads_text(family) or not getattr(family, "is_pretrained", False):
        return []
    return [f"model={name} reads text, and no column of the table is any; name one: source.text=[COLUMN]."]


def _metric_of(loss: Loss | None, kind: str) -> str:
    """What `metric=auto` selects on; some losses fit one metric alone."""
    of_loss: str | None = getattr(loss, "metric", None) if loss and kind in loss.problems else None
    return of_loss or metrics.default(kind)


def narrowed(planned: Plan, loss: Loss, prepared: Prepared, divided: Split, base: Path | None) -> Plan:
    """The plan without the hyperparameters that the target, the loss or the base leaves no choice of.

    Raises:
        Refusal: where the user fixed another value of these.
    """
    forced = {
        name: family.forced(prepared.problem, loss, _target(divided), base if goes_on_from(planned) else None)
        for name, family in planned.families.items()
        if isinstance(family, HasForced)
    }
    return replace(planned, space=planned.space.fixing(forced)) if forced else planned


def _target(divided: Split) -> Floats:
    """Of the training rows, (n_rows,)."""
    roles = pd.read_parquet(Path(divided.folder) / "train_roles.parquet", columns=["target"])
    return roles["target"].to_numpy(dtype="float64")


def goes_on_from(planned: Plan) -> bool:
    """Whether its families are given the run's base."""
    return planned.strategy is None or planned.strategy.uses_base
