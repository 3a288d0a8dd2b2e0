"""The losses of `tasks/loss` for nets: the same names and fields, on tensors, so that autograd has their gradients."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tasks.loss import Loss
from tasks.records import Problem

RowLosses = Callable[[Tensor, Tensor], Tensor]  # (M, B) from outputs (M, B, O) and codes or scaled targets (M, B)


def row_losses(loss: Loss, scale: float) -> RowLosses:
    """The loss of each row. scale: the target's unit in that of the scaled target; what a loss holds in the target's
    unit is divided by it."""
    it: Any = loss  # frozen, so it can be a key; its Protocol doesn't say so
    return _made(it, scale if loss.name == "huber" else 1.0)


@functools.cache    # folds whose losses are one and the same are computed by one call
def _made(loss: Any, scale: float) -> RowLosses:
    return MAKERS[loss.name](loss, scale)


def trainable(problem: Problem) -> list[str]:
    """The names of the losses that nets can be trained on."""
    return [*CLASSES] if problem.is_classification else [*NUMBERS]


def _log_shares(raw: Tensor, y: Tensor) -> Tensor:
    """(M, B) the logarithm of the probability of each row's class."""
    return torch.log_softmax(raw, dim=2).gather(2, y.long()[..., None])[..., 0]


def _focal(loss: Any, scale: float) -> RowLosses:
    def losses(raw: Tensor, y: Tensor) -> Tensor:
        log_share = _log_shares(raw, y)
        # 1 - p by expm1: its power has no finite slope at 0 for gamma below 1, where a row has nothing left to teach.
        left = (-torch.expm1(log_share)).clamp_min(torch.finfo(raw.dtype).tiny)
        return -(left**loss.gamma) * log_share

    return losses


def _huber(loss: Any, scale: float) -> RowLosses:
    return lambda raw, y: functional.huber_loss(raw[..., 0], y, reduction="none", delta=float(loss.delta) / scale)


def _quantile(loss: Any, scale: float) -> RowLosses:
    def losses(raw: Tensor, y: Tensor) -> Tensor:
        above = y - raw[..., 0]
        return torch.maximum(loss.level * above, (loss.level - 1) * above)

    return losses


def _squared(loss: Any, scale: float) -> RowLosses:
    """Of rmse too: the root of its mean has the same minimum."""
    return lambda raw, y: (raw[..., 0] - y) ** 2


CLASSES: dict[str, Callable[[Any, float], RowLosses]] = {
    "cross_entropy": lambda loss, scale: lambda raw, y: -_log_shares(raw, y),
    "focal": _focal,
}
NUMBERS: dict[str, Callable[[Any, float], RowLosses]] = {
    "mse": _squared,
    "rmse": _squared,
    "mae": lambda loss, scale: lambda raw, y: (raw[..., 0] - y).abs(),
    "huber": _huber,
    "quantile": _quantile,
}
MAKERS = CLASSES | NUMBERS
