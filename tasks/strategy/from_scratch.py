"""A new model of the target rows alone: what a base must beat to be worth anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tasks.model import Model
from tasks.model._going_on import GoesOn
from tasks.strategy import knobs


@dataclass(frozen=True)
class FromScratch:
    """The family as it is without a base, unless it has a way of its own to begin from nothing."""

    name: ClassVar[str] = "from_scratch"
    takes_new_classes: ClassVar[bool] = True
    takes_new_levels: ClassVar[bool] = True
    uses_base: ClassVar[bool] = False
    uses_source: ClassVar[bool] = False
    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]

    def family(self, name: str, family: Model) -> Model:
        if isinstance(family, GoesOn) and self.name in family.ways:
            return family.going_on(self.name, knobs(self))
        return family
