"""Adam: momentum over a running root mean square of the gradients, corrected at the start (Kingma and Ba 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from tasks.optimizer import Range, Share

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Adam:
    """Algorithm 1 there; weight_decay is added to the gradient."""

    name: ClassVar[str] = "adam"
    is_decay_apart: ClassVar[bool] = False
    learning_rate: Range
    weight_decay: Range
    batch_size: Annotated[int, Field(ge=1)] | None
    epochs: Annotated[int, Field(ge=1)]
    beta1: Share
    beta2: Share
    eps: Annotated[float, Field(gt=0)]

    def make(self, parameters: torch.Tensor, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adam(
            [parameters], lr=learning_rate, weight_decay=weight_decay, betas=(self.beta1, self.beta2), eps=self.eps,
            fused=True,  # half the time of a step
        )
