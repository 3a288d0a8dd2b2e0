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
        return self.derivatives(y, raw)[0]

    def derivatives(self, y: Floats, raw: Floats) -> tuple[Floats, Floats]:
        """The gradient, and (n, k), at least 0: the second derivative of each row's loss by each of its logits, but for
        the part that is negative where the true class has a small probability (there the loss is concave, and a step
        by the whole second derivative would lead away). gamma 0: p_j (1 - p_j)."""
        g, rows, codes = self.gamma, np.arange(len(y)), y.astype(np.int64)
        log_all = log_softmax(raw, axis=1)
        all_p = np.exp(log_all)
        p, log_p = all_p[rows, codes], log_all[rows, codes]
        q = np.maximum(-np.expm1(log_p), EPS)  # 1 - p without loss of digits; a power below 0 of it must stay finite
        power = q ** (g - 1)
        steepness = power * (g * p * log_p - q)  # a(p), at most 0
        slope = g * power * (log_p + 2 - (g - 1) * p / q * log_p)  # da/dp
        towards = -all_p
        towards[rows, codes] = q
        convex = -steepness[:, None] * all_p * (1 - all_p)
        return steepness[:, None] * towards, convex + (np.maximum(slope, 0) * p)[:, None] * towards**2
