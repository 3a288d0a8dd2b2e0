"""The base's body stays as it is and gives features; only a head on them is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tasks.model import Model
from tasks.strategy import within


@dataclass(frozen=True)
class FeatureExtraction:
    """What each family makes of it stands in the family's own file."""

    name: ClassVar[str] = "feature_extraction"
    uses_base: ClassVar[bool] = True
    uses_source: ClassVar[bool] = False
    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]

    def family(self, name: str, family: Model) -> Model:
        return within(self, name, family)
