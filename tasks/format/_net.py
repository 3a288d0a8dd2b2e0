"""Multilayer perceptrons as nodes of a graph: encoding in float64, the net itself in float32."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tasks.format import _columns as columns
from tasks.format import _numbers as numbers
from tasks.format._graph import Graph
from tasks.model._inputs import LARGEST, N_OWN, Inputs
from tasks.model._unit import Unit
from tasks.model.mlp import Fitted

Singles = npt.NDArray[np.float32]


def net(graph: Graph, fitted: Fitted) -> str:
    """(n,) or (n, n_classes): the mean of the nets."""
    rows = encoded(graph, fitted.inputs)
    every = [{name: value.numpy().astype(np.float32) for name, value in of_one.items()} for of_one in fitted.nets]
    total, *others = (_predicted(graph, fitted, weights, *rows) for weights in every)
    for other in others:
        total = graph("Add", total, other)
    return graph("Mul", total, 1 / len(every)) if others else total


def _predicted(graph: Graph, fitted: Fitted, weights: dict[str, Singles], scaled: str, levels: list[str]) -> str:
    shape, activate = fitted.shape, ACTIVATIONS[fitted.activation]
    parts = [_embedded(graph, levels, weights["levels"])] if shape.n_categorical else []
    if shape.is_periodic:
        numeric = graph("Gather", scaled, np.array(shape.waves), axis=1)
        parts.append(_periodic(graph, numeric, weights))
    if shape.n_numbers or shape.n_flags:
        parts.append(graph.cast(scaled, np.float32))
    hidden = graph.beside(parts) if parts else graph.repeated(np.zeros(1, np.float32))
    for layer in range(shape.layers):
        hidden = activate(graph, _linear(graph, hidden, weights, layer))
    return meant(graph, graph.cast(_linear(graph, hidden, weights, shape.layers), np.float64), fitted.unit)


def meant(graph: Graph, outputs: str, unit: Unit) -> str:
    """Probabilities, or numbers in the target's unit, of outputs (n, n_outputs) in float64."""
    if unit.n_classes:
        sure = graph("Mul", graph("Softmax", outputs, axis=1), 1 - unit.doubt)
        return graph("Add", sure, unit.doubt / unit.n_classes)
    values = graph("Squeeze", outputs, np.array([1]))
    return graph("Add", graph("Mul", values, unit.scale), unit.center)


def encoded(graph: Graph, inputs: Inputs) -> tuple[str, list[str]]:
    """Numbers and flags (n, N + F) float64, and for each column of levels (n,) int64 its index among all levels; of
    numbers the name of nothing where there are none."""
    levels, offset, found = inputs.levels, 0, []
    for name in (levels.columns[place] for place in levels.categorical):
        found.append(graph("Add", columns.indices(graph, levels, name), offset))
        offset += len(levels.levels[name]) + N_OWN
    numeric = [graph.features[name] for name in levels.columns if name not in levels.levels]
    return (_scaled(graph, graph.columns(numeric), inputs) if numeric else ""), found


def _scaled(graph: Graph, matrix: str, inputs: Inputs) -> str:
    matrix = graph.clip(matrix, -LARGEST, LARGEST)
    gaps = columns.missing(graph, matrix)
    scaled = numbers.scaled(graph, matrix, inputs.scaler)
    nothing = graph("Or", gaps, ~inputs.varies[None])
    scaled = graph("Where", nothing, 0.0, scaled)
    if not inputs.n_flags:
        return scaled
    flags = graph("Gather", graph.cast(gaps, np.float64), np.flatnonzero(inputs.has_gaps), axis=1)
    return graph.beside([scaled, flags])


def _embedded(graph: Graph, levels: list[str], table: Singles) -> str:
    return graph.beside([graph("Gather", table, index) for index in levels])


def _periodic(graph: Graph, numeric: str, weights: dict[str, Singles]) -> str:
    """(n, N E) from (n, N): each number's cosines through that number's own layer. Whole turns are left out in float64,
    of whose fraction float32 would keep little."""
    n_numbers, _, width = weights["periodic"].shape
    frequency, phase = (weights[name].astype(np.float64)[None] for name in ("frequency", "phase"))
    turns = graph("Add", graph("Mul", graph("Unsqueeze", numeric, np.array([2])), frequency), phase)  # (n, N, K)
    rest = graph.cast(graph("Sub", turns, graph("Round", turns)), np.float32)
    waves = graph("Cos", graph("Mul", rest, np.float32(2 * math.pi)))
    by_number = graph("MatMul", graph("Transpose", waves, perm=[1, 0, 2]), weights["periodic"])  # (N, n, E)
    made = graph("Add", by_number, weights["periodic_bias"])
    return graph("Reshape", graph("Transpose", made, perm=[1, 0, 2]), np.array([-1, n_numbers * width]))


def _linear(graph: Graph, hidden: str, weights: dict[str, Singles], layer: int) -> str:
    return graph("Add", graph("MatMul", hidden, weights[f"weight.{layer}"]), weights[f"bias.{layer}"])


def _silu(graph: Graph, x: str) -> str:
    return graph("Mul", x, graph("Sigmoid", x))


def _gelu(graph: Graph, x: str) -> str:
    error = graph("Erf", graph("Mul", x, np.float32(1 / math.sqrt(2))))
    return graph("Mul", graph("Mul", x, np.float32(0.5)), graph("Add", error, np.float32(1)))


ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "relu": lambda graph, x: graph("Relu", x), "selu": lambda graph, x: graph("Selu", x),
    "silu": _silu, "gelu": _gelu,
}  # fmt: skip
