"""Small nets whose folds are trained, in one way or another, on one device or another."""

from __future__ import annotations

from dataclasses import replace

import torch

from flows.build import build
from flows.config import CONF, compose
from tasks.loss.mse import MSE
from tasks.model._batches import Rows, steps
from tasks.model._epochs import Job, Plan, Progress, Score
from tasks.model._loss import row_losses
from tasks.model._net import Shape, Start

OPTIMIZERS = sorted(path.stem for path in (CONF / "optimizer").glob("*.yaml") if path.stem != "auto")
SIZES = ((98, 3, 9), (99, 2, 11), (96, 4, 10))  # rows, flags, levels: no two nets have the same shapes
RATES = {"sgd": 0.01, "gradient_descent": 0.3}


def rows(n: int, n_flags: int, n_levels: int, seed: int, dtype: torch.dtype) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(n, 4 + n_flags, dtype=torch.float64, generator=generator)
    levels = torch.randint(n_levels, (n, 2), generator=generator)
    y = numbers[:, 0] - numbers[:, 1] + (levels[:, 0] % 2) + torch.randn(n, generator=generator) / 4
    weight = 0.5 + torch.rand(n, dtype=torch.float64, generator=generator)
    return Rows(numbers.to(dtype), levels, y.to(dtype), weight.to(dtype))


def job(k: int, dtype: torch.dtype) -> Job:
    n, n_flags, n_levels = SIZES[k]
    shape = Shape(4, n_flags, 2, n_levels, 1, layers=2, width=8, level_width=3, frequencies=4, periodic_width=2)
    valid = rows(60 + k, n_flags, n_levels, 100 + k, dtype)
    start = Start(torch.zeros(1, dtype=torch.float64), torch.tensor([0]), 0.3)

    def score(raw: torch.Tensor) -> Score:
        cost = float(((raw[:, 0] - valid.y).double() ** 2).mean())
        return Score(cost, cost)

    return Job(shape, start, row_losses(MSE(), 1.0), rows(n, n_flags, n_levels, k, dtype), valid, score)


def plan(name: str) -> Plan:
    optimizer = build(compose(["model=mlp", f"optimizer={name}"]).config.optimizer, "optimizer")
    rows_per_step = {"sgd": 1, "gradient_descent": 10**9}.get(name, 16)
    return Plan(
        optimizer, RATES.get(name, optimizer.learning_rate.start), 1e-3, steps(99, rows_per_step), epochs=3,
        patience=9, schedule="cosine", dropout=0.2, activation="silu", is_higher_better=False, seed=3,
    )  # fmt: skip


def unlike(name: str) -> list[Plan]:
    """Plans of nets that can be trained as one."""
    one = plan(name)
    return [
        one,
        replace(one, learning_rate=one.learning_rate / 3, weight_decay=0.1, dropout=0.0, schedule="none"),
        replace(one, learning_rate=one.learning_rate / 2, weight_decay=0.0, epochs=2, dropout=0.4),
        replace(one, weight_decay=0.01, schedule="one_cycle", patience=1),
    ]


def farthest(alone: Progress, beside: Progress) -> float:
    """The largest difference of any parameter, relative to 1 and to its own size."""
    assert alone.net.keys() == beside.net.keys()
    return max(
        float(((a.cpu() - beside.net[name].cpu()).abs() / (1 + a.cpu().abs())).max()) for name, a in alone.net.items()
    )


def to(it: Job, where: torch.device) -> Job:
    """With its rows on that device, and judged there."""

    def rows_there(some: Rows) -> Rows:
        return Rows(*(getattr(some, name).to(where) for name in ("numbers", "levels", "y", "weight")))

    return replace(it, train=rows_there(it.train), valid=None if it.valid is None else rows_there(it.valid),
                   score=lambda raw: it.score(raw.cpu()))  # fmt: skip
