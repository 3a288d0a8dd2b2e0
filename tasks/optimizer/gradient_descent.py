"""Gradient descent: one step along the gradient of the whole training set (Cauchy 1847)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from tasks.optimizer import Range

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class GradientDescent:
    """p <- p - lr (g + weight_decay p), with g the mean over all training rows."""

    name: ClassVar[str] = "gradient_descent"
    is_decay_apart: ClassVar[bool] = False
    learning_rate: Range
    weight_decay: Range
    batch_size: Annotated[int, Field(ge=1)] | None
    epochs: Annotated[int, Field(ge=1)]

    def make(self, parameters: torch.Tensor, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
        import torch

        return torch.optim.SGD([parameters], lr=learning_rate, weight_decay=weight_decay)
