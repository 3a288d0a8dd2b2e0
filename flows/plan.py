"""What a configuration builds: every component of a run, checked before any work starts."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from flows import config as configs
from flows.asked import asked_of
from flows.build import build, resolve
from flows.config import Composed
from flows.overrides import key_of
from flows.runner import Runner
from flows.warm_start import warm_start
from tasks import class_weight as class_weights
from tasks import metric as metrics
from tasks import pairs, registry, tracking
from tasks.check import Check, Inspection
from tasks.conclude import Asked
from tasks.ensemble import Ensemble
from tasks.footprint import Limits
from tasks.format import Format
from tasks.loss import Loss
from tasks.model import Model, TrainsTrials, reads_text, writes
from tasks.promotion import Promotion
from tasks.records import Roles
from tasks.refusal import Refusal
from tasks.search import Search, Setting, Space, family_space
from tasks.search.grid import Grid
from tasks.search.none import Fixed
from tasks.search.sampled import Sampled
from tasks.source import Source
from tasks.store import check_writable
from tasks.strategy import NEED_A_BASE, Strategy, rehearsal_in

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
    together: int
    ensemble: Ensemble | None
    limits: Limits
    strategy: Strategy | None
    checks: tuple[Check | Inspection, ...]
    promotion: Promotion
    runner: Runner
    tracking_uri: str | None
    asked: Asked
    formats: dict[str, Format]

    @property
    def n_workers(self) -> int:
        return self.runner.n_workers

    @property
    def reads_text(self) -> bool:
        """Whether a family of the run takes columns of prose."""
        return any(map(reads_text, self.families.values()))


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
    strategy = attempt(lambda: strategy_of(composed))
    families = {
        name: attempt(functools.partial(family_of, name, node, strategy, allowed))
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
    is_of_pairs = any(family is not None and writes(family) for family in families.values())
    if roles is not None and None not in families.values():  # of one with a fault it isn't known
        roles = attempt(functools.partial(pairs.roles_of, roles, config.problem, writes=is_of_pairs))
    attempt(lambda: loss_of(composed))
    attempt(lambda: class_weights.check(config.class_weight))
    checks = [attempt(functools.partial(build, node, f"check.{name}", allowed)) for name, node in config.check.items()]
    promotion = attempt(lambda: build(config.promotion, "promotion", allowed))
    asked = attempt(lambda: asked_of(composed))
    formats = {name: attempt(functools.partial(_format, composed, name, families)) for name in config.format}
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
    n_trials, together = config.search.trials, 1
    if not faults:
        n_trials = attempt(lambda: search.n_trials(Space(spaces), config.search.trials))
    if None not in families.values():
        together = attempt(lambda: _together(config.search, families, goes_on=strategy is not None))
    if config.base is not None and ensemble is not None:
        faults.append(
            f"base={config.base} with ensemble={composed.choices['ensemble']}: the models of the folds hold only what "
            "they add to the base; leave one of the two out."
        )
    if config.select == "simplest" and ensemble is not None:
        faults.append(
            f"select=simplest with ensemble={composed.choices['ensemble']}: one takes the cheapest trial of those that "
            "are as good as the best, the other several; leave one of the two out."
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
        together,
        ensemble,
        limits,
        strategy,
        tuple(checks),
        promotion,
        runner,
        tracking_uri,
        asked,
        formats,
    )


def strategy_of(composed: Composed) -> Strategy | None:
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
    if config.base is None and (asked := rehearsal_in(strategy.hyperparameters)):
        raise Refusal(f"{asked}: there is no base whose rows could be rehearsed; name one by "
                      "base=models:/NAME@champion, or leave it out.")  # fmt: skip
    return strategy


def are_pretrained(composed: Composed) -> bool:
    """Whether every family brings along a model to go on from; of one that can't be built its own faults tell."""
    try:
        built = [build(node, f"model.{name}", composed.config.allow_packages)
                 for name, node in composed.config.model.items()]  # fmt: skip
    except Refusal:
        return True
    return all(getattr(family, "is_pretrained", False) for family in built)


def family_of(name: str, node: dict[str, Any], strategy: Strategy | None, allowed: Sequence[str]) -> Model:
    """A family, as it goes on from the base where there is one."""
    family: Model = build(node, f"model.{name}", allowed)
    return family if strategy is None else strategy.family(name, family)


def loss_of(composed: Composed) -> Loss | None:
    """The loss, where it was not left to the data."""
    node, allowed = composed.config.loss, composed.config.allow_packages
    loss: Loss | None = build(node, "loss", allowed) if "_target_" in node else None
    return loss


def _a_problem_of(metric: str) -> str:
    """Any problem that the metric is for, so that only its name is checked."""
    return next(iter(metrics.METRICS[metric].problems)) if metric in metrics.METRICS else "regression"


def _unused(composed: Composed) -> list[str]:
    """Faults of what is deploy's, or was chosen and no family of the run has: a family's YAML names what it takes."""
    asked = {"optimizer": composed.choices["optimizer"], "device": composed.config.device}
    takers = {"optimizer": "model=mlp", "device": "model=mlp or text_encoder"}
    sections = ("deploy", "notify", "schedule")
    of_deploy = [text for text in composed.overrides if key_of(text).partition(".")[0] in sections]
    return [f"{text}: finefold deploy alone looks at it; leave it out." for text in of_deploy] + [
        f"{key}={choice}: {', '.join(composed.config.model)} has none; choose {takers[key]}, or leave {key} out."
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


def _format(composed: Composed, name: str, families: Mapping[str, Model | None]) -> Format:
    """
    Raises:
        Refusal: where what it needs is not installed, or it can't write a family of the run.
    """
    made: Format = build(composed.config.format[name], f"format.{name}", composed.config.allow_packages)
    if faults := made.check([(of, family) for of, family in families.items() if family is not None]):
        raise Refusal(*faults)
    return made


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


def _together(asked: configs.Search, families: Mapping[str, object], *, goes_on: bool) -> int:
    """How many trials go together. goes_on: from a base, of whose strategies one alone trains some as one; the others
    go one by one, so that a ladder can be asked to."""
    able = [family for family in families.values() if isinstance(family, TrainsTrials)]
    if asked.together is None:
        return asked.window if any(family.is_faster_so for family in able) else 1
    if asked.together > asked.window:
        raise Refusal(
            f"search.together={asked.together} is more than search.window={asked.window}, the trials that are proposed "
            f"before the first of them is known; search.window={asked.together} holds them."
        )
    if not able and goes_on:
        return 1
    if asked.together > 1 and not able:
        raise Refusal(
            f"search.together={asked.together}: {', '.join(families)} can't train trials as one; model=mlp can, from "
            "scratch. Choose that, or leave it out."
        )
    return asked.together


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
