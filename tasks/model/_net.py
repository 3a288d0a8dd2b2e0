"""Multilayer perceptrons on tables, several of one architecture stacked so that one call computes all of them.

Notation:
    M  nets (folds)      N  numbers    C  categorical columns        H  width       O  outputs
    B  rows of a batch   F  flags      L  levels of all of these     D  level_width
    W  numbers of more than two values, which have waves
    K  frequencies per such number, and E what comes of them: cos(2 pi (f x + phase)) (K) through a layer of its own to
       E outputs, beside the number itself (Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep
       Learning", with the cosine and the bias of Holzmüller et al. 2024, RealMLP's "PBLD")
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu, "silu": functional.silu, "gelu": functional.gelu, "selu": functional.selu,
}


@dataclass(frozen=True)
class Shape:
    """What decides the shapes of a net's parameters. Of nets that are stacked, `n_flags` and `n_levels` may differ.

    with_waves: places of the numbers that have waves; None: all have, as in nets of before there were others."""

    n_numbers: int
    n_flags: int
    n_categorical: int
    n_levels: int
    n_outputs: int
    layers: int
    width: int
    level_width: int
    frequencies: int
    periodic_width: int
    with_waves: tuple[int, ...] | None = None

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Shape:
        """From `dataclasses.asdict`."""
        places = kept.get("with_waves")
        return cls(**{**kept, "with_waves": None if places is None else tuple(places)})

    @property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes. What differs between nets of a stack stands last in its axis, so that it can be padded."""
        shapes: dict[str, tuple[int, ...]] = {}
        if self.n_categorical:
            shapes["levels"] = (self.n_levels, self.level_width)
        if self.is_periodic:
            n_waves = len(self.waves)
            shapes["frequency"] = shapes["phase"] = (n_waves, self.frequencies)
            shapes["periodic"] = (n_waves, self.frequencies, self.periodic_width)
            shapes["periodic_bias"] = (n_waves, 1, self.periodic_width)
        sizes = [self._n_inputs, *[self.width] * self.layers, self.n_outputs]
        for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
            shapes[f"weight.{layer}"] = (n_in, n_out)
            shapes[f"bias.{layer}"] = (1, n_out)
        return shapes

    @property
    def waves(self) -> tuple[int, ...]:
        """Places of the numbers that have some."""
        return tuple(range(self.n_numbers)) if self.with_waves is None else self.with_waves

    @property
    def is_periodic(self) -> bool:
        return self.frequencies > 0 and len(self.waves) > 0

    @property
    def _n_inputs(self) -> int:
        periodic = len(self.waves) * self.periodic_width if self.is_periodic else 0
        return max(1, self.n_categorical * self.level_width + periodic + self.n_numbers + self.n_flags)


@dataclass(frozen=True)
class Start:
    """What a net's parameters begin with beside random numbers.

    bias: (O,) of the output, the target's logarithmic shares. untrained: indices of levels that no training row has.
    spread: standard deviation of the frequencies.
    """

    bias: Tensor
    untrained: Tensor
    spread: float

    def parameters(self, shape: Shape, generator: torch.Generator) -> dict[str, Tensor]:
        """Float64, so that a net is the same in either precision but for rounding."""
        made = {name: self._drawn(name, shape, size, generator) for name, size in shape.parameters.items()}
        if "levels" in made:
            made["levels"][self.untrained] = 0
        made[f"bias.{shape.layers}"][:] = self.bias
        return made

    def _drawn(self, name: str, shape: Shape, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
        values = torch.empty(size, dtype=torch.float64)
        if name in ("levels", "frequency"):
            return values.normal_(0, self.spread if name == "frequency" else 1, generator=generator)
        if name == "phase":
            return values.uniform_(-0.5, 0.5, generator=generator)
        # As torch.nn.Linear begins: uniform within 1 / sqrt(inputs).
        n_in = shape.frequencies if name.startswith("periodic") else shape.parameters[f"weight.{name[-1]}"][0]
        return values.uniform_(-(n_in**-0.5), n_in**-0.5, generator=generator)


class Stack:
    """Parameters of M nets in one tensor, which is all that an optimizer knows of: its steps are elementwise, so those
    of M nets are taken at once. `tensors`: each parameter as a view of it, (M, ...), that of net k at place k."""

    def __init__(self, nets: Sequence[Mapping[str, Tensor]], like: Tensor) -> None:
        self.shapes = [{name: tuple(value.shape) for name, value in net.items()} for net in nets]
        self.sizes = _around(self.shapes)
        n_parameters = sum(map(math.prod, self.sizes.values()))
        self._bind(torch.zeros(len(nets) * n_parameters, dtype=like.dtype, device=like.device))
        for k, net in enumerate(nets):
            for name, value in net.items():
                _corner(self.tensors[name][k], value.shape).data.copy_(value)

    def _bind(self, flat: Tensor) -> None:
        self.flat, self.gradient = flat, torch.zeros_like(flat)
        self.flat.grad = self.gradient
        self.tensors: dict[str, Tensor] = {}
        for name, part in self.parts(len(self.shapes)).items():
            tensor = flat.detach()[part].view(-1, *self.sizes[name]).requires_grad_()
            tensor.grad = self.gradient[part].view(-1, *self.sizes[name])  # backward adds into it in place
            self.tensors[name] = tensor

    def parts(self, n_nets: int) -> dict[str, slice]:
        """Where each parameter of all nets lies."""
        ends = list(accumulate(n_nets * math.prod(size) for size in self.sizes.values()))
        return {name: slice(begin, end) for name, (begin, end) in zip(self.sizes, pairwise([0, *ends]), strict=True)}

    def net(self, k: int) -> dict[str, Tensor]:
        """The parameters of one net, in its own shapes; a copy."""
        own = self.shapes[k]
        return {name: _corner(tensor[k], own[name]).detach().clone() for name, tensor in self.tensors.items()}

    def drop(self, keep: Sequence[int], optimizer: torch.optim.Optimizer) -> None:
        """Goes on with some of the nets; the optimizer forgets the others."""
        n_nets, old = len(self.shapes), self.flat

        def kept(values: Tensor) -> Tensor:
            parts = [values[part].view(n_nets, -1)[list(keep)] for part in self.parts(n_nets).values()]
            return torch.cat([part.flatten() for part in parts])

        self.shapes = [self.shapes[k] for k in keep]
        state: dict[str, Any] = {
            key: kept(value) if isinstance(value, Tensor) and value.shape == old.shape else value
            for key, value in optimizer.state.pop(old, {}).items()
        }
        self._bind(kept(old))
        optimizer.param_groups[0]["params"] = [self.flat]
        optimizer.state[self.flat] = state


def inputs(parameters: Mapping[str, Tensor], shape: Shape, numbers: Tensor, levels: Tensor) -> Tensor:
    """(M, B, inputs) what the first layer takes, from numbers and flags, (M, B, N + F), and levels, (M, B, C)."""
    n_nets, n_rows = numbers.shape[:2]
    parts = []
    if shape.n_categorical:
        table = parameters["levels"]
        shifted = levels + table.shape[1] * torch.arange(n_nets, device=levels.device)[:, None, None]
        parts.append(functional.embedding(shifted, table.reshape(-1, shape.level_width)).view(n_nets, n_rows, -1))
    if shape.is_periodic:
        with_waves = numbers[..., : shape.n_numbers] if len(shape.waves) == shape.n_numbers else \
            numbers[..., list(shape.waves)]
        parts.append(_periodic(parameters, with_waves))
    hidden = torch.cat([*parts, numbers], dim=2) if parts else numbers
    return hidden if hidden.shape[2] else hidden.new_zeros(n_nets, n_rows, 1)  # no column at all


def through(
    parameters: Mapping[str, Tensor], layers: Iterable[int], activation: str, hidden: Tensor,
    masks: Iterable[Tensor] = (),
) -> Tensor:
    """(M, B, H) from what the first of these hidden layers takes."""
    left = iter(masks)
    for layer in layers:
        hidden = torch.baddbmm(parameters[f"bias.{layer}"], hidden, parameters[f"weight.{layer}"])
        hidden = ACTIVATIONS[activation](hidden)
        mask = next(left, None)
        hidden = hidden if mask is None else hidden * mask
    return hidden


def outputs(
    parameters: Mapping[str, Tensor], shape: Shape, activation: str, numbers: Tensor, levels: Tensor,
    masks: Iterable[Tensor] = (),
) -> Tensor:
    """(M, B, O), see `inputs`. masks: for each hidden layer (M, B, H) what dropout leaves; without any, nothing is
    dropped."""
    hidden = inputs(parameters, shape, numbers, levels)
    hidden = through(parameters, range(shape.layers), activation, hidden, masks)
    return torch.baddbmm(parameters[f"bias.{shape.layers}"], hidden, parameters[f"weight.{shape.layers}"])


def _periodic(parameters: Mapping[str, Tensor], numbers: Tensor) -> Tensor:
    """(M, B, W E) from (M, B, W): each number's cosines through that number's own layer."""
    n_nets, n_rows, n_numbers = numbers.shape
    angle = numbers.transpose(1, 2)[..., None] * parameters["frequency"][:, :, None] + parameters["phase"][:, :, None]
    waves = torch.cos(2 * math.pi * angle).reshape(n_nets * n_numbers, n_rows, -1)  # (M N, B, K)
    weight = parameters["periodic"].reshape(n_nets * n_numbers, waves.shape[2], -1)
    bias = parameters["periodic_bias"].reshape(n_nets * n_numbers, 1, -1)
    made = torch.baddbmm(bias, waves, weight).view(n_nets, n_numbers, n_rows, -1)
    return made.transpose(1, 2).reshape(n_nets, n_rows, -1)


def _around(every: Sequence[Mapping[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    """The smallest shapes that hold those of every net."""
    return {name: tuple(max(sizes) for sizes in zip(*(one[name] for one in every), strict=True)) for name in every[0]}


def _corner(tensor: Tensor, size: Sequence[int]) -> Tensor:
    return tensor[tuple(slice(n) for n in size)]
