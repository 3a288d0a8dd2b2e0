"""One temperature for all classes (Guo et al. 2017, On Calibration of Modern Neural Networks)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from tasks.calibration import Floats, log_loss

LEAST = 1e-12  # of a probability whose logarithm is taken: a forest's may be 0


@dataclass(frozen=True)
class Scaling:
    """softmax(log(max(p, least)) / T): above 1 less sure, below 1 surer; no row's most probable class changes."""

    temperature: float
    least: float = LEAST

    n_parameters: ClassVar[int] = 1

    @property
    def described(self) -> str:
        return f"temperature {self.temperature:.3g}"

    def __call__(self, prediction: Floats) -> Floats:
        return np.asarray(softmax(np.log(np.maximum(prediction, self.least)) / self.temperature, axis=1))

    def as_json(self) -> dict[str, Any]:
        return {"kind": "temperature", "temperature": self.temperature, "least": self.least}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        return cls(float(kept["temperature"]), float(kept.get("least", LEAST)))


@dataclass(frozen=True)
class Temperature:
    """The one of least log-loss. largest: that is looked at, and its inverse the least."""

    name: ClassVar[str] = "temperature"
    largest: Annotated[float, Field(gt=1)]

    def fit(self, prediction: Floats, y: Floats, weight: Floats | None) -> Scaling:
        def cost(log_temperature: float) -> float:
            return log_loss(Scaling(float(np.exp(log_temperature)))(prediction), y, weight)

        end = float(np.log(self.largest))
        found = minimize_scalar(cost, bounds=(-end, end), method="bounded", options={"xatol": 1e-6})
        return Scaling(float(np.exp(found.x)))
