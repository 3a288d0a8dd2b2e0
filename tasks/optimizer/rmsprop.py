"""RMSProp: steps divided by a running root mean square of each parameter's gradients (Hinton 2012, lecture 6e)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from tasks.optimizer import Range, Share

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class RMSProp:
    """s <- alpha s + (1 - alpha) g^2; v <- momentum v + g / (sqrt(s) + eps); p <- p - lr v."""

    name: ClassVar[str] = "rmsprop"
    is_decay_apart: ClassVar[bool] = False
    learning_rate: Range
    weight_decay: Range
    batch_size: Annotated[int, Field(ge=1)] | None
    epochs: Annotated[int, Field(ge=1)]
    alpha: Share
    momentum: Share
    eps: Annotated[float, Field(gt=0)]

    def make(self, parameters: torch.Tensor, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
        import torch

        return torch.optim.RMSprop(
            [parameters], lr=learning_rate, weight_decay=weight_decay, alpha=self.alpha, eps=self.eps,
            momentum=self.momentum,
        )
