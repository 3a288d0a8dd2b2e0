"""Huber's loss (Huber 1964, Robust estimation of a location parameter): squared where the error is small, straight
beyond."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from tasks.loss import Floats

SHARE_OF_SPREAD = 0.3  # see docs/log.md, "Losses"


@dataclass(frozen=True)
class Huber:
    """e^2 / 2 of each row where |e| <= delta, else delta (|e| - delta / 2), with e = prediction - y; delta: in the
    target's unit, or `auto` until `settled` has seen the target."""

    name: ClassVar[str] = "huber"
    problems: ClassVar[frozenset[str]] = frozenset({"regression"})

    delta: Annotated[float, Field(gt=0)] | Literal["auto"]

    def settled(self, y: Floats) -> Self:
        """With an `auto` decided: a share of the target's spread, half the distance between its quartiles; where these
        coincide, of its mean distance from the median."""
        if self.delta != "auto":
            return self
        low, middle, high = np.quantile(y, [0.25, 0.5, 0.75])
        spread = (high - low) / 2 or np.abs(y - middle).mean() or 1.0
        return replace(self, delta=float(f"{SHARE_OF_SPREAD * spread:.3g}"))  # a number that people can read

    def per_sample(self, y: Floats, prediction: Floats) -> Floats:
        """(n,), in squared units of the target."""
        delta, error = float(self.delta), np.abs(prediction - y)
        return np.asarray(np.where(error <= delta, error**2 / 2, delta * (error - delta / 2)))

    def cost(self, y: Floats, prediction: Floats, weight: Floats | None = None) -> float:
        """The weighted mean, in squared units of the target."""
        return float(np.average(self.per_sample(y, prediction), weights=weight))

    def gradient(self, y: Floats, raw: Floats) -> Floats:
        """(n,): the error, at most delta to either side."""
        return np.clip(raw - y, -float(self.delta), float(self.delta))
