"""What a family can do with a base: the contract between families and strategies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from tasks.model import Model


@dataclass(frozen=True)
class Knobs:
    """Hyperparameters of a strategy, which are searched beside those of the family; fields as in `Model`."""

    hyperparameters: Mapping[str, Any]
    start: Mapping[str, Any]
    space: Mapping[str, Any]
    grid: Mapping[str, Any]


@runtime_checkable
class GoesOn(Protocol):
    """A family that can go on from a model of its own kind. ways: the names of the strategies that it knows itself;
    `as_is`, `recalibrate` and `pooled` need nothing of a family."""

    ways: Sequence[str]

    def going_on(self, way: str, knobs: Knobs) -> Model:
        """The family as it goes on in one of its ways: from the base that `workspace` is given. What it needs to know
        of the strategy lies in the knobs, and comes back to it among the hyperparameters of a trial."""
        ...
