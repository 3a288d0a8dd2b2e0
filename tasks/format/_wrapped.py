"""Models that are made of other models, as one graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tasks.format import _numbers as numbers
from tasks.format._graph import Graph
from tasks.refusal import Refusal

LEAST = 1e-12  # of a probability whose logarithm is taken, as in tasks/strategy/recalibrate.py
Inner = Callable[[Graph, Path], str]


def ensemble(graph: Graph, folder: Path, inner: Inner) -> str:
    """The weighted mean of the models that a `Bag` saved."""
    total = ""
    for number, member in enumerate(json.loads((folder / "members.json").read_text())):
        for place in range(member["models"]):
            prediction = inner(graph, folder / str(number) / str(place))
            share = graph("Mul", prediction, member["weight"] / member["models"])
            total = graph("Add", total, share) if total else share
    return total


def in_domain(graph: Graph, folder: Path, inner: Inner, name: str, value: float) -> str:
    """A model that is told by a further column that each row is one of the target's."""
    graph.features[name] = graph("Squeeze", graph.repeated(np.array([value])), np.array([1]))
    return inner(graph, folder / "pooled")


def rescaled(graph: Graph, folder: Path, inner: Inner, *, is_classification: bool) -> str:
    """a + b f(x), see tasks/strategy/recalibrate.py."""
    kept = json.loads((folder / "scale.json").read_text())
    prediction, scale = inner(graph, folder / "base"), float(kept["scale"])
    if not is_classification:
        return graph("Add", graph("Mul", prediction, scale), float(kept["shift"][0]))
    logarithms = graph("Mul", graph("Log", graph("Max", prediction, LEAST)), scale)
    return graph("Softmax", graph("Add", logarithms, np.array([kept["shift"]], dtype=np.float64)), axis=1)


def calibrated(graph: Graph, folder: Path, inner: Inner) -> str:
    """(n, n_classes). temperature: softmax(log p / T). isotonic: straight lines between points for each class (of two
    classes one curve, of the second's), then normalised.

    Raises:
        Refusal: for another kind of calibration.
    """
    kept = json.loads((folder / "calibration.json").read_text())
    graph.is_fine |= kept["kind"] == "isotonic"  # between two points it may rise by .1 over 1e-6
    prediction = inner(graph, folder / "inner")
    if kept["kind"] == "temperature":
        logarithms = graph("Div", graph("Log", graph("Max", prediction, LEAST)), float(kept["temperature"]))
        return graph("Softmax", logarithms, axis=1)
    if kept["kind"] != "isotonic":
        raise Refusal(f"calibration={kept['kind']}: a graph knows temperature and isotonic; leave export.formats out.")
    return _isotonic(graph, prediction, kept)


def _isotonic(graph: Graph, prediction: str, kept: dict[str, Any]) -> str:
    curves = [numbers.interpolation(np.array(x, dtype=np.float64), np.array(y, dtype=np.float64))
              for x, y in zip(kept["x"], kept["y"], strict=True)]  # fmt: skip
    if len(curves) == 1:
        positive = numbers.piecewise(graph, graph("Gather", prediction, np.array([1]), axis=1), curves)
        return graph.beside([graph("Sub", 1.0, positive), positive])
    values = numbers.piecewise(graph, prediction, curves)  # above 0
    return graph("Div", values, graph("ReduceSum", values, np.array([1]), keepdims=1))
