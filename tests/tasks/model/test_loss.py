"""The losses that nets are trained on are those of `tasks/loss`, row by row and slope by slope."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("torch") is None:
    pytest.skip('needs torch: pip install "finefold[neural]"', allow_module_level=True)

import torch

from flows.build import build
from flows.config import CONF, compose
from tasks.loss import Loss
from tasks.model._loss import CLASSES, NUMBERS, row_losses, trainable
from tasks.records import Problem

SCALE = 3.5
CHOICES = sorted(path.stem for path in (CONF / "loss").glob("*.yaml") if "_target_" in path.read_text())


def loss(choice: str) -> Loss:
    given = ["loss.delta=0.7"] if choice == "huber" else []
    built: Loss = build(compose([f"loss={choice}", *given]).config.loss, "loss")
    return built


def test_nets_train_on_every_loss_there_is() -> None:
    kinds = [Problem("multiclass", "y", ("a", "b", "c")), Problem("regression", "y", ())]
    of_text = ["next_token"]
    assert sorted([*of_text, *(name for problem in kinds for name in trainable(problem))]) == CHOICES


@pytest.mark.parametrize("choice", sorted(CLASSES))
def test_losses_of_classes_are_the_same_on_logits(choice: str) -> None:
    generator, it = np.random.default_rng(0), loss(choice)
    raw, y = generator.normal(size=(40, 3)), generator.integers(0, 3, 40).astype(np.float64)
    tensor = torch.tensor(raw[None], requires_grad=True)
    found = row_losses(it, 1.0)(tensor, torch.tensor(y[None]))
    found.sum().backward()
    shares = torch.softmax(torch.tensor(raw), dim=1).numpy()
    np.testing.assert_allclose(found.detach().numpy()[0], it.per_sample(y, shares), atol=1e-12)
    assert tensor.grad is not None
    np.testing.assert_allclose(tensor.grad.numpy()[0], it.gradient(y, raw), atol=1e-12)


@pytest.mark.parametrize("choice", sorted(NUMBERS))
def test_losses_of_a_scaled_target_are_those_of_the_target_up_to_a_factor(choice: str) -> None:
    generator, it = np.random.default_rng(0), loss(choice)
    y, prediction = generator.normal(size=(2, 40))
    scaled = torch.tensor((prediction / SCALE)[None, :, None], requires_grad=True)
    found = row_losses(it, SCALE)(scaled, torch.tensor((y / SCALE)[None]))
    found.sum().backward()
    factor = SCALE if choice in ("mae", "quantile") else SCALE**2
    np.testing.assert_allclose(factor * found.detach().numpy()[0], it.per_sample(y, prediction), atol=1e-12)
    assert scaled.grad is not None
    slope = factor * scaled.grad.numpy()[0, :, 0] / SCALE
    np.testing.assert_allclose(slope, it.gradient(y, prediction), atol=1e-12)


def test_a_row_that_is_surely_right_has_a_slope_of_nothing() -> None:
    raw = torch.tensor([[[60.0, -60.0]]], requires_grad=True)
    row_losses(build({**compose(["loss=focal"]).config.loss, "gamma": 0.5}, "loss"), 1.0)(
        raw, torch.zeros(1, 1)
    ).sum().backward()
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()
    assert raw.grad.abs().max() < 1e-6
