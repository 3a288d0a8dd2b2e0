"""What of a base net each strategy trains, and from which layer on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from tasks.model._learner import Group, Tuning
from tasks.model._net import Shape

UNFROZEN_BY = 0.5  # of the epochs: from then on `gradual` trains all layers; before, each has as many as the others


@dataclass(frozen=True)
class Way:
    """first: the layer below which all is frozen, so that what it takes is computed once, and what is trained is the
    net from there on; None: the whole net, rows as they are. tuning: in the names of that net."""

    first: int | None
    tuning: Tuning

    def shape(self, whole: Shape) -> Shape:
        """Of the net that is trained."""
        if self.first is None:
            return whole
        n_inputs = whole.parameters[f"weight.{self.first}"][0]
        return replace(
            whole, n_numbers=0, n_flags=n_inputs, n_categorical=0, n_levels=0, frequencies=0,
            layers=whole.layers - self.first,
        )

    def cut(self, net: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of the net that is trained, out of the whole one's."""
        return {self._inner(name): value for name, value in net.items() if self._inner(name)}

    def joined(self, net: Mapping[str, Tensor], trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The whole net with what was trained in its place."""
        return {name: trained[inner] if (inner := self._inner(name)) else value for name, value in net.items()}

    def _inner(self, name: str) -> str:
        """A parameter's name in the net that is trained; nothing for one below it."""
        if self.first is None:
            return name
        kind, _, layer = name.partition(".")
        return f"{kind}.{int(layer) - self.first}" if layer and int(layer) >= self.first else ""


def way(name: str, shape: Shape, given: Mapping[str, Any], n_epochs: int) -> Way:
    """The strategy of that name on a net of that shape. given: hyperparameters; n_epochs: the most of a fit.

    feature_extraction: the head. last_layers: the last `n_layers` hidden layers and the head. lora: the head, and an
    adapter of `rank` on every hidden layer's weights. full: everything, the learning rate `decay` times as large with
    each layer down (Howard and Ruder 2018, 3.2). gradual: the same, layers joining one by one (3.3 there); all are
    trained from half of the epochs on.
    """
    l2_sp, head = float(given.get("l2_sp", 0.0)), shape.layers
    if name == "feature_extraction":
        return Way(head, Tuning([Group(_layer(0))]))
    if name == "last_layers":
        n_layers = min(int(given["n_layers"]), head)
        return Way(head - n_layers, Tuning([Group(_layer(k)) for k in range(n_layers + 1)], 0, l2_sp))
    if name == "lora":
        return Way(0, Tuning([Group(_layer(head))], int(given["rank"]), l2_sp))
    groups = [_layer(k) for k in range(head, -1, -1)]
    below = tuple(name for name in shape.parameters if "." not in name)
    every = [*groups, below] if below else groups
    wait = UNFROZEN_BY * n_epochs / len(every) if name == "gradual" else 0.0
    decay = float(given["decay"])
    return Way(None, Tuning([Group(one, 1 + int(k * wait), decay**k) for k, one in enumerate(every)], 0, l2_sp))


def _layer(k: int) -> tuple[str, str]:
    return f"weight.{k}", f"bias.{k}"
