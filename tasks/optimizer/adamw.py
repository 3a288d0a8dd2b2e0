"""Adam with a weight decay of its own, apart from the gradient (Loshchilov and Hutter 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from tasks.optimizer import Range, Share

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class AdamW:
    """Algorithm 2 there: p <- p (1 - lr weight_decay), then Adam's step."""

    name: ClassVar[str] = "adamw"
    is_decay_apart: ClassVar[bool] = True
    learning_rate: Range
    weight_decay: Range
    batch_size: Annotated[int, Field(ge=1)] | None
    epochs: Annotated[int, Field(ge=1)]
    beta1: Share
    beta2: Share
    eps: Annotated[float, Field(gt=0)]

    def make(self, parameters: torch.Tensor, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
        import torch

        return torch.optim.AdamW(
            [parameters], lr=learning_rate, weight_decay=weight_decay, betas=(self.beta1, self.beta2), eps=self.eps,
            fused=True,  # half the time of a step
        )
