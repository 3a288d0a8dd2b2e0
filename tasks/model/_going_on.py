"""What a family can do with a base: the contract between families and strategies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tasks.model import Model
from tasks.records import Problem
from tasks.refusal import Refusal
from tasks.source_rows import SourceRows, source_rows

LIMITS = {  # of a strategy's knobs: the least, whether it may be that, and what it must be below
    "step": (0.0, False, inf), "decay": (0.0, False, inf), "n_layers": (0, True, inf), "rank": (1, True, inf),
    "l2_sp": (0.0, True, inf), "rehearsal": (0.0, True, 1.0), "words": (1, True, inf), "letters": (0, True, inf),
}


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


def out_of_limits(hyperparameters: Mapping[str, Any]) -> list[str]:
    """A fault for each knob that is fixed at a value that it can't have."""
    faults = []
    for key, value in hyperparameters.items():
        if key not in LIMITS or not isinstance(value, int | float):
            continue
        least, may_be_least, below = LIMITS[key]
        if not (least <= value < below and (may_be_least or value > least)):
            bounds = f"{'at least' if may_be_least else 'above'} {least:g}"
            bounds += "" if below == inf else f" and below {below:g}"
            faults.append(f"strategy.hyperparameters.{key} must be {bounds}, got {value}.")
    return faults


def rehearsal_in(hyperparameters: Mapping[str, Any]) -> str:
    """What asks for rows of the base's source in the batches, as it is typed; '' where nothing does."""
    share = hyperparameters.get("rehearsal", 0.0)
    return "" if share == 0 else f"strategy.hyperparameters.rehearsal={'null' if share is None else share}"


def rehearsed(hyperparameters: Mapping[str, Any], base: Path, problem: Problem) -> SourceRows | None:
    """The rows that the base was trained on, where they are rehearsed.

    Raises:
        Refusal: where it keeps none.
    """
    asked = rehearsal_in(hyperparameters)
    try:
        return source_rows(base, "train", problem) if asked else None
    except Refusal as refusal:
        raise Refusal(*(f"{asked}: {fault}" for fault in refusal.faults)) from None
