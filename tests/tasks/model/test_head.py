"""A head on an encoder's features, one of which hardly varies, as in the embedded encoder."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("safetensors") is None:
    pytest.skip('needs safetensors: pip install "finefold[text]"', allow_module_level=True)

from tasks.metric import Floats
from tasks.model._head import Head, Singles

N, WIDTH, DEAD = 300, 6, 2


def features() -> tuple[Singles, Floats]:
    random = np.random.default_rng(0)
    Z = random.normal(size=(N, WIDTH)) * [0.1, 0.2, 5e-9, 0.2, 0.3, 0.2] + [0.1, 0.0, -1e-7, 0.0, 0.3, 0.0]
    y = (Z[:, 0] / 0.1 + Z[:, 1] / 0.2 + random.normal(size=N) > 0.5).astype(float)
    return Z.astype(np.float32), y


@pytest.mark.parametrize("n_classes", [2, 0], ids=["classes", "regression"])
def test_a_feature_of_rounding_alone_has_no_say_once_an_encoder_moves(n_classes: int) -> None:
    Z, y = features()
    head = Head.learn(Z, y, None, n_classes, 1.0, 300)
    moved = Z.copy()
    moved[:, DEAD] += 1e-3  # a step of an encoder's training
    assert np.abs(head.outputs(moved) - head.outputs(Z)).max() < 0.01
    assert np.abs(head.outputs(Z)).max() > 0.3


def test_untrained_it_predicts_the_bias_whatever_it_is_given() -> None:
    Z, _ = features()
    head = Head.untrained(Z, WIDTH, np.array([0.2, -0.2]))
    assert head.outputs(Z).tolist() == [[0.2, -0.2]] * N
    assert len(set(head.scale.tolist())) == 1
