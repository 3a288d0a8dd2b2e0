"""A model's folder as a graph, whatever family it is of, and what comes before and after it."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks import model as models
from tasks.format import NO_WORDS
from tasks.format import _columns as columns
from tasks.format import _wrapped as wrapped
from tasks.format._graph import Graph
from tasks.refusal import Refusal
from tasks.schema import Schema

WRITERS = {  # of a fitted model's module: where what writes it stands, and its name
    "tasks.model.lightgbm": ("_boosted", "boosted"),
    "tasks.model._leaves": ("_boosted", "on_leaves"),
    "tasks.model.linear": ("_scikit", "linear_model"),
    "tasks.model.forest": ("_scikit", "forest_model"),
    "tasks.model.mlp": ("_net", "net"),
    "tasks.model.text_encoder": ("_text", "text_encoder"),
}


@dataclass(frozen=True)
class Written:
    """A whole graph: the file's content, its schema as JSON, the numbers at which its trees split, by feature, and the
    files that a caller needs beside it, by name."""

    model: Any
    schema: dict[str, Any]
    thresholds: dict[str, list[float]]
    companions: dict[str, str]


def written(folder: Path) -> Written:
    """The graph of a registered model's folder, from the table's columns to label and probabilities, or prediction.

    Raises:
        Refusal: where the model has no place in a graph; says why.
    """
    schema = Schema.from_json((folder / "schema.json").read_text(encoding="utf-8"))
    problem = json.loads((folder / "problem.json").read_text(encoding="utf-8"))
    if problem["kind"] == "generation":
        from tasks.format._writer import language_model  # which needs an extra

        model, told, companions = language_model(folder)
        return Written(model, told, {}, companions)
    graph = Graph()
    inputs = columns.add_inputs(graph, schema)
    prediction = _prediction(graph, folder, is_classification=problem["kind"] != "regression")
    outputs = _ended(graph, prediction, folder, problem)
    inputs += graph.told.values()
    described = {"target": str(problem["target"]), "problem": str(problem["kind"])}
    told = {"problem": problem["kind"], "target": problem["target"], "inputs": inputs, "outputs": outputs}
    thresholds = {name: sorted(values) for name, values in graph.thresholds.items()}
    return Written(graph.model(described), told, thresholds, graph.companions)


def _prediction(graph: Graph, folder: Path, *, is_classification: bool) -> str:
    """(n,) or (n, n_classes) float64."""

    def inner(graph: Graph, folder: Path) -> str:
        return _prediction(graph, folder, is_classification=is_classification)

    if (folder / "calibration.json").exists():
        return wrapped.calibrated(graph, folder, inner)
    module = json.loads((folder / "family.json").read_text())["module"]
    if module == "tasks.model._bag":
        return wrapped.ensemble(graph, folder, inner)
    if module == "tasks.strategy.recalibrate":
        return wrapped.rescaled(graph, folder, inner, is_classification=is_classification)
    if module == "tasks.strategy.pooled":
        from tasks.strategy.pooled import DOMAIN, TARGET

        return wrapped.in_domain(graph, folder, inner, DOMAIN, TARGET)
    if module == "tasks.model._words":
        raise Refusal(NO_WORDS)
    if module not in WRITERS:
        raise Refusal(f"{module} is no model that can be written as a graph; leave export.formats out.")
    place, name = WRITERS[module]
    write = getattr(importlib.import_module(f"tasks.format.{place}"), name)
    found: str = write(graph, models.load(folder))
    return found


def _ended(graph: Graph, prediction: str, folder: Path, problem: dict[str, Any]) -> list[dict[str, Any]]:
    """Outputs, and what a caller is told of each."""
    if problem["kind"] == "regression":
        name = graph.output("prediction", prediction, "double", ["rows"])
        return [{"name": name, "holds": "prediction", "type": "double", "shape": ["rows"]}]
    classes = problem["classes"]
    are_whole = all(isinstance(one, int) and not isinstance(one, bool) for one in classes)
    values = np.array(classes, dtype=np.int64) if are_whole else [str(one) for one in classes]
    label = graph("Gather", graph.constant(values), _decided(graph, prediction, folder))
    kind = "int64" if are_whole else "string"
    shape: list[str | int] = ["rows", len(classes)]
    names = [graph.output("label", label, kind, ["rows"]), graph.output("probabilities", prediction, "double", shape)]
    return [
        {"name": names[0], "holds": "label", "type": kind, "shape": ["rows"]},
        {"name": names[1], "holds": "probabilities", "type": "double", "shape": shape, "classes": classes},
    ]


def _decided(graph: Graph, prediction: str, folder: Path) -> str:
    """(n,) int64 the class with the least expected cost (decision.json), or the most probable; of equals the first. Of
    two classes the second where its probability is above the threshold."""
    if not (folder / "decision.json").exists():
        return graph("ArgMax", prediction, axis=1, keepdims=0)
    kept = json.loads((folder / "decision.json").read_text())
    if kept.get("threshold") is not None:
        positive = graph("Squeeze", graph("Gather", prediction, np.array([1]), axis=1), np.array([1]))
        return graph.cast(graph("Greater", positive, float(kept["threshold"])), np.int64)
    costs = np.array(kept["costs"], dtype=np.float64)
    return graph("ArgMin", graph("MatMul", prediction, costs), axis=1, keepdims=0)
