"""What a configuration builds: every component of a run, checked before any work starts."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from flows import config as configs
from flows.build import build, resolve
from flows.config import Composed
from flows.overrides import key_of
from flows.runner import Runner
from flows.warm_start import warm_start
from tasks import class_weight as class_weights
from tasks import folds as all_folds
from tasks import loss as losses
from tasks import metric as metrics
from tasks import registry, tracking
from tasks.check import Check
from tasks.class_weight import ClassWeight
from tasks.ensemble import Ensemble
from tasks.evidence import SHARE_OF_THE_FIT, Ladder, ladder
from tasks.folds import Splitter
from tasks.footprint import Limits
from tasks.loss import Loss
from tasks.loss.huber import Huber
from tasks.model import Model, reads_text
from tasks.records import Prepared, Roles, Split
from tasks.refusal import Refusal
from tasks.search import Search, Setting, Space, family_space
from tasks.search.grid import Grid
from tasks.search.none import Fixed
from tasks.search.sampled import Sampled
from tasks.source import Source
from tasks.store import check_writable
from tasks.strategy import NEED_A_BASE, Strategy

T = TypeVar("T")

STUDIES = Path("data") / "studies"


@dataclass(frozen=True)
class Plan:
    """The components that don't depend on the data."""

    source: Source
    test: Source | None
    source_data: Source | None
    roles: Roles
    families: dict[str, Model]
    space: Space
    search: Search
    n_trials: int
    ensemble: Ensemble | None
    limits: Limits
    strategy: Strategy | None
    checks: tuple[Check, ...]
    runner: Runner
    tracking_uri: str | None

    @property
    def n_workers(self) -> int:
        return self.runner.n_workers

    @property
    def reads_text(self) -> bool:
        """Whether a family of the run takes columns of prose."""
        return any(map(reads_text, self.families.values()))


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
    the rounds that the budget pays for, and the ladder of evidence. `begun` is Unix time in seconds."""

    plan: Plan
    decided: Decided
    prepared: Prepared
    split: Split
    families: dict[str, Model]
    ladder: Ladder
    begun: float


def plan(composed: Composed) -> Plan:
    """Builds everything that can be built before the data is read.

    Raises:
        Refusal: all faults of the configuration at once.
    """
    config, allowed = composed.config, composed.config.allow_packages
    faults: list[str] = []

    def attempt(make: Callable[[], T]) -> T:
        try:
            return make()
        except Refusal as refusal:
            faults.extend(refusal.faults)
            return cast(T, None)  # never used: with a fault there is no plan

    source = attempt(functools.partial(build, configs.source_node(config), "source", allowed))
    test = attempt(lambda: _file(composed, config.holdout.path, "holdout"))
    source_data = attempt(lambda: _source_data(composed))
    roles = attempt(lambda: configs.roles(config))
    optimizer = attempt(lambda: build(config.optimizer, "optimizer", allowed))
    faults += _unused(composed)
    strategy = attempt(lambda: _strategy(composed))
    families = {
        name: attempt(functools.partial(_family, name, node, strategy, allowed))
        for name, node in config.model.items()
        if optimizer is not None or "optimizer" not in node  # whose faults would be named twice
    }
    spaces = {
        name: attempt(functools.partial(_family_space, name, family))
        for name, family in families.items()
        if family is not None
    }
    search = attempt(lambda: _search(config.search.sampler, config.search.trials, allowed))
    limits = Limits(config.search.megabytes, config.search.milliseconds)
    ensemble = attempt(lambda: _ensemble(config.ensemble, limits, allowed))
    attempt(lambda: _loss(composed))
    attempt(lambda: class_weights.check(config.class_weight))
    checks = [attempt(functools.partial(build, node, f"check.{name}", allowed)) for name, node in config.check.items()]
    runner = attempt(lambda: build(config.runner, "runner", allowed))
    n_splits = config.folds.get("n_splits", 2)
    if not isinstance(n_splits, int) or n_splits < 2:
        faults.append(f"folds.n_splits must be a whole number of at least 2, got {n_splits!s}.")
    elif "_target_" in config.folds:
        attempt(lambda: build(config.folds, "folds", allowed))
    if not config.model:
        faults.append("model=[]: name at least one family.")
    if config.metric != "auto":
        attempt(lambda: metrics.check(config.metric, _a_problem_of(config.metric)))
    n_trials = config.search.trials
    if not faults:
        n_trials = attempt(lambda: search.n_trials(Space(spaces), config.search.trials))
    if config.base is not None and ensemble is not None:
        faults.append(
            f"base={config.base} with ensemble={composed.choices['ensemble']}: the models of the folds hold only what "
            "they add to the base; leave one of the two out."
        )
    uri = config.tracking.uri
    tracking_uri = None if uri is None else attempt(lambda: resolve(uri, "tracking.uri"))
    if uri is None or tracking_uri is not None:
        attempt(lambda: tracking.check(tracking_uri))
    if config.model_name is not None:
        name = config.model_name
        attempt(lambda: registry.check_name(name))
    attempt(lambda: check_writable(Path("data")))
    warm = attempt(lambda: _warm_settings(config.search, list(spaces), search, tracking_uri)) if not faults else ()
    if faults:
        raise Refusal(*faults)
    return Plan(
        source,
        test,
        source_data,
        roles,
        families,
        Space(spaces, warm),
        search,
        n_trials,
        ensemble,
        limits,
        strategy,
        tuple(checks),
        runner,
        tracking_uri,
    )


def decide(composed: Composed, prepared: Prepared) -> Decided:
    """The configuration composed once more with the names that the data decided for every `auto`.

    Raises:
        Refusal: for a metric, loss or family that doesn't fit the problem; all faults at once.
    """
    config, kind = composed.config, prepared.problem.kind
    auto = {
        "problem": (config.problem, kind),
        "metric": (config.metric, _metric_of(_loss(composed), kind)),
        "loss": (composed.choices["loss"], losses.choose(kind)),
        "folds": (composed.choices["folds"], all_folds.choose(kind, prepared.has_group, prepared.has_time)),
    }
    decided = {key: found for key, (asked, found) in auto.items() if asked == "auto"}
    decided["problem"] = kind  # two classes are a binary problem, whatever was asked for
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


def job_of(planned: Plan, decided: Decided, prepared: Prepared, divided: Split, begun: float) -> Job:
    """The run, with what its table and its budget in seconds decide of the evidence that trials are judged on."""
    seconds = decided.composed.config.search.seconds
    n_columns, n_classes = prepared.n_features, len(prepared.problem.classes)
    families = {
        name: family
        if seconds is None
        else family.affordable(SHARE_OF_THE_FIT * seconds, divided.n_train, n_columns, n_classes)
        for name, family in planned.families.items()
    }
    decided = replace(decided, loss=_settled(decided.loss, divided))
    rungs = ladder(families, round(divided.n_train / divided.growth), n_columns, n_classes, divided.n_folds, seconds)
    return Job(planned, decided, prepared, divided, families, rungs, begun)


def _check_fit(composed: Composed, prepared: Prepared, loss: Loss) -> ClassWeight | None:
    problem, faults = prepared.problem, list[str]()
    weights: list[ClassWeight | None] = []
    checks: tuple[Callable[[], None], ...] = (
        lambda: metrics.check(composed.config.metric, problem.kind),
        lambda: losses.check(loss, problem.kind),
        lambda: weights.append(class_weights.by_code(composed.config.class_weight, problem)),
    )
    for check in checks:
        try:
            check()
        except Refusal as refusal:
            faults.extend(refusal.faults)
    if not faults:
        strategy = _strategy(composed)
        for name, node in composed.config.model.items():
            family = _family(name, node, strategy, composed.config.allow_packages)
            faults += [*family.check(problem, loss), *_lacks_text(name, family, prepared)]
    if faults:
        raise Refusal(*faults)
    return weights[0]


def _lacks_text(name: str, family: Model, prepared: Prepared) -> list[str]:
    if prepared.text or not reads_text(family) or not getattr(family, "is_pretrained", False):
        return []
    return [f"model={name} reads text, and no column of the table is any; name one: source.text=[COLUMN]."]


def _strategy(composed: Composed) -> Strategy | None:
    """How the run goes on from its base, or from what its families bring along; None where nothing is gone on from.

    Raises:
        Refusal: for a strategy without anything to go on from.
    """
    config, choice = composed.config, composed.choices["strategy"]
    if config.base is None and not any(key_of(text) == "strategy" for text in composed.overrides):
        return None
    strategy: Strategy = build(config.strategy, "strategy", config.allow_packages)
    if choice == "ladder":
        raise Refusal("strategy=ladder climbs over several strategies: `finefold finetune` does that.")
    if config.base is None and (strategy.name in NEED_A_BASE or not are_pretrained(composed)):
        raise Refusal(f"strategy={choice} needs a model to go on from: base=models:/NAME@champion.")
    return strategy


def are_pretrained(composed: Composed) -> bool:
    """Whether every family brings along a model to go on from; of one that can't be built its own faults tell."""
    try:
        built = [build(node, f"model.{name}", composed.config.allow_packages)
                 for name, node in composed.config.model.items()]  # fmt: skip
    except Refusal:
        return True
    return all(getattr(family, "is_pretrained", False) for family in built)


def _family(name: str, node: dict[str, Any], strategy: Strategy | None, allowed: Sequence[str]) -> Model:
    """A family, as it goes on from the base where there is one."""
    family: Model = build(node, f"model.{name}", allowed)
    return family if strategy is None else strategy.family(name, family)


def _loss(composed: Composed) -> Loss | None:
    """The loss, where it was not left to the data."""
    node, allowed = composed.config.loss, composed.config.allow_packages
    loss: Loss | None = build(node, "loss", allowed) if "_target_" in node else None
    return loss


def _metric_of(loss: Loss | None, kind: str) -> str:
    """What `metric=auto` selects on; some losses fit one metric alone."""
    of_loss: str | None = getattr(loss, "metric", None) if loss and kind in loss.problems else None
    return of_loss or metrics.default(kind)


def _settled(loss: Loss, divided: Split) -> Loss:
    """With what was left `auto` decided by the training rows' target."""
    if not isinstance(loss, Huber):
        return loss
    roles = pd.read_parquet(Path(divided.folder) / "train_roles.parquet", columns=["target"])
    return loss.settled(roles["target"].to_numpy(dtype="float64"))


def _a_problem_of(metric: str) -> str:
    """Any problem that the metric is for, so that only its name is checked."""
    return next(iter(metrics.METRICS[metric].problems)) if metric in metrics.METRICS else "regression"


def _unused(composed: Composed) -> list[str]:
    """Faults of what was chosen and no family of the run has: a family's YAML names what it takes."""
    asked = {"optimizer": composed.choices["optimizer"], "device": composed.config.device}
    return [
        f"{key}={choice}: {', '.join(composed.config.model)} has none; choose model=mlp, or leave {key} out."
        for key, choice in asked.items()
        if choice != "auto" and not any(key in node for node in composed.config.model.values())
    ]


def _file(composed: Composed, path: str | None, key: str) -> Source | None:
    """Another file, read as the source is where that is a file too."""
    if path is None:
        return None
    node = configs.source_node(composed.config)
    if "path" not in node:
        node = configs.source_node(configs.compose(["source=file", "source.path=another"]).config)
    source: Source = build({**node, "path": path}, key, composed.config.allow_packages)
    return source


def _source_data(composed: Composed) -> Source | None:
    path = composed.config.source_data
    if path is not None and composed.config.base is None:
        raise Refusal(f"source_data={path}: it is what a base was trained on; name the model too, by base=.")
    return _file(composed, path, "source_data")


def _family_space(name: str, family: Model) -> Any:
    it = family
    return family_space(name, it.hyperparameters, it.start, it.space, it.grid, it.portfolio)


def _warm_settings(
    asked: configs.Search, families: Sequence[str], search: Search, tracking_uri: str | None
) -> Sequence[Setting]:
    if asked.warm_start is None:
        return ()
    if isinstance(search, Grid | Fixed):
        raise Refusal(
            f"search.warm_start={asked.warm_start}: a search that visits given points alone begins with none of an "
            "earlier study; choose search=bayesian, genetic or random, or leave search.warm_start out."
        )
    return warm_start(asked.warm_start, families, STUDIES, tracking_uri)


def _ensemble(node: dict[str, Any], limits: Limits, allowed: Sequence[str]) -> Ensemble | None:
    """The ensemble, within the limits of the final model too."""
    if "_target_" not in node:
        return None
    ensemble: Ensemble = build(node, "ensemble", allowed)
    own = {key: getattr(ensemble, key) for key in limits.known}
    least = {key: limit if own[key] is None else min(limit, own[key]) for key, limit in limits.known.items()}
    return replace(ensemble, **least)  # type: ignore[type-var]  # a Protocol that dataclasses fill


def _search(node: dict[str, Any], trials: int, allowed: Sequence[str]) -> Search:
    """Optuna's samplers are made anew for each trial; others are searches themselves."""
    if not str(node.get("_target_", "")).startswith("optuna."):
        search: Search = build(node, "search.sampler", allowed)
        return search

    def make(seed: int) -> BaseSampler:
        with warnings.catch_warnings():  # multivariate and grouped TPE have been experimental since 2020
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler: BaseSampler = build(node, "search.sampler", allowed, seed=seed)
            return sampler

    make(0)  # faults show now, not in the first trial
    return Sampled(make)
