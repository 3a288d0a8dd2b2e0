"""Overrides: `KEY=VALUE` read by Hydra's own parser, each put where its key is, so that all faults are found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from flows.typed import is_typed_as_is, read_typed_value
from tasks.refusal import Refusal, did_you_mean

KNOBS = "strategy.hyperparameters."
SPACE = re.compile(r"model\.[^.]+\.space(\..+)?")


def key_of(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def knob_of(override: str) -> str:
    """The hyperparameter of a strategy that is given a value; '' where it is none's."""
    key = key_of(override)
    return key.removeprefix(KNOBS) if key.startswith(KNOBS) else ""


def apply(node: DictConfig, text: str) -> str | None:
    """Puts one value where its key is; a fault where there is no such key or the value can't be parsed.

    Hydra would merge a mapping into a mapping and refuse a list in its place; a search space is replaced as a
    whole instead, so that `space.num_leaves=[15,31]` takes the place of a range.
    """
    key = key_of(text)
    is_space = bool(SPACE.fullmatch(key))
    if not is_known(node, key):
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
        raise HydraException(
            f"several values for {override.key_or_group} need `finefold compare` or `finefold run --multirun`"
        )
    return override


def is_known(node: DictConfig, key: str) -> bool:
    """Whether a value may be put there; a hyperparameter that its family searches nowhere may be added to its space."""
    return _exists(node, key) or (bool(SPACE.fullmatch(key)) and _exists(node, key.rpartition(".")[0]))


def _exists(node: DictConfig, key: str) -> bool:
    """Whether the key is there; one whose value is still `???` is, though `in` says it is not."""
    *parents, last = key.split(".")
    for parent in parents:
        if not isinstance(node, DictConfig) or parent not in node.keys():  # noqa: SIM118  # see above
            return False
        node = node._get_node(parent)  # type: ignore[assignment]  # its type also allows lists; the next turn looks
    return isinstance(node, DictConfig) and last in node.keys()  # noqa: SIM118  # see above


def _known_keys(node: DictConfig, prefix: str = "") -> list[str]:
    keys = []
    for name in map(str, node):
        keys.append(f"{prefix}{name}")
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none():
            keys += _known_keys(child, f"{prefix}{name}.")
    return keys


def sweep(overrides: Sequence[str]) -> dict[str, list[str]]:
    """The override lists that several values stand for, by what tells them apart: `seed=1,2 model=linear,forest` are
    four, the first one `seed=1 model=linear`. Without several values there is one, whose name is empty.

    Raises:
        Refusal: for an override that can't be parsed, or that names a value twice.
    """
    combinations: list[tuple[list[str], list[str]]] = [([], [])]
    for text in overrides:
        values = sweep_values(text)
        if twice := [value for value, n in Counter(values).items() if n > 1]:
            raise Refusal(f"{text} names {', '.join(twice)} twice; name each once.")
        combinations = [
            ([*name, value] if len(values) > 1 else name, [*before, value])
            for name, before in combinations
            for value in values
        ]
    return {" ".join(name): made for name, made in combinations}


def varied(overrides: Sequence[str]) -> list[str]:
    """The overrides that give several values, as they were typed."""
    return [text for text in overrides if len(sweep_values(text)) > 1]


def sweep_values(text: str) -> list[str]:
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
