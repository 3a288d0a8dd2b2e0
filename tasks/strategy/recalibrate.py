"""Scale and shift of what the base gives: a + b f(x) (for two classes Platt 1999, for more vector scaling with one
temperature, Guo et al. 2017, On Calibration of Modern Neural Networks)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import softmax

from tasks import model as models
from tasks.model import Fitted, Floats, Model, Training
from tasks.strategy._on_predictions import OnPredictions

LEAST = 1e-12  # of a probability whose logarithm is taken
PRIOR_ROWS = 1.0  # rows' worth of pull towards no change: classes told apart cleanly would scale without end


@dataclass(frozen=True)
class Scaled:
    """a + b f(x): of a regression's prediction, or of the logarithms of a base's probabilities before they are
    normalised. shift: (1,) or (n_classes,)."""

    base: Fitted
    scale: float
    shift: tuple[float, ...]

    @property
    def packages(self) -> tuple[str, ...]:
        return models.packages(self.base)

    @property
    def n_parameters(self) -> int:
        return self.base.n_parameters + self.n_trained

    @property
    def n_frozen(self) -> int:
        return self.base.n_parameters

    @property
    def n_trained(self) -> int:
        return 1 + max(1, len(self.shift) - 1)

    def predict(self, X: pd.DataFrame) -> Floats:
        return scaled(self.base.predict(X), self.scale, np.array(self.shift))

    def importance(self) -> dict[str, float]:
        return self.base.importance()

    def save(self, folder: Path) -> None:
        models.save(self.base, folder / "base")
        (folder / "scale.json").write_text(json.dumps({"scale": self.scale, "shift": self.shift}))

    @classmethod
    def load(cls, folder: Path) -> Scaled:
        kept = json.loads((folder / "scale.json").read_text())
        return cls(models.load(folder / "base"), float(kept["scale"]), tuple(kept["shift"]))


@dataclass(frozen=True)
class Recalibrate:
    """As many numbers as there are classes, or two; a base of any family will do."""

    name: ClassVar[str] = "recalibrate"
    uses_base: ClassVar[bool] = True
    uses_source: ClassVar[bool] = False
    hyperparameters: dict[str, Any]
    start: dict[str, Any]
    space: dict[str, Any]
    grid: dict[str, Any]

    def family(self, name: str, family: Model) -> Model:
        return OnPredictions(_rescaled)


def scaled(prediction: Floats, scale: float, shift: Floats) -> Floats:
    """(n,) or (n, n_classes), as the prediction is."""
    if prediction.ndim == 1:
        return np.asarray(shift[0] + scale * prediction)
    return np.asarray(softmax(shift + scale * np.log(np.maximum(prediction, LEAST)), axis=1))


def _rescaled(base: Fitted, prediction: Floats, y: Floats, weight: Floats | None, training: Training) -> Fitted:
    """The least cost in the loss that is trained on; a regression is fitted in units of its own spread. The first
    class's shift is 0: a sum over all classes changes nothing."""
    is_regression = prediction.ndim == 1
    center, unit = (_center_and_unit(prediction, y)) if is_regression else (0.0, 1.0)
    total = len(y) if weight is None else float(np.sum(weight))

    def parts(values: Floats) -> tuple[float, Floats]:
        scale = values[0]
        if is_regression:  # a + b f, written around the middle so that the two don't lean on each other
            return scale, np.array([center + unit * values[1] - scale * center])
        return scale, np.concatenate([[0.0], values[1:]])

    def cost(values: Floats) -> float:
        own = training.loss.cost(y, scaled(prediction, *parts(values)), weight)
        own = own / (first or 1.0)
        return float(own + PRIOR_ROWS / total * np.sum((values - start) ** 2))

    n_shifts = 1 if is_regression else prediction.shape[1] - 1
    start = np.array([1.0, *np.zeros(n_shifts)])
    first = training.loss.cost(y, prediction, weight)
    found = minimize(cost, start, method="Powell")
    best = found.x if found.fun < cost(start) else start
    scale, shift = parts(np.asarray(best, dtype=np.float64))
    return Scaled(base, float(scale), tuple(float(one) for one in shift))


def _center_and_unit(prediction: Floats, y: Floats) -> tuple[float, float]:
    return float(np.mean(prediction)), float(np.std(y)) or 1.0
