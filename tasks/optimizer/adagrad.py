"""Adagrad: each parameter's steps shrink with the squares of all its gradients so far (Duchi et al. 2011)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from tasks.optimizer import Range

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Adagrad:
    """s <- s + g^2; p <- p - lr / (1 + t lr_decay) g / (sqrt(s) + eps), at step t."""

    name: ClassVar[str] = "adagrad"
    is_decay_apart: ClassVar[bool] = False
    learning_rate: Range
    weight_decay: Range
    batch_size: Annotated[int, Field(ge=1)] | None
    epochs: Annotated[int, Field(ge=1)]
    lr_decay: Annotated[float, Field(ge=0)]
    eps: Annotated[float, Field(gt=0)]

    def make(self, parameters: torch.Tensor, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adagrad(
            [parameters], lr=learning_rate, weight_decay=weight_decay, lr_decay=self.lr_decay, eps=self.eps,
            fused=parameters.device.type == "cpu",  # half the time of a step; there is none elsewhere
        )
