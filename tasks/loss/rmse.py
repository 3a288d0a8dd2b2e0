"""The squared error with its cost in the target's unit: trains exactly as `mse`, and reports the root of the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tasks.loss import Floats


@dataclass(frozen=True)
class RMSE:
    """(prediction - y)^2 of each row, as in `mse`; only the cost differs, by a root.

    The root of a mean is not a mean of losses of rows, so it can't be trained on row by row; what minimises the mean
    minimises its root as well, so a model trained on `rmse` is the model trained on `mse`.
    """

    name: ClassVar[str] = "rmse"
    problems: ClassVar[frozenset[str]] = frozenset({"regression"})

    def per_sample(self, y: Floats, prediction: Floats) -> Floats:
        """(n,), in squared units of the target: the squared error."""
        return np.square(prediction - y)

    def cost(self, y: Floats, prediction: Floats, weight: Floats | None = None) -> float:
        """The root of the weighted mean, in the target's unit."""
        return float(np.sqrt(np.average(self.per_sample(y, prediction), weights=weight)))

    def gradient(self, y: Floats, raw: Floats) -> Floats:
        """(n,): 2 (raw - y), the gradient of the squared error, not of the root of its mean."""
        return 2 * (raw - y)
