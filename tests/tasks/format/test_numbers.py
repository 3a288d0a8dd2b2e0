"""What a graph makes of numbers agrees with SciPy and scikit-learn, also where quantiles are equal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import QuantileTransformer

pytest.importorskip("onnxruntime", reason='needs pip install "finefold[onnx]"')

import onnxruntime

from tasks.format._columns import add_inputs
from tasks.format._graph import Graph
from tasks.format._numbers import normal_quantile, scaled
from tasks.schema import TIME_PARTS, Column, Schema, part_of


def run(graph: Graph, tensor: str, x: np.ndarray) -> np.ndarray:
    graph.output("y", tensor, "double", [None] * x.ndim)
    return onnxruntime.InferenceSession(graph.model({}).SerializeToString()).run(["y"], {"x": x})[0]


def test_the_normal_quantile_agrees_with_scipy() -> None:
    p, graph = np.concatenate([[1e-7, 0.5, 1 - 1e-7], np.linspace(1e-4, 1 - 1e-4, 999)]), Graph()
    found = run(graph, normal_quantile(graph, graph.input("x", "double")), p)
    np.testing.assert_allclose(found, norm.ppf(p), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("offset", [0.0, 1.7e9])
def test_ranks_agree_with_scikit_learn_where_values_are_equal(offset: float) -> None:
    random = np.random.default_rng(0)
    known = np.column_stack([random.normal(size=400), random.choice([0.0, 1.0, 2.0, 7.5], 400)]) + offset
    scaler = QuantileTransformer(n_quantiles=50, output_distribution="normal", random_state=0)
    pipeline = Pipeline([("rank", scaler.fit(known))])
    edges = scaler.quantiles_
    x = np.vstack([known, edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf), edges + 1e-7, edges - 1e-7,
                   np.array([[np.nan, -1e9], [1e12, 0.5]])])  # fmt: skip
    graph = Graph()
    found = run(graph, scaled(graph, graph.input("x", "double", ["rows", 2]), pipeline), x)
    np.testing.assert_allclose(found, pipeline.transform(x), rtol=1e-9, atol=1e-9)


def test_parts_of_dates_agree_with_pandas() -> None:
    schema = Schema((Column("x", "time", "datetime", None, TIME_PARTS),))
    given = ["1969-12-31 23:59:59", "2000-02-29 00:00", "2024-12-31 23:59", "1899-03-01", "2100-03-01 12:30:15.5"]
    times = pd.Series(pd.to_datetime(given, format="ISO8601"), name="x")
    seconds = ((times - pd.Timestamp("1970-01-01")) / pd.Timedelta(seconds=1)).to_numpy()
    graph = Graph()
    add_inputs(graph, schema)
    found = run(graph, graph.columns(list(graph.features.values())), np.append(seconds, np.nan))
    wanted = np.column_stack([part_of(times, part) for part in TIME_PARTS])
    np.testing.assert_array_equal(found[:-1], wanted)
    assert np.isnan(found[-1]).all()
