"""The focal loss (Lin et al. 2017, Focal loss for dense object detection, equation 4): cross-entropy in which rows that
are predicted well already count less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from scipy.special import log_softmax

from tasks.loss import Floats
from tasks.metric import EPS


@dataclass(frozen=True)
class Focal:
    """-(1 - p)^gamma log p of each row, with p the probability of its true class; gamma 0 is the cross-entropy.

    The paper's alpha, a weight for each class, is the root's `class_weight`. Departure: for any number of classes.
    Probabilities that minimise it are not the classes' shares: they are drawn towards 1/2, more so the larger gamma.
    """

    name: ClassVar[str] = "focal"
    problems: ClassVar[frozenset[str]] = frozenset({"binary", "multiclass"})

    gamma: Annotated[float, Field(ge=0)]

    def per_sample(self, y: Floats, prediction: Floats) -> Floats:
        """(n,), in nats; probabilities are clipped to [EPS, 1 - EPS]."""
        chosen = np.clip(prediction[np.arange(len(y)), y.astype(np.int64)], EPS, 1 - EPS)
        return np.asarray(-((1 - chosen) ** self.gamma) * np.log(chosen))

    def cost(self, y: Floats, prediction: Floats, weight: Floats | None = None) -> float:
        """The weighted mean, in nats."""
        return float(np.average(self.per_sample(y, prediction), weights=weight))

    def gradient(self, y: Floats, raw: Floats) -> Floats:
        """(n, k): a(p) (1[j is the true class] - p_j), with a(p) = p dloss/dp; raw: (n, k) logits."""
        log_p, towards = self._parts(y, raw)
        return np.asarray(self._steepness(log_p) * towards)

    def curvature(self, y: Floats, raw: Floats) -> Floats:
        """(n, k), at least 0: the second derivative of each row's loss by each of its logits, but for the part that is
        negative where the true class has a small probability (there the loss is concave, and a step by the whole
        second derivative would lead away). gamma 0: p_j (1 - p_j)."""
        log_p, towards = self._parts(y, raw)
        p, q = np.exp(log_p), _rest(log_p)
        others = np.exp(log_softmax(raw, axis=1))
        g = self.gamma
        slope = g * q ** (g - 1) * (log_p + 2) - g * (g - 1) * p * q ** (g - 2) * log_p  # da/dp
        convex = -self._steepness(log_p) * others * (1 - others)
        return np.asarray(convex + np.maximum(slope, 0) * p * towards**2)

    def _parts(self, y: Floats, raw: Floats) -> tuple[Floats, Floats]:
        """(n, 1) log p of the true class, and (n, k) 1[j is the true class] - p_j."""
        log_all = log_softmax(raw, axis=1)
        rows, codes = np.arange(len(y)), y.astype(np.int64)
        towards = -np.exp(log_all)
        towards[rows, codes] = -np.expm1(log_all[rows, codes])
        return log_all[rows, codes][:, None], towards

    def _steepness(self, log_p: Floats) -> Floats:
        """a(p) = gamma p (1 - p)^(gamma - 1) log p - (1 - p)^gamma, at most 0."""
        q, g = _rest(log_p), self.gamma
        return np.asarray(g * np.exp(log_p) * q ** (g - 1) * log_p - q**g)


def _rest(log_p: Floats) -> Floats:
    """1 - p without loss of digits, at least EPS: a power below 0 of it must stay finite."""
    return np.maximum(-np.expm1(log_p), EPS)
