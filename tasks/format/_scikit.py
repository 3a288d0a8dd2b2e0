"""Linear models and forests of scikit-learn as nodes of a graph.

Written by hand and not by skl2onnx 1.20, which fails for OneHotEncoder with min_frequency and computes in float32: what
the fitted encoders make of each level is asked of them, and stands in the graph as a table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.format import _columns as columns
from tasks.format import _numbers as numbers
from tasks.format import _trees as trees
from tasks.format._boosted import ended, every_class
from tasks.format._graph import Graph
from tasks.model import forest, linear

Floats = npt.NDArray[np.float64]


def linear_model(graph: Graph, fitted: linear.Fitted) -> str:
    """(n,) or (n, n_classes)."""
    encoder, estimator = fitted.encoder, fitted.estimator
    coefficients = np.atleast_2d(estimator.coef_).T.astype(np.float64)  # (n_encoded, n_outputs)
    levels, fitted_parts = encoder.levels, dict(zip(("numeric", "levels"), _parts(encoder), strict=True))
    outputs = graph.repeated(np.atleast_1d(np.asarray(estimator.intercept_, dtype=np.float64)))
    numeric = [name for name in levels.columns if name not in levels.levels]
    n_numeric = 0
    if numeric:
        matrix = graph.columns([graph.features[name] for name in numeric])
        scaled, n_numeric = _scaled(graph, matrix, fitted_parts["numeric"])
        outputs = graph("Add", outputs, graph("MatMul", scaled, coefficients[:n_numeric]))
    tables = _tables(encoder, fitted_parts["levels"], coefficients[n_numeric:])
    for name, table in zip((levels.columns[place] for place in levels.categorical), tables, strict=True):
        outputs = graph("Add", outputs, graph("Gather", table, columns.indices(graph, levels, name)))
    return ended(graph, outputs, estimator, fitted.n_classes)


def _parts(encoder: linear.Encoder) -> tuple[Any, Any]:
    named = encoder.columns.named_transformers_
    return named["numeric"], named["levels"]


def _scaled(graph: Graph, matrix: str, pipeline: Any) -> tuple[str, int]:
    """Numbers with gaps filled, and flags of these, scaled: (n, n_numeric), and n_numeric."""
    fill = pipeline.named_steps["fill"]
    matrix = graph.clip(matrix, -linear.LARGEST, linear.LARGEST)
    flagged = np.asarray(fill.indicator_.features_, dtype=np.int64)
    filled = columns.filled(graph, matrix, np.asarray(fill.statistics_, dtype=np.float64)[None])
    if len(flagged):
        flags = graph("Gather", graph.cast(columns.missing(graph, matrix), np.float64), flagged, axis=1)
        filled = graph.beside([filled, flags])
    return numbers.scaled(graph, filled, pipeline[1:]), len(fill.statistics_) + len(flagged)


def _tables(encoder: linear.Encoder, one_hot: Any, coefficients: Floats) -> list[Floats]:
    """For each column of levels (n_levels + 2, n_outputs): what a missing level, another one and each known one adds to
    the outputs."""
    levels = encoder.levels
    if not levels.levels:
        return []
    names = [str(place) for place in range(len(levels.categorical))]
    owner = np.array([int(name.partition("_")[0]) for name in one_hot.get_feature_names_out(names)])
    tables = []
    for place, position in enumerate(levels.categorical):
        codes = np.array([np.nan, linear.UNSEEN, *range(len(levels.levels[levels.columns[position]]))])
        cells = np.zeros((len(codes), len(names)))
        cells[:, place] = codes
        made = one_hot.transform(cells)
        dense = np.asarray(made.todense() if hasattr(made, "todense") else made, dtype=np.float64)
        tables.append(dense[:, owner == place] @ coefficients[owner == place])
    return tables


def forest_model(graph: Graph, fitted: forest.Fitted) -> str:
    """(n,) or (n, n_classes). Trees compare what float32 holds."""
    matrix = graph.columns(columns.encoded(graph, fitted.encoder.levels))
    matrix = graph.cast(graph.cast(graph.clip(matrix, -forest.LARGEST, forest.LARGEST), np.float32), np.float64)
    estimator, n_classes = fitted.estimator, fitted.n_classes
    n_trees = len(estimator.estimators_)
    for tree in estimator.estimators_:
        for feature, threshold in zip(tree.tree_.feature, tree.tree_.threshold, strict=True):
            if feature >= 0:
                graph.thresholds[fitted.encoder.levels.columns[feature]].add(float(threshold))

    def values_of(tree: Any) -> Floats:
        values: Floats = tree.value[:, 0, :]
        return (values / values.sum(axis=1, keepdims=True) if n_classes else values) / n_trees

    n_targets = len(estimator.classes_) if n_classes else 1
    made = trees.of_scikit(estimator.estimators_, n_targets, values_of)
    outputs = trees.evaluated(graph, matrix, made, is_centred=not n_classes)  # where votes are equal they stay so
    if not n_classes:
        return graph("Squeeze", outputs, np.array([1]))
    return every_class(graph, outputs, estimator.classes_, n_classes)
