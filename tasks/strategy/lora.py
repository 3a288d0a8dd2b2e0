"""Low-rank adapters are trained beside frozen weights (Hu et al. 2021, LoRA) and merged in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tasks.model import Model
from tasks.strategy import within


@dataclass(frozen=True)
class LoRA:
    """What each family makes of it stands in the family's own file."""

    name: ClassVar[str] = "lora"
    uses_base: ClassVar[bool] = True
    uses_source: ClassVar[bool] = False
    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]

    def family(self, name: str, family: Model) -> Model:
        return within(self, name, family)
