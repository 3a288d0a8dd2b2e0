"""The squared error: its cost is the mean squared error, which the mean of the target minimises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tasks.loss import Floats


@dataclass(frozen=True)
class MSE:
    """(prediction - y)^2 of each row; a row twice as far off counts four times."""

    name: ClassVar[str] = "mse"
    problems: ClassVar[frozenset[str]] = frozenset({"regression"})

    def per_sample(self, y: Floats, prediction: Floats) -> Floats:
        """(n,), in squared units of the target."""
        return np.square(prediction - y)

    def cost(self, y: Floats, prediction: Floats, weight: Floats | None = None) -> float:
        """The weighted mean, in squared units of the target."""
        return float(np.average(self.per_sample(y, prediction), weights=weight))

    def gradient(self, y: Floats, raw: Floats) -> Floats:
        """(n,): 2 (raw - y)."""
        return 2 * (raw - y)
