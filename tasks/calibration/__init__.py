"""Calibration: how probabilities are made to be the shares that they say, one way a file, see `conf/calibration/`.

    n   rows        prediction  (n, k) float64 probabilities       weight  (n,) float64 at least 0, or None
    k   classes     y           (n,) float64 class codes 0..k-1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from tasks import metric as metrics

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


class Curve(Protocol):
    """A fitted map of probabilities to calibrated ones."""

    @property
    def n_parameters(self) -> int: ...

    @property
    def described(self) -> str:
        """In words, such as `temperature 1.3`."""
        ...

    def __call__(self, prediction: Floats) -> Floats:
        """(n, k) to (n, k); rows sum to one, and each depends on nothing but itself."""
        ...

    def as_json(self) -> dict[str, Any]: ...


class Calibration(Protocol):
    """A way to calibrate."""

    name: ClassVar[str]

    def fit(self, prediction: Floats, y: Floats, weight: Floats | None) -> Curve:
        """From predictions for rows that the model did not learn from. The same rows give the same curve."""
        ...


def crossed(
    calibration: Calibration, prediction: Floats, y: Floats, weight: Floats | None, parts: Sequence[Rows]
) -> Floats:
    """(n, k) each part of the rows by the curve of the others, which so tells what a curve is worth on new rows."""
    made = prediction.copy()
    for own in parts:
        others = np.ones(len(y), dtype=np.bool_)
        others[own] = False
        curve = calibration.fit(prediction[others], y[others], None if weight is None else weight[others])
        made[own] = curve(prediction[own])
    return made


def log_loss(prediction: Floats, y: Floats, weight: Floats | None) -> float:
    return metrics.value("log_loss", y, prediction, weight)
