"""Searches: how the next hyperparameters are proposed from the trials so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from tasks.records import Proposal
from tasks.refusal import Refusal, did_you_mean

FAMILY = "model"


@dataclass(frozen=True)
class FamilySpace:
    """What is searched of one family of models: a distribution per free hyperparameter, the values of all others,
    where the search starts (what it proposes lies inside the space, the start itself need not), and the family's own
    short grid."""

    free: Mapping[str, BaseDistribution]
    fixed: Mapping[str, Any]
    start: Mapping[str, Any]
    grid: Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Space:
    """The families side by side. In a study their hyperparameters are named `family.name`; of one family, `name`."""

    families: Mapping[str, FamilySpace]

    def name(self, family: str, hyperparameter: str) -> str:
        return hyperparameter if len(self.families) == 1 else f"{family}.{hyperparameter}"

    def distributions(self, family: str) -> dict[str, BaseDistribution]:
        return {self.name(family, key): value for key, value in self.families[family].free.items()}

    def start(self, number: int) -> dict[str, Any] | None:
        """The parameters of a study's first trials: each family once, from settings that are known to be good."""
        names = list(self.families)
        if number >= len(names):
            return None
        family = names[number]
        space = self.families[family]
        params = {self.name(family, key): _inside(value, space.start.get(key)) for key, value in space.free.items()}
        return params if len(names) == 1 else {FAMILY: family, **params}

    def proposal(self, trial: FrozenTrial) -> Proposal:
        """The family and all its hyperparameters, the free and the fixed, that a study's trial stands for."""
        names = list(self.families)
        family = names[0] if len(names) == 1 else str(trial.params[FAMILY])
        space = self.families[family]
        free = {
            key: trial.params[self.name(family, key)] for key in space.free if self.name(family, key) in trial.params
        }
        return Proposal(trial.number, family, {**space.fixed, **space.start, **free})


class Search(Protocol):
    """A way to search. It keeps nothing between calls: what it proposes follows from its arguments alone."""

    def ask(
        self, space: Space, view: Sequence[FrozenTrial], seed: int, *, is_higher_better: bool
    ) -> FrozenTrial | None:
        """Trial number len(view), running, with its parameters; None where there is nothing left to try.

        view: all earlier trials in order; those still out are shown as running, whatever has come of them since.
        """
        ...

    def n_trials(self, space: Space, requested: int) -> int:
        """How many trials this search makes of a budget.

        Raises:
            Refusal: when the budget is too small for a search that must visit every point.
        """
        ...


def family_space(
    name: str,
    hyperparameters: Mapping[str, Any],
    start: Mapping[str, Any],
    space: Mapping[str, Any],
    grid: Mapping[str, Any],
) -> FamilySpace:
    """The space of a family from its YAML, as overridden by the user.

    Raises:
        Refusal: for a hyperparameter the family doesn't have, or a range that is none; all faults at once.
    """
    faults, free = [], {}
    for key, entry in space.items():
        if key not in hyperparameters:
            faults.append(
                f"model.{name}.space.{key}: {name} has no such hyperparameter{did_you_mean(key, hyperparameters)}"
            )
        elif entry is not None and hyperparameters[key] is None:
            try:
                free[key] = _distribution(entry, start.get(key))
            except (TypeError, ValueError, KeyError) as error:
                faults.append(
                    f"model.{name}.space.{key}={entry}: {error}; write {{low: 1, high: 100, log: true}} or a list."
                )
    faults += [
        f"model.{name}.hyperparameters.{key} must be a number, got {value!r}."
        for key, value in hyperparameters.items()
        if _is_number(start.get(key)) and value is not None and not _is_number(value)
    ]
    lacking = [key for key, value in hyperparameters.items() if value is None and key not in free and key not in start]
    faults += [f"model.{name}.hyperparameters.{key} has neither a value, nor a space, nor a start." for key in lacking]
    if faults:
        raise Refusal(*faults)
    fixed = {key: start[key] if value is None else value for key, value in hyperparameters.items() if key not in free}
    return FamilySpace(
        free,
        fixed,
        {key: start.get(key, _inside(value, None)) for key, value in free.items()},
        {key: values for key, values in grid.items() if key in free},
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _distribution(entry: Any, start: Any) -> BaseDistribution:
    if isinstance(entry, list):
        if not entry:
            raise ValueError("an empty list")
        return CategoricalDistribution(entry)
    unknown = set(entry) - {"low", "high", "log", "step"}
    if unknown:
        raise ValueError(f"unknown {', '.join(sorted(unknown))}")
    low, high, log, step = entry["low"], entry["high"], bool(entry.get("log", False)), entry.get("step")
    if not low < high:
        raise ValueError("low must be below high")
    if log and low <= 0:
        raise ValueError("a logarithmic range must begin above 0")
    if isinstance(low, int) and isinstance(high, int) and not isinstance(start, float):
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(float(low), float(high), log=log, step=step)


def _inside(distribution: BaseDistribution, value: Any) -> Any:
    """The value, or what lies nearest to it in the distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return value if value in distribution.choices else distribution.choices[0]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    nearest = distribution.low if value is None else min(max(value, distribution.low), distribution.high)
    return int(nearest) if isinstance(distribution, IntDistribution) else float(nearest)
