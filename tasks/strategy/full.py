"""Every parameter is trained, from where the base left it: boosting continued, or all weights of a net."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tasks.model import Model
from tasks.strategy import within


@dataclass(frozen=True)
class Full:
    """What each family makes of it stands in the family's own file."""

    name: ClassVar[str] = "full"
    uses_base: ClassVar[bool] = True
    uses_source: ClassVar[bool] = False
    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]

    def family(self, name: str, family: Model) -> Model:
        return within(self, name, family)
