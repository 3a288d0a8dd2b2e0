"""The absolute error: its cost is the mean absolute error, which the median of the target minimises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tasks.loss import Floats


@dataclass(frozen=True)
class MAE:
    """|prediction - y| of each row; a few rows that are far off weigh less than in the squared error."""

    name: ClassVar[str] = "mae"
    problems: ClassVar[frozenset[str]] = frozenset({"regression"})

    def per_sample(self, y: Floats, prediction: Floats) -> Floats:
        """(n,), in the target's unit."""
        return np.abs(prediction - y)

    def cost(self, y: Floats, prediction: Floats, weight: Floats | None = None) -> float:
        """The weighted mean, in the target's unit."""
        return float(np.average(self.per_sample(y, prediction), weights=weight))

    def gradient(self, y: Floats, raw: Floats) -> Floats:
        """(n,): -1 or 1; 0 where raw equals y, one of the subgradients there."""
        return np.sign(raw - y)
