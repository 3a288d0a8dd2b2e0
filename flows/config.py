"""All of Hydra: composing a run's configuration from `conf/` and the overrides, and typing it."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field

from flows.build import resolve, validate
from flows.overrides import apply, is_known, key_of, sweep_values
from flows.passwords import holds_password, keys_with_password, refuse_passwords
from flows.sections import Clean, Replay, Runs
from flows.servers import Servers
from flows.typed import SECRET_REFERENCE
from tasks.records import Roles
from tasks.refusal import Refusal, did_you_mean
from tasks.remedy import Rules

# Whose keys are the root's own; what a group's choice has is recorded whole.
SECTIONS = (
    "holdout", "pretrain", "search", "cost", "tracking", "predictions", "servers", "labels", "monitor", "replay",
    "runs", "clean",
)  # fmt: skip
CONF = Path(__file__).resolve().parent.parent / "conf"
FORMATS = "export.formats"  # by which the group `format` is chosen


@dataclass(frozen=True)
class Holdout:
    fraction: Annotated[float, Field(gt=0, lt=1)]
    path: str | None
    seed: int


@dataclass(frozen=True)
class Pretrain:
    keep: bool
    rows: Annotated[int, Field(ge=0)]
    licence: str | None
    origin: str | None


@dataclass(frozen=True)
class Search:
    trials: Annotated[int, Field(ge=1)]
    seconds: Annotated[float, Field(gt=0)] | None
    window: Annotated[int, Field(ge=1)]
    together: Annotated[int, Field(ge=1)] | None
    racing: Annotated[float, Field(gt=0)] | None
    megabytes: Annotated[float, Field(gt=0)] | None
    milliseconds: Annotated[float, Field(gt=0)] | None
    warm_start: str | None
    sampler: dict[str, Any]


@dataclass(frozen=True)
class Cost:
    per_hour: Annotated[float, Field(ge=0)] | None
    unit: str


@dataclass(frozen=True)
class TrackingSettings:
    uri: str | None
    experiment: Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Export:
    """formats: names of choices of `conf/format`, which make up the node `format`."""

    formats: tuple[str, ...]
    int8: bool
    rows: Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Predictions:
    version: str
    path: str | None
    url: str | None
    table: str | None
    if_exists: Literal["fail", "append", "replace"]
    rejects: str | None
    interval: Annotated[float, Field(gt=0, lt=1)] | None


@dataclass(frozen=True)
class LabelsGiven:
    path: str | None


@dataclass(frozen=True)
class Config:
    """A composed configuration, typed. Components (`source`, `folds`, `model.X`, ...) stay nodes until built."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    problem: Literal["auto", "binary", "multiclass", "regression", "generation"]
    metric: str
    class_weight: Any
    device: Literal["auto", "cpu", "cuda", "mps"]
    base: str | None
    cost: Cost
    threshold: Any
    costs: Any
    source_data: str | None
    pretrain: Pretrain
    source: dict[str, Any]
    folds: dict[str, Any]
    model: dict[str, dict[str, Any]]
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    search: Search
    ensemble: dict[str, Any]
    strategy: dict[str, Any]
    calibration: dict[str, Any]
    check: dict[str, dict[str, Any]]
    promotion: dict[str, Any]
    runner: dict[str, Any]
    holdout: Holdout
    tracking: TrackingSettings
    evaluation: Literal["holdout", "nested"]
    select: Literal["best", "simplest"]
    slices: tuple[str, ...]
    stop_on_leak: Literal["certain", "suspected", "never"]
    model_name: str | None
    resume: Literal["auto", "never"]
    output: Literal["text", "json"]
    allow_packages: tuple[str, ...]
    export: Export
    format: dict[str, dict[str, Any]]
    predictions: Predictions
    servers: Servers
    labels: LabelsGiven
    monitor: Rules
    replay: Replay
    runs: Runs
    clean: Clean


@dataclass(frozen=True)
class Composed:
    """A configuration beside what it was made from: `choices` maps each group to what was chosen in it;
    `recorded` is the resolved configuration with secrets left as `${oc.env:NAME}`."""

    config: Config
    overrides: tuple[str, ...]
    choices: dict[str, Any]
    recorded: dict[str, Any]


def compose(overrides: Sequence[str]) -> Composed:
    """The configuration that `conf/`, the folder in FINEFOLD_CONF and the overrides make.

    Raises:
        Refusal: with every fault at once: a misspelt key, choice or value, a value of the wrong type, a password.
    """
    refuse_passwords(key_of(text) for text in overrides if holds_password(text))
    with _hydra():
        by_group, by_value, faults = _sort(overrides)
        unknown = {text: fault for text in by_group if (fault := _unknown_choice(text))}
        by_group = [text for text in by_group if text not in unknown]
        faults += unknown.values()
        node, choices = _compose_groups(by_group)
        # Below a choice that there isn't, no key can be judged.
        lost = {key_of(text) for text in unknown}
        by_value = [text for text in by_value if key_of(text).partition(".")[0] not in lost]
        faults += [fault for override in by_value if (fault := apply(node, override))]
    recorded = _resolve_all_but_secrets(node)
    refuse_passwords(keys_with_password(recorded))  # in a YAML of the user's
    try:
        config = _typed(recorded)
    except Refusal as refusal:
        raise Refusal(*faults, *refusal.faults) from None
    if faults:
        raise Refusal(*faults)
    return Composed(config, tuple(overrides), choices, recorded)


def recomposed(
    recorded: Mapping[str, Any], overrides: Sequence[str], choices: Mapping[str, Any], changes: Sequence[str] = ()
) -> Composed:
    """A configuration as an earlier run recorded it, whatever `conf/` says by now, with some values changed.

    recorded: resolved, secrets as `${oc.env:NAME}`. A root key that there was not yet has its default. changes: values,
    and choices of groups that are taken anew with their defaults.

    Raises:
        Refusal: for values that this version can't take, and for faults of the changes.
    """
    anew = [text for text in changes if key_of(text) in choices]
    changes = [text for text in changes if text not in anew]
    now = compose(anew).recorded
    recorded = {**recorded, **{key_of(text): now[key_of(text)] for text in anew}}
    known = {key: {**value, **recorded.get(key, {})} if key in SECTIONS else recorded.get(key, value)
             for key, value in now.items()}  # fmt: skip
    node = OmegaConf.create(known)
    faults = [fault for text in changes if (fault := apply(node, text))]
    if faults:
        raise Refusal(*faults)
    made = cast(dict[str, Any], OmegaConf.to_container(node, resolve=False))
    return Composed(_typed(made), tuple(overrides), dict(choices), made)


def groups() -> dict[str, list[str]]:
    """Each group of `conf/` with its choices, in alphabetical order."""
    with _hydra():
        return {group: _options(group) for group in _group_names()}


def fitted(combinations: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Each without the values of keys that it has not and another one has: with `model=lightgbm,linear` linear does
    without `model.lightgbm.rounds=500`. A key that none has stays, to be refused.

    Raises:
        Refusal: for a choice that there isn't, or groups that can't be composed.
    """
    unknown = {name: _keys_without_a_place(overrides) for name, overrides in combinations.items()}
    nowhere = set.intersection(*unknown.values())
    return {
        name: [text for text in overrides if key_of(text) not in unknown[name] - nowhere]
        for name, overrides in combinations.items()
    }


def _keys_without_a_place(overrides: Sequence[str]) -> set[str]:
    """The keys of values for which the chosen groups have no place."""
    with _hydra():
        by_group, by_value, _ = _sort(overrides)
        if any(_unknown_choice(text) for text in by_group):
            return set()  # told by `compose`, with all other faults
        node, _ = _compose_groups(by_group)
        return {key for key in map(key_of, by_value) if not is_known(node, key)}


def leaves(node: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of all values of a configuration that are no mappings."""
    found = []
    for name, value in node.items():
        key = f"{prefix}{name}"
        found += leaves(value, f"{key}.") if isinstance(value, dict) and value else [key]
    return found


def with_decided(overrides: Sequence[str], decided: Mapping[str, str]) -> list[str]:
    """The overrides with each `auto` replaced by what was decided for it (`{"folds": "stratified"}`)."""
    kept = [text for text in overrides if key_of(text) not in decided]
    return [*kept, *(f"{key}={value}" for key, value in decided.items())]


def roles(config: Config) -> Roles:
    """The roles of the columns that the user gave under `source`.

    Raises:
        Refusal: for a value of the wrong type, or an environment variable that is not set.
    """
    names = {field.name for field in fields(Roles)}
    given = {key: value for key, value in config.source.items() if key in names}
    resolved = {
        key: resolve(value, f"source.{key}") if isinstance(value, str) else value for key, value in given.items()
    }
    return cast(Roles, validate(Roles, resolved, "source"))


def source_node(config: Config) -> dict[str, Any]:
    """The `source` node without the roles of columns: what the reader itself is built from."""
    names = {field.name for field in fields(Roles)}
    return {key: value for key, value in config.source.items() if key not in names}


def _hydra() -> Any:
    GlobalHydra.instance().clear()  # a notebook or another library may have left Hydra initialised
    return initialize_config_dir(str(CONF), job_name="finefold", version_base="1.3")


def _search_path() -> list[str]:
    folder = os.environ.get("FINEFOLD_CONF")
    if not folder:
        return []
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        raise Refusal(f"FINEFOLD_CONF={folder} is not a folder; unset it or name a folder laid out like conf/.")
    return [f"hydra.searchpath=['file://{path}']"]


@functools.cache
def _loader(user_folder: str | None) -> ConfigLoaderImpl:
    """Hydra's own loader over `conf/` and the user's folder, for the names of groups and choices."""
    Plugins.instance()
    path = ConfigSearchPathImpl()
    path.append("finefold", f"file://{CONF}")
    if user_folder:
        path.append("user", f"file://{Path(user_folder).expanduser().resolve()}")
    return ConfigLoaderImpl(path)


def _options(group: str) -> list[str]:
    return _loader(os.environ.get("FINEFOLD_CONF")).get_group_options(group, ObjectType.CONFIG)


def _group_names() -> list[str]:
    return sorted(_loader(os.environ.get("FINEFOLD_CONF")).get_group_options("", ObjectType.GROUP))


def _sort(overrides: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Overrides that choose in a group, overrides that give a value, and faults of form."""
    by_group, by_value, faults = [], [], []
    names = set(_group_names())
    for text in overrides:
        key, equals, value = text.partition("=")
        bare = key.lstrip("+~")
        if bare == FORMATS:  # a list of choices, by the name that it has among the keys of its stage
            key, bare, text = "format", "format", f"format={value}"
        if not equals and not key.startswith("~"):
            faults.append(f"{text!r} is no override: write KEY=VALUE{did_you_mean(bare, names)}")
        elif bare in names:
            by_group.append(text)
        else:
            by_value.append(text)
    return by_group, by_value, faults


def _unknown_choice(text: str) -> str | None:
    group, options = key_of(text), _options(key_of(text))
    if len(sweep_values(text)) > 1:
        return f"{text}: several values need `finefold compare` or `finefold run --multirun`."
    for choice in _chosen(text):
        if choice not in options and choice != "null":
            key = FORMATS if group == "format" else group
            return f"{key}={choice}: no such choice{did_you_mean(choice, options)} Choices: {', '.join(options)}."
    return None


def _chosen(override: str) -> list[str]:
    value = override.partition("=")[2].strip().strip("[]")
    return [part.strip().strip("'\"") for part in value.split(",") if part.strip()]


def _compose_groups(by_group: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
    """The composed node, and what was chosen in each group, by the defaults, an experiment or an override."""
    try:
        node = hydra_compose("config", overrides=[*_search_path(), *by_group], return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise Refusal(" ".join(str(error).split())) from error
    chosen = cast(dict[str, Any], OmegaConf.to_container(node.hydra.runtime.choices))
    choices = {group: choice for group, choice in chosen.items() if not group.startswith("hydra/")}
    OmegaConf.set_struct(node, False)
    OmegaConf.set_readonly(node, False)
    del node["hydra"]
    lists = {group: [str(name) for name in node.get(group) or {}] for group in ("model", "check", "format")}
    node.export.formats = lists["format"]
    return node, {**choices, **lists}


def _resolve_all_but_secrets(node: DictConfig) -> dict[str, Any]:
    raw = OmegaConf.to_container(node, resolve=False)
    kept = _map_text(raw, lambda text: text.replace("${oc.env:", "\\${oc.env:") if SECRET_REFERENCE in text else text)
    try:
        return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(kept), resolve=True))
    except OmegaConfBaseException as error:
        raise Refusal(" ".join(str(error).split())) from error


def _map_text(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _map_text(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_map_text(item, change) for item in value]
    return value


def _typed(recorded: Mapping[str, Any]) -> Config:
    names = {field.name for field in fields(Config)}
    empty: dict[str, Any] = {"check": {}, "format": {}}  # of check=[]
    values = {**empty, **{key: value for key, value in recorded.items() if key in names}}
    return cast(Config, validate(Config, values, ""))
