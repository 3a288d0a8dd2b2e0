"""Isotonic regression, each class against the rest (Zadrozny and Elkan 2002), by scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.isotonic import IsotonicRegression

from tasks.calibration import Floats


@dataclass(frozen=True)
class Pieces:
    """A piecewise linear curve per class, then normalised; of two classes one curve, of the second. x, y: of each curve
    the same length, x ascending; outside of x the ends go on."""

    x: tuple[tuple[float, ...], ...]
    y: tuple[tuple[float, ...], ...]

    @property
    def n_parameters(self) -> int:
        return sum(map(len, self.y))

    @property
    def described(self) -> str:
        return f"isotonic, {self.n_parameters:,} points"

    def __call__(self, prediction: Floats) -> Floats:
        if len(self.x) == 1:
            positive = np.interp(prediction[:, 1], self.x[0], self.y[0])
            return np.column_stack([1 - positive, positive])
        codes = range(len(self.x))
        found = np.column_stack([np.interp(prediction[:, code], self.x[code], self.y[code]) for code in codes])
        return np.asarray(found / found.sum(axis=1, keepdims=True))  # every y is above 0

    def as_json(self) -> dict[str, Any]:
        return {"kind": "isotonic", "x": self.x, "y": self.y}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        return cls(tuple(map(tuple, kept["x"])), tuple(map(tuple, kept["y"])))


@dataclass(frozen=True)
class Isotonic:
    """A departure from the source: a step of 0 or 1, which no finite number of rows shows and which would cost
    infinitely where it is wrong, becomes what half a row among those of the step would make of it."""

    name: ClassVar[str] = "isotonic"

    def fit(self, prediction: Floats, y: Floats, weight: Floats | None) -> Pieces:
        k = prediction.shape[1]
        counted = np.ones(len(y)) if weight is None else weight / weight.mean()
        curves = [_curve(prediction[:, code], y == code, counted) for code in ([1] if k == 2 else range(k))]
        return Pieces(tuple(tuple(x.tolist()) for x, _ in curves), tuple(tuple(y.tolist()) for _, y in curves))


def _curve(score: Floats, is_class: Any, counted: Floats) -> tuple[Floats, Floats]:
    regression = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    fitted = regression.fit(score.astype(np.float64), is_class.astype(np.float64), sample_weight=counted)
    x, y = np.asarray(fitted.X_thresholds_, np.float64), np.asarray(fitted.y_thresholds_, np.float64)
    inner = y[(y > 0) & (y < 1)]
    low, high = (inner.min(), inner.max()) if len(inner) else (0.5, 0.5)
    n_zero = counted[score <= x[y == 0].max(initial=-np.inf)].sum()
    n_one = counted[score >= x[y == 1].min(initial=np.inf)].sum()
    least, most = min(low, 0.5 / (n_zero + 1)), max(high, 1 - 0.5 / (n_one + 1))
    return x, np.where(y == 0, least, np.where(y == 1, most, y))
