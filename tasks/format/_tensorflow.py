"""A SavedModel from a graph, in a process of its own: `python -m tasks.format._tensorflow MODEL.onnx SAVED_MODEL`.

The graph that is written for ONNX is the one description of a model; here it becomes a small `tf.Module`, filled with
the same constants. TensorFlow lives badly beside torch and LightGBM in one process.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import onnx
import tensorflow as tf
from onnx import numpy_helper

from tasks.format._forest import Forest
from tasks.format._operators import OPERATORS, TYPES, table_of
from tasks.format._signature import signature_names

TEXT = 8  # onnx.TensorProto.STRING
MADE_BEFORE = {"TreeEnsembleRegressor": Forest, "LabelEncoder": table_of}


@dataclass(frozen=True)
class Nodes:
    """Nodes in their order, each with its attributes, and constants by name; what `tf.Module` need not look after."""

    graph: Any
    attributes: list[dict[str, Any]]
    constants: dict[str, tf.Tensor]

    @classmethod
    def of(cls, graph: Any) -> Nodes:
        attributes = [{one.name: onnx.helper.get_attribute_value(one) for one in node.attribute} for node in graph.node]
        return cls(graph, attributes, {one.name: tf.constant(numpy_helper.to_array(one)) for one in graph.initializer})


class Graph(tf.Module):  # type: ignore[misc]  # of an extra that is not looked at
    """Nodes, and of those that hold a table or trees these parts, by the name of their output."""

    def __init__(self, nodes: Nodes) -> None:
        super().__init__()
        self.nodes = nodes
        self.parts = {node.output[0]: MADE_BEFORE[node.op_type](given)
                      for node, given in zip(nodes.graph.node, nodes.attributes, strict=True)
                      if node.op_type in MADE_BEFORE}  # fmt: skip

    def run(self, *values: tf.Tensor) -> dict[str, tf.Tensor]:
        """Outputs by name, of the inputs in their order."""
        graph = self.nodes.graph
        known = {**self.nodes.constants, "": None}
        known |= {one.name: value for one, value in zip(graph.input, values, strict=True)}
        for node, given in zip(graph.node, self.nodes.attributes, strict=True):
            known[node.output[0]] = self._output(node, given, [known[name] for name in node.input])
        return {one.name: known[one.name] for one in graph.output}

    def _output(self, node: Any, given: dict[str, Any], operands: list[Any]) -> tf.Tensor:
        if node.op_type == "Constant":
            return tf.constant(numpy_helper.to_array(given["value"]))
        if node.op_type == "LabelEncoder":
            return self.parts[node.output[0]].lookup(operands[0])
        if node.op_type in MADE_BEFORE:
            return self.parts[node.output[0]](*operands)
        return OPERATORS[node.op_type](given, *operands)


def missing_operators(graph: Any) -> list[str]:
    known = {*OPERATORS, *MADE_BEFORE, "Constant"}
    return sorted({node.op_type for node in graph.node} - known)


def spec_of(given: Any, name: str) -> tf.TensorSpec:
    kind = given.type.tensor_type
    shape = [one.dim_value or None for one in kind.shape.dim]
    return tf.TensorSpec(shape, tf.string if kind.elem_type == TEXT else TYPES[kind.elem_type], name=name)


def save(source: str, place: str) -> None:
    graph = onnx.load(source).graph
    if absent := missing_operators(graph):
        sys.exit(f"{', '.join(absent)} of this encoder are not known in TensorFlow")
    module = Graph(Nodes.of(graph))
    names = signature_names(given.name for given in graph.input)
    specs = [spec_of(given, names[given.name]) for given in graph.input]
    module.serve = tf.function(module.run, input_signature=specs)
    tf.saved_model.save(module, place, signatures={"serving_default": module.serve.get_concrete_function()})


if __name__ == "__main__":
    save(*sys.argv[1:3])
