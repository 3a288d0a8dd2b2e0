"""The cross-entropy: minus the logarithm of the probability given to the true class, in nats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import softmax

from tasks.loss import Floats

EPS = np.finfo(np.float64).eps  # as in scikit-learn's log_loss: a probability of 0 costs 36 nats, not infinity


@dataclass(frozen=True)
class CrossEntropy:
    """-log p(true class) of each row, for two classes or more."""

    name: ClassVar[str] = "cross_entropy"
    problems: ClassVar[frozenset[str]] = frozenset({"binary", "multiclass"})

    def per_sample(self, y: Floats, prediction: Floats) -> Floats:
        """(n,), in nats; probabilities are clipped to [EPS, 1 - EPS]."""
        chosen = prediction[np.arange(len(y)), y.astype(np.int64)]
        return np.asarray(-np.log(np.clip(chosen, EPS, 1 - EPS)))

    def cost(self, y: Floats, prediction: Floats, weight: Floats | None = None) -> float:
        """The weighted mean, in nats."""
        return float(np.average(self.per_sample(y, prediction), weights=weight))

    def gradient(self, y: Floats, raw: Floats) -> Floats:
        """(n, k): softmax(raw) less 1 at the true class; raw: (n, k) logits."""
        slope = np.array(softmax(raw, axis=1))
        slope[np.arange(len(y)), y.astype(np.int64)] -= 1
        return slope
