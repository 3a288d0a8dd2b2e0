"""What graphs are written with."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason='needs pip install "finefold[onnx]"')

from onnx.reference import ReferenceEvaluator

from tasks.format._graph import Graph
from tasks.refusal import Refusal


def test_an_output_has_another_name_than_a_column() -> None:
    graph = Graph()
    given = graph.input("label", "double")
    assert graph.output("label", graph("Mul", given, 2.0), "double", ["rows"]) == "label_"
    assert ReferenceEvaluator(graph.model({})).run(["label_"], {"label": np.array([1.5])})[0].tolist() == [3.0]


def test_clipped_gaps_stay_gaps() -> None:
    graph = Graph()
    graph.output("y", graph.clip(graph.input("x", "double"), -1.0, 2.0), "double", ["rows"])
    (found,) = ReferenceEvaluator(graph.model({})).run(["y"], {"x": np.array([np.nan, -5.0, 0.5, 9.0])})
    np.testing.assert_array_equal(found, [np.nan, -1.0, 0.5, 2.0])


def test_two_inputs_of_one_name_are_refused() -> None:
    graph = Graph()
    graph.input("words ids", "int64", ("rows", "tokens"))
    with pytest.raises(Refusal, match=r"two inputs of the graph would be called 'words ids': rename that column"):
        graph.input("words ids", "double")
