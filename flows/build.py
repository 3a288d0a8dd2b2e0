"""Building what a node of the configuration names, after checking it whole."""

from __future__ import annotations

import importlib
import inspect
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from flows.typed import SECRET_REFERENCE
from tasks.refusal import Refusal, did_you_mean

ALLOWED_TARGETS = ("tasks.", "torch.", "sklearn.", "optuna.", "lightgbm.", "flows.runner.")


def build(node: Mapping[str, Any], key: str, allow_packages: Iterable[str] = (), **given: Any) -> Any:
    """What a node's `_target_` makes of the node's other keys; `given` are arguments that the code adds.

    A dataclass is checked by pydantic against its own annotations, a library's callable by the names of its
    arguments. Secrets (`${oc.env:NAME}`) are resolved here and nowhere else.

    Raises:
        Refusal: for a `_target_` off the list, a misspelt key or a value of the wrong type; all faults at once.
    """
    target = _import_target(node, key, allow_packages)
    # A nested component (a crossover, an estimator) is built first, so that its faults carry its own key.
    values = {
        name: build(value, f"{key}.{name}", allow_packages) if _is_component(value) else _resolve_secret(value, key)
        for name, value in node.items()
        if name != "_target_"
    }
    values |= given
    faults = _unknown_arguments(target, values, key)
    if faults:
        raise Refusal(*faults)
    if is_dataclass(target):
        return validate(cast(type[Any], target), values, key)
    try:
        return target(**values)
    except (TypeError, ValueError) as error:
        raise Refusal(f"{key} can't be built as {node['_target_']}: {error}") from error


def validate(cls: type[Any], values: Mapping[str, Any], key: str) -> Any:
    """A dataclass made of the values, checked against its annotations; `key` stands before each fault.

    Raises:
        Refusal: all faults at once.
    """
    try:
        return TypeAdapter(cls).validate_python(dict(values))
    except ValidationError as error:
        raise Refusal(*(_explain(dict(fault), key) for fault in error.errors())) from None


def _explain(fault: dict[str, Any], prefix: str) -> str:
    key = ".".join([prefix, *(str(part) for part in fault["loc"])] if prefix else [str(part) for part in fault["loc"]])
    value, context = fault["input"], fault.get("ctx", {})
    limits = {
        "greater_than_equal": ("at least", "ge"),
        "greater_than": ("greater than", "gt"),
        "less_than_equal": ("at most", "le"),
        "less_than": ("less than", "lt"),
    }
    if value == "???":
        return f"{key} is needed: write {key}=..."
    if fault["type"] in limits:
        words, name = limits[fault["type"]]
        return f"{key} must be {words} {context[name]:g}, got {value!s}."
    if fault["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", context["expected"])
        return f"{key}={value!s}: not one of {', '.join(choices)}{did_you_mean(str(value), choices)}"
    wanted = {
        "int_parsing": "a whole number",
        "int_from_float": "a whole number",
        "int_type": "a whole number",
        "float_parsing": "a number",
        "float_type": "a number",
        "bool_parsing": "true or false",
        "string_type": "text",
        "list_type": "a list",
        "tuple_type": "a list",
    }
    return f"{key} must be {wanted.get(fault['type'], fault['msg'])}, got {value!r}."


def _is_component(value: object) -> bool:
    return isinstance(value, dict) and "_target_" in value


def _import_target(node: Mapping[str, Any], key: str, allow_packages: Iterable[str]) -> Any:
    path = str(node.get("_target_", ""))
    allowed = (*ALLOWED_TARGETS, *(f"{name.rstrip('.')}." for name in allow_packages))
    if not path.startswith(allowed):
        raise Refusal(
            f"{key}._target_={path} is not from {', '.join(a.rstrip('.') for a in allowed)}; "
            f"to allow a package of yours add allow_packages=[{path.partition('.')[0]}]."
        )
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise Refusal(f"{key}._target_={path} can't be imported: {error}") from error
    if isinstance(found, types.ModuleType) or not callable(found):
        raise Refusal(f"{key}._target_={path} is not callable.")
    return found


def _unknown_arguments(target: Any, values: Mapping[str, Any], key: str) -> list[str]:
    parameters = inspect.signature(target).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []
    return [
        f"there is no key {f'{key}.{name}'!r}{did_you_mean(name, parameters)} Known: {', '.join(parameters)}."
        for name in values
        if name not in parameters
    ]


def resolve(value: str, key: str) -> str:
    """The value with its `${oc.env:NAME}` filled in, at the moment of use.

    Raises:
        Refusal: when that environment variable is not set.
    """
    return str(_resolve_secret(value, key))


def _resolve_secret(value: Any, key: str) -> Any:
    if not (isinstance(value, str) and SECRET_REFERENCE in value):
        return value
    try:
        return OmegaConf.create({"value": value})["value"]
    except OmegaConfBaseException as error:
        raise Refusal(f"{key}: {value} names an environment variable that is not set; export it first.") from error
