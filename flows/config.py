"""All of Hydra: composing a run's configuration from `conf/` and the overrides, and typing it."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field

from flows.build import resolve, validate
from flows.typed import SECRET_REFERENCE, is_typed_as_is, read_typed_value
from tasks.records import Roles
from tasks.refusal import Refusal, did_you_mean

CONF = Path(__file__).resolve().parent.parent / "conf"
# User and password before an @, however the password is written; or a parameter that is named like a secret.
PASSWORD_IN_URL = re.compile(
    r"://[^/?#:@\s]*:[^@\s]+@|[?&;](pass\w*|pwd|\w*token|\w*secret\w*|\w*key\w*|sig\w*)=[^&;\s]+", re.IGNORECASE
)
REFERENCE = re.compile(r"\$\{oc\.env:[^}]*\}")


@dataclass(frozen=True)
class Holdout:
    fraction: Annotated[float, Field(gt=0, lt=1)]
    path: str | None
    seed: int


@dataclass(frozen=True)
class Search:
    trials: Annotated[int, Field(ge=1)]
    seconds: Annotated[float, Field(gt=0)] | None
    window: Annotated[int, Field(ge=1)]
    racing: Annotated[float, Field(gt=0)] | None
    warm_start: str | None
    sampler: dict[str, Any]


@dataclass(frozen=True)
class TrackingSettings:
    uri: str | None
    experiment: Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Config:
    """A composed configuration, typed. Components (`source`, `folds`, `model.X`, ...) stay nodes until built."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    problem: Literal["auto", "binary", "multiclass", "regression"]
    metric: str
    device: Literal["auto", "cpu", "cuda", "mps"]
    base: str | None
    source: dict[str, Any]
    folds: dict[str, Any]
    model: dict[str, dict[str, Any]]
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    search: Search
    ensemble: dict[str, Any]
    runner: dict[str, Any]
    holdout: Holdout
    tracking: TrackingSettings
    model_name: str | None
    resume: Literal["auto", "never"]
    output: Literal["text", "json"]
    allow_packages: tuple[str, ...]


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
    _refuse_passwords(_key(text) for text in overrides if _holds_password(text))
    with _hydra():
        by_group, by_value, faults = _sort(overrides)
        unknown = {text: fault for text in by_group if (fault := _unknown_choice(text))}
        by_group = [text for text in by_group if text not in unknown]
        faults += unknown.values()
        node, choices = _compose_groups(by_group)
        # Below a choice that there isn't, no key can be judged.
        lost = {_key(text) for text in unknown}
        by_value = [text for text in by_value if _key(text).partition(".")[0] not in lost]
        faults += [fault for override in by_value if (fault := _apply(node, override))]
    recorded = _resolve_all_but_secrets(node)
    _refuse_passwords(_keys_with_password(recorded))  # in a YAML of the user's
    try:
        config = _typed(recorded)
    except Refusal as refusal:
        raise Refusal(*faults, *refusal.faults) from None
    if faults:
        raise Refusal(*faults)
    return Composed(config, tuple(overrides), choices, recorded)


def groups() -> dict[str, list[str]]:
    """Each group of `conf/` with its choices, in alphabetical order."""
    with _hydra():
        return {group: _options(group) for group in _group_names()}


def sweep(overrides: Sequence[str]) -> list[list[str]]:
    """The override lists that a multirun stands for: `seed=1,2 model=linear,forest` are four.

    Raises:
        Refusal: for an override that can't be parsed.
    """
    combinations: list[list[str]] = [[]]
    for text in overrides:
        combinations = [[*before, value] for before in combinations for value in _sweep_values(text)]
    return combinations


def leaves(node: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of all values of a configuration that are no mappings."""
    found = []
    for name, value in node.items():
        key = f"{prefix}{name}"
        found += leaves(value, f"{key}.") if isinstance(value, dict) and value else [key]
    return found


def with_decided(overrides: Sequence[str], decided: Mapping[str, str]) -> list[str]:
    """The overrides with each `auto` replaced by what was decided for it (`{"folds": "stratified"}`)."""
    kept = [text for text in overrides if _key(text) not in decided]
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
        key, equals, _ = text.partition("=")
        bare = key.lstrip("+~")
        if not equals and not key.startswith("~"):
            faults.append(f"{text!r} is no override: write KEY=VALUE{did_you_mean(bare, names)}")
        elif bare in names:
            by_group.append(text)
        else:
            by_value.append(text)
    return by_group, by_value, faults


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _unknown_choice(text: str) -> str | None:
    group, options = _key(text), _options(_key(text))
    for choice in _chosen(text):
        if choice not in options and choice != "null":
            return f"{group}={choice}: no such choice{did_you_mean(choice, options)} Choices: {', '.join(options)}."
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
    return node, {**choices, "model": [str(name) for name in node.get("model") or {}]}


def _apply(node: DictConfig, text: str) -> str | None:
    """Puts one value where its key is; a fault where there is no such key or the value can't be parsed.

    Hydra would merge a mapping into a mapping and refuse a list in its place; a search space is replaced as a
    whole instead, so that `space.num_leaves=[15,31]` takes the place of a range.
    """
    key = _key(text)
    is_space = bool(re.fullmatch(r"model\.[^.]+\.space(\..+)?", key))
    if not _exists(node, key) and not (is_space and _exists(node, key.rpartition(".")[0])):
        known = _known_keys(node)
        return f"there is no key {key!r}{did_you_mean(key, known)} `finefold run --cfg job` shows all keys."
    try:
        value = read_typed_value(key, text.partition("=")[2]) if is_typed_as_is(key) else _parsed(text).value()
        OmegaConf.update(node, key, value, merge=not is_space)
    except (HydraException, OmegaConfBaseException) as error:
        return f"{text!r} can't be read: {' '.join(str(error).split())}. Put quotes around special characters."
    return None


def _parsed(text: str) -> Override:
    override = OverridesParser.create().parse_override(text)
    if override.is_sweep_override():
        raise HydraException(f"several values for {override.key_or_group} need --multirun")
    return override


def _exists(node: DictConfig, key: str) -> bool:
    """Whether the key is there; one whose value is still `???` is, though `in` says it is not."""
    *parents, last = key.split(".")
    for parent in parents:
        if not isinstance(node, DictConfig) or parent not in node.keys():  # noqa: SIM118
            return False
        node = node._get_node(parent)  # type: ignore[assignment]
    return isinstance(node, DictConfig) and last in node.keys()  # noqa: SIM118


def _known_keys(node: DictConfig, prefix: str = "") -> list[str]:
    keys = []
    for name in map(str, node):
        keys.append(f"{prefix}{name}")
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none():
            keys += _known_keys(child, f"{prefix}{name}.")
    return keys


def _sweep_values(text: str) -> list[str]:
    key, _, raw = text.partition("=")
    if is_typed_as_is(key.lstrip("+~")) and not raw.startswith(("'", '"')):
        return [text]
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise Refusal(f"{text!r} can't be read: {' '.join(str(error).split())}") from error
    if not override.is_sweep_override():
        return [text]
    if is_typed_as_is(key.lstrip("+~")):
        return [f"{key}={getattr(value, 'text', value)}" for value in override.sweep_iterator()]
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _holds_password(text: str) -> bool:
    return bool(PASSWORD_IN_URL.search(REFERENCE.sub("", text)))


def _refuse_passwords(keys: Iterable[str]) -> None:
    faults = [
        f"{key} holds a password. It would be stored with the run. Put the value into an environment variable and "
        f"write {key}='${{oc.env:NAME}}'; rotate the password if this was sent to a server."
        for key in keys
    ]
    if faults:
        raise Refusal(*faults)


def _keys_with_password(value: Any, key: str = "") -> list[str]:
    """The dotted keys of all texts below a node that hold a password."""
    if isinstance(value, str):
        return [key] if _holds_password(value) else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, item in items for found in _keys_with_password(item, f"{key}.{name}".lstrip("."))]


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
    values = {key: value for key, value in recorded.items() if key in names}
    return cast(Config, validate(Config, values, ""))
