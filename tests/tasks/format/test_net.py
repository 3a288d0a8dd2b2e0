"""Nets of any activation and scaling as ONNX graphs predict what they do in PyTorch."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from exports import SCHEMA, Case, codes, farthest, table

from tasks.records import ProblemKind

if find_spec("torch") is None or find_spec("onnxruntime") is None:
    pytest.skip('needs pip install "finefold[neural,onnx]"', allow_module_level=True)

import torch

from tasks.model._inputs import Inputs
from tasks.model._net import Shape
from tasks.model._unit import Unit
from tasks.model.mlp import Fitted


def net(
    case: Case, scaling: str, activation: str, frequencies: int, layers: int = 2,
    with_waves: tuple[int, ...] | None = None,
) -> Fitted:
    """With random weights."""
    frame = table()
    X, y = SCHEMA.apply(frame), codes(case.kind, frame["score"])
    inputs, unit = Inputs.learn(X, scaling, 3), Unit.learn(case.problem, y, None)
    n_categorical = len(inputs.levels.categorical)
    shape = Shape(inputs.n_numbers, inputs.n_flags, n_categorical, inputs.n_levels, unit.n_outputs, layers, 16, 4,
                  frequencies, 5, with_waves)  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    drawn = {name: torch.randn(size, generator=generator) / 2 for name, size in shape.parameters.items()}
    return Fitted(inputs, shape, activation, unit, drawn, tuple(np.ones(len(X.columns)) / len(X.columns)))


def test_a_graph_has_waves_for_those_numbers_alone_that_the_net_has_them_for(tmp_path: Path) -> None:
    case = Case(tmp_path, "regression")
    largest, where = farthest(case, case.saved(net(case, "quantile", "silu", 8, with_waves=(1,)), "net"), tmp_path)
    assert largest < 1e-5, where


@pytest.mark.parametrize("kind", ["regression", "multiclass"])
def test_a_graph_of_several_nets_predicts_their_mean(tmp_path: Path, kind: ProblemKind) -> None:
    case = Case(tmp_path, kind)
    one = net(case, "standard", "relu", 4)
    others = tuple({name: value.roll(shift) for name, value in one.net.items()} for shift in (1, 2))
    largest, where = farthest(case, case.saved(replace(one, others=others), "net"), tmp_path)
    assert largest < 1e-5, where


@pytest.mark.parametrize(
    ("kind", "scaling", "activation", "frequencies"),
    [
        ("binary", "quantile", "relu", 8),
        ("multiclass", "standard", "silu", 0),
        ("regression", "quantile", "gelu", 0),
        ("regression", "standard", "selu", 8),
    ],
)
def test_a_graph_predicts_what_the_net_does(
    tmp_path: Path, kind: ProblemKind, scaling: str, activation: str, frequencies: int
) -> None:
    case = Case(tmp_path, kind)
    largest, where = farthest(case, case.saved(net(case, scaling, activation, frequencies), "net"), tmp_path)
    assert largest < 1e-5, where
