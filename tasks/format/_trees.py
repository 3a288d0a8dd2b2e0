"""Trees as one ONNX node: LightGBM's from `dump_model`, scikit-learn's from its arrays, searches among sorted numbers.

Written by hand and not by onnxmltools 1.16, which is silently wrong for boosting=rf, zero_as_missing and linear_tree,
and compares in float32: thresholds, inputs and sums are float64 here (ai.onnx.ml 3, `*_as_tensor`), so that a row takes
the way that it takes in the model itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from tasks.format._graph import Graph
from tasks.refusal import Refusal

LEAF, LEQ, EQ = "LEAF", "BRANCH_LEQ", "BRANCH_EQ"
ZERO = 1e-35  # LightGBM's kZeroThreshold: what counts as 0 where zeros are missing
Floats = npt.NDArray[np.float64]
Values = Iterable[tuple[int, float]]  # of a leaf, each with its target
ValueOf = Callable[[int, Mapping[str, Any]], Values]  # of a tree's number and its leaf


@dataclass
class Trees:
    """n_targets: numbers that a row gets, each the sum over all trees. A node: its tree, number, feature, threshold,
    kind, the numbers of those that follow, and whether a missing value goes the way of true."""

    n_targets: int
    nodes: list[tuple[int, int, int, float, str, int, int, bool]] = field(default_factory=list)
    leaves: list[tuple[int, int, int, float]] = field(default_factory=list)  # tree, node, target, value
    n_trees: int = 0

    def leaf(self, node: int, values: Values) -> None:
        self.nodes.append((self.n_trees, node, 0, 0.0, LEAF, 0, 0, False))
        self.leaves += [(self.n_trees, node, target, value) for target, value in values]

    def branch(
        self, node: int, feature: int, threshold: float, kind: str, ways: tuple[int, int], *, is_missing_true: bool
    ) -> None:
        self.nodes.append((self.n_trees, node, feature, threshold, kind, *ways, is_missing_true))


def evaluated(graph: Graph, matrix: str, trees: Trees, *, is_centred: bool = True) -> str:
    """(n, n_targets) float64 sums of a (n, n_features) float64 matrix.

    The operator gives float32. So each tree's middle is taken out of its leaves and added in float64 afterwards: what
    is lost is lost of what trees tell apart, not of a level such as 2e5. is_centred: whether that is done.
    Where the graph is to be fine, leaves have two values, see `_split`: 1e-11 is lost then, in place of 1e-8.
    """
    k = trees.n_targets
    leaf_tree, leaf_node, target, value = (np.array(column) for column in zip(*trees.leaves, strict=True))
    place = leaf_tree * k + target
    n_leaves = np.bincount(place, minlength=trees.n_trees * k)
    middle = is_centred * np.bincount(place, value, trees.n_trees * k) / np.maximum(n_leaves, 1)
    order = np.lexsort([[node[1] for node in trees.nodes], [node[0] for node in trees.nodes]])
    tree, number, feature, threshold, kind, true, false, missing = zip(*(trees.nodes[i] for i in order), strict=True)
    weight, n_targets = value - middle[place], k * (1 + graph.is_fine)
    if graph.is_fine:
        weight = np.concatenate(_split(weight, place, target, k))
        leaf_tree, leaf_node, target = np.tile(leaf_tree, 2), np.tile(leaf_node, 2), np.append(target, target + k)
    made = graph(
        "TreeEnsembleRegressor", matrix, domain="ai.onnx.ml", n_targets=n_targets, aggregate_function="SUM",
        post_transform="NONE", nodes_treeids=tree, nodes_nodeids=number, nodes_featureids=feature, nodes_modes=kind,
        nodes_truenodeids=true, nodes_falsenodeids=false, nodes_missing_value_tracks_true=[int(one) for one in missing],
        nodes_values_as_tensor=_tensor(threshold), target_treeids=leaf_tree.tolist(),
        target_nodeids=leaf_node.tolist(), target_ids=target.tolist(),
        target_weights_as_tensor=_tensor(weight),
    )
    total = graph.cast(made, np.float64)
    if graph.is_fine:
        total = graph("Add", *(graph("Gather", total, np.arange(k) + part, axis=1) for part in (0, k)))
    return graph("Add", total, middle.reshape(-1, k).sum(axis=0))


def _split(weight: Floats, place: Any, target: Any, k: int) -> tuple[Floats, Floats]:
    """Values of leaves as multiples of a power of two so large that float32 holds any sum of them, and what is left.
    place: of each leaf's tree and target; target: 0..k-1."""
    largest = np.zeros((place.max() // k + 1) * k)
    np.maximum.at(largest, place, np.abs(weight))
    bound = largest.reshape(-1, k).sum(axis=0)[target]
    unit = 2.0 ** np.ceil(np.log2(np.maximum(bound, 1e-300) / 2**23))
    coarse = np.round(weight / unit) * unit
    return coarse, weight - coarse


def of_lightgbm(dump: Mapping[str, Any], value_of: ValueOf, n_targets: int, n_trees: int | None = None) -> Trees:
    """dump: of `Booster.dump_model`. n_trees: of these, the first so many.

    Raises:
        Refusal: where its leaves are no constants.
    """
    trees = Trees(n_targets)
    for number, tree in enumerate(dump["tree_info"][:n_trees]):
        _add(trees, tree["tree_structure"], partial(value_of, number))
        trees.n_trees += 1
    return trees


def zeros_are_missing(dump: Mapping[str, Any]) -> set[int]:
    """Features by which trees split that take 0 for missing.

    Raises:
        Refusal: where some trees take it so and others don't.
    """
    kinds: dict[int, set[bool]] = {}
    for tree in dump["tree_info"]:
        for node in _inner(tree["tree_structure"]):
            if node["decision_type"] == "<=":
                kinds.setdefault(node["split_feature"], set()).add(node["missing_type"] == "Zero")
    if any(len(found) > 1 for found in kinds.values()):
        raise Refusal("zero_as_missing of some trees and not of others has no place in a graph; train all with one.")
    return {feature for feature, found in kinds.items() if True in found}


def thresholds(dump: Mapping[str, Any]) -> Iterable[tuple[int, float]]:
    """Features with the numbers that they are compared with."""
    for tree in dump["tree_info"]:
        for node in _inner(tree["tree_structure"]):
            if node["decision_type"] == "<=":
                yield node["split_feature"], float(node["threshold"])


def _inner(structure: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    waiting = [structure]
    while waiting:
        node = waiting.pop()
        if "split_feature" in node:
            yield node
            waiting += [node["left_child"], node["right_child"]]


def _add(trees: Trees, structure: Mapping[str, Any], value_of: Callable[[Mapping[str, Any]], Values]) -> None:
    """One tree, without recursion: a tree may be as deep as it has leaves."""
    waiting, n = [(structure, 0)], 1
    while waiting:
        node, number = waiting.pop()
        if node.get("leaf_features"):
            raise Refusal("model.lightgbm.hyperparameters.linear_tree=true: the leaves hold linear models, for which "
                          "an ONNX tree has no place; leave linear_tree out, or export.formats.")  # fmt: skip
        if "split_feature" not in node:
            trees.leaf(number, value_of(node))
            continue
        left, right, n = n, n + 1, n + 2
        waiting += [(node["left_child"], left), (node["right_child"], right)]
        if node["decision_type"] == "<=":
            _compare(trees, node, number, (left, right))
        else:
            n = _ask(trees, node, number, (left, right), n)


def _compare(trees: Trees, node: Mapping[str, Any], number: int, ways: tuple[int, int]) -> None:
    """Where missing values were none in training, LightGBM takes them for 0 (NumericalDecision in its tree.h)."""
    threshold = float(node["threshold"])
    is_missing_true = threshold >= 0 if node["missing_type"] == "None" else bool(node["default_left"])
    trees.branch(number, node["split_feature"], threshold, LEQ, ways, is_missing_true=is_missing_true)


def _ask(trees: Trees, node: Mapping[str, Any], number: int, ways: tuple[int, int], n: int) -> int:
    """A set of levels as one question after the other, of which each true way leads to the same node; gives the next
    free number. A missing level is in no set."""
    levels = [float(level) for level in str(node["threshold"]).split("||")]
    for place, level in enumerate(levels):
        is_last = place == len(levels) - 1
        other = ways[1] if is_last else n
        trees.branch(number, node["split_feature"], level, EQ, (ways[0], other), is_missing_true=False)
        if not is_last:
            number, n = n, n + 1
    return n


def of_scikit(estimators: Sequence[Any], n_targets: int, values_of: Callable[[Any], Floats]) -> Trees:
    """values_of: of scikit-learn's tree, (n_nodes, n_targets) what its leaves give."""
    trees = Trees(n_targets)
    for estimator in estimators:
        tree = estimator.tree_
        values = values_of(tree)
        to_left = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count, np.uint8))
        for node in range(tree.node_count):
            left, right = int(tree.children_left[node]), int(tree.children_right[node])
            if left < 0:
                trees.leaf(node, enumerate(values[node].tolist()))
            else:
                feature, threshold = int(tree.feature[node]), float(tree.threshold[node])
                trees.branch(node, feature, threshold, LEQ, (left, right), is_missing_true=bool(to_left[node]))
        trees.n_trees += 1
    return trees


def places(graph: Graph, matrix: str, edges: Sequence[Floats]) -> str:
    """(n, k) int64 how many of a column's sorted edges are less than its number, as a binary search; NaN gives 0."""
    trees = Trees(len(edges))
    for column, sorted_edges in enumerate(edges):
        _search(trees, column, sorted_edges)
        trees.n_trees += 1
    found = evaluated(graph, matrix, trees)
    return graph.cast(graph("Round", found), np.int64)


def _search(trees: Trees, column: int, edges: Floats) -> None:
    waiting, n = [(0, 0, len(edges))], 1
    while waiting:
        number, low, high = waiting.pop()  # the answer lies in low..high
        if low == high:
            trees.leaf(number, [(column, float(low))])
            continue
        middle = (low + high) // 2
        trees.branch(number, column, float(edges[middle]), LEQ, (n, n + 1), is_missing_true=True)
        waiting += [(n, low, middle), (n + 1, middle + 1, high)]
        n += 2


def _tensor(values: Sequence[float] | Floats) -> Any:
    return numpy_helper.from_array(np.asarray(values, dtype=np.float64), "values")
