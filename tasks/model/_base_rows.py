"""Training rows as a base net sees them: encoded once for all folds and trials, and so is what its layers make of
them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.model import Floats, Rows, Training, own_files
from tasks.model._device import one_thread
from tasks.model._encode import relative
from tasks.model._epochs import CHUNK
from tasks.model._inputs import Indices, Singles
from tasks.model._kept import Kept
from tasks.model._net import Shape, inputs, through
from tasks.model._new_classes import NEW, bias_of_new, places_of
from tasks.model._sides import Encoded, Side, Sizes
from tasks.model._unit import Unit
from tasks.model.mlp import Fitted
from tasks.source_rows import SourceRows


@dataclass(frozen=True)
class FromBase:
    """net: what a net begins as."""

    net: Mapping[str, Tensor]

    def parameters(self, shape: Shape, generator: torch.Generator) -> dict[str, Tensor]:
        return {name: self.net[name] for name in shape.parameters}


@dataclass(frozen=True)
class BaseRows:
    """The workspace of a family that goes on from a base net. What the base learned of its rows (scaling, levels, the
    unit of a target) stays as it is, so that nothing is learned of a fold: a level that is new shares the vector of
    unseen levels.

    numbers (n, N + F), levels (n, C): all training rows. places: see `places_of`. source: the rows that the base was
    trained on, where they are rehearsed.
    """

    training: Training
    base: Fitted
    unit: Unit
    places: tuple[int, ...]
    numbers: Singles
    levels: Indices
    source: Side | None
    sizes: Sizes
    kept: Kept[Singles] = field(default_factory=lambda: Kept(lambda values: values.nbytes))

    @classmethod
    def read(cls, training: Training, base: Path, source: SourceRows | None) -> BaseRows:
        fitted, problem = Fitted.load(own_files(base)), training.problem
        encoded = [fitted.inputs.encode(X) for X in training.batches()]
        numbers, levels = (np.concatenate(parts) for parts in zip(*encoded, strict=True))
        unit = replace(fitted.unit, n_classes=len(problem.classes))
        beside = None if source is None else _encoded(fitted, source)
        return cls(training, fitted, unit, places_of(base, problem), numbers, levels, beside, Sizes(training))

    def of_net(self, k: int) -> BaseRows:
        """With that net of the base's in the place of its first; after its last one begins anew."""
        place = k % len(self.base.nets)
        base = replace(self.base, net=self.base.nets[place], others=())
        return replace(self, base=base, kept=type(self.kept)(lambda values: values.nbytes)) if place else self

    @property
    def shape(self) -> Shape:
        """The base's, with an output for every class."""
        return replace(self.base.shape, n_outputs=self.unit.n_outputs)

    def fold(self, fold: int, n_rows: int | None, first: int | None) -> Encoded:
        """What the layer `first` takes of a fold's rows; None: the rows as they are encoded."""
        train, valid = self.training.fold(fold, n_rows)
        weight = None if self.training.weight is None else self.training.weight[valid]
        return Encoded(self.base.inputs, self.train(train, first), self._side(valid, weight, first))

    def train(self, rows: Rows, first: int | None) -> Side:
        return self._side(rows, relative(self.training.fit_weight(rows)), first)

    def rehearsed(self, first: int | None) -> Side:
        """The source's rows, as `fold` gives those of the target."""
        assert self.source is not None
        if first is None:
            return self.source
        return replace(self.source, numbers=self._made(first, is_source=True), levels=_none(len(self.source.y)))

    def net(self, rows: Rows) -> dict[str, Tensor]:
        """What a net on these rows begins as: the base's parameters. The output of a class that the base doesn't know
        begins without weights, at a bias by which its mean share is about what it is in these rows."""
        head, places = self.base.shape.layers, torch.tensor(self.places)
        is_new = places == NEW
        weight, bias = (self.base.net[f"{kind}.{head}"][:, places] for kind in ("weight", "bias"))
        if is_new.any():
            weight = torch.where(is_new, torch.zeros_like(weight), weight)
            bias = torch.where(is_new, torch.from_numpy(self._new_bias(rows)).to(bias), bias)
        return {**self.base.net, f"weight.{head}": weight, f"bias.{head}": bias}

    def _new_bias(self, rows: Rows) -> Floats:
        head = self.base.shape.layers
        weight, bias = (self.base.net[f"{kind}.{head}"].double().numpy() for kind in ("weight", "bias"))
        outputs = self._made(head, is_source=False)[rows] @ weight + bias
        return bias_of_new(outputs, self.training.y[rows], self.training.fit_weight(rows), self.unit.n_classes)

    def _side(self, rows: Rows, weight: Floats | None, first: int | None) -> Side:
        y = self.training.y[rows]
        if first is None:
            return Side(self.numbers[rows], self.levels[rows], y, weight)
        return Side(self._made(first, is_source=False)[rows], _none(len(rows)), y, weight)

    def _made(self, first: int, *, is_source: bool) -> Singles:
        """(n, inputs of that layer) for all rows, made once."""
        def make() -> Singles:
            own: Any = self.source if is_source else self
            return _taken(self.base, own.numbers, own.levels, first)

        return self.kept.get((first, is_source), make)


def _taken(base: Fitted, numbers: Singles, levels: Indices, first: int) -> Singles:
    """What a layer takes, (n, inputs) float32, computed in double precision: of each row alone, whatever the others."""
    parameters = {name: value.double()[None] for name, value in base.net.items()}
    parts: list[Singles] = []
    with one_thread, torch.no_grad():
        for begin in range(0, max(1, len(numbers)), CHUNK):
            part = slice(begin, begin + CHUNK)
            rows = torch.from_numpy(numbers[part]).double()[None], torch.from_numpy(levels[part])[None]
            hidden = inputs(parameters, base.shape, *rows)
            parts.append(through(parameters, range(first), base.activation, hidden)[0].float().numpy())
    return np.concatenate(parts)


def _encoded(fitted: Fitted, rows: SourceRows) -> Side:
    return Side(*fitted.inputs.encode(rows.X), rows.y, relative(rows.weight))


def _none(n_rows: int) -> Indices:
    """Levels of rows that have none."""
    return np.empty((n_rows, 0), np.int64)
