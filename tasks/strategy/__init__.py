"""Strategies of fine-tuning: what of a base stays, and what is trained; one file each, found from `conf/strategy/`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol

from tasks.model import Model
from tasks.model._going_on import GoesOn, Knobs
from tasks.model._going_on import rehearsal_in as rehearsal_in
from tasks.refusal import Refusal

WITHOUT_A_FAMILY = ("as_is", "from_scratch", "pooled", "recalibrate")  # what any family can do
# What it predicts, or rows that it was trained on: also of a family that brings a pre-trained body along.
NEED_A_BASE = ("as_is", "pooled", "recalibrate")


class Strategy(Protocol):
    """A way to go on from a base. Its hyperparameters are searched beside the family's; null: searched within `space`,
    else taken from `start`.

    uses_base: whether it starts from the base's parameters. uses_source: whether it trains on the base's rows too.
    One that learns classes and levels that the base doesn't know says so by `takes_new_classes` and `takes_new_levels`;
    of the ways of a family, the family that goes on says it.
    """

    name: ClassVar[str]
    uses_base: ClassVar[bool]
    uses_source: ClassVar[bool]

    @property
    def hyperparameters(self) -> Mapping[str, Any]: ...
    @property
    def start(self) -> Mapping[str, Any]: ...
    @property
    def space(self) -> Mapping[str, Any]: ...
    @property
    def grid(self) -> Mapping[str, Any]: ...

    def family(self, name: str, family: Model) -> Model:
        """The family, as it goes on from a base by this strategy.

        Raises:
            Refusal: where it can't, with what it can.
        """
        ...


def within(strategy: Strategy, name: str, family: Model) -> Model:
    """The family going on in a way of its own.

    Raises:
        Refusal: where it has no such way.
    """
    if not isinstance(family, GoesOn) or strategy.name not in family.ways:
        ways = sorted({*WITHOUT_A_FAMILY, *(family.ways if isinstance(family, GoesOn) else ())})
        raise Refusal(f"strategy={strategy.name}: model={name} can't do that; it can {', '.join(ways)}.")
    return family.going_on(strategy.name, knobs(strategy))


def trains_on_source(strategy: Strategy | None, families: Iterable[Model]) -> bool:
    """Whether rows of the base's source are among those that the families train on, as they go on by the strategy."""
    return strategy is not None and (strategy.uses_source or any(rehearsal_in(one.hyperparameters) for one in families))


def knobs(strategy: Strategy) -> Knobs:
    return Knobs(strategy.hyperparameters, strategy.start, strategy.space, strategy.grid)
