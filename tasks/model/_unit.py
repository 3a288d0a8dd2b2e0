"""What a net's outputs mean in the user's unit, and rows as what it is trained on and judged by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax

from tasks import metric as metrics
from tasks.model import Floats, Training
from tasks.model._batches import Rows
from tasks.model._epochs import Begins, Job, Score
from tasks.model._loss import row_losses
from tasks.model._net import Shape
from tasks.model._sides import Side
from tasks.records import Problem

LEAST_SHARE = 1e-6  # of a class that the training rows lack


@dataclass(frozen=True)
class Unit:
    """What a net's outputs mean: probabilities of `n_classes`, or (0) a number, scaled by `scale` around `center`.
    doubt: the share of each row's probability that all classes have alike."""

    n_classes: int
    center: float = 0.0
    scale: float = 1.0
    doubt: float = 0.0

    @classmethod
    def learn(cls, problem: Problem, y: Floats, weight: Floats | None) -> Unit:
        """Of a constant target the scale is 1."""
        if problem.is_classification:
            return cls.of_classes(len(problem.classes), len(y))
        center = float(np.average(y, weights=weight))
        return cls(0, center, float(np.sqrt(np.average((y - center) ** 2, weights=weight))) or 1.0)

    @classmethod
    def of_classes(cls, n_classes: int, n_rows: int) -> Unit:
        """With as much doubt as Laplace's rule of succession leaves after so many rows of one class. A net would be as
        sure as its numbers let it, and a search prefers the surest: on 142 rows of wine a fold's log-loss was 2e-16,
        and the holdout's .85, of one row in 36 (docs/log.md)."""
        return cls(n_classes, doubt=1 / (n_rows + n_classes))

    @property
    def n_outputs(self) -> int:
        return self.n_classes or 1

    def target(self, y: Floats) -> Floats:
        return y if self.n_classes else (y - self.center) / self.scale

    def bias(self, y: Floats, weight: Floats | None) -> torch.Tensor:
        """(n_outputs,) the logarithm of each class's share, so that training need not find it; 0 for a number."""
        if not self.n_classes:
            return torch.zeros(1, dtype=torch.float64)
        count = np.bincount(y.astype(np.int64), weight, self.n_classes)
        return torch.from_numpy(np.log(np.maximum(count / count.sum(), LEAST_SHARE)))

    def prediction(self, raw: torch.Tensor) -> Floats:
        """(n,) or (n, n_classes) from (n, n_outputs)."""
        values = raw.double().cpu().numpy()
        if self.n_classes:
            # torch.softmax wakes its threads up for a hundred rows: 5 ms on a busy machine.
            return np.asarray((1 - self.doubt) * softmax(values, axis=1) + self.doubt / self.n_classes)
        return np.asarray(values[:, 0] * self.scale + self.center, dtype=np.float64)


def tensors(side: Side, unit: Unit, device: torch.device) -> Rows:
    """float32 on the device; without weights every row counts once."""
    weight: npt.NDArray[Any] = np.ones(len(side.y)) if side.weight is None else side.weight
    y = unit.target(side.y).astype(np.float32)
    made = (torch.tensor(values, device=device) for values in (side.numbers, side.levels, y, weight.astype(np.float32)))
    return Rows(*made)


def job_of(
    shape: Shape, start: Begins, train: Side, valid: Side | None, unit: Unit, training: Training,
    place: torch.device,
) -> Job:
    """One net's training, judged by the metric and the cost on its validation rows where there are any."""
    job = Job(shape, start, row_losses(training.loss, unit.scale), tensors(train, unit, place))
    if valid is None:
        return job

    def score(raw: torch.Tensor) -> Score:
        prediction = unit.prediction(raw)
        return Score(
            metrics.value(training.metric, valid.y, prediction, valid.weight),
            training.loss.cost(valid.y, prediction, valid.weight),
        )

    return replace(job, valid=tensors(valid, unit, place), score=score)
