"""The cross-entropy of each token of a response, given the prompt and the tokens before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tasks.loss import Floats


@dataclass(frozen=True)
class NextToken:
    """-log p(token) in nats. A prediction is (n, 2): a row's sum over the tokens of its response, and their number.

    A family computes the gradient by a token's logits itself, of which a row has as many as the vocabulary for each
    token; what stands here is the gradient of the row's loss by its sum."""

    name: ClassVar[str] = "next_token"
    problems: ClassVar[frozenset[str]] = frozenset({"generation"})

    def per_sample(self, y: Floats, prediction: Floats) -> Floats:
        """(n,) the mean over a row's tokens."""
        return np.asarray(prediction[:, 0] / prediction[:, 1])

    def cost(self, y: Floats, prediction: Floats, weight: Floats | None = None) -> float:
        """The mean over all tokens, each with its row's weight."""
        weight = np.ones(len(y)) if weight is None else weight
        return float(weight @ prediction[:, 0] / (weight @ prediction[:, 1]))

    def gradient(self, y: Floats, raw: Floats) -> Floats:
        """(n, 2): of a row's mean by its sum and by the number of its tokens."""
        return np.stack([1 / raw[:, 1], -raw[:, 0] / raw[:, 1] ** 2], axis=1)
