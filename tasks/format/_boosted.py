"""LightGBM's boosters, and a linear head on their leaves, as nodes of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.format import _columns as columns
from tasks.format import _trees as trees
from tasks.format._graph import Graph
from tasks.model._booster import EXPONENTIAL, SAME, Link
from tasks.model._encode import Levels
from tasks.model._leaves import SCORE_SCALE
from tasks.model._leaves import Fitted as OnLeaves
from tasks.model.lightgbm import Fitted
from tasks.refusal import Refusal


def boosted(graph: Graph, fitted: Fitted) -> str:
    """(n,) or (n, n_classes) what the booster predicts."""
    dump = fitted.booster.dump_model()
    raw = _raw(graph, _matrix(graph, fitted.levels, dump), dump)
    link = Link.of(fitted.booster)
    if link.objective == "binary":
        positive = graph("Sigmoid", graph("Mul", raw, link.sigmoid))
        return graph.beside([graph("Sub", 1.0, positive), positive])
    if link.objective == "multiclass":
        return graph("Softmax", raw, axis=1)
    values = graph("Squeeze", raw, np.array([1]))
    if link.objective in EXPONENTIAL:
        return graph("Exp", values)
    if link.objective not in SAME:
        raise Refusal(f"objective={link.objective}: a graph knows no link function for it; leave export.formats out.")
    return graph("Mul", graph("Sign", values), graph("Mul", values, values)) if link.is_of_roots else values


def on_leaves(graph: Graph, fitted: OnLeaves) -> str:
    """A head that adds up weights of leaves is trees with other values in their leaves."""
    dump = fitted.base.booster.dump_model()
    matrix = _matrix(graph, fitted.base.levels, dump)
    coefficients = np.atleast_2d(fitted.head.coef_)  # (n_outputs, k + L)
    raw = _raw(graph, matrix, dump)
    scaled = graph("Div", graph("Mul", graph("Sub", raw, fitted.center[None]), SCORE_SCALE), fitted.spread[None])
    k = dump["num_tree_per_iteration"]
    of_scores = graph("MatMul", scaled, coefficients[:, :k].T.copy())
    n_trees = min(fitted.n_trees * k, len(dump["tree_info"]))
    offsets = np.cumsum([k, *(tree["num_leaves"] for tree in dump["tree_info"][:n_trees])])
    share = 1 / np.sqrt(n_trees)

    def value_of(tree: int, leaf: Mapping[str, Any]) -> trees.Values:
        return enumerate((share * coefficients[:, offsets[tree] + leaf.get("leaf_index", 0)]).tolist())

    of_leaves = trees.evaluated(graph, matrix, trees.of_lightgbm(dump, value_of, len(coefficients), n_trees))
    outputs = graph("Add", graph("Add", of_scores, of_leaves), np.atleast_1d(fitted.head.intercept_)[None])
    return ended(graph, outputs, fitted.head, fitted.n_classes)


def ended(graph: Graph, outputs: str, estimator: Any, n_classes: int) -> str:
    """What scikit-learn's linear models make of (n, n_outputs); a class that the training rows lacked has 0."""
    if not n_classes:
        return graph("Squeeze", outputs, np.array([1]))
    if len(estimator.classes_) == 2:
        positive = graph("Sigmoid", outputs)
        known = graph.beside([graph("Sub", 1.0, positive), positive])
    else:
        known = graph("Softmax", outputs, axis=1)
    return every_class(graph, known, estimator.classes_, n_classes)


def every_class(graph: Graph, known: str, classes: Any, n_classes: int) -> str:
    if len(classes) == n_classes:
        return known
    return graph("MatMul", known, np.eye(n_classes)[np.asarray(classes, dtype=np.int64)])


def _matrix(graph: Graph, levels: Levels, dump: Mapping[str, Any]) -> str:
    found, zeros = columns.encoded(graph, levels), trees.zeros_are_missing(dump)
    for feature, threshold in trees.thresholds(dump):
        graph.thresholds[levels.columns[feature]].add(threshold)
    for place in zeros:
        is_zero = graph("LessOrEqual", graph("Abs", found[place]), trees.ZERO)
        found[place] = graph("Where", is_zero, np.float64(np.nan), found[place])
    return graph.columns(found)


def _raw(graph: Graph, matrix: str, dump: Mapping[str, Any]) -> str:
    """(n, k) before the link function."""
    k = dump["num_tree_per_iteration"]

    def value_of(tree: int, leaf: Mapping[str, Any]) -> trees.Values:
        return [(tree % k, float(leaf["leaf_value"]))]

    raw = trees.evaluated(graph, matrix, trees.of_lightgbm(dump, value_of, k))
    rounds = max(1, len(dump["tree_info"]) // k)
    return graph("Div", raw, float(rounds)) if dump.get("average_output") else raw
