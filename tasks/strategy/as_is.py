"""The base unchanged: what fine-tuning must beat to be worth anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tasks.model import Fitted, Floats, Model, Training, writes
from tasks.strategy._on_predictions import OnPredictions


@dataclass(frozen=True)
class AsIs:
    """Nothing is trained; a base of any family will do."""

    name: ClassVar[str] = "as_is"
    uses_base: ClassVar[bool] = True
    uses_source: ClassVar[bool] = False
    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]

    def family(self, name: str, family: Model) -> Model:
        return OnPredictions(
            _unchanged, lambda base, prediction: prediction, generates=writes(family), is_its_base=True
        )


def _unchanged(base: Fitted, prediction: Floats, y: Floats, weight: Floats | None, training: Training) -> Fitted:
    return base
