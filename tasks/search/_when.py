"""Conditional spaces: `max_samples: {low: 0.3, high: 1.0, when: {kind: random}}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.refusal import did_you_mean


@dataclass(frozen=True)
class Condition:
    """For each of some other hyperparameters, the values beside which this one has an effect."""

    allowed: Mapping[str, Sequence[Any]]

    def holds(self, values: Mapping[str, Any]) -> bool:
        return all(values[key] in allowed for key, allowed in self.allowed.items())


def read_conditions(
    prefix: str, space: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Condition], list[str]]:
    """The space without its conditions (a conditional list is written {values: [...], when: ...}), the conditions,
    and the faults in them. prefix: what stands before a key where the user wrote it."""
    plain: dict[str, Any] = {}
    conditions: dict[str, Any] = {}
    for key, entry in space.items():
        plain[key] = entry
        if isinstance(entry, Mapping) and "when" in entry:
            rest = {name: value for name, value in entry.items() if name != "when"}
            plain[key] = rest["values"] if set(rest) == {"values"} else rest
            conditions[key] = entry["when"]
    faults = [
        fault
        for key, when in conditions.items()
        if (fault := _fault(f"{prefix}.{key}.when={when}", when, known, conditions))
    ]
    return plain, {} if faults else {key: _condition(when) for key, when in conditions.items()}, faults


def _condition(when: Mapping[str, Any]) -> Condition:
    return Condition({key: values if isinstance(values, list) else [values] for key, values in when.items()})


def _fault(where: str, when: Any, known: Mapping[str, Any], conditions: Mapping[str, Any]) -> str | None:
    if not isinstance(when, Mapping) or not when:
        return f"{where}: write {{KEY: VALUE}} or {{KEY: [VALUE, VALUE]}} of another hyperparameter."
    for key in when:
        if key not in known:
            return f"{where}: there is no hyperparameter {key!r}{did_you_mean(str(key), known)}"
        if key in conditions:
            return f"{where}: {key} is itself searched only under a condition; name one that always is."
    return None
