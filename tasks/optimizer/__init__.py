"""How a net's parameters follow its gradient: one file per method by its textbook name, `torch.optim` underneath."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol, runtime_checkable

from pydantic import Field

if TYPE_CHECKING:
    import torch

Share = Annotated[float, Field(ge=0, lt=1)]  # of what was, in a running mean


@dataclass(frozen=True)
class Range:
    """Where a search starts, and within which range it looks."""

    start: Annotated[float, Field(gt=0)]
    low: Annotated[float, Field(gt=0)]
    high: Annotated[float, Field(gt=0)]


class Optimizer(Protocol):
    """A method. What suits it (learning rates and weight decays; rows per step, null where the model says how many;
    epochs) stands in its YAML, from which a family of nets takes it. One of a user's own whose steps don't move each
    number by its own gradients alone (a norm of all, a line search) says so by `is_elementwise = False`: folds are then
    trained one by one. One that says by `is_decay_apart` how `make` understands a weight decay, and whose steps are
    linear in its group's `lr`, can train trials together."""

    name: ClassVar[str]
    learning_rate: Range
    weight_decay: Range
    batch_size: int | None
    epochs: int

    def make(self, parameters: torch.Tensor, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
        """The method at work on a tensor of parameters. weight_decay: times the parameter is added to its gradient, or,
        where the method keeps the two apart, taken off the parameter itself."""
        ...


@runtime_checkable
class KnowsItsDecay(Protocol):
    """One that says whether a weight decay is taken off the parameter itself, apart from its gradient."""

    is_decay_apart: ClassVar[bool]
