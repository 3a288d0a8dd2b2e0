"""Mini-batches with momentum (Polyak 1964), or with Nesterov's (1983)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from tasks.optimizer import Range, Share

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Momentum:
    """v <- momentum v + g; p <- p - lr v, or with nesterov p <- p - lr (g + momentum v), as torch.optim.SGD has it."""

    name: ClassVar[str] = "momentum"
    is_decay_apart: ClassVar[bool] = False
    learning_rate: Range
    weight_decay: Range
    batch_size: Annotated[int, Field(ge=1)] | None
    epochs: Annotated[int, Field(ge=1)]
    momentum: Annotated[Share, Field(gt=0)]
    nesterov: bool

    def make(self, parameters: torch.Tensor, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
        import torch

        return torch.optim.SGD(
            [parameters], lr=learning_rate, weight_decay=weight_decay, momentum=self.momentum,
            nesterov=self.nesterov,
        )
