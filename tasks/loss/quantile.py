"""The pinball loss (Koenker and Bassett 1978, Regression quantiles), which a quantile of the target minimises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tasks.loss import Floats
from tasks.metric import pinball


@dataclass(frozen=True)
class Quantile:
    """level (y - prediction) of each row where the prediction is too low, (1 - level) (prediction - y) where it is too
    high; at level .5 half the absolute error."""

    name: ClassVar[str] = "quantile"
    problems: ClassVar[frozenset[str]] = frozenset({"regression"})

    level: Annotated[float, Field(gt=0, lt=1)]

    @property
    def metric(self) -> str:
        """What `metric=auto` selects on: any other would prefer a model of the mean."""
        return f"pinball_{np.format_float_positional(self.level)}"

    def per_sample(self, y: Floats, prediction: Floats) -> Floats:
        """(n,), in the target's unit."""
        return pinball(self.level, y, prediction)

    def cost(self, y: Floats, prediction: Floats, weight: Floats | None = None) -> float:
        """The weighted mean, in the target's unit."""
        return float(np.average(self.per_sample(y, prediction), weights=weight))

    def gradient(self, y: Floats, raw: Floats) -> Floats:
        """(n,): -level or 1 - level; 0 where raw equals y, one of the subgradients there."""
        return np.where(raw > y, 1 - self.level, np.where(raw < y, -self.level, 0.0))
