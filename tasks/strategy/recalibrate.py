"""Scale and shift of what the base gives: a + b f(x) (for two classes Platt 1999, for more vector scaling with one
temperature, Guo et al. 2017, On Calibration of Modern Neural Networks)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import softmax

from tasks import model as models
from tasks.model import Fitted, Floats, Model, Training, writes
from tasks.refusal import Refusal
from tasks.strategy._on_predictions import OnPredictions

LEAST = 1e-12  # of a probability whose logarithm is taken
Cost = Callable[[Floats], float]  # of a prediction

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
        return self.of(self.base.predict(X))

    def of(self, prediction: Floats) -> Floats:
        """What it predicts where the base predicts that."""
        return scaled(prediction, self.scale, np.array(self.shift))

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
        if writes(family):
            raise Refusal(f"strategy=recalibrate: model={name} writes text, of which nothing is to be scaled; leave it "
                          "out.")  # fmt: skip
        return OnPredictions(_rescaled, Scaled.of)


def scaled(prediction: Floats, scale: float, shift: Floats) -> Floats:
    """(n,) or (n, n_classes), as the prediction is."""
    if prediction.ndim == 1:
        return np.asarray(shift[0] + scale * prediction)
    return np.asarray(softmax(shift + scale * np.log(np.maximum(prediction, LEAST)), axis=1))


def _rescaled(base: Fitted, prediction: Floats, y: Floats, weight: Floats | None, training: Training) -> Fitted:
    """The least cost in the loss that is trained on, less a pull towards no change: of the scale, and of the shifts of
    logarithms; a regression's level may move freely. The first class's shift is 0: a sum over all changes nothing."""
    total = len(y) if weight is None else float(np.sum(weight))
    find = _line if prediction.ndim == 1 else _logits
    scale, shift = find(prediction, y, lambda given: training.loss.cost(y, given, weight), PRIOR_ROWS / total)
    return Scaled(base, scale, shift)


def _line(prediction: Floats, y: Floats, cost: Cost, pull: float) -> tuple[float, tuple[float, ...]]:
    """Written around the middles of both, in units of the target's spread, so that scale and shift don't lean on each
    other and any unit will do."""
    middle, level, unit = float(np.mean(prediction)), float(np.mean(y)), float(np.std(y)) or 1.0
    usual = cost(np.full(len(y), level)) or 1.0

    def total(values: Floats) -> float:
        line = level + unit * values[1] + values[0] * (prediction - middle)
        return cost(line) / usual + pull * float((values[0] - 1) ** 2)

    scale, move = (float(value) for value in minimize(total, [1.0, 0.0], method="Powell").x)
    return scale, (level + unit * move - scale * middle,)


def _logits(prediction: Floats, y: Floats, cost: Cost, pull: float) -> tuple[float, tuple[float, ...]]:
    start = np.array([1.0, *np.zeros(prediction.shape[1] - 1)])

    def total(values: Floats) -> float:
        given = scaled(prediction, values[0], np.array([0.0, *values[1:]]))
        return cost(given) + pull * float(np.sum((values - start) ** 2))

    found = minimize(total, start, method="Powell").x
    return float(found[0]), (0.0, *(float(value) for value in found[1:]))
