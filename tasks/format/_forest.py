"""The node TreeEnsembleRegressor of ONNX in TensorFlow: all trees at once, one step down in each round of a loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from onnx import numpy_helper


class Forest(tf.Module):  # type: ignore[misc]  # of an extra that is not looked at
    """Arrays by node, over all trees (N,). From a leaf every step leads to itself."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__()
        trees, numbers = (np.asarray(given[f"nodes_{key}"], dtype=np.int64) for key in ("treeids", "nodeids"))
        base = np.searchsorted(trees, np.arange(trees[-1] + 1))  # nodes are sorted by tree, and numbered from 0 on
        modes = np.array(given["nodes_modes"], dtype=object)
        is_leaf, own = modes == b"LEAF", np.arange(len(trees))
        self.roots = tf.constant(base, tf.int32)
        true, false = (base[trees] + np.asarray(given[f"nodes_{way}nodeids"]) for way in ("true", "false"))
        assert np.array_equal(base[trees] + numbers, own)
        self.true, self.false = (tf.constant(np.where(is_leaf, own, way), tf.int32) for way in (true, false))
        self.feature = tf.constant(given["nodes_featureids"], tf.int32)
        self.threshold = tf.constant(numpy_helper.to_array(given["nodes_values_as_tensor"]))
        self.asks = tf.constant(modes == b"BRANCH_EQ")
        self.missing = tf.constant(np.asarray(given["nodes_missing_value_tracks_true"], dtype=bool))
        self.depth = _depth(base, is_leaf, true, false)
        place = base[np.asarray(given["target_treeids"])] + np.asarray(given["target_nodeids"])
        values = np.zeros((len(trees), given["n_targets"]))
        values[place, np.asarray(given["target_ids"])] = numpy_helper.to_array(given["target_weights_as_tensor"])
        self.values = tf.constant(values)

    def __call__(self, matrix: tf.Tensor) -> tf.Tensor:
        """(n, n_targets) float32 of (n, n_features) float64."""
        begin = tf.repeat(self.roots[None], tf.shape(matrix)[0], axis=0)

        def step(place: tf.Tensor) -> tuple[tf.Tensor]:
            cell = tf.gather(matrix, tf.gather(self.feature, place), axis=1, batch_dims=1)
            threshold = tf.gather(self.threshold, place)
            holds = tf.where(tf.gather(self.asks, place), tf.equal(cell, threshold), tf.less_equal(cell, threshold))
            holds = tf.where(tf.math.is_nan(cell), tf.gather(self.missing, place), holds)
            return (tf.where(holds, tf.gather(self.true, place), tf.gather(self.false, place)),)

        (end,) = tf.while_loop(lambda place: tf.constant(True), step, (begin,), maximum_iterations=self.depth)
        return tf.cast(tf.reduce_sum(tf.gather(self.values, end), axis=1), tf.float32)


def _depth(roots: Any, is_leaf: Any, true: Any, false: Any) -> int:
    """Steps from the roots to the farthest leaf."""
    level, depth = roots[~is_leaf[roots]], 0
    while len(level):
        below = np.unique(np.concatenate([true[level], false[level]]))
        level, depth = below[~is_leaf[below]], depth + 1
    return depth
