"""What a model is trained on: one file per loss, its value per row, its cost over rows and its gradient."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tasks.refusal import Refusal

Floats = NDArray[np.float64]


class Loss(Protocol):
    """The loss of each row, and what it comes to over all rows.

    y           (n,) float64; class codes 0..k-1, or the target
    prediction  (n, k) float64 class probabilities, or (n,) float64 for regression
    raw         what a model gives before it becomes a prediction: (n, k) logits, or for regression the prediction
    """

    name: ClassVar[str]  # what a family keys its own version by; a loss's parameters are its other fields
    problems: ClassVar[frozenset[str]]

    def per_sample(self, y: Floats, prediction: Floats) -> Floats:
        """The loss of each row: (n,), at least 0."""
        ...

    def cost(self, y: Floats, prediction: Floats, weight: Floats | None = None) -> float:
        """The weighted mean of the losses (for RMSE its root); weight: (n,), at least 0, None for equal weights."""
        ...

    def gradient(self, y: Floats, raw: Floats) -> Floats:
        """The derivative of each row's loss by that row's raw score, in the shape of `raw`."""
        ...


@runtime_checkable
class Curved(Loss, Protocol):
    """A loss that also knows its second derivative, which boosting with a loss of one's own needs."""

    def derivatives(self, y: Floats, raw: Floats) -> tuple[Floats, Floats]:
        """The gradient, and the second derivative of each row's loss by each of its raw scores, at least 0; both in
        the shape of `raw`."""
        ...


def choose(problem: str) -> str:
    """The loss that `loss=auto` trains on: the choice's name."""
    return {"regression": "mse", "generation": "next_token"}.get(problem, "cross_entropy")


def check(loss: Loss, problem: str) -> None:
    """Nothing where the problem can be trained on the loss.

    Raises:
        Refusal: the loss is for another kind of problem.
    """
    if problem not in loss.problems:
        kinds = " and ".join(sorted(loss.problems))
        remedy = f"choose loss=auto or loss={choose(problem)}"
        raise Refusal(f"loss={loss.name} is for {kinds}; this is a {problem} problem; {remedy}.")
